"""The heads of a network without its backbone: they take embeddings where the whole network takes pixels."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from pathlib import Path

import torch
from torch import Tensor, nn

from inkdot.model.model_folder import load_model
from inkdot.model.network import TileNetwork
from inkdot.model.predictor import Predictor
from inkdot.model.runtimes.batches import BATCH_SIZE
from inkdot.model.runtimes.torch_backend import TorchNetwork


class HeadNetwork(TileNetwork):
    """Embeddings in, the outputs of :class:`TileNetwork` out.

    It shares the heads with the network that it is made from: training it trains that network, whose backbone stays as it is.
    """

    def __init__(self, network: TileNetwork) -> None:
        nn.Module.__init__(self)
        self.spec = network.spec
        self.feature_count = network.feature_count
        self.backbone = nn.Identity()
        self.dropout, self.heads, self.attention = network.dropout, network.heads, network.attention
        self.slide_tokens, self.slide_transformer = network.slide_tokens, network.slide_transformer

    def features(self, tiles: Tensor) -> Tensor:
        """The embeddings themselves, float32 [n, features]; already the mean over the views of test-time augmentation."""
        return tiles.float()


def head_predictor(folder: Path) -> Predictor:
    """A stored model that takes embeddings where others take tiles; on the CPU, in single precision."""
    network = TorchNetwork(HeadNetwork(load_model(folder)[1]), torch.device("cpu"), BATCH_SIZE, "float32")
    return Predictor(folder, runtime="torch", network=network)


def trainable(network: TileNetwork, *, frozen: bool) -> TileNetwork:
    """What is trained of a network: all of it, or its heads where the backbone is frozen."""
    return HeadNetwork(network) if frozen else network
