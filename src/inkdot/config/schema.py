"""The config as pydantic models. Every key has a description: ``inkdot init`` and the errors use them."""

from typing import Literal, cast

from pydantic import Field, model_validator

from inkdot.config.morphometry import MorphometryConfig
from inkdot.config.strict import Fraction, Positive, Strict
from inkdot.config.tiling import LabellingConfig, TilingConfig
from inkdot.config.training import AugmentationConfig, ModelConfig, TrainingConfig
from inkdot.labels import DEFAULT_HEADS, Head
from inkdot.records import Preparation


class HeadConfig(Strict):
    """A head put to the model. The defaults ask about malignancy and small-cell against large-cell."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="Short name, used in column names.")
    classes: list[str] = Field(min_length=2, description="The classes the network tells apart.")
    labels: dict[str, dict[str, float]] = Field(
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
        default=None, description="The class whose score ranks regions; exactly one head has it."
    )

    @model_validator(mode="before")
    @classmethod
    def _labels_are_classes(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data  # pyright: ignore[reportUnknownVariableType]
        fields = cast("dict[str, object]", data)
        classes = fields.get("classes")
        if "labels" in fields or not isinstance(classes, list):
            return fields
        names = [name for name in cast("list[object]", classes) if isinstance(name, str)]
        return fields | {"labels": {name: {name: 1.0} for name in names}}

    @model_validator(mode="after")
    def _consistent(self) -> "HeadConfig":
        known = set(self.classes)
        if len(known) != len(self.classes):
            raise ValueError(f"head {self.name!r}: expected distinct classes, found {self.classes}")
        for label, weights in self.labels.items():
            unknown = sorted(set(weights) - known)
            if unknown:
                raise ValueError(
                    f"head {self.name!r}, label {label!r}: unknown class {unknown[0]!r}; classes are {self.classes}"
                )
            if any(not 0.0 <= weight <= 1.0 for weight in weights.values()):
                raise ValueError(
                    f"head {self.name!r}, label {label!r}: weights must be 0 to 1, found {list(weights.values())}"
                )
            if weights and abs(sum(weights.values()) - 1.0) > 1e-6:
                raise ValueError(
                    f"head {self.name!r}, label {label!r}: weights must sum to 1, found {sum(weights.values()):g}"
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
            labels={label: dict(weights) for label, weights in head.labels.items()},
            calls=dict(head.calls),
            condition=dict([head.condition]) if head.condition else {},
            flag_class=head.flag_class,
        )

    def to_head(self) -> Head:
        """The record the rest of the program works with."""
        return Head(
            name=self.name,
            classes=tuple(self.classes),
            labels=self.labels,
            calls=self.calls,
            condition=next(iter(self.condition.items()), None),
            flag_class=self.flag_class,
        )


def _default_heads() -> list[HeadConfig]:
    return [HeadConfig.from_head(head) for head in DEFAULT_HEADS]


class ImagesConfig(Strict):
    """How the columns of an ``images.csv`` (``inkdot train --images``) are called, so that data can be used as it comes."""

    path: str = Field(
        default="path", min_length=1, description="Column with the image's file, relative to the table."
    )
    group: str = Field(
        default="patient_id",
        min_length=1,
        description="Column whose equal values never stand on both sides of a split: patient, or original image.",
    )
    heads: dict[str, str] = Field(
        default_factory=dict[str, str],
        description="Column of each head's labels, e.g. {malignancy: label}; the head's own name where not given.",
    )
    mpp: str = Field(
        default="mpp", min_length=1, description="Column with micrometres per pixel; may be missing."
    )
    mpp_of_all: Positive | Literal["unknown"] | None = Field(
        default=None,
        description="Micrometres per pixel where the column has none; 'unknown' makes a model that refuses slides.",
    )
    site: str = Field(
        default="site", min_length=1, description="Column with where a image was made; may be missing."
    )
    split: str = Field(
        default="split",
        min_length=1,
        description="Column with train, validation or test for every image; may be missing.",
    )
    near_duplicates: Literal["error", "join", "warn"] = Field(
        default="error",
        description="Nearly identical images of different groups: stop, make one group of them, or say so and go on.",
    )
    crop_px: int | None = Field(
        default=None,
        ge=8,
        description="Side of the centre square that is used, in pixels of the image; null for all of it.",
    )


class ReviewConfig(Strict):
    """What the pathologist is shown."""

    top_n: int = Field(default=30, ge=1, le=120, description="Regions shown per slide, flagged or not.")
    min_distance_fraction: Fraction = Field(
        default=0.75,
        description="Shown tiles keep this distance, as a fraction (0 to 1) of the tile side, from better ones.",
    )


class AnnotationConfig(Strict):
    """How annotations drawn in QuPath, ASAP or ImageScope, and tables of boxes, become labels of heads."""

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
                    f"class {name!r}: expected a head and an label, found none; list it under ignore instead"
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
    heads: list[HeadConfig] = Field(default_factory=_default_heads, min_length=1, description="The heads.")
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
            raise ValueError("heads: expected exactly one head with a flag_class, which ranks the regions")
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
        labels = {head.name: list(head.labels) for head in self.heads}
        for class_name, meaning in self.annotations.classes.items():
            for name, label in meaning.items():
                if name not in labels:
                    raise ValueError(
                        f"annotations.classes, {class_name!r}: unknown head {name!r}; heads are {names}"
                    )
                if label not in labels[name]:
                    raise ValueError(
                        f"annotations.classes, {class_name!r}: unknown label {label!r}; labels of {name} are {labels[name]}"
                    )
        return self

    @property
    def head_records(self) -> tuple[Head, ...]:
        """The heads as records."""
        return tuple(head.to_head() for head in self.heads)
