"""Opens a slide only where it is the file that an earlier stage read: a name may lead to another file by now."""

from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from inkdot.errors import UnreadableSlideError
from inkdot.records import Slide, SlideEntry
from inkdot.slides.opening import open_slide
from inkdot.storage.hashing import slide_fingerprint


class SameFile:
    """Watches that a path leads to one file while it is read.

    Args:
        path: The slide file.
        expected: Fingerprint that an earlier stage recorded; None or blank for whatever file is there now.

    Attributes:
        fingerprint: Of the file now; None where it cannot be read, of which opening it gives the reason.

    Raises:
        UnreadableSlideError: It is another file than expected.
    """

    def __init__(self, path: Path, expected: str | None = None) -> None:
        self._path = path
        self._state = _state(path)
        self.fingerprint = _fingerprint(path)
        if expected and self.fingerprint not in (None, expected):
            raise _other(path)

    def check(self) -> None:
        """Check at the end of reading. The content is compared only where size, time or place of the file have changed.

        Raises:
            UnreadableSlideError: The file was replaced.
        """
        if _state(self._path) != self._state and _fingerprint(self._path) != self.fingerprint:
            raise _other(self._path)


@contextmanager
def open_unchanged(
    entry: SlideEntry, fingerprint: str | None, *, dct_scaling: bool = True
) -> Generator[Slide]:
    """An open slide, within the block, of which an earlier stage recorded the fingerprint.

    Args:
        entry: The slide.
        fingerprint: As recorded; None or blank where it was not.
        dct_scaling: See :func:`inkdot.slides.open_slide`.

    Raises:
        UnreadableSlideError: The file is another one, or was replaced before the block ended, or is not readable.
        SlideError: As of :func:`inkdot.slides.open_slide`.
    """
    file = SameFile(entry.path, fingerprint)
    with closing(open_slide(entry, dct_scaling=dct_scaling)) as slide:
        yield slide
    file.check()


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino


def _fingerprint(path: Path) -> str | None:
    try:
        return slide_fingerprint(path)
    except OSError:
        return None


def _other(path: Path) -> UnreadableSlideError:
    return UnreadableSlideError(
        f"{path}: expected the file that was tiled, found another one under its name; "
        "run the command that tiles it (`inkdot tile`, `train` or `predict`) again, and leave the slides in place meanwhile"
    )
