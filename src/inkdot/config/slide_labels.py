"""What training makes of answers about whole slides."""

from typing import Literal

from pydantic import Field

from inkdot.config.strict import Strict


class SlideLabelsConfig(Strict):
    """Learning from answers about whole slides, by attention over their tiles."""

    use: Literal["needed", "always", "never"] = Field(
        default="needed",
        description="needed: attention is trained where a positive slide has no labelled tile. always: wherever "
        "slides have answers. never: such slides then teach nothing.",
    )
    bag_tiles: int = Field(
        default=16,
        ge=2,
        le=4096,
        description="Tiles of one slide per step: half of them those with most attention, half by chance.",
    )
    hidden: int = Field(default=64, ge=1, le=4096, description="Width of the attention's hidden layers.")
    tile_weight: float = Field(
        default=1.0,
        ge=0.0,
        le=100.0,
        description="Weight of the labelled tiles' loss beside that of the slides.",
    )
    self_supervised_epochs: int = Field(
        default=10,
        ge=0,
        le=10_000,
        description="Epochs without any label before, where no tile is labelled positive and weights are scratch; 0 for none.",
    )
