"""Locks of output folders: one running stage per folder."""

import errno
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout
from rich.console import Console
from rich.text import Text

from inkdot.errors import UserError
from inkdot.storage.atomic import sweep_partials

_NO_LOCKS: Final = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP})
_PATIENCE_S: Final = 2.0


@contextmanager
def locked(
    lock: Path, others: Sequence[Path] = (), *, sweep: bool = True, patience_s: float = 0.0
) -> Generator[None, None, None]:
    """Hold the lock of an output folder; the operating system releases it when the process dies.

    Incomplete files in the folder are removed: those of earlier runs before the block, those of killed workers of this run
    after it. On a file system without locks a line says so, nothing is held, and nothing is removed.

    Args:
        lock: The lock file in the folder.
        others: Locks that nobody may hold meanwhile. Who takes its own first and then looks at the others cannot run beside
            one that does the same the other way round.
        sweep: Remove incomplete files; False where others may write in the folder.
        patience_s: How long to wait for the lock, in seconds.

    Raises:
        UserError: Another process holds a lock, or the folder cannot be written.
    """
    folder = lock.parent
    held = FileLock(lock, timeout=patience_s)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held.acquire()
    except Timeout:
        raise _taken(folder) from None
    except (OSError, NotImplementedError) as error:
        if not (isinstance(error, NotImplementedError) or error.errno in _NO_LOCKS):
            # Read-only, full, or the path is a file.
            raise UserError(
                f"{folder}: expected a folder that can be written, found {error.strerror or error}; choose another --out"
            ) from None
        Console(stderr=True).print(
            Text(
                f"{folder}: this file system has no locks: start no second inkdot on the same folder or shard"
            ),
            soft_wrap=True,
        )
        yield
        return
    try:
        for other in others:
            _require_free(other)
        if sweep:
            sweep_partials(folder, lock.name)
        try:
            yield
        finally:
            if sweep:
                sweep_partials(folder, lock.name)
    finally:
        held.release()


def is_held(lock: Path) -> bool:
    """Whether a process holds a lock; False where the file system has no locks."""
    try:
        _require_free(lock, patience_s=0)
    except UserError:
        return True
    return False


def _require_free(lock: Path, patience_s: float = _PATIENCE_S) -> None:
    """Wait shortly for a lock, since others look at it in the same way; then release it."""
    if not lock.is_file():
        return
    held = FileLock(lock, timeout=patience_s)
    try:
        held.acquire()
    except Timeout:
        raise _taken(lock.parent) from None
    except (OSError, NotImplementedError):
        return  # it cannot be asked, for example where another user holds the folder
    held.release()


def _taken(folder: Path) -> UserError:
    return UserError(
        f"{folder}: expected a free output folder, found another inkdot working in it; wait for it or choose another --out"
    )
