"""Readers of slide files behind the protocol :class:`inkdot.records.Slide`, and the writer of pyramidal TIFFs."""

from inkdot.slides.opening import check_sampled_tiles, open_slide

__all__ = ["check_sampled_tiles", "open_slide"]
