"""Calibration of a trained network: temperatures, locked operating point, abstention bands, validation metrics."""

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from inkdot import __version__
from inkdot.config import Config, TrainingConfig
from inkdot.datasets.class_weights import fit_temperatures
from inkdot.datasets.tile_set import TileSet
from inkdot.evaluation.head_metrics import HeadClass, auc_metrics, decided_rows, head_classes
from inkdot.labels import flagging_head
from inkdot.metrics.confidence_intervals import Estimate, share_estimate
from inkdot.metrics.reliability import reliability_steps
from inkdot.metrics.thresholds import threshold_for_sensitivity
from inkdot.model.network import TileNetwork
from inkdot.model.predictor import ScoreArray, calibrated_scores
from inkdot.model.targets import NameArray
from inkdot.storage.hashing import json_sha256
from inkdot.storage.model_files import (
    AbstentionBand,
    Attention,
    ModelFile,
    OperatingPoint,
    Precision,
    ReliabilityStep,
    TrainedOn,
)
from inkdot.storage.schemas import MODEL_VERSION
from inkdot.training.fit.trainer import TileData
from inkdot.training.release.abstention_band import head_abstention_bands, slide_abstention_band
from inkdot.training.release.deployed_network import deployed_network
from inkdot.training.release.interval_records import to_interval

_STEPS = 10_000
"""Thresholds are locked in steps of 1/10,000: finer ones would separate validation slides, not patients."""


def describe(
    network: TileNetwork, data: TileData, config: Config, trained_on: TrainedOn, *, mpp_known: bool = True
) -> ModelFile:
    """Calibrate a trained network on the validation tiles and lock its operating point.

    Tiles are scored as by `inkdot predict` (same device, precision and batch size), so that the threshold is exact for
    its scores. The network is on the CPU afterwards.

    Returns:
        The description, still without the hash of the weights.
    """
    heads, tiles = config.head_records, data.validation
    with deployed_network(network, config.model.precision, config.tiling.side_px) as (deployed, precision):
        logits = deployed.logits(tiles.tiles())
    temperatures = fit_temperatures(logits, tiles, config)
    scores = calibrated_scores(logits, heads, temperatures)
    head = flagging_head(heads)
    head_class = next(
        own for own in head_classes(heads) if own.head == head.name and own.class_name == head.flag_class
    )
    point = _operating_point(head_class, scores, tiles, config.training)
    abstained = slide_abstention_band(
        *_slides(head_class, scores, tiles), point.threshold, config.training, evaluated_on="slides"
    )
    further = head_abstention_bands(scores, tiles.targets, tiles.patients, heads, config.training)
    metrics = auc_metrics(
        scores, tiles.targets, tiles.patients, heads, replicates=1000, seed=config.training.seed
    )
    return model_description(
        network,
        config,
        trained_on,
        temperatures=temperatures,
        operating_points={head.name: point},
        abstention=({head.name: abstained} if abstained else {}) | further,
        metrics={data.metrics_prefix + name: estimate for name, estimate in metrics.items()},
        precision=precision,
        mpp_known=mpp_known,
    )


def model_description(
    network: TileNetwork,
    config: Config,
    trained_on: TrainedOn,
    *,
    temperatures: dict[str, float],
    operating_points: dict[str, OperatingPoint],
    metrics: Mapping[str, Estimate | None],
    abstention: dict[str, AbstentionBand],
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
        operating_points=operating_points,
        abstention=abstention,
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
    head_class: HeadClass, scores: ScoreArray, tiles: TileSet, training: TrainingConfig
) -> OperatingPoint:
    """The highest threshold at which enough positive slides are flagged, each by a truly positive tile.

    Slides, not tiles: a slide is flagged by its highest tile, and the highest of hundreds of benign tiles exceeds any
    threshold that was chosen to reach most malignant ones.
    """
    truth, own, patients = _slides(head_class, scores, tiles)
    point = locked_point(head_class, truth, own, patients, training)
    return point.model_copy(update={"reliability": _reliability(head_class, scores, tiles, training.seed)})


def locked_point(
    head_class: HeadClass,
    truth: npt.NDArray[np.bool_],
    own: ScoreArray,
    patients: NameArray,
    training: TrainingConfig,
    *,
    evaluated_on: Literal["slides", "attention"] = "slides",
) -> OperatingPoint:
    """The operating point of slides with known truth and score, shape [n] each."""
    target, seed = training.target_sensitivity, training.seed
    # Rounded down: another runtime's last digits must not unflag the very slide that set the threshold.
    threshold = math.floor(threshold_for_sensitivity(truth, own, target) * _STEPS) / _STEPS
    called = own >= threshold
    return OperatingPoint(
        class_name=head_class.class_name,
        threshold=threshold,
        target_sensitivity=target,
        sensitivity=to_interval(share_estimate(called[truth], patients[truth], seed=seed)),
        specificity=to_interval(share_estimate(~called[~truth], patients[~truth], seed=seed)),
        evaluated_on=evaluated_on,
    )


def _reliability(
    head_class: HeadClass, scores: ScoreArray, tiles: TileSet, seed: int
) -> list[ReliabilityStep]:
    rows, truth = decided_rows(tiles.targets, head_class.column)
    return [
        ReliabilityStep(low=step.low, high=step.high, regions=step.regions, positive=positive)
        for step in reliability_steps(truth, scores[rows, head_class.column], tiles.patients[rows], seed=seed)
        if (positive := to_interval(step.positive)) is not None
    ]


def _slides(
    head_class: HeadClass, scores: ScoreArray, tiles: TileSet
) -> tuple[npt.NDArray[np.bool_], ScoreArray, NameArray]:
    """Truth, score and patient of each slide (or image): its best truly positive tile, else its highest tile."""
    rows, truth = decided_rows(tiles.targets, head_class.column)
    own = scores[rows, head_class.column]
    names, owner = np.unique(tiles.slides[rows], return_inverse=True)
    positive = np.bincount(owner, weights=truth, minlength=len(names)) > 0
    counts = truth | ~positive[owner]
    best = np.full(len(names), -np.inf, np.float32)
    np.maximum.at(best, owner[counts], own[counts])
    _, first = np.unique(owner, return_index=True)
    return positive, best, tiles.patients[rows][first]
