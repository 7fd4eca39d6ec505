"""Cases as a case-level model takes them: columns of numbers and of categories, each of one block."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from inkdot.metrics.classification import BoolArray, FloatArray
from inkdot.metrics.slides.slide_level import NameArray

Block = Literal["image", "case"]
Arm = Literal["image", "case", "image + case"]

ARMS: Final[tuple[Arm, ...]] = ("image", "case", "image + case")
"""The models that are compared: columns of the slides alone, those of the case table alone, and both."""


def blocks_of(arm: Arm) -> tuple[Block, ...]:
    """The blocks of columns that an arm uses."""
    return ("image", "case") if arm == "image + case" else (arm,)


@dataclass(frozen=True, slots=True)
class CaseTable:
    """Cases, one row each.

    Attributes:
        ids: Unique name of each case, shape [n].
        patients: Its patient, the unit of splits and intervals, shape [n].
        truth: Whether it is positive, shape [n]; None where it is to be predicted.
        numbers: Values by column, NaN where missing, shape [n] each.
        categories: Words by column, empty where missing, shape [n] each.
        blocks: Block of each column, in their order.
        synthetic: Slides or slide model are synthetic: metrics test the program alone.
    """

    ids: NameArray
    patients: NameArray
    truth: BoolArray | None
    numbers: Mapping[str, FloatArray]
    categories: Mapping[str, NameArray]
    blocks: Mapping[str, Block]
    synthetic: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def positive(self) -> BoolArray:
        """The truth, where it is known.

        Raises:
            ValueError: It is not.
        """
        if self.truth is None:
            raise ValueError("expected cases with a truth")
        return self.truth

    def of(self, rows: npt.NDArray[np.integer] | BoolArray) -> "CaseTable":
        """Some rows."""
        return replace(
            self,
            ids=self.ids[rows],
            patients=self.patients[rows],
            truth=None if self.truth is None else self.truth[rows],
            numbers={name: values[rows] for name, values in self.numbers.items()},
            categories={name: values[rows] for name, values in self.categories.items()},
        )

    def columns_of(self, blocks: Sequence[Block]) -> list[str]:
        """Names of the columns of some blocks, in their order."""
        return [name for name, block in self.blocks.items() if block in blocks]

    def missing(self, column: str) -> BoolArray:
        """Whether each case lacks a value, shape [n]."""
        if column in self.numbers:
            return np.isnan(self.numbers[column])
        return self.categories[column] == ""
