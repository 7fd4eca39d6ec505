"""Units as types. Free at run time; pyright keeps micrometres and pixels of different frames apart."""

from typing import NewType

Micrometres = NewType("Micrometres", float)
"""A length on the glass, in micrometres."""

MicrometresPerPixel = NewType("MicrometresPerPixel", float)
"""Sampling distance of a pixel grid (``mpp`` in OpenSlide's words)."""

Level0Px = NewType("Level0Px", int)
"""A coordinate or length in pixels of the slide's level 0, the frame every file uses."""

LevelPx = NewType("LevelPx", int)
"""A length in pixels of some other pyramid level; meaningless without naming the level."""

TilePx = NewType("TilePx", int)
"""A length in pixels of a tile as the network sees it."""
