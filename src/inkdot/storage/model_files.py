"""``model/model.json``: what the weights beside it mean, and what was promised about them."""

import json
from pathlib import Path
from typing import Literal, cast

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inkdot.config import HeadConfig, ImagesConfig, TilingConfig
from inkdot.errors import StorageError
from inkdot.labels import Head
from inkdot.records import Preparation
from inkdot.storage.atomic import write_text
from inkdot.storage.hashing import file_sha256
from inkdot.storage.layout import ModelLayout
from inkdot.storage.model_upgrade import UPGRADABLE, upgraded
from inkdot.storage.schemas import MODEL_VERSION

Precision = Literal["float32", "bfloat16"]


class _Recorded(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Interval(_Recorded):
    """A metric that never stands without its 95 % interval.

    Attributes:
        value: The point estimate.
        low: Lower end of the interval.
        high: Upper end of the interval.
        method: How the interval was made, e.g. ``bootstrap over patients`` or ``Clopper-Pearson``.
    """

    value: float
    low: float
    high: float
    method: str


class ReliabilityStep(_Recorded):
    """What scores of one range were worth on validation data.

    Attributes:
        low: Lower edge of the range.
        high: Upper edge of the range.
        regions: Labelled validation tiles with such a score.
        positive: Share (0 to 1) of them that were truly of the flag class.
    """

    low: float
    high: float
    regions: int
    positive: Interval


class OperatingPoint(_Recorded):
    """The threshold chosen on validation data and locked with the model.

    Attributes:
        class_name: The class that is called at or above the threshold.
        threshold: Score, 0 to 1.
        target_sensitivity: What was asked for, 0 to 1.
        sensitivity: What it reached on the validation slides (or images) whose tiles were labelled.
        specificity: What it cost there.
        judged_on: What was counted: ``slides``, each by its best tile; ``tiles``; or ``attention``, slides by what the
            attention head makes of all their tiles.
        reliability: What scores were worth there, by ranges of the score; empty for models made before this was noted.
    """

    class_name: str
    threshold: float = Field(ge=0.0, le=1.0)
    target_sensitivity: float
    sensitivity: Interval | None
    specificity: Interval | None
    judged_on: Literal["slides", "tiles", "attention"] = "slides"
    reliability: list[ReliabilityStep] = Field(default_factory=list[ReliabilityStep])


class AbstentionBand(_Recorded):
    """Which scores of a head are left open: chosen on validation data for a wanted error, and locked.

    Attributes:
        low: Of the head that flags, a score between this and ``high`` is left open; None for other heads.
        high: From this score on an label is given: that something is there, or, of other heads, the likeliest class.
            None where no label of these is sure enough.
        target_selective_risk: Share (0 to 1) of wrong ones among the labels given that was asked for.
        selective_risk: What it was on the validation data; None where no label was given there.
        coverage: Share (0 to 1) of them on which a call was made.
        judged_on: What was counted.
    """

    low: float | None = Field(default=None, ge=0.0, le=1.0)
    high: float | None = Field(ge=0.0, le=1.0)
    target_selective_risk: float
    selective_risk: Interval | None
    coverage: Interval
    judged_on: Literal["slides", "tiles", "attention"]

    def holds(self, score: float) -> bool:
        """Whether a score of the head that flags lies between the two, as float32: that is how scores are stored."""
        if self.low is None or self.high is None:
            return False
        return bool(np.float32(self.low) < np.float32(score) < np.float32(self.high))


class Attention(_Recorded):
    """The part of a model that was learnt from labels about whole slides.

    Attributes:
        hidden: Width of its hidden layers.
        slides_per_class: Training slides with an label about the whole slide, per ``<head>.<class>`` (soft targets
            counted by weight).
        start: What the backbone had learnt before: ``tiles`` that were labelled, tiles with the ``labels`` about their
            slides, tiles without any label (``self-supervised``), ``pretrained`` weights, or nothing (``scratch``).
        follows: Attention adds to each tile's margin for the flag class; False in models made before.
    """

    hidden: int = Field(ge=1)
    slides_per_class: dict[str, float]
    start: Literal["tiles", "labels", "self-supervised", "pretrained", "scratch"]
    follows: bool = False


class OodReference(_Recorded):
    """How unlike its training tiles what a model sees may be; some of these are kept in ``reference.safetensors``.

    Attributes:
        limit: Median distance over a slide's tiles above which the slide is unlike what was seen: one further slide like the
            validation slides exceeds it with a chance of one in a hundred.
        slides: Validation slides that the limit comes from.
        tiles: Training tiles that are kept.
        reference_sha256: Hash of the file.
    """

    limit: float = Field(gt=0.0)
    slides: int
    tiles: int
    reference_sha256: str


class TrainedOn(_Recorded):
    """The cohort in counts and words, without any identifier.

    Attributes:
        synthetic: Trained on synthetic specimens: the model must not judge real slides.
        slides: Slides used for training and validation.
        patients: Patients used for training and validation.
        tiles_per_class: Training tiles per ``<head>.<class>`` (soft targets counted by weight).
        preparations: Preparations seen.
        stains: Stains seen.
        sites: Number of sites.
        scanners: Number of scanners.
        images: The cohort were labelled images, and ``slides`` counts them.
        mpp_range: Finest and coarsest µm/px of the slides as scanned; None where nobody knows, and in models made before.
    """

    synthetic: bool
    slides: int
    patients: int
    tiles_per_class: dict[str, float]
    preparations: list[str]
    stains: list[str]
    sites: int
    scanners: int
    images: bool = False
    mpp_range: tuple[float, float] | None = None


class ModelFile(_Recorded):
    """Everything but the tensors.

    Attributes:
        version: Schema version of this file.
        inkdot: Version of the program that wrote it.
        backbone: timm model name.
        dropout: Dropout before the heads.
        views: Mirror images and quarter turns of a tile that are averaged when scoring.
        precision: What scores were computed in when temperatures and operating points were chosen.
        preparation: Preparation the model is for.
        heads: The heads, in the order of the network's outputs.
        tiling: How slides must be cut for it.
        mpp_known: The scale in ``tiling`` is the one it was trained at; False for images of unknown scale, and such
            a model must not judge slides.
        images: How its images were named and cropped, so that others are judged alike; None for a model of slides.
        attention: How it judges whole slides; None for a model that knows tiles only.
        normalisation_mean: Per RGB channel, on the 0 to 1 scale.
        normalisation_std: Per RGB channel, on the 0 to 1 scale.
        temperatures: Divisor of each head's logits, by head name.
        operating_points: Per head that flags.
        abstention: Which scores are left open, by head; empty for models that label always, as those made before.
        validation_metrics: Metrics on validation data, by name; named ``selftest_`` where the data is synthetic.
        trained_on: The cohort.
        ood: How unlike its training tiles a slide may be; None where it cannot tell.
        config_sha256: Hash of the training config.
        weights_sha256: Hash of ``weights.safetensors``.
    """

    version: Literal["inkdot.model/3"] = MODEL_VERSION
    inkdot: str
    backbone: str
    dropout: float
    tta_views: Literal[1, 2, 4, 8] = 1
    precision: Precision = "float32"
    preparation: Preparation
    heads: list[HeadConfig]
    tiling: TilingConfig
    mpp_known: bool = True
    images: ImagesConfig | None = None
    attention: Attention | None = None
    normalisation_mean: list[float] = Field(min_length=3, max_length=3)
    normalisation_std: list[float] = Field(min_length=3, max_length=3)
    temperatures: dict[str, float]
    operating_points: dict[str, OperatingPoint]
    abstention: dict[str, AbstentionBand] = Field(default_factory=dict[str, AbstentionBand])
    validation_metrics: dict[str, Interval]
    trained_on: TrainedOn
    ood: OodReference | None = None
    config_sha256: str
    weights_sha256: str

    @property
    def head_records(self) -> tuple[Head, ...]:
        """The heads as records, in the order of the network's outputs."""
        return tuple(head.to_head() for head in self.heads)


def write_model_file(folder: Path, description: ModelFile) -> None:
    """Write ``model.json`` atomically."""
    # A model says nothing of parts that it has not, so that its file is what earlier programs know.
    optional = ("images", "attention", "ood")
    unsaid: dict[str, bool | set[str]] = {
        name: True for name in optional if getattr(description, name) is None
    }
    unsaid |= {"tta_views": True} if description.tta_views == 1 else {}
    unsaid |= {} if description.abstention else {"abstention": True}
    unsaid |= {"precision": True} if description.precision == "float32" else {}
    unsaid |= {} if description.trained_on.mpp_range else {"trained_on": {"mpp_range"}}
    if description.attention is not None and not description.attention.follows:
        unsaid |= {"attention": {"follows"}}
    values = description.model_dump(mode="json", exclude=unsaid)
    text = json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False)
    write_text(ModelLayout(folder).description, text + "\n")


def read_model_file(folder: Path) -> ModelFile:
    """Read ``model.json`` and check that the weights beside it are the ones it describes.

    Raises:
        StorageError: A file is missing or damaged, of another version, or the weights are not its own.
    """
    layout = ModelLayout(folder)
    for path in (layout.description, layout.weights):
        if not path.is_file():
            raise StorageError(
                f"{folder}: expected a model folder with {path.name}, found none; "
                "give the folder that `inkdot train` made (RUN/model)"
            )
    try:
        data: object = json.loads(layout.description.read_text(encoding="utf-8"))
        values = cast("dict[str, object]", data) if isinstance(data, dict) else {}
        if (version := values.get("version")) not in (MODEL_VERSION, *UPGRADABLE):
            raise StorageError(
                f"{layout.description}: expected version {MODEL_VERSION}, found {version}; "
                "train again with this version of Inkdot"
            )
        description = ModelFile.model_validate(values if version == MODEL_VERSION else upgraded(values))
    except (json.JSONDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise StorageError(
            f"{layout.description}: expected a model description, found a fault: {_fault(error)}; "
            "copy the whole model folder again"
        ) from None
    if file_sha256(layout.weights) != description.weights_sha256:
        raise StorageError(
            f"{layout.weights}: expected the weights that model.json describes, found others; "
            "copy the whole model folder again"
        )
    if description.ood is not None:
        _check_reference(layout.reference, description.ood)
    return description


def _fault(error: ValueError) -> str:
    """The first fault in one line, without pydantic's links and excerpts."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return " ".join(str(error).split())


def _check_reference(path: Path, ood: OodReference) -> None:
    if not path.is_file() or file_sha256(path) != ood.reference_sha256:
        raise StorageError(
            f"{path}: expected the training tiles that model.json names, found "
            f"{'others' if path.is_file() else 'none'}; copy the whole model folder again"
        )


def model_sha256(folder: Path) -> str:
    """Hash that stands for the whole model: model.json names the hash of its weights."""
    return file_sha256(ModelLayout(folder).description)
