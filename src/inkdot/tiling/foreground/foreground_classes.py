"""What a place on a slide shows, in words: glass, foreground, or why it cannot be judged."""

from enum import IntEnum
from typing import Final


class Ground(IntEnum):
    """What a mask pixel shows, and why it was dropped where it was. The numbers are stored nowhere."""

    GLASS = 0
    KEPT = 1
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
        """The reason in words, for messages and pictures."""
        return _WORDS[self]

    @property
    def column(self) -> str:
        """The reason as a short name, for tables."""
        return "foreground" if self is Ground.KEPT else self.name.lower()


_WORDS: Final = {
    Ground.GLASS: "empty glass",
    Ground.KEPT: "foreground",
    Ground.SPECK: "speck smaller than min_object_um",
    Ground.GREY: "solid grey or black (print, ink, frame, shadow)",
    Ground.OUTSIDE: "outside of the cell spot",
    Ground.RING: "pale edge ring of the cell spot",
    Ground.PRECIPITATE: "stain precipitate",
    Ground.BLUR: "out of focus",
    Ground.FOLD: "fold of the section",
    Ground.COVERSLIP: "straight line (edge of a coverslip, crack)",
    Ground.BUBBLE: "wall of an air bubble",
    Ground.IN_BUBBLE: "glass in an air bubble",
    Ground.PEN: "pen mark",
}

BLOCKING: Final = frozenset(
    {
        Ground.GREY,
        Ground.OUTSIDE,
        Ground.BLUR,
        Ground.FOLD,
        Ground.COVERSLIP,
        Ground.BUBBLE,
        Ground.PEN,
    }
)
"""Under these nothing can be judged; under specks, precipitate and the ring there is nothing to judge."""

OPAQUE: Final = BLOCKING - {Ground.BLUR} | {Ground.PRECIPITATE}
"""No nucleus is looked for there. Where it is only out of focus, nuclei are found, and each says so itself; so are
those that show in a bubble."""
