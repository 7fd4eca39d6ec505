"""The config as pydantic models. Every key has a description: ``inkdot init`` and the errors use them."""

from typing import Literal, cast

from pydantic import Field, model_validator

from inkdot.config.morphometry import MorphometryConfig
from inkdot.config.slide_labels import SlideLabelsConfig
from inkdot.config.strict import Fraction, Positive, Strict
from inkdot.config.tiling import LabellingConfig, TilingConfig
from inkdot.labels import DEFAULT_HEADS, Head
from inkdot.records import Preparation


class HeadConfig(Strict):
    """A question put to the model. The defaults ask about malignancy and small-cell against large-cell."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="Short name, used in column names.")
    classes: list[str] = Field(min_length=2, description="The classes the network tells apart.")
    answers: dict[str, dict[str, float]] = Field(
        default_factory=dict[str, dict[str, float]],
        description="What a person may say, and its target: weights per class that sum to 1; {} for 'not used'. "
        "Where not given: the classes themselves.",
    )
    calls: dict[str, str] = Field(
        default_factory=dict[str, str], description="Words for a call of each class."
    )
    condition: dict[str, str] = Field(
        default_factory=dict[str, str],
        description="Asked only where another head has a class, e.g. {malignancy: malignant}.",
    )
    flag_class: str | None = Field(
        default=None, description="The class whose score ranks places; exactly one head has it."
    )

    @model_validator(mode="before")
    @classmethod
    def _answers_are_classes(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data  # pyright: ignore[reportUnknownVariableType]
        fields = cast("dict[str, object]", data)
        classes = fields.get("classes")
        if "answers" in fields or not isinstance(classes, list):
            return fields
        names = [name for name in cast("list[object]", classes) if isinstance(name, str)]
        return fields | {"answers": {name: {name: 1.0} for name in names}}

    @model_validator(mode="after")
    def _consistent(self) -> "HeadConfig":
        known = set(self.classes)
        if len(known) != len(self.classes):
            raise ValueError(f"head {self.name!r}: expected distinct classes, found {self.classes}")
        for answer, weights in self.answers.items():
            unknown = sorted(set(weights) - known)
            if unknown:
                raise ValueError(
                    f"head {self.name!r}, answer {answer!r}: unknown class {unknown[0]!r}; classes are {self.classes}"
                )
            if any(not 0.0 <= weight <= 1.0 for weight in weights.values()):
                raise ValueError(
                    f"head {self.name!r}, answer {answer!r}: weights must be 0 to 1, found {list(weights.values())}"
                )
            if weights and abs(sum(weights.values()) - 1.0) > 1e-6:
                raise ValueError(
                    f"head {self.name!r}, answer {answer!r}: weights must sum to 1, found {sum(weights.values()):g}"
                )
        for name in [*self.calls, *([self.flag_class] if self.flag_class else [])]:
            if name not in known:
                raise ValueError(f"head {self.name!r}: unknown class {name!r}; classes are {self.classes}")
        if len(self.condition) > 1:
            raise ValueError(
                f"head {self.name!r}: expected at most one condition, found {len(self.condition)}"
            )
        return self

    @classmethod
    def from_head(cls, head: Head) -> "HeadConfig":
        """The config form of a head."""
        return cls(
            name=head.name,
            classes=list(head.classes),
            answers={answer: dict(weights) for answer, weights in head.answers.items()},
            calls=dict(head.calls),
            condition=dict([head.condition]) if head.condition else {},
            flag_class=head.flag_class,
        )

    def to_head(self) -> Head:
        """The record the rest of the program works with."""
        return Head(
            name=self.name,
            classes=tuple(self.classes),
            answers=self.answers,
            calls=self.calls,
            condition=next(iter(self.condition.items()), None),
            flag_class=self.flag_class,
        )


def _default_heads() -> list[HeadConfig]:
    return [HeadConfig.from_head(head) for head in DEFAULT_HEADS]


class ModelConfig(Strict):
    """The network."""

    backbone: str = Field(default="mobilenetv3_small_100", description="A timm model name.")
    weights: str = Field(
        default="scratch",
        description="'scratch', 'pretrained' (timm downloads them), or the path of a local .safetensors file.",
    )
    dropout: Fraction = Field(default=0.2, description="Dropout before the heads (0 to 1).")
    views: Literal[1, 2, 4, 8] = Field(
        default=1,
        description="Mirror images and quarter turns of a tile that are averaged when scoring, which takes so many times "
        "as long.",
    )


class AugmentationConfig(Strict):
    """How training tiles are varied."""

    geometry: bool = Field(
        default=True, description="Quarter turns, mirror images and small shifts of scale."
    )
    distortion: Fraction = Field(
        default=0.0,
        description="Strength (0 to 1) of changes of width and height (up to a quarter), turns (up to 45°) and shifts (up to a "
        "tenth) beyond that; for pictures whose scale nobody knows.",
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
    average_decay: float = Field(
        default=0.99,
        ge=0.0,
        lt=1.0,
        description="The weights that are judged and kept are a running mean over the steps, of which a step keeps this "
        "share (0 to 1); 0 for the last weights.",
    )
    gradient_clip: Positive | None = Field(
        default=None, description="Longest gradient of a step; null for any. Transformers often need 1."
    )
    accumulate: int = Field(
        default=1,
        ge=1,
        le=4096,
        description="Parts in which a step is taken where memory is short; the steps stay the same.",
    )
    keep: Literal["last", "best"] = Field(
        default="last",
        description="The epoch whose weights are kept: the last, or that of the lowest calibrated validation loss, which few "
        "validation patients cannot tell.",
    )
    patience: int | None = Field(
        default=None,
        ge=1,
        description="Stop after so many epochs without a better validation loss, and keep the best; null to go through all.",
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
    max_tiles_per_slide: int = Field(
        default=2000,
        ge=1,
        description="At most so many tiles of one slide are used per class; the rest is reported.",
    )
    head_weights: dict[str, float] = Field(
        default_factory=dict[str, float], description="Weight of each head's loss; 1 where not given."
    )
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = Field(
        default="32-true", description="Lightning Fabric precision."
    )
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = Field(default="auto", description="Where to train.")
    workers: int = Field(
        default=0, ge=0, le=64, description="Loader processes; 0 loads in the training process."
    )
    seed: int = Field(
        default=0, ge=0, le=2**31 - 1, description="Seed of the split, the sampling and the initial weights."
    )
    wanted_sensitivity: float = Field(
        default=0.95,
        gt=0.0,
        lt=1.0,
        description="The highest threshold that flags this share of the positive validation slides is locked.",
    )
    slide_labels: SlideLabelsConfig = SlideLabelsConfig()

    @model_validator(mode="after")
    def _stopping_keeps_the_best(self) -> "TrainingConfig":
        if self.patience is not None and self.keep == "last":
            raise ValueError(
                "training.patience: expected null or training.keep: best, found keep: last; who stops wants no last epoch"
            )
        return self

    @property
    def tiles_at_once(self) -> int:
        """Most tiles that the network is given at once."""
        return -(-self.batch_size // self.accumulate)


class ImagesConfig(Strict):
    """How the columns of an ``images.csv`` (``inkdot train --images``) are called, so that data can be used as it comes."""

    path: str = Field(
        default="path", min_length=1, description="Column with the picture's file, relative to the table."
    )
    group: str = Field(
        default="patient_id",
        min_length=1,
        description="Column whose equal values never stand on both sides of a split: patient, or original picture.",
    )
    heads: dict[str, str] = Field(
        default_factory=dict[str, str],
        description="Column of each head's answers, e.g. {malignancy: label}; the head's own name where not given.",
    )
    mpp: str = Field(
        default="mpp", min_length=1, description="Column with micrometres per pixel; may be missing."
    )
    mpp_of_all: Positive | Literal["unknown"] | None = Field(
        default=None,
        description="Micrometres per pixel where the column has none; 'unknown' makes a model that refuses slides.",
    )
    site: str = Field(
        default="site", min_length=1, description="Column with where a picture was made; may be missing."
    )
    split: str = Field(
        default="split",
        min_length=1,
        description="Column with train, validation or test for every picture; may be missing.",
    )
    near_identical: Literal["error", "join", "warn"] = Field(
        default="error",
        description="Nearly identical pictures of different groups: stop, make one group of them, or say so and go on.",
    )
    crop_px: int | None = Field(
        default=None,
        ge=8,
        description="Side of the centre square that is used, in pixels of the picture; null for all of it.",
    )


class ReviewConfig(Strict):
    """What the pathologist is shown."""

    top_n: int = Field(default=30, ge=1, le=120, description="Places shown per slide, flagged or not.")
    min_distance_fraction: Fraction = Field(
        default=0.75,
        description="Shown tiles keep this distance, as a fraction (0 to 1) of the tile side, from better ones.",
    )


class AnnotationConfig(Strict):
    """How annotations drawn in QuPath, ASAP or ImageScope, and tables of boxes, become answers of heads."""

    classes: dict[str, dict[str, str]] = Field(
        default_factory=dict[str, dict[str, str]],
        description="What each class in an annotation file means, e.g. "
        "{'Tumor: large_cell': {malignancy: malignant, morphology: large_cell}}.",
    )
    ignore: list[str] = Field(
        default_factory=list[str],
        description="Classes that label nothing; '(unclassified)' for areas drawn without a class.",
    )
    cut_out: list[str] = Field(
        default_factory=list[str],
        description="Classes whose areas are holes in all others, e.g. ASAP's Exclusion.",
    )
    object_types: list[str] = Field(
        default=["annotation"],
        min_length=1,
        description="QuPath objects that count: annotation, detection, cell, tile.",
    )
    qupath_origin: Literal["bounds", "slide"] = Field(
        default="bounds",
        description="QuPath counts pixels from the scanned bounds that a slide file states; 'slide' where it was told not to.",
    )
    reader: str = Field(default="", description="Pseudonym of who drew the annotations.")

    @model_validator(mode="after")
    def _one_meaning(self) -> "AnnotationConfig":
        for name in self.classes:
            if not self.classes[name]:
                raise ValueError(
                    f"class {name!r}: expected a head and an answer, found none; list it under ignore instead"
                )
        names = [*self.classes, *self.ignore, *self.cut_out]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"class {name!r}: expected once in classes, ignore and cut_out together, found it twice"
                )
        return self


class Config(Strict):
    """Everything that shapes a run; hashed whole and recorded with what it made."""

    schema_version: Literal[1] = Field(default=1, description="Version of this file's form.")
    preparation: Preparation = Field(default="thinprep", description="thinprep, cytospin, section or smear.")
    tiling: TilingConfig = TilingConfig()
    labelling: LabellingConfig = LabellingConfig()
    heads: list[HeadConfig] = Field(
        default_factory=_default_heads, min_length=1, description="The questions."
    )
    model: ModelConfig = ModelConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    training: TrainingConfig = TrainingConfig()
    morphometry: MorphometryConfig = MorphometryConfig()
    review: ReviewConfig = ReviewConfig()
    images: ImagesConfig = ImagesConfig()
    annotations: AnnotationConfig = AnnotationConfig()

    @model_validator(mode="after")
    def _heads_consistent(self) -> "Config":
        names = [head.name for head in self.heads]
        if len(set(names)) != len(names):
            raise ValueError(f"heads: expected distinct names, found {names}")
        if sum(head.flag_class is not None for head in self.heads) != 1:
            raise ValueError("heads: expected exactly one head with a flag_class, which ranks the places")
        for head in self.heads:
            for other, class_name in head.condition.items():
                match = next((h for h in self.heads if h.name == other), None)
                if match is None or class_name not in match.classes or other == head.name:
                    raise ValueError(
                        f"head {head.name!r}: condition {other}: {class_name} names no class of another head"
                    )
        for key, mapping in (
            ("training.head_weights", self.training.head_weights),
            ("images.heads", self.images.heads),
        ):
            for name in mapping:
                if name not in names:
                    raise ValueError(f"{key}: unknown head {name!r}; heads are {names}")
        balanced = self.training.balance_by
        if balanced is not None and balanced not in names:
            raise ValueError(f"training.balance_by: unknown head {balanced!r}; heads are {names}")
        answers = {head.name: list(head.answers) for head in self.heads}
        for class_name, meaning in self.annotations.classes.items():
            for name, answer in meaning.items():
                if name not in answers:
                    raise ValueError(
                        f"annotations.classes, {class_name!r}: unknown head {name!r}; heads are {names}"
                    )
                if answer not in answers[name]:
                    raise ValueError(
                        f"annotations.classes, {class_name!r}: unknown answer {answer!r}; answers of {name} are {answers[name]}"
                    )
        return self

    @property
    def head_records(self) -> tuple[Head, ...]:
        """The heads as records."""
        return tuple(head.to_head() for head in self.heads)
