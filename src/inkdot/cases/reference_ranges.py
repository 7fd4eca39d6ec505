"""Reference ranges and what a value cannot exclude: a YAML file of which every entry has its source."""

from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from inkdot.cases.case_record import IhcStain
from inkdot.cases.columns import CHOICE_COLUMNS, NUMBER_COLUMNS
from inkdot.config.strict import Strict
from inkdot.config.strict_yaml import read_model

GLUCOSE_RATIO: Final = "glucose_ratio"
"""CSF over serum glucose, which is computed and no column of ``cases.csv``."""

NUMBER_NAMES: Final = frozenset({column.name for column in NUMBER_COLUMNS} | {GLUCOSE_RATIO})
_Text = Annotated[str, Field(min_length=1, max_length=300)]


class _OfNumber(Strict):
    column: _Text

    @model_validator(mode="after")
    def _known_column(self) -> "_OfNumber":
        if self.column not in NUMBER_NAMES:
            raise ValueError(
                f"column: expected one of {', '.join(sorted(NUMBER_NAMES))}, found {self.column!r}"
            )
        return self


class ReferenceRange(_OfNumber):
    """Range of a number in healthy people.

    Attributes:
        column: Column, in whose unit the limits are.
        lowest: Lower limit; None where there is none.
        highest: Upper limit; None where there is none.
        limits_included: Whether the limits are inside.
        note: What else to know.
        source: Where it stands.
    """

    lowest: float | None = None
    highest: float | None = None
    limits_included: bool = True
    note: str = ""
    source: _Text

    @model_validator(mode="after")
    def _has_a_limit(self) -> "ReferenceRange":
        if self.lowest is None and self.highest is None:
            raise ValueError("expected lowest, highest or both, found neither")
        if self.lowest is not None and self.highest is not None and self.lowest >= self.highest:
            raise ValueError(f"expected lowest below highest, found {self.lowest:g} and {self.highest:g}")
        return self

    @property
    def words(self) -> str:
        """The range, such as ``< 0.5`` or ``0.9 to 2.7``."""
        if self.lowest is not None and self.highest is not None:
            return f"{self.lowest:g} to {self.highest:g}"
        above, below = ("≥", "≤") if self.limits_included else (">", "<")
        return f"{above} {self.lowest:g}" if self.lowest is not None else f"{below} {self.highest:g}"

    def side(self, value: float) -> Literal["below", "above", ""]:
        """On which side of the range a value lies; empty where it is inside."""
        if self.lowest is not None and (
            value < self.lowest or (value == self.lowest and not self.limits_included)
        ):
            return "below"
        if self.highest is not None and (
            value > self.highest or (value == self.highest and not self.limits_included)
        ):
            return "above"
        return ""


class ValueNote(_OfNumber):
    """A note on a number below or above a limit; on every number without a limit."""

    below: float | None = None
    above: float | None = None
    text: _Text
    source: str = ""

    def applies(self, value: float) -> bool:
        """Whether the note is about this number."""
        return (self.below is None or value < self.below) and (self.above is None or value > self.above)


class ChoiceNote(Strict):
    """A note on a word of a column."""

    column: _Text
    word: _Text
    text: _Text
    source: str = ""

    @model_validator(mode="after")
    def _known_word(self) -> "ChoiceNote":
        words = CHOICE_COLUMNS.get(self.column)
        if words is None:
            raise ValueError(f"column: expected one of {', '.join(CHOICE_COLUMNS)}, found {self.column!r}")
        if self.word not in words:
            raise ValueError(f"word: expected one of {', '.join(words)}, found {self.word!r}")
        return self


class StainNote(Strict):
    """A note on the result of a marker."""

    marker: _Text
    stain: IhcStain
    text: _Text
    source: _Text


class ReferenceRanges(Strict):
    """Ranges and notes: a file of the format ``inkdot.reference-ranges/1``."""

    format: Literal["inkdot.reference-ranges/1"]
    name: _Text
    ranges: list[ReferenceRange] = Field(default_factory=list[ReferenceRange])
    values: list[ValueNote] = Field(default_factory=list[ValueNote])
    choices: list[ChoiceNote] = Field(default_factory=list[ChoiceNote])
    stains: list[StainNote] = Field(default_factory=list[StainNote])

    @model_validator(mode="after")
    def _one_range_each(self) -> "ReferenceRanges":
        columns = [entry.column for entry in self.ranges]
        if twice := {name for name in columns if columns.count(name) > 1}:
            raise ValueError(f"ranges: expected each column once, found {min(twice)} more than once")
        return self


def read_reference_ranges(path: Path) -> ReferenceRanges:
    """Read ranges from a file.

    Raises:
        ConfigError: It is missing, or has an unknown, missing or mistyped key.
    """
    return read_model(path, ReferenceRanges, "reference ranges", "`inkdot case templates` writes them")


@cache
def default_reference_ranges() -> ReferenceRanges:
    """The published ranges that come with Inkdot."""
    with as_file(files("inkdot.cases") / "data" / "reference_ranges.yaml") as path:
        return read_reference_ranges(path)
