"""Initial weights of a network: random, timm's, or from a local file, since many laboratories have no internet."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from inkdot.config import IMAGENET_LITE0, Config
from inkdot.datasets.tile_set import TileSet
from inkdot.errors import UserError
from inkdot.model.network import NetworkSpec, TileNetwork, backbone_normalisation, check_backbone
from inkdot.model.precision import choose_precision
from inkdot.model.torch_backend import choose_device
from inkdot.storage.layout import ModelLayout
from inkdot.storage.model_files import read_model_file
from inkdot.training.fit.imagenet_lite0 import CARD_NOTE, imagenet_lite0_tensors, load_imagenet_lite0

_OWN_PREFIX = "backbone."
_NAMED = 5
_SAMPLED_TILES = 2000


def check_start(config: Config) -> None:
    """Refuse a backbone, a weights file or a precision that cannot be used, before any long work.

    The weights of ``pretrained`` are checked when they are loaded.

    Raises:
        UserError: The backbone is unknown, the file is missing or does not match it, the machine lacks the precision, or a
            backbone with random weights would be frozen.
        StorageError: The file is an Inkdot model's, and the model folder is incomplete or damaged.
    """
    settings = config.model
    if settings.weights == "scratch" and config.training.freeze_epochs:
        raise UserError(
            f"training.freeze_epochs: expected 0 with model.weights: scratch, found {config.training.freeze_epochs}; a "
            "backbone with random weights must be trained"
        )
    check_backbone(settings.backbone)
    choose_precision(settings.precision, choose_device("auto").type)
    if settings.weights == IMAGENET_LITE0:
        imagenet_lite0_tensors()
    elif settings.weights not in ("scratch", "pretrained"):
        spec = NetworkSpec(
            settings.backbone,
            settings.dropout,
            config.head_records,
            config.tiling.side_px,
            tta_views=settings.tta_views,
        )
        load_backbone_weights(TileNetwork(spec), Path(settings.weights))
        source_normalisation(Path(settings.weights), settings.backbone)


def starting_network(config: Config, training: TileSet) -> tuple[TileNetwork, list[str]]:
    """The network before training, and lines for the terminal.

    From scratch, pixels are normalised by the training tiles' own mean and spread, since most of a cytology tile
    is empty glass; otherwise by the statistics that the starting weights were trained with.

    Raises:
        UserError: The backbone is unknown, or its weights are missing or do not match.
        StorageError: The weights are an Inkdot model's, and the model folder is incomplete or damaged.
    """
    settings = config.model
    scratch = settings.weights == "scratch"
    if scratch:
        mean, std = channel_statistics(training)
    elif settings.weights in ("pretrained", IMAGENET_LITE0):
        mean, std = backbone_normalisation(settings.backbone)
    else:
        mean, std = source_normalisation(Path(settings.weights), settings.backbone)
    torch.manual_seed(config.training.seed << 20)
    network = TileNetwork(
        NetworkSpec(
            settings.backbone,
            settings.dropout,
            config.head_records,
            config.tiling.side_px,
            _three(mean),
            _three(std),
            tta_views=settings.tta_views,
        ),
        pretrained=settings.weights == "pretrained",
    )
    if scratch or settings.weights == "pretrained":
        return network, []
    if settings.weights == IMAGENET_LITE0:
        load_imagenet_lite0(network.backbone)
        return network, [CARD_NOTE]
    path = Path(settings.weights)
    ignored = load_backbone_weights(network, path)
    left_out = [f"{settings.weights}: left out {', '.join(ignored)} (a classifier's)"] if ignored else []
    return network, [*left_out, *_source_notes(path)]


def _source_notes(path: Path) -> list[str]:
    """What the source of a warm start had seen, for the terminal and the card; empty for files with timm's names."""
    if not any(name.startswith(_OWN_PREFIX) for name in _read(path)):
        return []
    source = read_model_file(path.parent)
    seen = source.trained_on
    kind = "images" if seen.images else "slides"
    known = (
        "its training files were compared with those of the validation, and none is in both; other files of the same patients "
        "are not recognised"
        if seen.training_files
        else "an earlier version made this model, which does not record its files"
    )
    return [
        f"Started from the weights of a model (`{source.weights_sha256[:16]}`) that was trained on {seen.slides} "
        f"{'synthetic ' if seen.synthetic else ''}{kind} of {seen.patients} patients. Where patients of the "
        f"validation are among these, the metrics are too good: {known}."
    ]


def source_normalisation(path: Path, backbone: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per RGB channel (0 to 1 scale) that a file's weights were trained with.

    Those of an Inkdot model stand in the model.json beside its weights: with other statistics its features would be others.
    A file with timm's names has those of timm.

    Raises:
        UserError: The file is no safetensors file, or holds an Inkdot model's weights outside of a model folder.
        StorageError: The model folder is damaged, or its weights are not those that model.json describes.
    """
    if not any(name.startswith(_OWN_PREFIX) for name in _read(path)):
        return backbone_normalisation(backbone)
    layout = ModelLayout(path.parent)
    if path.name != layout.weights.name or not layout.description.is_file():
        raise UserError(
            f"model.weights: {path}: expected the {layout.weights.name} of a whole model folder, found an Inkdot model's weights "
            f"without {layout.description.name}, which holds the normalisation of their pixels; "
            f"name RUN/model/{layout.weights.name}"
        )
    description = read_model_file(path.parent)
    return tuple(description.normalisation_mean), tuple(description.normalisation_std)


def channel_statistics(tiles: TileSet) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per RGB channel (0 to 1 scale) of at most 2,000 tiles, evenly spread."""
    rows = np.unique(np.linspace(0, len(tiles) - 1, min(len(tiles), _SAMPLED_TILES)).astype(np.int64))
    sums, squares, pixels = np.zeros(3), np.zeros(3), 0
    for row in rows:
        values = tiles.tile(int(row)).reshape(-1, 3).astype(np.float64) / 255.0
        sums += values.sum(axis=0)
        squares += np.square(values).sum(axis=0)
        pixels += len(values)
    mean = sums / pixels
    # A constant channel must not be divided by nearly 0.
    std = np.maximum(np.sqrt(np.maximum(squares / pixels - mean**2, 0.0)), 0.02)
    return tuple(round(float(value), 4) for value in mean), tuple(round(float(value), 4) for value in std)


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return red, green, blue


def load_backbone_weights(network: TileNetwork, path: Path) -> list[str]:
    """Load the backbone from a file that timm or Inkdot wrote; the heads keep their random weights.

    Args:
        network: The network to load into.
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
    expected = network.backbone.state_dict()
    problems = [f"{name} {_shape(expected[name])} is missing" for name in expected if name not in given]
    problems += [
        f"{name} {_shape(given[name])} is not in the backbone" for name in given if name not in expected
    ]
    problems += [
        f"{name} has shape {_shape(given[name])} instead of {_shape(expected[name])}"
        for name in expected
        if name in given and given[name].shape != expected[name].shape
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
    if path.is_dir():
        raise UserError(
            f"model.weights: expected a named start or a .safetensors file, found the folder {str(path)!r}; "
            f"name the file in it, such as {path / ModelLayout(path).weights.name}"
        )
    if not path.is_file():
        raise UserError(
            f"model.weights: expected 'scratch', 'imagenet-lite0', 'pretrained' or a .safetensors file, found nothing at "
            f"{str(path)!r}"
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
