"""Images that say what they were made from: facts in a PNG's text or a JPEG's comment, no other metadata."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from inkdot.records import RgbArray
from inkdot.storage.atomic import write_bytes

_KEY: Final = "inkdot"
_QUALITY: Final = 88


def write_jpeg(path: Path, image: RgbArray, facts: Mapping[str, object]) -> None:
    """Write a image atomically as JPEG; the same image and facts give the same bytes.

    Args:
        path: Where to write.
        image: uint8 RGB.
        facts: What it was made from (JSON values).
    """
    buffer = io.BytesIO()
    comment = _as_text(facts).encode("ascii")
    # Colours at full resolution: rings and numbers are thin.
    Image.fromarray(image).save(buffer, format="JPEG", quality=_QUALITY, subsampling=0, comment=comment)
    write_bytes(path, buffer.getvalue())


def write_indexed_png(
    path: Path, rows: npt.NDArray[np.uint8], colours: npt.NDArray[np.uint8], facts: Mapping[str, object]
) -> None:
    """Write a image of few colours atomically as PNG; the same image and facts give the same bytes.

    Args:
        path: Where to write.
        rows: Row of ``colours`` per pixel, [height, width].
        colours: uint8 RGB [n, 3], n at most 256.
        facts: What it was made from (JSON values).
    """
    image = Image.fromarray(rows)
    image.putpalette(colours.tobytes())
    said = PngImagePlugin.PngInfo()
    said.add_text(_KEY, _as_text(facts))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", pnginfo=said)
    write_bytes(path, buffer.getvalue())


def read_image_facts(path: Path) -> Mapping[str, object] | None:
    """What a image was made from; None where there is none, or one that says nothing or is damaged."""
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            said = cast("str | bytes", image.info.get("comment" if image.format == "JPEG" else _KEY, ""))
            # A whole file ends as its format says; a copy that was cut off does not.
            image.load()
        facts = json.loads(said)
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError):
        return None
    return cast("Mapping[str, object]", facts) if isinstance(facts, dict) else None


def _as_text(facts: Mapping[str, object]) -> str:
    return json.dumps(facts, sort_keys=True, allow_nan=False)
