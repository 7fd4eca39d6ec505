"""Figures of a network on labelled tiles, each with its interval over patients."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from inkdot.evaluation.intervals import Estimate, auc_estimate
from inkdot.labels import Head
from inkdot.model.selection import NameArray, TargetArray, head_slices


class Question(NamedTuple):
    """One class against the others of its head."""

    head: str
    class_name: str
    column: int

    @property
    def name(self) -> str:
        """Name used in columns and figures."""
        return f"{self.head}.{self.class_name}"


def questions(heads: Sequence[Head]) -> Iterator[Question]:
    """One question per head of two classes (its flag class, else its last), one per class of larger heads."""
    for head, columns in zip(heads, head_slices(heads).values(), strict=True):
        *_, last = head.classes
        asked = head.classes if len(head.classes) > 2 else (head.flag_class or last,)
        for class_name in asked:
            yield Question(head.name, class_name, columns.start + head.classes.index(class_name))


def decided_rows(targets: TargetArray, column: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose target for a class is known and not a half, and whether they are of the class.

    A target of exactly ½ (atypical, mixed) is neither side's truth.
    """
    own = targets[:, column]
    rows = np.flatnonzero(~np.isnan(own) & (own != 0.5))
    return rows, own[rows] > 0.5


def auc_figures(
    scores: TargetArray,
    targets: TargetArray,
    patients: NameArray,
    heads: Sequence[Head],
    *,
    replicates: int,
    seed: int,
) -> dict[str, Estimate | None]:
    """AUC of every question on tiles, by ``auc.<head>.<class>``; None where a class is missing.

    Args:
        scores: Shape [n, classes of all heads]; any monotone function of the probability will do.
        targets: NaN where unknown, same shape.
        patients: Shape [n].
        heads: The questions.
        replicates: Draws of the bootstrap.
        seed: Of the bootstrap.
    """
    figures: dict[str, Estimate | None] = {}
    for question in questions(heads):
        rows, truth = decided_rows(targets, question.column)
        figures[f"auc.{question.name}"] = auc_estimate(
            truth, scores[rows, question.column], patients[rows], replicates=replicates, seed=seed
        )
    return figures
