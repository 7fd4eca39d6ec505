"""What training makes of labels about whole slides."""

from typing import Annotated, Literal

from pydantic import Field

from inkdot.config.strict import Strict


class MilConfig(Strict):
    """Learning from labels about whole slides, by attention over their tiles."""

    use: Literal["needed", "always", "never"] = Field(
        default="needed",
        description="needed: attention is trained where a positive slide has no labelled tile. always: wherever "
        "slides have labels. never: such slides then teach nothing.",
    )
    start: Literal["labels", "self-supervised", "none"] = Field(
        default="labels",
        description="What a backbone learns first where no tile is labelled positive. labels: every tile gets its slide's, then "
        "the surest tiles alone. self-supervised: nothing but what tiles look like. none: to go on with model.weights.",
    )
    pseudo_label_quantile: list[Annotated[float, Field(ge=0.5, lt=1.0)]] = Field(
        default_factory=lambda: [0.98, 0.99, 0.99],
        description="A round of epochs each: of a positive slide, the sure tiles are those that score above this share (0.5 to "
        "1) of the negative slides' tiles, and at least one.",
    )
    bag_tiles: int = Field(
        default=16,
        ge=2,
        le=4096,
        description="Tiles of one slide per step: half of them those with most attention, half by chance.",
    )
    hidden: int = Field(default=64, ge=1, le=4096, description="Width of the attention's hidden layers.")
    learning_rate: float = Field(
        default=3e-4,
        gt=0.0,
        le=10.0,
        description="Peak learning rate while slides teach, after what the tiles taught.",
    )
    tile_weight: float = Field(
        default=1.0,
        ge=0.0,
        le=100.0,
        description="Weight of the labelled tiles' loss beside that of the slides.",
    )
    self_supervised_epochs: int = Field(
        default=10,
        ge=1,
        le=10_000,
        description="Epochs of start: self-supervised.",
    )
