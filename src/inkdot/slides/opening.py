"""Which reader opens a file. Decided by content, since extensions lie."""

from inkdot.errors import UnreadableSlideError
from inkdot.records import Slide, SlideEntry
from inkdot.slides.openslide_backend import OpenSlideSlide


def open_slide(entry: SlideEntry) -> Slide:
    """Open a slide; close it when done (``contextlib.closing``).

    The entry's µm/px override the file's.

    Raises:
        UnreadableSlideError: The file is missing, empty, damaged, or of a kind that no reader opens.
        MissingMppError: Neither the file nor the entry states µm/px.
        ImplausibleMppError: The file's µm/px are implausible and the entry does not override them.
    """
    path = entry.path
    try:
        size = path.stat().st_size if path.is_file() else None
    except OSError as error:
        raise UnreadableSlideError(f"{path}: expected a slide file, found {error.strerror}") from None
    if size is None:
        found = "a folder" if path.is_dir() else "nothing there"
        raise UnreadableSlideError(f"{path}: expected a slide file, found {found}; correct the column path")
    if size == 0:
        raise UnreadableSlideError(
            f"{path}: expected a slide file, found an empty one (0 bytes); copy it again"
        )
    return OpenSlideSlide(entry)
