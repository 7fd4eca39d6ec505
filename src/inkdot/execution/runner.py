"""Runs one task over many slides. A slide that fails is named and the others go on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from inkdot.execution.process_pool import ProcessPool
from inkdot.execution.task import SlideReport, SlideTask
from inkdot.records import SlideEntry
from inkdot.storage.layout import RunLayout
from inkdot.storage.ledger import LedgerLine, append


class Executor(Protocol):
    """Where slides are worked on: processes of this machine, or a cluster."""

    def reports(self, entries: Sequence[SlideEntry], task: SlideTask) -> Iterator[SlideReport]:
        """What becomes of each slide, one report each, as it comes."""
        ...

    def close(self) -> None:
        """Release what work was done with."""
        ...


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """What became of the slides of a stage.

    Attributes:
        stage: The stage's name.
        done: Slides worked on, by slide_id.
        reused: Slides whose earlier result still fits.
        failed: Slides that failed, and why in one line.
        empty: Those of the failed on which nothing could be told from empty glass.
        unwritten: Why lines are missing in the ledger; empty where none are.
    """

    stage: str
    done: tuple[str, ...]
    reused: tuple[str, ...]
    failed: dict[str, str]
    empty: frozenset[str] = frozenset()
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
    engine: Executor | None = None,
    description: str = "",
) -> BatchSummary:
    """Run a task on every slide, with a progress bar on stderr.

    Each slide gets a line in the ledger as it finishes. What a slide's files hold does not depend on the
    order of work; the summary is sorted.

    Args:
        stage: Name for the ledger and the summary.
        entries: The slides.
        task: What to do with one slide.
        layout: The run folder, whose lock the caller holds.
        workers: Processes where no engine is given; 1 or less works in this one.
        engine: Where to work; stays open, since several stages may share its processes.
        description: Words beside the progress bar; the stage's name where empty.
    """
    reports: list[SlideReport] = []
    unwritten = ""
    at_work = engine or ProcessPool(workers)
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
    with progress:
        bar = progress.add_task(description or stage, total=len(entries))
        for report in at_work.reports(entries, task):
            line = LedgerLine(stage, report.slide_id, report.outcome, report.seconds, report.reason)
            try:
                append(layout.ledger, line)
            except OSError as error:  # a full disk fails the slides that need room, not the others
                unwritten = f"{layout.ledger}: {error.strerror or error}"
            reports.append(report)
            progress.advance(bar)
    if engine is None:
        at_work.close()
    reports.sort(key=lambda report: report.slide_id)
    return BatchSummary(
        stage=stage,
        done=tuple(report.slide_id for report in reports if report.outcome == "done"),
        reused=tuple(report.slide_id for report in reports if report.outcome == "reused"),
        failed={report.slide_id: report.reason for report in reports if report.outcome == "failed"},
        empty=frozenset(report.slide_id for report in reports if report.empty),
        unwritten=unwritten,
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
        if summary.unwritten:
            console.print(Text(f"lines are missing in the ledger: {summary.unwritten}"), soft_wrap=True)
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
