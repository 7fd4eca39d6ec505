"""Where the starting weights of a backbone are: a file, a folder, a repository, or timm itself; and their normalisation."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Mapping
from pathlib import Path

import timm
from torch import Tensor

from inkdot.config import IMAGENET_LITE0
from inkdot.errors import UserError
from inkdot.model.encoders.hub import hub_weights
from inkdot.model.encoders.imagenet_lite0 import CARD_NOTE as LITE0_NOTE
from inkdot.model.encoders.recipes import licence_notes
from inkdot.model.encoders.resolve import Normalisation, ResolvedBackbone
from inkdot.model.encoders.weights_file import average_note, folder_weights, is_inkdot_model
from inkdot.storage.layout import ModelLayout
from inkdot.storage.models.model_files import read_model_file


def weights_path(weights: str, backbone: ResolvedBackbone, *, download: bool = True) -> Path | None:
    """The file of the starting weights; None for random ones and for those that a package or timm itself brings.

    Args:
        weights: As in ``model.weights``.
        backbone: The backbone.
        download: Get the weights of a repository of the hub; otherwise None for them.

    Raises:
        UserError: There are no weights to be had for ``pretrained``, or they cannot be downloaded.
    """
    if weights in ("scratch", IMAGENET_LITE0):
        return None
    if weights != "pretrained":
        return Path(weights)
    if backbone.origin == "folder":
        return folder_weights(Path(backbone.address))
    if backbone.origin == "timm":
        settings = timm.get_pretrained_cfg(backbone.spec.architecture)
        if settings is None or not settings.has_weights:
            raise UserError(
                f"model.weights: expected scratch or a file of weights, found pretrained; timm has no weights of {backbone.name}"
            )
        return None
    recipe = backbone.recipe
    if not backbone.address:
        page = recipe.page if recipe is not None else "its page"
        raise UserError(
            f"model.weights: expected the file of weights of {backbone.name}, found pretrained; get it from {page} and name "
            "it here"
        )
    return hub_weights(backbone.address, recipe.file if recipe is not None else "") if download else None


def weights_notes(weights: str, path: Path | None) -> list[str]:
    """Lines on which starting weights are taken, for the terminal and the card.

    Args:
        weights: As in ``model.weights``.
        path: See :func:`weights_path`.
    """
    if weights == IMAGENET_LITE0:
        return [LITE0_NOTE]
    return average_note(path) if path is not None else []


def starting_licence(
    weights: str, backbone: ResolvedBackbone, path: Path | None, tensors: Mapping[str, Tensor]
) -> str:
    """One line on the licence of starting weights, empty where none is known; an Inkdot model's is that of its own source.

    Args:
        weights: As in ``model.weights``.
        backbone: The backbone.
        path: See :func:`weights_path`.
        tensors: Of that file.
    """
    if path is not None and is_inkdot_model(tensors):
        return read_model_file(path.parent).licence
    return " ".join(licence_notes(backbone.name, weights))


def source_normalisation(
    path: Path, backbone: ResolvedBackbone, tensors: Mapping[str, Tensor]
) -> Normalisation:
    """Mean and standard deviation per RGB channel (0 to 1 scale) that a file's weights were trained with.

    Those of an Inkdot model stand in the model.json beside its weights: with other statistics its features would be others.
    A file of another program has those that the backbone's published weights have.

    Raises:
        UserError: The file holds an Inkdot model's weights outside of a model folder.
        StorageError: The model folder is damaged, or its weights are not those that model.json describes.
    """
    if not is_inkdot_model(tensors):
        return backbone.normalisation
    layout = ModelLayout(path.parent)
    if path.name != layout.weights.name or not layout.description.is_file():
        raise UserError(
            f"model.weights: {path}: expected the {layout.weights.name} of a whole model folder, found an Inkdot model's weights "
            f"without {layout.description.name}, which holds the normalisation of their pixels; "
            f"name RUN/model/{layout.weights.name}"
        )
    description = read_model_file(path.parent)
    return tuple(description.normalisation_mean), tuple(description.normalisation_std)
