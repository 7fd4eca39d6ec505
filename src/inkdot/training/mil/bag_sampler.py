"""Which slides a step sees, and which of their tiles."""

from collections.abc import Iterator

import numpy as np

from inkdot.datasets.bags import BagSet
from inkdot.datasets.tile_sampler import draw_rows, draw_weights
from inkdot.datasets.tile_set import Draw
from inkdot.model.targets import FloatArray, IndexArray, NameArray


class BagDraws:
    """Batches of draws of the current epoch: so many slides a step, so many tiles of each.

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
        rank: int = 0,
        size: int = 1,
    ) -> None:
        """Make the draws of the training slides.

        Args:
            bags: The slides.
            classes: Class of each slide, shape [bags]; each gets an equal share.
            batch_size: Tiles per step.
            bag_size: Tiles per slide and step, an even number.
            seed: Seed of the run.
            rank: Which share of every step's slides is wanted, from 0.
            size: In how many shares they are dealt out.
        """
        self.epoch = 0
        self.attention: FloatArray | None = None
        self.bag_size = bag_size
        self.bags_a_step = slides_a_step(batch_size, bag_size)
        self._rows = [bags.rows(bag) for bag in range(len(bags.slides))]
        self._weights = _slide_weights(classes, bags.patients)
        self._seed, self._tiles = seed, len(bags.tiles)
        self._share = slice(rank, None, size)
        self.drawn: list[IndexArray] = []

    def __len__(self) -> int:
        return max(1, round(self._tiles / (self.bags_a_step * self.bag_size)))

    def __iter__(self) -> Iterator[list[Draw]]:
        # 1 keeps this stream apart from that of the loop over tiles.
        generator = np.random.default_rng([self._seed, self.epoch, 1])
        bags = draw_rows(self._weights, len(self) * self.bags_a_step, generator)
        steps = [bags[start : start + self.bags_a_step] for start in range(0, len(bags), self.bags_a_step)]
        self.drawn = [step[self._share] for step in steps]
        for step in steps:
            rows = np.stack([self._some_of(self._rows[int(bag)], generator) for bag in step])
            seeds = generator.integers(2**32, size=rows.size).reshape(rows.shape)
            own = zip(rows[self._share].flat, seeds[self._share].flat, strict=True)
            yield [Draw(int(row), int(seed)) for row, seed in own]

    def _some_of(self, rows: IndexArray, generator: np.random.Generator) -> IndexArray:
        """Tiles of one slide: those with most attention for half of the regions, the rest by chance.

        By chance alone, a slide's few malignant tiles would hardly be seen; by attention alone, what it overlooked
        at first it would never see again.
        """
        if len(rows) <= self.bag_size:
            return np.concatenate([rows, generator.choice(rows, self.bag_size - len(rows))])
        if self.attention is None:
            return generator.choice(rows, self.bag_size, replace=False)
        order = rows[np.argsort(-self.attention[rows], kind="stable")]
        half = self.bag_size // 2
        return np.concatenate(
            [order[:half], generator.choice(order[half:], self.bag_size - half, replace=False)]
        )


def slides_a_step(batch_size: int, bag_size: int) -> int:
    """As many bags as fit a batch, and two at least: one of each class."""
    return max(2, batch_size // bag_size)


def _slide_weights(classes: IndexArray, patients: NameArray) -> FloatArray:
    return draw_weights(classes, patients, np.arange(len(classes)).astype(np.str_))
