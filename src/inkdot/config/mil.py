"""Settings of training from labels of whole slides."""

from typing import Annotated, Literal

from pydantic import Field

from inkdot.config.strict import Strict

Aggregator = Literal["gated_attention", "clam_sb", "mean", "max", "transmil"]
"""How the logits of a slide are made from those of its tiles."""


class MilConfig(Strict):
    """Multiple-instance learning (MIL) from labels of whole slides, by attention over their tiles."""

    use: Literal["needed", "always", "never"] = Field(
        default="needed",
        description="needed: attention is trained where a positive slide has no labelled tile. always: wherever "
        "slides have labels. never: labels of slides are not trained on.",
    )
    start: Literal["pseudo-labels", "none"] = Field(
        default="pseudo-labels",
        description="Training of the backbone before attention where no tile is labelled positive. pseudo-labels: every tile "
        "gets its slide's label, then only the most confident tiles keep it. none: start from model.weights.",
    )
    pseudo_label_quantile: list[Annotated[float, Field(ge=0.5, lt=1.0)]] = Field(
        default_factory=lambda: [0.98, 0.99, 0.99],
        description="One round of training per value: of a positive slide, the tiles that score above this quantile (0.5 to 1) "
        "of the negative slides' tiles keep its label, and at least one.",
    )
    aggregator: Aggregator = Field(
        default="gated_attention",
        description="How the tiles' logits make the slide's. gated_attention: mean, weighted by attention. clam_sb: the same, "
        "with CLAM's clustering loss on the tiles of most and of least attention. mean: of all tiles. max: of the tile "
        "with the highest score of the flag_class. transmil: by a small transformer over the tiles' embeddings; needs "
        "model.freeze_backbone.",
    )
    instance_tiles: int = Field(
        default=8,
        ge=1,
        le=1024,
        description="clam_sb: number of tiles with most and with least attention that get pseudo-labels, per slide.",
    )
    instance_weight: float = Field(
        default=0.43,
        ge=0.0,
        le=100.0,
        description="clam_sb: weight of the clustering loss, relative to that of slides.",
    )
    bag_tiles: int = Field(
        default=16,
        ge=2,
        le=4096,
        description="Tiles of one slide per step: half of them those with most attention, half at random. With a frozen backbone "
        "all tiles of a slide are taken, up to 4096.",
    )
    hidden: int = Field(
        default=64,
        ge=1,
        le=4096,
        description="Width of the attention's hidden layers; of the tokens of transmil, a multiple of 4.",
    )
    learning_rate: float = Field(
        default=3e-4,
        gt=0.0,
        le=10.0,
        description="Peak learning rate of attention, after training on tiles.",
    )
    tile_weight: float = Field(
        default=1.0,
        ge=0.0,
        le=100.0,
        description="Weight of the loss of labelled tiles, relative to that of slides.",
    )
