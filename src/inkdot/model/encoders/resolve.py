"""From the name in ``model.backbone`` to a specification, once, when training starts.

A name is a recipe (``uni2-h``), a timm model with or without a tag (``resnet50.a1_in1k``), a repository of the Hugging Face hub
(``hf-hub:owner/name``) or a folder with timm's ``config.json`` (``local-dir:/folder``).
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import timm
from timm.models import PretrainedCfg
from timm.models._hub import load_model_config_from_path

from inkdot.errors import UserError
from inkdot.model.encoders.backbone_spec import BackboneSpec, architecture_arguments
from inkdot.model.encoders.fitting import fitting_sides, misfit, trained_side
from inkdot.model.encoders.hub import hub_config
from inkdot.model.encoders.recipes import EncoderRecipe, encoder_recipes, recipe_of
from inkdot.model.encoders.timm_names import backbone_normalisation, check_backbone

Normalisation = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation per RGB channel, on the 0 to 1 scale."""


@dataclass(frozen=True, slots=True)
class ResolvedBackbone:
    """A backbone that can take the tiles.

    Attributes:
        name: As in ``model.backbone``.
        spec: What is needed to rebuild it.
        normalisation: What its published weights were trained with.
        origin: Where ``model.weights: pretrained`` comes from.
        address: Repository or folder of the weights; empty for timm's.
        recipe: Its recipe, if it has one.
    """

    name: str
    spec: BackboneSpec
    normalisation: Normalisation
    origin: Literal["timm", "hub", "folder"]
    address: str = ""
    recipe: EncoderRecipe | None = None

    def scale_notes(self, mpp: float | None) -> list[str]:
        """Lines where the tiles' side or scale is not the encoder's.

        Args:
            mpp: Scale of the tiles, µm/px; None where unknown.
        """
        side, spec, notes = self.spec.side_px, self.spec, list[str]()
        if spec.input_px is not None:
            notes.append(
                f"{self.name}: tiles of {side} px are resized to {spec.input_px} px inside the network, which cannot take "
                f"{side} px."
            )
        elif self.recipe is not None and side != self.recipe.side_px:
            notes.append(
                f"{self.name}: published with tiles of {self.recipe.side_px} px; its position embeddings are resampled to "
                f"{side} px."
            )
        if self.recipe is not None and self.recipe.mpp and mpp is not None:
            seen = mpp * side / spec.taken_px
            if all(abs(seen / known - 1) > _SCALE_TOLERANCE for known in self.recipe.mpp):
                known = ", ".join(f"{value:g}" for value in self.recipe.mpp)
                notes.append(
                    f"{self.name}: published at {known} µm/px; here it sees tiles at {seen:.3g} µm/px."
                )
        return notes


_SCALE_TOLERANCE = 0.15
"""Relative difference in µm/px that is not mentioned: scanners of one nominal magnification differ by as much."""


def resolve_backbone(name: str, side_px: int) -> ResolvedBackbone:
    """The backbone of a name for tiles of a side.

    Args:
        name: As in ``model.backbone``.
        side_px: Side of the tiles.

    Raises:
        UserError: The name is unknown, the repository or folder cannot be read, or the backbone cannot take the tiles.
    """
    found = _named(name, side_px)
    reason = misfit(found.spec)
    if reason is None:
        return found
    published = _published_side(found)
    if published is not None and published != side_px:
        resized = replace(found.spec, input_px=published)
        if misfit(resized) is None:
            return replace(found, spec=resized)
    sides = fitting_sides(found.spec)
    advice = f"set tiling.side_px to {_listed(sides)}" if sides else "choose another backbone"
    raise UserError(
        f"tiling.side_px: expected a side that the backbone {name} can take, found {side_px} px ({reason}); {advice}"
    )


def _named(name: str, side_px: int) -> ResolvedBackbone:
    source, separator, address = name.partition(":")
    if (recipe := recipe_of(name)) is not None:
        return _of_recipe(recipe, side_px)
    if separator and source in ("hf-hub", "hf_hub"):
        return _of_config(name, hub_config(address), side_px, "hub", address)
    if separator and source == "local-dir":
        return _of_config(name, _folder_config(Path(address)), side_px, "folder", address)
    check_backbone(name, tuple(encoder_recipes()))
    return ResolvedBackbone(name, BackboneSpec(name, side_px), backbone_normalisation(name), "timm")


def _of_recipe(recipe: EncoderRecipe, side_px: int) -> ResolvedBackbone:
    spec = BackboneSpec(recipe.architecture, side_px, recipe.kwargs, recipe.pooling)
    return ResolvedBackbone(recipe.name, spec, (recipe.mean, recipe.std), "hub", recipe.hub, recipe)


def _of_config(
    name: str,
    config: tuple[Mapping[str, Any], object, Mapping[str, Any]],
    side_px: int,
    origin: Literal["hub", "folder"],
    address: str,
) -> ResolvedBackbone:
    """Timm's ``config.json``: its ``pretrained_cfg``, ``architecture`` and ``model_args``."""
    settings, architecture, model_args = config
    if not isinstance(architecture, str):
        raise UserError(
            f"model.backbone: {name}: config.json: expected the name of a timm model as architecture, found {architecture!r}; "
            "correct the file"
        )
    check_backbone(architecture)
    kwargs = architecture_arguments(model_args, f"model.backbone: {name}: config.json")
    pool = settings.get("global_pool")
    if pool and "global_pool" not in kwargs and _is_transformer(architecture):
        kwargs["global_pool"] = pool
    # What the file leaves out has timm's default, ImageNet's.
    plain = PretrainedCfg()
    normalisation = (
        _channels(settings.get("mean"), plain.mean, f"model.backbone: {name}: config.json: mean"),
        _channels(settings.get("std"), plain.std, f"model.backbone: {name}: config.json: std", above=0.0),
    )
    # Only the architecture is kept: a tag would name weights of timm's that are not loaded.
    spec = BackboneSpec(architecture.partition(".")[0], side_px, kwargs)
    return ResolvedBackbone(name, spec, normalisation, origin, address)


def _channels(
    values: object, default: Sequence[float], source: str, above: float = -math.inf
) -> tuple[float, ...]:
    """Three numbers of the 0 to 1 scale."""
    if values is None:
        return tuple(default)
    found = cast("list[object]", values) if isinstance(values, (list, tuple)) else []
    numbers = [float(one) for one in found if isinstance(one, (int, float))]
    if len(found) != 3 or len(numbers) != 3 or not all(0 <= one <= 1 and one > above for one in numbers):
        start = "above 0 and up to 1" if above == 0 else "from 0 to 1"
        raise UserError(f"{source}: expected three numbers {start}, found {values!r}; correct the file")
    return tuple(numbers)


def _folder_config(folder: Path) -> tuple[Mapping[str, Any], str, Mapping[str, Any]]:
    try:
        return load_model_config_from_path(folder)
    except FileNotFoundError:
        found = "no such folder" if not folder.is_dir() else "none"
        expected = "a folder with timm's config.json"
        raise UserError(
            f"model.backbone: {folder}: expected {expected}, found {found}; name the folder of the encoder"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"model.backbone: {folder / 'config.json'}: expected timm's config.json with an architecture, found another file "
            f"({' '.join(str(error).split())[:100]}); name the timm model or a recipe of `inkdot encoders` in model.backbone, "
            "and the file of weights in model.weights"
        ) from None


def _is_transformer(architecture: str) -> bool:
    settings = timm.get_pretrained_cfg(architecture.partition(".")[0])
    return settings is not None and settings.first_conv == "patch_embed.proj"


def _published_side(found: ResolvedBackbone) -> int | None:
    """Side to which tiles may be resized: only where published weights ask for it, not for any timm model."""
    if found.recipe is not None:
        return found.recipe.side_px
    return None if found.origin == "timm" else trained_side(found.spec)


def _listed(sides: list[int]) -> str:
    *first, last = (str(side) for side in sides)
    return f"{', '.join(first)} or {last}" if first else last
