"""From tiles to calibrated scores: the entry point of prediction."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol

import numpy as np

from inkdot.labels import Head, flag_column, flagging_head, head_slices
from inkdot.metrics.slides.attention_pooling import attention_pool, attention_weights
from inkdot.model.calibrated_scores import ScoreArray, calibrated_scores
from inkdot.model.ensemble import EnsembleNetwork, mean_ood_distance, spread_of
from inkdot.model.finite import check_finite, check_finite_weights, finite_batches
from inkdot.model.ood_reference import make_ood_distance, read_ood_reference
from inkdot.model.reference_scores import check_reference_scores
from inkdot.model.runtimes.batches import (
    BATCH_SIZE,
    FeatureArray,
    Inferred,
    LogitArray,
    batch_size_on,
    reading_threads,
)
from inkdot.model.runtimes.openvino_backend import OpenVinoNetwork, import_openvino, openvino_installed
from inkdot.model.runtimes.precision import precision_on, precision_warnings
from inkdot.model.targets import output_columns
from inkdot.records import RgbArray
from inkdot.storage.layout import ModelLayout
from inkdot.storage.models.model_files import ModelFile, Precision, model_sha256, read_model_file

if TYPE_CHECKING:
    from inkdot.model.network import TileNetwork
    from inkdot.model.slide_transformer import SlideOutput

Runtime = Literal["auto", "torch", "openvino"]

_LINUX_DRIVERS: Final = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd", "/proc/driver/nvidia")
"""Device files of the drivers of NVIDIA (also in WSL) and AMD."""


class Backend(Protocol):
    """A network ready to run, in PyTorch or OpenVINO."""

    @property
    def feature_count(self) -> int:
        """Width of the embedding."""
        ...

    def infer(self, tiles: Iterable[RgbArray]) -> Iterator[Inferred]:
        """Logits and features batch by batch, in the order of the tiles."""
        ...


class Predicted(NamedTuple):
    """Output of a model for the tiles of one slide.

    Attributes:
        scores: Probabilities, shape [n, score columns].
        attention: Weight of each tile for the flagging head, sum 1, shape [n]; None without attention.
        spread: Of an ensemble: standard deviation over its members of the flag class's probability, shape [n]; None of one
            network.
        member_slide_scores: Of an ensemble with attention: the slide's score by each member, shape [members]; else None.
        slide_score: Of one network with a transformer over tiles (transmil): the slide's score of the flag class, 0 to 1;
            None where it is made from the tiles' scores, or there is no tile.
    """

    scores: ScoreArray
    attention: ScoreArray | None
    spread: ScoreArray | None = None
    member_slide_scores: ScoreArray | None = None
    slide_score: float | None = None


class Predictor:
    """A stored model, ready to score tiles.

    Attributes:
        description: The model description, ``model.json``.
        runtime: ``torch`` or ``openvino``.
        precision: Precision on this machine; see :func:`inkdot.model.runtimes.precision.precision_on`.
        reading_threads: Threads that should read the tiles of a slide for it.
        ood_distance: From embeddings, shape [n, features], to their out-of-distribution distances, float32 [n]; None where
            the model has no OOD reference.
    """

    ood_distance: Callable[[FeatureArray], ScoreArray] | None = None

    def __init__(
        self,
        folder: Path,
        device: str = "auto",
        batch_size: int | None = None,
        runtime: Runtime = "auto",
        network: Backend | None = None,
    ) -> None:
        """Load a model folder.

        Args:
            folder: A model folder, such as RUN/model.
            device: ``auto``, or a torch device such as ``cpu`` or ``cuda``; OpenVINO runs on the CPU.
            batch_size: Tiles per batch; another size may change the last digits of scores. None suits the device.
            runtime: ``auto`` takes OpenVINO where it is installed and there is no GPU.
            network: The folder's network where it is already loaded; otherwise it is loaded on first use.

        Raises:
            StorageError: The folder is no model, or its files do not match.
            UserError: The machine has no such device, or OpenVINO is not installed.
        """
        self._batch_size = batch_size
        self._folder = folder
        self.description: ModelFile = read_model_file(folder)
        if runtime == "auto":
            runtime = "openvino" if openvino_installed() and is_cpu(device) else "torch"
        elif runtime == "openvino":
            import_openvino()
        self.runtime: Literal["torch", "openvino"] = runtime
        self._device = device
        self.reading_threads = reading_threads(on_cpu=runtime == "openvino" or is_cpu(device))
        self.precision: Precision = self._local_precision()
        self._network = network
        layout = ModelLayout(folder)
        self._members = [
            Predictor(layout.member(index), device, batch_size, runtime)
            for index in range(len(self.description.members))
        ]
        if self._members:
            self.ood_distance = self._members_ood_distance() if self.description.ood is not None else None
        elif self.description.ood is not None:
            self.ood_distance = make_ood_distance(read_ood_reference(folder))

    def predict_proba(self, tiles: Iterable[RgbArray]) -> ScoreArray:
        """Calibrated probabilities, float32 [n, score columns], in the order of ``score_columns(heads)``.

        Args:
            tiles: uint8 RGB at the model's scale, shape [side, side, 3] each; taken one batch at a time.
        """
        return self.predict(tiles).scores

    def predict(self, tiles: Iterable[RgbArray]) -> Predicted:
        """Probabilities as in :meth:`predict_proba`, and attention; tiles are those of one whole slide."""
        return self.from_logits([batch.logits for batch in self.infer(tiles)])

    def infer(self, tiles: Iterable[RgbArray]) -> Iterator[Inferred]:
        """Logits and embeddings batch by batch, in the order of the tiles; see :meth:`from_logits`."""
        return finite_batches(self.network.infer(tiles), str(self._folder))

    def from_logits(self, batches: Sequence[LogitArray]) -> Predicted:
        """Output of :meth:`predict`, from the logits of all batches of a slide.

        Raises:
            NonFiniteError: A logit is NaN or infinite.
        """
        if self._members:
            return self._mean_of_members(batches)
        heads = self.description.head_records
        part = self.description.attention
        columns = output_columns(heads, part.aggregator if part else None, part.hidden if part else 0)
        logits = np.concatenate([np.zeros((0, columns), np.float32), *batches])
        check_finite(logits, str(self._folder))
        scores = calibrated_scores(logits, heads, self.description.temperatures)
        if part is None or part.aggregator != "transmil":
            return Predicted(scores, slide_attention(logits, heads, flagging_head(heads)) if part else None)
        if not len(logits):
            return Predicted(scores, np.zeros(0, np.float32))
        found = self._slide_head(logits)
        of_slide = calibrated_scores(found.logits[None], heads, part.slide_temperatures)
        return Predicted(scores, found.attention, slide_score=float(of_slide[0, flag_column(heads)]))

    @property
    def network(self) -> Backend:
        """The network, loaded on first use: reading the description alone is fast and writes nothing.

        Raises:
            StorageError: It gives other scores than the reference scores of the model folder.
        """
        if self._network is None:
            if self._members:
                self._network = EnsembleNetwork([member.network for member in self._members])
            else:
                self._network = self._load_openvino() if self.runtime == "openvino" else self._load_torch()
                on_cpu = self.runtime == "openvino" or is_cpu(self._device)
                place = f"{self.runtime} on the {'CPU' if on_cpu else 'GPU'}"
                check_reference_scores(self._folder, self.description, self._network, place)
        return self._network

    @property
    def warnings(self) -> list[str]:
        """Warnings for all scores computed on this machine."""
        return precision_warnings(self.description.precision, self.precision)

    @cached_property
    def _slide_head(self) -> Callable[[LogitArray], "SlideOutput"]:
        """The transformer over the tiles of a slide: in PyTorch on the CPU in single precision, whatever the runtime."""
        from inkdot.model.slide_transformer import load_slide_transformer, slide_output

        heads, part = self.description.head_records, self.description.attention
        classes = sum(len(head.classes) for head in heads)
        transformer = load_slide_transformer(self._folder, part.hidden if part else 0, classes)
        return lambda outputs: slide_output(transformer, outputs, heads)

    def _mean_of_members(self, batches: Sequence[LogitArray]) -> Predicted:
        """Mean of the members' calibrated probabilities and attention, and how far they are apart."""
        count = len(self._members)
        parts = [np.split(batch, count, axis=1) for batch in batches]
        found = [
            member.from_logits([part[index] for part in parts]) for index, member in enumerate(self._members)
        ]
        head = flagging_head(self.description.head_records)
        scores = np.stack([own.scores for own in found])
        attention = [own.attention for own in found if own.attention is not None]
        return Predicted(
            scores.mean(axis=0),
            np.stack(attention).mean(axis=0) if attention else None,
            spread_of(scores[:, :, flag_column(self.description.head_records)]),
            np.array([slide_score(own, self.description.head_records, head) for own in found], np.float32)
            if attention
            else None,
        )

    def _members_ood_distance(self) -> Callable[[FeatureArray], ScoreArray] | None:
        distances = [member.ood_distance for member in self._members if member.ood_distance is not None]
        if len(distances) < len(self._members):
            return None

        def distance(features: FeatureArray) -> ScoreArray:
            widths = [member.network.feature_count for member in self._members]
            return mean_ood_distance(distances, widths)(features)

        return distance

    def _local_precision(self) -> Precision:
        recorded = self.description.precision
        if recorded == "float32" or is_cpu(self._device):
            return precision_on("cpu", recorded, self.runtime)
        from inkdot.model.runtimes.torch_backend import choose_device

        return precision_on(choose_device(self._device).type, recorded, self.runtime)

    def _load_openvino(self) -> Backend:
        def network() -> "TileNetwork":
            from inkdot.model.model_folder import load_model

            return load_model(self._folder)[1]

        # OpenVINO would hide what is not finite, and reads a conversion that was stored before.
        check_finite_weights(ModelLayout(self._folder).weights)
        return OpenVinoNetwork(
            network,
            side_px=self.description.tiling.side_px,
            # Of model.json, which holds the hash of the weights and all else that shapes the network.
            network_sha256=model_sha256(self._folder),
            batch_size=self._batch_size or BATCH_SIZE,
            precision=self.precision,
        )

    def _load_torch(self) -> Backend:
        from inkdot.model.model_folder import load_model
        from inkdot.model.runtimes.torch_backend import TorchNetwork, choose_device

        device = choose_device(self._device)
        batch_size = self._batch_size or batch_size_on(device.type)
        return TorchNetwork(load_model(self._folder)[1], device, batch_size, self.precision)


def slide_score(predicted: Predicted, heads: Sequence[Head], head: Head) -> float:
    """Probability (0 to 1) of the flag class for a slide by attention or a transformer over its tiles; NaN without tiles.

    Args:
        predicted: Of one network with attention, for all tiles of the slide.
        heads: The heads, in the order of the columns.
        head: The flagging one.
    """
    if predicted.attention is None or not len(predicted.scores):
        return float("nan")
    if predicted.slide_score is not None:
        return predicted.slide_score
    own = predicted.scores[:, head_slices(heads)[head.name]]
    return float(attention_pool(own, predicted.attention)[head.classes.index(head.flag_class or "")])


def is_cpu(device: str) -> bool:
    """Whether the device is the CPU; torch, which takes seconds to import, is used only where there may be a GPU.

    Raises:
        UserError: The machine has no such device.
    """
    if device == "cpu" or (device == "auto" and not _may_have_gpu()):
        return True
    from inkdot.model.runtimes.torch_backend import choose_device

    return choose_device(device).type == "cpu"


def _may_have_gpu() -> bool:
    """False only where the system has no driver that torch could use."""
    return sys.platform != "linux" or any(Path(name).exists() for name in _LINUX_DRIVERS)


def slide_attention(logits: LogitArray, heads: Sequence[Head], head: Head) -> ScoreArray:
    """Attention of the tiles of one slide for one head, sum 1, float32 [n].

    Args:
        logits: Output of the network: the logits of all heads, then the attention score of each head.
        heads: The heads.
        head: One of them.
    """
    classes = sum(len(each.classes) for each in heads)
    names = [each.name for each in heads]
    return attention_weights(logits[:, classes + names.index(head.name)]).astype(np.float32)
