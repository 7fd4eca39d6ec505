"""Cutting one slide into tiles: foreground, grid, targets, and the image that shows it."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from inkdot import __version__
from inkdot.annotations import Annotation, read_annotation
from inkdot.config import Config, MorphometryConfig
from inkdot.errors import InkdotError, StorageError
from inkdot.execution.watchdog import watched
from inkdot.geometry import tile_side_l0_px
from inkdot.pipeline.measure_slide import largest_first, measure_clusters_of, measured_facts
from inkdot.records import Slide, SlideEntry
from inkdot.slides import open_slide
from inkdot.storage.atomic import write_bytes
from inkdot.storage.hashing import json_sha256, slide_fingerprint
from inkdot.storage.layout import RunLayout
from inkdot.storage.ledger import Outcome
from inkdot.storage.record_json import slide_info_facts, tile_spec_facts
from inkdot.storage.schemas import CLUSTERS_VERSION, TILES_VERSION
from inkdot.storage.tables.labels_table import RegionLabel
from inkdot.storage.tables.parquet_tables import read_footer, read_table, write_table
from inkdot.tiling.cut_slide import Cut, cut_slide
from inkdot.tiling.mask_image import MAX_SIDE_PX, draw_mask, png_bytes
from inkdot.tiling.tile_labels import TileBoxes, target_columns_for
from inkdot.tiling.tile_table import with_targets


@dataclass(frozen=True, slots=True)
class TileTask:
    """:func:`tile_slide` for the engine.

    Attributes:
        config: The whole config.
        layout: The run folder.
        measure: Measure nuclei of clusters too. Training needs none, and `predict` measures what it finds suspicious.
    """

    config: Config
    layout: RunLayout
    measure: bool = False

    def __call__(self, entry: SlideEntry) -> Outcome:
        """Tile one slide."""
        return tile_slide(entry, self.config, self.layout, measure=self.measure)


def tile_slide(entry: SlideEntry, config: Config, layout: RunLayout, *, measure: bool = False) -> Outcome:
    """Write ``tiles/<slide_id>.parquet`` and ``masks/<slide_id>.png``, or keep those that still fit.

    Where tiles are centred on clusters, ``clusters/<slide_id>.parquet`` too.

    An earlier table is reused when it was made from the same slide file, settings, labels and version of the
    program; its footer holds their hashes.

    Raises:
        SlideError: The slide cannot be read, has no usable mpp, or shows nothing but glass.
        ManifestError: A row of the slide's labels table is wrong.
    """
    try:
        with closing(watched(open_slide(entry))) as slide:
            said = _annotation(entry, slide, config)
            made_from = _made_from(entry, config, said.labels)
            if _fits(layout, entry.slide_id, made_from) and not (
                measure and _measures_missing(layout, entry.slide_id, config.morphometry)
            ):
                return "reused"
            _forget(layout, entry.slide_id)
            cut = cut_slide(slide, config.tiling, config.head_records, config.preparation)
            tiles, image = _labelled(slide, cut, entry, config, said.labels)
            facts = {**made_from, **_found(slide, cut, said.warnings)}
            clusters, measured = cut.clusters, {}
            if measure and clusters is not None:
                found = measure_clusters_of(slide, clusters, largest_first(clusters), config.morphometry)
                clusters, measured = found.table, found.facts
    except InkdotError:
        # Should this slide fail, no later stage may take an earlier table for its tiles.
        _forget(layout, entry.slide_id)
        raise
    # The tile table last: it says that the slide is done.
    write_bytes(layout.mask(entry.slide_id), image)
    if clusters is not None:
        write_table(layout.clusters(entry.slide_id), clusters, CLUSTERS_VERSION, facts | measured)
    write_table(layout.tiles(entry.slide_id), tiles, TILES_VERSION, facts)
    return "done"


def tiles_fit(entry: SlideEntry, config: Config, layout: RunLayout) -> bool:
    """Whether an earlier tile table of this slide would be reused.

    Raises:
        SlideError: The slide or its annotation cannot be read.
        ManifestError: A row of the slide's labels table is wrong.
    """
    with closing(open_slide(entry)) as slide:
        said = _annotation(entry, slide, config)
        return _fits(layout, entry.slide_id, _made_from(entry, config, said.labels))


def _annotation(entry: SlideEntry, slide: Slide, config: Config) -> Annotation:
    """What was said about regions on this slide; a labels table may hold the labels of a whole cohort."""
    if entry.annotation is None:
        return Annotation((), (), "none")
    return read_annotation(entry.annotation, slide.info, config.annotations, config.head_records)


def _forget(layout: RunLayout, slide_id: str) -> None:
    layout.tiles(slide_id).unlink(missing_ok=True)
    layout.clusters(slide_id).unlink(missing_ok=True)


def _made_from(entry: SlideEntry, config: Config, regions: Sequence[RegionLabel]) -> dict[str, object]:
    """Everything that shapes the tile table, as facts for its footer."""
    labels = sorted([region.geometry.wkt, region.head, region.label, region.reader] for region in regions)
    return {
        "inkdot": __version__,
        "tile_spec": tile_spec_facts(config.tiling.spec),
        "tiling_sha256": settings_sha256(config),
        "slide_fingerprint": _fingerprint(entry.path),
        "labels_sha256": json_sha256([labels, dict(entry.on_slide)]),
        "stated_mpp": [entry.mpp.x, entry.mpp.y] if entry.mpp else None,
    }


def settings_sha256(config: Config) -> str:
    """Hash of the settings that shape a tile table."""
    settings = [
        config.preparation,
        config.tiling.model_dump(mode="json"),
        config.labelling.model_dump(mode="json"),
        config.annotations.model_dump(mode="json"),
        [head.model_dump(mode="json") for head in config.heads],
    ]
    return json_sha256(settings)


def _fingerprint(path: Path) -> str | None:
    """None where the file cannot be read: nothing fits that, and opening it says why."""
    try:
        return slide_fingerprint(path)
    except OSError:
        return None


def _fits(layout: RunLayout, slide_id: str, made_from: dict[str, object]) -> bool:
    if made_from["slide_fingerprint"] is None or not layout.mask(slide_id).exists():
        return False
    try:
        _, earlier = read_table(layout.tiles(slide_id), TILES_VERSION)
        if "adequacy" in earlier:
            read_table(layout.clusters(slide_id), CLUSTERS_VERSION)
    except StorageError:
        return False
    return all(earlier.get(name, "absent") == value for name, value in made_from.items())


def _measures_missing(layout: RunLayout, slide_id: str, wanted: MorphometryConfig) -> bool:
    path = layout.clusters(slide_id)
    if not path.exists():
        return False
    measured = measured_facts(read_footer(path, CLUSTERS_VERSION))
    return measured is None or measured["morphometry"] != wanted.model_dump(mode="json")


def _found(slide: Slide, cut: Cut, said: Sequence[str]) -> dict[str, object]:
    """What was learnt of the slide, as facts for its footers; a spent budget is a warning on every output."""
    info = slide_info_facts(slide.info)
    facts: dict[str, object] = {"slide": {**info, "warnings": [*slide.info.warnings, *said, *cut.warnings]}}
    facts["assessment"] = asdict(cut.assessment)
    if cut.adequacy is not None:
        facts["adequacy"] = asdict(cut.adequacy)
    return facts


def _labelled(
    slide: Slide, cut: Cut, entry: SlideEntry, config: Config, regions: Sequence[RegionLabel]
) -> tuple[pa.Table, bytes]:
    """The tile table with targets, and the mask image as PNG."""
    side = tile_side_l0_px(slide.info, config.tiling.spec)
    x, y = _column(cut.tiles, "x_l0_px"), _column(cut.tiles, "y_l0_px")
    tiles = TileBoxes(x, y, *side)
    targets = target_columns_for(tiles, config.head_records, regions, entry.on_slide, config.labelling)
    image = draw_mask(slide.thumbnail(MAX_SIDE_PX), slide.info, cut.foreground, x, y, side, cut.notes)
    return with_targets(cut.tiles, targets), png_bytes(image)


def _column(table: pa.Table, name: str) -> npt.NDArray[np.int64]:
    return np.asarray(cast("list[int]", table.column(name).to_pylist()), np.int64)
