"""Images with embedded metadata (JSON in a PNG text chunk or a JPEG comment) that names their inputs."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from inkdot.bounded_json import parse_json
from inkdot.records import RgbArray
from inkdot.storage.atomic import write_bytes

_KEY: Final = "inkdot"
_QUALITY: Final = 88


def write_jpeg(path: Path, image: RgbArray, metadata: Mapping[str, object]) -> None:
    """Write an image atomically as JPEG; the same image and metadata give the same bytes.

    Args:
        path: The file.
        image: uint8 RGB [height, width, 3].
        metadata: Inputs of the image (JSON values).
    """
    buffer = io.BytesIO()
    comment = _as_json(metadata).encode("ascii")
    # No chroma subsampling: rings and numbers are thin.
    Image.fromarray(image).save(buffer, format="JPEG", quality=_QUALITY, subsampling=0, comment=comment)
    write_bytes(path, buffer.getvalue())


def write_indexed_png(
    path: Path, rows: npt.NDArray[np.uint8], colours: npt.NDArray[np.uint8], metadata: Mapping[str, object]
) -> None:
    """Write a palette image atomically as PNG; the same image and metadata give the same bytes.

    Args:
        path: The file.
        rows: Row of ``colours`` per pixel, uint8 [height, width].
        colours: Palette, uint8 RGB [n, 3], n at most 256.
        metadata: Inputs of the image (JSON values).
    """
    image = Image.fromarray(rows)
    image.putpalette(colours.tobytes())
    text = PngImagePlugin.PngInfo()
    text.add_text(_KEY, _as_json(metadata))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", pnginfo=text)
    write_bytes(path, buffer.getvalue())


def read_image_metadata(path: Path) -> Mapping[str, object] | None:
    """Read the metadata of an image; None where the file is missing or damaged, or has none."""
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            text = cast("str | bytes", image.info.get("comment" if image.format == "JPEG" else _KEY, ""))
            # Decode all of it: a truncated copy has intact metadata.
            image.load()
        metadata = parse_json(text)
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError):
        return None
    return cast("Mapping[str, object]", metadata) if isinstance(metadata, dict) else None


def _as_json(metadata: Mapping[str, object]) -> str:
    return json.dumps(metadata, sort_keys=True, allow_nan=False)
