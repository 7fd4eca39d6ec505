"""From a specification to a module that gives one embedding per tile."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# timm is only partly typed.

from typing import Any, cast

import timm
import timm.layers
import torch
from torch import Tensor, nn

from inkdot.errors import UserError
from inkdot.model.encoders.attention_pool import WIDTH, AttentionPool
from inkdot.model.encoders.backbone_spec import BackboneSpec, Pooling, architecture_arguments
from inkdot.model.encoders.hub import hub_access
from inkdot.model.encoders.timm_names import check_backbone


class Encoder(nn.Module):
    """A timm model whose tiles are resized before, or whose tokens are pooled after it.

    Attributes:
        trunk: The timm model.
        head_hidden_size: Width of the embeddings.
    """

    def __init__(self, trunk: nn.Module, spec: BackboneSpec) -> None:
        super().__init__()
        self.trunk = trunk
        self.pooling: Pooling = spec.pooling
        width = embedding_width(trunk)
        self.pool = AttentionPool(width) if spec.pooling == "attention" else None
        self.head_hidden_size = self.num_features = {"cls_mean": 2 * width, "attention": WIDTH}.get(
            spec.pooling, width
        )
        self.pretrained_cfg: object = getattr(trunk, "pretrained_cfg", None)
        resizing = _resizing_matrix(spec.side_px, spec.input_px) if spec.input_px else None
        # Not persistent: it follows from the sides in model.json.
        self._resizes = resizing is not None
        self.register_buffer("resizing", resizing, persistent=False)

    def forward(self, tiles: Tensor) -> Tensor:
        """Embeddings, float [n, width].

        Args:
            tiles: Normalised, float [n, 3, side, side].
        """
        if self._resizes:
            matrix = cast(Tensor, self.resizing)
            tiles = matrix @ tiles @ matrix.T
        if self.pooling == "default":
            return cast(Tensor, self.trunk(tiles))
        tokens = cast(Tensor, cast(Any, self.trunk).forward_features(tiles))
        if self.pool is not None:
            return cast(Tensor, self.pool(tokens))
        if self.pooling == "cls":
            return tokens[:, 0]
        mean = tokens[:, prefix_tokens(self.trunk) :].mean(dim=1)
        return mean if self.pooling == "mean" else torch.cat([tokens[:, 0], mean], dim=1)


def build_backbone(spec: BackboneSpec, *, pretrained: bool = False) -> nn.Module:
    """The backbone, with random weights or with those that timm downloads.

    Its output is float [n, width] for normalised tiles, float [n, 3, side, side]; see :func:`embedding_width`.
    Where nothing is resized or pooled it is the timm model itself, whose tensors have timm's names.

    Raises:
        UserError: The architecture is unknown, does not take its arguments, has no tokens to pool, or the weights are not to
            be had.
    """
    trunk = _create(spec, pretrained=pretrained)
    if spec.pooling == "default" and spec.input_px is None:
        return trunk
    if spec.pooling != "default" and prefix_tokens(trunk) < (spec.pooling != "mean"):
        raise UserError(
            f"model.backbone: {spec.architecture}: expected a transformer with a class token for pooling {spec.pooling}, found "
            "none; choose another backbone"
        )
    return Encoder(trunk, spec)


def timm_model(backbone: nn.Module) -> nn.Module:
    """The timm model inside a backbone."""
    return backbone.trunk if isinstance(backbone, Encoder) else backbone


def embedding_width(backbone: nn.Module) -> int:
    """Width of a backbone's embeddings."""
    # Some backbones (MobileNet) have a wider layer after pooling: head_hidden_size is the width of the output.
    return int(getattr(backbone, "head_hidden_size", None) or cast(int, backbone.num_features))


def prefix_tokens(trunk: nn.Module) -> int:
    """Number of class and register tokens before the patch tokens; 0 for other networks than transformers."""
    return int(getattr(trunk, "num_prefix_tokens", 0))


def _create(spec: BackboneSpec, *, pretrained: bool) -> nn.Module:
    check_backbone(spec.architecture)
    arguments: dict[str, Any] = dict(architecture_arguments(spec.kwargs, "model.backbone"))
    if isinstance(layer := arguments.get("mlp_layer"), str):
        arguments["mlp_layer"] = getattr(timm.layers, layer)
    settings = timm.get_pretrained_cfg(spec.architecture)
    if settings is not None and settings.fixed_input_size:
        arguments["img_size"] = spec.taken_px
    missing = ""
    try:
        if not pretrained:
            return timm.create_model(spec.architecture, num_classes=0, **arguments)
        with hub_access() as missing:
            return timm.create_model(spec.architecture, pretrained=True, num_classes=0, **arguments)
    except TypeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"model.backbone: {spec.architecture}: expected arguments that it takes, found others ({reason}); "
            "name the architecture that they belong to"
        ) from None
    except (OSError, RuntimeError, ValueError) as error:  # raised by timm and the Hugging Face hub
        if not pretrained:
            raise
        reason = missing or " ".join(str(error).split())[:200]
        raise UserError(
            f"model.weights: expected timm's pretrained weights of {spec.architecture}, could not get them ({reason}); "
            "set it to scratch, or to the path of a local file of weights"
        ) from None


def _resizing_matrix(side_px: int, input_px: int) -> Tensor:
    """Matrix, float [input_px, side_px], that resizes a column of pixels bilinearly, with antialiasing.

    Applied to columns and rows it equals ``torch.nn.functional.interpolate(..., mode="bilinear", antialias=True)``, as
    torchvision's ``Resize``; as products of matrices it runs in every backend and export.
    """
    identity = torch.eye(side_px).reshape(1, 1, side_px, side_px)
    resized = nn.functional.interpolate(identity, size=(input_px, side_px), mode="bilinear", antialias=True)
    return resized[0, 0]
