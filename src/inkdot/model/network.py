"""A timm backbone with one linear classifier per head."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# timm is only partly typed.

import difflib
from dataclasses import dataclass
from typing import Any, Literal, cast

import timm
import torch
from torch import Tensor, nn

from inkdot.errors import UserError
from inkdot.labels import Head
from inkdot.model.attention import attention_modules, flag_margin

PLAIN_NORMALISATION = ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
"""Mean and standard deviation per RGB channel (0 to 1 scale) where nothing better is known."""


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """Architecture of a network.

    Attributes:
        backbone: timm model name.
        dropout: Dropout before the heads, 0 to 1.
        heads: The heads, in the order of the outputs; none for an encoder.
        side_px: Side of the tiles; only backbones of fixed input size need it.
        normalisation_mean: Per RGB channel, on the 0 to 1 scale.
        normalisation_std: Per RGB channel, on the 0 to 1 scale.
        attention_hidden: Width of the attention's hidden layers; 0 for none.
        attention_follows: The log-odds of the flag class are added to the attention score.
        tta_views: Test-time augmentation: flips and quarter turns whose features are averaged in evaluation mode.
    """

    backbone: str
    dropout: float
    heads: tuple[Head, ...]
    side_px: int
    normalisation_mean: tuple[float, float, float] = PLAIN_NORMALISATION[0]
    normalisation_std: tuple[float, float, float] = PLAIN_NORMALISATION[1]
    attention_hidden: int = 0
    attention_follows: bool = False
    tta_views: Literal[1, 2, 4, 8] = 1


class TileNetwork(nn.Module):
    """Tiles in, logits of every head out; with attention, each head's attention score beside them.

    Normalisation is part of the network: it takes plain pixels.
    """

    def __init__(self, spec: NetworkSpec, *, pretrained: bool = False) -> None:
        super().__init__()
        self.spec = spec
        self.backbone = _create_backbone(spec, pretrained=pretrained)
        self.feature_count = features = _feature_count(self.backbone)
        self.dropout = nn.Dropout(spec.dropout)
        self.heads = nn.ModuleDict({head.name: nn.Linear(features, len(head.classes)) for head in spec.heads})
        self.attention = attention_modules(features, spec.attention_hidden, self.heads)
        # Not persistent: they are stored in model.json.
        self.register_buffer("mean", _channels(spec.normalisation_mean), persistent=False)
        self.register_buffer("std", _channels(spec.normalisation_std), persistent=False)

    def forward(self, tiles: Tensor) -> Tensor:
        """Logits of all heads side by side, float [n, classes of all heads], in the order of ``score_columns``.

        A network with attention gives one more column per head: its attention score, before the softmax over the slide.

        Args:
            tiles: RGB pixels 0 to 255, uint8 or float, shape [n, 3, side, side].
        """
        return self.forward_heads(self.dropout(self.features(tiles)))

    def forward_with_features(self, tiles: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs of :meth:`forward` without dropout, and those of :meth:`features`."""
        features = self.features(tiles)
        return self.forward_heads(features), features

    def forward_heads(self, features: Tensor) -> Tensor:
        """Outputs of :meth:`forward`, from those of :meth:`features`; without columns where the network has no heads."""
        if not self.heads:
            return features[:, :0]
        logits = torch.cat([head(features) for head in self.heads.values()], dim=1)
        if not self.attention:
            return logits
        attention = torch.cat([attend(features) for attend in self.attention.values()], dim=1)
        if self.spec.attention_follows:
            attention = attention + flag_margin(logits, self.spec.heads)
        return torch.cat([logits, attention], dim=1)

    def features(self, tiles: Tensor) -> Tensor:
        """Embeddings, float [n, features].

        In evaluation mode the mean over the views; the heads are linear, so this averages their logits too.
        """
        mean, std = cast(Tensor, self.mean), cast(Tensor, self.std)
        normalised = (tiles.to(mean.dtype) - mean) / std
        if self.training:
            return self.backbone(normalised)
        features = [self.backbone(view) for view in _tta_views(normalised, self.spec.tta_views)]
        return features[0] if len(features) == 1 else torch.stack(features).mean(dim=0)


def check_backbone(name: str) -> None:
    """Check that timm has a backbone.

    Raises:
        UserError: It has not; the message names similar ones.
    """
    if timm.is_model(name):
        return
    known: list[str] = timm.list_models()
    similar = difflib.get_close_matches(name, known, n=5, cutoff=0.5) or known[:3]
    raise UserError(
        f"model.backbone: expected a timm model name, found {name!r}; similar ones are {', '.join(similar)}"
    )


def backbone_normalisation(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per RGB channel (0 to 1 scale) that timm's weights of a backbone were trained with."""
    check_backbone(name)
    settings = timm.get_pretrained_cfg(name)
    if settings is None:
        return PLAIN_NORMALISATION
    return tuple(settings.mean), tuple(settings.std)


def _create_backbone(spec: NetworkSpec, *, pretrained: bool) -> nn.Module:
    check_backbone(spec.backbone)
    settings = timm.get_pretrained_cfg(spec.backbone)
    fixed: dict[str, Any] = (
        {"img_size": spec.side_px} if settings is not None and settings.fixed_input_size else {}
    )
    try:
        return timm.create_model(spec.backbone, pretrained=pretrained, num_classes=0, **fixed)
    except (OSError, RuntimeError, ValueError) as error:  # raised by timm and the Hugging Face hub
        if not pretrained:
            raise
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"model.weights: expected timm's pretrained weights of {spec.backbone}, could not get them ({reason}); "
            "set it to scratch, or to the path of a local .safetensors file"
        ) from None


def _feature_count(backbone: nn.Module) -> int:
    # Some backbones (MobileNet) have a wider layer after pooling: head_hidden_size is the width of the output.
    return int(getattr(backbone, "head_hidden_size", None) or cast(int, backbone.num_features))


def _tta_views(tiles: Tensor, count: int) -> list[Tensor]:
    """The tiles, flipped left to right, top to bottom, both, and the same four of their transposes."""
    views = [tiles, tiles.flip(3), tiles.flip(2), tiles.flip((2, 3))]
    views += [view.transpose(2, 3) for view in views]
    return views[:count]


def _channels(values: tuple[float, float, float]) -> Tensor:
    return (torch.tensor(values, dtype=torch.float32) * 255.0).reshape(1, 3, 1, 1)
