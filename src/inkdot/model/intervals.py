"""Estimates as ``model.json`` records them."""

from inkdot.artefacts.model_files import Interval
from inkdot.evaluation.intervals import Estimate


def recorded(estimate: Estimate | None) -> Interval | None:
    """The estimate as it is written down; None where there is none."""
    if estimate is None:
        return None
    return Interval(value=estimate.value, low=estimate.low, high=estimate.high, method=estimate.method)
