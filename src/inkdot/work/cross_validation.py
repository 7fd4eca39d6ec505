"""Cross-validation: every patient is judged once, by a model that never saw them, in training or in validation."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from rich.console import Console

from inkdot.artefacts.atomic import write_text
from inkdot.artefacts.layout import RunLayout
from inkdot.config import Config
from inkdot.evaluation.calibration import softmax
from inkdot.evaluation.intervals import Estimate, auc_estimate, bootstrap_estimate, share_estimate
from inkdot.evaluation.metrics import FloatArray, balanced_accuracy, expected_calibration_error, roc_auc
from inkdot.labels import Head, flagging_head, score_columns, target_columns
from inkdot.model.data import TileSet
from inkdot.model.figures import decided_rows, questions
from inkdot.model.scorer import Scorer
from inkdot.model.selection import NameArray, TargetArray, head_slices
from inkdot.work.tile_cache import LabelledTiles
from inkdot.work.training import TileSource, say, train_cohort, write_split
from inkdot.work.training_cohort import Fold, check_answers, cohort_notes, split_cohort


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Every labelled tile, scored by the model of the fold that kept its patient out.

    Attributes:
        names: Slide or picture of each tile, shape [n].
        patients: Shape [n].
        folds: Fold of each tile, from 0, shape [n].
        targets: NaN where unknown, shape [n, classes of all heads].
        scores: Calibrated probabilities, same shape.
        uncalibrated: Probabilities at temperature 1, same shape.
        flagged: Whether the flagging head's score reaches the threshold that its fold's model locked, shape [n].
    """

    names: NameArray
    patients: NameArray
    folds: npt.NDArray[np.int64]
    targets: TargetArray
    scores: TargetArray
    uncalibrated: TargetArray
    flagged: npt.NDArray[np.bool_]


def cross_validate(
    found: Sequence[LabelledTiles],
    tiles_of: TileSource,
    folds: int,
    config: Config,
    layout: RunLayout,
    console: Console,
    *,
    pictures: bool,
    mpp_known: bool = True,
) -> None:
    """Train one model per fold and report on the tiles that it never saw.

    Within each fold the other patients are split into training and validation as ever: the epoch, the temperatures
    and the threshold are chosen there, and the kept-out fold is opened once.

    Raises:
        UserError: A class is missing in some fold.
    """
    cohorts = [split_cohort(found, config, pictures=pictures, fold=Fold(k, folds)) for k in range(folds)]
    for cohort in cohorts:
        check_answers(cohort, config)
    parts: list[OutOfFold] = []
    for index, cohort in enumerate(cohorts):
        say(console, [f"fold {index + 1} of {folds}", *cohort_notes(cohort)])
        own = layout.fold(index)
        write_split(cohort, own)
        training, validation = tiles_of(cohort.of("train")), tiles_of(cohort.of("validation"))
        notes = [f"Fold {index + 1} of {folds} of a cross-validation.", *cohort_notes(cohort)]
        train_cohort(cohort, training, validation, notes, config, own, console, mpp_known=mpp_known)
        parts.append(_score(tiles_of(cohort.of("test")), index, own, config))
    judged = _joined(parts)
    figures = cross_validation_figures(judged, config.head_records, config.training.seed)
    prefix = cohorts[0].figures_prefix.replace("validation_", "")
    named = {prefix + name: estimate for name, estimate in figures.items()}
    _write(judged, named, folds, config, layout, pictures=pictures)
    say(console, [f"{name}: {estimate} ({estimate.method})" for name, estimate in named.items()])


def cross_validation_figures(judged: OutOfFold, heads: Sequence[Head], seed: int) -> dict[str, Estimate]:
    """Figures on tiles, by name, with intervals over patients.

    Per question the AUC; per head of three classes or more their mean and the balanced accuracy of the likeliest
    class (as for heads of two); the calibration error before and after temperature; sensitivity and specificity at
    the locked thresholds. Scores of different folds are pooled as they are. Undefined figures are left out.
    """
    figures: dict[str, Estimate | None] = {}
    for question in questions(heads):
        rows, truth = decided_rows(judged.targets, question.column)
        own, patients = judged.scores[rows, question.column], judged.patients[rows]
        figures[f"auc.{question.name}"] = auc_estimate(truth, own, patients, seed=seed)
        if (
            question.head == flagging_head(heads).name
            and question.class_name == flagging_head(heads).flag_class
        ):
            called = judged.flagged[rows]
            figures[f"sensitivity.{question.name}"] = share_estimate(
                called[truth], patients[truth], seed=seed
            )
            figures[f"specificity.{question.name}"] = share_estimate(
                ~called[~truth], patients[~truth], seed=seed
            )
    for head, columns in zip(heads, head_slices(heads).values(), strict=True):
        rows = np.flatnonzero(~np.isnan(judged.targets[:, columns.start]))
        figures |= _head_figures(judged, head, columns, rows, seed)
    return {name: estimate for name, estimate in figures.items() if estimate is not None}


def _head_figures(
    judged: OutOfFold, head: Head, columns: slice, rows: npt.NDArray[np.int64], seed: int
) -> dict[str, Estimate | None]:
    targets, scores = judged.targets[rows, columns], judged.scores[rows, columns]
    before, patients = judged.uncalibrated[rows, columns], judged.patients[rows]
    # A target of ½ and ½ has no likeliest class to be right about.
    sure = np.flatnonzero(targets.max(axis=1, initial=0.0) > 0.5)
    truth, called = targets[sure].argmax(axis=1), scores[sure].argmax(axis=1)
    figures: dict[str, Estimate | None] = {
        f"balanced_accuracy.{head.name}": bootstrap_estimate(
            lambda weights: balanced_accuracy(truth, called, weights), patients[sure], seed=seed
        ),
        f"calibration_error_before.{head.name}": bootstrap_estimate(
            lambda weights: expected_calibration_error(targets, before, weights), patients, seed=seed
        ),
        f"calibration_error.{head.name}": bootstrap_estimate(
            lambda weights: expected_calibration_error(targets, scores, weights), patients, seed=seed
        ),
    }
    if len(head.classes) > 2:

        def mean_auc(weights: FloatArray) -> float:
            aucs = [roc_auc(truth == k, scores[sure, k], weights) for k in range(len(head.classes))]
            return float(np.mean(aucs))

        figures[f"mean_auc.{head.name}"] = bootstrap_estimate(mean_auc, patients[sure], seed=seed)
    return figures


def _score(tiles: TileSet, fold: int, layout: RunLayout, config: Config) -> OutOfFold:
    scorer = Scorer(layout.model)
    heads, description = config.head_records, scorer.description
    scores = scorer.score(tiles.tiles())
    head = flagging_head(heads)
    point = description.operating_points[head.name]
    column = head_slices(heads)[head.name].start + head.classes.index(point.class_name)
    return OutOfFold(
        names=tiles.slides,
        patients=tiles.patients,
        folds=np.full(len(tiles), fold),
        targets=tiles.targets,
        scores=scores,
        uncalibrated=uncalibrated_scores(scores, heads, description.temperatures),
        flagged=scores[:, column] >= point.threshold,
    )


def uncalibrated_scores(
    scores: TargetArray, heads: Sequence[Head], temperatures: Mapping[str, float]
) -> TargetArray:
    """Probabilities at temperature 1 from those after temperature, shape [n, classes of all heads]."""
    found = np.empty_like(scores)
    for name, columns in head_slices(heads).items():
        # Softmax forgets a constant per row, so the logarithm of a score is as good as its logit.
        found[:, columns] = softmax(np.log(np.maximum(scores[:, columns], 1e-30)) * temperatures.get(name, 1.0))
    return found


def _joined(parts: Sequence[OutOfFold]) -> OutOfFold:
    return OutOfFold(
        names=np.concatenate([part.names for part in parts]),
        patients=np.concatenate([part.patients for part in parts]),
        folds=np.concatenate([part.folds for part in parts]),
        targets=np.concatenate([part.targets for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
        uncalibrated=np.concatenate([part.uncalibrated for part in parts]),
        flagged=np.concatenate([part.flagged for part in parts]),
    )


def _write(
    judged: OutOfFold,
    figures: dict[str, Estimate],
    folds: int,
    config: Config,
    layout: RunLayout,
    *,
    pictures: bool,
) -> None:
    facts = {
        "folds": folds,
        "tiles": len(judged.names),
        "patients": len(np.unique(judged.patients)),
        "figures": {name: asdict(estimate) for name, estimate in figures.items()},
    }
    write_text(layout.cross_validation_json, json.dumps(facts, indent=2, sort_keys=True) + "\n")
    what, who = ("pictures", "groups") if pictures else ("tiles", "patients")
    lines = [
        "# Cross-validation",
        "",
        f"{folds} folds, {len(judged.names)} {what} of {facts['patients']} {who}, each judged by a model that never saw its "
        f"{who[:-1]}: epoch, temperatures and threshold were chosen on other {who}. 95 % intervals.",
        "",
        "| figure | value | 95 % interval | how |",
        "| --- | --- | --- | --- |",
        *(
            f"| {name} | {e.value:.3f} | {e.low:.3f} to {e.high:.3f} | {e.method} |"
            for name, e in figures.items()
        ),
    ]
    write_text(layout.cross_validation_md, "\n".join(lines) + "\n")
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(
        ["name", "group", "fold", *target_columns(config.head_records), *score_columns(config.head_records)]
    )
    for row in range(len(judged.names)):
        targets = ["" if np.isnan(value) else f"{value:g}" for value in judged.targets[row]]
        scores = [f"{value:.6f}" for value in judged.scores[row]]
        writer.writerow([judged.names[row], judged.patients[row], judged.folds[row] + 1, *targets, *scores])
    write_text(layout.out_of_fold_csv, buffer.getvalue())
