"""A pool of open slides, each used by one request at a time.

Slide readers decode under a lock, so one shared handle would make requests wait for each other; a handle per thread and
slide would keep hundreds of files open. A few idle handles are kept; the least recently used is closed first.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager

from inkdot.records import Slide, SlideEntry
from inkdot.slides import open_slide
from inkdot.slides.unchanged import SameFile

MAX_IDLE = 8
MAX_CONCURRENT = 4


class SlidePool:
    """Handles of slides; thread-safe.

    Args:
        max_idle: Idle handles kept open.
        max_concurrent: Concurrent reads, to bound memory.
    """

    def __init__(self, max_idle: int = MAX_IDLE, max_concurrent: int = MAX_CONCURRENT) -> None:
        self._max_idle = max_idle
        self._slots = threading.BoundedSemaphore(max_concurrent)
        self._lock = threading.Lock()
        self._idle: list[tuple[str, Slide]] = []
        self._closed = False

    @property
    def idle(self) -> int:
        """Number of idle handles."""
        return len(self._idle)

    @contextmanager
    def borrow(self, entry: SlideEntry, fingerprint: str = "") -> Generator[Slide]:
        """An open slide for exclusive use within the block.

        Args:
            entry: The slide.
            fingerprint: Of the file that was scored; a handle that was opened before it was replaced still reads that one.

        Raises:
            SlideError: The slide cannot be opened, or is another file than was scored.
        """
        with self._slots:
            slide = self._take(entry.slide_id)
            if slide is None:
                SameFile(entry.path, fingerprint)
                slide = open_slide(entry)
            try:
                yield slide
            except BaseException:
                slide.close()  # after an error OpenSlide refuses all further reads
                raise
            self._put_back(entry.slide_id, slide)

    def close(self) -> None:
        """Close idle handles now, and borrowed ones when they are returned."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for _, slide in idle:
            slide.close()

    def _take(self, slide_id: str) -> Slide | None:
        with self._lock:
            for index in range(len(self._idle) - 1, -1, -1):
                if self._idle[index][0] == slide_id:
                    return self._idle.pop(index)[1]
        return None

    def _put_back(self, slide_id: str, slide: Slide) -> None:
        with self._lock:
            self._idle.append((slide_id, slide))
            spare = len(self._idle) - (0 if self._closed else self._max_idle)
            dropped = [self._idle.pop(0)[1] for _ in range(max(0, spare))]
        for slide in dropped:
            slide.close()
