"""Free-response ROC curve (FROC): sensitivity for marked regions against false positives per negative slide.

Bunch et al. 1978 (Proc. SPIE 127:124); the mean sensitivity at ¼, ½, 1, 2, 4 and 8 false positives per slide is the score
of CAMELYON16 (Ehteshami Bejnordi et al. 2017, JAMA 318:2199). False positives are counted on negative slides alone: on
positive ones not every lesion is marked, and a region without a mark may be one.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from inkdot.metrics.classification import FloatArray
from inkdot.metrics.intervals.confidence_intervals import Estimate, bootstrap_estimate

NameArray = npt.NDArray[np.str_]

FALSE_POSITIVES_PER_SLIDE: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, slots=True)
class FrocData:
    """Scores of lesions and of false positives.

    Attributes:
        lesion_scores: Highest score of anything that shows the lesion; −inf where nothing does, shape [lesions].
        lesion_patients: Patient of each lesion, shape [lesions].
        false_positive_scores: Score of everything that was scored on negative slides, shape [false positives].
        false_positive_patients: Patient of each, shape [false positives].
        negative_patients: Patient of each negative slide, with false positives or without, shape [negative slides].
    """

    lesion_scores: FloatArray
    lesion_patients: NameArray
    false_positive_scores: FloatArray
    false_positive_patients: NameArray
    negative_patients: NameArray


def froc_points(data: FrocData) -> list[tuple[float, float]]:
    """(false positives per negative slide, sensitivity) at every distinct score, from the highest down.

    Empty where there is no lesion or no negative slide.
    """
    ones = [np.ones(len(names)) for names in _patients(data)]
    rates, shares = _curve(data, *ones)
    return list(zip(rates.tolist(), shares.tolist(), strict=True))


def froc_estimates(data: FrocData, *, replicates: int = 1000, seed: int = 0) -> dict[str, Estimate]:
    """Mean sensitivity over :data:`FALSE_POSITIVES_PER_SLIDE`, and the sensitivity at 1 and at 8, with intervals over patients.

    Empty where there is no lesion or no negative slide.
    """
    patients = np.concatenate(_patients(data))
    ends = np.cumsum([len(names) for names in _patients(data)])[:-1]
    # Negative patients are counted by their slides, not by their false positives.
    rows = np.arange(len(patients))
    sides = [rows < ends[0], rows >= ends[1]]

    def at(*rates: float) -> Estimate | None:
        def mean(weights: FloatArray) -> float:
            lesions, scored, slides = np.split(weights, ends)
            if not (lesions.sum() > 0 and slides.sum() > 0):
                return math.nan
            axis, shares = _curve(data, lesions, scored, slides)
            # The curve begins at (0, 0) and stays at its last height.
            reached = np.searchsorted(axis, np.asarray(rates) + 1e-9, side="right")
            return float(np.mean(np.concatenate(([0.0], shares))[reached]))

        return bootstrap_estimate(mean, patients, replicates=replicates, seed=seed, sides=sides)

    rates_of = {"froc": FALSE_POSITIVES_PER_SLIDE, "sensitivity@1": (1.0,), "sensitivity@8": (8.0,)}
    estimates = {name: at(*rates) for name, rates in rates_of.items()}
    return {name: estimate for name, estimate in estimates.items() if estimate is not None}


def _patients(data: FrocData) -> tuple[NameArray, NameArray, NameArray]:
    return data.lesion_patients, data.false_positive_patients, data.negative_patients


def _curve(
    data: FrocData, lesions: FloatArray, false_positives: FloatArray, slides: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """False positives per slide and sensitivity at each threshold, weighted, thresholds falling."""
    if not (lesions.sum() > 0 and slides.sum() > 0):
        return np.zeros(0), np.zeros(0)
    every = np.concatenate([data.lesion_scores, data.false_positive_scores])
    thresholds = np.unique(every[np.isfinite(every)])[::-1]
    return (
        _at_least(data.false_positive_scores, false_positives, thresholds) / slides.sum(),
        _at_least(data.lesion_scores, lesions, thresholds) / lesions.sum(),
    )


def _at_least(scores: FloatArray, weights: FloatArray, thresholds: FloatArray) -> FloatArray:
    """Weight of the rows at or above each threshold; thresholds falling."""
    order = np.argsort(-scores, kind="stable")
    sums = np.concatenate(([0.0], np.cumsum(weights[order])))
    return sums[np.searchsorted(-scores[order], -thresholds, side="right")]
