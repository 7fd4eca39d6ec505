"""From labelled tiles to a stored model, for slides and images alike."""

import csv
import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import cast

import numpy as np

from inkdot import __version__
from inkdot.config import Config, TrainingConfig
from inkdot.datasets.class_weights import epoch_note
from inkdot.datasets.cohort import Cohort, left_out_notes, patient, trained_on_facts
from inkdot.datasets.lesions import region_labels
from inkdot.datasets.reader_agreement import reader_metrics
from inkdot.datasets.tile_cache import LabelledTiles, cached_pixels
from inkdot.datasets.tile_set import TileSet
from inkdot.errors import SlideError
from inkdot.model.model_folder import save_model
from inkdot.model.network import TileNetwork
from inkdot.model.runtimes.torch_backend import choose_device
from inkdot.model.targets import IndexArray, known_rows
from inkdot.records import RgbArray
from inkdot.storage.atomic import write_text
from inkdot.storage.embeddings.slide_embeddings import Embeddings
from inkdot.storage.hashing import file_sha256, json_sha256
from inkdot.storage.layout import ModelLayout, RunLayout
from inkdot.storage.models.model_files import ModelFile
from inkdot.storage.tables.labels_table import RegionLabel
from inkdot.training.distributed.fabric import batch_norm_note
from inkdot.training.environment import environment_text
from inkdot.training.fit.checkpoint import RunState
from inkdot.training.fit.epoch_metrics import best_epoch_note
from inkdot.training.fit.objective import TileObjective, TrainingData
from inkdot.training.fit.optimizer import optimizer_settings
from inkdot.training.fit.pretrained import starting_network
from inkdot.training.fit.trainer import fit
from inkdot.training.frozen.head_network import HeadNetwork, trainable
from inkdot.training.frozen.linear_probe import train_probe
from inkdot.training.mil.train_mil import train_mil
from inkdot.training.ood_shifts import measure_ood
from inkdot.training.release.abstention_band import abstention_notes
from inkdot.training.release.calibrate import FlagScores, describe
from inkdot.training.release.model_card import card_text
from inkdot.training.release.reporting_checklist import after_tiles, reader_lines, training_summary
from inkdot.training.run_context import RunContext
from inkdot.training.validation import validate_whole_slides
from inkdot.training.warm_start import with_training_files


def train_cohort(
    cohort: Cohort,
    training: TileSet,
    validation: TileSet,
    notes: Sequence[str],
    context: RunContext,
    *,
    mpp_known: bool = True,
    tables: RunLayout | None = None,
    out_of_fold: FlagScores | None = None,
) -> None:
    """Fit, calibrate, lock and write the model; all but the fitting happens on rank zero.

    Args:
        cohort: Slides or images, with the split.
        training: Training tiles.
        validation: Tiles of other patients.
        notes: Lines on the cohort for the card.
        context: The run; checkpoints and the model go to its folder.
        mpp_known: The scale of the tiles is known.
        tables: Where the slides are tiled, if not in that folder.
        out_of_fold: Scores to lock on; those of the validation part where None.
    """
    config, layout, rank_zero = context.config, context.layout, context.fabric.is_global_zero
    data = TrainingData(training, validation, cohort.metrics_prefix, _identity(cohort, config))
    if rank_zero:
        hashes = {"data": data.identity, "config": json_sha256(config.model_dump(mode="json"))}
        text = environment_text(choose_device("auto"), hashes, config.training.seed)
        write_text(layout.environment_json, text)
    network, weights_notes = starting_network(config, training, mpp_known=mpp_known)
    frozen = config.model.freeze_backbone
    weights_notes += batch_norm_note(trainable(network, frozen=frozen), context.fabric)
    optimizer = optimizer_settings(config, network.backbone)
    context.print([*weights_notes, *([] if frozen else [f"Optimiser: AdamW, {optimizer}."])])
    trained = _fitted(network, data, cohort, context, mpp_known=mpp_known, out_of_fold=out_of_fold)
    if trained is None:
        return  # rank zero describes and stores what all have trained
    network, described, phases = trained
    stored = save_model(layout.model, network, with_training_files(described, cohort, config))
    description, slide_notes = validate_whole_slides(
        stored, trainable(network, frozen=frozen), training, cohort, context, tables or layout, out_of_fold
    )
    description, ood_notes = measure_ood(description, network, training, validation, cohort, context)
    given = any(tiles.entry.extra.get("split", "").strip() for tiles in cohort.slides.values())
    if frozen and after_tiles(description):  # the tiles had no AdamW
        optimizer = optimizer._replace(learning_rate=config.training.mil.learning_rate)
    device = str(choose_device("auto"))
    making = [
        *training_summary(
            description, config, _parameters(network), data.identity, str(optimizer), device, given=given
        ),
        *_reader_lines(cohort, config),
    ]
    limits = [
        *abstention_notes(description.abstention, config.head_records, config.training),
        *slide_notes,
        *ood_notes,
        *left_out_notes(cohort, config.head_records),
    ]
    card = card_text(description, [*notes, *weights_notes, *phases], making, limits)
    write_text(ModelLayout(layout.model).card, card)
    for name, metric in sorted(description.validation_metrics.items()):
        context.print(
            [f"{name}: {metric.value:.3f} ({metric.low:.3f} to {metric.high:.3f}; {metric.method})"]
        )


def _fitted(
    network: TileNetwork,
    data: TrainingData[TileSet],
    cohort: Cohort,
    context: RunContext,
    *,
    mpp_known: bool,
    out_of_fold: FlagScores | None,
) -> tuple[TileNetwork, ModelFile, list[str]] | None:
    """Fit the network, or heads on its embeddings, and calibrate it.

    Returns:
        The network, its description, and lines on how it was fitted; None where this is not rank zero.
    """
    config, rank_zero = context.config, context.fabric.is_global_zero
    if cohort.by_slide:
        return train_mil(network, data, cohort, context)

    def described(trained: TileNetwork) -> ModelFile:
        return describe(
            trained,
            data,
            config,
            trained_on_facts(cohort, config.head_records),
            mpp_known=mpp_known,
            images_out_of_fold=out_of_fold if cohort.images else None,
        )

    if config.model.freeze_backbone:
        if not rank_zero:
            return None
        heads = HeadNetwork(network)
        phases = [train_probe(heads, data.training, context)]
        return network, described(heads), phases
    phases = [epoch_note(data.training.targets, config)]
    context.print(phases)
    state = fit(network, TileObjective(data, config, context.fabric), context)
    if not rank_zero:
        return None
    return network, described(network), [*phases, checkpoint_note(state, config.training)]


def checkpoint_note(state: RunState, settings: TrainingConfig) -> str:
    """Sentence for the model card: which epoch's weights a run on tiles kept."""
    if settings.checkpoint == "last":
        return f"Weights after the last of {state.epoch} epochs."
    return best_epoch_note(state.best_epoch, settings)


def _parameters(network: TileNetwork) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _reader_lines(cohort: Cohort, config: Config) -> list[str]:
    """Agreement of readers about regions of the cohort's slides; nothing for images, which have one label each."""
    if cohort.images:
        return []
    labels: list[RegionLabel] = []
    for tiles in cohort.used():
        with suppress(SlideError):  # a slide that was removed meanwhile must not cost the trained model
            labels += region_labels(tiles.entry, config.annotations, config.head_records)
    readers = len({label.reader for label in labels if label.reader})
    return reader_lines(readers, reader_metrics(labels, config.head_records))


TileSource = Callable[[Sequence[LabelledTiles]], TileSet]
"""Gives the tiles of slides or images."""


def slide_tiles(slides: Sequence[LabelledTiles], layout: RunLayout) -> TileSet:
    """The cached tiles of slides."""
    counts = [len(tiles.targets) for tiles in slides]
    arrays = [cached_pixels(tiles.entry, layout) for tiles in slides]
    rows = np.concatenate([np.arange(count) for count in counts])
    return _tile_set(slides, arrays, np.repeat(np.arange(len(slides)), counts), rows)


def embedded_tiles(slides: Sequence[LabelledTiles], embeddings_of: Callable[[str], Embeddings]) -> TileSet:
    """The same tiles as embeddings, which hold all tiles of each slide."""
    counts = [len(tiles.targets) for tiles in slides]
    arrays = [cast(RgbArray, embeddings_of(tiles.entry.slide_id).values) for tiles in slides]
    rows = np.concatenate([tiles.selection.rows for tiles in slides])
    return _tile_set(slides, arrays, np.repeat(np.arange(len(slides)), counts), rows)


def image_tiles(slides: Sequence[LabelledTiles], pixels: RgbArray) -> TileSet:
    """Images of one tile each, whose rows of ``pixels`` their selections name."""
    rows = np.concatenate([tiles.selection.rows for tiles in slides])
    return _tile_set(slides, [pixels], np.zeros_like(rows), rows)


def _tile_set(
    slides: Sequence[LabelledTiles], arrays: Sequence[RgbArray], array_of_row: IndexArray, rows: IndexArray
) -> TileSet:
    counts = [len(tiles.targets) for tiles in slides]
    return TileSet(
        arrays=arrays,
        array_of_row=array_of_row,
        index_in_array=rows,
        targets=np.concatenate([tiles.targets for tiles in slides]),
        patients=np.repeat(np.array([patient(tiles) for tiles in slides]), counts),
        slides=np.repeat(np.array([tiles.entry.slide_id for tiles in slides]), counts),
    )


def _identity(cohort: Cohort, config: Config) -> str:
    """Hash of all that shapes the run: a checkpoint of another one is never resumed."""
    weights = Path(config.model.weights)
    slides = [
        [slide_id, patient(tiles), cohort.parts[slide_id], tiles.source_sha256, tiles.made_from]
        for slide_id, tiles in cohort.slides.items()
    ]
    return json_sha256(
        {
            "versions": [__version__, version("torch"), version("timm")],
            "config": config.model_dump(mode="json", exclude={"training": {"tensorboard"}}),
            "weights": file_sha256(weights) if weights.is_file() else config.model.weights,
            "slides": slides,
        }
    )


def write_split(cohort: Cohort, layout: RunLayout) -> None:
    """Write which slide or image was used for what; for rank zero."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["slide_id", "patient_id", "split", "labelled_tiles", "tiles_left_out", "file_sha256"])
    for slide_id, tiles in cohort.slides.items():
        counts = [int(known_rows(tiles.targets).sum()), tiles.selection.left_out]
        writer.writerow(
            [slide_id, tiles.entry.patient_id, cohort.parts[slide_id], *counts, tiles.source_sha256]
        )
    write_text(layout.split_csv, buffer.getvalue())
