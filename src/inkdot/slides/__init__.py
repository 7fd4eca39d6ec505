"""Readers of slide files behind the protocol :class:`inkdot.records.Slide`, and the writer of pyramidal TIFFs."""

from inkdot.slides.opening import open_slide

__all__ = ["open_slide"]
