"""Logits of tiles, computed by all processes of a training run together."""

# pyright: reportUnknownMemberType=false

import torch

from inkdot.datasets.tile_set import TileSet
from inkdot.model.batches import LogitArray
from inkdot.model.network import TileNetwork
from inkdot.model.torch_backend import predict_logits
from inkdot.training.distributed.process_group import company, summed


def predict_logits_sharded(
    network: TileNetwork, tiles: TileSet, *, device: torch.device, batch_size: int
) -> LogitArray:
    """As :func:`predict_logits`, where every process that trains asks: each sees its share, and all are told the same."""
    own = company()
    share = (tiles.tile(row) for row in range(own.rank, len(tiles), own.size))
    logits = predict_logits(network, share, device=device, batch_size=batch_size)
    every = torch.zeros(len(tiles), logits.shape[1])
    every[own.rank :: own.size] = torch.from_numpy(logits)
    return summed(every).numpy()
