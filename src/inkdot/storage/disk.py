"""Is there room for what a stage is about to write?"""

import shutil
from pathlib import Path

from inkdot.errors import UserError

TABLES_BYTES_A_SLIDE = 2_000_000
"""What the tile table, the mask image and the scores of one slide take, on the generous side."""

IMAGES_BYTES_A_SLIDE = 2_000_000
"""What its overview and heat map take: a megabyte where all of the slide is tissue."""

_SPARE_BYTES = 200 * 2**20


def free_bytes(folder: Path) -> int | None:
    """Free bytes where a folder is or will be made; None where the file system does not say."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    usage = shutil.disk_usage(existing)
    return usage.free if usage.total else None


def check_free_disk(folder: Path, needed_bytes: int, what: str) -> None:
    """Refuse long work that would end in a full disk; 200 MiB are kept spare.

    Args:
        folder: Where the work writes; need not exist yet.
        needed_bytes: What it writes, at most.
        what: What that is, for the message.

    Raises:
        UserError: There is less room.
    """
    free = free_bytes(folder)
    if free is not None and free < needed_bytes + _SPARE_BYTES:
        raise UserError(
            f"{folder}: expected {in_words(needed_bytes + _SPARE_BYTES)} of free disk for {what}, "
            f"found {in_words(free)}; make room or choose another --out"
        )


def in_words(count: float) -> str:
    """A number of bytes for people, in decimal units as disks are sold."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
