"""Batches of one size, without loading any network library."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from inkdot.records import RgbArray

BATCH_SIZE: Final = 64
"""Tiles per batch when scoring. One number for choosing the operating point and for using it: kernels of another
batch size round differently."""


def batches_of(tiles: Iterable[RgbArray], size: int) -> Iterator[list[RgbArray]]:
    """Tiles in lists of ``size``; the last may be shorter."""
    iterator = iter(tiles)
    while batch := list(islice(iterator, size)):
        yield batch
