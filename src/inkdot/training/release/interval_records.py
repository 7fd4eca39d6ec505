"""Estimates in the form that ``model.json`` stores."""

from inkdot.metrics.intervals.confidence_intervals import Estimate
from inkdot.storage.models.model_records import Interval


def to_interval(estimate: Estimate | None) -> Interval | None:
    """The estimate for ``model.json``; None where there is none."""
    if estimate is None:
        return None
    return Interval(value=estimate.value, low=estimate.low, high=estimate.high, method=estimate.method)
