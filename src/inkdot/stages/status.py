"""``inkdot status`` and ``inkdot merge``: how far a batch is, and the tables of a list that was processed in shards."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from inkdot.errors import UserError
from inkdot.pipeline.batch_status import BatchStatus, batch_status
from inkdot.pipeline.merge_shards import merge, shard_numbers
from inkdot.pipeline.shards import latest_shards, unfinished_shards
from inkdot.storage.layout import RunLayout

_SHOWN: Final = 10


def run(out: Path, *, as_json: bool = False) -> int:
    """Print how far a batch is.

    Args:
        out: The ``--out`` of `tile`, `embed` or `predict`.
        as_json: Print JSON to stdout instead of a table.

    Returns:
        0 when every slide has a result and the tables are written, else 1.

    Raises:
        UserError: It is no such folder.
    """
    status = batch_status(out)
    if as_json:
        Console().out(json.dumps(status.as_json(), indent=2, ensure_ascii=False), highlight=False)
    else:
        _print(status, out, Console())
    return 0 if status.complete else 1


def run_merge(out: Path) -> int:
    """Write the tables of a list of which all shards have ended.

    Args:
        out: The ``--out`` of the shards.

    Returns:
        0.

    Raises:
        UserError: The folder has no shards, some have not ended, or a table cannot be written.
    """
    layout = RunLayout(out)
    records = latest_shards(layout)
    if not records:
        raise UserError(
            f"{out}: expected a folder that `inkdot predict --shard i/n` (or tile, or embed) wrote to, found no shards in it; "
            "without shards a command writes the tables itself"
        )
    if waiting := unfinished_shards(records):
        raise UserError(
            f"{out}: expected {records[0].shards} shards that have ended, found {shard_numbers(waiting)} not ended; run "
            f"`inkdot {records[0].command} --shard i/{records[0].shards}` for each"
        )
    merge(layout, records, Console(stderr=True))
    return 0


def _print(status: BatchStatus, out: Path, console: Console) -> None:
    failed = len(status.failures)
    console.print(
        Text(
            f"{status.command}: {status.done} of {status.slides} slides done, {failed} failed, {status.pending} to do"
            + _remaining(status)
        ),
        soft_wrap=True,
    )
    if status.shards[0].shard:
        console.print(_shard_table(status))
        if not status.merged and all(shard.state == "ended" for shard in status.shards):
            console.print(
                Text(
                    f"all shards have ended; the tables of the whole list are not written: run `inkdot merge {out}`"
                ),
                soft_wrap=True,
            )
    if not status.failures:
        return
    table = Table(title="Failed slides", title_justify="left")
    for name in ("slide", "stage", "reason"):
        table.add_column(name, overflow="fold")
    for line in status.failures[:_SHOWN]:
        table.add_row(Text(line.slide_id), Text(line.stage), Text(line.reason))
    console.print(table)
    if failed > _SHOWN:
        console.print(f"and {failed - _SHOWN} more: `inkdot status --json` lists all")


def _shard_table(status: BatchStatus) -> Table:
    table = Table(title="Shards", title_justify="left")
    for name in ("shard", "state", "slides", "done", "failed", "last line", "machine", "job"):
        table.add_column(name, justify="right" if name in ("slides", "done", "failed") else "left")
    for shard in status.shards:
        slides = "" if shard.slides is None else str(shard.slides)
        cells = [shard.shard, shard.state, slides, str(shard.done), str(shard.failed), _ago(shard.last)]
        table.add_row(*(Text(cell) for cell in (*cells, shard.host, shard.job)))
    return table


def _remaining(status: BatchStatus) -> str:
    if status.slides_per_hour is None:
        return ""
    hours = status.pending / status.slides_per_hour
    left = (
        ""
        if not status.pending
        else f"; about {hours:.1f} h left"
        if hours >= 1
        else f"; about {hours * 60:.0f} min left"
    )
    return f"; {status.slides_per_hour:.0f} slides per hour{left}"


def _ago(time: str) -> str:
    """Seconds, minutes or hours since a moment, as words."""
    try:
        seconds = (datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds()
    except ValueError:
        return ""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{max(seconds, 0):.0f} s ago"
