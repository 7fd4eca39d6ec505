"""``inkdot train``: from labelled slides to a model that says how good it is."""

import json
import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from rich.console import Console

from inkdot.config import Config
from inkdot.datasets.cohort import Cohort, cohort_notes, split_cohort
from inkdot.datasets.image_cache import cache_images
from inkdot.datasets.image_tables import read_image_table
from inkdot.datasets.label_tables import check_label_tables
from inkdot.datasets.near_duplicates import group_near_duplicates
from inkdot.datasets.tile_cache import CacheTask, LabelledTiles, labelled_tiles
from inkdot.errors import UserError
from inkdot.execution.runner import print_summary, run_slides
from inkdot.manifest import manifest_text, read_slides
from inkdot.metrics.splits import Part
from inkdot.pipeline.dry_run import planned_tiling, print_plan
from inkdot.pipeline.tile_slide import TileTask
from inkdot.records import SlideEntry
from inkdot.storage.atomic import write_text
from inkdot.storage.layout import ModelLayout, RunLayout
from inkdot.storage.locking import locked
from inkdot.training.batch_size_check import check_shares
from inkdot.training.cross_validation import cross_validate
from inkdot.training.distributed.process_group import after_rank_zero, company, on_rank_zero, together
from inkdot.training.fit.pretrained import check_start
from inkdot.training.label_checks import check_labels
from inkdot.training.mil.train_mil import mil_expected, training_tiles_of
from inkdot.training.train_dry_run import planned_image_training, planned_training
from inkdot.training.train_tiles import image_tiles, say, slide_tiles, train_cohort, write_split

_SIDES: tuple[Part, Part] = ("train", "validation")


def run(
    config: Config,
    slides: Path,
    out: Path,
    *,
    workers: int = 1,
    folds: int | None = None,
    dry_run: bool = False,
) -> int:
    """Train on labelled slides; the model is ``out/model``.

    Slides that are not tiled yet are tiled. A rerun with the same settings and data goes on where it stopped.

    Args:
        config: The whole config.
        slides: A ``slides.csv`` whose slides have labels or annotations.
        out: Run folder.
        workers: Processes that tile and read slides.
        folds: Cross-validate with so many models instead of making one; metrics go to ``out/cross_validation.md``.
        dry_run: Print what would be done, and write nothing.

    Returns:
        0 when every slide could be used, 1 when some failed; there is a model either way.

    Raises:
        UserError: The slides or the config do not make a model; the message says what is missing.
    """
    console, layout = _console(), RunLayout(out)
    entries = read_slides(slides, config.head_records)
    say(console, check_label_tables(entries, config.head_records))
    check_start(config)
    check_shares(config, slides=mil_expected(entries, config))
    if dry_run:
        failing = print_plan(console, entries, lambda entry: planned_tiling(entry, config, layout))
        say(console, planned_training(entries, config, layout, folds))
        return _exit_code(failing)
    with together(config.training.accelerator) as own, locked(layout.lock) if own.first else nullcontext():
        failed = on_rank_zero(lambda: _tile(entries, config, layout, workers, console))
        tiles = [labelled_tiles(entry, config, layout) for entry in entries if entry.slide_id not in failed]
        if not tiles:
            raise UserError(
                f"{slides}: expected slides to train on, found none that can be used; {_first(failed)}"
            )
        tiles, whole = training_tiles_of(tiles, config, layout)
        check_shares(config, slides=whole)
        cohort = split_cohort(tiles, config, by_slide=whole)
        check_labels(cohort, config)
        say(console, cohort_notes(cohort))
        used = cohort.used() if folds is None else list(cohort.slides.values())
        uncached = on_rank_zero(lambda: _cache(cohort, used, config, layout, workers, console))
        cohort = cohort.without(uncached)
        if folds is None:
            _train(cohort, config, layout, console)
        else:
            source = partial(slide_tiles, layout=layout)
            kept = list(cohort.slides.values())
            cross_validate(kept, source, folds, config, layout, console, images=False, by_slide=whole)
    say(console, _where(layout, folds))
    return _exit_code(failed or uncached)


def _tile(
    entries: Sequence[SlideEntry], config: Config, layout: RunLayout, workers: int, console: Console
) -> dict[str, str]:
    """Tile the slides that are not tiled yet; the reason of each that failed, by slide_id."""
    write_text(layout.slides_csv, manifest_text(entries, config.head_records, layout.root))
    _write_config(config, layout)
    task = TileTask(config, layout)
    tiled = run_slides("tile", entries, task, layout, workers=workers, description="Tiling")
    # Said at once: should too few be left, the reasons stand above the error.
    print_summary(console, [tiled])
    return tiled.failed


def _cache(
    cohort: Cohort,
    used: Sequence[LabelledTiles],
    config: Config,
    layout: RunLayout,
    workers: int,
    console: Console,
) -> dict[str, str]:
    """Read the pixels of the tiles that are used; the reason of each slide that failed, by slide_id."""
    _check_disk(cohort, config, layout, console)
    entries, task = [tiles.entry for tiles in used], CacheTask(config, layout, cohort.by_slide)
    cached = run_slides("cache", entries, task, layout, workers=workers, description="Reading tiles")
    print_summary(console, [cached])
    return cached.failed


def _train(cohort: Cohort, config: Config, layout: RunLayout, console: Console) -> None:
    """From cached tiles to a model; slides may have failed since the cohort was checked."""
    check_labels(cohort, config)
    write_split(cohort, layout)
    training, validation = (slide_tiles(cohort.of(part), layout) for part in _SIDES)
    train_cohort(cohort, training, validation, cohort_notes(cohort), config, layout, console)


def run_images(
    config: Config, images: Path, out: Path, *, folds: int | None = None, dry_run: bool = False
) -> int:
    """Train on labelled images; the model is ``out/model``. The same network and loop as for slides.

    Args:
        config: The whole config; its part ``images`` says how the table's columns are called.
        images: An ``images.csv``.
        out: Run folder.
        folds: Cross-validate with so many models instead of making one; metrics go to ``out/cross_validation.md``.
        dry_run: Print what would be done, and write nothing.

    Returns:
        0 when every image could be used, 1 when some failed; there is a model either way.

    Raises:
        UserError: The table or the config do not make a model; the message says what is missing.
    """
    console, layout = _console(), RunLayout(out)
    entries = read_image_table(images, config.head_records, config.images)
    check_start(config)
    check_shares(config, slides=False)
    unknown = sum(entry.mpp is None for entry in entries)
    if 0 < unknown < len(entries):
        raise UserError(
            f"{images}: expected micrometres per pixel for every image or for none, found {unknown} of {len(entries)} "
            "without; fill the column in, or set images.mpp_of_all to unknown and take the column out"
        )
    if dry_run:
        lines, missing = planned_image_training(entries, config, layout, folds)
        say(console, ["Nothing is written: this is what would be done.", *lines])
        say(console, [f"fail: {name} cannot be read" for name in missing])
        return _exit_code(missing)
    with together(config.training.accelerator) as own, locked(layout.lock) if own.first else nullcontext():
        if own.first:
            _write_config(config, layout)
        cached = after_rank_zero(lambda: cache_images(entries, config, layout, console))
        say(
            console,
            [f"{name} could not be used: {reason}" for name, reason in sorted(cached.failed.items())],
        )
        tiles, said = group_near_duplicates(cached, config.images.near_duplicates)
        say(console, said)
        known = not unknown
        if folds is None:
            cohort = split_cohort(tiles, config, images=True)
            check_labels(cohort, config)
            notes = [*cohort_notes(cohort), *said]
            if cached.padded:
                notes.append(f"{cached.padded} images are smaller than a tile and were filled up with white.")
            say(console, notes)
            write_split(cohort, layout)
            training, validation = (image_tiles(cohort.of(part), cached.pixels) for part in _SIDES)
            train_cohort(cohort, training, validation, notes, config, layout, console, mpp_known=known)
        else:
            source = partial(image_tiles, pixels=cached.pixels)
            cross_validate(tiles, source, folds, config, layout, console, images=True, mpp_known=known)
    say(console, _where(layout, folds))
    return _exit_code(cached.failed)


def _where(layout: RunLayout, folds: int | None) -> list[str]:
    if folds is not None:
        return [f"metrics: {layout.cross_validation_md}"]
    return [f"model: {layout.model}", f"what it is worth: {ModelLayout(layout.model).card}"]


def _console() -> Console:
    """Of several processes the first one speaks."""
    return Console(stderr=True, quiet=not company().first)


def _exit_code(failed: object) -> int:
    """1 where something failed. Only the first process says so: torchrun ends all when one does, and the first is the last."""
    return 1 if failed and company().first else 0


def _write_config(config: Config, layout: RunLayout) -> None:
    text = json.dumps(config.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False)
    write_text(layout.config_json, text + "\n")


def _check_disk(cohort: Cohort, config: Config, layout: RunLayout, console: Console) -> None:
    """Say what the cached tiles will take.

    Raises:
        UserError: The disk has less.
    """
    needed = sum(tiles.nbytes(config.tiling.side_px) for tiles in cohort.used())
    free = shutil.disk_usage(layout.root).free + sum(
        f.stat().st_size for f in layout.tile_cache.glob("*.npy")
    )
    if needed > free:
        raise UserError(
            f"{layout.tile_cache}: expected {needed / 1e9:.1f} GB of free disk for the training tiles, found "
            f"{free / 1e9:.1f} GB; free some, choose another --out, or lower training.max_tiles_per_slide"
        )
    say(
        console,
        [f"Training tiles: {needed / 1e6:.0f} MB in {layout.tile_cache}, which can be deleted afterwards."],
    )


def _first(failed: dict[str, str]) -> str:
    slide_id, reason = next(iter(failed.items()))
    return f"{slide_id}: {reason}"
