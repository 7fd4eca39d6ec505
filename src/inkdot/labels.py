"""Heads (heads), their classes, and what a person's label means for training.

The two default heads are the table of DESIGN §5; another laboratory can ask other heads in its config.
Words: a *score* is the model's number, a *call* the thresholded label, a *verdict* a person's label.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

INDETERMINATE = "indeterminate"
"""The call when a score is on neither side of the operating point with enough margin."""


@dataclass(frozen=True, slots=True)
class Head:
    """A head put to the model.

    Attributes:
        name: Short name, used in column names (``p.<head>.<class>``).
        classes: The classes the network tells apart; their probabilities sum to 1.
        labels: What a person may say, and the training target it stands for: weights per class that
            sum to 1, or an empty mapping for an label that is not used in training.
        calls: The words for a call of each class.
        condition: (head, class) this head depends on: asked only where that head has that class.
        flag_class: The class whose score ranks and flags regions; None for a head that flags nothing.
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
        """Mean target of several readers' labels, or None where no label is usable."""
        targets = [target for label in labels if (target := self.target(label)) is not None]
        if not targets:
            return None
        return tuple(sum(column) / len(targets) for column in zip(*targets, strict=True))

    def call_words(self, class_name: str) -> str:
        """The words for a call of ``class_name``."""
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

DEFAULT_HEADS: tuple[Head, ...] = (MALIGNANCY, MORPHOLOGY)


def score_column(head: str, class_name: str) -> str:
    """Column of a table that holds the calibrated probability (0 to 1) of one class of one head."""
    return f"p.{head}.{class_name}"


def target_column(head: str, class_name: str) -> str:
    """Column of a tile table that holds the training target (0 to 1, null where unknown) of one class."""
    return f"target.{head}.{class_name}"


def score_columns(heads: Sequence[Head]) -> list[str]:
    """All score columns, head by head in the given order."""
    return [score_column(head.name, name) for head in heads for name in head.classes]


def target_columns(heads: Sequence[Head]) -> list[str]:
    """All target columns, head by head in the given order."""
    return [target_column(head.name, name) for head in heads for name in head.classes]


def flagging_head(heads: Sequence[Head]) -> Head:
    """The one head whose flag class ranks regions.

    Raises:
        ValueError: No head, or more than one, has a flag class.
    """
    flagging = [head for head in heads if head.flag_class is not None]
    if len(flagging) != 1:
        names = ", ".join(head.name for head in flagging) or "none"
        raise ValueError(f"expected exactly one head with a flag_class, found {names}")
    return flagging[0]
