"""Class balance: training samples by these weights; validation losses and temperatures are weighted by them."""

import numpy as np

from inkdot.config import Config
from inkdot.datasets.tile_sampler import UNKNOWN, draw_weights, epoch_tiles, strata
from inkdot.datasets.tile_set import TileSet
from inkdot.labels import flagging_head, head_slices
from inkdot.metrics.calibration import fit_temperature
from inkdot.model.runtimes.torch_backend import LogitArray
from inkdot.model.targets import FloatArray, IndexArray, TargetArray


def balanced_weights(tiles: TileSet, config: Config) -> FloatArray:
    """Weight of each tile, sum 1: classes of one head in equal shares, see :func:`draw_weights`."""
    return draw_weights(_balanced_classes(tiles.targets, config), tiles.patients, tiles.slides)


def tiles_per_epoch(targets: TargetArray, config: Config) -> int:
    """Tiles that an epoch draws from a training set with these targets, see :func:`epoch_tiles`."""
    return epoch_tiles(_balanced_classes(targets, config), config.training.rare_class_draws)


def epoch_note(targets: TargetArray, config: Config) -> str:
    """One line on the tiles of an epoch and on how often those of the rarest class are drawn."""
    classes, drawn = _balanced_classes(targets, config), tiles_per_epoch(targets, config)
    counts = np.unique(classes[classes != UNKNOWN], return_counts=True)[1]
    epochs = config.training.epochs
    if not len(counts):
        return f"An epoch draws {drawn} of {len(classes)} training tiles."
    each = drawn / len(np.unique(classes)) / int(counts.min())
    return (
        f"An epoch draws {drawn} tiles from {len(classes)}, those of the rarest class {each:.3g} times each; in {epochs} epochs "
        f"{each * epochs:.3g} times."
    )


def _balanced_classes(targets: TargetArray, config: Config) -> IndexArray:
    heads = config.head_records
    return strata(targets, head_slices(heads)[config.training.balance_by or flagging_head(heads).name])


def fit_temperatures(logits: LogitArray, tiles: TileSet, config: Config) -> dict[str, float]:
    """Temperature of each head, by name; 1 for a head without a labelled tile."""
    weights = balanced_weights(tiles, config)
    temperatures: dict[str, float] = {}
    for name, columns in head_slices(config.head_records).items():
        known = np.flatnonzero(~np.isnan(tiles.targets[:, columns.start]))
        temperatures[name] = fit_temperature(
            logits[known, columns], tiles.targets[known, columns], weights[known]
        )
    return temperatures
