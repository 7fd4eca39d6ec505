"""Calibration of a trained network: temperatures, locked operating point, abstention bands, validation metrics."""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from inkdot import __version__
from inkdot.config import Config, TrainingConfig
from inkdot.datasets.class_weights import fit_temperatures
from inkdot.datasets.tile_set import TileSet
from inkdot.evaluation.head_metrics import auc_metrics, decided_rows
from inkdot.labels import Head, flag_column, flagging_head
from inkdot.metrics.decision.guarantees import (
    PatientScores,
    lock_threshold,
    one_row_per_patient,
    patient_scores,
)
from inkdot.metrics.intervals.confidence_intervals import Estimate, share_estimate
from inkdot.metrics.reliability import reliability_steps
from inkdot.model.calibrated_scores import ScoreArray, calibrated_scores
from inkdot.model.network import TileNetwork
from inkdot.model.targets import NameArray
from inkdot.storage.hashing import json_sha256
from inkdot.storage.models.model_files import ModelFile, Precision
from inkdot.storage.models.model_records import (
    AbstentionBand,
    Attention,
    Guarantee,
    OperatingPoint,
    ReliabilityStep,
    TrainedOn,
)
from inkdot.storage.models.slide_score_rule import SlideScoreRule
from inkdot.storage.schemas import MODEL_VERSION
from inkdot.training.fit.objective import TrainingData
from inkdot.training.release.abstention_band import SlideRows, head_abstention_bands, slide_abstention_band
from inkdot.training.release.deployed_network import deployed_network
from inkdot.training.release.interval_records import to_interval

REPLICATES: Final = 1000
"""Draws of the bootstrap for the metrics that a model records."""


class FlagScores(NamedTuple):
    """Slides or images of known truth, new to the model that scored them, for the operating point.

    Attributes:
        truth: Whether each is of the flag class, shape [n].
        scores: Of the flag class, float32 [n].
        patients: Shape [n].
        evaluated_on: What a slide's score is made from.
        scored_from: Tiles that the scores are made from.
        unit: What is called: patients, by their highest slide; or images one by one.
        origin: Whose scores, see :class:`inkdot.storage.models.model_records.Guarantee`.
        slide_score_rule: The rule that made the scores from those of clusters; None where they are those of the highest.
    """

    truth: npt.NDArray[np.bool_]
    scores: ScoreArray
    patients: NameArray
    evaluated_on: Literal["slides", "attention"]
    scored_from: Literal["labelled_tiles", "all_tiles"] = "all_tiles"
    unit: Literal["patients", "images"] = "patients"
    origin: Literal["validation", "out_of_fold"] = "validation"
    slide_score_rule: SlideScoreRule | None = None

    def units(self, seed: int) -> PatientScores:
        """The independent observations: one row per patient, or one image of each."""
        if self.unit == "images":
            return one_row_per_patient(self.truth, self.scores, self.patients, seed=seed)
        return patient_scores(self.truth, self.scores, self.patients)


class Locked(NamedTuple):
    """What is chosen on validation data and fixed in the model, by head."""

    operating_points: dict[str, OperatingPoint]
    abstention: dict[str, AbstentionBand]


def describe(
    network: TileNetwork,
    data: TrainingData[TileSet],
    config: Config,
    trained_on: TrainedOn,
    *,
    mpp_known: bool = True,
    images_out_of_fold: FlagScores | None = None,
) -> ModelFile:
    """Calibrate a trained network on the validation tiles, with a preliminary operating point.

    It is chosen on labelled tiles alone: :func:`lock_on` locks that of slides once all of their tiles are scored. An image is
    one tile, so that its operating point stays; ``images_out_of_fold`` are scores of images to lock it on instead.

    Tiles are scored as by `inkdot predict` (same device, precision and batch size), so that the threshold is exact for
    its scores. The network is on the CPU afterwards.

    Returns:
        The description, still without the hash of the weights.
    """
    heads, tiles, seed = config.head_records, data.validation, config.training.seed
    with deployed_network(network, config.model.precision, config.tiling.side_px) as (
        deployed,
        precision,
        score_error,
    ):
        logits = deployed.logits(tiles.tiles())
    temperatures = fit_temperatures(logits, tiles, config)
    scores = calibrated_scores(logits, heads, temperatures)
    metrics = auc_metrics(scores, tiles.targets, tiles.patients, heads, replicates=REPLICATES, seed=seed)
    return model_description(
        network,
        config,
        trained_on,
        temperatures=temperatures,
        locked=lock(
            images_out_of_fold or best_tiles(scores, tiles, flag_column(heads), images=trained_on.images),
            scores,
            tiles,
            config,
            score_error,
        ),
        metrics={data.metrics_prefix + name: estimate for name, estimate in metrics.items()},
        precision=precision,
        mpp_known=mpp_known,
    )


def lock(
    slides: FlagScores, scores: ScoreArray, tiles: TileSet, config: Config, score_error: float = 0.0
) -> Locked:
    """Choose the operating point and the abstention bands of all heads.

    Args:
        slides: Validation slides or images.
        scores: Calibrated scores of the validation tiles, shape [n, classes of all heads].
        tiles: The validation tiles with labels.
        config: The whole config.
        score_error: How far these scores may be from those of `inkdot predict`; the threshold is lowered by so much.
    """
    heads, training = config.head_records, config.training
    head = flagging_head(heads)
    reliability = (
        _reliability(scores, tiles, flag_column(heads), training.seed)
        if slides.evaluated_on == "slides"
        else []
    )
    point, band = lock_slides(slides, config, score_error)
    further = head_abstention_bands(scores, tiles.targets, tiles.patients, heads, training)
    return Locked(
        {head.name: point.model_copy(update={"reliability": reliability})},
        ({head.name: band} if band else {}) | further,
    )


def lock_slides(
    slides: FlagScores, config: Config, score_error: float = 0.0
) -> tuple[OperatingPoint, AbstentionBand | None]:
    """Choose the operating point and the abstention band of the flagging head, from scores of slides (or images) alone.

    Args:
        slides: Of known truth, at least one of them positive.
        config: The whole config.
        score_error: See :func:`lock`.
    """
    head, training = flagging_head(config.head_records), config.training
    units = slides.units(training.seed)
    point = _operating_point(slides, units, head, training, score_error)
    locked = point.guarantee is not None and point.guarantee.locked
    band = slide_abstention_band(
        SlideRows(slides.truth, slides.scores, slides.patients),
        units,
        point.threshold,
        training,
        evaluated_on=slides.evaluated_on,
        locked=locked,
        origin=slides.origin,
    )
    return point, band


def lock_on(slides: FlagScores, description: ModelFile, config: Config, score_error: float) -> ModelFile:
    """Lock the operating point and the abstention band of a stored model on scores of whole slides, as `predict` makes them.

    The reliability diagram and the bands of further heads, which are of labelled tiles, stay. Without a slide known to be
    positive so does the preliminary operating point.

    Args:
        slides: Whole slides of known truth.
        description: The model that scored them.
        config: The whole config.
        score_error: See :func:`lock`.
    """
    if not slides.truth.any():
        return description
    name = flagging_head(config.head_records).name
    point, band = lock_slides(slides, config, score_error)
    reliability = description.operating_points[name].reliability
    others = {head: own for head, own in description.abstention.items() if head != name}
    return description.model_copy(
        update={
            "operating_points": {name: point.model_copy(update={"reliability": reliability})},
            "abstention": ({name: band} if band else {}) | others,
        }
    )


def model_description(
    network: TileNetwork,
    config: Config,
    trained_on: TrainedOn,
    *,
    temperatures: dict[str, float],
    locked: Locked,
    metrics: Mapping[str, Estimate | None],
    precision: Precision,
    attention: Attention | None = None,
    mpp_known: bool = True,
) -> ModelFile:
    """The description of a calibrated network, still without the hash of the weights.

    Metrics that are undefined are left out.
    """
    spec = network.spec
    return ModelFile(
        version=MODEL_VERSION,
        inkdot=__version__,
        backbone=spec.backbone,
        backbone_kwargs=dict(spec.backbone_kwargs),
        pooling=spec.pooling,
        input_px=spec.input_px,
        encoder=spec.encoder,
        licence=spec.licence,
        dropout=spec.dropout,
        tta_views=spec.tta_views,
        precision=precision,
        preparation=config.preparation,
        heads=config.heads,
        tiling=config.tiling,
        mpp_known=mpp_known,
        images=config.images if trained_on.images else None,
        normalisation_mean=list(spec.normalisation_mean),
        normalisation_std=list(spec.normalisation_std),
        temperatures=temperatures,
        attention=attention,
        operating_points=locked.operating_points,
        abstention=locked.abstention,
        validation_metrics={
            name: interval
            for name, estimate in metrics.items()
            if (interval := to_interval(estimate)) is not None
        },
        trained_on=trained_on,
        config_sha256=json_sha256(config.model_dump(mode="json")),
        weights_sha256="",
    )


def _operating_point(
    slides: FlagScores, units: PatientScores, head: Head, training: TrainingConfig, score_error: float
) -> OperatingPoint:
    """The threshold: a tolerance limit of the positive patients where they suffice, lowered into the gap below it."""
    truth, scores, patients = slides.truth, slides.scores, slides.patients
    target, seed = training.target_sensitivity, training.seed
    own = lock_threshold(units, target, training.confidence_level, score_error=score_error)
    guarantee = Guarantee(
        locked=own.locked,
        confidence=training.confidence_level,
        patients=own.positives,
        needed=own.needed,
        bound=own.bound,
        scores=slides.origin,
    )
    called = scores >= np.float32(own.threshold)
    return OperatingPoint(
        class_name=head.flag_class or "",
        threshold=own.threshold,
        target_sensitivity=target,
        sensitivity=to_interval(share_estimate(called[truth], patients[truth], seed=seed)),
        specificity=to_interval(share_estimate(~called[~truth], patients[~truth], seed=seed)),
        evaluated_on=slides.evaluated_on,
        scored_from=slides.scored_from,
        guarantee=guarantee,
    )


def _reliability(scores: ScoreArray, tiles: TileSet, column: int, seed: int) -> list[ReliabilityStep]:
    rows, truth = decided_rows(tiles.targets, column)
    return [
        ReliabilityStep(low=step.low, high=step.high, regions=step.regions, positive=positive)
        for step in reliability_steps(truth, scores[rows, column], tiles.patients[rows], seed=seed)
        if (positive := to_interval(step.positive)) is not None
    ]


def best_tiles(scores: ScoreArray, tiles: TileSet, column: int, *, images: bool = False) -> FlagScores:
    """Each slide (or image) with the score of its best truly positive tile, else of its highest tile.

    For images, which are one tile each, and for a preliminary operating point of slides. Slides, not tiles, choose the
    threshold: a slide is flagged by its highest tile, and the highest of hundreds of benign tiles exceeds any threshold that
    was chosen to reach most malignant ones.
    """
    rows, truth = decided_rows(tiles.targets, column)
    own = scores[rows, column]
    names, owner = np.unique(tiles.slides[rows], return_inverse=True)
    positive = np.bincount(owner, weights=truth, minlength=len(names)) > 0
    counts = truth | ~positive[owner]
    best = np.full(len(names), -np.inf, np.float32)
    np.maximum.at(best, owner[counts], own[counts])
    _, first = np.unique(owner, return_index=True)
    return FlagScores(
        truth=positive,
        scores=best,
        patients=tiles.patients[rows][first],
        evaluated_on="slides",
        scored_from="labelled_tiles",
        unit="images" if images else "patients",
    )
