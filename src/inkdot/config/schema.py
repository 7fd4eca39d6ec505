"""The config as pydantic models. Every key has a description, which ``inkdot init`` writes as a comment."""

from typing import Literal, cast

from pydantic import Field, model_validator

from inkdot.config.morphometry import MorphometryConfig
from inkdot.config.review import ReviewConfig
from inkdot.config.strict import Positive, Strict
from inkdot.config.tiling import LabellingConfig, TilingConfig
from inkdot.config.training import AugmentationConfig, ModelConfig, TrainingConfig
from inkdot.labels import DEFAULT_HEADS, FINDER_HEAD, Head
from inkdot.records import Preparation


class HeadConfig(Strict):
    """A head: one classification task of the model. The defaults are malignancy, and small-cell versus large-cell."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="Short name, used in column names.")
    classes: list[str] = Field(min_length=2, description="Classes of the head.")
    labels: dict[str, dict[str, float]] = Field(
        default_factory=dict[str, dict[str, float]],
        description="Labels that readers may give, and the training target of each: class weights that sum to 1; {} for labels "
        "that are not used in training. Default: the classes themselves.",
    )
    calls: dict[str, str] = Field(
        default_factory=dict[str, str], description="Text of the call for each class."
    )
    condition: dict[str, str] = Field(
        default_factory=dict[str, str],
        description="Applies only where another head has this class, e.g. {malignancy: malignant}.",
    )
    flag_class: str | None = Field(
        default=None, description="Class whose score ranks and flags regions; exactly one head has one."
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
        if self.name == FINDER_HEAD.name:
            raise ValueError(
                f"head {self.name!r}: expected another name, found that of the answer 'not a cell' of reviews"
            )
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
        """The config model of a head."""
        return cls(
            name=head.name,
            classes=list(head.classes),
            labels={label: dict(weights) for label, weights in head.labels.items()},
            calls=dict(head.calls),
            condition=dict([head.condition]) if head.condition else {},
            flag_class=head.flag_class,
        )

    def to_head(self) -> Head:
        """The head as a record."""
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
    """Column names of the table of labelled images (``inkdot train --images``), so that existing tables can be used."""

    path: str = Field(
        default="path", min_length=1, description="Column with the image file, relative to the table."
    )
    group: str = Field(
        default="patient_id",
        min_length=1,
        description="Column that groups images for splits, such as the patient or the original image.",
    )
    heads: dict[str, str] = Field(
        default_factory=dict[str, str],
        description="Column with the labels of each head, e.g. {malignancy: label}; default: the name of the head.",
    )
    mpp: str = Field(default="mpp", min_length=1, description="Column with micrometres per pixel; optional.")
    mpp_of_all: Positive | Literal["unknown"] | None = Field(
        default=None,
        description="Micrometres per pixel of images without a value in the column; 'unknown' makes a model that refuses slides.",
    )
    site: str = Field(
        default="site", min_length=1, description="Column with the site that made the image; optional."
    )
    split: str = Field(
        default="split",
        min_length=1,
        description="Column with train, validation or test for every image; optional.",
    )
    near_duplicates: Literal["error", "join", "warn"] = Field(
        default="error",
        description="Near-duplicate images in different groups: stop with an error, join their groups, or warn and continue.",
    )
    crop_px: int | None = Field(
        default=None,
        ge=8,
        description="Side of the central square that is used, in pixels of the image; null for the whole image.",
    )


class AnnotationConfig(Strict):
    """How annotations from QuPath, ASAP or ImageScope, and tables of boxes, become labels."""

    classes: dict[str, dict[str, str]] = Field(
        default_factory=dict[str, dict[str, str]],
        description="Labels that each class of an annotation file stands for, e.g. "
        "{'Tumor: large_cell': {malignancy: malignant, morphology: large_cell}}.",
    )
    ignore: list[str] = Field(
        default_factory=list[str],
        description="Classes that are ignored; '(unclassified)' stands for areas without a class.",
    )
    cut_out: list[str] = Field(
        default_factory=list[str],
        description="Classes whose areas are cut out of all others, e.g. Exclusion in ASAP.",
    )
    object_types: list[str] = Field(
        default=["annotation"],
        min_length=1,
        description="Types of QuPath objects that are read: annotation, detection, cell, tile.",
    )
    qupath_origin: Literal["bounds", "slide"] = Field(
        default="bounds",
        description="Origin of QuPath coordinates: bounds (of the scanned area, as QuPath counts by default) or slide.",
    )
    reader: str = Field(default="", description="Pseudonym of the annotator.")

    @model_validator(mode="after")
    def _one_meaning(self) -> "AnnotationConfig":
        for name in self.classes:
            if not self.classes[name]:
                raise ValueError(
                    f"class {name!r}: expected a head and a label, found none; list it under ignore instead"
                )
        names = [*self.classes, *self.ignore, *self.cut_out]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"class {name!r}: expected once in classes, ignore and cut_out together, found it twice"
                )
        return self


class Config(Strict):
    """All settings of a run; recorded as a whole, with its hash, in what the run writes."""

    schema_version: Literal[1] = Field(default=1, description="Version of the config schema.")
    preparation: Preparation = Field(
        default="thinprep", description="Kind of specimen: thinprep, cytospin, section or smear."
    )
    tiling: TilingConfig = TilingConfig()
    labelling: LabellingConfig = LabellingConfig()
    heads: list[HeadConfig] = Field(
        default_factory=_default_heads, min_length=1, description="Heads of the model."
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
        if self.images.mpp_of_all == "unknown" and self.augmentation.blur_um is not None:
            raise ValueError(
                f"augmentation.blur_um: expected null where images.mpp_of_all is unknown, found {self.augmentation.blur_um:g}; "
                "set it to null (blur in px), or state µm/px"
            )
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

    @model_validator(mode="after")
    def _transformer_fits(self) -> "Config":
        mil = self.training.mil
        if mil.aggregator != "transmil":
            return self
        if not self.model.freeze_backbone:
            raise ValueError(
                "training.mil.aggregator: transmil: expected model.freeze_backbone: true, found false; it is trained on "
                "embeddings of whole slides, set it to true or choose gated_attention"
            )
        if mil.hidden % 4:
            raise ValueError(
                f"training.mil.hidden: expected a multiple of 4 with aggregator: transmil, found {mil.hidden}; set it to 64"
            )
        return self

    @property
    def head_records(self) -> tuple[Head, ...]:
        """The heads as records, in the order of the config."""
        return tuple(head.to_head() for head in self.heads)
