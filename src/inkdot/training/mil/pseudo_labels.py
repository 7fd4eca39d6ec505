"""Pseudo-labels for tiles of slides that are labelled as a whole: first for all tiles, then for the most confident ones."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from inkdot.datasets.bags import BagSet
from inkdot.datasets.tile_set import TileSet
from inkdot.labels import Head, flag_column, flag_columns, flagging_head, head_slices
from inkdot.model.runtimes.torch_backend import LogitArray
from inkdot.model.targets import FloatArray, TargetArray

_POSITIVE = 0.5


def labelled_bag_tiles(bags: BagSet, heads: Sequence[Head]) -> TileSet:
    """Every tile with the labels of its slide, where it has none of its own."""
    own = bags.tiles.targets
    targets = np.where(np.isnan(own), bags.targets[bags.owners], own)
    return replace(bags.tiles, targets=_applicable(targets, heads))


def pseudo_labelled_tiles(
    bags: BagSet, margins: FloatArray, heads: Sequence[Head], quantile: float
) -> TileSet:
    """The same, but of positive slides only the tiles that score above nearly all tiles of negative slides.

    The label of a negative slide is right for its tiles, that of a positive slide is wrong for most of its tiles. So the
    scores of the tiles of negative slides show how high a negative tile may score.

    Args:
        bags: The slides, of both classes.
        margins: Margin of each tile for the flag class, by the network trained so far, shape [tiles].
        heads: The heads.
        quantile: Quantile (0 to 1) of the scores of the negative slides' tiles that a pseudo-labelled tile scores above. The
            highest tile of a positive slide is pseudo-labelled in any case, since something on the slide is positive.

    Returns:
        All tiles; those without a pseudo-label keep their targets.
    """
    column = flag_column(heads)
    of_slide = bags.targets[bags.owners, column]
    threshold = np.quantile(margins[of_slide < _POSITIVE], quantile)
    selected = (of_slide < _POSITIVE) | ((of_slide > _POSITIVE) & (margins > threshold))
    for bag in np.flatnonzero(bags.targets[:, column] > _POSITIVE):
        rows = bags.rows(int(bag))
        selected[rows[np.argmax(margins[rows])]] = True
    labelled = labelled_bag_tiles(bags, heads)
    return replace(labelled, targets=np.where(selected[:, None], labelled.targets, bags.tiles.targets))


def flag_margins(logits: LogitArray, heads: Sequence[Head]) -> FloatArray:
    """Logit of the flag class less that of all other classes together, float64 [n]; logits [n, classes of all heads]."""
    head = flagging_head(heads)
    own = logits[:, flag_columns(heads)].astype(np.float64)
    flag = head.classes.index(head.flag_class or "")
    others = np.delete(own, flag, axis=1)
    return own[:, flag] - np.logaddexp.reduce(others, axis=1)


def _applicable(targets: TargetArray, heads: Sequence[Head]) -> TargetArray:
    """Targets without those of heads whose condition a tile does not meet: a benign tile has no tumour morphology."""
    slices, applicable = head_slices(heads), targets.astype(np.float32)
    for head in heads:
        if head.condition is not None:
            other, class_name = head.condition
            required = next(each for each in heads if each.name == other)
            met = applicable[:, slices[other].start + required.classes.index(class_name)] > _POSITIVE
            applicable[~met, slices[head.name]] = np.nan
    return applicable
