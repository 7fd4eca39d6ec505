"""Classes in equal shares: training draws by these weights, validation losses and temperatures weigh by them."""

import numpy as np

from inkdot.config import Config
from inkdot.evaluation.calibration import fit_temperature
from inkdot.labels import flagging_head
from inkdot.model.data import TileSet
from inkdot.model.predicting import LogitArray
from inkdot.model.selection import FloatArray, draw_weights, head_slices, strata


def balanced_weights(tiles: TileSet, config: Config) -> FloatArray:
    """Weight of each tile, sum 1: classes of one head in equal shares, see :func:`draw_weights`."""
    heads = config.head_records
    columns = head_slices(heads)[config.training.balance_by or flagging_head(heads).name]
    return draw_weights(strata(tiles.targets, columns), tiles.patients, tiles.slides)


def fit_temperatures(logits: LogitArray, tiles: TileSet, config: Config) -> dict[str, float]:
    """Temperature of each head, by name; 1 for a head of which no tile is known."""
    weights = balanced_weights(tiles, config)
    temperatures: dict[str, float] = {}
    for name, columns in head_slices(config.head_records).items():
        known = np.flatnonzero(~np.isnan(tiles.targets[:, columns.start]))
        temperatures[name] = fit_temperature(
            logits[known, columns], tiles.targets[known, columns], weights[known]
        )
    return temperatures
