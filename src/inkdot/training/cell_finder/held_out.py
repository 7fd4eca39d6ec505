"""What fine-tuning changes on slides that it did not see."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from inkdot.cell_finder import CellFinder
from inkdot.metrics.intervals.confidence_intervals import clopper_pearson
from inkdot.training.cell_finder.places import Place, nuclei_in, nuclei_of

_SAME_PX = 6.0  # 3 µm: less than the radius of a nucleus


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole.

    Attributes:
        count: The part.
        total: The whole.
    """

    count: int = 0
    total: int = 0

    def __add__(self, other: "Share") -> "Share":
        """Both together."""
        return Share(self.count + other.count, self.total + other.total)

    def __str__(self) -> str:
        """With the exact binomial interval; it takes the parts for independent, which those of one slide are not."""
        if not self.total:
            return "none"
        low, high = clopper_pearson(self.count, self.total)
        return f"{self.count} of {self.total} ({low:.2f} to {high:.2f})"


@dataclass(frozen=True, slots=True)
class Change:
    """What a cell finder finds before and after.

    Attributes:
        before: Answered regions with a nucleus before, by answer.
        after: The same after.
        kept: Nuclei in fields that nobody answered about, found before: how many are still found.
        found: Nuclei after, in the same fields: how many were found before, too.
    """

    before: Mapping[str, Share]
    after: Mapping[str, Share]
    kept: Share
    found: Share

    def __add__(self, other: "Change") -> "Change":
        """Of both sets of places."""
        return Change(
            _sum(self.before, other.before),
            _sum(self.after, other.after),
            self.kept + other.kept,
            self.found + other.found,
        )


def change_of(before: CellFinder, after: CellFinder, places: Sequence[Place]) -> Change:
    """Compare two cell finders on places."""
    had: Counter[str] = Counter()
    has: Counter[str] = Counter()
    total: Counter[str] = Counter()
    kept = found = Share()
    for place in places:
        now = nuclei_of(after, place.rgb, place.glass)
        if place.region is None:
            then = nuclei_of(before, place.rgb, place.glass)
            kept += Share(_matched(then, now), len(then))
            found += Share(_matched(now, then), len(now))
            continue
        total[place.answer] += 1
        had[place.answer] += place.nuclei > 0
        has[place.answer] += nuclei_in(place.region, now) > 0
    return Change(
        {answer: Share(had[answer], total[answer]) for answer in total},
        {answer: Share(has[answer], total[answer]) for answer in total},
        kept,
        found,
    )


def folds_of(groups: Mapping[str, str], weights: Mapping[str, int], count: int) -> list[set[str]]:
    """Slides of each fold, by whole groups, of about equal weight; none where there is one group.

    Args:
        groups: Group (patient) of each slide.
        weights: Number of answered regions of each slide.
        count: Folds at most.
    """
    heavy: Counter[str] = Counter()
    for slide_id, group in groups.items():
        heavy[group] += weights[slide_id]
    if len(heavy) < 2:
        return []
    folds: list[set[str]] = [set() for _ in range(min(count, len(heavy)))]
    loads = [0] * len(folds)
    for group, load in sorted(heavy.items(), key=lambda item: (-item[1], item[0])):
        lightest = loads.index(min(loads))
        loads[lightest] += load
        folds[lightest] |= {slide_id for slide_id, of in groups.items() if of == group}
    return folds


def _matched(some: np.ndarray, others: np.ndarray) -> int:
    """How many of some nuclei have another within 3 µm."""
    if not (len(some) and len(others)):
        return 0
    apart = np.linalg.norm(some[:, None] - others[None], axis=2)
    return int(np.count_nonzero(apart.min(axis=1) <= _SAME_PX))


def _sum(one: Mapping[str, Share], other: Mapping[str, Share]) -> dict[str, Share]:
    return {
        answer: one.get(answer, Share()) + other.get(answer, Share())
        for answer in sorted(one.keys() | other.keys())
    }
