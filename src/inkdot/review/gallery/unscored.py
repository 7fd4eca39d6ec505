"""A slide without scores whose file opens all the same: it can be looked at, answered and marked as any other."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from inkdot.errors import InkdotError
from inkdot.records import BoundsL0, SlideEntry, SlideInfo
from inkdot.review.gallery.card_images import crop_to_bounds, image_name, jpeg_bytes, jpeg_size
from inkdot.review.gallery.fields import OVERVIEW_PX
from inkdot.review.gallery.slide_review import SlideReview
from inkdot.review.results.scored_slide import SlideFrame
from inkdot.slides import open_slide
from inkdot.storage.atomic import write_bytes
from inkdot.storage.hashing import slide_fingerprint
from inkdot.units import Level0Px


def with_file_frame(review: SlideReview, entry: SlideEntry) -> SlideReview:
    """The review with size and scale from the file; as it is where it has scores or the file does not open.

    A file without a scale does not open: no length on it could be given.
    """
    if review.facts is not None:
        return review
    try:
        with closing(open_slide(entry)) as slide:
            frame = _frame(slide.info, review.slide_id)
        return replace(review, frame=frame, file_fingerprint=slide_fingerprint(entry.path))
    except (InkdotError, OSError):
        return review


def with_file_overview(review: SlideReview, entry: SlideEntry, tiles: Path) -> SlideReview:
    """As :func:`with_file_frame`, with the image of the whole slide in a folder.

    Args:
        review: A slide without scores.
        entry: The slide.
        tiles: The folder of the page's images.
    """
    found = with_file_frame(review, entry)
    if found.frame is None:
        return review
    name = overview_name(found)
    try:
        if not (tiles / name).exists():
            with closing(open_slide(entry)) as slide:
                pixels = crop_to_bounds(slide.thumbnail(OVERVIEW_PX), found.frame)
            write_bytes(tiles / name, jpeg_bytes(pixels))
        return replace(found, overview=name, overview_size_px=jpeg_size(tiles / name))
    except InkdotError:
        return review


def overview_name(review: SlideReview) -> str:
    """File name of the overview: another one once the file is another."""
    return image_name(review.slide_id, review.file_fingerprint, "overview", OVERVIEW_PX)


def _frame(info: SlideInfo, name: str) -> SlideFrame:
    width, height = info.size_l0_px
    whole = BoundsL0(Level0Px(0), Level0Px(0), width, height)
    return SlideFrame(
        name, info.size_l0_px, info.mpp, info.mpp_source, info.bounds_l0_px or whole, info.synthetic
    )
