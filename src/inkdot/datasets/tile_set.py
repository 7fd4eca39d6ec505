"""The data set of labelled tiles: pixels in memory-mapped arrays, with targets, patients and slides."""

# pyright: reportUnknownMemberType=false

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from inkdot.datasets.augmentation import Augmentation
from inkdot.datasets.tile_sampler import draw_rows, steps_per_epoch
from inkdot.model.runtimes.torch_backend import as_batch
from inkdot.model.targets import FloatArray, IndexArray, NameArray, TargetArray
from inkdot.records import RgbArray


@dataclass(frozen=True, slots=True)
class TileSet:
    """Labelled tiles of several slides.

    Attributes:
        arrays: Pixels per slide, uint8, shape [tiles, side, side, 3]; may be memory-mapped. Where the backbone is frozen,
            embeddings, float16 or float32 [tiles, features], which take the same way to the heads.
        array_of_row: Which of the arrays holds each tile, shape [n].
        index_in_array: Where in that array, shape [n].
        targets: Weight per class of all heads, NaN where unknown, shape [n, classes].
        patients: Patient of each tile, shape [n].
        slides: Slide of each tile, shape [n].
    """

    arrays: Sequence[RgbArray]
    array_of_row: IndexArray
    index_in_array: IndexArray
    targets: TargetArray
    patients: NameArray
    slides: NameArray

    def __len__(self) -> int:
        return len(self.targets)

    def tile(self, row: int) -> RgbArray:
        """Pixels of one tile, uint8 RGB [side, side, 3], or its embedding."""
        return self.arrays[int(self.array_of_row[row])][int(self.index_in_array[row])]

    def tiles(self) -> Iterator[RgbArray]:
        """Pixels of all tiles, in order."""
        return (self.tile(row) for row in range(len(self)))


class Draw(NamedTuple):
    """One tile of an epoch and the seed of its augmentation."""

    row: int
    seed: int


class EpochDraws:
    """Batch sampler: the draws of the current epoch are a pure function of the seed, the weights and the epoch.

    Every draw has its own seed, so the number of loader processes changes nothing.
    """

    def __init__(
        self,
        weights: FloatArray,
        batch_size: int,
        seed: int,
        *,
        tiles: int | None = None,
        rank: int = 0,
        size: int = 1,
    ) -> None:
        """Make the sampler of a training set.

        Args:
            weights: Sampling probability of each tile, shape [n], sum 1.
            batch_size: Tiles per batch; smaller sets make one batch of all they have.
            seed: Seed of the run.
            tiles: Tiles of an epoch, to within half a batch; as many as there are where None.
            rank: Shard of every batch to yield, from 0.
            size: Number of shards of a batch.
        """
        self.epoch = 0
        self._rank, self._size = rank, size
        self._weights, self._seed = weights, seed
        self.batch_size = min(batch_size, len(weights))
        self._steps = steps_per_epoch(len(weights) if tiles is None else tiles, self.batch_size)

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[list[Draw]]:
        generator = np.random.default_rng([self._seed, self.epoch])
        rows = draw_rows(self._weights, len(self) * self.batch_size, generator)
        seeds = generator.integers(2**32, size=len(rows))
        for start in range(0, len(rows), self.batch_size):
            batch = slice(start + self._rank, start + self.batch_size, self._size)
            yield [Draw(int(row), int(seed)) for row, seed in zip(rows[batch], seeds[batch], strict=True)]


class AugmentedTiles(Dataset[tuple[RgbArray, TargetArray]]):
    """Augmented tiles, indexed by draw."""

    def __init__(self, tiles: TileSet, augmentation: Augmentation) -> None:
        self._tiles, self._augmentation = tiles, augmentation

    def __getitem__(self, draw: Draw) -> tuple[RgbArray, TargetArray]:  # type: ignore[override]
        tile, targets = self._tiles.tile(draw.row), self._tiles.targets[draw.row]
        # An embedding cannot be augmented.
        return tile if tile.ndim == 1 else self._augmentation(tile, draw.seed), targets


def training_loader(
    tiles: TileSet, augmentation: Augmentation, draws: Iterable[list[Draw]], workers: int
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Batches of pixels, uint8 [n, 3, side, side], and targets, float [n, classes]."""
    return DataLoader(  # type: ignore[return-value]
        AugmentedTiles(tiles, augmentation),
        batch_sampler=draws,  # type: ignore[arg-type]
        collate_fn=_collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_one_thread if workers else None,
    )


def _collate(rows: list[tuple[RgbArray, TargetArray]]) -> tuple[Tensor, Tensor]:
    return as_batch([tile for tile, _ in rows]), torch.from_numpy(np.stack([target for _, target in rows]))


def _one_thread(_worker: int) -> None:
    # OpenCV's threads do not survive a fork, and the workers are the parallelism already.
    cv2.setNumThreads(0)
