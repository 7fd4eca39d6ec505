"""Logits of tiles, computed by all processes of a training run together."""

# pyright: reportUnknownMemberType=false

from typing import cast

import torch
from lightning.fabric import Fabric
from torch import Tensor

from inkdot.datasets.tile_set import TileSet
from inkdot.model.network import TileNetwork
from inkdot.model.runtimes.batches import LogitArray
from inkdot.model.runtimes.torch_backend import predict_logits


def predict_logits_sharded(
    fabric: Fabric, network: TileNetwork, tiles: TileSet, *, batch_size: int
) -> LogitArray:
    """As :func:`predict_logits`: each process computes a share, and all processes get all logits."""
    rank, size = fabric.global_rank, fabric.world_size
    share = (tiles.tile(row) for row in range(rank, len(tiles), size))
    own = predict_logits(network, share, device=fabric.device, batch_size=batch_size)
    logits = torch.zeros(len(tiles), own.shape[1])
    logits[rank::size] = torch.from_numpy(own)
    return cast(Tensor, fabric.all_reduce(logits, reduce_op="sum")).cpu().numpy()
