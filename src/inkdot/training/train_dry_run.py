"""What a training run would do, for ``inkdot train --dry-run``."""

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial

import numpy as np

from inkdot.config import Config
from inkdot.datasets.class_weights import tiles_per_epoch
from inkdot.datasets.cohort import cohort_notes
from inkdot.datasets.image_cache import hashes_of, listed_images, with_targets_of
from inkdot.datasets.splits.grouped_split import PARTS, Part, SplitSlide, grouped_split, patient_of
from inkdot.datasets.tile_cache import LabelledTiles
from inkdot.datasets.tile_sampler import steps_per_epoch
from inkdot.errors import InkdotError
from inkdot.labels import Head, flagging_head
from inkdot.manifest.images import ImageEntry
from inkdot.pipeline.tile_slide import tiles_reusable
from inkdot.records import SlideEntry
from inkdot.slides import open_slide
from inkdot.storage.disk import TABLE_BYTES_PER_SLIDE, free_bytes, readable_bytes
from inkdot.storage.layout import RunLayout
from inkdot.training.choose_heads import choose_heads, tiles_with_heads
from inkdot.training.cross_validation import calibration_cohorts
from inkdot.training.mil.train_mil import planned_steps

_PURPOSES = {"train": "training", "validation": "validation", "test": "testing"}


def planned_training(
    entries: Sequence[SlideEntry], tiling: Config, config: Config, layout: RunLayout, folds: int | None
) -> list[str]:
    """Lines on tiles, split, disk and steps of a run on slides.

    Exact where every slide is tiled already. Otherwise the number of tiles is bounded by the slides' areas, and the split is
    drawn from the manifest alone.

    Args:
        entries: The slides; those that cannot be opened are skipped.
        tiling: The config with which slides are tiled, with all heads.
        config: The config of training, with the heads that have labels.
        layout: The run folder; need not exist.
        folds: Of a cross-validation, or None.

    Raises:
        UserError: The slides do not suffice for a model; the message names what is missing.
    """
    ready = [entry for entry in entries if _tiled(entry, tiling, layout)]
    if len(ready) == len(entries):
        return _known(partial(tiles_with_heads, entries, layout), config, layout, folds, images=False)
    most = sum(_most_tiles(entry, config) for entry in entries)
    parts = grouped_split(
        [_by_manifest(entry, flagging_head(config.head_records)) for entry in entries],
        config.training.validation_fraction,
        config.training.seed,
        config.training.group_by,
    )
    share = sum(part == "train" for part in parts.values()) / len(parts)
    return [
        f"{len(entries) - len(ready)} of {len(entries)} slides are not tiled yet, so tiles and split are estimates.",
        f"At most {most} labelled tiles, by area and training.max_tiles_per_slide.",
        *(_patients(part, entries, parts) for part in PARTS if part in parts.values()),
        *_costs(most, round(most * share), len(entries), config, layout, folds),
    ]


def planned_image_training(
    entries: Sequence[ImageEntry], config: Config, layout: RunLayout, folds: int | None
) -> tuple[list[str], list[str]]:
    """Lines on split, disk and steps of a run on images, and which images cannot be read.

    Raises:
        UserError: The images do not suffice for a model; the message names what is missing.
    """
    hashes = hashes_of(entries)
    missing = [entry.name for entry in entries if not hashes[entry.name]]
    tiles = [own for own in listed_images(entries, config.head_records, hashes, {}) if own.source_sha256]
    return _known(
        lambda own: with_targets_of(entries, tiles, own), config, layout, folds, images=True
    ), missing


def _known(
    tiles_of: Callable[[Config], tuple[list[LabelledTiles], bool]],
    config: Config,
    layout: RunLayout,
    folds: int | None,
    *,
    images: bool,
) -> list[str]:
    chosen = choose_heads(tiles_of, config, folds, images=images)
    config, tiles, cohorts, by_slide = chosen.config, chosen.tiles, chosen.cohorts, chosen.by_slide
    lines = list(chosen.notes)
    for number, cohort in enumerate(cohorts, start=1):
        lines += [f"Fold {number} of {folds}:"] if folds is not None else []
        lines += cohort_notes(cohort)
    drawn = tiles_per_epoch(np.concatenate([own.targets for own in cohorts[0].of("train")]), config)
    used = cohorts[0].slides.values() if folds else cohorts[0].used()
    cached = len(tiles) if images else sum(len(own.targets) for own in used)
    costs = _costs(cached, drawn, 0 if images else len(tiles), config, layout, folds)
    if by_slide:
        most = max(planned_steps(cohort.of("train"), cohort.of("validation"), config) for cohort in cohorts)
        times = f"{folds} times " if folds else ""
        costs[-1] = f"Steps: {times}at most {most}, in all phases of training from slides."
    if folds is None and (further := calibration_cohorts(cohorts[0], config)):
        costs.append(f"Calibration: {len(further)} further models, for out-of-fold scores of all patients.")
    return [*lines, *costs]


def _costs(
    cached: int, drawn: int, slides: int, config: Config, layout: RunLayout, folds: int | None
) -> list[str]:
    settings, side = config.training, config.tiling.side_px
    if config.model.freeze_backbone:
        return _frozen_costs(cached, slides, config, layout)
    steps = settings.epochs * steps_per_epoch(drawn, settings.batch_size)
    needed = cached * side * side * 3 + slides * TABLE_BYTES_PER_SLIDE
    free = free_bytes(layout.root)
    room = "" if free is None else f", {readable_bytes(free)} free"
    times = f"{folds} times " if folds else ""
    return [
        f"Disk: about {readable_bytes(needed)}{room}.",
        f"Steps: {times}{steps} of {min(settings.batch_size, max(1, drawn))} tiles in {settings.epochs} epochs.",
    ]


def _frozen_costs(cached: int, slides: int, config: Config, layout: RunLayout) -> list[str]:
    """Pixels are kept of images alone; the width of an embedding is known only with its network."""
    pixels = 0 if slides else cached * config.tiling.side_px**2 * 3
    free = free_bytes(layout.root)
    room = "" if free is None else f", {readable_bytes(free)} free"
    what = f"about {readable_bytes(pixels + slides * TABLE_BYTES_PER_SLIDE)}"
    return [
        f"Disk: {what}, and embeddings of 2 bytes times their width per tile{room}.",
        "Backbone frozen: all tiles are encoded once, where no embeddings fit; the expected time is printed before.",
        "Steps: none, the heads are fitted by a linear probe.",
    ]


def _tiled(entry: SlideEntry, config: Config, layout: RunLayout) -> bool:
    try:
        return tiles_reusable(entry, config, layout)
    except InkdotError:
        return False


def _most_tiles(entry: SlideEntry, config: Config) -> int:
    """Tiles of a slide if all of it were foreground; 0 where it cannot be opened."""
    try:
        with closing(open_slide(entry)) as slide:
            info = slide.info
    except InkdotError:
        return 0
    stride_um = config.tiling.spec.stride_px * config.tiling.mpp
    width, height = info.size_l0_px
    fitting = int(width * info.mpp.x / stride_um + 1) * int(height * info.mpp.y / stride_um + 1)
    classes = len(flagging_head(config.head_records).classes)
    return min(fitting, classes * config.training.max_tiles_per_slide)


def _by_manifest(entry: SlideEntry, head: Head) -> SplitSlide:
    target = head.target(entry.on_slide.get(head.name))
    positive = None if target is None else target[head.classes.index(head.flag_class or "")] > 0.5
    return SplitSlide(
        slide_id=entry.slide_id,
        patient_id=patient_of(entry.slide_id, entry.patient_id),
        positive=positive,
        labels=tuple(f"{name}.{label}" for name, label in entry.on_slide.items() if name != head.name),
        part=entry.extra.get("split", "").strip(),
        site=entry.site,
    )


def _patients(part: Part, entries: Sequence[SlideEntry], parts: dict[str, Part]) -> str:
    own = [entry for entry in entries if parts[entry.slide_id] == part]
    patients = {patient_of(entry.slide_id, entry.patient_id) for entry in own}
    return f"For {_PURPOSES[part]}: about {len(own)} slides of {len(patients)} patients."
