"""A slide held as arrays: for plain images, for tests, and as the reference of the other readers."""

from collections.abc import Sequence

import numpy as np

from inkdot.records import BoundsL0, Mpp, MppSource, ReadPlan, RgbArray, SlideInfo
from inkdot.slides.pixels import resized, shrunk, window
from inkdot.units import Level0Px, LevelPx


class ArraySlide:
    """A pyramid of arrays behind the protocol :class:`inkdot.records.Slide`.

    Args:
        levels: Level 0 alone or all levels, finest first, uint8 RGB [height, width, 3].
        mpp: Micrometres per level-0 pixel; a number stands for square pixels.
        slide_id: Name of the slide.
        mpp_source: Source of the mpp.
        bounds_l0_px: The scanned area, where it is not all of level 0.
        vendor: Name of the format.
        synthetic: The slide is synthetic.
        warnings: Warnings that go with every result of the slide.
    """

    def __init__(
        self,
        levels: RgbArray | Sequence[RgbArray],
        mpp: Mpp | float,
        *,
        slide_id: str = "memory",
        mpp_source: MppSource = "metadata",
        bounds_l0_px: BoundsL0 | None = None,
        vendor: str = "memory",
        synthetic: bool = False,
        warnings: tuple[str, ...] = (),
    ) -> None:
        self._levels = [levels] if isinstance(levels, np.ndarray) else list(levels)
        for level in self._levels:
            if level.dtype != np.uint8 or level.ndim != 3 or level.shape[2] != 3:
                raise ValueError(f"expected uint8 RGB [height, width, 3], found {level.dtype} {level.shape}")
        sizes = tuple((LevelPx(level.shape[1]), LevelPx(level.shape[0])) for level in self._levels)
        self._info = SlideInfo(
            slide_id=slide_id,
            size_l0_px=(Level0Px(sizes[0][0]), Level0Px(sizes[0][1])),
            mpp=mpp if isinstance(mpp, Mpp) else Mpp.square(mpp),
            mpp_source=mpp_source,
            level_sizes_px=sizes,
            level_downsamples=downsamples_of(sizes),
            bounds_l0_px=bounds_l0_px,
            vendor=vendor,
            synthetic=synthetic,
            warnings=warnings,
        )

    @property
    def info(self) -> SlideInfo:
        """Metadata of the slide."""
        return self._info

    def read(self, plan: ReadPlan) -> RgbArray:
        """Pixels of a rectangle, uint8 RGB [height, width, 3]; white where the slide has none.

        The corner is rounded to the nearest pixel of the level.
        """
        if not self._levels:
            raise ValueError("read of a closed slide")
        downsample = self._info.level_downsamples[plan.level]
        x, y = round(plan.x_l0_px / downsample), round(plan.y_l0_px / downsample)
        return window(self._levels[plan.level], x, y, plan.width_level_px, plan.height_level_px)

    def thumbnail(self, max_side_px: int) -> RgbArray:
        """The whole slide, uint8 RGB, its longer side at most ``max_side_px``."""
        if not self._levels:
            raise ValueError("read of a closed slide")
        fine_enough = [level for level in self._levels if max(level.shape[:2]) >= max_side_px]
        source = fine_enough[-1] if fine_enough else self._levels[0]
        size = (source.shape[1], source.shape[0])
        return shrunk(size, lambda x, y, w, h: source[y : y + h, x : x + w], max_side_px)

    def close(self) -> None:
        """Drop the arrays; reading afterwards is an error."""
        self._levels = []


def pyramid_of(rgb: RgbArray, downsamples: Sequence[float]) -> list[RgbArray]:
    """Make pyramid levels of uint8 RGB [height, width, 3] by area means; sizes are rounded down, as scanners do."""
    height, width = rgb.shape[:2]
    return [resized(rgb, (max(1, int(width / d)), max(1, int(height / d)))) for d in downsamples]


def downsamples_of(sizes_px: Sequence[tuple[int, int]]) -> tuple[float, ...]:
    """Downsample of each level as OpenSlide defines it: the mean of the ratios along x and y to level 0."""
    width, height = sizes_px[0]
    return tuple((width / w + height / h) / 2 for w, h in sizes_px)
