"""Initial weights of a network: random, published, or from a local file, since many laboratories have no internet."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from inkdot.config import IMAGENET_LITE0, Config
from inkdot.datasets.tile_set import TileSet, evenly_spread
from inkdot.errors import UserError
from inkdot.model.encoders.fitting import module_of_shapes
from inkdot.model.encoders.imagenet_lite0 import imagenet_lite0_tensors, load_imagenet_lite0
from inkdot.model.encoders.resolve import resolve_backbone
from inkdot.model.encoders.starting_weights import (
    source_normalisation,
    starting_licence,
    weights_notes,
    weights_path,
)
from inkdot.model.encoders.weights_file import (
    is_inkdot_model,
    load_weights,
    matched_tensors,
    read_tensors,
)
from inkdot.model.network import TileNetwork, resolved_spec
from inkdot.model.runtimes.precision import choose_precision
from inkdot.model.runtimes.torch_backend import choose_device
from inkdot.storage.models.model_files import read_model_file

_SAMPLED_TILES = 2000


def check_start(config: Config) -> list[str]:
    """Refuse a backbone, a weights file or a precision that cannot be used, before any long work.

    The backbone is built and given two empty tiles, without memory for its weights. Weights that must be downloaded are checked
    when they are loaded.

    Returns:
        A line on the licence of the starting weights, where one is known.

    Raises:
        UserError: The backbone is unknown or cannot take the tiles, the file is missing or does not match it, the machine lacks
            the precision, or a backbone with random weights would be frozen.
        StorageError: The file is an Inkdot model's, and the model folder is incomplete or damaged.
    """
    settings = config.model
    if settings.weights == "scratch" and config.training.freeze_epochs:
        raise UserError(
            f"training.freeze_epochs: expected 0 with model.weights: scratch, found {config.training.freeze_epochs}; a "
            "backbone with random weights must be trained"
        )
    if settings.freeze_backbone:
        _check_frozen(config)
    resolved = resolve_backbone(settings.backbone, config.tiling.side_px)
    choose_precision(settings.precision, choose_device("auto").type)
    if settings.weights == IMAGENET_LITE0:
        imagenet_lite0_tensors()
    if (path := weights_path(settings.weights, resolved, download=False)) is not None:
        tensors = read_tensors(path)
        matched_tensors(module_of_shapes(resolved.spec), tensors, str(path), resolved.name)
        source_normalisation(path, resolved, tensors)
    else:
        tensors = {}
    licence = starting_licence(settings.weights, resolved, path, tensors)
    return [licence] if licence else []


def _check_frozen(config: Config) -> None:
    if config.model.weights == "scratch":
        raise UserError(
            "model.freeze_backbone: expected false with model.weights: scratch, found true; random weights must be "
            "trained: set model.weights to pretrained or to a local .safetensors file"
        )
    if config.training.freeze_epochs:
        raise UserError(
            f"training.freeze_epochs: expected 0 with model.freeze_backbone: true, found {config.training.freeze_epochs}; the "
            "backbone is frozen for good, set it to 0"
        )


def starting_network(
    config: Config, training: TileSet, *, mpp_known: bool = True
) -> tuple[TileNetwork, list[str]]:
    """The network before training, and lines for the terminal.

    From scratch, pixels are normalised by the training tiles' own mean and spread, since most of a cytology tile
    is empty glass; otherwise by the statistics that the starting weights were trained with.

    Args:
        config: The whole config.
        training: Training tiles.
        mpp_known: The tiles have the scale of the config.

    Raises:
        UserError: The backbone is unknown, or its weights are missing or do not match.
        StorageError: The weights are an Inkdot model's, and the model folder is incomplete or damaged.
    """
    settings = config.model
    resolved = resolve_backbone(settings.backbone, config.tiling.side_px)
    path = weights_path(settings.weights, resolved)
    tensors = read_tensors(path) if path is not None else {}
    if settings.weights == "scratch":
        mean, std = channel_statistics(training)
    elif path is None:
        mean, std = resolved.normalisation
    else:
        mean, std = source_normalisation(path, resolved, tensors)
    licence = starting_licence(settings.weights, resolved, path, tensors)
    torch.manual_seed(config.training.seed << 20)
    network = TileNetwork(
        resolved_spec(
            resolved,
            (mean, std),
            dropout=settings.dropout,
            heads=config.head_records,
            tta_views=settings.tta_views,
            licence=licence,
        ),
        pretrained=settings.weights == "pretrained" and path is None,
    )
    notes = resolved.scale_notes(config.tiling.mpp if mpp_known else None)
    if settings.weights == IMAGENET_LITE0:
        load_imagenet_lite0(network.backbone)
        return network, [*notes, *weights_notes(settings.weights, path)]
    if path is None:
        return network, notes
    ignored = load_weights(network.backbone, tensors, str(path), resolved.name)
    left_out = [f"{path}: left out {', '.join(ignored)} (not of the backbone)"] if ignored else []
    return network, [*notes, *weights_notes(settings.weights, path), *left_out, *_source_notes(path, tensors)]


def _source_notes(path: Path, tensors: Mapping[str, Tensor]) -> list[str]:
    """What the source of a warm start had seen, for the terminal and the card; empty for files of other programs."""
    if not is_inkdot_model(tensors):
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


def channel_statistics(tiles: TileSet) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per RGB channel (0 to 1 scale) of at most 2,000 tiles, evenly spread."""
    rows = evenly_spread(len(tiles), _SAMPLED_TILES)
    sums, squares, pixels = np.zeros(3), np.zeros(3), 0
    for row in rows:
        values = tiles.tile(row).reshape(-1, 3).astype(np.float64) / 255.0
        sums += values.sum(axis=0)
        squares += np.square(values).sum(axis=0)
        pixels += len(values)
    mean = sums / pixels
    # A constant channel must not be divided by nearly 0.
    std = np.maximum(np.sqrt(np.maximum(squares / pixels - mean**2, 0.0)), 0.02)
    return tuple(round(float(value), 4) for value in mean), tuple(round(float(value), 4) for value in std)
