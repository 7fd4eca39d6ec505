"""``ledger.jsonl``: the outcome of each slide in each stage. The only file with time stamps."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, cast

from inkdot.bounded_json import parse_json
from inkdot.errors import UserError
from inkdot.storage.layout import RunLayout

Outcome = Literal["done", "reused", "failed"]


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """Outcome of one slide in one stage.

    Attributes:
        stage: Name of the stage.
        slide_id: The slide.
        outcome: done, reused (an earlier result is still valid) or failed.
        seconds: Wall-clock seconds.
        reason: Why it failed, in one line; empty otherwise.
        time: When it was written, in UTC as ISO 8601; empty before.
    """

    stage: str
    slide_id: str
    outcome: Outcome
    seconds: float
    reason: str = ""
    time: str = field(default="", compare=False)


def append(path: Path, line: LedgerLine) -> None:
    """Append one line in a single write; a killed process leaves at most one incomplete line, which :func:`read` skips.

    Raises:
        UserError: The file is a link, which could lead to any file of the user.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {
        # Lines of several ledgers are put in order by it: seconds would leave a retry beside the failure that it mends.
        "time": datetime.now(UTC).isoformat(timespec="microseconds"),
        **{name: value for name, value in asdict(line).items() if name != "time"},
        "seconds": round(line.seconds, 3),
    }
    data = json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
    if path.is_symlink():
        raise UserError(
            f"{path}: expected a file, found a link, which could lead to any file of yours; delete it"
        )
    with open(path, "a+b", buffering=0, opener=_no_link) as file:
        if file.seek(0, os.SEEK_END) > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # end an incomplete line first
                data = b"\n" + data
        file.write(data)


def read_all(layout: RunLayout) -> list[LedgerLine]:
    """The lines of the folder and of all its shards, by time (seconds, in ledgers of earlier versions)."""
    paths = [RunLayout(layout.root).ledger, *(shard.ledger for shard in layout.every_shard())]
    return sorted((line for path in paths for line in read(path)), key=lambda line: line.time)


def failures(lines: Iterable[LedgerLine]) -> dict[str, LedgerLine]:
    """The line of each slide that failed in some stage and was not processed there since, by slide_id."""
    last = {(line.slide_id, line.stage): line for line in lines}
    return {line.slide_id: line for line in last.values() if line.outcome == "failed"}


def _no_link(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def read(path: Path) -> Iterator[LedgerLine]:
    """Read the lines in the order of writing; incomplete lines are skipped."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for text in file:
            try:
                record = cast("dict[str, object]", parse_json(text))
                yield LedgerLine(
                    stage=str(record["stage"]),
                    slide_id=str(record["slide_id"]),
                    outcome=cast(Outcome, record["outcome"]),
                    seconds=float(cast(float, record["seconds"])),
                    reason=str(record["reason"]),
                    time=str(record.get("time", "")),
                )
            except (KeyError, TypeError, ValueError):
                continue
