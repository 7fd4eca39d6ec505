"""``inkdot train``: from labelled slides or images to a model with its performance."""

import json
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.console import Console

from inkdot.config import Config
from inkdot.datasets.cohort import Cohort, cohort_notes
from inkdot.datasets.image_cache import cache_images, with_targets_of
from inkdot.datasets.image_tables import read_image_table
from inkdot.datasets.label_tables import check_label_tables
from inkdot.datasets.splits.grouped_split import Part
from inkdot.datasets.splits.near_duplicates import group_near_duplicates
from inkdot.datasets.tile_cache import LabelledTiles
from inkdot.datasets.trainable_heads import labelled_groups, labelled_patients
from inkdot.errors import UserError
from inkdot.execution.runner import print_summary, run_slides
from inkdot.labels import flagging_head
from inkdot.manifest import manifest_text, read_slides, source_notes
from inkdot.pipeline.dry_run import plan_tiling, print_plan
from inkdot.pipeline.results.adequacy_table import write_adequacy_table
from inkdot.pipeline.results.warnings import group_warnings
from inkdot.pipeline.scoring.score_embeddings import copy_tables
from inkdot.pipeline.tile_slide import TileTask
from inkdot.records import SlideEntry
from inkdot.storage.atomic import write_text
from inkdot.storage.layout import ModelLayout, RunLayout
from inkdot.storage.locking import locked
from inkdot.storage.run_table import write_run_table
from inkdot.tiling.clusters.detect import check_cell_finder
from inkdot.training.batch_size_check import check_batch_size
from inkdot.training.cache_tiles import cache_cohort
from inkdot.training.choose_heads import choose_heads, heads_with_labels, tiles_with_heads
from inkdot.training.cross_validation import cross_fitted_scores, cross_validate
from inkdot.training.distributed.fabric import global_rank, launched_fabric, world_size
from inkdot.training.fit.pretrained import check_start
from inkdot.training.fit.tensorboard import tensorboard_note
from inkdot.training.frozen.encode_cohort import encode_images, encode_slides, given_embeddings
from inkdot.training.label_checks import check_labels
from inkdot.training.mil.train_mil import mil_expected
from inkdot.training.run_context import RunContext, print_lines
from inkdot.training.train_dry_run import planned_image_training, planned_training
from inkdot.training.train_tiles import (
    TileSource,
    embedded_tiles,
    image_tiles,
    slide_tiles,
    train_cohort,
    write_split,
)
from inkdot.training.warm_start import check_warm_start

_SIDES: tuple[Part, Part] = ("train", "validation")
_NONE: dict[str, str] = {}


def run(
    config: Config,
    slides: Path,
    out: Path,
    *,
    workers: int = 1,
    folds: int | None = None,
    ensemble: bool = False,
    dry_run: bool = False,
    embeddings: Path | None = None,
) -> int:
    """Train on labelled slides; the model is ``out/model``.

    Slides that are not tiled yet are tiled. A rerun with the same settings and data resumes where it stopped. Heads without
    labels are left out of the model with a note; the tiles keep the targets of all heads of the config.

    Args:
        config: The whole config.
        slides: A ``slides.csv`` whose slides have labels or annotations.
        out: Run folder.
        workers: Processes that tile and read slides.
        folds: Cross-validate with so many models instead of making one; metrics go to ``out/cross_validation.md``.
        ensemble: With ``folds``: make the models of the folds one ensemble, ``out/model``.
        dry_run: Print what would be done, and write nothing.
        embeddings: Run folder whose embeddings are used where they fit, for ``model.freeze_backbone``.

    Returns:
        0 when every slide could be used, 1 when some failed; there is a model either way.

    Raises:
        UserError: The slides or the config do not suffice for a model; the message names what is missing.
    """
    _check_ensemble(folds, ensemble=ensemble)
    console, layout, given = _console(), RunLayout(out), given_embeddings(embeddings, config)
    entries = read_slides(slides, config.head_records)
    print_lines(console, [*source_notes([slides]), *check_label_tables(entries, config.head_records)])
    known = heads_with_labels(slides, labelled_patients(entries, config), config, folds)
    print_lines(console, known.notes)
    _check_settings(known.config, console, mil=mil_expected(entries, known.config))
    if dry_run:
        failing = print_plan(console, entries, lambda entry: plan_tiling(entry, config, layout))
        print_lines(console, planned_training(entries, config, known.config, layout, folds))
        return _exit_code(failing)
    with _started(config, layout, console) as context:
        fabric = context.fabric
        failed = fabric.broadcast(_tile(entries, context, workers, given) if fabric.is_global_zero else _NONE)
        usable = [entry for entry in entries if entry.slide_id not in failed]
        if not usable:
            raise UserError(
                f"{slides}: expected slides to train on, found none that can be used; {': '.join(next(iter(failed.items())))}"
            )
        chosen = choose_heads(partial(tiles_with_heads, usable, layout), known.config, folds, images=False)
        check_batch_size(config.training, fabric.world_size, mil=chosen.by_slide)
        context, cohort = replace(context, config=chosen.config), chosen.cohorts[0]
        if folds is None:
            check_warm_start(cohort, chosen.config)
        notes = [*known.notes, *chosen.notes]
        context.print([*chosen.notes, *cohort_notes(cohort)])
        used = cohort.used() if folds is None else list(cohort.slides.values())
        context, source, uncached = _tile_source(cohort, used, context, workers, given)
        cohort = cohort.without(uncached)
        if folds is None:
            _train(cohort, source, [*cohort_notes(cohort), *notes], context)
        else:
            remaining = list(cohort.slides.values())
            cross_validate(
                remaining, source, folds, context, images=False, by_slide=chosen.by_slide, ensemble=ensemble
            )
    print_lines(console, _results(layout, folds, ensemble=ensemble))
    return _exit_code(failed or uncached)


def _check_ensemble(folds: int | None, *, ensemble: bool) -> None:
    if ensemble and folds is None:
        raise UserError(
            "--ensemble: expected the number of models in --folds, found none; add --folds 5 (the members are the models of the "
            "folds)"
        )


def _check_settings(config: Config, console: Console, *, mil: bool) -> None:
    """Refuse settings that cannot be used, before any long work."""
    print_lines(console, check_start(config))
    check_cell_finder(config.tiling.cell_finder)
    check_batch_size(config.training, world_size(), mil=mil)
    print_lines(console, tensorboard_note(config.training))


@contextmanager
def _started(config: Config, layout: RunLayout, console: Console) -> Generator[RunContext]:
    """Launch Fabric; rank zero locks the run folder and writes the config there."""
    with launched_fabric(config.training) as fabric, ExitStack() as stack:
        if fabric.is_global_zero:
            stack.enter_context(locked(layout.lock))
            text = json.dumps(config.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False)
            write_text(layout.config_json, text + "\n")
        yield RunContext(fabric, config, layout, console)


def _tile(
    entries: Sequence[SlideEntry], context: RunContext, workers: int, given: RunLayout | None
) -> dict[str, str]:
    """Tile the slides that are not tiled yet; the reason of each that failed, by slide_id."""
    config, layout = context.config, context.layout
    write_run_table(layout, manifest_text(entries, config.head_records, layout.root))
    if given is not None:  # tiling keeps what was made from the same slide, settings and labels
        for entry in entries:
            copy_tables(entry, config, given, layout)
    task = TileTask(config, layout)
    tiled = run_slides("tile", entries, task, layout, workers=workers, description="Tiling")
    # Printed at once: if too few slides are left, the reasons stand above the error.
    print_summary(context.console, [tiled])
    usable = [entry.slide_id for entry in entries if entry.slide_id not in tiled.failed]
    context.print(write_adequacy_table(usable, layout))
    return tiled.failed


def _tile_source(
    cohort: Cohort,
    used: Sequence[LabelledTiles],
    context: RunContext,
    workers: int,
    given: RunLayout | None,
) -> tuple[RunContext, TileSource, dict[str, str]]:
    """Read the pixels of the tiles that are used, or encode them where the backbone is frozen.

    Returns:
        The context, the tiles, and the reason of each slide that failed, by slide_id.
    """
    fabric, layout = context.fabric, context.layout
    if not context.config.model.freeze_backbone:
        failed = fabric.broadcast(
            cache_cohort(cohort, used, context, workers) if fabric.is_global_zero else _NONE
        )
        return context, partial(slide_tiles, layout=layout), failed
    store, failed = encode_slides([tiles.entry for tiles in used], context, given)
    return (
        replace(context, embeddings_of=store.of),
        partial(embedded_tiles, embeddings_of=store.of),
        fabric.broadcast(failed),
    )


def _train(
    cohort: Cohort,
    tiles_of: TileSource,
    notes: Sequence[str],
    context: RunContext,
    *,
    mpp_known: bool = True,
) -> None:
    """From cached tiles to a model; slides may have failed since the cohort was checked."""
    check_labels(cohort, context.config)
    check_warm_start(cohort, context.config)
    if context.fabric.is_global_zero:
        write_split(cohort, context.layout)
    out_of_fold = cross_fitted_scores(cohort, tiles_of, context, mpp_known=mpp_known)
    training, validation = (tiles_of(cohort.of(part)) for part in _SIDES)
    train_cohort(cohort, training, validation, notes, context, mpp_known=mpp_known, out_of_fold=out_of_fold)


def run_images(
    config: Config,
    images: Path,
    out: Path,
    *,
    folds: int | None = None,
    ensemble: bool = False,
    dry_run: bool = False,
    embeddings: Path | None = None,
) -> int:
    """Train on labelled images; the model is ``out/model``. The same network and loop as for slides.

    Args:
        config: The whole config; its section ``images`` names the columns of the table.
        images: An ``images.csv``.
        out: Run folder.
        folds: Cross-validate with so many models instead of making one; metrics go to ``out/cross_validation.md``.
        ensemble: With ``folds``: make the models of the folds one ensemble, ``out/model``.
        dry_run: Print what would be done, and write nothing.
        embeddings: Run folder whose embeddings are used where they fit, for ``model.freeze_backbone``.

    Returns:
        0 when every image could be used, 1 when some failed; there is a model either way.

    Raises:
        UserError: The table or the config do not suffice for a model; the message names what is missing.
    """
    _check_ensemble(folds, ensemble=ensemble)
    console, layout, given = _console(), RunLayout(out), given_embeddings(embeddings, config)
    flagging = flagging_head(config.head_records).name
    further = {head.name for head in config.heads if head.name != flagging}
    entries = read_image_table(images, config.head_records, config.images, optional=further, as_named=True)
    known = heads_with_labels(images, labelled_groups(entries, config.head_records), config, folds)
    print_lines(console, known.notes)
    config = known.config
    _check_settings(config, console, mil=False)
    unknown = sum(entry.mpp is None for entry in entries)
    if 0 < unknown < len(entries):
        raise UserError(
            f"{images}: expected micrometres per pixel for every image or for none, found {unknown} of {len(entries)} "
            "without; fill the column in, or set images.mpp_of_all to unknown and remove the column"
        )
    if dry_run:
        lines, missing = planned_image_training(entries, config, layout, folds)
        print_lines(console, ["Dry run, nothing is written.", *lines])
        print_lines(console, [f"fail: {name} cannot be read" for name in missing])
        return _exit_code(missing)
    with _started(config, layout, console) as context:
        # Rank zero reads the images, then the others find them in the run folder.
        if not context.fabric.is_global_zero:
            context.fabric.barrier()
        cached = cache_images(entries, config, layout, console)
        if context.fabric.is_global_zero:
            context.fabric.barrier()
        context.print(f"{name} could not be used: {why}" for name, why in sorted(cached.failed.items()))
        tiles, near_duplicate_notes = group_near_duplicates(cached, config.images.near_duplicates)
        context.print(near_duplicate_notes)
        warnings = group_warnings(cached.warnings, len(entries), "images")
        pixels = encode_images(cached, context, given) if config.model.freeze_backbone else cached.pixels
        source, mpp_known = partial(image_tiles, pixels=pixels), not unknown
        chosen = choose_heads(partial(with_targets_of, entries, tiles), config, folds, images=True)
        context = replace(context, config=chosen.config)
        if folds is None:
            cohort = chosen.cohorts[0]
            notes = [*chosen.notes, *cohort_notes(cohort), *near_duplicate_notes, *warnings]
            if cached.padded:
                notes.append(f"{cached.padded} images are smaller than a tile and were padded with white.")
            context.print(notes)
            _train(cohort, source, [*notes, *known.notes], context, mpp_known=mpp_known)
        else:
            context.print([*chosen.notes, *warnings])
            cross_validate(
                chosen.tiles, source, folds, context, images=True, mpp_known=mpp_known, ensemble=ensemble
            )
    print_lines(console, _results(layout, folds, ensemble=ensemble))
    return _exit_code(cached.failed)


def _results(layout: RunLayout, folds: int | None, *, ensemble: bool) -> list[str]:
    model = [f"model: {layout.model}", f"performance: {ModelLayout(layout.model).card}"]
    if folds is None:
        return model
    return [f"metrics: {layout.cross_validation_md}", *(model if ensemble else [])]


def _console() -> Console:
    """Only rank zero prints."""
    return Console(stderr=True, quiet=global_rank() > 0)


def _exit_code(failed: object) -> int:
    """1 where something failed, on rank zero only: torchrun ends all processes when one returns 1, and rank zero ends last."""
    return 1 if failed and global_rank() == 0 else 0
