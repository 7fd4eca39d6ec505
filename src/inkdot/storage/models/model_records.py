"""Parts of ``model/model.json``: metrics with intervals, operating points, the training cohort."""

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from inkdot.config import Aggregator

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]


class Recorded(BaseModel):
    """A frozen record that refuses unknown keys and numbers that are not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Interval(Recorded):
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


class ReliabilityStep(Recorded):
    """One bin of the reliability diagram on validation data.

    Attributes:
        low: Lower edge of the bin, a score from 0 to 1.
        high: Upper edge of the bin.
        regions: Number of labelled validation tiles with such a score.
        positive: Fraction (0 to 1) of them whose label is the flag class.
    """

    low: Fraction
    high: Fraction
    regions: int = Field(ge=0)
    positive: Interval


class Guarantee(Recorded):
    """What holds, with a confidence, for further patients like those of the validation data.

    Attributes:
        locked: The target is guaranteed. Otherwise the patients are too few (or wrong calls too many), and what was chosen
            instead reaches the target on them at best on average.
        confidence: The confidence that was asked for, 0 to 1 (``training.confidence_level``).
        patients: Number of patients that the statement rests on: the positive ones for a sensitivity, all for a share of
            wrong calls. Of images, one per group.
        needed: The fewest with which the target could be guaranteed, if none of them were missed or called wrongly.
        bound: What can be guaranteed with these patients: the sensitivity is at least this, the selective risk at most.
        scores: Whose scores: of ``validation`` patients, by the model itself; or ``out_of_fold``, of all patients, each by a
            model that was trained without him.
    """

    locked: bool
    confidence: Fraction
    patients: int = Field(ge=0)
    needed: int = Field(ge=1)
    bound: Fraction
    scores: Literal["validation", "out_of_fold"] = "validation"


class OperatingPoint(Recorded):
    """The threshold of a head, chosen on validation data and fixed in the model.

    Attributes:
        class_name: The class that is called at or above the threshold.
        threshold: Score, 0 to 1.
        target_sensitivity: Requested sensitivity, 0 to 1.
        sensitivity: Sensitivity on the validation slides (or images) whose truth is known.
        specificity: Specificity there.
        evaluated_on: Unit of evaluation: ``slides``, each with the score that follows from its highest cluster (on the grid, or
            of labelled tiles: tile); ``tiles``; or ``attention``, slides with the score of the aggregator.
        scored_from: Tiles from which the scores of those slides were made: all, as `predict` does, or the labelled ones
            alone, as in older models. An image is one tile.
        reliability: Reliability diagram there; empty in older models.
        guarantee: Whether the target sensitivity is guaranteed; None in older models, of which nothing is known.
    """

    class_name: str
    threshold: float = Field(ge=0.0, le=1.0)
    target_sensitivity: Fraction
    sensitivity: Interval | None
    specificity: Interval | None
    evaluated_on: Literal["slides", "tiles", "attention"] = "slides"
    scored_from: Literal["labelled_tiles", "all_tiles"] = "labelled_tiles"
    reliability: list[ReliabilityStep] = Field(default_factory=list[ReliabilityStep])
    guarantee: Guarantee | None = None

    @property
    def lock_note(self) -> str:
        """One line where the target is not guaranteed; empty where it is, and for older models."""
        own = self.guarantee
        if own is None or own.locked:
            return ""
        positives = "1 positive" if own.patients == 1 else f"{own.patients} positives"
        return (
            f"not enough patients to lock: {positives}; with {own.needed} one could promise a sensitivity of "
            f"{self.target_sensitivity:g} (confidence {own.confidence:g}); calls are not guaranteed"
        )


class AbstentionBand(Recorded):
    """Scores at which a head abstains, chosen on validation data for a target selective risk and fixed in the model.

    Attributes:
        low: The flagging head abstains for scores between this and ``high``; None for other heads.
        high: From this score on a call is made: flagged, or, for other heads, the most probable class. None where no score
            reaches the target risk.
        target_selective_risk: Requested fraction (0 to 1) of wrong calls among all calls.
        selective_risk: That fraction on the validation data; None where no call was made there.
        coverage: Fraction (0 to 1) of the validation data on which a call was made.
        evaluated_on: Unit of evaluation, see :class:`OperatingPoint`.
        guarantee: Whether the target is guaranteed; None in older models, and for heads without a flag class.
    """

    low: float | None = Field(default=None, ge=0.0, le=1.0)
    high: float | None = Field(ge=0.0, le=1.0)
    target_selective_risk: Fraction
    selective_risk: Interval | None
    coverage: Interval
    evaluated_on: Literal["slides", "tiles", "attention"]
    guarantee: Guarantee | None = None

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


class Attention(Recorded):
    """The attention head of a model, trained by MIL on labels of whole slides.

    Attributes:
        hidden: Width of its hidden layers, or of the tokens of transmil; 0 where the aggregator has none.
        slides_per_class: Number of training slides with a slide label per ``<head>.<class>`` (soft targets by weight).
        start: What the backbone was trained on before: labelled ``tiles``, ``pseudo-labels`` from the labels of slides
            tiles without labels (``self-supervised``, in older models only), ``pretrained`` weights, or nothing
            (``scratch``).
        aggregator: How the logits of a slide are made from those of its tiles; left out of the file for gated attention.
        slide_temperatures: Of transmil: temperature that divides each head's logits of a slide, by head name; other aggregators
            have one temperature for tiles and slides, and the file leaves this out.
        follows: Attention logits are added to each tile's margin for the flag class; False in older models.
    """

    hidden: int = Field(ge=0)
    slides_per_class: dict[str, float]
    start: Literal["tiles", "pseudo-labels", "self-supervised", "pretrained", "scratch"]
    follows: bool = False
    aggregator: Aggregator = "gated_attention"
    slide_temperatures: dict[str, Positive] = Field(default_factory=dict[str, Positive])


class ReferenceScores(Recorded):
    """What the network gives for fixed tiles, in PyTorch in float32 on a CPU, for comparison wherever it runs.

    Attributes:
        tiles: Name of the tiles, which are made from nothing: see :func:`inkdot.model.reference_scores.reference_tiles`.
        logits: Of the classes of all heads, before the temperature, one row for each tile; 7 significant digits.
        made_with: Versions of what computed them.
    """

    tiles: Literal["blobs/1"] = "blobs/1"
    logits: list[list[float]]
    made_with: str


class OodReference(Recorded):
    """Out-of-distribution (OOD) detection: embeddings of training tiles in ``reference.safetensors``, and a limit.

    Attributes:
        limit: Median OOD distance over a slide's tiles above which the slide is out of distribution. A further slide like the
            validation slides exceeds it with a probability of 1 %.
        slides: Number of validation slides from which the limit is estimated.
        tiles: Number of training tiles in the reference.
        reference_sha256: Hash of the file.
        false_alarm_rate: Of a model of images, whose ``limit`` is for single images: share (0 to 1) of images like those of
            validation above it; ``slides`` counts images.
        batch_limit: Of a model of images: the limit for the median of a batch of images, or of a slide's tiles.
        auroc: How well the distance tells corrupted validation tiles from the same tiles as they are: AUROC by shift, such as
            ``blur 1 µm``; empty where it was not measured.
    """

    limit: float = Field(gt=0.0)
    slides: int
    tiles: int
    reference_sha256: str
    false_alarm_rate: Fraction | None = None
    batch_limit: Positive | None = None
    auroc: dict[str, Interval] = Field(default_factory=dict[str, Interval])

    @property
    def median_limit(self) -> float:
        """The limit for the median over the tiles of a slide, or over a batch of images."""
        return self.batch_limit or self.limit


class TrainedOn(Recorded):
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
    mpp_range: tuple[Positive, Positive] | None = None
    training_files: list[str] = Field(default_factory=list[str])
