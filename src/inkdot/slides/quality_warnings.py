"""Warnings that any reader gives of a file: illumination, colours, pages, orientation. Texts in the file are not used."""

from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import ImageCms

DARK_BACKGROUND: Final = (
    "dark background, as in fluorescence or dark field: the models were made for transmitted light"
)

GREY: Final = "grey image without colours: the models were made for stained slides in colour"

COLOUR_PAGES: Final = "three grey pages are read as red, green and blue"

_DARK_LEVEL = 80
_DARK_FRACTION = 0.6
_LONGEST_NAME = 60


def background_warnings(pixels: npt.NDArray[np.uint8]) -> tuple[str, ...]:
    """Warn where most of the image is dark: glass is bright in transmitted light and black in fluorescence.

    The dark frame of a round field of view, up to 41 % of a 4:3 photograph, gives no warning.

    Args:
        pixels: uint8 RGB or RGBA, shape [..., 3 or 4]; fully transparent pixels do not count.
    """
    flat = pixels.reshape(-1, pixels.shape[-1])
    if flat.shape[1] == 4:
        flat = flat[flat[:, 3] > 0]
    if not len(flat):
        return ()
    dark = float((flat[:, :3].max(axis=1) < _DARK_LEVEL).mean())
    return (DARK_BACKGROUND,) if dark > _DARK_FRACTION else ()


def pages_warnings(pages: int) -> tuple[str, ...]:
    """Warn where a file has several pages (planes, time points) of which one is read."""
    return (f"only the first of {pages} pages is read",) if pages > 1 else ()


def orientation_warnings(orientation: int) -> tuple[str, ...]:
    """Warn of a tag Orientation (EXIF, TIFF) other than upright. It is not applied: annotations refer to stored rows."""
    if orientation in (0, 1):
        return ()
    return (f"orientation {orientation} of the file is not applied: rows and columns are as stored",)


def profile_warnings(profile: ImageCms.ImageCmsProfile | None) -> tuple[str, ...]:
    """Warn of a colour profile other than sRGB. Profiles are not applied: models are trained on stored pixels."""
    if profile is None:
        return ()
    try:
        name = ImageCms.getProfileDescription(profile)
    except (ImageCms.PyCMSError, OSError):
        name = ""
    plain = name.casefold().replace(" ", "")
    if "srgb" in plain or "61966" in plain:
        return ()
    shown = "".join(sign for sign in name if sign.isprintable()).strip()[:_LONGEST_NAME] or "unnamed"
    return (f"colour profile '{shown}' is not applied: colours are as stored",)
