"""A stored model on all tiles of its validation slides: slide-level metrics, and the limit of the OOD distance."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from inkdot.datasets.cohort import Cohort, patient
from inkdot.datasets.tile_cache import LabelledTiles
from inkdot.datasets.tile_set import TileSet, evenly_spread
from inkdot.errors import SlideError
from inkdot.labels import flag_column, flagging_head
from inkdot.metrics.intervals.confidence_intervals import Estimate
from inkdot.metrics.ood_distance import OodNeighbours
from inkdot.metrics.slides.slide_level import (
    NO_KNOWN_REGION,
    SlidePredictions,
    slide_metrics,
    subgroup_metrics,
)
from inkdot.metrics.slides.subgroups import subgroup_notes
from inkdot.model.network import TileNetwork
from inkdot.model.ood_reference import MOST_TILES, fit_ood_reference, make_ood_distance, write_ood_reference
from inkdot.model.predictor import Backend, Predicted, Predictor, ScoreArray, slide_score
from inkdot.model.runtimes.batches import FeatureArray
from inkdot.pipeline.scoring.infer_tiles import InferredSlide, infer_tiles
from inkdot.pipeline.scoring.score_embeddings import infer_from_embeddings
from inkdot.storage.layout import ModelLayout, RunLayout
from inkdot.storage.models.model_files import ModelFile, write_model_file
from inkdot.storage.models.model_records import Interval
from inkdot.storage.models.slide_score_rule import SlideScoreRule
from inkdot.storage.schemas import TILES_VERSION
from inkdot.storage.tables.parquet_tables import read_table
from inkdot.training.release.calibrate import FlagScores, lock_on
from inkdot.training.release.deployed_network import deployed_network
from inkdot.training.release.interval_records import to_interval
from inkdot.training.release.slide_score import fit_slide_score, highest_score
from inkdot.training.run_context import RunContext

NO_POSITIVE_SLIDE: Final = (
    "The operating point is preliminary: no validation slide is known to be positive and has a score, so it was chosen on "
    "labelled tiles."
)

GROUPS = ("site", "scanner", "stain", "preparation")


class WholeSlide(NamedTuple):
    """A slide with the scores of all its tiles.

    Attributes:
        tiles: The slide.
        score: Of the flag class, 0 to 1, as `predict` makes it; NaN where it has no tile or too little to predict from.
        distance: Median of its tiles' OOD distances; NaN where the model has none.
        highest: Scores of the flag class of its clusters (on the grid: tiles), 0 to 1, shape [candidates].
    """

    tiles: LabelledTiles
    score: float
    distance: float
    highest: ScoreArray


def validate_whole_slides(
    description: ModelFile,
    network: TileNetwork,
    training: TileSet,
    cohort: Cohort,
    context: RunContext,
    tables: RunLayout,
    out_of_fold: FlagScores | None = None,
) -> tuple[ModelFile, list[str]]:
    """Lock a stored model on whole validation slides, add their metrics and the OOD reference, and write its description again.

    Training uses a sample of the labelled tiles; a slide is predicted from all of its tiles, so the operating point and the
    abstention band are locked on all of them too (docs/explanation/decisions/0200). An image is one tile: there is nothing to
    add.

    Args:
        description: As stored in the run folder.
        network: Its network, on the CPU, where it is again afterwards.
        training: Its training tiles.
        cohort: The slides or images.
        context: The run, whose folder holds the model.
        tables: Where the slides are tiled.
        out_of_fold: Scores of all patients to lock on; those of the validation slides where None.

    Returns:
        The description as written, and lines for the card.
    """
    if cohort.images:
        return description, []
    model = context.layout.model
    with deployed_network(network, context.config.model.precision, context.config.tiling.side_px) as (
        deployed,
        _,
        score_error,
    ):
        reference = _reference(deployed, training)
        predictor = Predictor(model, runtime="torch", network=deployed)
        predictor.ood_distance = make_ood_distance(reference) if reference else None
        slides = list(predict_whole_slides(cohort.of("validation"), tables, predictor, context))
    distances = [slide.distance for slide in slides if not np.isnan(slide.distance)]
    ood = write_ood_reference(model, reference, distances) if reference else None
    units, rule_notes = fitted_slide_scores(slides, description, "validation")
    if out_of_fold is not None:
        units, rule_notes = out_of_fold, []
    slides = rescored(slides, description, units.slide_score_rule)
    description = description.model_copy(update={"slide_score_rule": units.slide_score_rule})
    description = lock_on(units, description, context.config, score_error)
    results = slide_results(slides, description)
    found = slide_metrics(results, ks=())
    metrics = description.validation_metrics | _named(found, cohort)
    notes = subgroup_notes(found, subgroup_metrics(results))
    notes += rule_notes
    if ood is None:
        ModelLayout(model).reference.unlink(missing_ok=True)
        notes.append(
            "It cannot recognise out-of-distribution slides: too few training tiles or validation slides."
        )
    if not units.truth.any():
        notes.append(NO_POSITIVE_SLIDE)
    complete = description.model_copy(update={"validation_metrics": metrics, "ood": ood})
    write_model_file(model, complete)
    return complete, notes


def predict_whole_slides(
    slides: Sequence[LabelledTiles], layout: RunLayout, predictor: Predictor, context: RunContext
) -> Iterator[WholeSlide]:
    """Score all tiles of tiled slides; a slide that cannot be read is named and skipped.

    Args:
        slides: The slides.
        layout: Where they are tiled.
        predictor: The model in the run folder.
        context: The run; its embeddings, where it has some, stand for pixels.
    """
    context.print([f"Scoring all tiles of {len(slides)} slides."])
    for own in slides:
        table, footer = read_table(layout.tiles(own.entry.slide_id), TILES_VERSION)
        try:
            inferred = (
                infer_tiles(own.entry, table, predictor, str(footer["slide_fingerprint"]))
                if context.embeddings_of is None
                else infer_from_embeddings(
                    context.embeddings_of(own.entry.slide_id), context.layout.model, predictor
                )
            )
        except SlideError as error:
            context.print([f"{own.entry.slide_id}: not scored: {error}"])
            continue
        yield _whole(own, table, footer, inferred, predictor.description)


def fitted_slide_scores(
    slides: Sequence[WholeSlide], model: ModelFile, origin: Literal["validation", "out_of_fold"]
) -> tuple[FlagScores, list[str]]:
    """Fit how a slide's score depends on the number of its clusters, and the scores by that rule that a model is locked on.

    Args:
        slides: Whole slides that the model, or of several folds the model that scored them, was not trained on.
        model: The model. With attention a slide's score stays that of the attention.
        origin: Which slides these are.

    Returns:
        The scores, and lines for the card. Their rule is None with attention, with few benign slides, and without a positive
        slide, on which alone a threshold for such scores can be chosen.
    """
    raw = whole_slide_scores(slides, model)
    if model.attention is not None or not raw.truth.any():
        return raw._replace(origin=origin), []
    truth = slide_results(slides, model).truth
    scored = ~np.isnan([slide.score for slide in slides])
    rule, note = fit_slide_score(
        [slide.highest for slide in slides],
        np.where(scored, truth, np.nan),
        np.array([patient(slide.tiles) for slide in slides], np.str_),
        origin,
    )
    found = whole_slide_scores(rescored(slides, model, rule), model)
    return found._replace(origin=origin, slide_score_rule=rule), [note] if rule is None else []


def rescored(slides: Sequence[WholeSlide], model: ModelFile, rule: SlideScoreRule | None) -> list[WholeSlide]:
    """The slides with their scores by a rule; those by attention, and missing ones, stay."""
    if model.attention is not None:
        return list(slides)
    return [
        own if np.isnan(own.score) else own._replace(score=highest_score(own.highest, rule)) for own in slides
    ]


def whole_slide_scores(slides: Sequence[WholeSlide], model: ModelFile) -> FlagScores:
    """The slides that an operating point is locked on: those with a score whose truth is known.

    A slide is positive or negative by its own label; without one it is positive where a tile is labelled so, and negative where
    every tile is labelled otherwise. A slide with a few benign labels and other tiles without any is neither: nobody has said
    that the rest is benign.

    Args:
        slides: Whole slides, as `predict` scores them.
        model: The model, whose kind of slide score is recorded.
    """
    results = slide_results(slides, model)
    rows = ~np.isnan(results.truth) & ~np.isnan(results.scores)
    return FlagScores(
        truth=results.truth[rows] > 0.5,
        scores=results.scores[rows].astype(np.float32),
        patients=results.patients[rows],
        evaluated_on="attention" if model.attention is not None else "slides",
    )


def slide_results(slides: Sequence[WholeSlide], model: ModelFile) -> SlidePredictions:
    """Whole slides as the metrics take them."""
    head, column = flagging_head(model.head_records), flag_column(model.head_records)
    targets = [slide.tiles.slide_targets for slide in slides]
    truth = np.array([np.nan if own is None else own[column] for own in targets], np.float64)
    scores = np.array([slide.score for slide in slides], np.float64)
    threshold = np.float32(model.operating_points[head.name].threshold)
    return SlidePredictions(
        patients=np.array([patient(slide.tiles) for slide in slides], np.str_),
        truth=np.where(truth == 0.5, np.nan, truth),
        scores=scores,
        flagged=np.nan_to_num(scores, nan=-1.0).astype(np.float32) >= threshold,
        hit_ranks=np.full(len(slides), NO_KNOWN_REGION),
        groups={
            name: np.array([str(getattr(slide.tiles.entry, name) or "") for slide in slides], np.str_)
            for name in GROUPS
        },
    )


def _named(metrics: Mapping[str, Estimate], cohort: Cohort) -> dict[str, Interval]:
    """Metrics on whole slides, as ``model.json`` records them."""
    own = ((name, to_interval(estimate)) for name, estimate in metrics.items())
    return {
        f"{cohort.metrics_prefix}whole_slide_{name}": metric for name, metric in own if metric is not None
    }


def _whole(
    own: LabelledTiles, table: pa.Table, footer: dict[str, object], inferred: InferredSlide, model: ModelFile
) -> WholeSlide:
    assessment = footer.get("assessment")
    adequate = not isinstance(assessment, dict) or bool(assessment.get("adequate", True))  # pyright: ignore
    has_score = len(table) > 0 and adequate
    highest = _by_cluster(inferred.predicted.scores[:, flag_column(model.head_records)], table)
    return WholeSlide(
        own,
        _slide_score(inferred.predicted, highest, model) if has_score else np.nan,
        np.nan
        if inferred.ood_distances is None or not len(table)
        else float(np.median(inferred.ood_distances)),
        highest,
    )


def _by_cluster(scores: ScoreArray, table: pa.Table) -> ScoreArray:
    """The highest score of each cluster's own tiles; of each tile where the slide was tiled on the grid."""
    owners = table.column("cluster_id")
    if owners.null_count or not len(owners):
        return scores
    _, cluster = np.unique(owners.to_numpy(), return_inverse=True)
    highest = np.zeros(int(cluster.max()) + 1, np.float32)
    np.maximum.at(highest, cluster, scores)
    return highest


def _slide_score(predicted: Predicted, highest: ScoreArray, model: ModelFile) -> float:
    """By the aggregator where the model has one; else from the highest cluster and their number, as `predict` does."""
    heads = model.head_records
    if model.attention is not None:
        return float(np.float32(slide_score(predicted, heads, flagging_head(heads))))
    return highest_score(highest, model.slide_score_rule)


def _reference(network: Backend, tiles: TileSet) -> OodNeighbours | None:
    """Features of some training tiles, evenly over all."""
    rows = evenly_spread(len(tiles), MOST_TILES)
    parts: list[FeatureArray] = [batch.features for batch in network.infer(tiles.tile(row) for row in rows)]
    return fit_ood_reference(np.concatenate(parts), tiles.slides[rows]) if parts else None
