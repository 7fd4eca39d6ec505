"""The table of tiles: on a regular grid without empty tiles, or centred on clusters."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from inkdot.config import ArtefactConfig
from inkdot.geometry import check_resolution, grid_positions, tile_side_l0_px
from inkdot.labels import Head
from inkdot.records import SlideInfo, TileSpec
from inkdot.storage.schemas import tiles_schema
from inkdot.tiling.coverage import covered_fraction
from inkdot.tiling.foreground.find_foreground import Foreground
from inkdot.tiling.foreground.foreground_classes import BLOCKING, ForegroundClass


def cut_tiles(
    info: SlideInfo,
    spec: TileSpec,
    foreground: Foreground,
    heads: Sequence[Head],
    min_foreground_fraction: float,
    artefacts: ArtefactConfig | None = None,
) -> pa.Table:
    """Tiles of the grid with enough foreground and few artefacts, by y then x, as ``schemas.tiles_schema`` with null targets.

    A slide without foreground has none.

    Args:
        info: The slide.
        spec: Side, scale and stride of the tiles.
        foreground: Foreground and artefacts of the slide.
        heads: The heads; each gets its target columns.
        min_foreground_fraction: Tiles with less of their area (0 to 1) in the foreground are dropped, and
            those with none at all.
        artefacts: How much of a tile may lie under pen and other artefacts; any amount where None.

    Raises:
        ResolutionError: The slide is too coarse for the tiles.
    """
    check_resolution(info, spec.mpp)
    corners = np.array(list(grid_positions(info, spec)), dtype=np.int64).reshape(-1, 2)
    width, height = tile_side_l0_px(info, spec)
    x, y = corners[:, 0], corners[:, 1]
    fraction = covered_fraction(foreground.mask, foreground.frame, x, y, width, height)
    kept = (fraction >= min_foreground_fraction) & (fraction > 0.0)
    if artefacts is not None:
        kept &= _few_artefacts(foreground, artefacts, x, y, width, height)
    x, y = x[kept], y[kept]
    measured: dict[str, Any] = {}
    if foreground.focus is not None:
        edges = foreground.focus.edges_of(foreground.frame, x, y, width, height)
        measured["edge_um"] = pa.array(edges.astype(np.float32), mask=np.isnan(edges))
    return _table(x, y, fraction[kept], heads, measured)


def _few_artefacts(
    foreground: Foreground,
    artefacts: ArtefactConfig,
    x_l0_px: npt.NDArray[np.int64],
    y_l0_px: npt.NDArray[np.int64],
    width_l0_px: float,
    height_l0_px: float,
) -> npt.NDArray[np.bool_]:
    """Whether tiles have few artefacts; pen has its own limit, since blue ink has the colour of a nucleus."""
    fit = np.ones(len(x_l0_px), np.bool_)
    for kinds, most in (
        ((ForegroundClass.PEN,), artefacts.max_pen_fraction),
        (tuple(BLOCKING), artefacts.max_blocked_fraction),
    ):
        mask = foreground.of(kinds)
        if mask.any():
            fit &= (
                covered_fraction(mask, foreground.frame, x_l0_px, y_l0_px, width_l0_px, height_l0_px) <= most
            )
    return fit


def tiles_at(
    info: SlideInfo,
    spec: TileSpec,
    foreground: Foreground,
    heads: Sequence[Head],
    x_l0_px: npt.NDArray[np.int64],
    y_l0_px: npt.NDArray[np.int64],
    cluster_id: npt.NDArray[np.int64],
    edge_um: npt.NDArray[np.float64],
) -> pa.Table:
    """Tiles on clusters as ``schemas.tiles_schema`` with null targets.

    Args:
        info: The slide.
        spec: Side and scale of the tiles.
        foreground: Foreground and artefacts of the slide.
        heads: The heads; each gets its target columns.
        x_l0_px: Left edges in level-0 pixels, shape [tiles], by y then x.
        y_l0_px: Top edges, shape [tiles].
        cluster_id: The cluster each tile was placed for, shape [tiles].
        edge_um: Edge width of that cluster in µm, shape [tiles].
    """
    width, height = tile_side_l0_px(info, spec)
    fraction = covered_fraction(foreground.mask, foreground.frame, x_l0_px, y_l0_px, width, height)
    return _table(x_l0_px, y_l0_px, fraction, heads, {"cluster_id": cluster_id, "edge_um": edge_um})


def _table(
    x_l0_px: npt.NDArray[np.int64],
    y_l0_px: npt.NDArray[np.int64],
    fraction: npt.NDArray[np.float64],
    heads: Sequence[Head],
    more: Mapping[str, Any],
) -> pa.Table:
    schema = tiles_schema(heads)
    columns: dict[str, Any] = dict.fromkeys(schema.names, [None] * len(x_l0_px))
    columns |= {"x_l0_px": x_l0_px, "y_l0_px": y_l0_px, "foreground_fraction": fraction, **more}
    return pa.Table.from_pydict(columns, schema=schema)


def with_targets(tiles: pa.Table, targets: Mapping[str, npt.NDArray[np.float32]]) -> pa.Table:
    """The table with its target columns filled; NaN becomes null (unknown).

    Args:
        tiles: As made by :func:`cut_tiles`.
        targets: Column name to one value per tile, 0 to 1 or NaN.
    """
    columns: dict[str, Any] = {name: tiles.column(name) for name in tiles.column_names}
    columns |= {name: pa.array(values, mask=np.isnan(values)) for name, values in targets.items()}
    return pa.Table.from_pydict(columns, schema=tiles.schema)


def empty_slide_message(foreground: Foreground, min_fraction: float) -> str:
    """What a slide without tiles shows, for those who wonder whether it is empty."""
    areas = foreground.areas_um2()
    total = sum(areas.values())
    shares = ", ".join(
        f"{kind.words} {areas[kind] / total:.3%}"
        for kind in ForegroundClass
        if areas[kind] and kind != ForegroundClass.GLASS
    )
    return f"no tile has {min_fraction:g} of foreground; besides empty glass the slide shows {shares or 'nothing'}"
