"""The network in the runtime and precision of `inkdot predict`, before there is a model folder."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, Literal, NamedTuple

import torch

from inkdot.model.network import TileNetwork
from inkdot.model.runtimes.batches import BATCH_SIZE, batch_size_on
from inkdot.model.runtimes.openvino_backend import OpenVinoNetwork
from inkdot.model.runtimes.precision import choose_precision
from inkdot.model.runtimes.torch_backend import TorchNetwork, choose_device
from inkdot.storage.models.model_files import Precision
from inkdot.training.frozen.head_network import HeadNetwork

_EMBEDDING_ERROR: Final[dict[Precision, float]] = {"float32": 0.001, "bfloat16": 0.01}
"""Most that scores from stored embeddings (float16, heads in float32) differ from those of the whole network; twice what was
measured, see decision 181."""


class DeployedNetwork(NamedTuple):
    """A network to calibrate.

    Attributes:
        network: Gives logits of all heads, float32 [n, columns].
        precision: Its precision, which the model records.
        score_error: How far its scores may be from those of `inkdot predict`: 0 where they are the same.
    """

    network: TorchNetwork | OpenVinoNetwork
    precision: Precision
    score_error: float = 0.0


@contextmanager
def deployed_network(
    network: TileNetwork, precision: Literal["auto"] | Precision, side_px: int
) -> Generator[DeployedNetwork]:
    """Run the network in the runtime, precision and batch size of `inkdot predict`; afterwards it is on the CPU again.

    Heads alone take embeddings, which the backbone made in that runtime and precision.

    In single precision on a CPU PyTorch replaces OpenVINO: their scores differ by less than the rounding of thresholds.

    Args:
        network: The trained network.
        precision: ``model.precision`` of the config.
        side_px: Side of a tile.
    """
    device = choose_device("auto")
    chosen = choose_precision(precision, device.type)
    if isinstance(network, HeadNetwork):
        cpu = torch.device("cpu")
        heads = TorchNetwork(network, cpu, BATCH_SIZE, "float32")
        yield DeployedNetwork(heads, chosen, _EMBEDDING_ERROR[chosen])
    elif device.type == "cpu" and chosen == "bfloat16":
        # Not kept: what is calibrated here is stored later, with other temperatures and operating points.
        yield DeployedNetwork(OpenVinoNetwork(lambda: network, side_px, None, BATCH_SIZE, chosen), chosen)
    else:
        batch_size = batch_size_on(device.type)
        yield DeployedNetwork(TorchNetwork(network, device, batch_size, chosen), chosen)
    network.cpu()
