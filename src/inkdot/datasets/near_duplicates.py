"""Nearly identical images under different groups: found before they can stand on both sides of a split."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from inkdot.datasets.image_cache import CachedImages
from inkdot.datasets.tile_cache import LabelledTiles
from inkdot.errors import LeakageError
from inkdot.metrics.image_fingerprints import SIDE, NearDuplicates, find_near_duplicates, fingerprint
from inkdot.metrics.splits import patient_of

Policy = Literal["error", "join", "warn"]

_NAMED = 3


def group_near_duplicates(
    images: CachedImages, policy: Policy
) -> tuple[tuple[LabelledTiles, ...], list[str]]:
    """The images, those that are copies of each other in one group where that is wanted, and what to say of them.

    Args:
        images: As cached.
        policy: ``error`` refuses copies under different groups, ``join`` makes one group of theirs, ``warn`` only
            names them. Copies that the table puts into the same part are nobody's leak.

    Raises:
        LeakageError: There are copies under different groups, and the policy is ``error``.
    """
    tiles = images.tiles
    if len(tiles) < 2 or min(images.pixels.shape[1:3]) < SIDE:
        return tiles, []
    prints = np.stack([fingerprint(images.pixels[int(own.selection.rows[0])]) for own in tiles])
    groups = [_group(own) for own in tiles]
    twins = [pair for pair in find_near_duplicates(prints, np.array(groups)) if not _same_part(tiles, pair)]
    if not twins:
        return tiles, []
    found = f"{len(twins)} pairs of images of different groups that are nearly the same, such as {_named(tiles, twins)}"
    if policy == "error":
        raise LeakageError(
            f"expected copies of a image in one group, found {found}; give them one group, or set images.find_near_duplicates "
            "to join or warn"
        )
    if policy == "warn":
        return tiles, [f"Possible leak: {found}."]
    joined = _joined(groups, twins)
    merged = tuple(
        replace(own, entry=replace(own.entry, patient_id=group))
        for own, group in zip(tiles, joined, strict=True)
    )
    return merged, [f"Taken for one group each: {found}."]


def _group(tiles: LabelledTiles) -> str:
    return patient_of(tiles.entry.slide_id, tiles.entry.patient_id)


def _same_part(tiles: Sequence[LabelledTiles], pair: NearDuplicates) -> bool:
    first, second = (tiles[index].entry.extra.get("split", "") for index in (pair.first, pair.second))
    return first != "" and first == second


def _named(tiles: Sequence[LabelledTiles], twins: Sequence[NearDuplicates]) -> str:
    return ", ".join(
        f"{tiles[pair.first].entry.slide_id} and {tiles[pair.second].entry.slide_id} (correlation {pair.correlation:.2f})"
        for pair in twins[:_NAMED]
    )


def _joined(groups: Sequence[str], twins: Sequence[NearDuplicates]) -> list[str]:
    """Group of each image after groups with copies in common became one, called as the first of them."""
    parent = {group: group for group in groups}

    def root(group: str) -> str:
        while parent[group] != group:
            group = parent[group]
        return group

    for pair in twins:
        first, second = sorted((root(groups[pair.first]), root(groups[pair.second])))
        parent[second] = first
    return [root(group) for group in groups]
