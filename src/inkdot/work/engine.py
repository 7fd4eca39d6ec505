"""Runs one task over many slides. A slide that fails is named and the others go on."""

import logging
import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from inkdot.artefacts.layout import RunLayout
from inkdot.artefacts.ledger import LedgerLine, Outcome, append
from inkdot.errors import InkdotError, NoForegroundError
from inkdot.records import SlideEntry

SlideTask = Callable[[SlideEntry], Outcome]
"""What to do with one slide; says ``done`` or ``reused``. Pickled for other processes: no lambdas, no handles."""

_LOG: Final = logging.getLogger(__name__)
_DIED: Final = (
    "the process that worked on it died (killed for want of memory, or a fault in a decoder); "
    "try it alone with --workers 1"
)


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """What became of the slides of a stage.

    Attributes:
        stage: The stage's name.
        done: Slides worked on, by slide_id.
        reused: Slides whose earlier result still fits.
        failed: Slides that failed, and why in one line.
        empty: Those of the failed on which nothing could be told from empty glass.
    """

    stage: str
    done: tuple[str, ...]
    reused: tuple[str, ...]
    failed: dict[str, str]
    empty: frozenset[str] = frozenset()

    @property
    def exit_code(self) -> int:
        """0 when every slide has its result, 1 when some failed."""
        return 1 if self.failed else 0


@dataclass(frozen=True, slots=True)
class _Report:
    slide_id: str
    outcome: Outcome
    seconds: float
    reason: str = ""
    empty: bool = False


def run_slides(
    stage: str,
    entries: Sequence[SlideEntry],
    task: SlideTask,
    layout: RunLayout,
    *,
    workers: int,
    description: str = "",
) -> BatchSummary:
    """Run a task on every slide, in this process or in several, with a progress bar on stderr.

    Each slide gets a line in the ledger as it finishes. What a slide's files hold does not depend on the
    order of work; the summary is sorted.

    Args:
        stage: Name for the ledger and the summary.
        entries: The slides.
        task: What to do with one slide.
        layout: The run folder, whose lock the caller holds.
        workers: Processes; 1 or less works in this one.
        description: Words beside the progress bar; the stage's name where empty.
    """
    reports: list[_Report] = []
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
    with progress:
        bar = progress.add_task(description or stage, total=len(entries))
        for report in _reports(entries, task, workers):
            append(
                layout.ledger,
                LedgerLine(stage, report.slide_id, report.outcome, report.seconds, report.reason),
            )
            reports.append(report)
            progress.advance(bar)
    reports.sort(key=lambda report: report.slide_id)
    return BatchSummary(
        stage=stage,
        done=tuple(report.slide_id for report in reports if report.outcome == "done"),
        reused=tuple(report.slide_id for report in reports if report.outcome == "reused"),
        failed={report.slide_id: report.reason for report in reports if report.outcome == "failed"},
        empty=frozenset(report.slide_id for report in reports if report.empty),
    )


def print_summary(console: Console, summaries: Sequence[BatchSummary]) -> None:
    """One line of counts per stage, then a table of the slides that failed: slide, stage, reason."""
    for summary in summaries:
        counts = [
            (len(summary.done), "done"),
            (len(summary.reused), "reused"),
            (len(summary.failed), "failed"),
        ]
        words = ", ".join(f"{count} {word}" for count, word in counts if count) or "no slides"
        console.print(Text(f"{summary.stage}: {words}"), soft_wrap=True)
    table = failure_table(summaries)
    if table is not None:
        console.print(table)


def failure_table(summaries: Sequence[BatchSummary]) -> Table | None:
    """Slide, stage and reason of every failure, sorted; None where nothing failed."""
    failures = [
        (slide_id, summary.stage, reason)
        for summary in summaries
        for slide_id, reason in summary.failed.items()
    ]
    if not failures:
        return None
    table = Table(title="Slides that failed", title_justify="left")
    table.add_column("slide", overflow="fold")
    table.add_column("stage")
    table.add_column("reason", overflow="fold")
    for cells in sorted(failures):
        # As Text: a name from a manifest is not markup.
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _reports(entries: Sequence[SlideEntry], task: SlideTask, workers: int) -> Iterator[_Report]:
    if workers <= 1 or len(entries) <= 1:
        for entry in entries:
            yield _attempt(task, entry)
        return
    suspects = yield from _in_pool(entries, task, workers)
    # A dead process takes the pool with it, and nobody knows which slide killed it: each that was in work gets
    # a pool of its own, and only the one that kills that too has failed.
    for entry in suspects:
        again = yield from _in_pool([entry], task, 1)
        for dead in again:
            yield _Report(dead.slide_id, "failed", 0.0, _DIED)


def _in_pool(
    entries: Sequence[SlideEntry], task: SlideTask, workers: int
) -> Generator[_Report, None, list[SlideEntry]]:
    """Work in processes; returns the slides that were in work when a process died."""
    waiting, suspects = deque(entries), list[SlideEntry]()
    while waiting:
        running: dict[Future[_Report], SlideEntry] = {}
        broken = False
        # Spawned, not forked: decoders and OpenMP do not survive a fork, and Windows and macOS spawn anyway.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(workers, len(waiting)), context, _quiet_threads) as pool:
            while running or (waiting and not broken):
                # No more in work than there are processes, so that few slides are suspect when one dies.
                while waiting and len(running) < workers and not broken:
                    try:
                        running[pool.submit(_attempt, task, waiting[0])] = waiting[0]
                    except BrokenProcessPool:
                        broken = True
                    else:
                        waiting.popleft()
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    entry = running.pop(future)
                    try:
                        yield future.result()
                    except BrokenProcessPool:
                        suspects.append(entry)
                        broken = True
    return sorted(suspects, key=lambda entry: entry.slide_id)


def _attempt(task: SlideTask, entry: SlideEntry) -> _Report:
    """The boundary around one slide: whatever goes wrong inside becomes this slide's failure."""
    start = time.perf_counter()
    empty = False
    try:
        outcome, reason = task(entry), ""
    except InkdotError as error:
        outcome, reason = "failed", str(error)
        empty = isinstance(error, NoForegroundError)
    except Exception as error:  # noqa: BLE001 - the one broad except: a batch outlives its worst slide
        _LOG.debug("%s failed", entry.slide_id, exc_info=True)
        outcome, reason = "failed", f"unexpected {type(error).__name__}: {error}"
    return _Report(entry.slide_id, outcome, time.perf_counter() - start, " ".join(reason.split()), empty)


def _quiet_threads() -> None:
    """One thread per library in each worker: the processes share the cores already."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
        os.environ[name] = "1"
