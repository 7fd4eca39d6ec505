"""Class balance: training samples by these weights; validation losses and temperatures are weighted by them."""

import numpy as np

from inkdot.config import Config
from inkdot.datasets.tile_sampler import draw_weights, strata
from inkdot.datasets.tile_set import TileSet
from inkdot.labels import flagging_head, head_slices
from inkdot.metrics.calibration import fit_temperature
from inkdot.model.targets import FloatArray
from inkdot.model.torch_backend import LogitArray


def balanced_weights(tiles: TileSet, config: Config) -> FloatArray:
    """Weight of each tile, sum 1: classes of one head in equal shares, see :func:`draw_weights`."""
    heads = config.head_records
    columns = head_slices(heads)[config.training.balance_by or flagging_head(heads).name]
    return draw_weights(strata(tiles.targets, columns), tiles.patients, tiles.slides)


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
