"""Atomic writes: temporary name, close, flush, rename, so that a file is complete or absent."""

import errno
import os
import re
import secrets
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from inkdot.errors import UserError

_PARTIAL = re.compile(r"\..*\.[0-9a-f]{8}\.partial(\.[^.]+)?", re.DOTALL)
_LONGEST_STEM_BYTES = 100
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})


@contextmanager
def atomic_path(path: Path) -> Generator[Path, None, None]:
    """Give a temporary path beside ``path``, which is renamed to ``path`` when the block ends without an error.

    The temporary name ends in the suffix of ``path``, because some writers choose the format by it, and starts with a dot,
    so that readers skip it. It is removed on an error.

    Raises:
        UserError: The folder cannot be made, nothing can be written there, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{path.parent}: expected a folder that can be written, found {error.strerror}; choose another --out"
        ) from None
    # A slide name may be nearly as long as the file system allows, and this one is longer.
    stem = path.stem.encode("utf-8")[:_LONGEST_STEM_BYTES].decode("utf-8", "ignore")
    temporary = path.with_name(f".{stem}.{secrets.token_hex(4)}.partial{path.suffix}")
    try:
        yield temporary
        with temporary.open("r+b") as file:  # Windows flushes only what is open for writing
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        # The block reads other files too; their errors are handled by the caller.
        ours = isinstance(error.filename, str) and Path(error.filename) == temporary
        if error.errno is None or not (ours or error.errno in _NO_ROOM):
            raise
        raise UserError(
            f"{path}: expected a writable file, found: {os.strerror(error.errno)}; "
            "make room, or choose another --out"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def sweep_partials(folder: Path, lock_name: str) -> int:
    """Remove temporary files that killed processes left, and return their number.

    This process must hold the lock of the folder, since files of running writers would be removed too. Subfolders with a
    lock of their own are skipped. Files that cannot be removed are left.

    Args:
        folder: The folder; its subfolders are included.
        lock_name: Name of lock files.
    """
    swept = 0
    for root, subfolders, names in os.walk(folder):
        if lock_name in names and Path(root) != folder:
            subfolders.clear()
            continue
        for name in names:
            if _PARTIAL.fullmatch(name):
                with suppress(OSError):
                    Path(root, name).unlink()
                    swept += 1
    return swept


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 text file atomically; line ends are kept."""
    write_bytes(path, text.encode("utf-8"))
