"""Foreground classes: glass, foreground, and artefacts."""

from enum import IntEnum
from typing import Final


class ForegroundClass(IntEnum):
    """Class of a mask pixel. The numbers are not stored."""

    GLASS = 0
    FOREGROUND = 1
    SPECK = 2
    GREY = 3
    OUTSIDE = 4
    RING = 5
    PRECIPITATE = 6
    BLUR = 7
    FOLD = 8
    COVERSLIP = 9
    BUBBLE = 10
    IN_BUBBLE = 11
    PEN = 12

    @property
    def words(self) -> str:
        """The class as a phrase, for messages and images."""
        return _WORDS[self]

    @property
    def column(self) -> str:
        """The class as a short name, for tables."""
        return self.name.lower()


_WORDS: Final = {
    ForegroundClass.GLASS: "empty glass",
    ForegroundClass.FOREGROUND: "foreground",
    ForegroundClass.SPECK: "speck smaller than min_object_um",
    ForegroundClass.GREY: "solid grey or black (print, ink, frame, shadow)",
    ForegroundClass.OUTSIDE: "outside of the cell spot",
    ForegroundClass.RING: "pale edge ring of the cell spot",
    ForegroundClass.PRECIPITATE: "stain precipitate",
    ForegroundClass.BLUR: "out of focus",
    ForegroundClass.FOLD: "fold of the section",
    ForegroundClass.COVERSLIP: "straight line (edge of a coverslip, crack)",
    ForegroundClass.BUBBLE: "wall of an air bubble",
    ForegroundClass.IN_BUBBLE: "glass in an air bubble",
    ForegroundClass.PEN: "pen mark",
}

BLOCKING: Final = frozenset(
    {
        ForegroundClass.GREY,
        ForegroundClass.OUTSIDE,
        ForegroundClass.BLUR,
        ForegroundClass.FOLD,
        ForegroundClass.COVERSLIP,
        ForegroundClass.BUBBLE,
        ForegroundClass.PEN,
    }
)
"""Not assessable. Under specks, precipitate and the ring there is nothing to assess."""

OPAQUE: Final = BLOCKING - {ForegroundClass.BLUR} | {ForegroundClass.PRECIPITATE}
"""No nuclei are detected there. Out of focus and in bubbles they are; each has its own edge width."""
