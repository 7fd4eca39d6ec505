"""File names of slides: spellings of Unicode, and names that cannot be a slide_id."""

import hashlib
import os
import unicodedata
from pathlib import Path
from typing import Final

_FORBIDDEN: Final = frozenset('/\\:*?"<>|')
LONGEST_ID_BYTES: Final = 200
"""File systems allow 255 bytes, and suffixes are added."""

_KEPT_BYTES: Final = 180


def existing_spelling(path: Path) -> Path:
    """The path as the disk spells it, where its letters are composed in another way; else the path itself.

    macOS writes ü as two characters (NFD), spreadsheets as one (NFC): the two look alike, and other systems tell them apart.

    Args:
        path: As a table spells it.
    """
    if str(path).isascii() or os.path.lexists(path):
        return path
    found = Path(path.anchor) if path.anchor else Path()
    for part in path.parts[1:] if path.anchor else path.parts:
        if part == ".." or os.path.lexists(found / part):
            found /= part
            continue
        try:
            alike = [child.name for child in found.iterdir() if composed(child.name) == composed(part)]
        except OSError:
            return path
        if len(alike) != 1:
            return path
        found /= alike[0]
    return found


def composed(text: str) -> str:
    """The text with composed letters (Unicode NFC), in which names are compared and stored."""
    return unicodedata.normalize("NFC", text)


def is_usable_id(slide_id: str) -> bool:
    """Whether a slide_id can be a file name on every system."""
    return bool(
        slide_id
        and slide_id == slide_id.strip(". ")
        and slide_id.isprintable()
        and not _FORBIDDEN & set(slide_id)
        and len(slide_id.encode("utf-8")) <= LONGEST_ID_BYTES
    )


def id_of_name(name: str) -> str:
    """The slide_id of a slide by its name, with ``_`` for signs that a slide_id cannot have.

    A name that is too long is cut, and ends with a hash of all of it.
    """
    stem = composed(name)
    if is_usable_id(stem):
        return stem
    plain = "".join("_" if sign in _FORBIDDEN or not sign.isprintable() else sign for sign in stem)
    plain = plain.strip(". ") or "_"
    encoded = plain.encode("utf-8")
    if len(encoded) > LONGEST_ID_BYTES:
        digest = hashlib.sha256(encoded).hexdigest()[:8]
        plain = f"{encoded[:_KEPT_BYTES].decode('utf-8', errors='ignore').strip('. ')}_{digest}"
    return plain


def is_writable_name(path: Path) -> bool:
    """Whether a name is text: one with other bytes cannot be written into a table."""
    try:
        path.name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
