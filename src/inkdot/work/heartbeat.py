"""Signs of life: who watches a process sees whether its slide still moves.

A large slide takes hours on a small machine and is no reason to worry; one that gives no pixels for minutes is.
"""

from collections.abc import Callable

from inkdot.records import ReadPlan, ReducingSlide, RgbArray, Slide, SlideInfo


def _to_nobody() -> None:
    """Where nobody watches."""


_listener: Callable[[], None] = _to_nobody


def listen(listener: Callable[[], None]) -> None:
    """From now on, call ``listener`` at every sign of life in this process."""
    global _listener
    _listener = listener


def beat() -> None:
    """Something was finished."""
    _listener()


def watched(slide: Slide) -> Slide:
    """The same slide, which gives a sign of life with everything that it reads."""
    return _WatchedReducing(slide) if isinstance(slide, ReducingSlide) else _Watched(slide)


class _Watched:
    def __init__(self, slide: Slide) -> None:
        self._slide = slide

    @property
    def info(self) -> SlideInfo:
        return self._slide.info

    def read(self, plan: ReadPlan) -> RgbArray:
        rgb = self._slide.read(plan)
        beat()
        return rgb

    def thumbnail(self, max_side_px: int) -> RgbArray:
        rgb = self._slide.thumbnail(max_side_px)
        beat()
        return rgb

    def close(self) -> None:
        self._slide.close()


class _WatchedReducing(_Watched):
    def __init__(self, slide: ReducingSlide) -> None:
        super().__init__(slide)
        self._reducing = slide

    def read_reduced(self, plan: ReadPlan, least_width_px: int, least_height_px: int) -> RgbArray:
        rgb = self._reducing.read_reduced(plan, least_width_px, least_height_px)
        beat()
        return rgb
