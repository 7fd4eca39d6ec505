"""What a place on a slide shows, in words: glass, foreground, or why it cannot be judged."""

from enum import IntEnum
from typing import Final


class ForegroundClass(IntEnum):
    """What a mask pixel shows, and why it was dropped where it was. The numbers are stored nowhere."""

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
        """The reason in words, for messages and images."""
        return _WORDS[self]

    @property
    def column(self) -> str:
        """The reason as a short name, for tables."""
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
"""Under these nothing can be judged; under specks, precipitate and the ring there is nothing to judge."""

OPAQUE: Final = BLOCKING - {ForegroundClass.BLUR} | {ForegroundClass.PRECIPITATE}
"""No nucleus is looked for there. Where it is only out of focus, nuclei are found, and each says so itself; so are
those that show in a bubble."""
