"""Processes of this machine, each with a heartbeat: one that dies or hangs costs its own slide only."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.sharedctypes import RawValue
from typing import Any, Final, cast

from inkdot.execution import watchdog
from inkdot.execution.progress import Progress
from inkdot.execution.task import SlideTask, TaskResult, run_task
from inkdot.records import SlideEntry

_DIED: Final = (
    "its process died twice (out of memory, or a fault in a decoder); look at the file, or try it where there is more "
    "memory"
)
_START_S: Final = 300.0
"""Seconds that a process may take to start and load its libraries, on a slow disk or a busy machine."""
_POLL_S: Final = 0.25
"""How often progress is checked."""


class ProcessPool:
    """Executor on this machine; close it when done (``contextlib.closing``)."""

    def __init__(self, workers: int = 1, slide_timeout_s: float | None = None) -> None:
        """Start nothing yet.

        Args:
            workers: Processes; 1 without a time limit runs in this process.
            slide_timeout_s: Seconds without progress after which a slide is stopped, see
                :class:`inkdot.execution.progress.Progress`; None waits for ever.
        """
        self._in_process = workers <= 1 and slide_timeout_s is None
        self._timed = slide_timeout_s is not None
        self._pool = WorkerPool(max(1, workers), slide_timeout_s)

    def run(self, entries: Sequence[SlideEntry], task: SlideTask) -> Iterator[TaskResult]:
        """Run a task on every slide; results in the order of completion."""
        if self._in_process or (len(entries) <= 1 and not self._timed):
            for entry in entries:
                yield run_task(task, entry)
        else:
            try:
                yield from self._pool.run(entries, task)
            except BaseException:  # interrupted: nobody waits for the results
                self.close()
                raise

    def close(self) -> None:
        """End the processes."""
        self._pool.close()


class WorkerPool:
    """Processes that are kept between slides, so that libraries and networks are loaded once."""

    def __init__(self, size: int, slide_timeout_s: float | None) -> None:
        """Start nothing yet.

        Args:
            size: Most processes. With several, each library uses one thread in each of them.
            slide_timeout_s: Seconds without progress after which a slide is stopped; None waits for ever.
        """
        self._slide_timeout_s = slide_timeout_s
        self._size = size
        self._workers: list[_Worker] = []

    def run(self, entries: Sequence[SlideEntry], task: SlideTask) -> Iterator[TaskResult]:
        """Run a task on slides in the given order; results in the order of completion.

        A slide whose process died is retried once, alone, after all others: another slide may have used up the memory.
        A slide that hung is not retried.
        """
        suspects = list[SlideEntry]()
        for entry, result in self._run_once(entries, task, self._size):
            if result is None:
                suspects.append(entry)
            else:
                yield result
        if suspects:
            self.close()
        for entry in sorted(suspects, key=lambda suspect: suspect.slide_id):
            for _, result in self._run_once([entry], task, 1):
                yield result or TaskResult(entry.slide_id, "failed", reason=_DIED)

    def close(self) -> None:
        """End the processes."""
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def _run_once(
        self, entries: Sequence[SlideEntry], task: SlideTask, size: int
    ) -> Iterator[tuple[SlideEntry, TaskResult | None]]:
        """Each slide with its result, or None where its process died."""
        waiting = deque(entries)
        while True:
            self._assign(waiting, task, size)
            busy = [worker for worker in self._workers if worker.entry is not None]
            if not busy:
                return
            ready = wait(
                [worker.pipe for worker in busy], timeout=None if self._slide_timeout_s is None else _POLL_S
            )
            for worker in busy:
                entry = cast(SlideEntry, worker.entry)
                if worker.pipe in ready:
                    alive, result = worker.receive()
                    if not alive:
                        self._remove(worker)
                        yield entry, None
                    elif result is not None:
                        yield entry, result
                elif self._slide_timeout_s is not None and (seen := worker.stalled(self._slide_timeout_s)):
                    self._remove(worker)
                    yield (
                        entry,
                        TaskResult(entry.slide_id, "failed", self._slide_timeout_s, f"{entry.path}: {seen}"),
                    )

    def _assign(self, waiting: deque[SlideEntry], task: SlideTask, size: int) -> None:
        for worker in self._workers:
            if waiting and worker.entry is None:
                worker.start(waiting.popleft(), task)
        while waiting and len(self._workers) < size:
            self._workers.append(_Worker(one_thread=self._size > 1))
            self._workers[-1].start(waiting.popleft(), task)

    def _remove(self, worker: "_Worker") -> None:
        worker.end()
        self._workers.remove(worker)


class _Worker:
    """A process as the parent sees it."""

    def __init__(self, *, one_thread: bool) -> None:
        # Spawned, not forked: decoders and OpenMP do not survive a fork, and Windows and macOS spawn anyway.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._heartbeats: Any = RawValue("Q", 0)
        self._process = context.Process(
            target=_worker_main, args=(theirs, self._heartbeats, one_thread), daemon=True
        )
        self._process.start()
        theirs.close()
        self.entry: SlideEntry | None = None
        self._started = False
        self._progress = Progress(cast(int, self._process.pid))

    def start(self, entry: SlideEntry, task: SlideTask) -> None:
        """Send a slide to the process."""
        self.entry = entry
        self._progress.restart()
        # A process that has died since is detected when its result is received.
        with suppress(OSError):
            self.pipe.send((task, entry))

    def receive(self) -> tuple[bool, TaskResult | None]:
        """Whether the process is alive, and the result where the slide is finished."""
        try:
            result = cast("TaskResult | None", self.pipe.recv())
        except (EOFError, OSError):
            return False, None
        self._started = True
        self._progress.restart()
        if result is not None:
            self.entry = None
        return True, result

    def stalled(self, limit_s: float) -> str:
        """What was seen where the slide makes no progress, else an empty text; starting has a longer limit."""
        limit_s += 0.0 if self._started else _START_S
        return self._progress.stalled(int(self._heartbeats.value), limit_s)

    def end(self) -> None:
        """End the process at any time: its files are renamed into place when complete, or not at all."""
        self.pipe.close()
        if self.entry is None:
            self._process.join(2.0)
        self._process.kill()
        self._process.join()
        self._process.close()


def _worker_main(pipe: Connection, heartbeats: Any, one_thread: bool) -> None:
    """Process slide after slide until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends its processes
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    if one_thread:  # several processes share the cores already
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
            os.environ[name] = "1"

    def count() -> None:
        heartbeats.value += 1

    watchdog.on_heartbeat(count)
    while True:
        try:
            task, entry = cast("tuple[SlideTask, SlideEntry]", pipe.recv())
        except (EOFError, OSError):
            return
        pipe.send(None)  # the libraries are loaded: the time limit starts
        pipe.send(run_task(task, entry))


def _exit_with_parent() -> None:
    """Exit when the parent is killed: a rerun may already use the folder."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
