"""``model/model.json``: description of a model, with its operating points and validation metrics."""

import json
from pathlib import Path
from typing import Final, Literal, Self, cast

from pydantic import Field, model_validator

from inkdot.bounded_json import parse_json
from inkdot.config import HeadConfig, ImagesConfig, TilingConfig
from inkdot.errors import StorageError
from inkdot.labels import Head
from inkdot.records import Preparation
from inkdot.storage.atomic import write_text
from inkdot.storage.hashing import file_sha256
from inkdot.storage.layout import ModelLayout
from inkdot.storage.models.ensemble_files import Member, check_members
from inkdot.storage.models.model_records import (
    AbstentionBand,
    Attention,
    Fraction,
    Interval,
    OodReference,
    OperatingPoint,
    Positive,
    Recorded,
    ReferenceScores,
    TrainedOn,
)
from inkdot.storage.models.model_upgrade import UPGRADABLE_VERSIONS, upgraded
from inkdot.storage.models.slide_score_rule import SlideScoreRule
from inkdot.storage.record_json import first_error
from inkdot.storage.schemas import MODEL_VERSION

Precision = Literal["float32", "bfloat16"]

_EARLIER_TILING: Final[dict[str, object]] = {"cell_finder": "classical", "fields": False}
"""Settings of tiling that models made before these keys were trained with."""


_BACKBONE_FIELDS: Final = ("backbone_kwargs", "input_px", "encoder", "licence")
"""Omitted where empty."""


class ModelFile(Recorded):
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
        slide_score_rule: How the score of a slide follows from that of its highest cluster and their number; None where it is
            that of the highest cluster (older models, few benign slides) or by attention.
        validation_metrics: Metrics on validation data by name, which starts with ``selftest_`` for synthetic data.
        trained_on: The training cohort.
        ood: OOD detection; None where the model has none.
        reference_scores: What the network gives for fixed tiles; None in models made before version 5, and in ensembles, whose
            members have their own.
        config_sha256: Hash of the training config.
        weights_sha256: Hash of ``weights.safetensors``; of an ensemble, of its members' weights.
        members: The models of an ensemble, whose calibrated probabilities are averaged; empty for one network. Each has its
            own normalisation and temperatures: those of the ensemble itself are their mean, and empty.
    """

    version: Literal["inkdot.model/5"] = MODEL_VERSION
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
    normalisation_mean: list[Fraction] = Field(min_length=3, max_length=3)
    normalisation_std: list[Positive] = Field(min_length=3, max_length=3)
    temperatures: dict[str, Positive]
    operating_points: dict[str, OperatingPoint]
    abstention: dict[str, AbstentionBand] = Field(default_factory=dict[str, AbstentionBand])
    slide_score_rule: SlideScoreRule | None = None
    validation_metrics: dict[str, Interval]
    trained_on: TrainedOn
    ood: OodReference | None = None
    reference_scores: ReferenceScores | None = None
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

    @property
    def lock_notes(self) -> list[str]:
        """A line for each operating point whose target is not guaranteed; it goes with every prediction."""
        return [point.lock_note for point in self.operating_points.values() if point.lock_note]


def write_model_file(folder: Path, description: ModelFile) -> None:
    """Write ``model.json`` atomically."""
    # Absent parts are omitted, so that earlier programs can read the file.
    optional = ("images", "attention", "ood", "slide_score_rule", "reference_scores")
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
        defaults = {
            "follows": not own.follows,
            "aggregator": own.aggregator == "gated_attention",
            "slide_temperatures": not own.slide_temperatures,
        }
        omitted |= {"attention": {name for name, is_default in defaults.items() if is_default}}
    if description.ood is not None:
        ood = description.ood
        omitted |= {
            "ood": {name for name in ("false_alarm_rate", "batch_limit", "auroc") if not getattr(ood, name)}
        }
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
        data: object = parse_json(layout.description.read_text(encoding="utf-8"))
        values = cast("dict[str, object]", data) if isinstance(data, dict) else {}
        if (version := values.get("version")) not in (MODEL_VERSION, *UPGRADABLE_VERSIONS):
            raise StorageError(
                f"{layout.description}: expected version {MODEL_VERSION}, found {version}; "
                "run `inkdot train` again"
            )
        current = values if version == MODEL_VERSION else upgraded(values)
        description = ModelFile.model_validate(_with_earlier_tiling(current))
    except ValueError as error:
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
