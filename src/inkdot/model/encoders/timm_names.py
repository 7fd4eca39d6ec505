"""Names of timm models, with or without the tag of their weights."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import difflib
from typing import Any, Final

import timm

from inkdot.errors import UserError

PLAIN_NORMALISATION: Final = ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
"""Mean and standard deviation per RGB channel (0 to 1 scale) where nothing better is known."""


def check_backbone(name: str, further: tuple[str, ...] = ()) -> None:
    """Check that timm has a backbone and, where the name has one, the tag of its weights.

    Args:
        name: As in ``model.backbone``.
        further: Names that would be taken too, for the list of similar ones.

    Raises:
        UserError: It has not; the message names similar models, or the tags that there are.
    """
    architecture, dot, tag = name.partition(".")
    if not timm.is_model(architecture):
        known: list[str] = [*further, *timm.list_models()]
        similar = difflib.get_close_matches(name.lower(), known, n=5, cutoff=0.5) or known[:3]
        raise UserError(
            f"model.backbone: expected a timm model name, found {name!r}; similar ones are {', '.join(similar)}"
        )
    tags = weight_tags(architecture)
    if dot and tag not in tags:
        listed = ", ".join(f"{architecture}.{known}" for known in tags) or f"{architecture} without a tag"
        raise UserError(
            f"model.backbone: expected a tag of {architecture} that timm knows, found {tag!r}; choose one of {listed}"
        )


def weight_tags(architecture: str) -> list[str]:
    """Tags of the weights that timm knows of an architecture, the default first."""
    return [name.partition(".")[2] for name in timm.models.get_arch_pretrained_cfgs(architecture)]


def timm_settings(name: str) -> Any:
    """Timm's settings of the weights of a model: ``mean``, ``std``, ``input_size``, ``license`` and more; None for none."""
    check_backbone(name)
    return timm.get_pretrained_cfg(name)


def backbone_normalisation(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per RGB channel (0 to 1 scale) that timm's weights of a backbone were trained with."""
    settings = timm_settings(name)
    if settings is None:
        return PLAIN_NORMALISATION
    return tuple(settings.mean), tuple(settings.std)
