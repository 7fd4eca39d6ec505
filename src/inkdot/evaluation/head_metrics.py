"""Metrics of a network on labelled tiles, each with its interval over patients."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inkdot.labels import Head, flag_column, head_slices
from inkdot.metrics.intervals.confidence_intervals import Estimate, auc_estimate, average_precision_estimate
from inkdot.model.targets import IndexArray, NameArray, TargetArray


class HeadClass(NamedTuple):
    """One class against the others of its head."""

    head: str
    class_name: str
    column: int

    @property
    def name(self) -> str:
        """Name used in columns and metrics."""
        return f"{self.head}.{self.class_name}"


def head_classes(heads: Sequence[Head]) -> Iterator[HeadClass]:
    """The classes to compute metrics of: one of a head of two classes (its flag class, else its last), all of larger heads."""
    for head, columns in zip(heads, head_slices(heads).values(), strict=True):
        *_, last = head.classes
        names = head.classes if len(head.classes) > 2 else (head.flag_class or last,)
        for class_name in names:
            yield HeadClass(head.name, class_name, columns.start + head.classes.index(class_name))


def decided_rows(
    targets: npt.NDArray[np.floating], column: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Rows whose target for a class is known and not ½ (atypical, mixed), and whether they are of the class."""
    own = targets[:, column]
    rows = np.flatnonzero(_decided(own))
    return rows, own[rows] > 0.5


def auc_metrics(
    scores: TargetArray,
    targets: TargetArray,
    patients: NameArray,
    heads: Sequence[Head],
    *,
    replicates: int,
    seed: int,
) -> dict[str, Estimate | None]:
    """AUC on tiles, by ``auc.<head>.<class>``; None where a class is missing.

    Args:
        scores: Shape [n, classes of all heads]; probabilities or any monotone function of them.
        targets: NaN where unknown, same shape.
        patients: Shape [n].
        heads: The heads.
        replicates: Draws of the bootstrap.
        seed: Of the bootstrap.
    """
    metrics: dict[str, Estimate | None] = {}
    for head_class in head_classes(heads):
        rows, truth = decided_rows(targets, head_class.column)
        metrics[f"auc.{head_class.name}"] = auc_estimate(
            truth, scores[rows, head_class.column], patients[rows], replicates=replicates, seed=seed
        )
    return metrics


class PatientTruth(NamedTuple):
    """Truth of patients from the labels of their rows.

    Attributes:
        names: The patients, sorted, shape [p].
        owner: Index into ``names`` of each row's patient, shape [n].
        positive: Whether any row of the patient is of the class, shape [p].
        known: Whether the patient is positive, or all rows are known not to be of the class, shape [p].
    """

    names: NameArray
    owner: IndexArray
    positive: npt.NDArray[np.bool_]
    known: npt.NDArray[np.bool_]


def patient_truth(own: TargetArray, patients: NameArray) -> PatientTruth:
    """Truth of patients from their rows, by the rule of `inkdot evaluate`.

    Args:
        own: Target of one class, NaN where unknown, shape [n].
        patients: Shape [n].
    """
    names, owner = np.unique(patients, return_inverse=True)
    decided = _decided(own)
    positive = np.bincount(owner, decided & (own > 0.5), len(names)) > 0
    undecided = np.bincount(owner, ~decided, len(names)) > 0
    return PatientTruth(names, owner.astype(np.int64), positive, positive | ~undecided)


def patient_metrics(
    scores: TargetArray,
    targets: TargetArray,
    patients: NameArray,
    heads: Sequence[Head],
    *,
    replicates: int,
    seed: int,
) -> dict[str, Estimate | None]:
    """AUC and average precision over patients, of the flagging head; None where a class has no patient.

    A patient's score is the highest of its rows, as in `inkdot evaluate`: a mean would dilute one malignant region among
    many benign ones.

    Args:
        scores: Of tiles or of slides, shape [n, classes of all heads].
        targets: NaN where unknown, same shape.
        patients: Shape [n].
        heads: The heads.
        replicates: Draws of the bootstrap.
        seed: Of the bootstrap.
    """
    column = flag_column(heads)
    truth = patient_truth(targets[:, column], patients)
    best = np.full(len(truth.names), -np.inf)
    np.maximum.at(best, truth.owner, scores[:, column].astype(np.float64))
    known = truth.positive[truth.known], best[truth.known], truth.names[truth.known]
    return {
        "patient_auc": auc_estimate(*known, replicates=replicates, seed=seed),
        "patient_average_precision": average_precision_estimate(*known, replicates=replicates, seed=seed),
    }


def _decided(own: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    return ~np.isnan(own) & (own != 0.5)
