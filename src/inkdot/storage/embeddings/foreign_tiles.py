"""Where the tiles of another program's embeddings lie, and how large they are: by the attributes of its files.

The sources are those of :mod:`inkdot.storage.embeddings.embedding_formats`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from inkdot.errors import StorageError
from inkdot.records import SlideInfo, TileSpec

_EARLY_STAMP_PX, _EARLY_STAMP_UM = 224, 256.0
"""STAMP 1 counted coordinates in pixels of tiles of 224 px that show 256 µm."""


@dataclass(frozen=True, slots=True)
class ForeignSource:
    """What a foreign file does not state itself.

    Attributes:
        slide: Metadata of its slide, for the scale.
        encoder: Name of the encoder; empty where the file states it.
        tile_spec: Side and scale of its tiles, for files that state none; or None.
    """

    slide: SlideInfo
    encoder: str = ""
    tile_spec: TileSpec | None = None


class ForeignTiles(NamedTuple):
    """Geometry of a file's tiles.

    Attributes:
        side_px: Side as the encoder took them.
        side_l0_px: Side in level-0 pixels, along x.
        overlap_px: Overlap of neighbouring tiles, in pixels of ``side_px``.
    """

    side_px: int
    side_l0_px: float
    overlap_px: int


def clam_tiles(path: Path, attributes: Mapping[str, Any], source: ForeignSource) -> ForeignTiles:
    """Tiles of TRIDENT and CLAM, whose coordinates are level-0 pixels.

    TRIDENT states the side at the scale of the network and at level 0, early versions only the magnifications of both; CLAM's
    files of tiles state a side at a level, and its files of features nothing.
    """
    side = _number(attributes, "patch_size")
    level0, magnified = (
        _number(attributes, "level0_magnification"),
        _number(attributes, "target_magnification"),
    )
    if side and (at_level0 := _number(attributes, "patch_size_level0")) and magnified:
        return ForeignTiles(round(side), at_level0, round(_number(attributes, "overlap") or 0))
    if side and level0 and magnified:
        return ForeignTiles(
            round(side), side * level0 / magnified, round(_number(attributes, "overlap") or 0)
        )
    level = _number(attributes, "patch_level")
    downsample = _number(attributes, "downsample") or (1.0 if level == 0 else None)
    if side and level is not None and downsample:
        shrunk = _number(attributes, "custom_downsample") or 1.0
        return ForeignTiles(round(side / shrunk), side * downsample, 0)
    if source.tile_spec is not None:
        return _stated(source.tile_spec, source.slide)
    raise StorageError(
        f"{path}: expected the side of the tiles (patch_size), found none, as in CLAM's features; "
        "give --config with tiling.side_px and tiling.mpp of the tiles"
    )


def stamp_tiles(
    path: Path, attributes: Mapping[str, Any], corners: npt.NDArray[Any], source: ForeignSource
) -> tuple[ForeignTiles, npt.NDArray[np.float64]]:
    """Tiles of STAMP and their corners in level-0 pixels; its coordinates are µm, and one scale holds for both axes."""
    if attributes.get("feat_type", "tile") != "tile":
        raise StorageError(
            f"{path}: expected embeddings of tiles, found those of a {attributes['feat_type']}"
        )
    mpp, corners = float(source.slide.mpp.x), np.asarray(corners, np.float64)
    side_px = _number(attributes, "tile_size_px")
    side_um = _number(attributes, "tile_size_um")
    if side_um is None and attributes.get("unit") == "um":
        side_um = _number(attributes, "tile_size")
    if side_um is None and _stride(corners) == _EARLY_STAMP_PX:
        side_px, side_um = _EARLY_STAMP_PX, _EARLY_STAMP_UM
        corners = corners / _EARLY_STAMP_PX * _EARLY_STAMP_UM
    if side_um is None or (side_px is None and source.tile_spec is None):
        raise StorageError(
            f"{path}: expected tile_size_um and tile_size_px, found no {'tile_size_px' if side_um else 'tile_size_um'}; "
            "extract the features again with STAMP 2.1 or later"
        )
    tiles = (
        ForeignTiles(round(side_px), side_um / mpp, 0)
        if side_px is not None
        else _stated(source.tile_spec, source.slide)
    )
    return tiles, corners / mpp


def _stride(corners: npt.NDArray[np.float64]) -> int | None:
    """Least distance between two columns or two rows of tiles, rounded, as STAMP has it."""
    gaps = [np.diff(np.unique(corners[:, axis])) for axis in (0, 1)]
    return round(min(gap.min() for gap in gaps if len(gap))) if any(map(len, gaps)) else None


def _stated(spec: TileSpec | None, slide: SlideInfo) -> ForeignTiles:
    assert spec is not None
    return ForeignTiles(spec.side_px, spec.side_um / slide.mpp.x, spec.side_px - spec.stride_px)


def _number(attributes: Mapping[str, Any], name: str) -> float | None:
    """A positive attribute, or 0 for a level; None where it is missing or, as TRIDENT writes it, the text None."""
    value = attributes.get(name)
    try:
        number = float(value) if isinstance(value, str | int | float) else np.nan
    except ValueError:
        return None
    return number if np.isfinite(number) and number >= 0 else None
