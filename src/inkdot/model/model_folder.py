"""A model on disk: ``weights.safetensors``, ``model.json`` and ``card.md`` in one folder. No pickle."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import copy
from importlib.metadata import version
from pathlib import Path
from typing import Final, cast

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from inkdot.errors import StorageError, UserError
from inkdot.model.encoders.backbone_spec import Argument
from inkdot.model.finite import check_finite_weights
from inkdot.model.network import NetworkSpec, TileNetwork
from inkdot.model.reference_scores import logits_of
from inkdot.model.runtimes.torch_backend import TorchNetwork
from inkdot.storage.atomic import write_bytes
from inkdot.storage.hashing import file_sha256
from inkdot.storage.layout import ModelLayout
from inkdot.storage.models.ensemble_files import single_model_only
from inkdot.storage.models.model_files import ModelFile, read_model_file, write_model_file
from inkdot.storage.models.model_records import ReferenceScores

_MOST_NAMED = 5
_REFERENCE_BATCH_SIZE: Final = 4
_BACKBONE_PREFIX = "backbone."


def save_model(folder: Path, network: TileNetwork, description: ModelFile) -> ModelFile:
    """Write weights and description; the weights' hash and the reference scores are filled in.

    Returns:
        The description as written.
    """
    layout = ModelLayout(folder)
    write_bytes(layout.weights, save(cpu_tensors(network)))
    found = {
        "weights_sha256": file_sha256(layout.weights),
        "reference_scores": _reference_scores(network, description),
    }
    written = description.model_copy(update=found)
    write_model_file(folder, written)
    return written


def _reference_scores(network: TileNetwork, description: ModelFile) -> ReferenceScores | None:
    """What a network gives for the fixed tiles; None where that is not finite, as the weights then are not."""
    # A copy: the network itself may be on a GPU, and in training.
    copied = TorchNetwork(
        copy.deepcopy(network).eval(), torch.device("cpu"), _REFERENCE_BATCH_SIZE, "float32"
    )
    classes = sum(len(head.classes) for head in description.heads)
    logits = logits_of(copied, description.tiling.side_px, classes)
    if not np.isfinite(logits).all():
        return None
    rows = [[float(f"{value:.7g}") for value in row] for row in logits.tolist()]
    made_with = f"torch {version('torch')}, timm {version('timm')}"
    return ReferenceScores(logits=rows, made_with=made_with)


def load_model(folder: Path) -> tuple[ModelFile, TileNetwork]:
    """Read a model folder; the network is on the CPU, in evaluation mode.

    Raises:
        StorageError: The folder is no model, or its files do not belong together.
        UserError: The model is an ensemble, which is several networks.
    """
    description = read_model_file(folder)
    single_model_only(folder, description.members, "this command")
    path = ModelLayout(folder).weights
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise StorageError(f"{path}: expected a .safetensors file: {' '.join(str(error).split())}") from None
    check_finite_weights(path)
    network = TileNetwork(network_spec(description))
    load_tensors(network, tensors, str(path))
    return description, network.eval()


def network_spec(description: ModelFile) -> NetworkSpec:
    """Architecture of a described model."""
    return NetworkSpec(
        backbone=description.backbone,
        dropout=description.dropout,
        heads=description.head_records,
        side_px=description.tiling.side_px,
        normalisation_mean=cast(tuple[float, float, float], tuple(description.normalisation_mean)),
        normalisation_std=cast(tuple[float, float, float], tuple(description.normalisation_std)),
        attention_hidden=description.attention.hidden if description.attention else 0,
        attention_follows=description.attention is not None and description.attention.follows,
        aggregator=description.attention.aggregator if description.attention else "gated_attention",
        tta_views=description.tta_views,
        backbone_kwargs=dict[str, Argument](description.backbone_kwargs),
        pooling=description.pooling,
        input_px=description.input_px,
        encoder=description.encoder,
        licence=description.licence,
    )


def load_backbone(network: TileNetwork, path: Path) -> None:
    """Load the weights of an encoder from a file with timm's names, or an Inkdot model's own.

    Tensors of a classifier or a head are left out.

    Raises:
        UserError: The file is missing or no safetensors file, or its weights are another backbone's.
    """
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"encoder: expected a .safetensors file, found {str(path)!r} ({' '.join(str(error).split())})"
        ) from None
    given = {name.removeprefix(_BACKBONE_PREFIX): tensor for name, tensor in tensors.items()}
    expected = network.backbone.state_dict()
    wrong = [
        f"{name} {_shape(expected[name])}"
        for name in expected
        if name not in given or given[name].shape != expected[name].shape
    ]
    if wrong:
        more = f" and {len(wrong) - _MOST_NAMED} more" if len(wrong) > _MOST_NAMED else ""
        raise UserError(
            f"encoder: {path}: expected the weights of {network.spec.backbone}, found none that fit "
            f"{', '.join(wrong[:_MOST_NAMED])}{more}; name the encoder that the file belongs to"
        )
    network.backbone.load_state_dict({name: given[name] for name in expected})


def cpu_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Every tensor of the network, detached, on the CPU and contiguous."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}


def load_tensors(network: TileNetwork, tensors: dict[str, Tensor], source: str) -> None:
    """Load all tensors of a network.

    Raises:
        StorageError: Names or shapes differ; the message names the first few.
    """
    expected = network.state_dict()
    wrong = [
        f"{name} ({_shape(expected.get(name))} expected, {_shape(tensors.get(name))} found)"
        for name in sorted(expected.keys() | tensors.keys())
        if name not in expected or name not in tensors or expected[name].shape != tensors[name].shape
    ]
    if wrong:
        more = f" and {len(wrong) - _MOST_NAMED} more" if len(wrong) > _MOST_NAMED else ""
        raise StorageError(
            f"{source}: expected the tensors of {network.spec.backbone}, found other names or shapes: "
            f"{'; '.join(wrong[:_MOST_NAMED])}{more}; copy the whole model folder again"
        )
    network.load_state_dict(tensors)


def _shape(tensor: Tensor | None) -> str:
    return "none" if tensor is None else "×".join(str(size) for size in tensor.shape) or "scalar"
