"""Several networks as one: each runs on every batch, and their calibrated probabilities are averaged."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

import numpy as np

from inkdot.model.runtimes.batches import BATCH_SIZE, GPU_BATCH_SIZE, FeatureArray, Inferred, batches_of
from inkdot.records import RgbArray

_CHUNK: Final = 2 * max(BATCH_SIZE, GPU_BATCH_SIZE)
"""Tiles that one member takes before the next: a multiple of the batch sizes, so that only the last batch is padded."""


class _Network(Protocol):
    @property
    def feature_count(self) -> int: ...

    def infer(self, tiles: Iterable[RgbArray]) -> Iterator[Inferred]: ...


class EnsembleNetwork:
    """The networks of an ensemble side by side.

    Attributes:
        feature_count: Sum of the widths of the members' embeddings.
    """

    def __init__(self, members: Sequence[_Network]) -> None:
        self._members = members
        self.feature_count = sum(member.feature_count for member in members)

    def infer(self, tiles: Iterable[RgbArray]) -> Iterator[Inferred]:
        """Logits and features of all members side by side, in the order of the tiles; memory holds a few batches of pixels."""
        for chunk in batches_of(tiles, _CHUNK):
            runs = [list(member.infer(chunk)) for member in self._members]
            logits, features = (
                np.concatenate([np.concatenate([batch[part] for batch in run]) for run in runs], axis=1)
                for part in range(2)
            )
            yield Inferred(logits, features)


def mean_ood_distance(
    distances: Sequence[Callable[[FeatureArray], FeatureArray]], widths: Sequence[int]
) -> Callable[[FeatureArray], FeatureArray]:
    """OOD distance of embeddings of all members side by side: the mean of the members' own.

    Args:
        distances: Of each member, from its own embeddings.
        widths: Width of each member's embeddings.
    """
    ends = np.cumsum(widths)[:-1].tolist()

    def mean(features: FeatureArray) -> FeatureArray:
        parts = np.split(features, ends, axis=1)
        found = [distance(own) for distance, own in zip(distances, parts, strict=True)]
        return np.stack(found).mean(axis=0)

    return mean


def spread_of(values: np.ndarray) -> np.ndarray:
    """How far the members are apart: the standard deviation over the first axis, float32; 0 where all say the same."""
    return np.std(values.astype(np.float64), axis=0).astype(np.float32)
