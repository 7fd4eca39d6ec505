"""``ledger.jsonl``: what happened to each slide in each stage. The only region with time stamps."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, cast

Outcome = Literal["done", "reused", "failed"]


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One thing that happened.

    Attributes:
        stage: The stage's name.
        slide_id: The slide.
        outcome: done, reused (an earlier result still fits) or failed.
        seconds: Wall-clock seconds it took.
        reason: Why it failed, in one line; empty otherwise.
    """

    stage: str
    slide_id: str
    outcome: Outcome
    seconds: float
    reason: str = ""


def append(path: Path, line: LedgerLine) -> None:
    """Add one line in a single write: a kill leaves at most one torn line, which reading skips."""
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        **asdict(line),
        "seconds": round(line.seconds, 3),
    }
    data = json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
    with path.open("a+b", buffering=0) as file:
        if file.seek(0, os.SEEK_END) > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # else the torn line would swallow this one
                data = b"\n" + data
        file.write(data)


def read(path: Path) -> Iterator[LedgerLine]:
    """The lines in the order they were written; torn lines are skipped."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for text in file:
            try:
                record = cast("dict[str, object]", json.loads(text))
                yield LedgerLine(
                    stage=str(record["stage"]),
                    slide_id=str(record["slide_id"]),
                    outcome=cast(Outcome, record["outcome"]),
                    seconds=float(cast(float, record["seconds"])),
                    reason=str(record["reason"]),
                )
            except (json.JSONDecodeError, KeyError, TypeError, ValueError):
                continue
