"""Writing files so that a name never stands for half a file: temporary name, close, flush, rename."""

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
    """A temporary path beside ``path`` to write to; renamed to ``path`` when the block ends without an error.

    The temporary name ends in the suffix of ``path``, since some writers choose their format by it, and
    starts with a dot, so that no reader takes it for a finished file. On an error it is removed.

    Raises:
        UserError: The folder cannot be made, nothing can be written there, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{path.parent}: expected a folder that can be written, found {error.strerror}; choose another --out"
        ) from None
    # A slide's name may nearly fill what the file system allows, and this one is longer.
    stem = path.stem.encode("utf-8")[:_LONGEST_STEM_BYTES].decode("utf-8", "ignore")
    temporary = path.with_name(f".{stem}.{secrets.token_hex(4)}.partial{path.suffix}")
    try:
        yield temporary
        with temporary.open("r+b") as file:  # Windows flushes only what is open for writing
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        # Within the block other files are read too; their errors are somebody else's to explain.
        ours = isinstance(error.filename, str) and Path(error.filename) == temporary
        if error.errno is None or not (ours or error.errno in _NO_ROOM):
            raise
        raise UserError(
            f"{path}: expected a region to write to, found: {os.strerror(error.errno)}; "
            "make room, or choose another --out"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def sweep_partials(folder: Path, lock_name: str) -> int:
    """Remove what killed processes left under temporary names, and say how many there were.

    Only for a folder that this process holds the lock of: a living writer's file would go as well. For that reason
    subfolders with a lock of their own are passed over. What cannot be removed stops nobody.
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
    """Write a whole UTF-8 text file atomically, with the line ends it has."""
    write_bytes(path, text.encode("utf-8"))
