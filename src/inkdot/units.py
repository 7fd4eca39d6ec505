"""Units as types: pyright rejects mixing micrometres and pixels of different frames; no cost at run time."""

from typing import NewType

Micrometres = NewType("Micrometres", float)
"""A length on the specimen in micrometres."""

MicrometresPerPixel = NewType("MicrometresPerPixel", float)
"""Sampling distance of a pixel grid (``mpp`` in OpenSlide)."""

Level0Px = NewType("Level0Px", int)
"""A coordinate or length in pixels of level 0, the frame of all files."""

LevelPx = NewType("LevelPx", int)
"""A length in pixels of a pyramid level, which must be named beside it."""

TilePx = NewType("TilePx", int)
"""A length in pixels of a tile."""
