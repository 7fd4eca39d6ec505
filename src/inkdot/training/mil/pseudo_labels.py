"""Labels for the tiles of slides that were labelled for as wholes: first all of them, then the surest alone."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from inkdot.datasets.bags import BagSet
from inkdot.datasets.tile_set import TileSet
from inkdot.labels import Head, flagging_head
from inkdot.model.targets import FloatArray, TargetArray, flag_column, head_slices
from inkdot.model.torch_backend import LogitArray

_SURE = 0.5


def labelled_bag_tiles(bags: BagSet, heads: Sequence[Head]) -> TileSet:
    """Every tile with the labels about its slide, where it has none of its own."""
    own = bags.tiles.targets
    targets = np.where(np.isnan(own), bags.targets[bags.owners], own)
    return replace(bags.tiles, targets=_asked(targets, heads))


def pseudo_labelled_tiles(bags: BagSet, margins: FloatArray, heads: Sequence[Head], above: float) -> TileSet:
    """The same, but of positive slides only the tiles that stand out from the negative slides' tiles.

    What a slide's label says of most of its tiles is wrong where the slide is positive, and right where it is negative.
    So the tiles of negative slides show how high a harmless tile may score.

    Args:
        bags: The slides, of both classes.
        margins: How much the network that learnt from all labels is for the flag class, shape [tiles].
        heads: The heads.
        above: Share (0 to 1) of the negative slides' tiles that a sure tile scores above. The highest of a slide is sure
            in any case, since something on it is positive.

    Returns:
        All tiles; the targets of those that are not sure are as they were.
    """
    column = flag_column(heads)
    of_slide = bags.targets[bags.owners, column]
    cut = np.quantile(margins[of_slide < _SURE], above)
    sure = (of_slide < _SURE) | ((of_slide > _SURE) & (margins > cut))
    for bag in np.flatnonzero(bags.targets[:, column] > _SURE):
        rows = bags.rows(int(bag))
        sure[rows[np.argmax(margins[rows])]] = True
    labelled = labelled_bag_tiles(bags, heads)
    return replace(labelled, targets=np.where(sure[:, None], labelled.targets, bags.tiles.targets))


def flag_margins(logits: LogitArray, heads: Sequence[Head]) -> FloatArray:
    """Logit of the flag class less that of all other classes together, float64 [n]; logits [n, classes of all heads]."""
    head = flagging_head(heads)
    own = logits[:, head_slices(heads)[head.name]].astype(np.float64)
    flag = head.classes.index(head.flag_class or "")
    others = np.delete(own, flag, axis=1)
    return own[:, flag] - np.logaddexp.reduce(others, axis=1)


def _asked(targets: TargetArray, heads: Sequence[Head]) -> TargetArray:
    """Targets without those of heads that are not asked of a tile: a benign one has no tumour's morphology."""
    slices, kept = head_slices(heads), targets.astype(np.float32)
    for head in heads:
        if head.condition is not None:
            other, class_name = head.condition
            asked = next(each for each in heads if each.name == other)
            met = kept[:, slices[other].start + asked.classes.index(class_name)] > _SURE
            kept[~met, slices[head.name]] = np.nan
    return kept
