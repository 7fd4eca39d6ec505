"""Was this slide scanned, or made by a program? Decided by what the file says of itself."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import cast

SYNTHETIC_PREFIX = "synthetic_"
"""File names that start so are taken for synthetic whatever their metadata says."""


def says_synthetic(path: Path, descriptions: Iterable[str]) -> bool:
    """True where the file's name or one of its description texts (JSON) says that it was made, not scanned."""
    return path.name.lower().startswith(SYNTHETIC_PREFIX) or any(_flag_in(text) for text in descriptions)


def _flag_in(text: str) -> bool:
    # Every vendor writes something else here; only our own texts are JSON objects.
    if not text.lstrip().startswith("{"):
        return False
    try:
        data: object = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return False
    return isinstance(data, dict) and cast("dict[str, object]", data).get("synthetic") is True
