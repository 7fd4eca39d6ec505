"""Estimates as ``model.json`` records them."""

from inkdot.metrics.confidence_intervals import Estimate
from inkdot.storage.model_files import Interval


def recorded(estimate: Estimate | None) -> Interval | None:
    """The estimate as it is written down; None where there is none."""
    if estimate is None:
        return None
    return Interval(value=estimate.value, low=estimate.low, high=estimate.high, method=estimate.method)
