"""Running one task on a batch of slides. A slide that fails is recorded, and the others go on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from inkdot.execution.process_pool import ProcessPool
from inkdot.execution.task import SlideTask, TaskResult
from inkdot.records import SlideEntry
from inkdot.storage.layout import RunLayout
from inkdot.storage.ledger import LedgerLine, append


class Executor(Protocol):
    """Processes of this machine, or a cluster."""

    def run(self, entries: Sequence[SlideEntry], task: SlideTask) -> Iterator[TaskResult]:
        """Run a task on every slide; one result per slide, in the order of completion."""
        ...

    def close(self) -> None:
        """Release the processes."""
        ...


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """Results of a stage, by slide.

    Attributes:
        stage: The stage's name.
        done: Slides processed, by slide_id.
        reused: Slides whose earlier result is still valid.
        failed: Slides that failed, and why in one line.
        unwritten: Why lines are missing in the ledger; empty where none is missing.
    """

    stage: str
    done: tuple[str, ...]
    reused: tuple[str, ...]
    failed: dict[str, str]
    unwritten: str = ""

    @property
    def exit_code(self) -> int:
        """0 when every slide has its result and its line in the ledger, else 1."""
        return 1 if self.failed or self.unwritten else 0


def run_slides(
    stage: str,
    entries: Sequence[SlideEntry],
    task: SlideTask,
    layout: RunLayout,
    *,
    workers: int = 1,
    executor: Executor | None = None,
    description: str = "",
) -> BatchSummary:
    """Run a task on every slide, with a progress bar on stderr.

    Each slide gets a line in the ledger as it finishes. The files of a slide do not depend on the order of
    processing; the summary is sorted.

    Args:
        stage: Name for the ledger and the summary.
        entries: The slides.
        task: Processes one slide.
        layout: The run folder, whose lock the caller holds.
        workers: Processes where no executor is given; 1 runs in this process.
        executor: Where to run; stays open, since several stages may share its processes.
        description: Label of the progress bar; the stage's name where empty.
    """
    results: list[TaskResult] = []
    unwritten = ""
    running = executor or ProcessPool(workers)
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
    with progress:
        bar = progress.add_task(description or stage, total=len(entries))
        for result in running.run(entries, task):
            line = LedgerLine(stage, result.slide_id, result.outcome, result.seconds, result.reason)
            try:
                append(layout.ledger, line)
            except OSError as error:  # a full disk fails only the slides that need space
                unwritten = f"{layout.ledger}: {error.strerror or error}"
            results.append(result)
            progress.advance(bar)
    if executor is None:
        running.close()
    results.sort(key=lambda result: result.slide_id)
    return BatchSummary(
        stage=stage,
        done=tuple(result.slide_id for result in results if result.outcome == "done"),
        reused=tuple(result.slide_id for result in results if result.outcome == "reused"),
        failed={result.slide_id: result.reason for result in results if result.outcome == "failed"},
        unwritten=unwritten,
    )


def print_summary(console: Console, summaries: Sequence[BatchSummary]) -> None:
    """Print one line of counts per stage, then a table of failed slides with stage and reason."""
    for summary in summaries:
        counts = [
            (len(summary.done), "done"),
            (len(summary.reused), "reused"),
            (len(summary.failed), "failed"),
        ]
        words = ", ".join(f"{count} {word}" for count, word in counts if count) or "no slides"
        console.print(Text(f"{summary.stage}: {words}"), soft_wrap=True)
        if summary.unwritten:
            console.print(Text(f"lines are missing in the ledger: {summary.unwritten}"), soft_wrap=True)
    table = failure_table(summaries)
    if table is not None:
        console.print(table)


def failure_table(summaries: Sequence[BatchSummary]) -> Table | None:
    """Slide, stage and reason of every failure, sorted; None without failures."""
    failures = [
        (slide_id, summary.stage, reason)
        for summary in summaries
        for slide_id, reason in summary.failed.items()
    ]
    if not failures:
        return None
    table = Table(title="Failed slides", title_justify="left")
    table.add_column("slide", overflow="fold")
    table.add_column("stage")
    table.add_column("reason", overflow="fold")
    for cells in sorted(failures):
        # As Text: a name from a manifest is not markup.
        table.add_row(*(Text(cell) for cell in cells))
    return table
