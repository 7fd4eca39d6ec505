"""Detects synthetic slides by their file name and description."""

from collections.abc import Iterable
from pathlib import Path
from typing import cast

from inkdot.bounded_json import parse_json

SYNTHETIC_PREFIX = "synthetic_"
"""Slides whose file name starts with this count as synthetic, whatever their metadata."""


def is_marked_synthetic(path: Path, descriptions: Iterable[str]) -> bool:
    """Whether the file name or one of the description texts (JSON) marks a slide as synthetic."""
    return path.name.lower().startswith(SYNTHETIC_PREFIX) or any(_flag_in(text) for text in descriptions)


def _flag_in(text: str) -> bool:
    # Vendors write other texts here; only those of Inkdot are JSON objects.
    if not text.lstrip().startswith("{"):
        return False
    try:
        data: object = parse_json(text)
    except ValueError:
        return False
    return isinstance(data, dict) and cast("dict[str, object]", data).get("synthetic") is True
