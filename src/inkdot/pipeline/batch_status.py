"""How far a batch is: slides by outcome, by shard, and how fast it goes; from records and ledgers alone."""

import csv
from collections.abc import Sequence, Set
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from inkdot.errors import StorageError
from inkdot.pipeline.merge_shards import STAGES
from inkdot.pipeline.shards import Command, ShardRecord, latest_shards, unfinished_shards
from inkdot.storage.layout import RunLayout
from inkdot.storage.ledger import LedgerLine, failures, read, read_all
from inkdot.storage.locking import is_held

State = Literal["ended", "working", "not ended", "not begun"]


@dataclass(frozen=True, slots=True)
class ShardStatus:
    """One shard, or the whole list where it was not sharded.

    Attributes:
        shard: ``i/n``; empty for the whole list.
        state: ``working`` where its lock is held; ``not ended`` where it was stopped, or works on a file system without locks.
        slides: Number of its slides; None where it has not begun.
        done: Slides with a result.
        failed: Slides without, and with a reason.
        last: When its ledger was last written, UTC, ISO 8601; empty where it has none.
        host: Machine; empty where unknown.
        job: Job of SLURM; empty outside of it.
    """

    shard: str
    state: State
    slides: int | None
    done: int
    failed: int
    last: str = ""
    host: str = ""
    job: str = ""


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """A whole batch.

    Attributes:
        command: What was run last.
        slides: Number of slides of the list.
        shards: All shards, by number.
        failures: The last line of each slide that failed.
        slides_per_hour: Over all shards, from the first to the last line of their ledgers; None for less than two slides.
        merged: Whether ``predictions.csv`` (``assessment.csv`` where nothing was predicted) is newer than every shard's end.
    """

    command: Command
    slides: int
    shards: list[ShardStatus]
    failures: list[LedgerLine]
    slides_per_hour: float | None
    merged: bool

    @property
    def done(self) -> int:
        """Slides with a result."""
        return sum(shard.done for shard in self.shards)

    @property
    def pending(self) -> int:
        """Slides with neither result nor reason."""
        return self.slides - self.done - sum(shard.failed for shard in self.shards)

    @property
    def complete(self) -> bool:
        """Every slide has a result, and the tables of the whole list are written."""
        return self.merged and not self.pending and not self.failures

    def as_json(self) -> dict[str, object]:
        """The same as a JSON value."""
        return {
            "command": self.command,
            "slides": self.slides,
            "done": self.done,
            "failed": len(self.failures),
            "pending": self.pending,
            "complete": self.complete,
            "merged": self.merged,
            "slides_per_hour": self.slides_per_hour,
            "shards": [asdict(shard) for shard in self.shards],
            "failures": [
                {"slide_id": line.slide_id, "stage": line.stage, "reason": line.reason, "time": line.time}
                for line in self.failures
            ],
        }


def batch_status(out: Path) -> BatchStatus:
    """Read how far a batch is; no slide and no result is opened.

    Args:
        out: The ``--out`` of `tile`, `embed` or `predict`.

    Raises:
        StorageError: It is no such folder, or a record is damaged.
    """
    layout = RunLayout(out)
    records, lines = latest_shards(layout), read_all(layout)
    # A folder may have been run as a whole since its shards ended.
    if records and not _run_since(records, list(read(layout.ledger))):
        return _of_shards(layout, records, lines)
    if not (layout.ledger.is_file() and layout.slides_csv.is_file()):
        raise StorageError(
            f"{out}: expected the --out folder of `inkdot tile`, `embed` or `predict`, found no {layout.ledger.name} with a "
            f"{layout.slides_csv.name}; name that folder"
        )
    command = _command({line.stage for line in lines})
    slide_ids = _listed(layout)
    done, failed = _outcomes(slide_ids, lines, command)
    last = max((line.time for line in lines), default="")
    state: State = (
        "working"
        if is_held(layout.lock)
        else "ended"
        if len(slide_ids) == done + len(failed)
        else "not ended"
    )
    whole = ShardStatus("", state, len(slide_ids), done, len(failed), last)
    table = layout.predictions_csv if command == "predict" else layout.assessment_csv
    return BatchStatus(command, len(slide_ids), [whole], failed, _speed(lines, command), table.is_file())


def _command(stages: Set[str]) -> Command:
    """The command that wrote lines of these stages."""
    if stages & {"predict", "clusters"}:
        return "predict"
    return "embed" if stages & {"embed", "import"} else "tile"


def _of_shards(layout: RunLayout, records: Sequence[ShardRecord], lines: Sequence[LedgerLine]) -> BatchStatus:
    command, count = records[0].command, records[0].shards
    began = {record.shard: record for record in records}
    shards: list[ShardStatus] = []
    failed: list[LedgerLine] = []
    for number in range(1, count + 1):
        record = began.get(number)
        if record is None:
            shards.append(ShardStatus(f"{number}/{count}", "not begun", None, 0, 0))
            continue
        own = RunLayout(layout.root, f"{number}-of-{count}")
        done, own_failed = _outcomes(record.slide_ids, lines, command)
        failed += own_failed
        last = max((line.time for line in read(own.ledger)), default="")
        state: State = "ended" if record.ended else "working" if is_held(own.lock) else "not ended"
        shards.append(
            ShardStatus(
                f"{number}/{count}",
                state,
                len(record.slide_ids),
                done,
                len(own_failed),
                last,
                record.host,
                record.job,
            )
        )
    table = layout.predictions_csv if command == "predict" else layout.assessment_csv
    # By the times of files alone: on a shared folder they are those of its server, whose clock may be another.
    ends = [_written(RunLayout(layout.root, f"{record.shard}-of-{count}").shard_json) for record in records]
    merged = not unfinished_shards(records) and _written(table) >= max(ends)
    return BatchStatus(command, records[0].listed, shards, failed, _speed(lines, command), merged)


def _run_since(records: Sequence[ShardRecord], whole: Sequence[LedgerLine]) -> bool:
    return bool(whole) and max(line.time for line in whole) > max(
        record.ended or record.started for record in records
    )


def _outcomes(
    slide_ids: Sequence[str], lines: Sequence[LedgerLine], command: Command
) -> tuple[int, list[LedgerLine]]:
    """Number of slides with a result, and the lines of those that failed."""
    stages, own = STAGES[command], set(slide_ids)
    relevant = [line for line in lines if line.stage in stages and line.slide_id in own]
    failed = failures(relevant)
    last_stage = {line.slide_id for line in relevant if line.stage in (stages[-1], "import")}
    return len(last_stage - failed.keys()), [failed[name] for name in sorted(failed)]


def _speed(lines: Sequence[LedgerLine], command: Command) -> float | None:
    stages = STAGES[command]
    times = sorted(line.time for line in lines if line.stage == stages[-1] and line.outcome == "done")
    if len(times) < 2:
        return None
    hours = (_moment(times[-1]) - _moment(min(line.time for line in lines))).total_seconds() / 3600
    return len(times) / hours if hours > 0 else None


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.now(UTC)


def _written(path: Path) -> int:
    """When a file was written, in nanoseconds; 0 where it is missing."""
    return path.stat().st_mtime_ns if path.is_file() else 0


def _listed(layout: RunLayout) -> list[str]:
    with layout.slides_csv.open(encoding="utf-8-sig", newline="", errors="replace") as file:
        return [row["slide_id"] for row in csv.DictReader(file) if row.get("slide_id")]
