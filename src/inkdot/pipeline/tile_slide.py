"""Tiling one slide: foreground, tiles, targets and the mask image."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from inkdot import __version__
from inkdot.annotations import Annotation, read_annotation
from inkdot.config import Config, MorphometryConfig
from inkdot.errors import (
    AnnotationError,
    ImplausibleMppError,
    InkdotError,
    ManifestError,
    MissingMppError,
    ResolutionError,
    StorageError,
)
from inkdot.execution.watchdog import with_heartbeat
from inkdot.geometry import tile_side_l0_px
from inkdot.pipeline.measure_slide import largest_first, measure_slide_clusters, measurement_facts
from inkdot.pipeline.scale_offer import with_scale_offer
from inkdot.records import Slide, SlideEntry
from inkdot.slides import open_slide
from inkdot.slides.unchanged import SameFile
from inkdot.storage.atomic import write_bytes
from inkdot.storage.hashing import json_sha256
from inkdot.storage.layout import RunLayout
from inkdot.storage.ledger import Outcome
from inkdot.storage.models.model_files import ModelFile
from inkdot.storage.record_json import slide_info_json, tile_spec_json
from inkdot.storage.schemas import CLUSTERS_VERSION, TILES_VERSION
from inkdot.storage.tables.labels_table import RegionLabel
from inkdot.storage.tables.parquet_tables import read_footer, read_table, write_table
from inkdot.tiling.clusters.detect import cell_finder_for, full_name
from inkdot.tiling.cut_slide import SlideTiles, cut_slide
from inkdot.tiling.mask_image import MAX_SIDE_PX, draw_mask, png_bytes
from inkdot.tiling.tile_labels import TileBoxes, target_columns_for
from inkdot.tiling.tile_table import with_targets


@dataclass(frozen=True, slots=True)
class TileTask:
    """:func:`tile_slide` as a task for an executor.

    Attributes:
        config: The whole config.
        layout: The run folder.
        measure: Measure the nuclei of clusters too. Training does not use them, and `predict` measures the suspicious ones.
        labels_needed: Without, an annotation that cannot be read costs its labels and not the slide.
    """

    config: Config
    layout: RunLayout
    measure: bool = False
    labels_needed: bool = True

    def __call__(self, entry: SlideEntry) -> Outcome:
        """Tile one slide."""
        return tile_slide(
            entry, self.config, self.layout, measure=self.measure, labels_needed=self.labels_needed
        )


def tile_slide(
    entry: SlideEntry, config: Config, layout: RunLayout, *, measure: bool = False, labels_needed: bool = True
) -> Outcome:
    """Write ``tiles/<slide_id>.parquet`` and ``masks/<slide_id>.png``, or reuse valid ones.

    In mode ``clusters`` write ``clusters/<slide_id>.parquet`` too.

    An earlier table is reused when it was made from the same slide file, settings, labels and version of the program,
    whose hashes are in its footer.

    Raises:
        SlideError: The slide cannot be read, has no usable mpp, or is no bright-field slide.
        ManifestError: A row of the slide's labels table is wrong.
    """
    try:
        file = SameFile(entry.path)
        with closing(with_heartbeat(open_slide(entry))) as slide:
            annotation = _annotation(entry, slide, config, labels_needed=labels_needed)
            provenance = _provenance(entry, config, annotation.labels, file.fingerprint)
            if _is_current(layout, entry.slide_id, provenance) and not (
                measure and _measurements_missing(layout, entry.slide_id, config.morphometry)
            ):
                return "reused"
            _remove_tables(layout, entry.slide_id)
            cut = cut_slide(
                slide, config.tiling, config.head_records, config.preparation, entry.stain,
                with_spot=has_spot(entry, config),
            )  # fmt: skip
            tiles, image = _tiles_and_image(slide, cut, entry, config, annotation.labels)
            facts = {**provenance, **_slide_facts(slide, cut, annotation.warnings)}
            facts["cell_finder_name"] = config.tiling.cell_finder
            clusters, measured_facts = cut.clusters, dict[str, object]()
            if measure and clusters is not None:
                measured = measure_slide_clusters(
                    slide,
                    clusters,
                    largest_first(clusters),
                    config.morphometry,
                    finder=cell_finder_for(config.tiling.cell_finder, entry.stain),
                )
                clusters, measured_facts = measured.table, measured.facts
        file.check()
    except InkdotError as error:
        # No later stage may use an earlier table of a slide that failed.
        _remove_tables(layout, entry.slide_id)
        if isinstance(error, MissingMppError | ImplausibleMppError | ResolutionError):
            raise with_scale_offer(error, entry, config.preparation) from None
        raise
    # The tile table last: it marks the slide as complete.
    write_bytes(layout.mask(entry.slide_id), image)
    if clusters is not None:
        write_table(layout.clusters(entry.slide_id), clusters, CLUSTERS_VERSION, facts | measured_facts)
    write_table(layout.tiles(entry.slide_id), tiles, TILES_VERSION, facts)
    return "done"


def tiles_reusable(
    entry: SlideEntry, config: Config, layout: RunLayout, *, labels_needed: bool = True
) -> bool:
    """Whether an earlier tile table of this slide is valid; opens the slide.

    Raises:
        SlideError: The slide or its annotation cannot be read.
        ManifestError: A row of the slide's labels table is wrong.
    """
    with closing(open_slide(entry)) as slide:
        annotation = _annotation(entry, slide, config, labels_needed=labels_needed)
        fingerprint = SameFile(entry.path).fingerprint
        return _is_current(layout, entry.slide_id, _provenance(entry, config, annotation.labels, fingerprint))


def _annotation(entry: SlideEntry, slide: Slide, config: Config, *, labels_needed: bool) -> Annotation:
    """Labels of regions on this slide; a labels table may hold those of a whole cohort."""
    none = Annotation((), (), "none")
    if entry.annotation is None:
        return none
    try:
        return read_annotation(entry.annotation, slide.info, config.annotations, config.head_records)
    except (AnnotationError, ManifestError):
        if labels_needed:
            raise
        return none


def _remove_tables(layout: RunLayout, slide_id: str) -> None:
    layout.tiles(slide_id).unlink(missing_ok=True)
    layout.clusters(slide_id).unlink(missing_ok=True)
    layout.nuclei(slide_id).unlink(missing_ok=True)


def _provenance(
    entry: SlideEntry, config: Config, regions: Sequence[RegionLabel], fingerprint: str | None
) -> dict[str, object]:
    """Everything that the tile table depends on, for its footer."""
    labels = sorted([region.geometry.wkt, region.head, region.label, region.reader] for region in regions)
    return {
        "inkdot": __version__,
        "tile_spec": tile_spec_json(config.tiling.spec),
        "tiling_sha256": settings_sha256(config),
        "cell_finder": _cell_finder_sha256(entry, config),
        "with_spot": has_spot(entry, config),
        "slide_fingerprint": fingerprint,
        "labels_sha256": json_sha256([labels, dict(entry.on_slide)]),
        "stated_mpp": [entry.mpp.x, entry.mpp.y] if entry.mpp else None,
    }


def has_spot(entry: SlideEntry, config: Config) -> bool:
    """Whether a cell spot is searched for on a slide: not on a smear, however round its thick part is."""
    return (entry.preparation or config.preparation) != "smear"


def _cell_finder_sha256(entry: SlideEntry, config: Config) -> str | None:
    """Hash of the weights that find nuclei on this slide; None where no network does."""
    finder = cell_finder_for(config.tiling.cell_finder, entry.stain)
    return finder.description.weights_sha256 if finder else None


def tiling_config(model: ModelFile, cell_finder: str | None = None) -> Config:
    """The settings with which slides are tiled for a model: its own, but for another cell finder where one is given."""
    tiling = model.tiling
    if cell_finder is not None:
        tiling = tiling.model_copy(update={"cell_finder": full_name(cell_finder)})
    return Config(preparation=model.preparation, tiling=tiling, heads=model.heads)


def settings_sha256(config: Config) -> str:
    """Hash of the settings that a tile table depends on."""
    settings = [
        config.preparation,
        config.tiling.model_dump(mode="json"),
        config.labelling.model_dump(mode="json"),
        config.annotations.model_dump(mode="json"),
        [head.model_dump(mode="json") for head in config.heads],
    ]
    return json_sha256(settings)


def _is_current(layout: RunLayout, slide_id: str, provenance: dict[str, object]) -> bool:
    if provenance["slide_fingerprint"] is None or not layout.mask(slide_id).exists():
        return False
    try:
        _, earlier = read_table(layout.tiles(slide_id), TILES_VERSION)
        clusters = layout.clusters(slide_id)
        if "object_counts" in earlier or clusters.exists():
            read_table(clusters, CLUSTERS_VERSION)
    except StorageError:
        return False
    earlier = {"with_spot": True, **earlier}  # as in tables that do not say
    return all(earlier.get(name, "absent") == value for name, value in provenance.items())


def _measurements_missing(layout: RunLayout, slide_id: str, settings: MorphometryConfig) -> bool:
    path = layout.clusters(slide_id)
    if not path.exists():
        return False
    earlier = measurement_facts(read_footer(path, CLUSTERS_VERSION))
    return earlier is None or earlier["morphometry"] != settings.model_dump(mode="json")


def _slide_facts(slide: Slide, cut: SlideTiles, warnings: Sequence[str]) -> dict[str, object]:
    """Facts about the slide for the footers, with the warnings shown on every output."""
    info = slide_info_json(slide.info)
    facts: dict[str, object] = {
        "slide": {**info, "warnings": [*slide.info.warnings, *warnings, *cut.warnings]}
    }
    facts["assessment"] = asdict(cut.assessment)
    if cut.counts is not None:
        facts["object_counts"] = asdict(cut.counts)
    return facts


def _tiles_and_image(
    slide: Slide, cut: SlideTiles, entry: SlideEntry, config: Config, regions: Sequence[RegionLabel]
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
