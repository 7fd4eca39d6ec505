"""Training where slides, not only tiles, have answers: a start for the backbone, then attention over whole slides."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from rich.console import Console

from inkdot.artefacts.layout import RunLayout
from inkdot.artefacts.model_files import Attention, ModelFile
from inkdot.config import Config
from inkdot.labels import flagging_head
from inkdot.model.bag_lesson import BagData, BagLesson, slides_per_class
from inkdot.model.bags import BagSet, bag_set, labelled_subset
from inkdot.model.data import TileSet
from inkdot.model.describing_slides import describe_slides
from inkdot.model.extensions import with_attention, with_projector
from inkdot.model.loop import TrainingData, fit, learn
from inkdot.model.network import TileNetwork
from inkdot.model.selection import TargetArray, head_slices
from inkdot.model.self_supervision import PairLesson
from inkdot.work.slide_answers import only_slide_is_known
from inkdot.work.tile_cache import LabelledTiles, labelled_tiles
from inkdot.work.training_cohort import Cohort, trained_on_facts

_Start = Literal["tiles", "self-supervised", "pretrained", "scratch"]

_BEFORE, _SLIDES = "self_supervision", "slide_labels"
"""Folders of the run."""


def slides_must_teach(found: Sequence[LabelledTiles], config: Config) -> bool:
    """Whether attention is to be trained on these slides, by ``training.slide_labels.use``."""
    heads, use = config.head_records, config.training.slide_labels.use
    if use == "never":
        return False
    return use == "always" or any(
        only_slide_is_known(tiles.slide_targets, tiles.targets, heads)
        for tiles in found
        if tiles.slide_targets is not None
    )


def tiles_to_learn_from(
    found: Sequence[LabelledTiles], config: Config, layout: RunLayout, folds: int | None
) -> tuple[list[LabelledTiles], bool]:
    """The tiles of the slides as training uses them, and whether the slides teach as wholes.

    A cross-validation is of labelled tiles: no figure of its report is about slides learnt as wholes.

    Args:
        found: The slides with their labelled tiles.
        config: The whole config.
        layout: The run folder, where the slides are tiled.
        folds: Of a cross-validation, or None.
    """
    if folds is not None or not slides_must_teach(found, config):
        return list(found), False
    return [labelled_tiles(own.entry, config, layout, whole=True) for own in found], True


def train_on_slides(
    network: TileNetwork,
    data: TrainingData,
    cohort: Cohort,
    config: Config,
    layout: RunLayout,
    console: Console,
) -> tuple[TileNetwork, ModelFile, list[str]]:
    """Train a network on slides and tiles together.

    Args:
        network: As it starts, without attention.
        data: All tiles of the slides, labelled or not.
        cohort: The slides.
        config: The whole config.
        layout: The run folder; each phase has its own folder there.
        console: Where progress is shown.

    Returns:
        The network with attention, its description, and lines for the card.
    """
    start, notes = _start(network, data, config, layout, console)
    bags = BagData(
        *(_bags(tiles, cohort) for tiles in (data.training, data.validation)),
        figures_prefix=f"{data.figures_prefix}slide_",
        identity=data.identity,
    )
    attentive = with_attention(network, config)
    state = learn(attentive, BagLesson(bags, config), config, layout.phase(_SLIDES), console)
    part = Attention(
        hidden=config.training.slide_labels.hidden,
        slides_per_class=slides_per_class(bags.training.targets, config.head_records),
        start=start,
    )
    description = describe_slides(
        attentive, bags, data.validation, config, trained_on_facts(cohort, config), part, data.figures_prefix
    )
    notes.append(
        f"Slides: {state.epoch} epochs. A slide's score is the attention-weighted mean of its tiles' logits."
    )
    return attentive, description, notes


def _start(
    network: TileNetwork, data: TrainingData, config: Config, layout: RunLayout, console: Console
) -> tuple[_Start, list[str]]:
    """Teach the backbone what can be taught without slides; what its start was, and lines for the card."""
    sides = [labelled_subset(tiles) for tiles in (data.training, data.validation)]
    if all(_both_classes(tiles.targets, config) for tiles in sides):
        labelled = replace(data, training=sides[0], validation=sides[1])
        state = fit(network, labelled, config, layout, console)
        return "tiles", [f"Tiles with labels, before the slides: {state.epoch} epochs."]
    epochs = config.training.slide_labels.self_supervised_epochs
    if config.model.weights != "scratch":
        return "pretrained", []
    if not epochs:
        return "scratch", []
    shorter = config.model_copy(update={"training": config.training.model_copy(update={"epochs": epochs})})
    pairs = PairLesson(data.training, data.validation, config, data.figures_prefix, data.identity)
    state = learn(with_projector(network, config), pairs, shorter, layout.phase(_BEFORE), console)
    return "self-supervised", [
        f"Backbone: {state.epoch} epochs without labels on {len(data.training)} tiles, since none was labelled positive."
    ]


def _bags(tiles: TileSet, cohort: Cohort) -> BagSet:
    targets = {
        name: own.slide_targets for name, own in cohort.slides.items() if own.slide_targets is not None
    }
    return bag_set(tiles, targets)


def _both_classes(targets: TargetArray, config: Config) -> bool:
    own = targets[:, head_slices(config.head_records)[flagging_head(config.head_records).name]]
    return bool((own > 0.5).any(axis=0).all())
