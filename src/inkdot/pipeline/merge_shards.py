"""The end of a shard: the tables of the whole list, once all shards have ended."""

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from inkdot.errors import UserError
from inkdot.execution.runner import BatchSummary, print_summary
from inkdot.pipeline.results.adequacy_table import write_adequacy_table
from inkdot.pipeline.results.batch_tables import write_batch_tables
from inkdot.pipeline.shards import (
    Command,
    ShardRecord,
    end_shard,
    latest_shards,
    listed_slides,
    unfinished_shards,
)
from inkdot.storage.layout import RunLayout
from inkdot.storage.ledger import failures, read_all
from inkdot.storage.locking import locked

STAGES: Final[dict[Command, tuple[str, ...]]] = {
    "tile": ("tile",),
    "embed": ("tile", "import", "embed"),
    "predict": ("tile", "predict", "clusters"),
}
"""The steps of each command in which a slide must not fail, in order; the last one makes its result."""

_PATIENCE_S: Final = 600.0
"""For another shard that writes the tables: far longer than ten thousand slides take."""


def finish_shard(layout: RunLayout, record: ShardRecord, summaries: Sequence[BatchSummary]) -> int:
    """Print the summary, note that the shard has ended, and write the tables where it was the last one.

    Of two that end at once both write the tables, one after the other.

    Args:
        layout: Of the shard, whose lock is held.
        record: What it worked on.
        summaries: Of its steps.

    Returns:
        The exit code: 0 where every slide of the shard has its result, else 1.
    """
    console = Console(stderr=True)
    print_summary(console, summaries)
    end_shard(layout, record)
    records = latest_shards(layout, record)
    code = max(summary.exit_code for summary in summaries)
    if waiting := unfinished_shards(records):
        line = (
            f"shard {record.shard}/{record.shards} has ended; {shard_numbers(waiting)} of {record.shards} not yet: "
            "the last one to end writes the tables of the whole list"
        )
        console.print(Text(line), soft_wrap=True)
        return code
    try:
        merge(layout, records, console)
    except UserError as error:
        # The slides' own files are complete: only the tables are missing.
        console.print(Text(f"{error}; then run `inkdot merge {layout.root}`"), soft_wrap=True)
        return 1
    return code


def merge(layout: RunLayout, records: Sequence[ShardRecord], console: Console) -> None:
    """Write the tables of the whole list from the files of its slides and the ledgers of its shards.

    Every slide has one line, whatever was stopped or done twice: its files say what it has, and the last line in a ledger
    whether it failed.

    Args:
        layout: Of the folder, or of a shard.
        records: All shards.
        console: For the lines on the whole list.

    Raises:
        UserError: A table cannot be written, or a slide has neither a result nor a reason.
    """
    whole, command = RunLayout(layout.root), records[0].command
    slide_ids = listed_slides(records)
    # Who comes second waits and writes them again: the first may have read a ledger before its last line.
    with locked(whole.merge_lock, sweep=False, patience_s=_PATIENCE_S):
        failed = failures(line for line in read_all(whole) if line.stage in STAGES[command])
        if command == "predict":
            without_tiles = {slide_id for slide_id, line in failed.items() if line.stage == "tile"}
            reasons = {slide_id: line.reason for slide_id, line in failed.items()}
            write_batch_tables(slide_ids, whole, reasons, without_tiles, console)
            return
        tiled = [slide_id for slide_id in slide_ids if whole.tiles(slide_id).exists()]
        for line in write_adequacy_table(tiled, whole):
            console.print(Text(line), soft_wrap=True)


def shard_numbers(numbers: Sequence[int]) -> str:
    """Numbers of shards as words, such as ``shards 1, 2, 5 and 4 more``."""
    shown = ", ".join(str(number) for number in numbers[:5])
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"shard{'s' if len(numbers) > 1 else ''} {shown}{more}"
