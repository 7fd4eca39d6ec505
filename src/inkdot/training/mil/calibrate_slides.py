"""Calibration and operating point of a network with attention: as for tiles, but on whole slides."""

import numpy as np

from inkdot.config import Config
from inkdot.datasets.bags import BagSet, labelled_subset
from inkdot.datasets.class_weights import fit_temperatures
from inkdot.datasets.tile_set import TileSet
from inkdot.evaluation.head_metrics import auc_metrics, decided_rows
from inkdot.labels import Head, flag_column, head_slices
from inkdot.metrics.intervals.confidence_intervals import Estimate
from inkdot.metrics.slides.attention_pooling import attention_pool
from inkdot.model.calibrated_scores import ScoreArray, calibrated_scores
from inkdot.model.network import TileNetwork
from inkdot.model.predictor import slide_attention
from inkdot.model.runtimes.batches import LogitArray
from inkdot.storage.models.model_files import ModelFile
from inkdot.storage.models.model_records import Attention, TrainedOn
from inkdot.training.fit.objective import TrainingData
from inkdot.training.mil.mil_objective import fit_slide_temperatures, pooled_bags
from inkdot.training.release.calibrate import REPLICATES, FlagScores, lock, model_description
from inkdot.training.release.deployed_network import deployed_network


def describe_slides(
    network: TileNetwork,
    data: TrainingData[BagSet],
    tiles: TileSet,
    config: Config,
    trained_on: TrainedOn,
    attention: Attention,
    prefix: str,
) -> ModelFile:
    """Calibrate and lock a trained network with attention on the validation slides.

    One temperature per head serves slides and tiles, so that no slide scores above its best tile and a flagged
    slide always has a flagged region. It is fitted on slides where their labels are known, else on tiles.

    A transformer's logits of a slide are no mean of those of its tiles: it has temperatures of its own.

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
    heads, bags, known = config.head_records, data.validation, labelled_subset(tiles)
    with deployed_network(network, config.model.precision, config.tiling.side_px) as (
        deployed,
        precision,
        score_error,
    ):
        logits, of_tiles = deployed.logits(bags.tiles.tiles()), deployed.logits(known.tiles())
    temperatures = fit_temperatures(of_tiles, known, config) if len(known) else {h.name: 1.0 for h in heads}
    pooled = pooled_bags(logits, bags, heads, network)
    of_slides = fit_slide_temperatures(pooled, bags, config)
    if attention.aggregator == "transmil":
        attention = attention.model_copy(update={"slide_temperatures": of_slides})
        scores = calibrated_scores(pooled, heads, of_slides)
    else:
        temperatures |= of_slides
        scores = bag_scores(logits, bags, heads, temperatures)
    tile_scores = calibrated_scores(of_tiles, heads, temperatures)

    def metrics(start: str, own: ScoreArray, of: BagSet | TileSet) -> dict[str, Estimate | None]:
        found = auc_metrics(
            own, of.targets, of.patients, heads, replicates=REPLICATES, seed=config.training.seed
        )
        return {start + name: estimate for name, estimate in found.items()}

    rows, truth = decided_rows(bags.targets, flag_column(heads))
    slides = FlagScores(
        truth, scores[rows, flag_column(heads)], bags.patients[rows], "attention", "labelled_tiles"
    )
    return model_description(
        network,
        config,
        trained_on,
        temperatures=temperatures,
        locked=lock(slides, tile_scores, known, config, score_error),
        metrics=metrics(f"{prefix}slide_", scores, bags)
        | (metrics(prefix, tile_scores, known) if len(known) else {}),
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
