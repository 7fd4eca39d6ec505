"""Published prediction models as files: logistic models and nomograms, computed for a case where every predictor is known."""

import itertools
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator, model_validator

from inkdot.cases.columns import CHOICE_COLUMNS, KNOWN, NUMBER_COLUMNS
from inkdot.config.strict import Fraction, Strict
from inkdot.config.strict_yaml import read_model
from inkdot.errors import ConfigError

Transform = Literal["none", "log", "log2", "log10"]
TEMPLATES: Final = ("gao-2022-model-a.yaml", "gao-2022-model-b.yaml")
"""Models that come with Inkdot, without their coefficients, which are not public."""

_UNITS: Final = {column.name: column.unit for column in NUMBER_COLUMNS}
_Text = Annotated[str, Field(min_length=1, max_length=500)]
_Number = Annotated[float, Field(ge=-1e9, le=1e9)]
_Pair = Annotated[list[_Number], Field(min_length=2, max_length=2)]
_Axis = Annotated[list[_Pair], Field(min_length=2, max_length=1000)]


class PublishedFigure(Strict):
    """A figure as published: that of the authors' patients, not of anybody else's.

    Attributes:
        metric: Its name, such as ``AUC``.
        value: The figure.
        interval: Lower and upper limit of its 95 % interval.
        of: Whose patients.
    """

    metric: _Text
    value: float
    interval: _Pair
    of: _Text

    @property
    def words(self) -> str:
        """The figure with its interval."""
        return f"{self.metric} {self.value:g} ({self.interval[0]:g} to {self.interval[1]:g}) on {self.of}"


class Predictor(Strict):
    """A predictor of a model.

    Attributes:
        name: As the publication calls it.
        column: Column of ``cases.csv``, also a free one.
        unit: Unit that the coefficient is for; must be that of the column where the column has one.
        coding: Number of each word; None where the column holds a number.
        above: The predictor is 1 above this number and 0 otherwise; None for the number itself.
        transform: Logarithm that is taken of the number.
        range: Smallest and largest number in the publication; beyond it a note says so.
        coefficient: Of a logistic model; None where it is not filled in.
        axis: Of a nomogram: pairs of number and points, rising in the number, read by straight lines between them. Where there
            is a coding, the points are its numbers.
    """

    name: _Text
    column: _Text
    unit: str | None = None
    coding: dict[str, _Number] | None = None
    above: _Number | None = None
    transform: Transform = "none"
    range: _Pair | None = None
    coefficient: _Number | None = None
    axis: _Axis | None = None

    @field_validator("coding", mode="before")
    @classmethod
    def _quoted(cls, coding: object) -> object:
        if isinstance(coding, dict) and any(isinstance(key, bool) for key in coding):  # pyright: ignore[reportUnknownVariableType]
            raise ValueError('expected words, found the truth values of YAML; write "yes" and "no" in quotes')
        return coding  # pyright: ignore[reportUnknownVariableType]

    @model_validator(mode="after")
    def _fits_its_column(self) -> "Predictor":
        words = CHOICE_COLUMNS.get(self.column)
        if words is not None and (self.coding is None or not set(self.coding) <= set(words)):
            raise ValueError(
                f"coding: expected a number for words of column {self.column}: {', '.join(words)}"
            )
        unit = _UNITS.get(self.column)
        if unit is None and words is None and self.column in KNOWN:
            raise ValueError(f"column: expected one with numbers or single words, found {self.column!r}")
        if unit is not None and self.coding is not None:
            raise ValueError(f"coding: expected none, since column {self.column} holds numbers")
        if unit and self.unit is not None and self.unit != unit:
            raise ValueError(
                f"unit: expected {unit}, that of column {self.column}, found {self.unit}; convert it"
            )
        if self.coding is not None and (self.above is not None or self.transform != "none" or self.axis):
            raise ValueError("coding: expected neither above, transform nor axis beside it")
        for name, pairs in (("range", [self.range] if self.range else []), ("axis", self.axis or [])):
            values = [pair[0] for pair in pairs] if name == "axis" else (self.range or [])
            if any(left >= right for left, right in itertools.pairwise(values)):
                raise ValueError(f"{name}: expected rising numbers, found {values}")
        return self


class PublishedModel(Strict):
    """A model: a file of the format ``inkdot.published-model/1``.

    Attributes:
        format: Name and version of the format.
        name: Name of the model.
        kind: ``logistic``, or ``nomogram``: points are added, and a table leads from their total to the probability.
        outcome: What is predicted.
        source: The publication.
        population: Whom it was made on.
        validation: Whether and how the authors validated it.
        published: Their figures.
        note: What else to know.
        coefficients_from: Where the numbers were taken from, such as ``table 3``; needed once they are filled in.
        intercept: Of a logistic model.
        total: Of a nomogram: pairs of total points and probability, both rising.
        predictors: The predictors.
    """

    format: Literal["inkdot.published-model/1"]
    name: _Text
    kind: Literal["logistic", "nomogram"]
    outcome: _Text
    source: _Text
    population: _Text
    validation: Literal["none", "internal", "external"]
    published: list[PublishedFigure] = Field(default_factory=list[PublishedFigure])
    note: str = ""
    coefficients_from: str = ""
    intercept: _Number | None = None
    total: (
        Annotated[list[Annotated[list[float], Field(min_length=2, max_length=2)]], Field(min_length=2)] | None
    ) = None
    predictors: Annotated[list[Predictor], Field(min_length=1)]

    @model_validator(mode="after")
    def _whole(self) -> "PublishedModel":
        names = [predictor.name for predictor in self.predictors]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"predictors: expected each name once, found {min(twice)!r} more than once")
        logistic = self.kind == "logistic"
        foreign = [p.name for p in self.predictors if (p.axis if logistic else p.coefficient) is not None]
        if foreign or (self.total if logistic else self.intercept) is not None:
            extra = (
                "axis and total belong to a nomogram"
                if logistic
                else "coefficient and intercept belong to a logistic model"
            )
            raise ValueError(f"kind: found {self.kind}, but {extra}; correct one")
        for points, probability in self.total or []:
            if not 0 <= probability <= 1:
                raise ValueError(
                    f"total: expected probabilities from 0 to 1, found {probability:g} at {points:g} points"
                )
        for column in zip(*(self.total or []), strict=True):
            if any(left >= right for left, right in itertools.pairwise(column)):
                raise ValueError("total: expected rising points and rising probabilities; correct it")
        if not self.empty and not self.coefficients_from.strip():
            raise ValueError(
                "coefficients_from: expected where the numbers are from, such as 'table 3', found nothing"
            )
        return self

    @property
    def empty(self) -> tuple[str, ...]:
        """What is not filled in, such as ``coefficient of CSF protein``; empty where the model can be computed."""
        logistic = self.kind == "logistic"
        missing = [
            f"{'coefficient' if logistic else 'axis'} of {predictor.name}"
            for predictor in self.predictors
            if (
                predictor.coefficient is None
                if logistic
                else predictor.axis is None and predictor.coding is None
            )
        ]
        missing += [f"unit of {p.name}" for p in self.predictors if _UNITS.get(p.column) and p.unit is None]
        if (self.intercept if logistic else self.total) is None:
            missing.append("intercept" if logistic else "total")
        return tuple(missing)

    @property
    def caution(self) -> str:
        """What stands beside every result of it: whose model it is, and how far it was validated."""
        validated = {
            "none": "not validated",
            "internal": "validated internally only",
            "external": "validated externally",
        }[self.validation]
        figures = "; ".join(figure.words for figure in self.published)
        return f"{validated}; published: {figures or 'no figure'}; made on {self.population}"


class PublishedProbability(Strict):
    """Result of a model for one case.

    Attributes:
        probability: 0 to 1; None where a predictor is missing. It has no interval, since none can be had from coefficients alone.
        missing: Predictors without a usable value, and why.
        notes: Values beyond the range of the publication.
    """

    probability: Fraction | None
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_published_model(path: Path) -> PublishedModel:
    """Read a model from a YAML or JSON file.

    Raises:
        ConfigError: It is missing, or has an unknown, missing or mistyped key.
    """
    return read_model(path, PublishedModel, "a published model", "`inkdot case templates` writes examples")


def require_complete(model: PublishedModel, source: str) -> None:
    """Refuse a model whose numbers are not filled in.

    Raises:
        ConfigError: Something is empty; the message names all of it.
    """
    if model.empty:
        raise ConfigError(
            f"{source}: expected numbers, found none for: {', '.join(model.empty)}; fill them in from the publication or its "
            "authors (Inkdot ships none that are not public)"
        )


def template_text(name: str) -> str:
    """Text of a template, one of :data:`TEMPLATES`."""
    return (files("inkdot.cases") / "data" / "published_models" / name).read_text(encoding="utf-8")
