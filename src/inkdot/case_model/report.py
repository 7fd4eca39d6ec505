"""The report on a case-level model: Markdown for people, JSON for programs, and the table of its cases."""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Final

import numpy as np
import numpy.typing as npt

from inkdot.case_model.case_table import ARMS, Arm, CaseTable
from inkdot.case_model.evaluate_arms import BOTH, ArmsEvaluation, Gain
from inkdot.case_model.records import CaseModelFile, Logistic
from inkdot.evaluation.comparison.report import METRIC_COLUMNS, Row, explanation, markdown_table, metric_rows
from inkdot.metrics.classification import FloatArray
from inkdot.metrics.intervals.confidence_intervals import TOO_FEW, Estimate
from inkdot.storage.models.model_records import Interval
from inkdot.storage.tables.predictions import spreadsheet_safe

EVALUATION_VERSION: Final = "inkdot.case_evaluation/1"
_SYNTHETIC: Final = "**SYNTHETIC.** Slides or model are synthetic: these metrics test the program alone."
_NARROW: Final = (
    "Intervals vary the patients who are scored, not those who are learned from: in simulated cohorts they held the true gain "
    "in 86 %, not in 95 % (docs/explanation/experiments/case-model-gain.md)."
)
_RESEARCH: Final = (
    "Research use only. A probability here is no diagnosis, and only a person signs a category."
)


def report_markdown(
    evaluation: ArmsEvaluation,
    notes: Sequence[str],
    *,
    title: str,
    how: str,
    model: CaseModelFile,
    trained: bool,
) -> str:
    """The report as a page.

    Args:
        evaluation: Of all arms.
        notes: Lines on what was left out.
        title: Of the page.
        how: Sentence on whose scores these are.
        model: The model.
        trained: The page is of the training: coefficients and missing values are shown.
    """
    whole = evaluation.comparison
    parts: list[str] = [
        f"# {title}",
        "",
        *([_SYNTHETIC, ""] if model.synthetic else []),
        f"{len(whole.tables[0].ids)} cases of {whole.patients} patients: {whole.positives} positive, {whole.negatives} negative. "
        + how,
        *(f"\n{note}" for note in notes),
        "",
        "## What both blocks of columns gain over one",
        "",
        *markdown_table(
            ("gain of image + case over", "metric", "difference (95 % interval)", "p, DeLong", "p, Holm"),
            _gains(evaluation),
        ),
        "",
        "Both models on the same draws of patients (paired bootstrap). Where an interval holds 0, these patients do not show a "
        "gain; that does not show that there is none. AUC and average precision: higher is better; Brier score and log loss: "
        "lower is better.",
        *([_NARROW] if trained else []),
        "",
        "## Metrics",
        "",
        *markdown_table(METRIC_COLUMNS, metric_rows(whole)),
        "",
        *explanation(whole),
        "",
        "## Calibration",
        "",
        *markdown_table(("metric", *ARMS), _calibration(evaluation)),
        "",
        "A slope of 1 and a difference of 0 are ideal. A slope below 1: probabilities are too extreme.",
        *(_of_training(model) if trained else []),
        "",
        _RESEARCH,
    ]
    return "\n".join(parts) + "\n"


def evaluation_json(
    evaluation: ArmsEvaluation, notes: Sequence[str], *, model_sha256: str, how: str, synthetic: bool
) -> str:
    """The evaluation for programs, with sorted keys."""
    whole = evaluation.comparison
    content = {
        "version": EVALUATION_VERSION,
        "model_sha256": model_sha256,
        "scores": how,
        "synthetic": synthetic,
        "cases": len(whole.tables[0].ids),
        "patients": whole.patients,
        "positives": whole.positives,
        "negatives": whole.negatives,
        "metrics": {
            arm: {name: asdict(own) for name, own in evaluation.metrics_of(arm).items()} for arm in ARMS
        },
        "gains": {gain.over: _gain_json(gain) for gain in evaluation.gains},
        "notes": list(notes),
    }
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def cases_csv(
    table: CaseTable, probabilities: Mapping[Arm, FloatArray], folds: npt.NDArray[np.int64] | None
) -> str:
    """One line per evaluated case: patient, fold, truth and the probability of each arm."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(
        ["case", "patient_id", *([] if folds is None else ["fold"]), "truth", *(f"p.{arm}" for arm in ARMS)]
    )
    for row, (name, patient, positive) in enumerate(
        zip(table.ids.tolist(), table.patients.tolist(), table.positive.tolist(), strict=True)
    ):
        scores = [f"{probabilities[arm][row]:.6f}" for arm in ARMS]
        fold = [] if folds is None else [int(folds[row]) + 1]
        truth = "positive" if positive else "negative"
        writer.writerow([spreadsheet_safe(name), spreadsheet_safe(patient), *fold, truth, *scores])
    return buffer.getvalue()


def gain_lines(evaluation: ArmsEvaluation) -> list[str]:
    """The gains in AUC, a line each, for the terminal."""
    lines: list[str] = []
    for gain in evaluation.gains:
        name, difference = next(iter(gain.differences.items()))
        p = "" if gain.delong is None else f"; DeLong p {_p(gain.delong.p)}"
        lines.append(
            f"{name}: {BOTH} over {gain.over} alone {'undefined' if difference is None else difference}{p}"
        )
    return lines


def odds_ratios(model: Logistic) -> Iterator[tuple[str, float, float, float]]:
    """Per term its name, the odds ratio per standard deviation, and its 95 % interval over refits on draws of patients."""
    refits = np.array(model.replicates, np.float64).reshape(-1, len(model.coefficients) + 1)[:, 1:]
    for index, (scale, coefficient) in enumerate(zip(model.encoding.scales, model.coefficients, strict=True)):
        own = model.slope * refits[:, index]
        low, high = np.quantile(own, [0.025, 0.975]).tolist() if len(own) else (math.nan, math.nan)
        yield scale.term, math.exp(model.slope * coefficient), math.exp(low), math.exp(high)


def _of_training(model: CaseModelFile) -> Iterator[str]:
    both = model.arms[BOTH]
    terms = [
        (term, f"{ratio:.2f} ({low:.2f} to {high:.2f})", f"{scale.mean:.4g}", f"{scale.sd:.4g}")
        for (term, ratio, low, high), scale in zip(odds_ratios(both), both.encoding.scales, strict=True)
    ]
    yield from ("", "## Coefficients of image + case", "")
    yield from markdown_table(("term", "odds ratio per SD (95 % interval)", "mean", "SD"), iter(terms))
    yield (
        "\nShrunk towards 1 by the penalty, and recalibrated. Intervals: refits on draws of patients with the same penalty; they "
        "do not include its choice."
    )
    yield from ("", "## Missing values", "")
    if model.missing:
        shares = [(own.column, _share(own.positive), _share(own.negative)) for own in model.missing]
        yield from markdown_table(
            ("column", "missing of positive cases", "missing of negative cases"), iter(shares)
        )
        yield (
            "\nA missing number counts as the median of the training cases, and from 5 missing values on has a term of its own. "
            "Where the shares differ, whether something was measured is itself a sign: in another hospital it may not be one."
        )
    else:
        yield "No value is missing."
    used = ", ".join(f"{arm}: {model.arms[arm].c:g}" for arm in ARMS)
    yield f"\nInverse L2 penalty C, chosen by inner cross-validation in {model.inner_folds} folds: {used}."


def _gains(evaluation: ArmsEvaluation) -> Iterator[Row]:
    for gain in evaluation.gains:
        for index, (name, difference) in enumerate(gain.differences.items()):
            tested = index == 0 and gain.delong is not None
            yield (
                f"{gain.over} alone" if index == 0 else "",
                name,
                "undefined" if difference is None else str(difference),
                _p(gain.delong.p) if tested and gain.delong is not None else "",
                _p(gain.p_holm) if tested and gain.p_holm is not None else "",
            )


def _gain_json(gain: Gain) -> dict[str, object]:
    return {
        "differences": {name: None if own is None else asdict(own) for name, own in gain.differences.items()},
        "delong": None if gain.delong is None else {**asdict(gain.delong), "p_holm": gain.p_holm},
    }


def _calibration(evaluation: ArmsEvaluation) -> Iterator[Row]:
    for name in evaluation.calibration[BOTH]:
        yield (name, *(_estimate(evaluation.calibration[arm][name]) for arm in ARMS))


def _estimate(own: Estimate | None) -> str:
    if own is None:
        return "undefined"
    return f"{own.value:.3f} (not known)" if own.method == TOO_FEW else str(own)


def _share(own: Interval) -> str:
    return f"{own.value:.0%} ({own.low:.0%} to {own.high:.0%})"


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"
