"""Images of the page as JPEG files, named by hashes: no slide name appears in a path or URL."""

import hashlib
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from inkdot import __version__
from inkdot.records import BoundsL0, RgbArray
from inkdot.review.gallery.fields import Field
from inkdot.review.results.scored_slide import ScoreFacts, SlideFrame
from inkdot.review.wording import SYNTHETIC_SLIDE

QUALITY = 90
NAME = re.compile(r"[0-9a-f]{32}\.jpg")
"""Names of images that an export made, and may delete."""


def image_name(*identity: object) -> str:
    """A file name that identifies the content, the same in every export.

    Args:
        identity: JSON values that determine the pixels: the slide, the region, the scale.
    """
    text = json.dumps([*identity, QUALITY], ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:32] + ".jpg"


def field_image_name(identity: Sequence[object], field: Field) -> str:
    """A file name for the image of a field of a slide.

    Args:
        identity: JSON values that determine the slide and its tiles.
        field: The field.
    """
    return image_name(*identity, field.x_l0_px, field.y_l0_px, field.spec.side_px, field.spec.mpp)


def provenance(slide_id: str, facts: ScoreFacts, field: Field) -> list[str]:
    """What an image says of itself where it is looked at outside the page: no score, call or verdict.

    Args:
        slide_id: Name of the slide as the page shows it: a pseudonym in a pseudonymous export.
        facts: Facts about its scores.
        field: What the image shows.
    """
    frame, side_um = facts.frame, float(field.spec.side_um)
    x_mm, y_mm = (
        (corner * mpp + side_um / 2) / 1000
        for corner, mpp in ((field.x_l0_px, frame.mpp.x), (field.y_l0_px, frame.mpp.y))
    )
    model = f"Inkdot {__version__}, model {facts.model_sha256[:12]}"
    model += ", trained on synthetic specimens" if facts.synthetic_model else ""
    return [
        *([SYNTHETIC_SLIDE] if frame.synthetic else []),
        f"{slide_id} · {x_mm:.2f}, {y_mm:.2f} mm · {field.spec.mpp:.4g} µm per pixel",
        model,
    ]


def jpeg_bytes(pixels: RgbArray) -> bytes:
    """An image as JPEG, colours at full resolution (a nucleus is few pixels wide); no metadata."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=QUALITY, subsampling=0)
    return buffer.getvalue()


def jpeg_size(path: Path) -> tuple[int, int]:
    """Width and height of an image, from its header."""
    with Image.open(path) as image:
        return image.size


def crop_to_bounds(thumbnail: RgbArray, frame: SlideFrame) -> RgbArray:
    """The scanned part of a thumbnail of the whole of level 0, where the file states bounds.

    Args:
        thumbnail: The whole slide, uint8 [h, w, 3].
        frame: Size and bounds of the slide.
    """
    height, width = thumbnail.shape[:2]
    left, top, right, bottom = _bounds_in(
        frame.bounds_l0_px, width / frame.size_l0_px[0], height / frame.size_l0_px[1]
    )
    cropped = thumbnail[top : min(height, bottom), left : min(width, right)]
    return np.ascontiguousarray(cropped) if cropped.size else thumbnail


def _bounds_in(bounds: BoundsL0, scale_x: float, scale_y: float) -> tuple[int, int, int, int]:
    left, top = round(bounds.x_l0_px * scale_x), round(bounds.y_l0_px * scale_y)
    right = round((bounds.x_l0_px + bounds.width_l0_px) * scale_x)
    bottom = round((bounds.y_l0_px + bounds.height_l0_px) * scale_y)
    return left, top, max(left + 1, right), max(top + 1, bottom)
