"""The labelled tiles of a slide, read once and cached as one memory-mapped array.

Training reads every tile dozens of times in random order, too fast for reading from the slide.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from inkdot.bounded_json import parse_json
from inkdot.config import Config
from inkdot.datasets.slide_labels import slide_targets
from inkdot.datasets.tile_sampler import Selection, select_rows
from inkdot.labels import flagging_head, head_slices, target_columns
from inkdot.model.targets import TargetArray
from inkdot.records import Mpp, RgbArray, SlideEntry
from inkdot.slides.unchanged import open_unchanged
from inkdot.storage.atomic import atomic_path, write_text
from inkdot.storage.hashing import file_sha256
from inkdot.storage.layout import RunLayout
from inkdot.storage.ledger import Outcome
from inkdot.storage.schemas import TILES_VERSION
from inkdot.storage.tables.parquet_tables import read_table
from inkdot.tiling.tile_pixels import read_tiles

_VERSION = "inkdot.tile-cache/1"


@dataclass(frozen=True, slots=True)
class LabelledTiles:
    """The tiles of one slide for training.

    Attributes:
        entry: The slide.
        selection: Rows of the tile table, and how many labelled ones were left out.
        targets: Weight per class of all heads of those rows, NaN where unknown, shape [n, classes].
        synthetic: Whether the slide is synthetic.
        made_from: Hashes and settings that determine the pixels.
        source_sha256: Hash of the slide's file, or of the image's.
        slide_targets: Target of the whole slide, weight per class of all heads, NaN where unknown, shape
            [classes]; None for an image.
        mpp: As scanned, before tiles are scaled; None where unknown.
        empty: The slide has no tile at all: nothing was found on it.
    """

    entry: SlideEntry
    selection: Selection
    targets: TargetArray
    synthetic: bool
    made_from: dict[str, object]
    source_sha256: str
    slide_targets: TargetArray | None = None
    mpp: Mpp | None = None
    empty: bool = False

    def nbytes(self, side_px: int) -> int:
        """Bytes of their pixels."""
        return len(self.targets) * side_px * side_px * 3


def labelled_tiles(
    entry: SlideEntry, config: Config, layout: RunLayout, *, whole: bool = False
) -> LabelledTiles:
    """Read a tile table and choose the rows to use, see :func:`select_rows`.

    Args:
        entry: The slide.
        config: The whole config.
        layout: The run folder.
        whole: Include tiles without a label of their own, of slides with a label.

    Raises:
        StorageError: The table is missing or damaged.
    """
    table, footer = read_table(layout.tiles(entry.slide_id), TILES_VERSION)
    return _choose(entry, config, layout, table, footer, whole)


@dataclass(frozen=True, slots=True)
class CacheTask:
    """:func:`cache_tiles` as a task for an executor.

    Attributes:
        config: The whole config.
        layout: The run folder.
        whole: As in :func:`labelled_tiles`.
    """

    config: Config
    layout: RunLayout
    whole: bool = False

    def __call__(self, entry: SlideEntry) -> Outcome:
        """Cache the tiles of one slide."""
        return cache_tiles(entry, self.config, self.layout, whole=self.whole)


def cache_tiles(entry: SlideEntry, config: Config, layout: RunLayout, *, whole: bool = False) -> Outcome:
    """Write the pixels of the rows that :func:`labelled_tiles` chooses, in their order, or reuse a valid cache.

    Raises:
        SlideError: The slide's pixels cannot be read.
        StorageError: The tile table is missing or damaged.
    """
    table, footer = read_table(layout.tiles(entry.slide_id), TILES_VERSION)
    tiles = _choose(entry, config, layout, table, footer, whole)
    facts_path = layout.cached_tiles_metadata(entry.slide_id)
    if _fits(facts_path, layout.cached_tiles(entry.slide_id), tiles.made_from):
        return "reused"
    facts_path.unlink(missing_ok=True)
    rows, side = tiles.selection.rows, config.tiling.side_px
    xs, ys = _numbers(table, "x_l0_px")[rows], _numbers(table, "y_l0_px")[rows]
    with atomic_path(layout.cached_tiles(entry.slide_id)) as temporary:
        if len(rows):
            pixels = np.lib.format.open_memmap(temporary, "w+", np.uint8, (len(rows), side, side, 3))
            scaling, fingerprint = config.tiling.dct_scaling, str(footer["slide_fingerprint"])
            with open_unchanged(entry, fingerprint, dct_scaling=scaling) as slide:
                for index, tile in enumerate(read_tiles(slide, config.tiling.spec, xs, ys)):
                    pixels[index] = tile
            pixels.flush()
            del pixels  # Windows renames no file that is still mapped
        else:  # an empty array cannot be mapped
            np.save(temporary, np.zeros((0, side, side, 3), np.uint8), allow_pickle=False)
    # The facts last: they mark the pixels as complete.
    write_text(facts_path, json.dumps({"version": _VERSION, **tiles.made_from}, sort_keys=True) + "\n")
    return "done"


def cached_pixels(entry: SlideEntry, layout: RunLayout) -> RgbArray:
    """The pixels that :func:`cache_tiles` wrote, uint8 [n, side, side, 3], mapped, not read."""
    path = layout.cached_tiles(entry.slide_id)
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError:  # an empty array cannot be mapped
        return np.load(path, allow_pickle=False)


def _choose(
    entry: SlideEntry,
    config: Config,
    layout: RunLayout,
    table: pa.Table,
    footer: dict[str, object],
    whole: bool,
) -> LabelledTiles:
    heads, settings = config.head_records, config.training
    columns = [_targets(table, name) for name in target_columns(heads)]
    targets = np.stack(columns, axis=1)
    fewer = sum(name.startswith("target.") for name in table.column_names) - len(columns)
    flagging = head_slices(heads)[flagging_head(heads).name]
    of_slide = slide_targets(entry.on_slide, targets, heads)
    whole = whole and not bool(np.isnan(of_slide[flagging]).any())
    limit, seed = settings.max_tiles_per_slide, settings.seed
    slide = cast("dict[str, Any]", footer["slide"])
    selection = select_rows(targets, flagging, limit, seed, entry.slide_id, whole=whole)
    return LabelledTiles(
        entry=entry,
        selection=selection,
        targets=targets[selection.rows],
        synthetic=bool(slide["synthetic"]),
        # The hash of the table covers the slide and the tiling too: its footer holds theirs.
        made_from={
            "tiles_sha256": file_sha256(layout.tiles(entry.slide_id)),
            "max_tiles_per_slide": settings.max_tiles_per_slide,
            "seed": settings.seed,
            **({"whole": True} if whole else {}),
            # The table has targets of all heads; without some of them other rows are labelled.
            **({} if fewer == 0 else {"heads": [head.name for head in heads]}),
        },
        source_sha256=str(footer["slide_fingerprint"]),
        slide_targets=of_slide,
        mpp=Mpp(slide["mpp_x"], slide["mpp_y"]),
        empty=table.num_rows == 0,
    )


def _fits(facts_path: Path, pixels_path: Path, made_from: dict[str, object]) -> bool:
    if not pixels_path.exists():
        return False
    try:
        facts = parse_json(facts_path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return facts == {"version": _VERSION, **made_from}


def _targets(table: pa.Table, name: str) -> TargetArray:
    values = cast("list[float | None]", table.column(name).to_pylist())
    return np.array([np.nan if value is None else value for value in values], np.float32)


def _numbers(table: pa.Table, name: str) -> npt.NDArray[np.int64]:
    return np.asarray(cast("list[int]", table.column(name).to_pylist()), np.int64)
