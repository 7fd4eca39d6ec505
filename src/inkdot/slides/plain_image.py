"""Plain pictures: PNG, JPEG and flat TIFF, as microscope cameras and exports write them.

They have no pyramid and are held in memory. Their own resolution, if any, is that of a screen or a printer, so the
µm/px must be stated; only a TIFF's OME-XML and its resolution per centimetre are believed, within the plausible range.
"""

import io
import math
import warnings
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from inkdot.errors import UnreadableSlideError
from inkdot.records import Mpp, RgbArray, SlideEntry
from inkdot.slides.array_slide import MemorySlide, pyramid_of
from inkdot.slides.mpp import mpp_from_ome, settle_mpp
from inkdot.slides.pixels import on_white
from inkdot.slides.quality_warnings import background_caution, profile_caution
from inkdot.slides.synthetic_flag import says_synthetic
from inkdot.units import MicrometresPerPixel

LARGEST_PX: Final = 178_956_970
"""Pixels of a picture that is held in memory; Pillow's own limit against image bombs."""

_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"II*\x00": "tiff",
    b"MM\x00*": "tiff",
    b"II+\x00": "tiff",
    b"MM\x00+": "tiff",
}
_EIGHT_BIT_MODES = frozenset(
    {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"}
)
_COARSE_LEVELS = (1, 4, 16)
_IMAGE_DESCRIPTION, _RESOLUTION_UNIT, _X_RESOLUTION, _Y_RESOLUTION = 270, 296, 282, 283
_CENTIMETRE = 3
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, ArithmeticError, LookupError, TypeError)
"""What Pillow raises on damaged files, by format and by the place of the damage."""


def is_plain_picture(path: Path) -> bool:
    """True where the file begins like a PNG, JPEG or TIFF, whatever its extension says."""
    with path.open("rb") as file:
        beginning = file.read(8)
    return any(beginning.startswith(mark) for mark in _BEGINNINGS)


def open_plain_picture(entry: SlideEntry) -> MemorySlide:
    """A plain picture as a slide.

    Raises:
        UnreadableSlideError: It is damaged, has too many pixels, or other than 8 bits per channel.
        MissingMppError: Nobody states its µm/px.
        ImplausibleMppError: See :func:`inkdot.slides.mpp.settle_mpp`.
    """
    path = entry.path
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of bombs at half of its limit, and of odd tags
            with Image.open(path, formats=("PNG", "JPEG", "TIFF")) as picture:
                _check(path, picture)
                mpp, source = settle_mpp(str(path), _mpp_in_tiff(picture), entry.mpp)
                rgb = _rgb(picture)
                cautions = (*_page_caution(picture), *profile_caution(_profile(picture)))
                description = _description(picture)
                vendor = f"plain {(picture.format or 'picture').lower()}"
    except Image.DecompressionBombError as error:
        raise _too_large(path, str(error)) from None
    except UnidentifiedImageError:
        raise UnreadableSlideError(
            f"{path}: expected a PNG, JPEG or TIFF picture of 8-bit RGB, found a damaged file or another kind of "
            "TIFF; export it again as 8-bit RGB"
        ) from None
    except MemoryError:
        raise _too_large(path, "more than memory holds") from None
    except _DAMAGE as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableSlideError(
            f"{path}: expected a whole picture, found a damaged one ({said}); copy or export it again"
        ) from None
    downsamples = [d for d in _COARSE_LEVELS if min(rgb.shape[:2]) >= d]
    return MemorySlide(
        pyramid_of(rgb, downsamples),
        mpp,
        slide_id=entry.slide_id,
        mpp_source=source,
        vendor=vendor,
        synthetic=says_synthetic(path, [description]),
        warnings=(*cautions, *background_caution(rgb)),
    )


def _check(path: Path, picture: Image.Image) -> None:
    width, height = picture.size
    if width * height > LARGEST_PX:
        raise _too_large(path, f"{width} x {height}")
    if picture.mode not in _EIGHT_BIT_MODES:
        raise UnreadableSlideError(
            f"{path}: expected 8 bits per channel, found pixels of kind {picture.mode}; export it as 8-bit RGB"
        )


def _too_large(path: Path, found: str) -> UnreadableSlideError:
    said = " ".join(found.split())
    return UnreadableSlideError(
        f"{path}: expected a plain picture of at most {LARGEST_PX:,} pixels, found too many ({said}); "
        "write it as a pyramidal, tiled TIFF"
    )


def _rgb(picture: Image.Image) -> RgbArray:
    """Pixels as stored, on white where transparent; the orientation tag of cameras is not applied."""
    if picture.mode in ("LA", "PA", "RGBA") or "transparency" in picture.info:
        return on_white(np.asarray(picture.convert("RGBA")))
    return np.array(picture.convert("RGB"))


def _profile(picture: Image.Image) -> ImageCms.ImageCmsProfile | None:
    data: object = picture.info.get("icc_profile")
    if not isinstance(data, bytes) or not data:
        return None
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(data))
    except (ImageCms.PyCMSError, OSError):
        return None


def _page_caution(picture: Image.Image) -> tuple[str, ...]:
    pages = int(getattr(picture, "n_frames", 1))
    return (f"only the first of {pages} pages is read",) if pages > 1 else ()


def _description(picture: Image.Image) -> str:
    if isinstance(picture, TiffImageFile):
        text = str(picture.tag_v2.get(_IMAGE_DESCRIPTION, ""))
        try:  # Pillow reads the tag as Latin-1; OME writes it in UTF-8
            return text.encode("latin-1").decode("utf-8")
        except UnicodeError:
            return text
    return str(picture.info.get("Description", ""))  # a PNG's text of that name


def _mpp_in_tiff(picture: Image.Image) -> Mpp | None:
    if not isinstance(picture, TiffImageFile):
        return None
    stated = mpp_from_ome(_description(picture))
    if stated is not None or picture.tag_v2.get(_RESOLUTION_UNIT) != _CENTIMETRE:
        return stated
    values: list[float] = []
    for tag in (_X_RESOLUTION, _Y_RESOLUTION):
        try:
            per_cm = float(picture.tag_v2[tag])
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            return None
        if not (math.isfinite(per_cm) and per_cm > 0):
            return None
        values.append(1e4 / per_cm)
    return Mpp(MicrometresPerPixel(values[0]), MicrometresPerPixel(values[1]))
