"""Calibration and operating point of a network with attention: as for tiles, but on whole slides."""

import numpy as np

from inkdot.config import Config
from inkdot.datasets.bags import BagSet, labelled_subset
from inkdot.datasets.class_weights import fit_temperatures
from inkdot.datasets.tile_set import TileSet
from inkdot.evaluation.head_metrics import auc_metrics, decided_rows, head_classes
from inkdot.labels import Head, flagging_head
from inkdot.metrics.attention_pooling import attention_pool
from inkdot.model.batches import LogitArray
from inkdot.model.network import TileNetwork
from inkdot.model.predictor import ScoreArray, calibrated_scores, slide_attention
from inkdot.model.targets import head_slices
from inkdot.storage.model_files import Attention, ModelFile, TrainedOn
from inkdot.training.mil.mil_objective import BagData, fit_slide_temperatures, pooled_bags
from inkdot.training.release.abstention_band import head_abstention_bands, slide_abstention_band
from inkdot.training.release.calibrate import locked_point, model_description
from inkdot.training.release.deployed_network import deployed_network

_REPLICATES = 1000


def describe_slides(
    network: TileNetwork,
    data: BagData,
    tiles: TileSet,
    config: Config,
    trained_on: TrainedOn,
    attention: Attention,
    prefix: str,
) -> ModelFile:
    """Calibrate and lock a trained network with attention on the validation slides.

    One temperature per head serves slides and tiles, so that no slide scores above its best tile and a flagged
    slide always has a flagged region. It is fitted on slides where their labels are known, else on tiles.

    Args:
        network: Trained, on the CPU, where it is again afterwards.
        data: The slides.
        tiles: Validation tiles, labelled or not.
        config: The whole config.
        trained_on: The cohort.
        attention: Record of the slides that attention was trained on.
        prefix: Put before the names of metrics.

    Returns:
        The description, still without the hash of the weights.
    """
    heads, bags = config.head_records, data.validation
    known = labelled_subset(tiles)
    with deployed_network(network, config.model.precision, config.tiling.side_px) as (deployed, precision):
        logits, of_tiles = deployed.logits(bags.tiles.tiles()), deployed.logits(known.tiles())
    temperatures = fit_temperatures(of_tiles, known, config) if len(known) else {h.name: 1.0 for h in heads}
    temperatures |= fit_slide_temperatures(pooled_bags(logits, bags, heads), bags, config)
    slides = bag_scores(logits, bags, heads, temperatures)
    head = flagging_head(heads)
    head_class = next(
        q for q in head_classes(heads) if q.head == head.name and q.class_name == head.flag_class
    )
    rows, truth = decided_rows(bags.targets, head_class.column)
    own, patients = slides[rows, head_class.column].astype(np.float32), bags.patients[rows]
    seed = config.training.seed
    metrics = {
        f"{prefix}slide_{name}": estimate
        for name, estimate in auc_metrics(
            slides, bags.targets, bags.patients, heads, replicates=_REPLICATES, seed=seed
        ).items()
    }
    if len(known):
        scores = calibrated_scores(of_tiles, heads, temperatures)
        found = auc_metrics(scores, known.targets, known.patients, heads, replicates=_REPLICATES, seed=seed)
        metrics |= {prefix + name: estimate for name, estimate in found.items()}
    point = locked_point(head_class, truth, own, patients, config.training, evaluated_on="attention")
    abstained = slide_abstention_band(
        truth, own, patients, point.threshold, config.training, evaluated_on="attention"
    )
    further = head_abstention_bands(
        calibrated_scores(of_tiles, heads, temperatures),
        known.targets,
        known.patients,
        heads,
        config.training,
    )
    return model_description(
        network,
        config,
        trained_on,
        temperatures=temperatures,
        operating_points={head.name: point},
        abstention=({head.name: abstained} if abstained else {}) | further,
        metrics=metrics,
        precision=precision,
        attention=attention,
    )


def bag_scores(
    logits: LogitArray, bags: BagSet, heads: tuple[Head, ...], temperatures: dict[str, float]
) -> ScoreArray:
    """Probabilities of slides as `inkdot predict` makes them of its tables, float32 [bags, classes of all heads]."""
    scores, slices = calibrated_scores(logits, heads, temperatures), head_slices(heads)
    found = np.empty((len(bags.slides), scores.shape[1]), np.float32)
    for bag in range(len(bags.slides)):
        rows = bags.rows(bag)
        for head in heads:
            weights = slide_attention(logits[rows], heads, head)
            found[bag, slices[head.name]] = attention_pool(scores[rows][:, slices[head.name]], weights)
    return found
