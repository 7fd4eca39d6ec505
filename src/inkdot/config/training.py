"""Settings of the network and of its training."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from inkdot.config.mil import MilConfig
from inkdot.config.strict import Fraction, Positive, Strict

Monitored = Literal["calibrated_loss", "patient_auc"]
"""What tells the better of two epochs."""


class ModelConfig(Strict):
    """The network."""

    backbone: str = Field(default="mobilenetv3_small_100", description="A timm model name.")
    weights: str = Field(
        default="scratch",
        description="'scratch', 'pretrained' (timm downloads them), or the path of a local .safetensors file.",
    )
    dropout: Fraction = Field(default=0.2, description="Dropout before the heads (0 to 1).")
    tta_views: Literal[1, 2, 4, 8] = Field(
        default=1,
        description="Mirror images and quarter turns of a tile that are averaged when scoring, which takes so many times "
        "as long.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="What scores are computed in: bfloat16 is up to twice as fast where a processor or GPU has it; auto takes "
        "it where the machine that trains does. The model records it.",
    )


class AugmentationConfig(Strict):
    """How training tiles are varied."""

    geometry: bool = Field(
        default=True, description="Quarter turns, mirror images and small shifts of scale."
    )
    distortion: Fraction = Field(
        default=0.0,
        description="Strength (0 to 1) of changes of width and height (up to a quarter), turns (up to 45°) and shifts (up to a "
        "tenth) beyond that; for images whose scale nobody knows.",
    )
    colour: Fraction = Field(
        default=0.5, description="Strength (0 to 1) of brightness, contrast, hue and saturation changes."
    )
    focus: Fraction = Field(
        default=0.3, description="Probability (0 to 1) of a blur like a slightly wrong focal plane."
    )
    jpeg: Fraction = Field(default=0.2, description="Probability (0 to 1) of JPEG artefacts.")


class TrainingConfig(Strict):
    """The training loop."""

    epochs: int = Field(default=20, ge=1, le=10_000, description="Passes over the sampled training tiles.")
    batch_size: int = Field(default=64, ge=1, le=4096, description="Tiles per step.")
    learning_rate: float = Field(
        default=1e-3, gt=0.0, le=10.0, description="Peak learning rate (AdamW, warm-up then cosine)."
    )
    weight_decay: float = Field(default=0.02, ge=0.0, le=10.0, description="Decoupled weight decay.")
    warmup_fraction: Fraction = Field(
        default=0.1, description="Share (0 to 1) of the steps over which the rate rises."
    )
    ema_decay: float = Field(
        default=0.99,
        ge=0.0,
        lt=1.0,
        description="The weights that are judged and kept are a running mean over the steps, of which a step keeps this "
        "share (0 to 1); 0 for the last weights.",
    )
    gradient_clip: Positive | None = Field(
        default=None, description="Longest gradient of a step; null for any. Transformers often need 1."
    )
    gradient_accumulation: int = Field(
        default=1,
        ge=1,
        le=4096,
        description="Parts in which a step is taken where memory is short; the steps stay the same.",
    )
    freeze_epochs: int = Field(
        default=0,
        ge=0,
        description="For so many first epochs the backbone stands still and only what labels the heads learns; for weights "
        "that know something already.",
    )
    checkpoint: Literal["last", "best"] = Field(
        default="last",
        description="The epoch whose weights are kept: the last, or the best of what is watched, which few validation patients "
        "cannot tell.",
    )
    monitor: Monitored = Field(
        default="calibrated_loss",
        description="What the best epoch is best in, for keep: best and for learning from slides: the validation loss at the "
        "best temperatures, or the AUC over validation patients, each with the score of the highest tile or slide.",
    )
    early_stopping_patience: int | None = Field(
        default=None,
        ge=1,
        description="Stop after so many epochs without a better one, and keep the best; null to go through all.",
    )
    balance_by: str | None = Field(
        default=None,
        description="Head whose classes get equal shares of every epoch; null for the one with the flag_class.",
    )
    validation_fraction: float = Field(
        default=0.25,
        gt=0.0,
        lt=1.0,
        description="Share (0 to 1) of the patients kept for validation, where no split column is given.",
    )
    group_by: Literal["patient", "site"] = Field(
        default="patient",
        description="What no split or fold tears apart: a patient, or a site (column site) with all its patients.",
    )
    max_tiles_per_slide: int = Field(
        default=2000,
        ge=1,
        description="At most so many tiles of one slide are used per class; the rest is reported.",
    )
    head_weights: dict[str, Annotated[float, Field(ge=0.0, le=1000.0)]] = Field(
        default_factory=dict[str, float],
        description="Weight of each head's loss; 1 where not given.",
    )
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = Field(
        default="32-true", description="Lightning Fabric precision."
    )
    compile: bool = Field(
        default=False,
        description="Let torch.compile rewrite the network: minutes before the first step, then often faster on a GPU.",
    )
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = Field(default="auto", description="Where to train.")
    workers: int = Field(
        default=0, ge=0, le=64, description="Loader processes; 0 loads in the training process."
    )
    seed: int = Field(
        default=0, ge=0, le=2**31 - 1, description="Seed of the split, the sampling and the initial weights."
    )
    target_sensitivity: float = Field(
        default=0.95,
        gt=0.0,
        lt=1.0,
        description="The highest threshold that flags this share of the positive validation slides is locked.",
    )
    target_selective_risk: Fraction | None = Field(
        default=0.05,
        description="Scores close to the threshold are left open (call: indeterminate) until only this share (0 to 1) of the "
        "labels given on validation slides is wrong; null to label always.",
    )
    mil: MilConfig = MilConfig()

    @model_validator(mode="after")
    def _stopping_keeps_the_best(self) -> "TrainingConfig":
        if self.early_stopping_patience is not None and self.checkpoint == "last":
            raise ValueError(
                "training.early_stopping_patience: expected null, or training.checkpoint: best; found checkpoint: last. Early "
                "stopping keeps the best epoch; set training.checkpoint to best"
            )
        return self

    @property
    def tiles_at_once(self) -> int:
        """Most tiles that the network is given at once."""
        return -(-self.batch_size // self.gradient_accumulation)
