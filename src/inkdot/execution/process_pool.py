"""Slides worked on in processes of this machine, each watched: one that dies or hangs costs its own slide only."""

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.sharedctypes import RawValue
from typing import Any, Final, cast

from inkdot.execution import watchdog as heartbeat
from inkdot.execution.task import SlideReport, SlideTask, attempt
from inkdot.records import SlideEntry

_DIED: Final = (
    "the process that worked on it died twice (killed for want of memory, or a fault in a decoder); "
    "look at the file, or try it where there is more memory"
)
_START_S: Final = 300.0
"""How long a process may take to come up and load its libraries, on a slow disk or a busy machine."""


class ProcessPool:
    """Work on this machine; close it when done (``contextlib.closing``)."""

    def __init__(self, workers: int = 1, slide_timeout_s: float | None = None) -> None:
        """Nothing is started yet.

        Args:
            workers: Processes; with 1 and no time limit, work happens in this process.
            slide_timeout_s: A slide on which nothing moves for so many seconds is stopped; None waits for ever.
        """
        self._alone = workers <= 1 and slide_timeout_s is None
        self._watch = slide_timeout_s is not None
        self._crew = WorkerPool(max(1, workers), slide_timeout_s)

    def reports(self, entries: Sequence[SlideEntry], task: SlideTask) -> Iterator[SlideReport]:
        """What becomes of each slide, as it comes."""
        if self._alone or (len(entries) <= 1 and not self._watch):
            for entry in entries:
                yield attempt(task, entry)
        else:
            try:
                yield from self._crew.reports(entries, task)
            except BaseException:  # interrupted: nobody waits for what the processes are doing
                self.close()
                raise

    def close(self) -> None:
        """End the processes."""
        self._crew.dismiss()


class WorkerPool:
    """Processes that outlive their slides, so that libraries and networks are loaded once."""

    def __init__(self, size: int, slide_timeout_s: float | None) -> None:
        """Nobody is hired yet.

        Args:
            size: Processes at most. Where there are several, each library keeps to one thread in each of them.
            slide_timeout_s: A slide on which nothing moves for so many seconds is stopped; None waits for ever.
        """
        self._slide_timeout_s = slide_timeout_s
        self._size = size
        self._hands: list[_Worker] = []

    def reports(self, entries: Sequence[SlideEntry], task: SlideTask) -> Iterator[SlideReport]:
        """Work on slides in the given order; reports come as slides finish.

        A slide whose process died gets one more try, alone, after all others: the killer may have been a neighbour's
        appetite for memory. A slide that hung does not.
        """
        suspects = list[SlideEntry]()
        for entry, report in self._work(entries, task, self._size):
            if report is None:
                suspects.append(entry)
            else:
                yield report
        if suspects:
            self.dismiss()
        for entry in sorted(suspects, key=lambda suspect: suspect.slide_id):
            for _, report in self._work([entry], task, 1):
                yield report or SlideReport(entry.slide_id, "failed", reason=_DIED)

    def dismiss(self) -> None:
        """End the processes."""
        for hand in self._hands:
            hand.end()
        self._hands.clear()

    def _work(
        self, entries: Sequence[SlideEntry], task: SlideTask, size: int
    ) -> Iterator[tuple[SlideEntry, SlideReport | None]]:
        """Each slide with its report, or None where its process died."""
        waiting = deque(entries)
        while True:
            self._give_work(waiting, task, size)
            busy = [hand for hand in self._hands if hand.entry is not None]
            if not busy:
                return
            ready = wait(
                [hand.pipe for hand in busy], timeout=None if self._slide_timeout_s is None else 0.25
            )
            for hand in busy:
                entry = cast(SlideEntry, hand.entry)
                if hand.pipe in ready:
                    said, report = hand.heard()
                    if not said:
                        self._replace(hand)
                        yield entry, None
                    elif report is not None:
                        yield entry, report
                elif self._slide_timeout_s is not None and hand.still_s() > self._slide_timeout_s:
                    self._replace(hand)
                    yield entry, _hung(entry, self._slide_timeout_s)

    def _give_work(self, waiting: deque[SlideEntry], task: SlideTask, size: int) -> None:
        for hand in self._hands:
            if waiting and hand.entry is None:
                hand.take(waiting.popleft(), task)
        while waiting and len(self._hands) < size:
            self._hands.append(_Worker(quiet=self._size > 1))
            self._hands[-1].take(waiting.popleft(), task)

    def _replace(self, hand: "_Worker") -> None:
        hand.end()
        self._hands.remove(hand)


def _hung(entry: SlideEntry, limit_s: float) -> SlideReport:
    reason = (
        f"{entry.path}: expected a slide that gives pixels, found nothing moving for {limit_s:g} s, and stopped it; "
        "copy the file again or look at its disk; a slow disk needs a larger --slide-timeout"
    )
    return SlideReport(entry.slide_id, "failed", limit_s, reason)


class _Worker:
    """One process as seen from outside."""

    def __init__(self, *, quiet: bool) -> None:
        # Spawned, not forked: decoders and OpenMP do not survive a fork, and Windows and macOS spawn anyway.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._pulse: Any = RawValue("Q", 0)
        self._process = context.Process(target=_life, args=(theirs, self._pulse, quiet), daemon=True)
        self._process.start()
        theirs.close()
        self.entry: SlideEntry | None = None
        self._up = False
        self._seen_pulse, self._seen_at = 0, time.monotonic()

    def take(self, entry: SlideEntry, task: SlideTask) -> None:
        """Begin a slide."""
        self.entry = entry
        self._seen_at = time.monotonic()
        # A process that died meanwhile is found out when its answer is waited for.
        with suppress(OSError):
            self.pipe.send((task, entry))

    def heard(self) -> tuple[bool, SlideReport | None]:
        """Whether it lives, and the report where the slide is finished."""
        try:
            report = cast("SlideReport | None", self.pipe.recv())
        except (EOFError, OSError):
            return False, None
        self._up, self._seen_at = True, time.monotonic()
        if report is not None:
            self.entry = None
        return True, report

    def still_s(self) -> float:
        """Seconds since the last sign of life; the time to come up is not counted."""
        now, pulse = time.monotonic(), int(self._pulse.value)
        if pulse != self._seen_pulse:
            self._seen_pulse, self._seen_at = pulse, now
        return now - self._seen_at - (0.0 if self._up else _START_S)

    def end(self) -> None:
        """End the process, whatever it is doing: what it writes is renamed into place when whole, or not at all."""
        self.pipe.close()
        if self.entry is None:
            self._process.join(2.0)
        self._process.kill()
        self._process.join()
        self._process.close()


def _life(pipe: Connection, pulse: Any, quiet: bool) -> None:
    """What a process does: slide after slide until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends its processes
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    if quiet:  # several processes share the cores already
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
            os.environ[name] = "1"

    def moved() -> None:
        pulse.value += 1

    heartbeat.listen(moved)
    while True:
        try:
            task, entry = cast("tuple[SlideTask, SlideEntry]", pipe.recv())
        except (EOFError, OSError):
            return
        pipe.send(None)  # libraries are loaded: from now on the clock runs
        pipe.send(attempt(task, entry))


def _leave_with_parent() -> None:
    """A process whose parent was killed must not go on writing into a folder that a rerun may already hold."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
