"""Colours of scores, safe for colour blindness: blue below the operating point, orange from there on, darker with the score.

The two hues are those that the pages use (Okabe and Ito's blue and vermillion). Lightness only falls from 0 to 1, so that
the order survives a grey print, and the hue changes at the operating point.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from inkdot.records import MaskArray

Colour = tuple[int, int, int]

FLAGGED: Final[Colour] = (213, 94, 0)
BELOW: Final[Colour] = (0, 114, 178)

STEPS: Final = 64
"""Shades on either side of the operating point."""

_BELOW_ENDS: Final = ((214, 231, 245), (86, 156, 208))
_FLAGGED_ENDS: Final = ((233, 122, 22), (104, 20, 0))


def shades() -> npt.NDArray[np.uint8]:
    """All colours, uint8 RGB [2 * STEPS, 3]: those below the operating point first, each from low to high."""
    part = np.linspace(0.0, 1.0, STEPS)[:, None]
    halves = [
        np.array(low) * (1.0 - part) + np.array(high) * part for low, high in (_BELOW_ENDS, _FLAGGED_ENDS)
    ]
    return np.rint(np.concatenate(halves)).astype(np.uint8)


def shade_rows(
    scores: npt.NDArray[np.floating], flagged: MaskArray, threshold: float
) -> npt.NDArray[np.intp]:
    """Row of :func:`shades` for each score.

    Args:
        scores: 0 to 1, shape [n].
        flagged: Whether each reaches the operating point, as decided where the scores were made, shape [n].
        threshold: The operating point, 0 to 1.
    """
    below = scores / threshold if threshold > 0.0 else np.zeros_like(scores)
    above = (scores - threshold) / (1.0 - threshold) if threshold < 1.0 else np.ones_like(scores)
    share = np.clip(np.where(flagged, above, below), 0.0, 1.0)
    return np.minimum((share * STEPS).astype(np.intp), STEPS - 1) + STEPS * flagged.astype(np.intp)
