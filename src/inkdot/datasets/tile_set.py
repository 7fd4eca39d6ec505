"""The data set of labelled tiles: pixels in memory-mapped arrays, with targets, patients and slides."""

# pyright: reportUnknownMemberType=false

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from inkdot.config import Config
from inkdot.datasets.augmentation.stain import lab_statistics
from inkdot.datasets.augmentation.transforms import Augmentation
from inkdot.datasets.tile_sampler import draw_rows, steps_per_epoch
from inkdot.model.runtimes.torch_backend import as_batch
from inkdot.model.targets import FloatArray, IndexArray, NameArray, TargetArray
from inkdot.records import RgbArray

_COLOUR_TILES: Final = 64
"""Tiles that give a slide's colours."""


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
        if tile.ndim == 1:
            return tile, targets  # an embedding cannot be augmented
        return self._augmentation(tile, draw.seed, str(self._tiles.slides[draw.row])), targets


def training_augmentation(config: Config, tiles: TileSet) -> Augmentation:
    """The augmentation of these training tiles; ``rand_stain_na`` varies colours as their slides do.

    Args:
        config: Of the training.
        tiles: Training tiles; at most 64 of a slide, spread evenly, give its colours.
    """
    colours = None
    if config.augmentation.rand_stain_na > 0 and len(tiles) and tiles.tile(0).ndim > 1:
        colours = lab_statistics(
            (str(tiles.slides[row]), tiles.tile(row)) for row in _some_rows(tiles.slides)
        )
    return Augmentation(config.augmentation, config.tiling.mpp, colours)


def evenly_spread(count: int, most: int) -> list[int]:
    """At most so many of the rows 0 to count - 1, spread evenly, in ascending order."""
    rows: list[int] = np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64)).tolist()
    return rows


def _some_rows(slides: NameArray) -> Iterator[int]:
    """At most ``_COLOUR_TILES`` rows of each slide, spread evenly."""
    order = np.argsort(slides, kind="stable")
    _, starts = np.unique(slides[order], return_index=True)
    for rows in np.split(order, starts[1:]):
        yield from rows[evenly_spread(len(rows), _COLOUR_TILES)].tolist()


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
