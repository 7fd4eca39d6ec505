"""How the score of a slide follows from that of its highest cluster: part of ``model/model.json``."""

import math
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from inkdot.storage.models.model_records import Recorded

_SMALLEST: Final = float(np.finfo(np.float32).tiny)
_LARGEST: Final = 1.0 - float(np.finfo(np.float32).epsneg)


class SlideScoreRule(Recorded):
    """The score of a slide: its highest score, corrected for how many clusters (on the grid: tiles) were scored.

    On the logit scale ``slope · log(count / reference_count)`` is subtracted, so that it is the score that the highest
    cluster counts for on a slide of ``reference_count`` clusters. Fitted to benign slides alone: how cellular malignant slides
    were must not count (docs/explanation/decisions/0205).

    Attributes:
        rule: The kind of correction.
        slope: How much the highest logit of benign slides grows with the natural logarithm of the count.
        reference_count: Geometric mean of the counts of these slides.
        lowest_count: Their lowest count; fewer clusters count as so many.
        highest_count: Their highest count; more clusters count as so many, so that nothing is corrected beyond what was seen.
        fitted_on: Scores of validation slides by the model itself, or out of fold: of each slide by a member of the ensemble, or
            by a model of a calibration fold, that was trained without it.
        slides: Number of benign slides.
        patients: Number of their patients.
    """

    rule: Literal["max_corrected_for_count"] = "max_corrected_for_count"
    slope: float = Field(ge=0.0)
    reference_count: float = Field(ge=1.0)
    lowest_count: int = Field(ge=1)
    highest_count: int = Field(ge=1)
    fitted_on: Literal["validation", "out_of_fold"]
    slides: int = Field(ge=1)
    patients: int = Field(ge=1)

    @model_validator(mode="after")
    def _counts_in_order(self) -> "SlideScoreRule":
        if not self.lowest_count <= self.reference_count <= self.highest_count:
            raise ValueError(
                f"reference_count {self.reference_count:g} is not between lowest_count {self.lowest_count} and "
                f"highest_count {self.highest_count}"
            )
        return self

    def corrected(self, score: npt.ArrayLike, count: int) -> npt.NDArray[np.float32]:
        """Scores as they count for the slide.

        Args:
            score: Calibrated probabilities of the flag class, of the highest cluster or of all; NaN stays.
            count: Number of the slide's clusters (on the grid: tiles) that have a score.

        Returns:
            Same shape, 0 to 1, float32 as stored scores are; in the order of the scores.
        """
        return _shifted(np.asarray(score, np.float64), -self._shift(count)).astype(np.float32)

    def threshold_at(self, threshold: float, count: int) -> float:
        """The score that a cluster must reach on a slide of so many, for the slide to reach a threshold (both 0 to 1)."""
        return float(_shifted(np.float64(threshold), self._shift(count)))

    @property
    def in_words(self) -> str:
        """The rule as a sentence, for the card."""
        which = (
            "validation slides"
            if self.fitted_on == "validation"
            else "slides, each scored by a model trained without it,"
        )
        return (
            "A slide's score is that of its highest cluster (on the grid: tile), corrected for how many have a score: its logit "
            f"less {self.slope:.3f} · ln(number / {self.reference_count:.4g}). The number counts as at least {self.lowest_count} "
            f"and at most {self.highest_count}. Fitted to {self.slides} benign {which} of {self.patients} patients."
        )

    def _shift(self, count: int) -> float:
        return self.slope * math.log(
            min(max(count, self.lowest_count), self.highest_count) / self.reference_count
        )


def logits(scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Logits of probabilities (0 to 1), finite where float32 has rounded these to 0 or 1."""
    values = np.clip(np.asarray(scores, np.float64), _SMALLEST, _LARGEST)
    return np.log(values) - np.log1p(-values)


def _shifted(scores: npt.NDArray[np.float64] | np.float64, shift: float) -> npt.NDArray[np.float64]:
    with np.errstate(invalid="ignore"):  # NaN stays
        return np.asarray(np.exp(-np.logaddexp(0.0, -(logits(scores) + shift))))
