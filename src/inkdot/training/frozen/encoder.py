"""The frozen backbone of a network as an encoder of tiles, and what encoding will cost."""

import time
from dataclasses import replace
from itertools import repeat
from typing import Final

import numpy as np

from inkdot.config import Config
from inkdot.model.frozen_encoder import EncoderSource, FrozenEncoder
from inkdot.model.network import TileNetwork
from inkdot.model.runtimes.batches import GPU_BATCH_SIZE

_TIMED_TILES: Final = GPU_BATCH_SIZE
"""Tiles that are timed, after as many to warm up: one batch on a GPU, eight on a CPU."""


def encoder_of(network: TileNetwork, config: Config) -> FrozenEncoder:
    """The backbone of a network, in the runtime and precision of `inkdot predict`."""
    without_heads = TileNetwork(replace(network.spec, heads=(), attention_hidden=0))
    without_heads.backbone.load_state_dict(network.backbone.state_dict())
    settings = config.model
    source = EncoderSource(
        settings.backbone,
        settings.weights,
        config.tiling.side_px,
        precision=settings.precision,
        tta_views=settings.tta_views,
    )
    return FrozenEncoder(source, network=without_heads)


def cost_line(encoder: FrozenEncoder, tiles: int) -> str:
    """What encoding so many tiles will take, without a full stop; the time of the network is measured."""
    if not tiles:
        return "Backbone frozen: no tile is left to encode"
    each = _seconds_per_tile(encoder)
    return (
        f"Backbone frozen: {tiles} tiles are encoded once, about {readable_seconds(tiles * each)} at the {1000 * each:.2g} ms "
        "per tile measured here, without reading them"
    )


def readable_seconds(seconds: float) -> str:
    """A duration in seconds, minutes or hours."""
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(1, round(seconds))} s"


def _seconds_per_tile(encoder: FrozenEncoder) -> float:
    tile = np.zeros((encoder.side_px, encoder.side_px, 3), np.uint8)
    list(encoder.features(repeat(tile, _TIMED_TILES)))
    started = time.perf_counter()
    list(encoder.features(repeat(tile, _TIMED_TILES)))
    return (time.perf_counter() - started) / _TIMED_TILES
