"""A timm backbone with one linear classifier per head."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# timm is only partly typed.

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

import torch
from torch import Tensor, nn

from inkdot.config import Aggregator
from inkdot.labels import Head
from inkdot.model.attention import MAX_SCALE, attention_modules, flag_margin
from inkdot.model.encoders.backbone_spec import Argument, BackboneSpec, Pooling
from inkdot.model.encoders.build import build_backbone, embedding_width
from inkdot.model.encoders.resolve import Normalisation, ResolvedBackbone
from inkdot.model.encoders.timm_names import PLAIN_NORMALISATION
from inkdot.model.slide_transformer import SlideTransformer, TileTokens
from inkdot.model.targets import output_columns


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """Architecture of a network.

    Attributes:
        backbone: timm model name, with or without the tag of its weights.
        dropout: Dropout before the heads, 0 to 1.
        heads: The heads, in the order of the outputs; none for an encoder.
        side_px: Side of the tiles.
        normalisation_mean: Per RGB channel, on the 0 to 1 scale.
        normalisation_std: Per RGB channel, on the 0 to 1 scale.
        attention_hidden: Width of the attention's hidden layers, or of the tokens of transmil; 0 for none.
        attention_follows: The log-odds of the flag class are added to the attention score.
        aggregator: How the logits of a slide are made from those of its tiles, where the network has attention.
        tta_views: Test-time augmentation: flips and quarter turns whose features are averaged in evaluation mode.
        backbone_kwargs: Arguments of the architecture that differ from timm's.
        pooling: From a transformer's tokens to one embedding.
        input_px: Tiles are resized to this side inside the network; None where the backbone takes them as they are.
        encoder: Name in ``model.backbone`` of a recipe, repository or folder; empty for a timm model.
        licence: One line on the licence of the starting weights; empty where nothing is known to say.
    """

    backbone: str
    dropout: float
    heads: tuple[Head, ...]
    side_px: int
    normalisation_mean: tuple[float, float, float] = PLAIN_NORMALISATION[0]
    normalisation_std: tuple[float, float, float] = PLAIN_NORMALISATION[1]
    attention_hidden: int = 0
    attention_follows: bool = False
    aggregator: Aggregator = "gated_attention"
    tta_views: Literal[1, 2, 4, 8] = 1
    backbone_kwargs: Mapping[str, Argument] = field(default_factory=dict[str, Argument], hash=False)
    pooling: Pooling = "default"
    input_px: int | None = None
    encoder: str = ""
    licence: str = ""

    @property
    def backbone_spec(self) -> BackboneSpec:
        """What is needed to build the backbone alone."""
        return BackboneSpec(self.backbone, self.side_px, self.backbone_kwargs, self.pooling, self.input_px)


def resolved_spec(
    resolved: ResolvedBackbone,
    normalisation: Normalisation,
    *,
    dropout: float = 0.0,
    heads: tuple[Head, ...] = (),
    tta_views: Literal[1, 2, 4, 8] = 1,
    licence: str = "",
) -> NetworkSpec:
    """Architecture of a network on a resolved backbone.

    Args:
        resolved: The backbone.
        normalisation: Mean and standard deviation per RGB channel, on the 0 to 1 scale.
        dropout: Dropout before the heads, 0 to 1.
        heads: The heads; none for an encoder.
        tta_views: As in :class:`NetworkSpec`.
        licence: As in :class:`NetworkSpec`.
    """
    (red, green, blue), (red_std, green_std, blue_std) = normalisation
    return NetworkSpec(
        backbone=resolved.spec.architecture,
        dropout=dropout,
        heads=heads,
        side_px=resolved.spec.side_px,
        normalisation_mean=(red, green, blue),
        normalisation_std=(red_std, green_std, blue_std),
        tta_views=tta_views,
        backbone_kwargs=resolved.spec.kwargs,
        pooling=resolved.spec.pooling,
        input_px=resolved.spec.input_px,
        encoder="" if resolved.origin == "timm" else resolved.name,
        licence=licence,
    )


class TileNetwork(nn.Module):
    """Tiles in, logits of every head out; with attention, each head's attention score beside them; with transmil the token.

    Normalisation is part of the network: it takes plain pixels.
    """

    def __init__(self, spec: NetworkSpec, *, pretrained: bool = False) -> None:
        super().__init__()
        self.spec = spec
        self.backbone = build_backbone(spec.backbone_spec, pretrained=pretrained)
        self.feature_count = features = embedding_width(self.backbone)
        self.dropout = nn.Dropout(spec.dropout)
        self.heads = nn.ModuleDict({head.name: nn.Linear(features, len(head.classes)) for head in spec.heads})
        self.attention = attention_modules(features, spec.attention_hidden, self.heads, spec.aggregator)
        self.slide_tokens: TileTokens | None = None
        self.slide_transformer: SlideTransformer | None = None
        if spec.aggregator == "transmil" and spec.attention_hidden and spec.heads:
            classes = sum(len(head.classes) for head in spec.heads)
            self.slide_tokens = TileTokens(features, spec.attention_hidden)
            self.slide_transformer = SlideTransformer(spec.attention_hidden, classes)
        # Not persistent: they are stored in model.json.
        self.register_buffer("mean", _channels(spec.normalisation_mean), persistent=False)
        self.register_buffer("std", _channels(spec.normalisation_std), persistent=False)

    @property
    def columns(self) -> int:
        """Columns of the output of :meth:`forward`."""
        has_slides = bool(self.attention) or self.slide_tokens is not None
        aggregator = self.spec.aggregator if has_slides else None
        return output_columns(self.spec.heads, aggregator, self.spec.attention_hidden)

    def forward(self, tiles: Tensor, owners: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """Logits of all heads side by side, float [n, classes of all heads], in the order of ``score_columns``.

        A network with attention gives one more column per head: its attention score, before the softmax over the slide. One
        with transmil gives the token of each tile.

        Args:
            tiles: RGB pixels 0 to 255, uint8 or float, shape [n, 3, side, side].
            owners: For transmil alone: index of each tile's slide, shape [n]; the logits of the slides are then given, too,
                shape [slides, classes of all heads].
        """
        outputs = self.forward_heads(self.dropout(self.features(tiles)))
        if owners is None or self.slide_transformer is None:
            return outputs
        # Inside of forward, so that processes that train together share its gradients.
        tokens = outputs[:, -self.spec.attention_hidden :]
        return outputs, self.slide_transformer.of_bags(tokens, owners, int(owners.max()) + 1)

    def forward_with_features(self, tiles: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs of :meth:`forward` without dropout, and those of :meth:`features`."""
        features = self.features(tiles)
        return self.forward_heads(features), features

    def forward_heads(self, features: Tensor) -> Tensor:
        """Outputs of :meth:`forward`, from those of :meth:`features`; without columns where the network has no heads."""
        if not self.heads:
            return features[:, :0]
        logits = torch.cat([head(features) for head in self.heads.values()], dim=1)
        if self.slide_tokens is not None:
            return torch.cat([logits, self.slide_tokens(features)], dim=1)
        if not self.attention:
            return logits
        attention = torch.cat([attend(features) for attend in self.attention.values()], dim=1)
        if self.spec.attention_follows:
            attention = attention + flag_margin(logits, self.spec.heads)
        if self.spec.aggregator == "max":
            # Detached: which tile is the highest has no gradient.
            attention = attention + MAX_SCALE * flag_margin(logits.detach(), self.spec.heads)
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


def _tta_views(tiles: Tensor, count: int) -> list[Tensor]:
    """The tiles, flipped left to right, top to bottom, both, and the same four of their transposes."""
    views = [tiles, tiles.flip(3), tiles.flip(2), tiles.flip((2, 3))]
    views += [view.transpose(2, 3) for view in views]
    return views[:count]


def _channels(values: tuple[float, float, float]) -> Tensor:
    return (torch.tensor(values, dtype=torch.float32) * 255.0).reshape(1, 3, 1, 1)
