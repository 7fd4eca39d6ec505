"""Probability of a published model for one case; a missing predictor is said openly and never filled in."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from inkdot.cases.case_record import Case
from inkdot.cases.columns import CHOICE_COLUMNS
from inkdot.cases.published_models import (
    Predictor,
    PublishedModel,
    PublishedProbability,
    Transform,
    require_complete,
)

_LOGARITHMS: Final[Mapping[Transform, Callable[[float], float]]] = {
    "log": math.log,
    "log2": math.log2,
    "log10": math.log10,
}


class _MissingError(ValueError):
    """A predictor has no usable value; the text says why."""


@dataclass(slots=True)
class _Notes:
    texts: list[str] = field(default_factory=list[str])


def probability_of(model: PublishedModel, case: Case) -> PublishedProbability:
    """Compute a model for a case.

    Logistic: ``p = 1 / (1 + exp(-(intercept + sum of coefficient * value)))``. Nomogram: points of every predictor by straight
    lines between the pairs of its axis; their total leads to the probability in the same way, and a total beyond its ends has
    the probability of the end, with a note.

    Args:
        model: The model; see :meth:`PublishedModel.empty`.
        case: The case.

    Raises:
        ConfigError: Numbers of the model are not filled in.
    """
    require_complete(model, model.name)
    notes = _Notes()
    parts: list[float] = []
    missing: list[str] = []
    for predictor in model.predictors:
        try:
            value = _value(predictor, case, notes)
            parts.append(
                _points(predictor, value) if model.kind == "nomogram" else _product(predictor, value)
            )
        except _MissingError as error:
            missing.append(f"{predictor.name}: {error}")
    if missing:
        return PublishedProbability(probability=None, missing=tuple(missing), notes=tuple(notes.texts))
    if model.kind == "logistic":
        assert model.intercept is not None
        probability = _logistic(model.intercept + math.fsum(parts))
    else:
        assert model.total is not None
        probability = _of_total(model.total, math.fsum(parts), notes)
    return PublishedProbability(probability=probability, notes=tuple(notes.texts))


def _value(predictor: Predictor, case: Case, notes: _Notes) -> float:
    if predictor.coding is not None:
        return _coded(predictor, case)
    try:
        value = case.number(predictor.column)
    except ValueError:
        raise _MissingError(f"column {predictor.column} holds no number") from None
    if value is None:
        raise _MissingError(f"column {predictor.column} is blank or missing")
    if predictor.range is not None and not predictor.range[0] <= value <= predictor.range[1]:
        low, high = predictor.range
        notes.texts.append(f"{predictor.name}: {value:g} is beyond the publication's {low:g} to {high:g}")
    if predictor.above is not None:
        return float(value > predictor.above)
    if predictor.transform == "none":
        return value
    if value <= 0:
        raise _MissingError(f"{value:g} has no logarithm")
    return _LOGARITHMS[predictor.transform](value)


def _coded(predictor: Predictor, case: Case) -> float:
    assert predictor.coding is not None
    known = predictor.column in CHOICE_COLUMNS
    word = _word(case, predictor.column) if known else case.extra.get(predictor.column, "")
    if not word:
        raise _MissingError(f"column {predictor.column} is blank or missing")
    if word not in predictor.coding:
        raise _MissingError(f"column {predictor.column} has a word that the model does not code")
    return predictor.coding[word]


def _word(case: Case, column: str) -> str:
    if column == "signed_category":
        return case.signed_category.category if case.signed_category else ""
    return str(getattr(case, column) or "")


def _product(predictor: Predictor, value: float) -> float:
    assert predictor.coefficient is not None
    return predictor.coefficient * value


def _points(predictor: Predictor, value: float) -> float:
    if predictor.axis is None:
        return value  # a coding of a nomogram holds points
    first, last = predictor.axis[0][0], predictor.axis[-1][0]
    if not first <= value <= last:
        raise _MissingError(f"{value:g} is beyond the axis, {first:g} to {last:g}")
    return _interpolated(predictor.axis, value)


def _of_total(total: Sequence[Sequence[float]], points: float, notes: _Notes) -> float:
    first, last = total[0], total[-1]
    if points < first[0]:
        notes.texts.append(f"{points:g} points are below the axis: at most {first[1]:g}")
        return first[1]
    if points > last[0]:
        notes.texts.append(f"{points:g} points are above the axis: at least {last[1]:g}")
        return last[1]
    return _interpolated(total, points)


def _interpolated(pairs: Sequence[Sequence[float]], value: float) -> float:
    """Linear interpolation between pairs that rise in their first number; ``value`` lies between the ends."""
    for (left, low), (right, high) in itertools.pairwise(pairs):
        if value <= right:
            return low + (high - low) * (value - left) / (right - left)
    return pairs[-1][1]


def _logistic(value: float) -> float:
    """The logistic function, which overflows for no number."""
    if value >= 0:
        return 1.0 / (1.0 + math.exp(-value))
    power = math.exp(value)
    return power / (1.0 + power)
