"""``model/model.json``: description of a model, with its operating points and validation metrics."""

import json
from pathlib import Path
from typing import Annotated, Final, Literal, Self, cast

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from inkdot.config import Aggregator, HeadConfig, ImagesConfig, TilingConfig
from inkdot.errors import StorageError
from inkdot.labels import Head
from inkdot.records import Preparation
from inkdot.storage.atomic import write_text
from inkdot.storage.ensemble_files import Member, check_members
from inkdot.storage.hashing import file_sha256
from inkdot.storage.layout import ModelLayout
from inkdot.storage.model_upgrade import UPGRADABLE_VERSIONS, upgraded
from inkdot.storage.record_json import first_error
from inkdot.storage.schemas import MODEL_VERSION

Precision = Literal["float32", "bfloat16"]

_EARLIER_TILING: Final[dict[str, object]] = {"cell_finder": "classical", "fields": False}
"""Settings of tiling that models made before these keys were trained with."""

_Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
_Positive = Annotated[float, Field(gt=0.0)]

_BACKBONE_FIELDS: Final = ("backbone_kwargs", "input_px", "encoder", "licence")
"""Omitted where empty."""


class _Recorded(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Interval(_Recorded):
    """A metric with its 95 % confidence interval.

    Attributes:
        value: Point estimate.
        low: Lower end of the interval.
        high: Upper end of the interval.
        method: Method of the interval, e.g. ``bootstrap over patients`` or ``Clopper-Pearson``.
    """

    value: float
    low: float
    high: float
    method: str


class ReliabilityStep(_Recorded):
    """One bin of the reliability diagram on validation data.

    Attributes:
        low: Lower edge of the bin, a score from 0 to 1.
        high: Upper edge of the bin.
        regions: Number of labelled validation tiles with such a score.
        positive: Fraction (0 to 1) of them whose label is the flag class.
    """

    low: _Fraction
    high: _Fraction
    regions: int = Field(ge=0)
    positive: Interval


class OperatingPoint(_Recorded):
    """The threshold of a head, chosen on validation data and fixed in the model.

    Attributes:
        class_name: The class that is called at or above the threshold.
        threshold: Score, 0 to 1.
        target_sensitivity: Requested sensitivity, 0 to 1.
        sensitivity: Sensitivity on the validation slides (or images) with labelled tiles.
        specificity: Specificity there.
        evaluated_on: Unit of evaluation: ``slides``, each with the score of its highest tile; ``tiles``; or ``attention``,
            slides with their attention-pooled score.
        reliability: Reliability diagram there; empty in older models.
    """

    class_name: str
    threshold: float = Field(ge=0.0, le=1.0)
    target_sensitivity: _Fraction
    sensitivity: Interval | None
    specificity: Interval | None
    evaluated_on: Literal["slides", "tiles", "attention"] = "slides"
    reliability: list[ReliabilityStep] = Field(default_factory=list[ReliabilityStep])


class AbstentionBand(_Recorded):
    """Scores at which a head abstains, chosen on validation data for a target selective risk and fixed in the model.

    Attributes:
        low: The flagging head abstains for scores between this and ``high``; None for other heads.
        high: From this score on a call is made: flagged, or, for other heads, the most probable class. None where no score
            reaches the target risk.
        target_selective_risk: Requested fraction (0 to 1) of wrong calls among all calls.
        selective_risk: That fraction on the validation data; None where no call was made there.
        coverage: Fraction (0 to 1) of the validation data on which a call was made.
        evaluated_on: Unit of evaluation, see :class:`OperatingPoint`.
    """

    low: float | None = Field(default=None, ge=0.0, le=1.0)
    high: float | None = Field(ge=0.0, le=1.0)
    target_selective_risk: _Fraction
    selective_risk: Interval | None
    coverage: Interval
    evaluated_on: Literal["slides", "tiles", "attention"]

    @model_validator(mode="after")
    def _ends_in_order(self) -> Self:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low {self.low:g} is above high {self.high:g}")
        return self

    def holds(self, score: float) -> bool:
        """Whether the flagging head abstains at a score, compared as float32, the precision of stored scores."""
        if self.low is None or self.high is None:
            return False
        return bool(np.float32(self.low) < np.float32(score) < np.float32(self.high))


class Attention(_Recorded):
    """The attention head of a model, trained by MIL on labels of whole slides.

    Attributes:
        hidden: Width of its hidden layers; 0 where the aggregator has none.
        slides_per_class: Number of training slides with a slide label per ``<head>.<class>`` (soft targets by weight).
        start: What the backbone was trained on before: labelled ``tiles``, ``pseudo-labels`` from the labels of slides
            tiles without labels (``self-supervised``, in older models only), ``pretrained`` weights, or nothing
            (``scratch``).
        aggregator: How the logits of a slide are made from those of its tiles; left out of the file for gated attention.
        follows: Attention logits are added to each tile's margin for the flag class; False in older models.
    """

    hidden: int = Field(ge=0)
    slides_per_class: dict[str, float]
    start: Literal["tiles", "pseudo-labels", "self-supervised", "pretrained", "scratch"]
    follows: bool = False
    aggregator: Aggregator = "gated_attention"


class OodReference(_Recorded):
    """Out-of-distribution (OOD) detection: embeddings of training tiles in ``reference.safetensors``, and a limit.

    Attributes:
        limit: Median OOD distance over a slide's tiles above which the slide is out of distribution. A further slide like the
            validation slides exceeds it with a probability of 1 %.
        slides: Number of validation slides from which the limit is estimated.
        tiles: Number of training tiles in the reference.
        reference_sha256: Hash of the file.
    """

    limit: float = Field(gt=0.0)
    slides: int
    tiles: int
    reference_sha256: str


class TrainedOn(_Recorded):
    """Summary of the training cohort, without identifiers.

    Attributes:
        synthetic: Trained on synthetic specimens: the model refuses real slides.
        slides: Number of slides for training and validation.
        patients: Number of patients for training and validation.
        tiles_per_class: Number of training tiles per ``<head>.<class>`` (soft targets by weight).
        preparations: Preparations in the cohort.
        stains: Stains in the cohort.
        sites: Number of sites.
        scanners: Number of scanners.
        images: The cohort consists of labelled images, which ``slides`` counts.
        mpp_range: Lowest and highest µm/px of the slides as scanned; None where unknown and in older models.
        training_files: Fingerprints of the files that the weights were fitted to, with those of a model that they started from:
            the first 16 hex digits of each file's hash, which only who holds the file can find. Empty in older models.
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
    mpp_range: tuple[_Positive, _Positive] | None = None
    training_files: list[str] = Field(default_factory=list[str])


class ModelFile(_Recorded):
    """The model description: everything but the tensors.

    Attributes:
        version: Schema version of this file.
        inkdot: Version of the program that wrote it.
        backbone: timm model name.
        backbone_kwargs: Arguments of the architecture that differ from timm's; empty in older models.
        pooling: From a transformer's tokens to one embedding; ``default`` as the architecture does.
        input_px: Side to which tiles are resized inside the network; None where it takes them as they are.
        encoder: Name in ``model.backbone`` of a recipe, repository or folder; empty for a timm model.
        licence: One line on the licence of the starting weights; empty where nothing is known to say.
        dropout: Dropout before the heads.
        tta_views: Test-time augmentation: number of flips and quarter turns of a tile whose logits are averaged.
        precision: Number format of the network when temperatures and operating points were chosen.
        preparation: Preparation the model is for.
        heads: The heads, in the order of the network's outputs.
        tiling: Tiling of its input slides.
        mpp_known: The model was trained at the scale in ``tiling``; False for images of unknown scale, and such a model
            refuses slides.
        images: Columns and cropping of its training images; None for a model of slides.
        attention: Attention head for whole slides; None for a model of tiles only.
        normalisation_mean: Per RGB channel, on the 0 to 1 scale.
        normalisation_std: Per RGB channel, on the 0 to 1 scale.
        temperatures: Temperature that divides each head's logits, by head name.
        operating_points: Operating point of each flagging head.
        abstention: Abstention band by head; empty in models that never abstain, such as older ones.
        validation_metrics: Metrics on validation data by name, which starts with ``selftest_`` for synthetic data.
        trained_on: The training cohort.
        ood: OOD detection; None where the model has none.
        config_sha256: Hash of the training config.
        weights_sha256: Hash of ``weights.safetensors``; of an ensemble, of its members' weights.
        members: The models of an ensemble, whose calibrated probabilities are averaged; empty for one network. Each has its
            own normalisation and temperatures: those of the ensemble itself are their mean, and empty.
    """

    version: Literal["inkdot.model/3"] = MODEL_VERSION
    inkdot: str
    backbone: str
    backbone_kwargs: dict[str, str | bool | int | float | list[int] | list[float]] = Field(
        default_factory=dict[str, str | bool | int | float | list[int] | list[float]]
    )
    pooling: Literal["default", "cls", "mean", "cls_mean", "attention"] = "default"
    input_px: int | None = Field(default=None, ge=1)
    encoder: str = ""
    licence: str = ""
    dropout: float = Field(ge=0.0, lt=1.0)
    tta_views: Literal[1, 2, 4, 8] = 1
    precision: Precision = "float32"
    preparation: Preparation
    heads: list[HeadConfig]
    tiling: TilingConfig
    mpp_known: bool = True
    images: ImagesConfig | None = None
    attention: Attention | None = None
    normalisation_mean: list[_Fraction] = Field(min_length=3, max_length=3)
    normalisation_std: list[_Positive] = Field(min_length=3, max_length=3)
    temperatures: dict[str, _Positive]
    operating_points: dict[str, OperatingPoint]
    abstention: dict[str, AbstentionBand] = Field(default_factory=dict[str, AbstentionBand])
    validation_metrics: dict[str, Interval]
    trained_on: TrainedOn
    ood: OodReference | None = None
    config_sha256: str
    weights_sha256: str
    members: list[Member] = Field(default_factory=list[Member])

    @model_validator(mode="after")
    def _of_its_heads(self) -> Self:
        classes = {head.name: head.classes for head in self.heads}
        for key in ("temperatures", "operating_points", "abstention"):
            for name in getattr(self, key):
                if name not in classes:
                    raise ValueError(f"{key}: no head is called {name!r}")
        for name, point in self.operating_points.items():
            if point.class_name not in classes[name]:
                raise ValueError(f"operating_points.{name}: the head has no class {point.class_name!r}")
        return self

    @property
    def head_records(self) -> tuple[Head, ...]:
        """The heads as records, in the order of the network's outputs."""
        return tuple(head.to_head() for head in self.heads)


def write_model_file(folder: Path, description: ModelFile) -> None:
    """Write ``model.json`` atomically."""
    # Absent parts are omitted, so that earlier programs can read the file.
    optional = ("images", "attention", "ood")
    omitted: dict[str, bool | set[str]] = {
        name: True for name in optional if getattr(description, name) is None
    }
    omitted |= {name: True for name in _BACKBONE_FIELDS if not getattr(description, name)}
    omitted |= {"pooling": True} if description.pooling == "default" else {}
    omitted |= {"tta_views": True} if description.tta_views == 1 else {}
    omitted |= {} if description.abstention else {"abstention": True}
    omitted |= {} if description.members else {"members": True}
    omitted |= {"precision": True} if description.precision == "float32" else {}
    trained_on = description.trained_on
    omitted |= {
        "trained_on": {name for name in ("mpp_range", "training_files") if not getattr(trained_on, name)}
    }
    if description.attention is not None:
        own = description.attention
        defaults = {"follows": not own.follows, "aggregator": own.aggregator == "gated_attention"}
        omitted |= {"attention": {name for name, is_default in defaults.items() if is_default}}
    values = description.model_dump(mode="json", exclude=omitted)
    text = json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False)
    write_text(ModelLayout(folder).description, text + "\n")


def read_model_file(folder: Path) -> ModelFile:
    """Read ``model.json`` and check that the weights beside it are the ones it describes.

    Raises:
        StorageError: A file is missing or damaged, of another version, or the weights are not its own.
    """
    layout = ModelLayout(folder)
    _require_file(folder, layout.description)
    try:
        data: object = json.loads(layout.description.read_text(encoding="utf-8"))
        values = cast("dict[str, object]", data) if isinstance(data, dict) else {}
        if (version := values.get("version")) not in (MODEL_VERSION, *UPGRADABLE_VERSIONS):
            raise StorageError(
                f"{layout.description}: expected version {MODEL_VERSION}, found {version}; "
                "run `inkdot train` again"
            )
        current = values if version == MODEL_VERSION else upgraded(values)
        description = ModelFile.model_validate(_with_earlier_tiling(current))
    except (json.JSONDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise StorageError(
            f"{layout.description}: expected a model description, found an error: {first_error(error)}; "
            "copy the whole model folder again"
        ) from None
    if description.members:
        check_members(folder, description.members, read_model_file)
        return description
    _require_file(folder, layout.weights)
    if file_sha256(layout.weights) != description.weights_sha256:
        raise StorageError(
            f"{layout.weights}: expected the weights that model.json describes, found others; "
            "copy the whole model folder again"
        )
    if description.ood is not None:
        _check_reference(layout.reference, description.ood)
    return description


def _require_file(folder: Path, path: Path) -> None:
    if not path.is_file():
        raise StorageError(
            f"{folder}: expected a model folder with {path.name}, found none; "
            "give the folder that `inkdot train` made (RUN/model)"
        )


def _with_earlier_tiling(values: dict[str, object]) -> dict[str, object]:
    """Settings that are not stated as they were when the model was trained: nuclei by colour, groups of any size."""
    tiling = values.get("tiling")
    if not isinstance(tiling, dict):
        return values
    return {**values, "tiling": {**_EARLIER_TILING, **cast("dict[str, object]", tiling)}}


def _check_reference(path: Path, ood: OodReference) -> None:
    if not path.is_file() or file_sha256(path) != ood.reference_sha256:
        raise StorageError(
            f"{path}: expected the OOD reference that model.json names, found "
            f"{'others' if path.is_file() else 'none'}; copy the whole model folder again"
        )


def model_sha256(folder: Path) -> str:
    """Hash of the whole model: that of model.json, which contains the hash of the weights."""
    return file_sha256(ModelLayout(folder).description)
