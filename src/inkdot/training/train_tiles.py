"""From labelled tiles to a stored model: the part of training that slides and images share."""

import csv
import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.text import Text

from inkdot import __version__
from inkdot.config import Config
from inkdot.datasets.cohort import Cohort, patient, trained_on_facts
from inkdot.datasets.lesions import labels_of
from inkdot.datasets.reader_agreement import reader_metrics
from inkdot.datasets.tile_cache import LabelledTiles, cached_pixels
from inkdot.datasets.tile_set import TileSet
from inkdot.errors import SlideError
from inkdot.model.model_folder import save_model
from inkdot.model.network import TileNetwork
from inkdot.model.targets import IndexArray, known_rows
from inkdot.model.torch_backend import choose_device
from inkdot.records import RgbArray
from inkdot.storage.atomic import write_text
from inkdot.storage.hashing import file_sha256, json_sha256
from inkdot.storage.layout import ModelLayout, RunLayout
from inkdot.storage.tables.labels_table import RegionLabel
from inkdot.training.distributed.process_group import company
from inkdot.training.environment import environment_text
from inkdot.training.fit.checkpoint import RunState
from inkdot.training.fit.epoch_metrics import chosen_words
from inkdot.training.fit.pretrained import starting_network
from inkdot.training.fit.trainer import TileData, fit
from inkdot.training.mil.train_mil import train_mil
from inkdot.training.release.abstention_band import abstention_words
from inkdot.training.release.calibrate import describe
from inkdot.training.release.model_card import card_text
from inkdot.training.release.reporting_checklist import making_lines, reader_lines
from inkdot.training.validation import validated


def train_cohort(
    cohort: Cohort,
    training: TileSet,
    validation: TileSet,
    notes: Sequence[str],
    config: Config,
    layout: RunLayout,
    console: Console,
    *,
    mpp_known: bool = True,
    tables: RunLayout | None = None,
) -> None:
    """Fit, calibrate, lock and write the model; of several processes, the first one does all but the fitting.

    Args:
        cohort: Slides or images, with the part that each plays.
        training: Tiles to learn from.
        validation: Tiles of other patients.
        notes: Lines on the cohort for the card.
        config: The whole config.
        layout: Where checkpoints and the model go.
        console: Where progress is shown.
        mpp_known: The scale of the tiles is known.
        tables: Where the slides are tiled, if not in ``layout``.
    """
    data = TileData(training, validation, cohort.metrics_prefix, _identity(cohort, config))
    if company().first:
        hashes = {"data": data.identity, "config": json_sha256(config.model_dump(mode="json"))}
        text = environment_text(choose_device("auto"), hashes, config.training.seed)
        write_text(layout.environment_json, text)
    network, said = starting_network(config, training)
    say(console, said)
    if cohort.by_slide:
        taught = train_mil(network, data, cohort, config, layout, console)
        if taught is None:
            return  # see below
        network, described, learnt = taught
    else:
        state = fit(network, data, config, layout, console)
        if not company().first:
            return  # the first process describes and stores what all have learnt
        described = describe(network, data, config, trained_on_facts(cohort, config), mpp_known=mpp_known)
        learnt = [kept_words(state, config)]
    stored = save_model(layout.model, network, described)
    description, whole = validated(
        stored, network, training, cohort, config, layout, tables or layout, console
    )
    unsure = abstention_words(description.abstention, config.head_records, config)
    making = [
        *making_lines(
            description,
            config,
            _parameters(network),
            data.identity,
            str(choose_device("auto")),
            given=any(tiles.entry.extra.get("split", "").strip() for tiles in cohort.slides.values()),
        ),
        *_reader_lines(cohort, config),
    ]
    card = card_text(description, [*notes, *said, *learnt], making, [*unsure, *whole])
    write_text(ModelLayout(layout.model).card, card)
    for name, metric in sorted(description.validation_metrics.items()):
        say(console, [f"{name}: {metric.value:.3f} ({metric.low:.3f} to {metric.high:.3f}; {metric.method})"])


def kept_words(state: RunState, config: Config) -> str:
    """Which epoch's weights a run on tiles kept, for people."""
    if config.training.checkpoint == "last":
        return f"Weights after the last of {state.epoch} epochs."
    return chosen_words(state.best_epoch, config.training)


def _parameters(network: TileNetwork) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _reader_lines(cohort: Cohort, config: Config) -> list[str]:
    """How far people agree about the places of the cohort's slides; nothing of images, which have one label each."""
    if cohort.images:
        return []
    labels: list[RegionLabel] = []
    for tiles in cohort.used():
        with suppress(SlideError):  # what was learnt must not be lost for a slide that has gone meanwhile
            labels += labels_of(tiles.entry, config)
    readers = len({label.reader for label in labels if label.reader})
    return reader_lines(readers, reader_metrics(labels, config.head_records))


TileSource = Callable[[Sequence[LabelledTiles]], TileSet]
"""Gives the tiles of slides or images, for the loop."""


def slide_tiles(slides: Sequence[LabelledTiles], layout: RunLayout) -> TileSet:
    """The cached tiles of slides, for the loop."""
    counts = [len(tiles.targets) for tiles in slides]
    arrays = [cached_pixels(tiles.entry, layout) for tiles in slides]
    places = np.concatenate([np.arange(count) for count in counts])
    return _tile_set(slides, arrays, np.repeat(np.arange(len(slides)), counts), places)


def image_tiles(slides: Sequence[LabelledTiles], pixels: RgbArray) -> TileSet:
    """Images of one tile each, whose rows of ``pixels`` their selections name, for the loop."""
    places = np.concatenate([tiles.selection.rows for tiles in slides])
    return _tile_set(slides, [pixels], np.zeros_like(places), places)


def _tile_set(
    slides: Sequence[LabelledTiles], arrays: Sequence[RgbArray], array_of_row: IndexArray, places: IndexArray
) -> TileSet:
    counts = [len(tiles.targets) for tiles in slides]
    return TileSet(
        arrays=arrays,
        array_of_row=array_of_row,
        index_in_array=places,
        targets=np.concatenate([tiles.targets for tiles in slides]),
        patients=np.repeat(np.array([patient(tiles) for tiles in slides]), counts),
        slides=np.repeat(np.array([tiles.entry.slide_id for tiles in slides]), counts),
    )


def _identity(cohort: Cohort, config: Config) -> str:
    """Hash of all that shapes the run: a checkpoint is continued only under the same."""
    weights = Path(config.model.weights)
    slides = [
        [slide_id, patient(tiles), cohort.parts[slide_id], tiles.source_sha256, tiles.made_from]
        for slide_id, tiles in cohort.slides.items()
    ]
    return json_sha256(
        {
            "versions": [__version__, version("torch"), version("timm")],
            "config": config.model_dump(mode="json"),
            "weights": file_sha256(weights) if weights.is_file() else config.model.weights,
            "slides": slides,
        }
    )


def write_split(cohort: Cohort, layout: RunLayout) -> None:
    """Write which slide or image was used for what; of several processes the first one does."""
    if not company().first:
        return
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["slide_id", "patient_id", "split", "labelled_tiles", "tiles_left_out", "file_sha256"])
    for slide_id, tiles in cohort.slides.items():
        counts = [int(known_rows(tiles.targets).sum()), tiles.selection.left_out]
        writer.writerow(
            [slide_id, tiles.entry.patient_id, cohort.parts[slide_id], *counts, tiles.source_sha256]
        )
    write_text(layout.split_csv, buffer.getvalue())


def say(console: Console, lines: Sequence[str]) -> None:
    """Print lines as they are: names from a manifest are not markup."""
    for line in lines:
        console.print(Text(line), soft_wrap=True)
