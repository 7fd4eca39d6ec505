"""Batches of tiles and the output of a network for a batch. NumPy only."""

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from inkdot.records import RgbArray

LogitArray = npt.NDArray[np.float32]
FeatureArray = npt.NDArray[np.float32]

BATCH_SIZE: Final = 16
"""Tiles per batch on a CPU: 64 take a third more time per tile and four times the memory. The operating point is chosen and
used with the same size, since kernels of another batch size round differently."""

GPU_BATCH_SIZE: Final = 128
"""Tiles per batch on a GPU, which smaller batches do not keep busy."""


def batch_size_on(device_type: str) -> int:
    """Tiles per batch on a torch device type."""
    return GPU_BATCH_SIZE if device_type == "cuda" else BATCH_SIZE


def reading_threads(*, on_cpu: bool) -> int:
    """Threads that should read the tiles of one slide for a network.

    One keeps up with a CPU, whose cores the network needs. A GPU is faster than one thread decodes: half of the processors
    read for it, eight at most.
    """
    return 1 if on_cpu else max(1, min(8, (os.cpu_count() or 1) // 2))


class Inferred(NamedTuple):
    """Output of a network for one batch; rows are tiles, in their order.

    Attributes:
        logits: Of all heads, then each head's attention score where the network has attention, or the tile's token (transmil),
            shape [n, columns].
        features: The backbone's output, the tiles' embeddings, shape [n, features].
    """

    logits: LogitArray
    features: FeatureArray


def batches_of(tiles: Iterable[RgbArray], size: int) -> Iterator[list[RgbArray]]:
    """Tiles in lists of ``size``; the last may be shorter."""
    iterator = iter(tiles)
    while batch := list(islice(iterator, size)):
        yield batch
