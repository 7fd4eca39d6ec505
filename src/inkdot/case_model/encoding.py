"""From columns of cases to the terms of a regression: imputation, indicators of missing values, curves, categories, scaling.

Everything here is learned from training cases alone and is part of ``case_model.json``, so that a case is encoded by numbers
that can be read there.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from inkdot.case_model.case_table import CaseTable
from inkdot.metrics.classification import FloatArray
from inkdot.storage.models.model_records import Positive, Recorded

FEWEST_OF_A_TERM: Final = 5
"""Cases that a level, or a missing value, needs among the training cases for a coefficient of its own."""

_KNOT_QUANTILES: Final = (0.1, 0.5, 0.9)
"""Of the known values (Harrell 2015, Regression Modeling Strategies, table 2.3, three knots)."""


class NumberColumn(Recorded):
    """How a number becomes terms.

    Attributes:
        column: Its name.
        kind: ``number``.
        log: The natural logarithm of 1 + value is taken first; medians and knots are of that.
        median: Of the known training values; stands for a missing one.
        low: Lowest training value as written in the table; a value below it is outside of what was seen.
        high: Highest one.
        indicator: There is a term that is 1 where the value is missing.
        knots: Three knots of a restricted cubic spline; empty for a straight line.
        missing: Number of training cases without a value.
    """

    kind: Literal["number"] = "number"
    column: str
    log: bool
    median: float
    low: float
    high: float
    indicator: bool
    knots: list[float] = Field(default_factory=list[float])
    missing: int = Field(ge=0)

    @model_validator(mode="after")
    def _three_rising_knots(self) -> Self:
        if self.knots and not (len(self.knots) == 3 and self.knots[0] < self.knots[1] < self.knots[2]):
            raise ValueError(
                f"knots of {self.column}: expected three in rising order or none, found {self.knots}"
            )
        return self

    @property
    def term_names(self) -> list[str]:
        """Names of its terms."""
        names = [f"log(1 + {self.column})" if self.log else self.column]
        names += [f"{self.column} curve"] if self.knots else []
        return names + ([f"{self.column} missing"] if self.indicator else [])


class CategoryColumn(Recorded):
    """How a category becomes terms.

    Attributes:
        column: Its name.
        kind: ``category``.
        reference: The most frequent level, which has no term.
        levels: Levels with a term each.
        rare: Levels of too few training cases, which count as the reference.
        indicator: There is a term that is 1 where the category is missing; otherwise a missing one counts as the reference.
        missing: Number of training cases without one.
    """

    kind: Literal["category"] = "category"
    column: str
    reference: str
    levels: list[str]
    rare: list[str]
    indicator: bool
    missing: int = Field(ge=0)

    @property
    def term_names(self) -> list[str]:
        """Names of its terms."""
        names = [f"{self.column} = {level}" for level in self.levels]
        return names + ([f"{self.column} missing"] if self.indicator else [])


EncodedColumn = Annotated[NumberColumn | CategoryColumn, Field(discriminator="kind")]


class Scale(Recorded):
    """Mean and standard deviation of a term over the training cases, by which it is standardised.

    Attributes:
        term: Name of the term.
        mean: Its mean.
        sd: Its standard deviation; 1 where it does not vary.
    """

    term: str
    mean: float
    sd: Positive


class Encoding(Recorded):
    """The columns and the scales of their terms, in the same order."""

    columns: list[EncodedColumn]
    scales: list[Scale]

    @model_validator(mode="after")
    def _scales_of_the_terms(self) -> Self:
        names = [name for own in self.columns for name in own.term_names]
        if [own.term for own in self.scales] != names or len(set(names)) < len(names):
            raise ValueError(f"scales: expected those of the terms {', '.join(names)}")
        return self

    def design(self, table: CaseTable) -> FloatArray:
        """Standardised terms, shape [n, terms]."""
        terms = raw_terms(self.columns, table)
        means, sds = (np.array([getattr(own, name) for own in self.scales]) for name in ("mean", "sd"))
        return (np.stack(list(terms.values()), axis=1) - means) / sds if terms else np.zeros((len(table), 0))


def fit_encoding(
    table: CaseTable, columns: Sequence[str], *, log: Sequence[str] = (), curves: bool = False
) -> Encoding:
    """Learn the encoding of some columns from training cases.

    Args:
        table: The training cases.
        columns: Names of the columns.
        log: Those of them of which ``log(1 + value)`` is taken; their values are 0 or more.
        curves: Give numbers a restricted cubic spline of three knots, where their values have three different ones.
    """
    encoded: list[EncodedColumn] = [
        _number(table, name, name in log, curves) if name in table.numbers else _category(table, name)
        for name in columns
    ]
    scales: list[Scale] = []
    for name, values in raw_terms(encoded, table).items():
        sd = float(values.std())
        scales.append(Scale(term=name, mean=float(values.mean()), sd=sd if sd > 1e-12 else 1.0))
    return Encoding(columns=encoded, scales=scales)


def raw_terms(columns: Sequence[EncodedColumn], table: CaseTable) -> dict[str, FloatArray]:
    """Terms by name before scaling, shape [n] each."""
    terms: dict[str, FloatArray] = {}
    for own in columns:
        for name, values in zip(own.term_names, _terms(own, table), strict=True):
            terms[name] = values.astype(np.float64)
    return terms


def spline_curve(values: npt.ArrayLike, knots: Sequence[float]) -> FloatArray:
    """The non-linear term of a restricted cubic spline of three knots: 0 below the first, straight beyond the last.

    Harrell 2015, Regression Modeling Strategies, equation 2.25, divided by the squared distance of the outer knots, so that it
    has the unit of the values.

    Args:
        values: Shape [n].
        knots: Three, in rising order.
    """
    x, (first, middle, last) = np.asarray(values, np.float64), knots

    def cube(knot: float) -> FloatArray:
        return np.maximum(x - knot, 0.0) ** 3

    width = last - middle
    curve = cube(first) - cube(middle) * (last - first) / width + cube(last) * (middle - first) / width
    return curve / (last - first) ** 2


def _terms(own: EncodedColumn, table: CaseTable) -> Iterator[npt.NDArray[np.float64 | np.bool_]]:
    missing = table.missing(own.column)
    if isinstance(own, NumberColumn):
        values = np.where(missing, own.median, _scaled(table.numbers[own.column], own.log))
        yield values
        if own.knots:
            yield spline_curve(values, own.knots)
    else:
        for level in own.levels:
            yield table.categories[own.column] == level
    if own.indicator:
        yield missing


def _scaled(values: FloatArray, log: bool) -> FloatArray:
    return np.log1p(values) if log else values


def _number(table: CaseTable, name: str, log: bool, curves: bool) -> NumberColumn:
    values, missing = table.numbers[name], table.missing(name)
    known = values[~missing]
    scaled = _scaled(known, log)
    knots: list[float] = np.quantile(scaled, _KNOT_QUANTILES).tolist() if curves and len(known) else []
    return NumberColumn(
        column=name,
        log=log,
        median=float(np.median(scaled)) if len(known) else 0.0,
        low=float(known.min()) if len(known) else 0.0,
        high=float(known.max()) if len(known) else 0.0,
        indicator=_worth_a_term(missing),
        knots=knots if len(set(knots)) == 3 else [],
        missing=int(missing.sum()),
    )


def _category(table: CaseTable, name: str) -> CategoryColumn:
    missing = table.missing(name)
    words, counts = np.unique(table.categories[name][~missing], return_counts=True)
    levels: list[str] = words.tolist()
    reference = levels[int(counts.argmax())] if levels else ""
    enough = {
        level for level, count in zip(levels, counts.tolist(), strict=True) if count >= FEWEST_OF_A_TERM
    }
    others = [level for level in levels if level != reference]
    return CategoryColumn(
        column=name,
        reference=reference,
        levels=[level for level in others if level in enough],
        rare=[level for level in others if level not in enough],
        indicator=_worth_a_term(missing),
        missing=int(missing.sum()),
    )


def _worth_a_term(missing: npt.NDArray[np.bool_]) -> bool:
    return FEWEST_OF_A_TERM <= int(missing.sum()) <= len(missing) - FEWEST_OF_A_TERM
