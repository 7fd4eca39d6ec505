"""An output folder belongs to one running stage at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from inkdot.errors import UserError


@contextmanager
def locked(lock: Path) -> Iterator[None]:
    """Hold the lock of an output folder; the operating system frees it should the process die.

    Raises:
        UserError: Another process holds it, or the folder cannot be written.
    """
    folder = lock.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=0):
            yield
    except Timeout:
        raise UserError(f"{folder}: expected a free output folder, found another inkdot working in it; wait for it or choose another --out") from None
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise UserError(f"{folder}: expected a folder that can be written: {error.strerror}; choose another --out") from None
