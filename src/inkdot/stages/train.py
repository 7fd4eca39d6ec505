"""``inkdot train``: from labelled slides to a model that says how good it is."""

import csv
import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import timm
import torch
from rich.console import Console
from rich.text import Text

from inkdot import __version__
from inkdot.artefacts.atomic import write_text
from inkdot.artefacts.hashing import file_sha256, json_sha256
from inkdot.artefacts.layout import ModelLayout, RunLayout
from inkdot.artefacts.locking import locked
from inkdot.config import Config
from inkdot.errors import UserError
from inkdot.manifest import manifest_text, read_slides
from inkdot.model.card import card_text
from inkdot.model.data import TileSet
from inkdot.model.describing import describe
from inkdot.model.loop import TrainingData, fit
from inkdot.model.network import check_backbone
from inkdot.model.store import save_model
from inkdot.model.weights import starting_network
from inkdot.work.engine import print_summary, run_slides
from inkdot.work.tile_cache import CacheTask, LabelledTiles, cached_pixels, labelled_tiles
from inkdot.work.tile_slide import TileTask
from inkdot.work.training_cohort import (
    Cohort,
    check_answers,
    cohort_notes,
    patient,
    split_cohort,
    trained_on_facts,
)


def run(config: Config, slides: Path, out: Path, *, workers: int = 1) -> int:
    """Train on labelled slides; the model is ``out/model``.

    Slides that are not tiled yet are tiled. A rerun with the same settings and data goes on where it stopped.

    Args:
        config: The whole config.
        slides: A ``slides.csv`` whose slides have answers or annotations.
        out: Run folder.
        workers: Processes that tile and read slides.

    Returns:
        0 when every slide could be used, 1 when some failed; there is a model either way.

    Raises:
        UserError: The slides or the config do not make a model; the message says what is missing.
    """
    console, layout, heads = Console(stderr=True), RunLayout(out), config.head_records
    entries = read_slides(slides, heads)
    check_backbone(config.model.backbone)
    with locked(layout.lock):
        write_text(layout.slides_csv, manifest_text(entries, heads, out))
        settings = json.dumps(config.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False)
        write_text(layout.config_json, settings + "\n")
        tiled = run_slides(
            "tile", entries, TileTask(config, layout), layout, workers=workers, description="Tiling"
        )
        tiles = [
            labelled_tiles(entry, config, layout) for entry in entries if entry.slide_id not in tiled.failed
        ]
        if not tiles:
            raise UserError(
                f"{slides}: expected slides to train on, found none that can be used; {_first(tiled.failed)}"
            )
        cohort = split_cohort(tiles, config)
        check_answers(cohort, config)
        _say(console, cohort_notes(cohort))
        _check_disk(cohort, config, layout, console)
        used = [tiles.entry for tiles in cohort.used()]
        cached = run_slides(
            "cache", used, CacheTask(config, layout), layout, workers=workers, description="Reading tiles"
        )
        cohort = cohort.without(cached.failed)
        check_answers(cohort, config)
        _write_split(cohort, layout)
        _train(cohort, config, layout, console)
    print_summary(console, [tiled, cached])
    _say(console, [f"model: {layout.model}", f"what it is worth: {ModelLayout(layout.model).card}"])
    return 1 if tiled.failed or cached.failed else 0


def _train(cohort: Cohort, config: Config, layout: RunLayout, console: Console) -> None:
    """Fit, calibrate, lock and write the model."""
    data = TrainingData(
        training=_tile_set(cohort.of("train"), layout),
        validation=_tile_set(cohort.of("validation"), layout),
        figures_prefix=cohort.figures_prefix,
        identity=_identity(cohort, config),
    )
    network, said = starting_network(config, data.training)
    _say(console, said)
    state = fit(network, data, config, layout, console)
    described = describe(network, data, config, trained_on_facts(cohort, config))
    description = save_model(layout.model, network, described)
    epochs = f"Weights of epoch {state.best_epoch} of {config.training.epochs}, which had the lowest validation loss."
    write_text(ModelLayout(layout.model).card, card_text(description, [*cohort_notes(cohort), *said, epochs]))
    for name, figure in sorted(description.validation_figures.items()):
        _say(
            console, [f"{name}: {figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f}; {figure.method})"]
        )


def _tile_set(slides: Sequence[LabelledTiles], layout: RunLayout) -> TileSet:
    counts = [len(tiles.targets) for tiles in slides]
    return TileSet(
        arrays=[cached_pixels(tiles.entry, layout) for tiles in slides],
        array_of_row=np.repeat(np.arange(len(slides)), counts),
        place_of_row=np.concatenate([np.arange(count) for count in counts]),
        targets=np.concatenate([tiles.targets for tiles in slides]),
        patients=np.repeat(np.array([patient(tiles) for tiles in slides]), counts),
        slides=np.repeat(np.array([tiles.entry.slide_id for tiles in slides]), counts),
    )


def _identity(cohort: Cohort, config: Config) -> str:
    """Hash of all that shapes the run: a checkpoint is continued only under the same."""
    weights = Path(config.model.weights)
    slides = [
        [slide_id, patient(tiles), cohort.parts[slide_id], tiles.made_from]
        for slide_id, tiles in cohort.slides.items()
    ]
    return json_sha256(
        {
            "versions": [__version__, str(torch.__version__), timm.__version__],
            "config": config.model_dump(mode="json"),
            "weights": file_sha256(weights) if weights.is_file() else config.model.weights,
            "slides": slides,
        }
    )


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
    _say(
        console,
        [f"Training tiles: {needed / 1e6:.0f} MB in {layout.tile_cache}, which can be deleted afterwards."],
    )


def _write_split(cohort: Cohort, layout: RunLayout) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["slide_id", "patient_id", "split", "labelled_tiles", "tiles_left_out"])
    for slide_id, tiles in cohort.slides.items():
        counts = [len(tiles.targets), tiles.selection.left_out]
        writer.writerow([slide_id, tiles.entry.patient_id, cohort.parts[slide_id], *counts])
    write_text(layout.split_csv, buffer.getvalue())


def _first(failed: dict[str, str]) -> str:
    slide_id, reason = next(iter(failed.items()))
    return f"{slide_id}: {reason}"


def _say(console: Console, lines: Sequence[str]) -> None:
    for line in lines:
        console.print(Text(line), soft_wrap=True)
