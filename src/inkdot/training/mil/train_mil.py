"""Training from labels of whole slides: first the backbone on tiles, then attention over whole slides."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal

import numpy as np

from inkdot.config import Aggregator, Config
from inkdot.datasets.bags import BagSet, bag_set, labelled_subset
from inkdot.datasets.class_weights import epoch_note, tiles_per_epoch
from inkdot.datasets.cohort import Cohort, trained_on_facts
from inkdot.datasets.slide_labels import only_slide_labelled
from inkdot.datasets.tile_cache import LabelledTiles, labelled_tiles
from inkdot.datasets.tile_sampler import steps_per_epoch
from inkdot.datasets.tile_set import TileSet
from inkdot.labels import Head, flag_column, flag_columns, flagging_head
from inkdot.model.network import TileNetwork
from inkdot.model.runtimes.torch_backend import to_device
from inkdot.model.targets import TargetArray, known_rows
from inkdot.records import SlideEntry
from inkdot.storage.layout import RunLayout
from inkdot.storage.models.model_files import ModelFile
from inkdot.storage.models.model_records import Attention
from inkdot.training.distributed.predict import predict_logits_sharded
from inkdot.training.fit.epoch_metrics import best_epoch_note
from inkdot.training.fit.objective import TileObjective, TrainingData
from inkdot.training.fit.trainer import fit
from inkdot.training.frozen.head_network import HeadNetwork, trainable
from inkdot.training.frozen.linear_probe import train_probe
from inkdot.training.mil.attention_heads import with_attention
from inkdot.training.mil.bag_sampler import slides_per_step
from inkdot.training.mil.calibrate_slides import describe_slides
from inkdot.training.mil.mil_objective import MilObjective, slides_per_class
from inkdot.training.mil.pseudo_labels import flag_margins, labelled_bag_tiles, pseudo_labelled_tiles
from inkdot.training.run_context import RunContext

_Start = Literal["tiles", "pseudo-labels", "pretrained", "scratch"]

_POSITIVE = 0.5
_PROBE = "a linear probe"
_WEAK, _PSEUDO, _MIL = "weak_labels", "pseudo_labels", "mil"
"""Folders of the phases of a run."""


_POOLED: Final[dict[Aggregator, str]] = {
    "gated_attention": "A slide's score is the attention-weighted mean of its tiles' logits.",
    "clam_sb": "A slide's score is the attention-weighted mean of its tiles' logits, trained with CLAM's clustering loss.",
    "mean": "A slide's score is the mean of its tiles' logits.",
    "max": "A slide's score is that of its highest tile.",
    "transmil": "A slide's score is that of a class token after two layers of self-attention over its tiles (after TransMIL, "
    "without positions). Tiles have scores of their own, so a flagged slide may have no flagged region, and the reverse.",
}
"""Sentence for the model card."""


def mil_needed(found: Sequence[LabelledTiles], config: Config) -> bool:
    """Whether attention is trained on these slides, by ``training.mil.use``."""
    heads, use = config.head_records, config.training.mil.use
    if use == "never":
        return False
    return use == "always" or any(
        only_slide_labelled(tiles.slide_targets, tiles.targets, heads)
        for tiles in found
        if tiles.slide_targets is not None
    )


def mil_expected(entries: Sequence[SlideEntry], config: Config) -> bool:
    """What :func:`mil_needed` will return once all slides are tiled, as far as the manifest tells."""
    heads, use = config.head_records, config.training.mil.use
    if use != "needed":
        return use == "always"
    head = flagging_head(heads)
    flag = head.classes.index(head.flag_class or "")
    for entry in entries:
        target = head.target(entry.on_slide.get(head.name))
        # A label of another head holds for every tile, which is then labelled.
        beside = (own.name in entry.on_slide for own in heads if own is not head and own.condition is None)
        if target is not None and target[flag] > _POSITIVE and entry.annotation is None and not any(beside):
            return True
    return False


def training_tiles_of(
    found: Sequence[LabelledTiles], config: Config, layout: RunLayout
) -> tuple[list[LabelledTiles], bool]:
    """The tiles of the slides as training uses them, and whether attention over whole slides is trained.

    Args:
        found: The slides with their labelled tiles.
        config: The whole config.
        layout: The run folder, where the slides are tiled.
    """
    if not mil_needed(found, config):
        return list(found), False
    return [labelled_tiles(own.entry, config, layout, whole=True) for own in found], True


def planned_steps(
    training: Sequence[LabelledTiles], validation: Sequence[LabelledTiles], config: Config
) -> int:
    """Most steps of all phases together; the number of pseudo-labelled tiles is known only in their phase.

    Args:
        training: The training slides, with all their tiles.
        validation: The validation slides.
        config: The whole config.
    """
    settings, own = config.training, config.training.mil
    targets = [np.concatenate([tiles.targets for tiles in side]) for side in (training, validation)]
    count, labelled = len(targets[0]), targets[0][known_rows(targets[0])]
    if config.model.freeze_backbone:
        return settings.epochs * max(
            1, round(len(training) / slides_per_step(settings.batch_size, own.bag_tiles))
        )
    per_step = slides_per_step(settings.batch_size, own.bag_tiles) * own.bag_tiles
    of_slides = settings.epochs * max(1, round(count / per_step))
    if all(_both_classes(side, config.head_records) for side in targets):
        return of_slides + settings.epochs * steps_per_epoch(
            tiles_per_epoch(labelled, config), settings.batch_size
        )
    if own.start == "none":
        return of_slides
    phases = 1 + len(own.pseudo_label_quantile)
    return of_slides + phases * settings.epochs * steps_per_epoch(count, settings.batch_size)


def train_mil(
    network: TileNetwork, data: TrainingData[TileSet], cohort: Cohort, context: RunContext
) -> tuple[TileNetwork, ModelFile, list[str]] | None:
    """Train a network on slides and tiles together; each phase has its own folder in the run folder.

    Args:
        network: Before training, without attention.
        data: All tiles of the slides, labelled or not.
        cohort: The slides.
        context: The run.

    Returns:
        The network with attention, its description, and lines for the card; None except on rank zero.
    """
    config = context.config
    bags = TrainingData(
        *(_bags(tiles, cohort) for tiles in (data.training, data.validation)),
        metrics_prefix=f"{data.metrics_prefix}slide_",
        identity=data.identity,
    )
    start, bags, notes = _train_backbone(network, data, bags, context)
    attentive = with_attention(network, config.training)
    trained = trainable(attentive, frozen=config.model.freeze_backbone)
    phase = context.within(context.layout.phase(_MIL))
    if start in ("tiles", "pseudo-labels"):
        phase = phase.with_training(freeze_epochs=0, learning_rate=config.training.mil.learning_rate)
    state = fit(trained, MilObjective(bags, phase.config, phase.fabric), phase)
    if not context.fabric.is_global_zero:
        return None
    part = Attention(
        hidden=attentive.spec.attention_hidden,
        slides_per_class=slides_per_class(bags.training.targets, config.head_records),
        start=start,
        follows=attentive.spec.attention_follows,
        aggregator=attentive.spec.aggregator,
    )
    description = describe_slides(
        trained,
        bags,
        data.validation,
        config,
        trained_on_facts(cohort, config.head_records),
        part,
        data.metrics_prefix,
    )
    notes.append(
        f"Slides: {state.epoch} epochs. {best_epoch_note(state.best_epoch, config.training)} "
        f"{_POOLED[part.aggregator]}"
    )
    return attentive, description, notes


def _train_backbone(
    network: TileNetwork, data: TrainingData[TileSet], bags: TrainingData[BagSet], context: RunContext
) -> tuple[_Start, TrainingData[BagSet], list[str]]:
    """Train the backbone on tiles before attention; how it started, the slides for attention, and lines for the card."""
    config = context.config
    sides = [labelled_subset(tiles) for tiles in (data.training, data.validation)]
    if all(_both_classes(tiles.targets, config.head_records) for tiles in sides):
        labelled = replace(data, training=sides[0], validation=sides[1])
        note = "" if config.model.freeze_backbone else f" {epoch_note(sides[0].targets, config)}"
        done = _fit_tiles(network, labelled, context)
        return "tiles", bags, [f"Labelled tiles, before the slides: {done}.{note}"]
    if config.training.mil.start == "pseudo-labels":
        return "pseudo-labels", *_train_on_pseudo_labels(network, data, bags, context)
    return "scratch" if config.model.weights == "scratch" else "pretrained", bags, []


def _train_on_pseudo_labels(
    network: TileNetwork, data: TrainingData[TileSet], bags: TrainingData[BagSet], context: RunContext
) -> tuple[TrainingData[BagSet], list[str]]:
    """Train on all tiles with the labels of their slides, then on rounds of pseudo-labels of the most confident tiles."""
    config = context.config
    heads, sides = config.head_records, (bags.training, bags.validation)

    def train(name: str, tiles: Sequence[TileSet]) -> None:
        labelled = [labelled_subset(side) for side in tiles]
        prefix = f"{data.metrics_prefix}{name}_"
        own = replace(data, training=labelled[0], validation=labelled[1], metrics_prefix=prefix)
        phase = context.within(context.layout.phase(name))
        if name != _WEAK:  # a later phase: freeze_epochs are over
            phase = phase.with_training(freeze_epochs=0)
        done.append(_fit_tiles(network, own, phase))

    done = list[str]()
    train(_WEAK, [labelled_bag_tiles(side, heads) for side in sides])
    counts, pseudo = list[str](), [side.tiles for side in sides]
    for number, quantile in enumerate(config.training.mil.pseudo_label_quantile, start=1):
        # From the checkpoint's weights, hence the same after an interruption.
        pseudo = [_pseudo_labels(network, side, context, quantile) for side in sides]
        train(f"{_PSEUDO}_{number}", pseudo)
        counts.append(str(_positive_count(pseudo[0], heads)))
    # Attention is trained with the pseudo-labels too: with the negative tiles alone, the scores of the others would drift.
    training, validation = (replace(side, tiles=own) for side, own in zip(sides, pseudo, strict=True))
    return replace(bags, training=training, validation=validation), [
        f"Tiles with the labels of their slides, then with pseudo-labels (of positive slides {', then '.join(counts)} "
        f"tiles): {_summed(done)}."
    ]


def _fit_tiles(network: TileNetwork, data: TrainingData[TileSet], context: RunContext) -> str:
    """Train on labelled tiles, by a linear probe where the backbone is frozen; what was done, for the card."""
    if context.config.model.freeze_backbone:
        train_probe(HeadNetwork(network), data.training, context)
        return _PROBE
    return f"{fit(network, TileObjective(data, context.config, context.fabric), context).epoch} epochs"


def _summed(done: Sequence[str]) -> str:
    if done[0] == _PROBE:
        return f"{len(done)} linear probes"
    return f"{sum(int(own.split()[0]) for own in done)} epochs"


def _pseudo_labels(network: TileNetwork, bags: BagSet, context: RunContext, quantile: float) -> TileSet:
    heads, fabric = context.config.head_records, context.fabric
    logits = predict_logits_sharded(
        fabric,
        to_device(trainable(network, frozen=context.config.model.freeze_backbone), fabric.device),
        bags.tiles,
        batch_size=context.config.training.tiles_at_once,
    )
    network.cpu()
    return pseudo_labelled_tiles(bags, flag_margins(logits, heads), heads, quantile)


def _positive_count(tiles: TileSet, heads: Sequence[Head]) -> int:
    return int((tiles.targets[:, flag_column(heads)] > _POSITIVE).sum())


def _bags(tiles: TileSet, cohort: Cohort) -> BagSet:
    targets = {
        name: own.slide_targets for name, own in cohort.slides.items() if own.slide_targets is not None
    }
    return bag_set(tiles, targets)


def _both_classes(targets: TargetArray, heads: Sequence[Head]) -> bool:
    return bool((targets[:, flag_columns(heads)] > _POSITIVE).any(axis=0).all())
