"""The hash of an encoder: equal for two networks whose embeddings of the same tiles are equal.

It covers the weights of the backbone, its architecture, the side and normalisation of its input, and how features are
pooled, but no heads: a model trained on embeddings has the hash of the encoder that made them.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# safetensors is only partly typed.

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from safetensors import SafetensorError, deserialize

from inkdot.errors import StorageError
from inkdot.model.encoders.backbone_spec import Argument, BackboneSpec
from inkdot.storage.hashing import json_sha256
from inkdot.storage.layout import ModelLayout
from inkdot.storage.models.model_files import ModelFile, read_model_file

if TYPE_CHECKING:  # imports timm and torch, which a stored model does not need
    from inkdot.model.network import TileNetwork

_PREFIX: Final = "backbone."
_COUNTER: Final = "num_batches_tracked"
"""Batches that a normalisation layer has seen in training; of no effect on its output."""


class _Tensor(NamedTuple):
    name: str
    dtype: str
    shape: list[int]
    data: bytes | bytearray


def network_encoder_sha256(network: "TileNetwork") -> str:
    """Hash of a network's encoder (hex digits)."""
    from safetensors.torch import save

    spec = network.spec
    tensors = (
        part
        for name, tensor in network.backbone.state_dict().items()
        for part in _tensors(save({name: tensor.detach().cpu().contiguous()}))
    )
    return _sha256(
        _architecture(spec.backbone_spec, spec.normalisation_mean, spec.normalisation_std, spec.tta_views),
        tensors,
    )


def model_encoder_sha256(folder: Path) -> str:
    """Hash of a stored model's encoder (hex digits), without loading PyTorch.

    Raises:
        StorageError: The folder is no model, or its files do not belong together.
    """
    description, path = read_model_file(folder), ModelLayout(folder).weights
    try:
        tensors = _tensors(path.read_bytes())
    except (SafetensorError, OSError) as error:
        raise StorageError(f"{path}: expected a .safetensors file: {' '.join(str(error).split())}") from None
    own = (
        part._replace(name=part.name.removeprefix(_PREFIX))
        for part in tensors
        if part.name.startswith(_PREFIX)
    )
    return _sha256(model_architecture(description), own)


def model_architecture(description: ModelFile) -> dict[str, object]:
    """What a described model's embeddings depend on besides its weights, as a JSON value."""
    return _architecture(
        BackboneSpec(
            description.backbone,
            int(description.tiling.side_px),
            dict[str, Argument](description.backbone_kwargs),
            description.pooling,
            description.input_px,
        ),
        description.normalisation_mean,
        description.normalisation_std,
        description.tta_views,
    )


def _architecture(
    spec: BackboneSpec, mean: Iterable[float], std: Iterable[float], tta_views: int
) -> dict[str, object]:
    # Left out where they are as in earlier versions, whose hashes stay.
    further = {"backbone_kwargs": dict(spec.kwargs), "pooling": spec.pooling, "input_px": spec.input_px}
    unchanged = {"backbone_kwargs": {}, "pooling": "default", "input_px": None}
    return {
        **{name: value for name, value in further.items() if value != unchanged[name]},
        "backbone": spec.architecture,
        "side_px": int(spec.side_px),
        "normalisation_mean": [float(value) for value in mean],
        "normalisation_std": [float(value) for value in std],
        "tta_views": tta_views,
    }


def _tensors(data: bytes) -> list[_Tensor]:
    return [
        _Tensor(name, cast(str, entry["dtype"]), list(cast("list[int]", entry["shape"])), entry["data"])
        for name, entry in deserialize(data)
    ]


def _sha256(architecture: dict[str, object], tensors: Iterable[_Tensor] | Iterator[_Tensor]) -> str:
    parts = sorted(
        (part.name, part.dtype, part.shape, hashlib.sha256(part.data).hexdigest())
        for part in tensors
        if not part.name.endswith(_COUNTER)
    )
    return json_sha256([architecture, parts])
