"""A stored model on all tiles of its validation slides: what it is worth there, and how unlike them a slide may be."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.text import Text

from inkdot.config import Config
from inkdot.datasets.cohort import Cohort, patient
from inkdot.datasets.tile_cache import LabelledTiles
from inkdot.datasets.tile_set import TileSet
from inkdot.errors import SlideError
from inkdot.labels import flagging_head
from inkdot.metrics.attention_pooling import attended
from inkdot.metrics.confidence_intervals import Estimate
from inkdot.metrics.ood_distance import OodNeighbours
from inkdot.metrics.slide_level import NOT_ASKED, SlideResults, slide_metrics, subgroup_metrics
from inkdot.metrics.subgroups import subgroup_words
from inkdot.model.batches import FeatureArray
from inkdot.model.network import TileNetwork
from inkdot.model.ood_reference import MOST_TILES, fit_ood_reference, ood_distance_to, write_ood_reference
from inkdot.model.predictor import Backend, Predicted, Predictor
from inkdot.model.targets import IndexArray, flag_column, head_slices
from inkdot.pipeline.infer_tiles import InferredSlide, infer_tiles
from inkdot.storage.layout import ModelLayout, RunLayout
from inkdot.storage.model_files import Interval, ModelFile, write_model_file
from inkdot.storage.schemas import TILES_VERSION
from inkdot.storage.tables.parquet_tables import read_table
from inkdot.training.release.deployed_network import deployed_network
from inkdot.training.release.interval_records import recorded

GROUPS = ("site", "scanner", "stain", "preparation")


class WholeSlide(NamedTuple):
    """A slide of which every tile was scored.

    Attributes:
        tiles: The slide.
        score: Of the flag class, 0 to 1, as `predict` makes it; NaN where it has no tile or too little to judge.
        distance: Median of its tiles' distances from the training tiles; NaN where the model cannot tell.
    """

    tiles: LabelledTiles
    score: float
    distance: float


def validated(
    description: ModelFile,
    network: TileNetwork,
    training: TileSet,
    cohort: Cohort,
    config: Config,
    layout: RunLayout,
    tables: RunLayout,
    console: Console,
) -> tuple[ModelFile, list[str]]:
    """Complete a stored model by what only whole slides tell, and write its description again.

    Training uses labelled tiles only, and not all of those; a slide is judged by all of its tiles. A image is a tile:
    there is nothing to add.

    Args:
        description: As stored in ``layout.model``.
        network: Its network, on the CPU, where it is again afterwards.
        training: Tiles that it learnt from.
        cohort: The slides or images.
        config: The whole config.
        layout: Where the model lies.
        tables: Where the slides are tiled.
        console: Where progress is shown.

    Returns:
        The description as written, and lines for the card.
    """
    if cohort.images:
        return description, []
    with deployed_network(network, config) as (foreseen, _):
        reference = _reference(foreseen, training)
        scorer = Predictor(layout.model, runtime="torch", network=foreseen)
        scorer.ood_distance = ood_distance_to(reference) if reference else None
        slides = list(predict_whole_slides(cohort.of("validation"), tables, scorer, console))
    distances = [slide.distance for slide in slides if not np.isnan(slide.distance)]
    ood = write_ood_reference(layout.model, reference, distances) if reference else None
    results = slide_results(slides, description)
    found = slide_metrics(results, ks=())
    metrics = description.validation_metrics | _named(found, cohort)
    words = subgroup_words(found, subgroup_metrics(results))
    if ood is None:
        ModelLayout(layout.model).reference.unlink(missing_ok=True)
        words.append(
            "It cannot tell slides that are unlike those of training: too few tiles, or validation slides."
        )
    complete = description.model_copy(update={"validation_metrics": metrics, "ood": ood})
    write_model_file(layout.model, complete)
    return complete, words


def predict_whole_slides(
    slides: Sequence[LabelledTiles], layout: RunLayout, scorer: Predictor, console: Console
) -> Iterator[WholeSlide]:
    """Score every tile of slides that are tiled; one that cannot be read is named and passed over."""
    console.print(Text(f"Scoring all tiles of {len(slides)} slides."), soft_wrap=True)
    for own in slides:
        table, footer = read_table(layout.tiles(own.entry.slide_id), TILES_VERSION)
        try:
            seen = infer_tiles(own.entry, table, scorer)
        except SlideError as error:
            console.print(Text(f"{own.entry.slide_id}: not scored: {error}"), soft_wrap=True)
            continue
        yield _whole(own, table, footer, seen, scorer.description)


def slide_results(slides: Sequence[WholeSlide], model: ModelFile) -> SlideResults:
    """Whole slides as metrics want them."""
    head, column = flagging_head(model.head_records), flag_column(model.head_records)
    targets = [slide.tiles.slide_targets for slide in slides]
    truth = np.array([np.nan if own is None else own[column] for own in targets], np.float64)
    scores = np.array([slide.score for slide in slides], np.float64)
    threshold = np.float32(model.operating_points[head.name].threshold)
    return SlideResults(
        patients=np.array([patient(slide.tiles) for slide in slides], np.str_),
        truth=np.where(truth == 0.5, np.nan, truth),
        scores=scores,
        flagged=np.nan_to_num(scores, nan=-1.0).astype(np.float32) >= threshold,
        hit_ranks=np.full(len(slides), NOT_ASKED),
        groups={
            name: np.array([str(getattr(slide.tiles.entry, name) or "") for slide in slides], np.str_)
            for name in GROUPS
        },
    )


def _named(metrics: Mapping[str, Estimate], cohort: Cohort) -> dict[str, Interval]:
    """Metrics on whole slides, as ``model.json`` records them."""
    own = ((name, recorded(estimate)) for name, estimate in metrics.items())
    return {
        f"{cohort.metrics_prefix}whole_slide_{name}": metric for name, metric in own if metric is not None
    }


def _whole(
    own: LabelledTiles, table: pa.Table, footer: dict[str, object], seen: InferredSlide, model: ModelFile
) -> WholeSlide:
    assessment = footer.get("assessment")
    adequate = not isinstance(assessment, dict) or bool(assessment.get("adequate", True))  # pyright: ignore
    judged = len(table) > 0 and adequate
    return WholeSlide(
        own,
        _slide_score(seen.judged, model) if judged else np.nan,
        np.nan if seen.distances is None or not len(table) else float(np.median(seen.distances)),
    )


def _slide_score(judged: Predicted, model: ModelFile) -> float:
    """By attention where the model has it; else the highest of its tiles, which is that of its clusters too."""
    head = flagging_head(model.head_records)
    flag = head.classes.index(head.flag_class or "")
    scores = judged.scores[:, head_slices(model.head_records)[head.name]]
    if judged.attention is not None and model.operating_points[head.name].judged_on == "attention":
        return float(np.float32(attended(scores, judged.attention)[flag]))
    return float(scores[:, flag].max())


def _reference(network: Backend, tiles: TileSet) -> OodNeighbours | None:
    """Some training tiles as the network sees them, evenly over all."""
    rows: IndexArray = np.unique(np.linspace(0, len(tiles) - 1, min(len(tiles), MOST_TILES)).astype(np.int64))
    parts: list[FeatureArray] = [
        seen.features for seen in network.seen(tiles.tile(row) for row in rows.tolist())
    ]
    return fit_ood_reference(np.concatenate(parts), tiles.slides[rows]) if parts else None
