"""Free disk space, checked before a stage writes."""

import shutil
from pathlib import Path

from inkdot.errors import UserError

TABLE_BYTES_PER_SLIDE = 2_000_000
"""Upper estimate of the tile table, mask image and scores of one slide."""

IMAGE_BYTES_PER_SLIDE = 2_000_000
"""Upper estimate of the overview and heat map of one slide; about 1 MB where the whole slide is tissue."""

_SPARE_BYTES = 200 * 2**20


def free_bytes(folder: Path) -> int | None:
    """Free bytes on the disk of a folder that need not exist yet; None where the file system does not report them."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    usage = shutil.disk_usage(existing)
    return usage.free if usage.total else None


def check_free_disk(folder: Path, needed_bytes: int, what: str) -> None:
    """Refuse work that would fill the disk; 200 MiB are kept free.

    Args:
        folder: Output folder; need not exist yet.
        needed_bytes: Most bytes that will be written.
        what: What is written, for the message.

    Raises:
        UserError: There is less free disk space.
    """
    free = free_bytes(folder)
    if free is not None and free < needed_bytes + _SPARE_BYTES:
        raise UserError(
            f"{folder}: expected {readable_bytes(needed_bytes + _SPARE_BYTES)} of free disk for {what}, "
            f"found {readable_bytes(free)}; free disk space or choose another --out"
        )


def readable_bytes(count: float) -> str:
    """Format a number of bytes in decimal units, e.g. ``1.5 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
