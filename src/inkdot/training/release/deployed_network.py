"""The network in the runtime and precision of `inkdot predict`, before there is a model folder."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple

from inkdot.model.batches import BATCH_SIZE, batch_size_on
from inkdot.model.network import TileNetwork
from inkdot.model.openvino_backend import OpenVinoNetwork
from inkdot.model.precision import choose_precision
from inkdot.model.torch_backend import TorchNetwork, choose_device
from inkdot.storage.model_files import Precision


class DeployedNetwork(NamedTuple):
    """A network to calibrate.

    Attributes:
        network: Gives logits of all heads, float32 [n, columns].
        precision: Its precision, which the model records.
    """

    network: TorchNetwork | OpenVinoNetwork
    precision: Precision


@contextmanager
def deployed_network(
    network: TileNetwork, precision: Literal["auto"] | Precision, side_px: int
) -> Generator[DeployedNetwork]:
    """Run the network in the runtime, precision and batch size of `inkdot predict`; afterwards it is on the CPU again.

    In single precision on a CPU PyTorch replaces OpenVINO: their scores differ by less than the rounding of thresholds.

    Args:
        network: The trained network.
        precision: ``model.precision`` of the config.
        side_px: Side of a tile.
    """
    device = choose_device("auto")
    chosen = choose_precision(precision, device.type)
    if device.type == "cpu" and chosen == "bfloat16":
        with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            yield DeployedNetwork(
                OpenVinoNetwork(lambda: network, side_px, Path(folder), "deployed", BATCH_SIZE, chosen),
                chosen,
            )
    else:
        batch_size = batch_size_on(device.type)
        yield DeployedNetwork(TorchNetwork(network, device, batch_size, chosen), chosen)
    network.cpu()
