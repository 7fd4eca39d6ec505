"""The network as `inkdot predict` will run it on this machine, before there is a model folder."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from inkdot.config import Config
from inkdot.model.batches import BATCH_SIZE, batch_size_on
from inkdot.model.network import TileNetwork
from inkdot.model.openvino_backend import OpenVinoNetwork
from inkdot.model.precision import chosen_precision
from inkdot.model.torch_backend import TorchNetwork, choose_device
from inkdot.storage.model_files import Precision


class DeployedNetwork(NamedTuple):
    """A network to calibrate.

    Attributes:
        network: Gives logits of all heads, float32 [n, columns].
        precision: What it computes in, and what the model shall record.
    """

    network: TorchNetwork | OpenVinoNetwork
    precision: Precision


@contextmanager
def deployed_network(network: TileNetwork, config: Config) -> Generator[DeployedNetwork]:
    """Run the network in the runtime, precision and batches of `inkdot predict`; afterwards it is on the CPU again.

    In single precision on a CPU PyTorch stands for OpenVINO, whose scores differ by less than thresholds are rounded.
    """
    device = choose_device("auto")
    precision = chosen_precision(config.model.precision, device.type)
    if device.type == "cpu" and precision == "bfloat16":
        with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            yield DeployedNetwork(
                OpenVinoNetwork(
                    lambda: network, config.tiling.side_px, Path(folder), "foreseen", BATCH_SIZE, precision
                ),
                precision,
            )
    else:
        batch_size = batch_size_on(device.type)
        yield DeployedNetwork(TorchNetwork(network, device, batch_size, precision), precision)
    network.cpu()
