"""Weights from a local safetensors file: laboratories without internet bring their own."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from inkdot.errors import UserError
from inkdot.model.network import TileNetwork

_OWN_PREFIX = "backbone."
_NAMED = 5


def load_backbone_weights(network: TileNetwork, path: Path) -> list[str]:
    """Fill the backbone from a file that timm or Inkdot wrote; the heads keep their random start.

    Args:
        network: The network to fill.
        path: A .safetensors file with timm's names, or Inkdot's own (``backbone.`` before timm's names).

    Returns:
        Names of tensors in the file that were left out because they belong to a classifier or a head.

    Raises:
        UserError: The file is missing or no safetensors file, or names or shapes do not match the backbone.
    """
    tensors = _read(path)
    ignored = sorted(name for name in tensors if _belongs_to_classifier(network, name))
    given = {
        name.removeprefix(_OWN_PREFIX): tensor for name, tensor in tensors.items() if name not in ignored
    }
    wanted = network.backbone.state_dict()
    problems = [f"{name} {_shape(wanted[name])} is missing" for name in wanted if name not in given]
    problems += [
        f"{name} {_shape(given[name])} is not in the backbone" for name in given if name not in wanted
    ]
    problems += [
        f"{name} has shape {_shape(given[name])} instead of {_shape(wanted[name])}"
        for name in wanted
        if name in given and given[name].shape != wanted[name].shape
    ]
    if problems:
        more = f" and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        raise UserError(
            f"model.weights: {path}: expected the weights of {network.spec.backbone}, found that "
            f"{'; '.join(problems[:_NAMED])}{more}; name the backbone that the file belongs to"
        )
    network.backbone.load_state_dict(given)
    return ignored


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(
            f"model.weights: expected 'scratch', 'pretrained' or a .safetensors file, found nothing at {str(path)!r}"
        )
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"model.weights: {path}: expected a .safetensors file: {' '.join(str(error).split())}"
        ) from None


def _belongs_to_classifier(network: TileNetwork, name: str) -> bool:
    if name.startswith("heads."):
        return True
    settings: dict[str, object] = getattr(network.backbone, "pretrained_cfg", None) or {}
    classifier = settings.get("classifier") or ()
    layers = (classifier,) if isinstance(classifier, str) else classifier
    return any(name.removeprefix(_OWN_PREFIX).startswith(f"{layer}.") for layer in layers)  # type: ignore[union-attr]


def _shape(tensor: Tensor) -> str:
    return "×".join(str(size) for size in tensor.shape) or "scalar"
