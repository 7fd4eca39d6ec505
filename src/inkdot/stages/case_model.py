"""``inkdot case-model``: one small model of slides and case columns, compared with either alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.text import Text

from inkdot.case_model.case_model_file import read_case_model, write_case_model
from inkdot.case_model.case_table import ARMS, Arm
from inkdot.case_model.column_notes import column_notes
from inkdot.case_model.encoding import CategoryColumn
from inkdot.case_model.evaluate_arms import ArmsEvaluation, evaluate_arms
from inkdot.case_model.fit import REFITS, FitSettings
from inkdot.case_model.make_model import make_case_model
from inkdot.case_model.predict_cases import predict_cases, predictions_csv
from inkdot.case_model.read_tables import CaseInputs, read_case_table
from inkdot.case_model.records import CaseModelFile
from inkdot.case_model.report import cases_csv, evaluation_json, gain_lines, report_markdown
from inkdot.case_model.slide_columns import LOG_COLUMNS
from inkdot.errors import UserError
from inkdot.evaluation.comparison.plot import comparison_svg
from inkdot.metrics.classification import FloatArray
from inkdot.metrics.intervals.paired_bootstrap import REPLICATES
from inkdot.storage.atomic import write_text
from inkdot.storage.locking import locked
from inkdot.storage.output_layouts import CaseModelLayout

_OUT_OF_FOLD = (
    "Each case is scored by models that were trained without its patient: nested cross-validation in {folds} folds, with "
    "imputation, scaling, penalty and calibration inside of each."
)


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """Options of ``case-model train``.

    Attributes:
        log: Further columns of which ``log(1 + value)`` is taken.
        curves: Numbers may bend.
        folds: Outer folds.
        seed: Of folds and draws.
        refits: Draws of patients for intervals of coefficients and predictions.
        replicates: Draws of patients for differences.
    """

    log: Sequence[str] = ()
    curves: bool = False
    folds: int = 5
    seed: int = 0
    refits: int = REFITS
    replicates: int = REPLICATES


def train(inputs: CaseInputs, out: Path, options: TrainOptions) -> int:
    """Cross-validate and fit a model; write it with its report to ``out``.

    Returns:
        0.

    Raises:
        UserError: A table or an option is wrong, or there are too few patients.
    """
    table, left_out = read_case_table(inputs)
    notes = [*left_out, *column_notes(table)]
    log = {name for name in table.numbers if name in LOG_COLUMNS} | set(options.log)
    for name in sorted(log):
        if name not in table.numbers or (table.numbers[name] < 0).any():
            raise UserError(
                f"log: expected columns of numbers of 0 or more that the model uses, found {name}; leave it out"
            )
    settings = FitSettings(log=sorted(log), curves=options.curves, seed=options.seed, refits=options.refits)
    truth = inputs.truth or "labels of the slides"
    model, oof, evaluation = make_case_model(
        table, settings, truth=truth, source=inputs.cases, folds=options.folds, replicates=options.replicates
    )
    how = _OUT_OF_FOLD.format(folds=options.folds)
    layout = CaseModelLayout(out)
    with locked(layout.lock):
        digest = write_case_model(layout.model, model)
        write_text(layout.cases_csv, cases_csv(table, oof.probabilities, oof.folds))
        _write_evaluation(layout, evaluation, notes, model, digest, how, trained=True)
    _print(evaluation, notes, layout)
    return 0


def evaluate(
    model_path: Path, inputs: CaseInputs, out: Path, *, seed: int = 0, replicates: int = REPLICATES
) -> int:
    """Evaluate a finished model on other cases with a truth; write the report to ``out``.

    Returns:
        0.

    Raises:
        UserError: A table is wrong, or no case has a truth.
    """
    model, digest = read_case_model(model_path)
    table, notes = read_case_table(_with_columns(inputs, model), categories=_categories(model))
    if inputs.results is not None and table.synthetic != model.synthetic:
        raise UserError(
            f"{inputs.cases}: expected {'synthetic' if model.synthetic else 'real'} slides, as the model was trained on, found "
            "others; evaluate it on slides of its kind"
        )
    table = replace(table, synthetic=model.synthetic)
    refused = [own for own in predict_cases(model, table) if own.reason]
    if refused:
        notes = [
            *notes,
            f"{len(refused)} cases have no probability, such as {refused[0].case}: {refused[0].reason}; left out.",
        ]
        without = {own.case for own in refused}
        table = table.of(np.array([name not in without for name in table.ids.tolist()], np.bool_))
    if not len(table) or table.positive.all() or not table.positive.any():
        raise UserError(
            f"{inputs.cases}: expected cases of both classes that the model can score, found fewer; add cases"
        )
    probabilities: dict[Arm, FloatArray] = {arm: model.arms[arm].probabilities(table) for arm in ARMS}
    evaluation = evaluate_arms(table, probabilities, inputs.cases, seed=seed, replicates=replicates)
    layout = CaseModelLayout(out)
    how = "Each case is scored by the finished model, which must not have been trained on its patient."
    with locked(layout.lock):
        write_text(layout.cases_csv, cases_csv(table, probabilities, None))
        _write_evaluation(layout, evaluation, notes, model, digest, how, trained=False)
    _print(evaluation, notes, layout)
    return 0


def predict(model_path: Path, inputs: CaseInputs, out: Path) -> int:
    """Write the probability of every case to ``out``.

    Returns:
        0, or 1 where a case has no probability.

    Raises:
        UserError: A table is wrong.
    """
    model, digest = read_case_model(model_path)
    table, _ = read_case_table(_with_columns(inputs, model), categories=_categories(model), with_truth=False)
    predictions = predict_cases(model, table)
    layout = CaseModelLayout(out)
    with locked(layout.lock):
        write_text(layout.predictions_csv, predictions_csv(predictions, digest))
    refused = sum(1 for own in predictions if own.reason)
    console = Console(stderr=True)
    console.print(
        Text(
            f"{layout.predictions_csv}: {len(predictions) - refused} cases with a probability, {refused} without"
        ),
        soft_wrap=True,
    )
    return 1 if refused else 0


def _with_columns(inputs: CaseInputs, model: CaseModelFile) -> CaseInputs:
    """The inputs with the columns of the model."""
    of = {block: [name for name, own in model.blocks.items() if own == block] for block in ("image", "case")}
    return replace(inputs, columns=of["case"], slide_columns=of["image"], of_model=True)


def _categories(model: CaseModelFile) -> list[str]:
    return [name for name, own in model.columns.items() if isinstance(own, CategoryColumn)]


def _write_evaluation(
    layout: CaseModelLayout,
    evaluation: ArmsEvaluation,
    notes: Sequence[str],
    model: CaseModelFile,
    digest: str,
    how: str,
    *,
    trained: bool,
) -> None:
    title = "Case model" if trained else "Evaluation of a case model"
    text = report_markdown(evaluation, notes, title=title, how=how, model=model, trained=trained)
    write_text(layout.report, text)
    write_text(
        layout.evaluation,
        evaluation_json(evaluation, notes, model_sha256=digest, how=how, synthetic=model.synthetic),
    )
    write_text(layout.plot, comparison_svg(evaluation.comparison))


def _print(evaluation: ArmsEvaluation, notes: Sequence[str], layout: CaseModelLayout) -> None:
    console = Console(stderr=True)
    for line in [*notes, *gain_lines(evaluation), f"report: {layout.report}"]:
        console.print(Text(line), soft_wrap=True)
