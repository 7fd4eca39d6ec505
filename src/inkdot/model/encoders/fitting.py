"""Whether a backbone can take tiles of a side: one forward pass that needs neither memory nor time.

Modules are built on torch's device ``meta``, which has shapes but no numbers: an encoder with a billion weights takes a second.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import timm
import torch
from torch import nn

from inkdot.errors import UserError
from inkdot.model.encoders.backbone_spec import BackboneSpec
from inkdot.model.encoders.build import build_backbone, embedding_width, timm_model

_TILES = 2
_TRIED = (64, 96, 128, 192, 224, 256, 384, 512)


def module_of_shapes(spec: BackboneSpec) -> nn.Module:
    """The backbone with shapes but without numbers, in evaluation mode.

    Raises:
        UserError: As :func:`inkdot.model.encoders.build.build_backbone`.
    """
    with torch.device("meta"):
        return build_backbone(spec).eval()


def misfit(spec: BackboneSpec) -> str | None:
    """Why a backbone cannot take tiles of its side, in a few words; None where it can.

    Raises:
        UserError: The architecture is unknown or does not take its arguments.
    """
    try:
        return _misfit(spec, "meta")
    except UserError:
        raise
    except Exception as without_numbers:  # noqa: BLE001
        try:  # an operation may lack an implementation without numbers
            return _misfit(spec, "cpu")
        except Exception as error:  # noqa: BLE001
            return " ".join(str(error or without_numbers).split())[:160] or type(error).__name__


def fitting_sides(spec: BackboneSpec) -> list[int]:
    """Sides that the architecture can take: of those in common use, or the multiples of its patch beside the tile's."""
    patch = patch_px(spec)
    sides: Iterable[int] = _TRIED
    if patch:
        below = spec.side_px // patch * patch
        sides = (below, below + patch)
    return [side for side in sides if side and _takes(replace(spec, side_px=side, input_px=None))]


def _takes(spec: BackboneSpec) -> bool:
    try:
        return _misfit(spec, "meta") is None
    except Exception:  # noqa: BLE001
        return False


def trained_side(spec: BackboneSpec) -> int | None:
    """Side of the input that timm's weights of the architecture were trained with; None where timm states none."""
    settings = timm.get_pretrained_cfg(spec.architecture)
    return int(settings.input_size[1]) if settings is not None and settings.input_size else None


def patch_px(spec: BackboneSpec) -> int | None:
    """Side of the patches of a transformer with position embeddings of a fixed grid; None for other networks."""
    settings = timm.get_pretrained_cfg(spec.architecture)
    if settings is None or not settings.fixed_input_size:
        return None
    with torch.device("meta"):
        trunk: Any = timm_model(
            build_backbone(replace(spec, side_px=trained_side(spec) or 224, input_px=None))
        )
    size = getattr(getattr(trunk, "patch_embed", None), "patch_size", None)
    return int(size[0] if isinstance(size, (tuple, list)) else size) if size else None


def _misfit(spec: BackboneSpec, device: str) -> str | None:
    with torch.device(device), torch.inference_mode():
        backbone = build_backbone(spec).eval()
        trunk: Any = timm_model(backbone)
        size = getattr(getattr(trunk, "patch_embed", None), "patch_size", None)
        patch = int(size[0] if isinstance(size, (tuple, list)) else size or 1)
        # timm drops the pixels beyond the last whole patch.
        if spec.taken_px % patch:
            return f"its patches are {patch} px wide, and {spec.taken_px} px is no multiple of that"
        output: Any = backbone(torch.zeros(_TILES, 3, spec.side_px, spec.side_px))
    expected = (_TILES, embedding_width(backbone))
    found = tuple(getattr(output, "shape", ()))
    return None if found == expected else f"its output has shape {found} instead of {expected}"
