"""Heartbeats of a process, which distinguish a hung slide from a slow one.

A large slide may take hours on a small machine. A slide that gives no pixels for minutes is hung.
"""

from collections.abc import Callable
from typing import Final

from inkdot.records import ReadPlan, ReducingSlide, RgbArray, Slide, SlideInfo
from inkdot.slides.pixels import fitted_size, shrunk
from inkdot.units import Level0Px, LevelPx

LARGE_LEVEL_PX: Final = 64 * 2**20
"""A level of more pixels is read in strips for a thumbnail."""


def _ignore() -> None:
    """Outside of a worker process nothing listens."""


_listener: Callable[[], None] = _ignore


def on_heartbeat(listener: Callable[[], None]) -> None:
    """From now on, call ``listener`` at every heartbeat of this process."""
    global _listener
    _listener = listener


def heartbeat() -> None:
    """Report that a piece of work was finished."""
    _listener()


def with_heartbeat(slide: Slide) -> Slide:
    """The same slide, with a heartbeat at every read."""
    return _HeartbeatReducingSlide(slide) if isinstance(slide, ReducingSlide) else _HeartbeatSlide(slide)


class _HeartbeatSlide:
    def __init__(self, slide: Slide) -> None:
        self._slide = slide

    @property
    def info(self) -> SlideInfo:
        return self._slide.info

    def read(self, plan: ReadPlan) -> RgbArray:
        rgb = self._slide.read(plan)
        heartbeat()
        return rgb

    def thumbnail(self, max_side_px: int) -> RgbArray:
        info = self._slide.info
        shrink = max(info.size_l0_px) / max(fitted_size(info.size_l0_px, max_side_px))
        level = max(index for index, d in enumerate(info.level_downsamples) if d <= shrink or index == 0)
        width, height = info.level_sizes_px[level]
        if width * height > LARGE_LEVEL_PX:
            return self._in_strips(level, max_side_px)
        rgb = self._slide.thumbnail(max_side_px)
        heartbeat()
        return rgb

    def _in_strips(self, level: int, max_side_px: int) -> RgbArray:
        """The slide's own thumbnail, with a heartbeat at every strip: a level of gigapixels takes minutes."""
        downsample = self._slide.info.level_downsamples[level]

        def read(x: int, y: int, width: int, height: int) -> RgbArray:
            corner = Level0Px(round(x * downsample)), Level0Px(round(y * downsample))
            return self.read(ReadPlan(level, *corner, LevelPx(width), LevelPx(height)))

        return shrunk(self._slide.info.level_sizes_px[level], read, max_side_px)

    def close(self) -> None:
        self._slide.close()


class _HeartbeatReducingSlide(_HeartbeatSlide):
    def __init__(self, slide: ReducingSlide) -> None:
        super().__init__(slide)
        self._reducing = slide

    def read_reduced(self, plan: ReadPlan, min_width_px: int, min_height_px: int) -> RgbArray:
        rgb = self._reducing.read_reduced(plan, min_width_px, min_height_px)
        heartbeat()
        return rgb
