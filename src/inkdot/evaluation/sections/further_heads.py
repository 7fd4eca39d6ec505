"""Heads without a flag class, such as morphology, at every level that has labels."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np

from inkdot.evaluation.report import Confusion, Section, Table, counts_json, metrics_json
from inkdot.evaluation.report_parts import estimate_text
from inkdot.labels import INDETERMINATE, Head
from inkdot.metrics.classification import FloatArray, balanced_accuracy, roc_auc
from inkdot.metrics.decision.calls import head_call
from inkdot.metrics.intervals.confidence_intervals import Estimate, bootstrap_estimate, share_estimate
from inkdot.metrics.slides.slide_level import NameArray

NOT_FLAGGED: Final = "not flagged"
"""The call of a slide where nothing is flagged: further heads are called on flagged regions alone."""

_CERTAIN: Final = 0.5
_NAMES: Final = ("macro_auc", "balanced_accuracy", "coverage", "accuracy_of_calls")


@dataclass(frozen=True, slots=True)
class HeadRows:
    """Labelled units of one level with the scores of one head.

    Attributes:
        targets: Weight of each class, shape [n, classes]; NaN where unknown.
        scores: Calibrated probabilities, shape [n, classes]; NaN where there are none.
        flagged: Whether anything on the unit is flagged, so that the head is called, shape [n]; None where it always is.
        patients: Shape [n].
    """

    targets: FloatArray
    scores: FloatArray
    flagged: np.ndarray | None
    patients: NameArray


@dataclass(frozen=True, slots=True)
class HeadResult:
    """One head at one level.

    Attributes:
        metrics: By name.
        confusion: Counts by true class and call.
    """

    metrics: Mapping[str, Estimate]
    confusion: Confusion


def head_result(head: Head, rows: HeadRows, threshold: float | None) -> HeadResult | None:
    """Metrics and calls of a head on units with one clear label.

    ``auc`` is the mean over the classes, one against the rest (macro); ``balanced_accuracy`` that of the likeliest class;
    ``coverage`` the share of units with a call; ``accuracy_of_calls`` the share of these calls that are right.

    Args:
        head: The head.
        rows: Its units.
        threshold: Lowest score that gives a call; None for never.

    Returns:
        None where no unit has a label.
    """
    certain = np.nan_to_num(rows.targets).max(axis=1, initial=0.0) > _CERTAIN
    if not certain.any():
        return None
    truth = rows.targets[certain].argmax(axis=1)
    true_class = cast("list[int]", truth.tolist())
    scores, patients = rows.scores[certain], rows.patients[certain]
    flagged = np.ones(len(truth), np.bool_) if rows.flagged is None else rows.flagged[certain]
    known = ~np.isnan(scores[:, 0])
    calls = [
        head_call(head, own.tolist(), threshold) if on and there else INDETERMINATE if on else NOT_FLAGGED
        for own, on, there in zip(scores, flagged, known, strict=True)
    ]
    words = [head.call_words(name) for name in head.classes]
    called = np.array([own in words for own in calls], np.bool_)
    right = np.array([own == words[t] for own, t in zip(calls, true_class, strict=True)], np.bool_)
    metrics = {
        **_ranking(truth[known], scores[known], patients[known]),
        "coverage": share_estimate(called, patients),
        "accuracy_of_calls": share_estimate(right[called], patients[called]),
    }
    return HeadResult(
        {name: own for name, own in metrics.items() if own is not None},
        dict(Counter((head.classes[t], call) for t, call in zip(true_class, calls, strict=True))),
    )


def _ranking(truth: np.ndarray, scores: FloatArray, patients: NameArray) -> dict[str, Estimate | None]:
    """Macro AUC and balanced accuracy of the likeliest class; nothing where fewer than two classes occur."""
    present = np.unique(truth)
    if len(present) < 2:
        return {}
    sides = [truth == index for index in present]
    likeliest = scores.argmax(axis=1)

    def macro_auc(weights: FloatArray) -> float:
        return float(np.mean([roc_auc(truth == k, scores[:, k], weights) for k in present]))

    return {
        "macro_auc": bootstrap_estimate(macro_auc, patients, sides=sides),
        "balanced_accuracy": bootstrap_estimate(
            lambda weights: balanced_accuracy(truth, likeliest, weights), patients, sides=sides
        ),
    }


def as_patient_rows(rows: HeadRows, stated: Mapping[str, FloatArray]) -> HeadRows:
    """One row per patient: the mean scores of its flagged slides, else of all its slides.

    Args:
        rows: Slides.
        stated: Target of patients whose label is stated. Others have that of their slides, where all that are known agree.
    """
    names = np.unique(rows.patients)
    targets = np.full((len(names), rows.targets.shape[1]), np.nan)
    scores, flagged = targets.copy(), np.zeros(len(names), np.bool_)
    of_rows = np.ones(len(rows.patients), np.bool_) if rows.flagged is None else rows.flagged
    for index, name in enumerate(names.tolist()):
        own = rows.patients == name
        known = rows.targets[own & ~np.isnan(rows.targets[:, 0])]
        if name in stated:
            targets[index] = stated[name]
        elif len(known) and (known == known[0]).all():
            targets[index] = known[0]
        flagged[index] = of_rows[own].any()
        used = own & (of_rows if flagged[index] else True) & ~np.isnan(rows.scores[:, 0])
        if used.any():
            scores[index] = rows.scores[used].mean(axis=0)
    return HeadRows(targets, scores, None if rows.flagged is None else flagged, names)


def _calls_table(head: Head, levels: Mapping[str, HeadResult]) -> Table:
    """Calls by true class, level by level."""
    calls = [*(head.call_words(name) for name in head.classes), INDETERMINATE]
    if any(call == NOT_FLAGGED for result in levels.values() for _, call in result.confusion):
        calls.append(NOT_FLAGGED)
    return Table(
        f"{head.name}: calls by level and truth",
        ["truth \\ call", *calls],
        [
            [f"{level}: {name}", *(str(result.confusion.get((name, call), 0)) for call in calls)]
            for level, result in levels.items()
            for name in head.classes
        ],
    )


def further_heads_section(
    results: Sequence[tuple[Head, Mapping[str, HeadResult]]], prefix: str
) -> tuple[Section | None, dict[str, object]]:
    """The section on further heads, and the key ``further_heads`` of the JSON file.

    Args:
        results: Each head with its results by level.
        prefix: Before the names of metrics.
    """
    judged = [(head, levels) for head, levels in results if levels]
    if not judged:
        return None, {}
    metrics = {
        f"{head.name}: {level}": {prefix + name: own for name, own in result.metrics.items()}
        for head, levels in judged
        for level, result in levels.items()
    }
    section = Section(
        anchor="further-heads",
        question=f"Which kind: {', '.join(head.name for head, _ in judged)}?",
        notes=[
            "macro_auc: mean over the classes, each against the rest. balanced_accuracy: of the likeliest class. coverage: "
            "share with a call. accuracy_of_calls: share of these calls that are right.",
            "Tiles, regions and images are called whether flagged or not; a slide by its flagged regions alone.",
        ],
        tables=[
            table
            for head, levels in judged
            for table in (
                Table(
                    f"{head.name}: metrics by level, with 95 % intervals",
                    ["", "number", *(prefix + name for name in _NAMES)],
                    [
                        [
                            level,
                            str(sum(result.confusion.values())),
                            *(estimate_text(result.metrics.get(name)) for name in _NAMES),
                        ]
                        for level, result in levels.items()
                    ],
                ),
                _calls_table(head, levels),
            )
        ],
    )
    return section, {
        head.name: {
            level: {
                "metrics": metrics_json(metrics[f"{head.name}: {level}"]),
                "calls": counts_json(result.confusion),
            }
            for level, result in levels.items()
        }
        for head, levels in judged
    }
