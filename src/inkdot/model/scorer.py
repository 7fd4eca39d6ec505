"""From tiles to calibrated scores."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from inkdot.artefacts.model_files import ModelFile
from inkdot.evaluation.calibration import softmax
from inkdot.labels import Head
from inkdot.model.openvino_runtime import OpenVinoNetwork, openvino_installed
from inkdot.model.predicting import BATCH_SIZE, LogitArray, choose_device, place, predict_logits
from inkdot.model.selection import head_slices
from inkdot.model.store import load_model
from inkdot.records import RgbArray

ScoreArray = npt.NDArray[np.float32]
Runtime = Literal["auto", "torch", "openvino"]


class Scorer:
    """A stored model, ready to score tiles.

    Attributes:
        description: What the weights mean.
        runtime: What the network runs in: ``torch`` or ``openvino``.
    """

    def __init__(
        self, folder: Path, device: str = "auto", batch_size: int = BATCH_SIZE, runtime: Runtime = "auto"
    ) -> None:
        """Load a model folder.

        Args:
            folder: What `inkdot train` made (RUN/model).
            device: ``auto``, or a torch device such as ``cpu`` or ``cuda``; OpenVINO runs on the CPU.
            batch_size: Tiles per batch; another size may change the last digits of scores.
            runtime: ``auto`` takes OpenVINO where it is installed and there is no GPU.

        Raises:
            ArtefactError: The folder is no model, or its files do not belong together.
            UserError: The machine has no such device, or OpenVINO is not installed.
        """
        self._device = choose_device(device)
        self._batch_size = batch_size
        self.description: ModelFile
        self.description, self._network = load_model(folder)
        if runtime == "auto":
            runtime = "openvino" if self._device.type == "cpu" and openvino_installed() else "torch"
        self.runtime: Literal["torch", "openvino"] = runtime
        self._folder = folder
        self._compiled: OpenVinoNetwork | None = None
        if runtime == "torch":
            self._network = place(self._network, self._device)

    def score(self, tiles: Iterable[RgbArray]) -> ScoreArray:
        """Probabilities after temperature, float32 [n, score columns], in the order of ``score_columns(heads)``.

        Args:
            tiles: uint8 RGB at the model's scale, shape [side, side, 3] each; taken one batch at a time.
        """
        if self.runtime == "openvino":
            logits = self._openvino().logits(tiles)
        else:
            logits = predict_logits(self._network, tiles, device=self._device, batch_size=self._batch_size)
        return scores_of(logits, self.description.head_records, self.description.temperatures)

    def _openvino(self) -> OpenVinoNetwork:
        """Compiled when the first tiles come: who only asks what the model is waits for nothing and writes nothing."""
        if self._compiled is None:
            self._compiled = OpenVinoNetwork(
                lambda: self._network,
                side_px=self.description.tiling.side_px,
                folder=self._folder,
                weights_sha256=self.description.weights_sha256,
                batch_size=self._batch_size,
            )
        return self._compiled


def scores_of(logits: LogitArray, heads: Sequence[Head], temperatures: Mapping[str, float]) -> ScoreArray:
    """Softmax of each head's logits divided by its temperature, float32, same shape as the logits."""
    scores = np.empty(logits.shape, np.float32)
    for name, columns in head_slices(heads).items():
        scores[:, columns] = softmax(logits[:, columns].astype(np.float64) / temperatures.get(name, 1.0))
    return scores
