"""Near-duplicate images in different groups, found before a split puts them on both sides."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from inkdot.datasets.image_cache import CachedImages
from inkdot.datasets.splits.grouped_split import patient_of
from inkdot.datasets.splits.image_fingerprints import SIDE, NearDuplicates, find_near_duplicates, fingerprint
from inkdot.datasets.tile_cache import LabelledTiles
from inkdot.errors import LeakageError

Policy = Literal["error", "join", "warn"]

_NAMED = 3


def group_near_duplicates(
    images: CachedImages, policy: Policy
) -> tuple[tuple[LabelledTiles, ...], list[str]]:
    """Find near-duplicates in different groups and handle them by a policy.

    Near-duplicates that the table puts into the same part of the split are no leak.

    Args:
        images: As cached.
        policy: ``error`` refuses them, ``join`` puts them into one group, ``warn`` only names them.

    Returns:
        The images, with their new groups, and warnings.

    Raises:
        LeakageError: There are some, and the policy is ``error``.
    """
    tiles = images.tiles
    if len(tiles) < 2 or min(images.pixels.shape[1:3]) < SIDE:
        return tiles, []
    prints = np.stack([fingerprint(images.pixels[int(own.selection.rows[0])]) for own in tiles])
    groups = [_group(own) for own in tiles]
    pairs = [pair for pair in find_near_duplicates(prints, np.array(groups)) if not _same_part(tiles, pair)]
    if not pairs:
        return tiles, []
    found = f"{len(pairs)} pairs of near-duplicate images in different groups, such as {_named(tiles, pairs)}"
    if policy == "error":
        raise LeakageError(
            f"expected near-duplicate images in one group, found {found}; give them one group, or set "
            "images.near_duplicates to join or warn"
        )
    if policy == "warn":
        return tiles, [f"Possible leak: {found}."]
    joined = _joined(groups, pairs)
    merged = tuple(
        replace(own, entry=replace(own.entry, patient_id=group))
        for own, group in zip(tiles, joined, strict=True)
    )
    return merged, [f"Joined into one group each: {found}."]


def _group(tiles: LabelledTiles) -> str:
    return patient_of(tiles.entry.slide_id, tiles.entry.patient_id)


def _same_part(tiles: Sequence[LabelledTiles], pair: NearDuplicates) -> bool:
    first, second = (tiles[index].entry.extra.get("split", "") for index in (pair.first, pair.second))
    return first != "" and first == second


def _named(tiles: Sequence[LabelledTiles], pairs: Sequence[NearDuplicates]) -> str:
    return ", ".join(
        f"{tiles[pair.first].entry.slide_id} and {tiles[pair.second].entry.slide_id} (correlation {pair.correlation:.2f})"
        for pair in pairs[:_NAMED]
    )


def _joined(groups: Sequence[str], pairs: Sequence[NearDuplicates]) -> list[str]:
    """Group of each image after groups that share near-duplicates were joined under the first one's name."""
    parent = {group: group for group in groups}

    def root(group: str) -> str:
        while parent[group] != group:
            group = parent[group]
        return group

    for pair in pairs:
        first, second = sorted((root(groups[pair.first]), root(groups[pair.second])))
        parent[second] = first
    return [root(group) for group in groups]
