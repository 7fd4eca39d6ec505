"""Rows with a truth and a call, on which the sections are computed."""

from dataclasses import dataclass

import numpy as np

from inkdot.metrics.classification import BoolArray, FloatArray
from inkdot.metrics.predictive_values import Counts
from inkdot.metrics.slides.slide_level import NameArray, SlidePredictions


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """Units whose truth and score are both known.

    Attributes:
        unit: What they are, in plural.
        truth: Whether each is positive, shape [n].
        scores: Of the flag class, 0 to 1, shape [n].
        flagged: Whether each is flagged, shape [n].
        patients: Shape [n].
    """

    unit: str
    truth: BoolArray
    scores: FloatArray
    flagged: BoolArray
    patients: NameArray


def scored_rows(results: SlidePredictions, unit: str) -> ScoredRows:
    """The rows of results that have both a truth and a score."""
    rows = ~np.isnan(results.truth) & ~np.isnan(results.scores)
    return ScoredRows(
        unit=unit,
        truth=results.truth[rows] > 0.5,
        scores=results.scores[rows],
        flagged=results.flagged[rows],
        patients=results.patients[rows],
    )


def counts_of(results: SlidePredictions) -> Counts:
    """Calls by truth, as sensitivity and specificity count them.

    A positive row without a score (inadequate) is missed, a negative one is not counted.
    """
    positive = results.truth > 0.5
    negative = (results.truth <= 0.5) & ~np.isnan(results.scores)
    return Counts(
        int((positive & results.flagged).sum()),
        int(positive.sum()),
        int((negative & ~results.flagged).sum()),
        int(negative.sum()),
    )
