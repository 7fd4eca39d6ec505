"""Running the network of a cell finder: OpenVINO on a CPU, else PyTorch."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# openvino is only partly typed.

import threading
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from inkdot.cell_finder.finder_files import FinderFile, Weights
from inkdot.cell_finder.openvino_graph import openvino_graph
from inkdot.model.predictor import is_cpu
from inkdot.model.runtimes.openvino_backend import (
    import_openvino,
    openvino_core,
    openvino_installed,
    thread_limit,
)

OD_STEP: Final = 0.01
"""Unit of the network's input, in optical density."""

OdSteps = npt.NDArray[np.uint8]
Probabilities = npt.NDArray[np.float32]


class FinderBackend(Protocol):
    """The network of a cell finder, ready to run; safe to call from several threads."""

    def __call__(self, od_steps: OdSteps) -> Probabilities:
        """Probabilities of "nucleus" and "centre", shape [2, height / 2, width / 2].

        Args:
            od_steps: Optical density in steps of 0.01, shape [height, width, 3]; the sides are multiples of 16.
        """
        ...


def load_backend(description: FinderFile, weights: Weights, device: str = "auto") -> FinderBackend:
    """OpenVINO where it is installed and no GPU is used, as for the classifier; else PyTorch.

    Args:
        description: Of the weights.
        weights: As checked by :func:`inkdot.cell_finder.finder_files.read_finder`.
        device: ``auto``, or a device of PyTorch.

    Raises:
        UserError: The machine has no such device.
    """
    if openvino_installed() and is_cpu(device):
        return _OpenVinoFinder(weights)
    return _TorchFinder(description, weights, device)


class _OpenVinoFinder:
    def __init__(self, weights: Weights) -> None:
        graph = openvino_graph(import_openvino(), weights, od_step=OD_STEP)
        settings = {"INFERENCE_PRECISION_HINT": "f32", **thread_limit()}
        self._compiled: Any = openvino_core().compile_model(graph, "CPU", settings)
        self._local = threading.local()

    def __call__(self, od_steps: OdSteps) -> Probabilities:
        request = getattr(self._local, "request", None)
        if request is None:
            request = self._local.request = self._compiled.create_infer_request()
        request.infer({0: np.ascontiguousarray(od_steps)[None]})
        return np.array(request.get_output_tensor(0).data[0], np.float32)


class _TorchFinder:
    def __init__(self, description: FinderFile, weights: Weights, device: str) -> None:
        import torch

        from inkdot.cell_finder.network import CellFinderNetwork
        from inkdot.model.runtimes.torch_backend import choose_device

        self._device = choose_device(device)
        network = CellFinderNetwork(description.widths)
        network.load_state_dict({name: torch.from_numpy(values) for name, values in weights.items()})
        self._network = network.eval().to(self._device)

    def __call__(self, od_steps: OdSteps) -> Probabilities:
        import torch

        with torch.inference_mode():
            steps = torch.from_numpy(np.ascontiguousarray(od_steps)).to(self._device)
            od = steps.permute(2, 0, 1)[None].float() * OD_STEP
            return torch.sigmoid(self._network(od))[0].float().cpu().numpy()
