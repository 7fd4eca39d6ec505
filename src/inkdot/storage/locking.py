"""Locks of output folders: one running stage per folder."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from inkdot.errors import UserError
from inkdot.storage.atomic import sweep_partials


@contextmanager
def locked(lock: Path) -> Generator[None, None, None]:
    """Hold the lock of an output folder; the operating system releases it when the process dies.

    Incomplete files in the folder are removed: those of earlier runs before the block, those of killed workers of this run
    after it.

    Args:
        lock: The lock file in the folder.

    Raises:
        UserError: Another process holds the lock, or the folder cannot be written.
    """
    folder = lock.parent
    held = FileLock(lock, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held.acquire()
    except Timeout:
        raise UserError(
            f"{folder}: expected a free output folder, found another inkdot working in it; "
            "wait for it or choose another --out"
        ) from None
    except OSError as error:  # read-only, full, or the path is a file
        raise UserError(
            f"{folder}: expected a folder that can be written, found {error.strerror or error}; choose another --out"
        ) from None
    try:
        sweep_partials(folder, lock.name)
        try:
            yield
        finally:
            sweep_partials(folder, lock.name)
    finally:
        held.release()
