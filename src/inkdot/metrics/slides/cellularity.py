"""Whether a model's slide scores say more than how many candidates a slide has.

A slide's score is often the highest of many: it rises with their number, and malignant slides often hold more cells. The count
alone can then pass for skill.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inkdot.metrics.classification import BoolArray, FloatArray, roc_auc
from inkdot.metrics.intervals.confidence_intervals import Estimate, auc_estimate
from inkdot.metrics.intervals.paired_bootstrap import Difference, paired_difference

NameArray = npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class CountAgainstScore:
    """AUC of the number of candidates beside that of the score, on the same slides.

    Attributes:
        score: AUC of the score.
        count: AUC of the count; of fewer candidates where ``fewer``.
        difference: AUC of the score less that of the count.
        fewer: Positive slides have fewer candidates, so that the count is ranked downwards.
    """

    score: Estimate
    count: Estimate
    difference: Difference
    fewer: bool

    @property
    def explained(self) -> bool:
        """Whether these slides do not show that the score ranks better than the count."""
        return self.difference.low is None or self.difference.low <= 0.0


def count_against_score(
    truth: BoolArray,
    scores: FloatArray,
    counts: npt.NDArray[np.integer],
    patients: NameArray,
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> CountAgainstScore | None:
    """Compare the ranking of slides by their score with that by their number of candidates.

    Args:
        truth: Whether each slide is positive, shape [n].
        scores: Shape [n].
        counts: Candidates of each slide, shape [n].
        patients: Patient of each slide, shape [n].
        replicates: Number of draws of patients.
        seed: Of the draws.

    Returns:
        None where a class is missing.
    """
    fewer = roc_auc(truth, counts) < 0.5
    ranked = np.asarray(-counts if fewer else counts, np.float64)
    of_score, of_count = (
        auc_estimate(truth, own, patients, replicates=replicates, seed=seed) for own in (scores, ranked)
    )
    difference = paired_difference(
        lambda weights: roc_auc(truth, scores, weights),
        lambda weights: roc_auc(truth, ranked, weights),
        patients,
        sides=[truth, ~truth],
        replicates=replicates,
        seed=seed,
    )
    if of_score is None or of_count is None or difference is None:
        return None
    return CountAgainstScore(of_score, of_count, difference, bool(fewer))


def tertiles(counts: npt.NDArray[np.integer], unit: str) -> NameArray:
    """The third of the slides that each slide belongs to by its number of candidates, from few to many.

    Args:
        counts: Candidates of each slide, shape [n].
        unit: What they are, in plural; part of the names.

    Returns:
        Names that sort from few to many, shape [n], such as ``1 of 3: up to 12 clusters``. Slides with the same number are in the
        same third, so that fewer than three may be left.
    """
    if not len(counts):
        return np.array([], np.str_)
    ordered = np.sort(counts)
    edges = [int(ordered[(len(ordered) * part - 1) // 3]) for part in (1, 2)]
    third = np.searchsorted(edges, counts, side="left")
    names: dict[int, str] = {}
    for part in np.unique(third).tolist():
        own = counts[third == part]
        names[part] = f"{part + 1} of 3: {own.min()} to {own.max()} {unit}"
    return np.array([names[part] for part in third.tolist()], np.str_)
