"""What is known of whole slides, and whether training must learn from it."""

from collections.abc import Mapping, Sequence

import numpy as np

from inkdot.labels import Head, flagging_head
from inkdot.model.targets import TargetArray, flag_column, head_slices, known_rows

_SURE = 0.5


def slide_targets(
    on_slide: Mapping[str, str], tile_targets: TargetArray, heads: Sequence[Head]
) -> TargetArray:
    """Weight per class of all heads of a slide, NaN where unknown, shape [classes].

    What the manifest says of the slide holds. Where it says nothing of the head that flags, a tile labelled with the
    flag class makes the slide positive, and a slide all of whose tiles are labelled otherwise is negative. A head
    with a condition is known only where the slide's own target meets it.

    Args:
        on_slide: Label per head, for what is on the slide.
        tile_targets: Of its tiles, NaN where unknown, shape [n, classes of all heads].
        heads: The heads.
    """
    slices = head_slices(heads)
    found = np.full(sum(len(head.classes) for head in heads), np.nan, np.float32)
    for head in heads:
        target = head.target(on_slide.get(head.name))
        if target is not None:
            found[slices[head.name]] = target
    flagging = flagging_head(heads)
    if flagging.name not in on_slide:
        found[slices[flagging.name]] = _from_tiles(tile_targets[:, slices[flagging.name]], flagging)
    for head in heads:
        if head.condition is not None:
            other, class_name = head.condition
            asked = next(each for each in heads if each.name == other)
            if not found[slices[other]][asked.classes.index(class_name)] > _SURE:
                found[slices[head.name]] = np.nan
    return found


def only_slide_labelled(of_slide: TargetArray, tile_targets: TargetArray, heads: Sequence[Head]) -> bool:
    """Whether a slide is positive and none of its tiles has a label: tiles alone could learn nothing from it.

    A slide on which somebody did mark regions is no such slide, also where no tile holds enough of the malignant ones.
    """
    return bool(of_slide[flag_column(heads)] > _SURE) and not bool(known_rows(tile_targets).any())


def _from_tiles(own: TargetArray, head: Head) -> TargetArray:
    flag = head.classes.index(head.flag_class or "")
    unknown = np.full(len(head.classes), np.nan, np.float32)
    if (own[:, flag] > _SURE).any():
        return np.eye(len(head.classes), dtype=np.float32)[flag]
    if not len(own) or np.isnan(own).any():
        return unknown
    return own[int(np.argmax(own[:, flag]))]
