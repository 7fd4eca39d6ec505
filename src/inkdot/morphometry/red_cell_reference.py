"""The slide's own red cells as size reference: is the stated scale possible, and which one would be?

Lymphocytes are not used. Their nucleus is about as large as a red cell, but which nuclei are small lymphocytes is decided by size
(:mod:`inkdot.morphometry.lymphocyte_reference`), so that they would confirm any scale.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

MIN_RED_CELLS: Final = 20
"""Least number of red cells for a reference."""

MIN_WINDOWS: Final = 5
"""Least number of windows that hold them: one drop of something round is no reference."""

ASSUMED_UM: Final = 7.5
"""Assumed diameter in µm: 7 to 8 on dry smears (ASH image bank 60303), 7.8 ± 0.6 in suspension (Fabry 1981)."""

POSSIBLE_UM: Final = (5.3, 9.5)
"""Possible medians of a slide in µm: 6 to 7 after alcohol, less where liquid-based preparation shrinks cells, up to 9 on
cytospins."""

_CONFIDENCE = 0.95
_RESAMPLES = 1000
_BANDWIDTH = 0.08  # of log diameter
_FACTOR = 1.35
_LEAST_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class MppEstimate:
    """An estimate of the scale in µm per level-0 pixel, with its interval.

    The interval holds the sampling error and the possible diameters of red cells, :data:`POSSIBLE_UM`.
    """

    mpp: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RedCellReference:
    """Size of a slide's red cells.

    Attributes:
        cells: Number of red cells.
        diameter_px: Their median diameter in level-0 pixels; None where unavailable.
        interval_px: Its 95 % interval, by bootstrap of windows; None where unavailable.
        reason: Why it is unavailable; empty where it is available.
    """

    cells: int
    diameter_px: float | None = None
    interval_px: tuple[float, float] | None = None
    reason: str = ""

    def estimate(self) -> MppEstimate | None:
        """The scale at which the red cells have a possible size; None without a reference."""
        if self.diameter_px is None or self.interval_px is None:
            return None
        low, high = self.interval_px
        return MppEstimate(ASSUMED_UM / self.diameter_px, POSSIBLE_UM[0] / high, POSSIBLE_UM[1] / low)

    def offer(self) -> str:
        """One phrase for a slide without a usable scale: the estimate, or why there is none."""
        estimate = self.estimate()
        if estimate is None:
            return f"no estimate from red cells: {self.reason}"
        return (
            f"{self.cells} red cells of {self.diameter_px:.3g} px suggest about {estimate.mpp:.2g} µm/px "
            f"({estimate.low:.2g} to {estimate.high:.2g}); an estimate, not used"
        )

    def size_words(self, mpp: float) -> str:
        """Diameter at a scale in µm per level-0 pixel, with its interval; empty without a reference."""
        if self.diameter_px is None or self.interval_px is None:
            return ""
        low, high = (mpp * side for side in self.interval_px)
        return (
            f"red cells measure {mpp * self.diameter_px:.1f} µm ({low:.1f} to {high:.1f}, {self.cells} cells)"
        )

    def warning(self, mpp: float) -> str:
        """Why a stated scale (µm per level-0 pixel) is doubtful; empty where it is not, or without a reference."""
        estimate = self.estimate()
        if estimate is None or estimate.low <= mpp <= estimate.high:
            return ""
        least, most = POSSIBLE_UM
        wrong = "too large" if mpp > estimate.high else "too small"
        return (
            f"{self.size_words(mpp)} at the stated {mpp:.4g} µm/px, {wrong}; expected {least:g} to {most:g} µm; check the µm/px "
            f"({estimate.low:.2g} to {estimate.high:.2g} would fit)"
        )


def red_cell_reference(diameters_px: Sequence[Sequence[float]]) -> RedCellReference:
    """Median diameter of the red cells of a slide, from the commonest size among the discs found.

    Discs that differ from the commonest diameter by more than a factor of 1.35 are something else, such as droplets or
    starch. Where they are more than 40 %, there is no commonest size and no reference.

    Args:
        diameters_px: Diameters in level-0 pixels, one sequence per window.
    """
    every = np.asarray([value for window in diameters_px for value in window], np.float64)
    window = np.repeat(np.arange(len(diameters_px)), [len(found) for found in diameters_px])
    if len(every) < MIN_RED_CELLS:
        return _unavailable(len(every))
    centre = _commonest(every)
    kept = (every >= centre / _FACTOR) & (every <= centre * _FACTOR)
    count = int(kept.sum())
    if count < MIN_RED_CELLS:
        return _unavailable(count)
    if count < _LEAST_SHARE * len(every):
        return RedCellReference(count, reason=f"{len(every)} discs of no common size")
    windows = len(np.unique(window[kept]))
    if windows < MIN_WINDOWS:
        return RedCellReference(count, reason=f"red cells in {windows} places, {MIN_WINDOWS} needed")
    interval = _interval(every[kept], window[kept])
    return RedCellReference(count, float(np.median(every[kept])), interval)


def _unavailable(count: int) -> RedCellReference:
    return RedCellReference(count, reason=f"{count} found, {MIN_RED_CELLS} needed")


def _commonest(diameters: npt.NDArray[np.float64]) -> float:
    """The mode of log diameter, by a Gaussian kernel."""
    logs = np.log(diameters)
    density = np.exp(-0.5 * np.square((logs[:, None] - logs[None, :]) / _BANDWIDTH)).sum(axis=1)
    return float(diameters[density.argmax()])


def _interval(diameters: npt.NDArray[np.float64], window: npt.NDArray[np.intp]) -> tuple[float, float]:
    """Interval of the median, by bootstrap of windows: cells of one place are alike in thickness and focus."""
    order = np.argsort(diameters)
    values = diameters[order]
    of_window = np.unique(window[order], return_inverse=True)[1]
    windows = int(of_window.max()) + 1
    draws = np.random.default_rng(0).multinomial(windows, np.full(windows, 1.0 / windows), _RESAMPLES)
    weights = draws[:, of_window].cumsum(axis=1)
    medians = values[(weights >= 0.5 * weights[:, -1:]).argmax(axis=1)]
    tail = 50.0 * (1.0 - _CONFIDENCE)
    low, high = np.percentile(medians, [tail, 100.0 - tail])
    return float(low), float(high)
