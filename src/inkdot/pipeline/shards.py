"""Shards: several processes, as of a SLURM job array, work on parts of one list and write into one folder.

Each slide belongs to one shard, by its place in the list. A shard has a ledger and a lock of its own; the files of a slide are
written atomically and are the same whoever writes them. The tables of the whole list are written when the last shard ends.
"""

import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rich.console import Console
from rich.text import Text

from inkdot.errors import StorageError, UserError
from inkdot.records import SlideEntry
from inkdot.storage.atomic import write_text
from inkdot.storage.hashing import json_sha256
from inkdot.storage.layout import RunLayout
from inkdot.storage.record_json import first_error

SHARD_VERSION = "inkdot.shard/1"
MOST_SHARDS: Final = 100_000
Command = Literal["tile", "embed", "predict"]


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of a list.

    Attributes:
        index: From 1.
        count: Number of parts.
    """

    index: int
    count: int

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.index}-of-{self.count}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read ``i/n``; None for ``1/1``, which is the whole list.

        Raises:
            UserError: It is no such text, or ``i`` is not between 1 and ``n``.
        """
        index, slash, count = text.strip().partition("/")
        if not (
            slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count) <= MOST_SHARDS
        ):
            raise UserError(f"--shard: expected i/n with i from 1 to n, such as 3/8, found {text!r}")
        return cls(int(index), int(count)) if int(count) > 1 else None

    @classmethod
    def of_job_array(cls, environment: Mapping[str, str]) -> Self | None:
        """The shard of a task of a SLURM job array; None outside of one, and in an array of one task.

        The array's IDs may start anywhere and have a step (``--array=0-70:10``), but must be evenly spaced.

        Raises:
            UserError: The IDs are not evenly spaced.
        """
        names = (
            "SLURM_ARRAY_TASK_ID",
            "SLURM_ARRAY_TASK_MIN",
            "SLURM_ARRAY_TASK_MAX",
            "SLURM_ARRAY_TASK_COUNT",
        )
        try:
            own, low, high, count = (int(environment[name]) for name in names)
        except (KeyError, ValueError):
            return None
        if count < 2:
            return None
        step, rest = divmod(high - low, count - 1)
        index, off = divmod(own - low, step) if step else (0, 1)
        if rest or off:
            raise UserError(
                f"SLURM_ARRAY_TASK_ID: expected evenly spaced IDs to take a shard from, found {count} of {low} to {high}; "
                "use --array=1-N, or give --shard i/n (1/1: the whole list)"
            )
        return cls(index + 1, count)

    def entries(self, entries: Sequence[SlideEntry]) -> list[SlideEntry]:
        """The slides of this part: every ``count``-th of the list, so that shards differ by one slide at most."""
        return list(entries[self.index - 1 :: self.count])


class ShardRecord(BaseModel):
    """``shards/<i>-of-<n>/shard.json``: what a shard works on.

    Attributes:
        version: Of this file.
        command: The command.
        shard: From 1.
        shards: Number of shards.
        slide_ids: Its own slides, in the order of the list.
        listed: Number of slides of the list.
        list_sha256: Hash of all of them, in order.
        settings_sha256: Hash of what shapes the results: all shards must agree.
        host: Machine.
        pid: Process.
        job: SLURM's job, such as ``4711_3``; empty outside of SLURM.
        started: UTC, ISO 8601.
        ended: The same; None while it works, and where it was stopped.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal["inkdot.shard/1"] = SHARD_VERSION
    command: Command
    shard: int = Field(ge=1, le=MOST_SHARDS)
    shards: int = Field(ge=2, le=MOST_SHARDS)
    slide_ids: list[str]
    listed: int = Field(ge=0)
    list_sha256: str
    settings_sha256: str
    host: str
    pid: int
    job: str
    started: str
    ended: str | None = None


def begin_shard(
    layout: RunLayout, shard: Shard, command: Command, entries: Sequence[SlideEntry], settings: object
) -> ShardRecord:
    """Write the record of a shard that begins; its lock is held.

    Args:
        layout: Of the shard.
        shard: Which part.
        command: The command.
        entries: The whole list.
        settings: JSON value of what shapes the results.

    Raises:
        UserError: Another shard that has not ended works on another list, or with other settings.
    """
    environment = os.environ
    array = environment.get("SLURM_ARRAY_JOB_ID", "")
    record = ShardRecord(
        command=command,
        shard=shard.index,
        shards=shard.count,
        slide_ids=[entry.slide_id for entry in shard.entries(entries)],
        listed=len(entries),
        list_sha256=json_sha256([entry.slide_id for entry in entries]),
        settings_sha256=json_sha256(settings),
        host=socket.gethostname(),
        pid=os.getpid(),
        job=f"{array}_{environment.get('SLURM_ARRAY_TASK_ID', '')}" if array else "",
        started=_now(),
    )
    # Its own record is not read: a damaged one is replaced.
    for other in (_read(own) for own in layout.every_shard() if own.shard != shard.name):
        if other.ended is not None or not _same(other, record, "command", "shards"):
            continue
        for name, words in (("list_sha256", "slides"), ("settings_sha256", "settings")):
            if getattr(other, name) != getattr(record, name):
                raise UserError(
                    f"{layout.root}: expected the same {words} in every shard, found others in shard "
                    f"{other.shard}/{other.shards}, which has not ended; give all shards the same list and options, or remove "
                    f"the folder {layout.shards.name} to begin anew"
                )
    _write(layout, record)
    line = f"shard {shard.index}/{shard.count}: {len(record.slide_ids)} of {len(entries)} slides"
    Console(stderr=True).print(Text(line), soft_wrap=True)
    return record


def end_shard(layout: RunLayout, record: ShardRecord) -> None:
    """Note that a shard has ended: each of its slides is done or failed."""
    _write(layout, record.model_copy(update={"ended": _now()}))


def read_shards(layout: RunLayout) -> list[ShardRecord]:
    """The records of all shards, the latest command's first.

    Raises:
        StorageError: A record is damaged.
    """
    records = [_read(shard) for shard in layout.every_shard()]
    return sorted(records, key=lambda record: record.started, reverse=True)


def latest_shards(layout: RunLayout, like: ShardRecord | None = None) -> list[ShardRecord]:
    """The records that belong together with one: same command, number of shards, list and settings; by shard.

    Records of earlier lists are left out, so that they are never taken for shards of this one.

    Args:
        layout: Of the folder, or of a shard.
        like: The one; the one that began last where None.
    """
    records = read_shards(layout)
    names = ("command", "shards", "list_sha256", "settings_sha256")
    own = [record for record in records if _same(record, like or records[0], *names)]
    return sorted(own, key=lambda record: record.shard)


def unfinished_shards(records: Sequence[ShardRecord]) -> list[int]:
    """Numbers of the shards that have not ended, those that never began included."""
    if not records:
        return []
    ended = {record.shard for record in records if record.ended is not None}
    return [number for number in range(1, records[0].shards + 1) if number not in ended]


def listed_slides(records: Sequence[ShardRecord]) -> list[str]:
    """The slides of all shards in the order of the list; those of missing shards are missing."""
    if not records:
        return []
    count = records[0].shards
    places = {
        place * count + record.shard: slide_id
        for record in records
        for place, slide_id in enumerate(record.slide_ids)
    }
    return [places[place] for place in sorted(places)]


def _same(one: ShardRecord, other: ShardRecord, *names: str) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _read(layout: RunLayout) -> ShardRecord:
    path = layout.shard_json
    try:
        return ShardRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, ValidationError) as error:
        raise StorageError(
            f"{path}: expected the record of a shard, found an error: {first_error(error)[:200]}; run this shard again"
        ) from None


def _write(layout: RunLayout, record: ShardRecord) -> None:
    text = json.dumps(record.model_dump(mode="json"), indent=2, ensure_ascii=False)
    write_text(layout.shard_json, text + "\n")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
