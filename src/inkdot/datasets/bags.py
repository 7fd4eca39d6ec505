"""Slides as bags of tiles, with slide-level targets, for multiple-instance learning (MIL)."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from inkdot.datasets.tile_set import TileSet
from inkdot.model.targets import IndexArray, NameArray, TargetArray, known_rows


@dataclass(frozen=True)
class BagSet:
    """Slides and all their tiles.

    Attributes:
        tiles: Of all slides, those of one slide in a row; targets NaN where a tile has no label of its own.
        slides: The slides, in the order of their tiles, shape [bags].
        targets: Weight per class of all heads of each slide, NaN where unknown, shape [bags, classes].
    """

    tiles: TileSet
    slides: NameArray
    targets: TargetArray

    @cached_property
    def owners(self) -> IndexArray:
        """Which bag each tile is in, shape [tiles]."""
        index = {name: bag for bag, name in enumerate(self.slides.tolist())}
        return np.array([index[name] for name in self.tiles.slides.tolist()], np.int64)

    @cached_property
    def patients(self) -> NameArray:
        """Patient of each slide, shape [bags]."""
        _, first = np.unique(self.owners, return_index=True)
        return self.tiles.patients[first]

    def rows(self, bag: int) -> IndexArray:
        """Rows of the tiles of one slide."""
        return np.flatnonzero(self.owners == bag)


def bag_set(tiles: TileSet, slide_targets: dict[str, TargetArray]) -> BagSet:
    """The slides of a tile set as bags; a slide without a label is left out, with its tiles.

    Args:
        tiles: The tiles, those of one slide in a row.
        slide_targets: Target by slide, shape [classes of all heads] each, NaN where unknown.
    """
    known = [name for name, target in slide_targets.items() if not np.isnan(target).all()]
    labelled = subset(tiles, np.flatnonzero(np.isin(tiles.slides, known)))
    names = list(dict.fromkeys(labelled.slides.tolist()))
    targets = (
        np.stack([slide_targets[name] for name in names]) if names else np.zeros((0, tiles.targets.shape[1]))
    )
    return BagSet(labelled, np.array(names, np.str_), targets.astype(np.float32))


def subset(tiles: TileSet, rows: IndexArray) -> TileSet:
    """Some of the tiles, in the order given; pixels are shared, not copied."""
    return replace(
        tiles,
        array_of_row=tiles.array_of_row[rows],
        index_in_array=tiles.index_in_array[rows],
        targets=tiles.targets[rows],
        patients=tiles.patients[rows],
        slides=tiles.slides[rows],
    )


def labelled_subset(tiles: TileSet) -> TileSet:
    """The tiles with a label of their own."""
    known = known_rows(tiles.targets)
    return tiles if known.all() else subset(tiles, np.flatnonzero(known))
