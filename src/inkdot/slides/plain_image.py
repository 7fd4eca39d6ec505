"""Plain images: PNG, JPEG and flat TIFF, as written by microscope cameras and exports.

They have no pyramid and are held in memory. Their resolution tags usually are those of a screen or printer, so the µm/px must
be stated; only OME-XML and the resolution per centimetre of a TIFF are used, within the plausible range.
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
from inkdot.slides.array_slide import ArraySlide, pyramid_of
from inkdot.slides.mpp import mpp_from_ome, resolve_mpp
from inkdot.slides.pixels import on_white
from inkdot.slides.quality_warnings import (
    GREY,
    background_warnings,
    orientation_warnings,
    pages_warnings,
    profile_warnings,
)
from inkdot.slides.structure.jpeg_stream import decode_strictly
from inkdot.slides.structure.png_chunks import check_png_chunks
from inkdot.slides.structure.tiff_contents import check_tiff_streams, colour_pages, tiff_warnings
from inkdot.slides.structure.tiff_limits import rare_compression, unknown_compression
from inkdot.slides.synthetic_flag import is_marked_synthetic
from inkdot.units import MicrometresPerPixel

LARGEST_PX: Final = 178_956_970
"""Maximum number of pixels of an image; Pillow's limit against decompression bombs."""

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
_GREY_MODES = frozenset({"1", "L", "LA"})
_TURNED_BACK: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""Inverse of what Pillow does by the tag Orientation of a TIFF, and of no other format."""

_COARSE_LEVELS = (1, 4, 16)
_PNG_BITS_AT = 24
_ORIENTATION = 274
_IMAGE_DESCRIPTION, _RESOLUTION_UNIT, _X_RESOLUTION, _Y_RESOLUTION = 270, 296, 282, 283
_CENTIMETRE = 3
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, ArithmeticError, LookupError, TypeError)
"""Errors of Pillow on damaged files, which depend on the format and the position of the damage."""


_OTHER_KINDS: Final = (
    (0, b"GIF8", "a GIF"), (8, b"WEBP", "a WebP image"), (4, b"jP  \r\n", "a JPEG 2000 image"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 image"), (4, b"JXL \r\n", "a JPEG XL image"), (0, b"\xff\x0a", "a JPEG XL image"),
    (0, b"BM", "a BMP"), (4, b"ftyp", "a film, HEIC or AVIF image"),
    (0, b"%PDF", "a PDF"), (0, b"PK\x03\x04", "a ZIP archive"), (0, b"\x89HDF", "an HDF5 file"),
    (0, b"\x1f\x8b", "a gzip archive"),
)  # fmt: skip
"""Beginnings of files that are mistaken for slides: where, what, and its name."""


def other_kind(path: Path) -> str:
    """What a file is that no reader opens, by its first bytes; empty where that is not known."""
    with path.open("rb") as file:
        beginning = file.read(32)
    return next((name for at, mark, name in _OTHER_KINDS if beginning[at : at + len(mark)] == mark), "")


def is_plain_image(path: Path) -> bool:
    """Whether a file starts as a PNG, JPEG or TIFF, whatever its extension."""
    with path.open("rb") as file:
        beginning = file.read(8)
    return any(beginning.startswith(mark) for mark in _BEGINNINGS)


def open_plain_image(entry: SlideEntry) -> ArraySlide:
    """Open a plain image as a slide.

    Raises:
        UnreadableSlideError: It is damaged, has too many pixels, or not 8 bits per channel.
        MissingMppError: Neither the entry nor the file states its µm/px.
        ImplausibleMppError: See :func:`inkdot.slides.mpp.resolve_mpp`.
    """
    path = entry.path
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns at half of its limit, and of unusual tags
            with Image.open(path, formats=("PNG", "JPEG", "TIFF")) as image:
                _check(path, image)
                mpp, source = resolve_mpp(str(path), _mpp_in_tiff(image), entry.mpp)
                metadata_warnings = (*_contents_warnings(path, image), *profile_warnings(_profile(image)))
                rgb = _rgb(path, image)
                description = _description(image)
                vendor = f"plain {(image.format or 'image').lower()}"
    except Image.DecompressionBombError as error:
        raise _too_large(path, str(error)) from None
    except UnidentifiedImageError:
        if compression := rare_compression(path):
            raise unknown_compression(path, compression) from None
        raise UnreadableSlideError(
            f"{path}: expected a PNG, JPEG or TIFF image of 8-bit RGB, found a damaged file or another kind of "
            "TIFF; export it again as 8-bit RGB"
        ) from None
    except MemoryError:
        raise _too_large(path, "more than memory holds") from None
    except _DAMAGE as error:
        if compression := rare_compression(path):
            raise unknown_compression(path, compression) from None
        message = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableSlideError(
            f"{path}: expected a complete image, found a damaged one ({message}); copy or export it again"
        ) from None
    downsamples = [d for d in _COARSE_LEVELS if min(rgb.shape[:2]) >= d]
    return ArraySlide(
        pyramid_of(rgb, downsamples),
        mpp,
        slide_id=entry.slide_id,
        mpp_source=source,
        vendor=vendor,
        synthetic=is_marked_synthetic(path, [description]),
        warnings=(*metadata_warnings, *background_warnings(rgb)),
    )


def _check(path: Path, image: Image.Image) -> None:
    width, height = image.size
    if width * height > LARGEST_PX:
        raise _too_large(path, f"{width} x {height}")
    if image.mode not in _EIGHT_BIT_MODES:
        raise UnreadableSlideError(
            f"{path}: expected 8 bits per channel, found pixels of kind {image.mode}; export it as 8-bit RGB"
        )
    if image.format == "PNG" and (bits := _png_bits(path)) > 8:  # Pillow drops the lower half
        raise UnreadableSlideError(
            f"{path}: expected 8 bits per channel, found {bits}; export it as 8-bit RGB"
        )


def _png_bits(path: Path) -> int:
    with path.open("rb") as file:
        return file.read(_PNG_BITS_AT + 1)[_PNG_BITS_AT]


def _too_large(path: Path, found: str) -> UnreadableSlideError:
    message = " ".join(found.split())
    return UnreadableSlideError(
        f"{path}: expected a plain image of at most {LARGEST_PX:,} pixels, found too many ({message}); "
        "write it as a pyramidal, tiled TIFF"
    )


def _rgb(path: Path, image: Image.Image) -> RgbArray:
    """Pixels as stored, blended on white; the orientation is not applied.

    Raises:
        UnreadableSlideError: A compressed part of a TIFF is damaged.
        ValueError: A JPEG is damaged.
    """
    if image.format in ("JPEG", "MPO"):
        rgb = decode_strictly(path.read_bytes(), colorspace="CMYK" if image.mode == "CMYK" else "RGB")
        if image.mode in ("RGB", "L"):
            return rgb
    if isinstance(image, TiffImageFile):
        colours = colour_pages(path)
        if colours is not None:
            planes = [_tiff_page(path, image, number)[..., 0] for number in colours]
            return np.stack(planes, axis=-1)
        return _tiff_page(path, image, 0)
    if image.format == "PNG":
        check_png_chunks(path)
    return _pixels(image)


def _tiff_page(path: Path, image: TiffImageFile, number: int) -> RgbArray:
    check_tiff_streams(path, number)
    image.seek(number)
    orientation = _orientation(image)
    image.load()  # which turns it
    return _pixels(image.transpose(_TURNED_BACK[orientation]) if orientation in _TURNED_BACK else image)


def _pixels(image: Image.Image) -> RgbArray:
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        return on_white(np.asarray(image.convert("RGBA")))
    return np.array(image.convert("RGB"))


def _orientation(image: Image.Image) -> int:
    orientation: object = image.getexif().get(_ORIENTATION, 1)
    return orientation if isinstance(orientation, int) else 1


def _profile(image: Image.Image) -> ImageCms.ImageCmsProfile | None:
    data: object = image.info.get("icc_profile")
    if not isinstance(data, bytes) or not data:
        return None
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(data))
    except (ImageCms.PyCMSError, OSError):
        return None


def _contents_warnings(path: Path, image: Image.Image) -> tuple[str, ...]:
    """Grey, pages and orientation, which are not to be seen in the pixels that are read."""
    if isinstance(image, TiffImageFile):
        return tiff_warnings(path)
    grey = (GREY,) if image.mode in _GREY_MODES else ()
    return (
        *grey,
        *pages_warnings(int(getattr(image, "n_frames", 1))),
        *orientation_warnings(_orientation(image)),
    )


def _description(image: Image.Image) -> str:
    if isinstance(image, TiffImageFile):
        text = str(image.tag_v2.get(_IMAGE_DESCRIPTION, ""))
        try:  # Pillow decodes the tag as Latin-1; OME uses UTF-8
            return text.encode("latin-1").decode("utf-8")
        except UnicodeError:
            return text
    return str(image.info.get("Description", ""))  # text chunk of a PNG


def _mpp_in_tiff(image: Image.Image) -> Mpp | None:
    if not isinstance(image, TiffImageFile):
        return None
    stated = mpp_from_ome(_description(image))
    if stated is not None or image.tag_v2.get(_RESOLUTION_UNIT) != _CENTIMETRE:
        return stated
    values: list[float] = []
    for tag in (_X_RESOLUTION, _Y_RESOLUTION):
        try:
            per_cm = float(image.tag_v2[tag])
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            return None
        if not (math.isfinite(per_cm) and per_cm > 0):
            return None
        values.append(1e4 / per_cm)
    return Mpp(MicrometresPerPixel(values[0]), MicrometresPerPixel(values[1]))
