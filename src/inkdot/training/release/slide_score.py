"""The rule of a model's slide score, fitted on benign slides that it was not trained on."""

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from inkdot.metrics.slides.slide_score import FEWEST_SLIDES, fit_count_slope
from inkdot.model.predictor import ScoreArray
from inkdot.model.targets import NameArray
from inkdot.storage.models.slide_score_rule import SlideScoreRule, logits

ONLY_MAX: Final = "A slide's score is that of its highest cluster (on the grid: tile), whatever their number"
"""For the card of a model without a rule."""


def fit_slide_score(
    candidates: Sequence[ScoreArray],
    truth: npt.NDArray[np.floating],
    patients: NameArray,
    fitted_on: Literal["validation", "out_of_fold"],
) -> tuple[SlideScoreRule | None, str]:
    """Fit how much the highest score of benign slides grows with the number of their clusters.

    Malignant slides take no part: the threshold for a sensitivity, which is chosen on them, is no more optimistic for it.

    Args:
        candidates: Per slide, the scores (0 to 1) of its clusters (on the grid: tiles) that have one, each of shape [n].
        truth: 1 where the slide is malignant, 0 where benign, NaN where unknown, shape [slides].
        patients: Of the slides, shape [slides].
        fitted_on: Which slides these are.

    Returns:
        The rule, None with fewer than :data:`FEWEST_SLIDES` benign slides; and a line for the card.
    """
    rows = [row for row in np.flatnonzero(truth == 0.0).tolist() if len(candidates[row])]
    if len(rows) < FEWEST_SLIDES:
        return None, (
            f"{ONLY_MAX}: a correction for the number needs {FEWEST_SLIDES} benign slides in validation, found {len(rows)}. "
            "Of many clean clusters one scores high by chance: expect more false alarms on slides with many."
        )
    counts = np.array([len(candidates[row]) for row in rows], np.int64)
    rule = SlideScoreRule(
        slope=fit_count_slope([logits(candidates[row]) for row in rows]),
        # Clipped: where all counts are alike, rounding could put their mean beyond them.
        reference_count=float(np.clip(np.exp(np.mean(np.log(counts))), counts.min(), counts.max())),
        lowest_count=int(counts.min()),
        highest_count=int(counts.max()),
        fitted_on=fitted_on,
        slides=len(rows),
        patients=len(set(patients[rows].tolist())),
    )
    return rule, rule.in_words


def highest_score(candidates: ScoreArray, rule: SlideScoreRule | None) -> float:
    """The score of a slide (0 to 1) from the scores of its clusters, at least one, as `predict` makes it."""
    highest = np.float32(candidates.max())
    return float(highest if rule is None else rule.corrected(highest, len(candidates)))
