"""Slides of a training step (bags), and the tiles drawn from each."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from inkdot.datasets.bags import BagSet
from inkdot.datasets.tile_sampler import draw_rows, draw_weights
from inkdot.datasets.tile_set import Draw
from inkdot.model.targets import FloatArray, IndexArray, NameArray

WHOLE_BAG_TILES: Final = 4096
"""Most tiles of a slide in one step where bags are whole: four slides of 1,280 numbers per tile are 84 MB."""


class BagSampler:
    """Batches of the current epoch: a number of slides per step, and a number of tiles of each.

    A pure function of the seed, the epoch, and the attention that the epoch starts with. Every draw carries its own seed,
    so that the number of loader processes changes nothing.
    """

    def __init__(
        self,
        bags: BagSet,
        classes: IndexArray,
        batch_size: int,
        bag_size: int,
        seed: int,
        *,
        whole: bool = False,
        rank: int = 0,
        size: int = 1,
    ) -> None:
        """Sample from the training slides.

        Args:
            bags: The slides.
            classes: Class of each slide, shape [bags]; classes get equal shares.
            batch_size: Tiles per step.
            bag_size: Tiles per slide and step, an even number.
            seed: Seed of the run.
            whole: Take all tiles of a slide, up to ``WHOLE_BAG_TILES``, as embeddings allow; an epoch draws about as many slides
                as there are.
            rank: Share of every step's slides that this process takes, from 0.
            size: Number of shares.
        """
        self.epoch = 0
        self.attention: FloatArray | None = None
        self.bag_size = bag_size
        self.bags_per_step = slides_per_step(batch_size, bag_size)
        self._rows = [bags.rows(bag) for bag in range(len(bags.slides))]
        self._weights = _slide_weights(classes, bags.patients)
        self._seed, self._tiles = seed, len(bags.tiles)
        self._whole = whole
        self._share = slice(rank, None, size)
        self.drawn: list[IndexArray] = []

    def __len__(self) -> int:
        if self._whole:
            return max(1, round(len(self._rows) / self.bags_per_step))
        return max(1, round(self._tiles / (self.bags_per_step * self.bag_size)))

    def __iter__(self) -> Iterator[list[Draw]]:
        # 1 separates this stream from that of training on labelled tiles.
        generator = np.random.default_rng([self._seed, self.epoch, 1])
        bags = draw_rows(self._weights, len(self) * self.bags_per_step, generator)
        steps = [
            bags[start : start + self.bags_per_step] for start in range(0, len(bags), self.bags_per_step)
        ]
        self.drawn = [step[self._share] for step in steps]
        for step in steps:
            if self._whole:
                yield self._whole_bags(step, generator)
                continue
            rows = np.stack([self._some_of(self._rows[int(bag)], generator) for bag in step])
            seeds = generator.integers(2**32, size=rows.size).reshape(rows.shape)
            own = zip(rows[self._share].flat, seeds[self._share].flat, strict=True)
            yield [Draw(int(row), int(seed)) for row, seed in own]

    def counts(self, step: int) -> IndexArray:
        """Number of tiles of each slide that this process takes in a step of the current epoch."""
        own = self.drawn[step]
        if not self._whole:
            return np.full(len(own), self.bag_size)
        return np.array([min(len(self._rows[int(bag)]), WHOLE_BAG_TILES) for bag in own], np.int64)

    def _whole_bags(self, step: IndexArray, generator: np.random.Generator) -> list[Draw]:
        """All tiles of this process's share of a step's slides; embeddings are not augmented, so they need no seed."""
        rows = [self._some_of(self._rows[int(bag)], generator) for bag in step]
        return [Draw(int(row), 0) for bag in rows[self._share] for row in bag]

    def _some_of(self, rows: IndexArray, generator: np.random.Generator) -> IndexArray:
        """Tiles of one slide: half of them those with most attention, the rest at random.

        At random alone, the few malignant tiles of a slide would rarely be drawn; by attention alone, tiles that it missed
        at first would never be drawn again.
        """
        if self._whole and len(rows) <= WHOLE_BAG_TILES:
            return rows
        size = WHOLE_BAG_TILES if self._whole else self.bag_size
        if len(rows) <= size:
            return np.concatenate([rows, generator.choice(rows, size - len(rows))])
        if self.attention is None:
            return generator.choice(rows, size, replace=False)
        order = rows[np.argsort(-self.attention[rows], kind="stable")]
        half = size // 2
        return np.concatenate([order[:half], generator.choice(order[half:], size - half, replace=False)])


def slides_per_step(batch_size: int, bag_size: int) -> int:
    """As many bags as fit a batch, and two at least: one of each class."""
    return max(2, batch_size // bag_size)


def _slide_weights(classes: IndexArray, patients: NameArray) -> FloatArray:
    return draw_weights(classes, patients, np.arange(len(classes)).astype(np.str_))
