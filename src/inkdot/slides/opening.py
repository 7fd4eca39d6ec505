"""Chooses the reader of a file by its content; extensions are not reliable."""

from pathlib import Path

from inkdot.errors import UnreadableSlideError
from inkdot.records import Slide, SlideEntry, SlideInfo
from inkdot.slides.native_opening import open_natively
from inkdot.slides.openslide_backend import OpenSlideSlide, openslide_vendor, unreadable
from inkdot.slides.plain_image import is_plain_image, open_plain_image, other_kind
from inkdot.slides.structure.native_structure import VENDORS
from inkdot.slides.structure.tiff_contents import colour_pages
from inkdot.slides.structure.tiff_limits import refuse_huge_tiles
from inkdot.slides.tile_checks import DamagedTileError, TileFiles, encoded_tiles


def open_slide(entry: SlideEntry, *, dct_scaling: bool = True) -> Slide:
    """Open a slide; close it when done (``contextlib.closing``).

    The µm/px of the entry override those of the file. SVS and TIFF slides of plain JPEG tiles are read by the native
    reader, all others by OpenSlide or as plain images; both readers give the same pixels (docs/explanation/decisions/0010).

    Args:
        entry: The slide.
        dct_scaling: Let :meth:`inkdot.records.ReducingSlide.read_reduced` downscale in the decoder, which is faster and
            differs by about one grey level from an area mean. False: every pixel is decoded.

    Raises:
        UnreadableSlideError: The file is missing, empty, damaged, or of a kind that no reader opens.
        MissingMppError: Neither the file nor the entry states µm/px.
        ImplausibleMppError: The µm/px of the file are implausible and the entry does not override them.
    """
    path = entry.path
    try:
        size = path.stat().st_size if path.is_file() else None
    except OSError as error:
        raise UnreadableSlideError(f"{path}: expected a slide file, found {error.strerror}") from None
    if size is None:
        found = "a folder" if path.is_dir() else "nothing there"
        raise UnreadableSlideError(f"{path}: expected a slide file, found {found}; correct the path")
    if size == 0:
        raise UnreadableSlideError(
            f"{path}: expected a slide file, found an empty one (0 bytes); copy it again"
        )
    try:
        path.open("rb").close()
    except OSError as error:  # locked, or on a disk that is gone
        raise UnreadableSlideError(
            f"{path}: expected a readable slide file, found: {error.strerror}; "
            "check its permissions and its disk"
        ) from None
    refuse_huge_tiles(path)
    if openslide_vendor(path) is None:
        if not is_plain_image(path):
            found = other_kind(path) or "a damaged file or a kind that no reader opens"
            raise UnreadableSlideError(
                f"{path}: expected a slide or an image (PNG, JPEG, TIFF), found {found}; "
                "copy it again, or export it as a pyramidal, tiled TIFF"
            )
        return open_plain_image(entry)
    slide = OpenSlideSlide(entry)
    try:
        native = open_natively(entry, slide.info, dct_scaling=dct_scaling)
        in_grey = native is None and slide.info.vendor in VENDORS and colour_pages(path) is not None
        if native is None and not in_grey:
            slide.check_contents()
            return slide
    except BaseException:
        slide.close()
        raise
    slide.close()
    # OpenSlide would take the red page for the slide.
    return open_plain_image(entry) if native is None else native


def check_sampled_tiles(path: Path, info: SlideInfo) -> None:
    """Decode some encoded tiles of every level, evenly spaced, whichever reader the slide has.

    What is read of a slide is checked by its reader; this shows beforehand whether its file is damaged at many places. Of formats
    that :func:`inkdot.slides.tile_checks.encoded_tiles` does not know, nothing is checked.

    Args:
        path: The slide file.
        info: Its metadata.

    Raises:
        UnreadableSlideError: A tile is damaged.
    """
    try:
        with TileFiles() as files:
            files.check_some(encoded_tiles(path, info))
    except DamagedTileError as error:
        raise unreadable(path, error, error.where) from None
