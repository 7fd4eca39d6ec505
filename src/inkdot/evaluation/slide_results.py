"""A scored slide beside what is true of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from inkdot.datasets.lesions import Lesions, lesions_of
from inkdot.labels import Head, flagging_head, score_columns, target_columns
from inkdot.metrics.slide_level import NO_HIT, NOT_ASKED
from inkdot.metrics.splits import patient_of
from inkdot.pipeline.attention_score import attention_score
from inkdot.pipeline.cluster_slide import cluster_slide
from inkdot.pipeline.score_slide import Scoring, score_slide
from inkdot.records import SlideEntry, TileSpec
from inkdot.review.results.ranking import Region
from inkdot.review.results.read_results import read_reviewed
from inkdot.storage.layout import RunLayout
from inkdot.storage.ledger import Outcome
from inkdot.storage.schemas import TILES_VERSION
from inkdot.storage.tables.labels_table import RegionLabel
from inkdot.storage.tables.parquet_tables import read_table
from inkdot.storage.tables.scores import read_scores

TileArray = npt.NDArray[np.float32]

_SHOWN = 30
_DISTANCE_FRACTION = 0.75


@dataclass(frozen=True, slots=True)
class SlideResult:
    """One slide.

    Attributes:
        entry: The slide.
        truth: Whether the flag class is on it; None where unknown.
        score: By attention where the model has it; else the highest of its clusters, else of its tiles, 0 to 1; None
            where it has none.
        flagged: That score reaches the locked operating point.
        abstained: That score lies where the model gives no label, and the slide's call is indeterminate.
        hit_rank: See :class:`inkdot.metrics.slide_level.SlideResults`. A shown cluster or region is a hit where one of
            the tiles that its score comes from is truly positive.
        targets: Of its tiles, NaN where unknown, shape [n, classes of all heads].
        scores: Of its tiles, same shape.
        flagged_tiles: Per tile, whether it reaches the operating point, shape [n].
        marks: What is found of the regions that people marked.
        top: Its highest region; None where it has none.
        spec: Side and scale of its tiles.
        warnings: What `predict` would say of it.
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
    marks: Lesions
    top: Region | None
    spec: TileSpec
    warnings: tuple[str, ...]

    @property
    def patient(self) -> str:
        """The patient, or the slide where nobody named one."""
        return patient_of(self.entry.slide_id, self.entry.patient_id)


def score_for_evaluation(entry: SlideEntry, layout: RunLayout, scoring: Scoring) -> Outcome:
    """Score a slide's tiles and its clusters, as `predict` would, but measure no nuclei: no metric is about them.

    Raises:
        SlideError: The slide's pixels cannot be read.
        SyntheticModelError: A synthetic model was given a real slide without leave.
    """
    outcomes = (score_slide(entry, layout, scoring), cluster_slide(entry, layout, None))
    return "done" if "done" in outcomes else "reused"


def slide_result(entry: SlideEntry, layout: RunLayout, labels: Sequence[RegionLabel] = ()) -> SlideResult:
    """Read a slide's tiles and scores and compare them.

    Args:
        entry: The slide.
        layout: Where its tables lie.
        labels: What people said about regions on it.

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
    reviewed = read_reviewed(layout, entry.slide_id, entry.slide_id)
    ranking = reviewed.ranking(_SHOWN, _DISTANCE_FRACTION)
    hits = [region.rank for region in ranking.regions if positive[list(region.rows)].any()]
    values = scores.flag_scores if reviewed.clusters is None else reviewed.clusters.flag_scores
    flagged = scores.flagged if reviewed.clusters is None else reviewed.clusters.flagged
    score, called = float(np.nanmax(values)) if len(values) else None, bool(flagged.any())
    by_attention = attention_score(scores)
    if by_attention is not None:
        score = float(by_attention)
        called = bool(by_attention >= np.float32(scores.operating_points[head.name].threshold))
    truth = slide_truth(entry, head, positive, targets[:, column])
    if not scores.assessment.get("adequate", True):
        score, called = None, False  # as `predict` says: inadequate, whatever its scores
    locked = scores.abstention.get(head.name)
    return SlideResult(
        entry=entry,
        truth=truth,
        score=score,
        flagged=called,
        abstained=locked is not None and score is not None and locked.holds(score),
        hit_rank=(hits[0] if hits else NO_HIT) if positive.any() else NOT_ASKED,
        targets=targets,
        scores=_columns(scores.table, score_columns(heads)),
        flagged_tiles=scores.flagged,
        marks=lesions_of(ranking, labels, head, truth),
        top=ranking.regions[0] if ranking.regions else None,
        spec=scores.spec,
        warnings=scores.warnings,
    )


def slide_truth(
    entry: SlideEntry, head: Head, positive: npt.NDArray[np.bool_], targets: TileArray
) -> bool | None:
    """What is on the slide: the manifest's label, else a tile labelled positive, else unknown.

    A slide whose every tile is labelled negative is negative; one with unlabelled tiles is unknown.
    """
    if head.name in entry.on_slide:
        return labelled(head, entry.on_slide[head.name])
    if positive.any():
        return True
    return False if len(targets) and not np.isnan(targets).any() else None


def labelled(head: Head, label: str) -> bool | None:
    """Whether an label speaks for the flag class; None for a half or for one that is not used."""
    target = head.target(label)
    if target is None:
        return None
    weight = target[head.classes.index(cast(str, head.flag_class))]
    return None if weight == 0.5 else weight > 0.5


def patient_truths(entries: list[SlideEntry], heads: tuple[Head, ...]) -> dict[str, bool]:
    """What the manifest says of patients, where it says so; one positive label outweighs."""
    head = flagging_head(heads)
    truths: dict[str, bool] = {}
    for entry in entries:
        said = labelled(head, entry.of_patient[head.name]) if head.name in entry.of_patient else None
        if said is not None:
            patient = patient_of(entry.slide_id, entry.patient_id)
            truths[patient] = truths.get(patient, False) or said
    return truths


def _columns(table: pa.Table, names: list[str]) -> TileArray:
    rows = [
        np.array(
            [np.nan if v is None else v for v in cast("list[float | None]", table.column(name).to_pylist())]
        )
        for name in names
    ]
    return np.stack(rows, axis=1).astype(np.float32)
