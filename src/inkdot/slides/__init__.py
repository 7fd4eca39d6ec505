"""Slide files: one way to open them all, and the writer of pyramids.

Everything else in the house reads pixels through the protocol :class:`inkdot.records.Slide`.
"""

from inkdot.slides.opening import open_slide

__all__ = ["open_slide"]
