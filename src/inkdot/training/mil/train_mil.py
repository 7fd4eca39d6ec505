"""Training where slides, not only tiles, have labels: a start for the backbone, then attention over whole slides."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from rich.console import Console

from inkdot.config import Config
from inkdot.datasets.bags import BagSet, bag_set, labelled_subset
from inkdot.datasets.cohort import Cohort, trained_on_facts
from inkdot.datasets.slide_labels import only_slide_labelled
from inkdot.datasets.tile_cache import LabelledTiles, labelled_tiles
from inkdot.datasets.tile_set import TileSet
from inkdot.labels import flagging_head
from inkdot.model.network import TileNetwork
from inkdot.model.targets import TargetArray, flag_column, head_slices, known_rows
from inkdot.model.torch_backend import choose_device, to_device
from inkdot.records import SlideEntry
from inkdot.storage.layout import RunLayout
from inkdot.storage.model_files import Attention, ModelFile
from inkdot.training.distributed.predict import predict_logits_sharded
from inkdot.training.distributed.process_group import company
from inkdot.training.fit.epoch_metrics import chosen_words
from inkdot.training.fit.trainer import TileData, fit, learn
from inkdot.training.fit.vicreg import PairLesson, pairs_a_step
from inkdot.training.mil.attention_heads import with_attention, with_projector
from inkdot.training.mil.bag_sampler import slides_a_step
from inkdot.training.mil.calibrate_slides import describe_slides
from inkdot.training.mil.mil_objective import BagData, MilObjective, slides_per_class
from inkdot.training.mil.pseudo_labels import flag_margins, labelled_bag_tiles, pseudo_labelled_tiles

_Start = Literal["tiles", "labels", "self-supervised", "pretrained", "scratch"]

_SURE = 0.5
_WEAK, _PSEUDO = "weak_labels", "pseudo_labels"
_BEFORE, _MIL = "self_supervision", "mil"
"""Folders of the run."""


def mil_needed(found: Sequence[LabelledTiles], config: Config) -> bool:
    """Whether attention is to be trained on these slides, by ``training.mil.use``."""
    heads, use = config.head_records, config.training.mil.use
    if use == "never":
        return False
    return use == "always" or any(
        only_slide_labelled(tiles.slide_targets, tiles.targets, heads)
        for tiles in found
        if tiles.slide_targets is not None
    )


def mil_expected(entries: Sequence[SlideEntry], config: Config) -> bool:
    """Whether the manifest says already what :func:`mil_needed` finds once all slides are tiled."""
    heads, use = config.head_records, config.training.mil.use
    if use != "needed":
        return use == "always"
    head = flagging_head(heads)
    flag = head.classes.index(head.flag_class or "")
    for entry in entries:
        target = head.target(entry.on_slide[head.name]) if head.name in entry.on_slide else None
        # What is labelled beside it holds for every tile, which then has a label.
        beside = (own.name in entry.on_slide for own in heads if own is not head and own.condition is None)
        if target is not None and target[flag] > _SURE and entry.annotation is None and not any(beside):
            return True
    return False


def training_tiles_of(
    found: Sequence[LabelledTiles], config: Config, layout: RunLayout
) -> tuple[list[LabelledTiles], bool]:
    """The tiles of the slides as training uses them, and whether the slides teach as wholes.

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
    """Most steps of all phases together; how many tiles will be sure is known only when it comes to them.

    Args:
        training: The slides to learn from, with all their tiles.
        validation: Those to watch.
        config: The whole config.
    """
    settings, own = config.training, config.training.mil
    targets = [np.concatenate([tiles.targets for tiles in side]) for side in (training, validation)]
    count, labelled = len(targets[0]), int(known_rows(targets[0]).sum())

    def steps(tiles: int, batch: int) -> int:
        return max(1, round(tiles / max(1, min(batch, tiles))))

    a_step = slides_a_step(settings.batch_size, own.bag_tiles) * own.bag_tiles
    of_slides = settings.epochs * max(1, round(count / a_step))
    if all(_both_classes(side, config) for side in targets):
        return of_slides + settings.epochs * steps(labelled, settings.batch_size)
    if own.start == "labels":
        phases = 1 + len(own.pseudo_label_quantile)
        return of_slides + phases * settings.epochs * steps(count, settings.batch_size)
    if own.start == "none" or config.model.weights != "scratch":
        return of_slides
    return of_slides + own.self_supervised_epochs * steps(count, pairs_a_step(settings.batch_size))


def train_mil(
    network: TileNetwork,
    data: TileData,
    cohort: Cohort,
    config: Config,
    layout: RunLayout,
    console: Console,
) -> tuple[TileNetwork, ModelFile, list[str]] | None:
    """Train a network on slides and tiles together.

    Args:
        network: As it starts, without attention.
        data: All tiles of the slides, labelled or not.
        cohort: The slides.
        config: The whole config.
        layout: The run folder; each phase has its own folder there.
        console: Where progress is shown.

    Returns:
        The network with attention, its description, and lines for the card; of several processes for the first one only.
    """
    bags = BagData(
        *(_bags(tiles, cohort) for tiles in (data.training, data.validation)),
        metrics_prefix=f"{data.metrics_prefix}slide_",
        identity=data.identity,
    )
    start, bags, notes = _start(network, data, bags, config, layout, console)
    attentive = with_attention(network, config)
    rate = config.training.mil.learning_rate
    gently = _thawed(config, learning_rate=rate) if start in ("tiles", "labels") else config
    state = learn(attentive, MilObjective(bags, config), gently, layout.phase(_MIL), console)
    if not company().first:
        return None
    part = Attention(
        hidden=config.training.mil.hidden,
        slides_per_class=slides_per_class(bags.training.targets, config.head_records),
        start=start,
        follows=True,
    )
    description = describe_slides(
        attentive, bags, data.validation, config, trained_on_facts(cohort, config), part, data.metrics_prefix
    )
    notes.append(
        f"Slides: {state.epoch} epochs. {chosen_words(state.best_epoch, config.training)} A slide's score is the "
        "attention-weighted mean of its tiles' logits."
    )
    return attentive, description, notes


def _start(
    network: TileNetwork,
    data: TileData,
    bags: BagData,
    config: Config,
    layout: RunLayout,
    console: Console,
) -> tuple[_Start, BagData, list[str]]:
    """Teach the backbone before attention comes; what its start was, what slides teach then, and lines for the card."""
    sides = [labelled_subset(tiles) for tiles in (data.training, data.validation)]
    if all(_both_classes(tiles.targets, config) for tiles in sides):
        labelled = replace(data, training=sides[0], validation=sides[1])
        state = fit(network, labelled, config, layout, console)
        return "tiles", bags, [f"Tiles with labels, before the slides: {state.epoch} epochs."]
    how = config.training.mil.start
    if how == "labels":
        bags, notes = _from_labels(network, data, bags, config, layout, console)
        return "labels", bags, notes
    if config.model.weights != "scratch":
        return "pretrained", bags, []
    if how == "none":
        return "scratch", bags, []
    epochs = config.training.mil.self_supervised_epochs
    shorter = config.model_copy(update={"training": config.training.model_copy(update={"epochs": epochs})})
    pairs = PairLesson(data.training, data.validation, config, data.metrics_prefix, data.identity)
    state = learn(with_projector(network, config), pairs, shorter, layout.phase(_BEFORE), console)
    return (
        "self-supervised",
        bags,
        [
            f"Backbone: {state.epoch} epochs without labels on {len(data.training)} tiles, since none was labelled positive."
        ],
    )


def _from_labels(
    network: TileNetwork,
    data: TileData,
    bags: BagData,
    config: Config,
    layout: RunLayout,
    console: Console,
) -> tuple[BagData, list[str]]:
    """Teach every tile its slide's labels, then the surest tiles alone; the slides with these, and lines for the card."""
    heads, sides = config.head_records, (bags.training, bags.validation)

    def taught(name: str, tiles: Sequence[TileSet]) -> int:
        known = [labelled_subset(side) for side in tiles]
        lesson = replace(
            data, training=known[0], validation=known[1], metrics_prefix=f"{data.metrics_prefix}{name}_"
        )
        own = config if name == _WEAK else _thawed(config)
        return fit(network, lesson, own, layout.phase(name), console).epoch

    epochs = taught(_WEAK, [labelled_bag_tiles(side, heads) for side in sides])
    counts, surest = list[str](), [side.tiles for side in sides]
    for number, above in enumerate(config.training.mil.pseudo_label_quantile, start=1):
        # By the weights that were kept, hence the same after an interruption.
        surest = [_surest(network, side, config, above) for side in sides]
        epochs += taught(f"{_PSEUDO}_{number}", surest)
        counts.append(str(_positive(surest[0], config)))
    # While slides teach, the surest tiles go on teaching: with the harmless ones alone, the others' scores would drift.
    training, validation = (replace(side, tiles=own) for side, own in zip(sides, surest, strict=True))
    return replace(bags, training=training, validation=validation), [
        f"Tiles with the labels about their slides, then the surest of them (of positive slides {', then '.join(counts)} "
        f"tiles): {epochs} epochs."
    ]


def _surest(network: TileNetwork, bags: BagSet, config: Config, above: float) -> TileSet:
    heads, device = config.head_records, choose_device("auto")
    logits = predict_logits_sharded(
        to_device(network, device), bags.tiles, device=device, batch_size=config.training.tiles_at_once
    )
    network.cpu()
    return pseudo_labelled_tiles(bags, flag_margins(logits, heads), heads, above)


def _positive(tiles: TileSet, config: Config) -> int:
    return int((tiles.targets[:, flag_column(config.head_records)] > 0.5).sum())


def _thawed(config: Config, **training: float) -> Config:
    """The settings of a part that follows another: the backbone stood still in the first one, where it was asked to."""
    update = {"freeze_epochs": 0, **training}
    return config.model_copy(update={"training": config.training.model_copy(update=update)})


def _bags(tiles: TileSet, cohort: Cohort) -> BagSet:
    targets = {
        name: own.slide_targets for name, own in cohort.slides.items() if own.slide_targets is not None
    }
    return bag_set(tiles, targets)


def _both_classes(targets: TargetArray, config: Config) -> bool:
    own = targets[:, head_slices(config.head_records)[flagging_head(config.head_records).name]]
    return bool((own > 0.5).any(axis=0).all())
