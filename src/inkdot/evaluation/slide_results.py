"""A scored slide with its truth."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from inkdot.config import LabellingConfig
from inkdot.datasets.lesions import Lesions, match_lesions
from inkdot.datasets.splits.grouped_split import patient_of
from inkdot.evaluation.places import (
    Clusters,
    LabelledRegion,
    ScoredTiles,
    clusters_of,
    regions_of,
    tile_outlines,
)
from inkdot.labels import Head, flagging_head, score_columns, target_columns
from inkdot.metrics.classification import FloatArray
from inkdot.metrics.slides.slide_level import NO_HIT, NO_KNOWN_REGION
from inkdot.pipeline.results.cluster_slide import cluster_slide
from inkdot.pipeline.results.slide_prediction import slide_score, slide_spread
from inkdot.pipeline.scoring.score_slide import ScoringModel, score_slide
from inkdot.records import SlideEntry, TileSpec
from inkdot.review.results.ranking import Region
from inkdot.review.results.read_results import SlideResults, read_slide_results
from inkdot.storage.layout import RunLayout
from inkdot.storage.ledger import Outcome
from inkdot.storage.schemas import TILES_VERSION
from inkdot.storage.tables.cluster_scores import read_cluster_scores
from inkdot.storage.tables.labels_table import RegionLabel
from inkdot.storage.tables.parquet_tables import read_table
from inkdot.storage.tables.scores import SlideScores, read_scores

TileArray = npt.NDArray[np.float32]

_SHOWN = 30
_DISTANCE_FRACTION = 0.75


@dataclass(frozen=True, slots=True)
class SlideResult:
    """One slide.

    Attributes:
        entry: The slide.
        truth: Whether the flag class is on it; None where unknown.
        score: As `predict` makes it, 0 to 1: by attention where the model has it, else from its highest cluster (on the grid:
            tile) and their number; None where it has none.
        flagged: Whether that score reaches the locked operating point.
        abstained: Whether that score lies in the abstention band, so that the call is indeterminate.
        hit_rank: See :class:`inkdot.metrics.slides.slide_level.SlidePredictions`. A shown cluster or region is a hit where one of
            the tiles that its score comes from is truly positive.
        targets: Of its tiles, NaN where unknown, shape [n, classes of all heads].
        scores: Of its tiles, same shape.
        flagged_tiles: Per tile, whether it reaches the operating point, shape [n].
        lesions: Scores of the regions that readers marked.
        top_region: Its region with the highest score; None where it has none.
        spec: Side and scale of its tiles.
        warnings: The warnings that `predict` gives for it.
        spread: Of an ensemble: standard deviation of its models' scores of the slide; None of one network, or without a score.
        slide_fingerprint: Of the slide file that was scored.
        regions: The regions that readers labelled, of all heads, with the score of what shows them.
        candidates: Number of its clusters that have a score; of its tiles where it was tiled on the grid.
        clusters: Its clusters with their truth; None where it was tiled on the grid.
        head_scores: Mean probabilities over its flagged clusters (tiles on the grid), of the highest one where none is flagged;
            NaN where it has none, shape [classes of all heads].
    """

    entry: SlideEntry
    truth: bool | None
    score: float | None
    flagged: bool
    abstained: bool
    hit_rank: int
    targets: TileArray
    scores: TileArray
    flagged_tiles: npt.NDArray[np.bool_]
    lesions: Lesions
    top_region: Region | None
    spec: TileSpec
    warnings: tuple[str, ...]
    spread: float | None = None
    slide_fingerprint: str = ""
    regions: tuple[LabelledRegion, ...] = ()
    candidates: int = 0
    clusters: Clusters | None = None
    head_scores: FloatArray = field(default_factory=lambda: np.zeros(0))

    @property
    def patient(self) -> str:
        """The patient, or the slide where it has none."""
        return patient_of(self.entry.slide_id, self.entry.patient_id)


def score_for_evaluation(entry: SlideEntry, layout: RunLayout, scoring: ScoringModel) -> Outcome:
    """Score a slide's tiles and clusters as `predict` does, without measuring nuclei.

    Raises:
        SlideError: The slide's pixels cannot be read.
        SyntheticModelError: A synthetic model was given a real slide without permission.
    """
    outcomes = (score_slide(entry, layout, scoring), cluster_slide(entry, layout, None))
    return "done" if "done" in outcomes else "reused"


def slide_result(
    entry: SlideEntry,
    layout: RunLayout,
    labels: Sequence[RegionLabel] = (),
    labelling: LabellingConfig | None = None,
) -> SlideResult:
    """Read a slide's targets and scores.

    Args:
        entry: The slide.
        layout: Where its tables lie.
        labels: Labels of regions on it.
        labelling: When a tile shows a region; the defaults where not given.

    Raises:
        StorageError: A table is missing or damaged.
    """
    path = layout.scores(entry.slide_id)
    scores = read_scores(path)
    tiles, _ = read_table(layout.tiles(entry.slide_id), TILES_VERSION)
    heads, head = scores.heads, scores.flag_head
    targets = _columns(tiles, target_columns(heads))
    column = target_columns(heads).index(f"target.{head.name}.{head.flag_class}")
    positive = targets[:, column] > 0.5
    reviewed = read_slide_results(layout, entry.slide_id, entry.slide_id)
    ranking = reviewed.ranking(_SHOWN, _DISTANCE_FRACTION)
    hits = [region.rank for region in ranking.regions if positive[list(region.rows)].any()]
    clustered = layout.cluster_scores(entry.slide_id)
    clusters = read_cluster_scores(clustered) if reviewed.clusters is not None else None
    truth = slide_truth(entry, head, positive, targets[:, column])
    score, called = slide_score(scores, clusters) or (None, False)
    if not scores.assessment.get("adequate", True):
        score, called = None, False  # the call of `predict` is inadequate, whatever the scores
    band = scores.abstention.get(head.name)
    tile_scores = _columns(scores.table, score_columns(heads))
    candidates = _candidates(reviewed, scores, tile_scores)
    return SlideResult(
        entry=entry,
        truth=truth,
        score=score,
        flagged=called,
        abstained=band is not None and score is not None and band.holds(score),
        hit_rank=(hits[0] if hits else NO_HIT) if positive.any() else NO_KNOWN_REGION,
        targets=targets,
        scores=tile_scores,
        flagged_tiles=scores.flagged,
        lesions=match_lesions(ranking, labels, head, truth),
        top_region=ranking.regions[0] if ranking.regions else None,
        spec=scores.spec,
        warnings=scores.warnings,
        spread=None if score is None else slide_spread(scores, clusters),
        slide_fingerprint=reviewed.slide.facts.slide_fingerprint,
        regions=regions_of(
            labels, heads, _scored_tiles(reviewed, tile_scores, candidates), labelling or LabellingConfig()
        ),
        candidates=len(candidates.scores),
        clusters=None if reviewed.clusters is None else clusters_of(reviewed.clusters, labels, head, truth),
        head_scores=_head_scores(candidates),
    )


class _Candidates(NamedTuple):
    """What a slide is scored by: its clusters, or its tiles on the grid; all classes [n, classes], flag class and flags [n]."""

    scores: FloatArray
    flag_scores: FloatArray
    flagged: npt.NDArray[np.bool_]


def _candidates(reviewed: SlideResults, scores: SlideScores, tile_scores: TileArray) -> _Candidates:
    clusters = reviewed.clusters
    if clusters is None:
        return _Candidates(
            tile_scores.astype(np.float64), scores.flag_scores.astype(np.float64), scores.flagged
        )
    rows = ~np.isnan(clusters.flag_scores)
    every = np.stack([clusters.scores[name] for name in score_columns(scores.heads)], axis=1)
    return _Candidates(every[rows], clusters.flag_scores[rows], clusters.flagged[rows])


def _head_scores(candidates: _Candidates) -> FloatArray:
    if not len(candidates.scores):
        return np.full(int(candidates.scores.shape[1]), np.nan)
    if candidates.flagged.any():
        return np.asarray(candidates.scores[candidates.flagged].mean(axis=0), np.float64)
    return candidates.scores[int(candidates.flag_scores.argmax())]


def _scored_tiles(reviewed: SlideResults, tile_scores: TileArray, candidates: _Candidates) -> ScoredTiles:
    slide = reviewed.slide
    return ScoredTiles(
        outlines=tile_outlines(slide.x_l0_px, slide.y_l0_px, slide.facts.side_l0_px),
        scores=tile_scores.astype(np.float64),
        flag_scores=slide.flag_scores.astype(np.float64),
        flagged=slide.flagged,
        ranked=candidates.flag_scores,
    )


def slide_truth(
    entry: SlideEntry, head: Head, positive: npt.NDArray[np.bool_], targets: TileArray
) -> bool | None:
    """Whether the slide is positive: by the manifest's label, else by a tile labelled positive, else unknown.

    A slide whose every tile is labelled negative is negative; one with unlabelled tiles is unknown.
    """
    if head.name in entry.on_slide:
        return head.is_positive(entry.on_slide[head.name])
    if positive.any():
        return True
    return False if len(targets) and not np.isnan(targets).any() else None


def patient_truths(entries: list[SlideEntry], heads: tuple[Head, ...]) -> dict[str, bool]:
    """Truth of patients by the manifest, where it states one; one positive label makes a positive patient."""
    head = flagging_head(heads)
    truths: dict[str, bool] = {}
    for entry in entries:
        positive = head.is_positive(entry.of_patient.get(head.name))
        if positive is not None:
            patient = patient_of(entry.slide_id, entry.patient_id)
            truths[patient] = truths.get(patient, False) or positive
    return truths


def _columns(table: pa.Table, names: list[str]) -> TileArray:
    rows = [
        np.array(
            [np.nan if v is None else v for v in cast("list[float | None]", table.column(name).to_pylist())]
        )
        for name in names
    ]
    return np.stack(rows, axis=1).astype(np.float32)
