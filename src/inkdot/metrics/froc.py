"""How many true regions are found at how many false alarms: the free-response curve (FROC).

Bunch et al. 1978 (Proc. SPIE 127:124); the mean sensitivity at ¼, ½, 1, 2, 4 and 8 false alarms per slide is the score
of CAMELYON16 (Ehteshami Bejnordi et al. 2017, JAMA 318:2199). False alarms are counted on negative slides alone:
elsewhere people mark some of what is there, and a region without a mark may be true.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from inkdot.metrics.classification import FloatArray
from inkdot.metrics.confidence_intervals import Estimate, bootstrap_estimate

NameArray = npt.NDArray[np.str_]

ALARMS_PER_SLIDE: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, slots=True)
class FreeResponse:
    """What was found of what is there.

    Attributes:
        lesion_scores: Highest score of anything that shows the lesion; −inf where nothing does, shape [lesions].
        lesion_patients: Patient of each lesion, shape [lesions].
        alarm_scores: Score of everything that was scored on negative slides, shape [alarms].
        alarm_patients: Patient of each, shape [alarms].
        negative_patients: Patient of each negative slide, with alarms or without, shape [negative slides].
    """

    lesion_scores: FloatArray
    lesion_patients: NameArray
    alarm_scores: FloatArray
    alarm_patients: NameArray
    negative_patients: NameArray


def froc_points(found: FreeResponse) -> list[tuple[float, float]]:
    """(false alarms per negative slide, sensitivity) at every distinct score, from the highest down.

    None where there is no lesion or no negative slide.
    """
    ones = [np.ones(len(names)) for names in _patients(found)]
    rates, shares = _curve(found, *ones)
    return list(zip(rates.tolist(), shares.tolist(), strict=True))


def froc_estimates(found: FreeResponse, *, replicates: int = 1000, seed: int = 0) -> dict[str, Estimate]:
    """Mean sensitivity over :data:`ALARMS_PER_SLIDE`, and the sensitivity at 1 and at 8, with intervals over patients.

    Empty where there is no lesion or no negative slide.
    """
    patients = np.concatenate(_patients(found))
    ends = np.cumsum([len(names) for names in _patients(found)])[:-1]
    # Alarms say nothing of how many negative patients there are.
    rows = np.arange(len(patients))
    sides = [rows < ends[0], rows >= ends[1]]

    def at(*alarms: float) -> Estimate | None:
        def mean(weights: FloatArray) -> float:
            lesions, scored, slides = np.split(weights, ends)
            if not (lesions.sum() > 0 and slides.sum() > 0):
                return math.nan
            rates, shares = _curve(found, lesions, scored, slides)
            # A curve begins at no alarm and nothing found, and goes on at its last height.
            reached = np.searchsorted(rates, np.asarray(alarms) + 1e-9, side="right")
            return float(np.mean(np.concatenate(([0.0], shares))[reached]))

        return bootstrap_estimate(mean, patients, replicates=replicates, seed=seed, sides=sides)

    wanted = {"froc": ALARMS_PER_SLIDE, "sensitivity@1": (1.0,), "sensitivity@8": (8.0,)}
    estimates = {name: at(*alarms) for name, alarms in wanted.items()}
    return {name: estimate for name, estimate in estimates.items() if estimate is not None}


def _patients(found: FreeResponse) -> tuple[NameArray, NameArray, NameArray]:
    return found.lesion_patients, found.alarm_patients, found.negative_patients


def _curve(
    found: FreeResponse, lesions: FloatArray, alarms: FloatArray, slides: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """False alarms per slide and sensitivity at each threshold, weighted, thresholds falling."""
    if not (lesions.sum() > 0 and slides.sum() > 0):
        return np.zeros(0), np.zeros(0)
    every = np.concatenate([found.lesion_scores, found.alarm_scores])
    thresholds = np.unique(every[np.isfinite(every)])[::-1]
    return (
        _at_least(found.alarm_scores, alarms, thresholds) / slides.sum(),
        _at_least(found.lesion_scores, lesions, thresholds) / lesions.sum(),
    )


def _at_least(scores: FloatArray, weights: FloatArray, thresholds: FloatArray) -> FloatArray:
    """Weight of the rows at or above each threshold; thresholds falling."""
    order = np.argsort(-scores, kind="stable")
    sums = np.concatenate(([0.0], np.cumsum(weights[order])))
    return sums[np.searchsorted(-scores[order], -thresholds, side="right")]
