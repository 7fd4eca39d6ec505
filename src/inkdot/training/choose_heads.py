"""The heads that a split cohort can train; see :mod:`inkdot.datasets.trainable_heads` for what is known before tiling."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from inkdot.config import Config
from inkdot.datasets.cohort import Cohort, Fold, split_cohort
from inkdot.datasets.tile_cache import LabelledTiles, labelled_tiles
from inkdot.datasets.trainable_heads import LabelledPatients, TrainableHeads, trainable_heads, without_heads
from inkdot.errors import UserError
from inkdot.records import SlideEntry
from inkdot.storage.layout import RunLayout
from inkdot.training.label_checks import check_labels, untrained_heads
from inkdot.training.mil.train_mil import training_tiles_of


@dataclass(frozen=True, slots=True)
class ChosenHeads:
    """The data and settings of a training run without the heads that cannot be trained.

    Attributes:
        config: The config without those heads.
        tiles: The slides or images, with targets of the heads of ``config``.
        by_slide: Whether labels of whole slides are used through attention.
        cohorts: The split; one per fold of a cross-validation.
        notes: A line per head that was left out.
    """

    config: Config
    tiles: list[LabelledTiles]
    by_slide: bool
    cohorts: list[Cohort]
    notes: list[str]


def choose_heads(
    tiles_of: Callable[[Config], tuple[list[LabelledTiles], bool]],
    config: Config,
    folds: int | None,
    *,
    images: bool,
) -> ChosenHeads:
    """Split the cohort, and leave out heads that miss a class in training until every head of the rest has all of its own.

    Without a head the split is drawn anew, since the labels of all heads are spread over its parts.

    Args:
        tiles_of: Gives the slides or images with the targets of a config's heads, and whether attention is trained.
        config: The config with all heads.
        folds: Of a cross-validation: a head must be trained in every fold.
        images: The tiles are labelled images.

    Raises:
        UserError: The cohort does not suffice for the flagging head.
    """
    notes: list[str] = []
    while True:
        tiles, by_slide = tiles_of(config)
        cohorts = [
            split_cohort(tiles, config, images=images, fold=fold, by_slide=by_slide)
            for fold in ([None] if folds is None else [Fold(number, folds) for number in range(folds)])
        ]
        untrained = untrained_heads(cohorts, config)
        if not untrained:
            break
        config, further = without_heads(config, untrained)
        notes += [*untrained.values(), *further]
    for cohort in cohorts:
        check_labels(cohort, config)
    return ChosenHeads(config, tiles, by_slide, cohorts, notes)


def heads_with_labels(
    source: Path, labels: LabelledPatients, config: Config, folds: int | None
) -> TrainableHeads:
    """As :func:`inkdot.datasets.trainable_heads.trainable_heads`; its error names the table.

    Raises:
        UserError: Too few labels of the flagging head.
    """
    try:
        return trainable_heads(labels, config, folds)
    except UserError as error:
        raise UserError(f"{source}: {error}") from None


def tiles_with_heads(
    entries: Sequence[SlideEntry], layout: RunLayout, config: Config
) -> tuple[list[LabelledTiles], bool]:
    """The tiles of slides with targets of the heads of ``config``, and whether attention over whole slides is trained."""
    return training_tiles_of([labelled_tiles(entry, config, layout) for entry in entries], config, layout)
