"""A frozen encoder: a network without heads that turns tiles into embeddings, in any runtime."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from inkdot.config import IMAGENET_LITE0, LITE0_BACKBONE, LITE0_TAGGED
from inkdot.errors import UserError
from inkdot.model.encoder_hash import network_encoder_sha256
from inkdot.model.finite import finite_batches
from inkdot.model.predictor import Backend, Runtime, is_cpu
from inkdot.model.runtimes.batches import BATCH_SIZE, FeatureArray, batch_size_on, reading_threads
from inkdot.model.runtimes.openvino_backend import OpenVinoNetwork, import_openvino, openvino_installed
from inkdot.model.runtimes.precision import choose_precision, precision_on
from inkdot.records import RgbArray
from inkdot.storage.models.model_files import Precision

if TYPE_CHECKING:  # imports timm and torch
    from inkdot.model.network import TileNetwork


@dataclass(frozen=True, slots=True)
class EncoderSource:
    """Where an encoder comes from; small, so that other processes can load it.

    Attributes:
        name: As in ``model.backbone``; for a model folder its backbone.
        weights: ``pretrained``, ``imagenet-lite0``, or the path of a file of weights; unused where ``model`` is given.
        side_px: Side of the tiles.
        model: A model folder whose backbone is the encoder.
        precision: Of the computation; ``auto`` takes bfloat16 where this machine has it.
        tta_views: Flips and quarter turns whose features are averaged.
    """

    name: str
    weights: str
    side_px: int
    model: Path | None = None
    precision: Literal["auto"] | Precision = "auto"
    tta_views: Literal[1, 2, 4, 8] = 1

    @classmethod
    def of_model(cls, folder: Path) -> "EncoderSource":
        """The backbone of a model folder, in the model's precision.

        Raises:
            StorageError: The folder is no model.
        """
        from inkdot.storage.models.ensemble_files import single_model_only
        from inkdot.storage.models.model_files import read_model_file

        description = read_model_file(folder)
        single_model_only(folder, description.members, "embed")
        return cls(
            description.encoder or description.backbone,
            "",
            int(description.tiling.side_px),
            folder.absolute(),
            description.precision,
            description.tta_views,
        )


class FrozenEncoder:
    """An encoder, ready to run.

    Attributes:
        name: As in the source.
        sha256: See :mod:`inkdot.model.encoder_hash`.
        side_px: Side of the tiles.
        runtime: ``torch`` or ``openvino``.
        precision: Precision on this machine.
        feature_count: Dimensions of an embedding.
        reading_threads: Threads that should read tiles for it.
        licence: One line on the licence of the weights; empty where nothing is known to say.
        notes: Lines on which weights were taken; none for a model folder or a network that is given.
    """

    def __init__(
        self,
        source: EncoderSource,
        *,
        device: str = "auto",
        runtime: Runtime = "auto",
        batch_size: int | None = None,
        network: "TileNetwork | None" = None,
    ) -> None:
        """Load an encoder.

        Args:
            source: Where it comes from.
            device: ``auto``, or a torch device such as ``cpu`` or ``cuda``; OpenVINO runs on the CPU.
            runtime: ``auto`` takes OpenVINO where it is installed and there is no GPU.
            batch_size: Tiles per batch; None suits the device.
            network: The source's network where it is already loaded.

        Raises:
            UserError: The encoder or the machine's device is unknown, weights are missing or do not match, or OpenVINO is not
                installed.
            StorageError: The source's model folder is damaged.
        """
        self.notes: list[str] = []
        loaded = (network or load_encoder(source, self.notes)).eval()
        self.name, self.side_px, self.licence = source.name, loaded.spec.side_px, loaded.spec.licence
        self.sha256 = network_encoder_sha256(loaded)
        if runtime == "auto":
            runtime = "openvino" if openvino_installed() and is_cpu(device) else "torch"
        elif runtime == "openvino":
            import_openvino()
        self.runtime: Literal["torch", "openvino"] = runtime
        self._backend, self.precision = self._start(loaded, source, device, batch_size)
        self.feature_count = self._backend.feature_count
        self.reading_threads = reading_threads(on_cpu=self.runtime == "openvino" or is_cpu(device))

    def features(self, tiles: Iterable[RgbArray]) -> Iterator[FeatureArray]:
        """Embeddings batch by batch, float32 [n, feature_count], in the order of the tiles.

        Args:
            tiles: uint8 RGB, shape [side, side, 3] each; read while earlier batches are computed.

        Raises:
            NonFiniteError: A number is NaN or infinite.
        """
        batches = finite_batches(self._backend.infer(tiles), f"encoder {self.name}")
        return (batch.features for batch in batches)

    def _start(
        self, network: "TileNetwork", source: EncoderSource, device: str, batch_size: int | None
    ) -> tuple[Backend, Precision]:
        if self.runtime == "openvino":
            precision = _precision(source, "cpu", self.runtime)
            backend = OpenVinoNetwork(
                lambda: network,
                side_px=self.side_px,
                network_sha256=self.sha256,
                batch_size=batch_size or BATCH_SIZE,
                precision=precision,
            )
            return backend, precision
        from inkdot.model.runtimes.torch_backend import TorchNetwork, choose_device

        chosen = choose_device(device)
        precision = _precision(source, chosen.type, self.runtime)
        return TorchNetwork(network, chosen, batch_size or batch_size_on(chosen.type), precision), precision


def _precision(source: EncoderSource, device_type: str, runtime: Literal["torch", "openvino"]) -> Precision:
    wanted = source.precision if source.model else choose_precision(source.precision, device_type)
    return "float32" if wanted == "auto" else precision_on(device_type, wanted, runtime)


def load_encoder(source: EncoderSource, notes: list[str] | None = None) -> "TileNetwork":
    """The network of an encoder: no heads, on the CPU, in evaluation mode.

    Args:
        source: Where it comes from.
        notes: Gets lines on which weights were taken.

    Raises:
        UserError: timm has no such model, or the weights are missing or do not match.
        StorageError: The source's model folder is damaged.
    """
    from dataclasses import replace

    from inkdot.model.encoders.imagenet_lite0 import load_imagenet_lite0
    from inkdot.model.encoders.resolve import resolve_backbone
    from inkdot.model.encoders.starting_weights import (
        source_normalisation,
        starting_licence,
        weights_notes,
        weights_path,
    )
    from inkdot.model.encoders.weights_file import load_weights, read_tensors
    from inkdot.model.model_folder import load_backbone, network_spec
    from inkdot.model.network import TileNetwork, resolved_spec
    from inkdot.storage.models.model_files import read_model_file

    if source.model is not None:
        spec = network_spec(read_model_file(source.model))
        network = TileNetwork(replace(spec, heads=(), attention_hidden=0))
        load_backbone(network, source.model / "weights.safetensors")
        return network.eval()
    if source.weights == "scratch":
        raise UserError(
            "encoder: expected pretrained weights or a .safetensors file, found scratch, whose embeddings mean nothing; "
            "set --weights, or model.weights in the config"
        )
    lite0 = source.weights == IMAGENET_LITE0
    name = LITE0_BACKBONE if lite0 and source.name == LITE0_TAGGED else source.name
    resolved = resolve_backbone(name, source.side_px)
    path = weights_path(source.weights, resolved)
    tensors = read_tensors(path) if path is not None else {}
    normalisation = (
        source_normalisation(path, resolved, tensors) if path is not None else resolved.normalisation
    )
    licence = starting_licence(source.weights, resolved, path, tensors)
    spec = resolved_spec(resolved, normalisation, tta_views=source.tta_views, licence=licence)
    if notes is not None:
        notes += weights_notes(source.weights, path)
    if lite0:
        if resolved.spec.architecture != LITE0_BACKBONE:
            raise UserError(
                f"encoder: expected {LITE0_BACKBONE} for the weights {IMAGENET_LITE0}, found {source.name}; "
                "name the encoder of the weights"
            )
        network = TileNetwork(spec)
        load_imagenet_lite0(network.backbone)
        return network.eval()
    network = TileNetwork(spec, pretrained=path is None)
    if path is not None:
        load_weights(network.backbone, tensors, str(path), source.name)
    return network.eval()
