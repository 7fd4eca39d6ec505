"""Slide-level targets from the manifest and from tiles."""

from collections.abc import Mapping, Sequence

import numpy as np

from inkdot.labels import Head, flag_column, flagging_head, head_slices
from inkdot.model.targets import TargetArray, known_rows

_CERTAIN = 0.5


def slide_targets(
    on_slide: Mapping[str, str], tile_targets: TargetArray, heads: Sequence[Head]
) -> TargetArray:
    """Weight per class of all heads of a slide, NaN where unknown, shape [classes].

    The manifest's label of the slide has priority. Without one of the flagging head, a tile with the flag class makes the
    slide positive, and a slide all of whose tiles have other labels is negative. A head with a condition is known only
    where the slide's own target meets it.

    Args:
        on_slide: Label per head, of the slide.
        tile_targets: Of its tiles, NaN where unknown, shape [n, classes of all heads].
        heads: The heads.
    """
    slices = head_slices(heads)
    targets = np.full(sum(len(head.classes) for head in heads), np.nan, np.float32)
    for head in heads:
        target = head.target(on_slide.get(head.name))
        if target is not None:
            targets[slices[head.name]] = target
    flagging = flagging_head(heads)
    if flagging.name not in on_slide:
        targets[slices[flagging.name]] = _from_tiles(tile_targets[:, slices[flagging.name]], flagging)
    for head in heads:
        if head.condition is not None:
            other, class_name = head.condition
            required = next(each for each in heads if each.name == other)
            if not targets[slices[other]][required.classes.index(class_name)] > _CERTAIN:
                targets[slices[head.name]] = np.nan
    return targets


def only_slide_labelled(of_slide: TargetArray, tile_targets: TargetArray, heads: Sequence[Head]) -> bool:
    """Whether a slide is positive and none of its tiles has a label, so that training on tiles cannot use it.

    A slide with marked regions is no such slide, even where no tile holds enough of a malignant one.
    """
    return bool(of_slide[flag_column(heads)] > _CERTAIN) and not bool(known_rows(tile_targets).any())


def _from_tiles(own: TargetArray, head: Head) -> TargetArray:
    flag = head.classes.index(head.flag_class or "")
    unknown = np.full(len(head.classes), np.nan, np.float32)
    if (own[:, flag] > _CERTAIN).any():
        return np.eye(len(head.classes), dtype=np.float32)[flag]
    if not len(own) or np.isnan(own).any():
        return unknown
    return own[int(np.argmax(own[:, flag]))]
