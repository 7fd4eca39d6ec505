"""Open slides, lent to one request at a time.

A reader decodes under a lock of its own, so one handle for all would make readers wait for each other; a handle per
thread and slide would keep hundreds of files open. A few are kept, the one used longest ago is closed first.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager

from inkdot.records import Slide, SlideEntry
from inkdot.slides import open_slide

MOST_IDLE = 8
MOST_AT_ONCE = 4


class OpenSlides:
    """Handles of slides; may be used from several threads.

    Args:
        most_idle: Handles kept open while nobody uses them.
        most_at_once: Reads that may run at the same time: bounds memory, and more than there are cores help nobody.
    """

    def __init__(self, most_idle: int = MOST_IDLE, most_at_once: int = MOST_AT_ONCE) -> None:
        self._most_idle = most_idle
        self._turns = threading.BoundedSemaphore(most_at_once)
        self._lock = threading.Lock()
        self._idle: list[tuple[str, Slide]] = []
        self._closed = False

    @property
    def idle(self) -> int:
        """Handles open that nobody uses now."""
        return len(self._idle)

    @contextmanager
    def lent(self, entry: SlideEntry) -> Generator[Slide]:
        """An open slide that nobody else uses until the block ends.

        Raises:
            SlideError: The slide cannot be opened.
        """
        with self._turns:
            slide = self._take(entry.slide_id) or open_slide(entry)
            try:
                yield slide
            except BaseException:
                slide.close()  # after an error OpenSlide refuses all further reads
                raise
            self._put_back(entry.slide_id, slide)

    def close(self) -> None:
        """Close what is idle now, and what comes back later."""
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
            spare = len(self._idle) - (0 if self._closed else self._most_idle)
            dropped = [self._idle.pop(0)[1] for _ in range(max(0, spare))]
        for slide in dropped:
            slide.close()
