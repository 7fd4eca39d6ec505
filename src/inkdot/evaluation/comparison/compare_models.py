"""Metrics of several models on the same rows, and the differences of each from the first."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from inkdot.evaluation.comparison.comparison import ComparedMetric, Comparison
from inkdot.evaluation.comparison.scored_table import ScoredTable
from inkdot.evaluation.head_metrics import decided_rows
from inkdot.labels import Head, flag_column, flagging_head, head_slices
from inkdot.metrics.classification import (
    BoolArray,
    FloatArray,
    average_precision,
    balanced_accuracy,
    log_loss,
    roc_auc,
)
from inkdot.metrics.curves import roc_points
from inkdot.metrics.intervals.confidence_intervals import (
    BOOTSTRAP,
    TOO_FEW,
    Estimate,
    auc_estimate,
    average_precision_estimate,
    bootstrap_estimate,
    patient_bootstrap,
    share_estimate,
    too_few_patients,
)
from inkdot.metrics.intervals.delong import delong_test, holm
from inkdot.metrics.intervals.paired_bootstrap import REPLICATES, Statistic, paired_difference
from inkdot.metrics.slides.slide_level import NameArray

_CERTAIN = 0.5
"""A target of more than this for one class is its truth; ½ and ½ has no true class."""


class _Draws(NamedTuple):
    """Draws of patients: seed of all, and number of those for differences."""

    seed: int
    replicates: int


def compare_models(
    tables: Sequence[ScoredTable], *, seed: int = 0, replicates: int = REPLICATES
) -> Comparison:
    """Compare models on the same rows.

    Args:
        tables: As :func:`inkdot.evaluation.comparison.pairing.paired` gives them.
        seed: Of the bootstrap; every metric and model is computed on the same draws.
        replicates: Draws for the differences.
    """
    draws = _Draws(seed, replicates)
    first = tables[0]
    heads, column = first.heads, flag_column(first.heads)
    scored = ~np.any([np.isnan(table.scores[:, column]) for table in tables], axis=0)
    rows, truth = decided_rows(first.targets, column)
    kept = scored[rows]
    of_flag, is_flag = rows[kept], truth[kept]
    metrics = [*_flag_metrics(tables, of_flag, is_flag, draws)]
    if all(table.flagged is not None for table in tables):
        metrics += _threshold_metrics(tables, rows, truth, scored, draws)
    for head, columns in zip(heads, head_slices(heads).values(), strict=True):
        metrics += _head_metrics(tables, head, columns, scored, draws)
    tests = [
        delong_test(
            is_flag, other.scores[of_flag, column], first.scores[of_flag, column], first.patients[of_flag]
        )
        for other in tables[1:]
    ]
    found = iter(holm([test.p for test in tests if test is not None]))
    return Comparison(
        tables=list(tables),
        metrics=metrics,
        auc_tests=tests,
        adjusted=[None if test is None else next(found) for test in tests],
        curves=[roc_points(is_flag, table.scores[of_flag, column]) for table in tables],
        patients=len(np.unique(first.patients)),
        positives=int(is_flag.sum()),
        negatives=int((~is_flag).sum()),
        notes=_notes(tables, scored),
        replicates=replicates,
    )


def _flag_metrics(
    tables: Sequence[ScoredTable], rows: np.ndarray, truth: BoolArray, draws: _Draws
) -> list[ComparedMetric]:
    """AUC, average precision and Brier score of the flag class."""
    first = tables[0]
    column, patients = flag_column(first.heads), first.patients[rows]
    head = flagging_head(first.heads)
    name = f"{head.name}.{head.flag_class}"
    scores = [table.scores[rows, column] for table in tables]
    sides = [truth, ~truth]

    def brier(own: FloatArray) -> Statistic:
        return lambda weights: _mean((own - truth) ** 2, weights)

    return [
        _compared(
            f"auc.{name}",
            [_auc(truth, own) for own in scores],
            [auc_estimate(truth, own, patients, seed=draws.seed) for own in scores],
            patients, sides, draws,
        ),
        _compared(
            f"average_precision.{name}",
            [_average_precision(truth, own) for own in scores],
            [average_precision_estimate(truth, own, patients, seed=draws.seed) for own in scores],
            patients, sides, draws,
        ),
        _compared(
            f"brier_score.{name}",
            [brier(own) for own in scores],
            [bootstrap_estimate(brier(own), patients, seed=draws.seed) for own in scores],
            patients, [], draws, lower_is_better=True,
        ),
    ]  # fmt: skip


def _threshold_metrics(
    tables: Sequence[ScoredTable], rows: np.ndarray, truth: BoolArray, scored: BoolArray, draws: _Draws
) -> list[ComparedMetric]:
    """Sensitivity, specificity and balanced accuracy at each model's own locked threshold.

    A positive row without a score (inadequate) counts as missed, a negative one is not counted, as in `inkdot evaluate`.
    """
    first = tables[0]
    head = flagging_head(first.heads)
    name = f"{head.name}.{head.flag_class}"
    kept = truth | scored[rows]
    rows, truth = rows[kept], truth[kept]
    patients = first.patients[rows]
    called = [np.asarray(table.flagged, np.bool_)[rows] for table in tables]

    def accuracy(own: BoolArray) -> Statistic:
        return lambda weights: balanced_accuracy(truth, own, weights)

    metrics = [
        _compared(
            f"{what}.{name}",
            [_share(own[side] == expected) for own in called],
            [share_estimate(own[side] == expected, patients[side], seed=draws.seed) for own in called],
            patients[side], [], draws,
        )
        for what, side, expected in (("sensitivity", truth, True), ("specificity", ~truth, False))
    ]  # fmt: skip
    if truth.any() and not truth.all():
        sides = [truth, ~truth]
        metrics.append(
            _compared(
                f"balanced_accuracy_at_threshold.{name}",
                [accuracy(own) for own in called],
                [bootstrap_estimate(accuracy(own), patients, seed=draws.seed, sides=sides) for own in called],
                patients, sides, draws,
            )
        )  # fmt: skip
    return metrics


def _head_metrics(
    tables: Sequence[ScoredTable], head: Head, columns: slice, scored: BoolArray, draws: _Draws
) -> list[ComparedMetric]:
    """Log loss of a head; of images the balanced accuracy of the likeliest class, and of three classes or more the mean AUC."""
    first = tables[0]
    targets = first.targets[:, columns]
    known = np.flatnonzero(~np.isnan(targets[:, 0]) & scored)
    metrics = [
        _compared(
            f"log_loss.{head.name}",
            [_log_loss(targets[known], table.scores[known, columns]) for table in tables],
            [
                _unbounded(_log_loss(targets[known], own.scores[known, columns]), own.patients[known], draws.seed)
                for own in tables
            ],
            first.patients[known], [], draws, lower_is_better=True,
        )
    ] if len(known) else []  # fmt: skip
    rows = known[targets[known].max(axis=1, initial=0.0) > _CERTAIN]
    truth, patients = targets[rows].argmax(axis=1), first.patients[rows]
    sides = [truth == index for index in np.unique(truth)]
    if first.unit != "image" or len(sides) < 2:
        return metrics

    def both(name: str, statistics: list[Statistic]) -> ComparedMetric:
        values = [bootstrap_estimate(own, patients, seed=draws.seed, sides=sides) for own in statistics]
        return _compared(name, statistics, values, patients, sides, draws)

    metrics.append(
        both(
            f"balanced_accuracy.{head.name}",
            [_accuracy(truth, table.scores[rows, columns].argmax(axis=1)) for table in tables],
        )
    )
    if len(head.classes) > 2:
        metrics.append(
            both(f"mean_auc.{head.name}", [_mean_auc(truth, table.scores[rows, columns]) for table in tables])
        )
    return metrics


def _compared(
    name: str,
    statistics: Sequence[Statistic],
    values: Sequence[Estimate | None],
    patients: NameArray,
    sides: Sequence[BoolArray],
    draws: _Draws,
    *,
    lower_is_better: bool = False,
) -> ComparedMetric:
    differences = [
        paired_difference(other, statistics[0], patients, sides=sides, **draws._asdict())
        if len(patients)
        else None
        for other in statistics[1:]
    ]
    return ComparedMetric(name, lower_is_better, len(patients), list(values), differences)


def _notes(tables: Sequence[ScoredTable], scored: BoolArray) -> list[str]:
    first, notes = tables[0], list[str]()
    if missing := int((~scored).sum()):
        notes.append(
            f"{missing} {first.unit}s have no score in at least one result (inadequate or failed): they enter only the "
            "sensitivity, where a positive one counts as missed."
        )
    if without := [table for table in tables if table.without_result]:
        counts = ", ".join(f"{table.without_result} in {table.name}" for table in without)
        notes.append(f"Labelled slides that the results do not hold, left out: {counts}.")
    if any(table.flagged is None for table in tables):
        without = [table.name for table in tables if table.flagged is None]
        notes.append(
            f"No sensitivity and specificity: {', '.join(without)} does not tell what was flagged (made by an earlier version)."
        )
    with_folds = [table.name for table in tables if table.folds is not None]
    if with_folds and len(with_folds) < len(tables):
        others = [table.name for table in tables if table.folds is None]
        notes.append(
            f"{', '.join(with_folds)}: out-of-fold scores; {', '.join(others)}: scores of one model, which must not have been "
            "trained on these patients."
        )
    return notes


def _auc(truth: BoolArray, scores: FloatArray) -> Statistic:
    return lambda weights: roc_auc(truth, scores, weights)


def _average_precision(truth: BoolArray, scores: FloatArray) -> Statistic:
    return lambda weights: average_precision(truth, scores, weights)


def _accuracy(truth: np.ndarray, called: np.ndarray) -> Statistic:
    return lambda weights: balanced_accuracy(truth, called, weights)


def _log_loss(targets: FloatArray, scores: FloatArray) -> Statistic:
    return lambda weights: log_loss(targets, scores, weights)


def _mean_auc(truth: np.ndarray, scores: FloatArray) -> Statistic:
    def mean(weights: FloatArray) -> float:
        return float(np.mean([roc_auc(truth == k, scores[:, k], weights) for k in range(scores.shape[1])]))

    return mean


def _share(hits: BoolArray) -> Statistic:
    return lambda weights: _mean(hits, weights)


def _mean(values: np.ndarray, weights: FloatArray) -> float:
    total = weights.sum()
    return float((values * weights).sum() / total) if total > 0 else float("nan")


def _unbounded(statistic: Callable[[FloatArray], float], patients: NameArray, seed: int) -> Estimate | None:
    """A metric without an upper limit; where patients are too few, its interval is the value alone, and is named so."""
    value = statistic(np.ones(len(patients)))
    interval = None if too_few_patients(patients) else patient_bootstrap(statistic, patients, seed=seed)
    return (
        Estimate(value, value, value, TOO_FEW) if interval is None else Estimate(value, *interval, BOOTSTRAP)
    )
