"""Batches of one size, and what a network makes of them, without loading any network library."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from inkdot.records import RgbArray

LogitArray = npt.NDArray[np.float32]
FeatureArray = npt.NDArray[np.float32]

BATCH_SIZE: Final = 16
"""Tiles per batch when scoring on a CPU, whose caches hold little more: 64 tiles cost a third more and four times the
memory. One number for choosing the operating point and for using it: kernels of another batch size round differently."""

GPU_BATCH_SIZE: Final = 128
"""Tiles per batch when scoring on a GPU, which idles on few."""


def batch_size_on(device_type: str) -> int:
    """Tiles per batch on a device of this type, in torch's words."""
    return GPU_BATCH_SIZE if device_type == "cuda" else BATCH_SIZE


class Inferred(NamedTuple):
    """What a network makes of one batch of tiles; rows are tiles, in their order.

    Attributes:
        logits: Of all heads, then each head's attention score where the network has attention, shape [n, columns].
        features: What the backbone gave the heads, the tiles' embeddings, shape [n, features].
    """

    logits: LogitArray
    features: FeatureArray


def batches_of(tiles: Iterable[RgbArray], size: int) -> Iterator[list[RgbArray]]:
    """Tiles in lists of ``size``; the last may be shorter."""
    iterator = iter(tiles)
    while batch := list(islice(iterator, size)):
        yield batch
