"""Heads (classification tasks of the model), their classes and labels, and the column names made from them.

The two default heads are malignancy and morphology; the config may define others. A *score* is the output of the model, a
*call* is the thresholded score, a *label* is a target for training, and a *verdict* is the label of a reader in a review.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

INDETERMINATE = "indeterminate"
"""The call of a score in the abstention band around the operating point."""


@dataclass(frozen=True, slots=True)
class Head:
    """A head: one classification task of the model.

    Attributes:
        name: Short name, used in column names (``p.<head>.<class>``).
        classes: Classes of the head; their probabilities sum to 1.
        labels: Labels that readers may give, and the training target of each: weights per class that sum to 1, or an empty
            mapping for a label that is not used in training.
        calls: Text of the call for each class; the name of the class where missing.
        condition: (head, class): this head applies only where that head has that class.
        flag_class: Class whose score ranks and flags regions; None for a head that does not flag.
    """

    name: str
    classes: tuple[str, ...]
    labels: Mapping[str, Mapping[str, float]]
    calls: Mapping[str, str] = field(default_factory=dict[str, str])
    condition: tuple[str, str] | None = None
    flag_class: str | None = None

    def target(self, label: str | None) -> tuple[float, ...] | None:
        """Training target of one label: weights of the classes that sum to 1.

        Returns:
            None where there is no label, or where the label is not used in training.

        Raises:
            KeyError: The label is not one of this head's.
        """
        if label is None or not (weights := self.labels[label]):
            return None
        return tuple(weights.get(name, 0.0) for name in self.classes)

    def is_positive(self, label: str | None) -> bool | None:
        """Whether a label means the flag class; None where it is unknown, not used in training, or one half."""
        target = self.target(label)
        if target is None or self.flag_class is None:
            return None
        weight = target[self.classes.index(self.flag_class)]
        return None if weight == 0.5 else weight > 0.5

    def soft_target(self, labels: Iterable[str]) -> tuple[float, ...] | None:
        """Mean target of the labels of several readers, or None where none is used in training."""
        targets = [target for label in labels if (target := self.target(label)) is not None]
        if not targets:
            return None
        return tuple(sum(column) / len(targets) for column in zip(*targets, strict=True))

    def call_words(self, class_name: str) -> str:
        """Text of the call for ``class_name``."""
        return self.calls.get(class_name, class_name)


MALIGNANCY = Head(
    name="malignancy",
    classes=("benign", "malignant"),
    labels={
        "malignant": {"malignant": 1.0},
        "benign": {"benign": 1.0},
        "atypical": {"benign": 0.5, "malignant": 0.5},
        "unsure": {},
    },
    calls={"malignant": "malignant", "benign": "benign"},
    flag_class="malignant",
)

MORPHOLOGY = Head(
    name="morphology",
    classes=("small_cell", "large_cell"),
    labels={
        "small_cell": {"small_cell": 1.0},
        "large_cell": {"large_cell": 1.0},
        "mixed": {"small_cell": 0.5, "large_cell": 0.5},
        "indeterminate": {},
    },
    calls={"small_cell": "small-cell-like", "large_cell": "large-cell-like"},
    condition=("malignancy", "malignant"),
)

CELL, NOT_A_CELL = "cell", "not_a_cell"

FINDER_HEAD = Head(name="cell_finder", classes=(), labels={NOT_A_CELL: {}})
"""What a reader says about the cell finder: no nucleated cell is here. Every review asks it beside the heads of the model, no
model has it, and it excludes a verdict on them. The name is reserved."""

DEFAULT_HEADS: tuple[Head, ...] = (MALIGNANCY, MORPHOLOGY)


def score_column(head: str, class_name: str) -> str:
    """Column name of the calibrated probability (0 to 1) of one class of a head."""
    return f"p.{head}.{class_name}"


def target_column(head: str, class_name: str) -> str:
    """Column name of the training target (0 to 1, null where unknown) of one class of a head."""
    return f"target.{head}.{class_name}"


def score_columns(heads: Sequence[Head]) -> list[str]:
    """Names of all score columns, head by head in the given order."""
    return [score_column(head.name, name) for head in heads for name in head.classes]


def target_columns(heads: Sequence[Head]) -> list[str]:
    """Names of all target columns, head by head in the given order."""
    return [target_column(head.name, name) for head in heads for name in head.classes]


def flagging_head(heads: Sequence[Head]) -> Head:
    """Find the one head with a flag class.

    Raises:
        ValueError: No head, or more than one, has a flag class.
    """
    flagging = [head for head in heads if head.flag_class is not None]
    if len(flagging) != 1:
        names = ", ".join(head.name for head in flagging) or "none"
        raise ValueError(f"expected exactly one head with a flag_class, found {names}")
    return flagging[0]


def head_slices(heads: Sequence[Head]) -> dict[str, slice]:
    """Columns of each head among the classes of all heads, by head name."""
    slices: dict[str, slice] = {}
    start = 0
    for head in heads:
        slices[head.name] = slice(start, start + len(head.classes))
        start += len(head.classes)
    return slices


def flag_columns(heads: Sequence[Head]) -> slice:
    """Columns of the classes of the flagging head among those of all heads."""
    return head_slices(heads)[flagging_head(heads).name]


def flag_column(heads: Sequence[Head]) -> int:
    """Column of the flag class among the classes of all heads."""
    head = flagging_head(heads)
    return flag_columns(heads).start + head.classes.index(head.flag_class or "")
