"""Foreground classes: glass, foreground, and artefacts."""

from enum import IntEnum
from typing import Final


class ForegroundClass(IntEnum):
    """Class of a mask pixel. The numbers are not stored."""

    GLASS = 0
    CLOT = 1  # below foreground: where an image shows one class for several pixels, it is the largest
    FOREGROUND = 2
    SPECK = 3
    RED_CELL = 4
    GREY = 5
    OUTSIDE = 6
    RING = 7
    PRECIPITATE = 8
    BLUR = 9
    FIBRE = 10
    FOLD = 11
    COVERSLIP = 12
    BUBBLE = 13
    IN_BUBBLE = 14
    PEN = 15
    NO_PIXELS = 16

    @property
    def words(self) -> str:
        """The class as a phrase, for messages and images."""
        return _WORDS[self]

    @property
    def column(self) -> str:
        """The class as a short name, for tables."""
        return self.name.lower()


# True of every preparation: sections fold, smears have thick strips; spots hold clots, squash preparations fibrils.
_WORDS: Final = {
    ForegroundClass.GLASS: "empty glass",
    ForegroundClass.CLOT: "pale material (protein clot, mucus, fibrils)",
    ForegroundClass.FOREGROUND: "foreground",
    ForegroundClass.SPECK: "speck smaller than min_object_um",
    ForegroundClass.RED_CELL: "red cell, or as small and pale",
    ForegroundClass.GREY: "solid grey or black (print, ink, frame, shadow)",
    ForegroundClass.OUTSIDE: "outside of the cell spot",
    ForegroundClass.RING: "pale edge ring of the cell spot",
    ForegroundClass.PRECIPITATE: "stain precipitate, or as small",
    ForegroundClass.BLUR: "out of focus",
    ForegroundClass.FIBRE: "fibre, hair or thread, or drawn out like one",
    ForegroundClass.FOLD: "fold, or a strip as dark against its surroundings",
    ForegroundClass.COVERSLIP: "straight line (edge of a coverslip, crack, scratch)",
    ForegroundClass.BUBBLE: "wall of an air bubble",
    ForegroundClass.IN_BUBBLE: "glass in an air bubble",
    ForegroundClass.PEN: "pen mark",
    ForegroundClass.NO_PIXELS: "without pixels in the file",
}

BLOCKING: Final = frozenset(
    {
        ForegroundClass.GREY,
        ForegroundClass.OUTSIDE,
        ForegroundClass.BLUR,
        ForegroundClass.FIBRE,
        ForegroundClass.FOLD,
        ForegroundClass.COVERSLIP,
        ForegroundClass.BUBBLE,
        ForegroundClass.PEN,
        ForegroundClass.NO_PIXELS,
    }
)
"""Not assessable. Under specks, precipitate, red cells, clots and the ring there is nothing to assess."""

OPAQUE: Final = BLOCKING - {ForegroundClass.BLUR} | {ForegroundClass.PRECIPITATE, ForegroundClass.RED_CELL}
"""No nuclei are detected there. Out of focus, in bubbles and on clots they are; each has its own edge width."""
