"""Checks of one slide, without writing anything: would a later stage fail on it, and why?"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from inkdot.annotations import read_annotation
from inkdot.config import Config, TilingConfig
from inkdot.errors import ImplausibleMppError, ManifestError, MissingMppError, ResolutionError, SlideError
from inkdot.geometry import check_resolution, scanned_bounds
from inkdot.labels import Head
from inkdot.pipeline.scale_offer import with_scale_offer
from inkdot.pipeline.tile_slide import has_spot
from inkdot.records import Mpp, Preparation, ReadPlan, Slide, SlideEntry, SlideInfo
from inkdot.slides import check_sampled_tiles, open_slide
from inkdot.storage.schemas import scores_schema, tiles_schema
from inkdot.storage.tables.labels_table import RegionLabel
from inkdot.tiling.foreground.find_foreground import Foreground, find_foreground
from inkdot.tiling.scale_check import mean_mpp, measure_red_cells, scale_warnings
from inkdot.tiling.tile_table import cut_tiles, empty_slide_message
from inkdot.units import Level0Px, LevelPx

_PROBE_SIDE_PX = 64
_PROBES_A_SIDE = 3
_BYTES_A_NUMBER = 4


@dataclass(frozen=True, slots=True)
class SlideInspection:
    """Result of :func:`inspect_slide`.

    Attributes:
        slide_id: The slide.
        info: Its metadata; None where it does not open.
        mpp_usable: False where the µm/px are missing or implausible; those in ``info`` are then made up.
        labels: Labels of regions on it; empty where the slide or its annotation cannot be read.
        tiles: Tiles that would be cut; their upper limit in mode ``clusters``; None where tiling fails.
        tables_bytes: Most bytes of its tile and score tables.
        cache_bytes: Most bytes of the pixels of its training tiles.
        red_cells: Size of the slide's red cells at its stated scale, as a phrase; empty where too few were found.
        problem: Why a later stage would fail, and what to do; empty where none would.
        warnings: Further warnings.
    """

    slide_id: str
    info: SlideInfo | None
    mpp_usable: bool
    labels: tuple[RegionLabel, ...]
    tiles: int | None
    tables_bytes: int
    cache_bytes: int
    red_cells: str
    problem: str
    warnings: tuple[str, ...]


def inspect_slide(entry: SlideEntry, config: Config) -> SlideInspection:
    """Open a slide, read its annotation and some of its pixels, find its foreground and count its tiles.

    Args:
        entry: The slide.
        config: How it would be tiled.
    """
    labels: tuple[RegionLabel, ...] = ()
    info: SlideInfo | None = None
    mpp_usable = True
    warnings = list(_entry_warnings(entry, config.preparation))
    try:
        with closing(open_slide(entry)) as slide:
            info = slide.info
            warnings += info.warnings
            if entry.annotation is not None:
                annotation = read_annotation(entry.annotation, info, config.annotations, config.head_records)
                labels = annotation.labels
                warnings += [*annotation.warnings, *_misplaced(info, labels)]
            check_resolution(info, config.tiling.mpp)
            _read_some(slide)
            check_sampled_tiles(entry.path, info)
            foreground = find_foreground(slide, config.tiling, with_spot=has_spot(entry, config))
            red_cells = measure_red_cells(slide, entry.preparation or config.preparation)
            warnings += scale_warnings(slide, red_cells)
            size = red_cells.size_words(mean_mpp(slide))
        tiles = _count_tiles(info, foreground, config.tiling, config.head_records)
    except (SlideError, ManifestError) as error:
        if isinstance(error, MissingMppError | ImplausibleMppError):
            info, mpp_usable = _info_without_mpp(entry), False
        if isinstance(error, MissingMppError | ImplausibleMppError | ResolutionError):
            error = with_scale_offer(error, entry, config.preparation)
        return SlideInspection(
            entry.slide_id, info, mpp_usable, labels, None, 0, 0, "", str(error), tuple(warnings)
        )
    if not tiles:
        message = empty_slide_message(foreground, config.tiling.min_foreground_fraction)
        warnings.append(f"inadequate: {message}")
    heads = config.head_records
    row = _BYTES_A_NUMBER * (len(tiles_schema(heads).names) + len(scores_schema(heads).names))
    cached = min(tiles, config.training.max_tiles_per_slide * sum(len(head.classes) for head in heads))
    return SlideInspection(
        slide_id=entry.slide_id,
        info=info,
        mpp_usable=True,
        labels=labels,
        tiles=tiles,
        tables_bytes=tiles * row + foreground.classes.size,
        cache_bytes=cached * config.tiling.side_px**2 * 3,
        red_cells=size,
        problem="",
        warnings=tuple(warnings),
    )


def _info_without_mpp(entry: SlideEntry) -> SlideInfo | None:
    """Metadata of a slide whose µm/px are missing or implausible."""
    try:
        with closing(open_slide(replace(entry, mpp=Mpp.square(1.0)))) as slide:
            return slide.info
    except SlideError:
        return None


def _entry_warnings(entry: SlideEntry, preparation: Preparation) -> list[str]:
    if entry.preparation in (None, preparation):
        return []
    return [f"expected preparation {preparation} as in the config, found {entry.preparation}"]


def _misplaced(info: SlideInfo, regions: Sequence[RegionLabel]) -> list[str]:
    """Warn of regions beyond the slide: coordinates may start elsewhere, as QuPath's do at the scanned bounds."""
    width, height = info.size_l0_px
    beyond = 0
    for region in regions:
        x0, y0, x1, y1 = region.geometry.bounds
        beyond += x0 < 0 or y0 < 0 or x1 > width or y1 > height
    if not beyond:
        return []
    return [
        f"{beyond} of {len(regions)} labelled regions reach beyond the slide; check that they are in level-0 pixels"
    ]


def _read_some(slide: Slide) -> None:
    """Read small regions across level 0: a truncated file fails at some of them."""
    bounds = scanned_bounds(slide.info)
    side = LevelPx(_PROBE_SIDE_PX)
    for row in range(_PROBES_A_SIDE):
        for column in range(_PROBES_A_SIDE):
            x = bounds.x_l0_px + max(0, bounds.width_l0_px - side) * column // (_PROBES_A_SIDE - 1)
            y = bounds.y_l0_px + max(0, bounds.height_l0_px - side) * row // (_PROBES_A_SIDE - 1)
            slide.read(ReadPlan(0, Level0Px(x), Level0Px(y), side, side))


def _count_tiles(info: SlideInfo, foreground: Foreground, tiling: TilingConfig, heads: Sequence[Head]) -> int:
    if tiling.mode == "clusters":
        # Finding nuclei takes as long as tiling; without foreground there is no tile either way.
        any_foreground = cut_tiles(info, tiling.spec, foreground, heads, 0.0).num_rows > 0
        return tiling.max_tiles if any_foreground else 0
    table = cut_tiles(info, tiling.spec, foreground, heads, tiling.min_foreground_fraction)
    return table.num_rows
