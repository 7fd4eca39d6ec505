"""Scores of the clusters of one slide, and nuclear measurements of the most suspicious ones."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from inkdot.config import MorphometryConfig
from inkdot.errors import StorageError
from inkdot.labels import flagging_head, score_column
from inkdot.metrics.slides.pooling import CLUSTER_POOLING
from inkdot.pipeline.results.cluster_scoring import owners_of_tiles, score_clusters
from inkdot.pipeline.measure_slide import measure_slide_clusters
from inkdot.records import SlideEntry
from inkdot.slides.unchanged import open_unchanged
from inkdot.storage.hashing import file_sha256
from inkdot.storage.layout import RunLayout
from inkdot.storage.ledger import Outcome
from inkdot.storage.schemas import CLUSTER_SCORES_VERSION, CLUSTERS_VERSION, NUCLEI_VERSION, SCORES_VERSION
from inkdot.storage.tables.cluster_scores import write_cluster_scores
from inkdot.storage.tables.parquet_tables import read_footer, read_table, write_table
from inkdot.storage.tables.scores import read_scores
from inkdot.tiling.clusters.detect import cell_finder_for


@dataclass(frozen=True, slots=True)
class ClusterTask:
    """:func:`cluster_slide` as a task for an executor.

    Attributes:
        layout: The results folder.
        morphometry: How many clusters are measured; None for none.
        cell_finder: Outlines their nuclei; see ``tiling.cell_finder``.
    """

    layout: RunLayout
    morphometry: MorphometryConfig | None
    cell_finder: str = "classical"

    def __call__(self, entry: SlideEntry) -> Outcome:
        """Score the clusters of one slide."""
        return cluster_slide(entry, self.layout, self.morphometry, self.cell_finder)


def cluster_slide(
    entry: SlideEntry,
    layout: RunLayout,
    morphometry: MorphometryConfig | None,
    cell_finder: str = "classical",
) -> Outcome:
    """Write ``cluster_scores/<slide_id>.parquet``, the measurements of the best clusters into ``clusters/``, and the outlines
    of their nuclei as ``nuclei/<slide_id>.parquet``.

    A slide that was tiled on the grid has no clusters, and nothing is written. Earlier results are reused when they were
    made from the same scores and settings.

    Raises:
        StorageError: The slide's scores or clusters are missing or damaged.
        SlideError: The slide's pixels cannot be read.
    """
    path, scores_path = layout.clusters(entry.slide_id), layout.scores(entry.slide_id)
    scored_path, nuclei_path = layout.cluster_scores(entry.slide_id), layout.nuclei(entry.slide_id)
    if not path.exists():
        scored_path.unlink(missing_ok=True)
        nuclei_path.unlink(missing_ok=True)
        return "reused"
    facts = _provenance(layout, entry.slide_id, morphometry)
    if _is_current(layout, entry.slide_id, facts):
        return "reused"
    clusters, cluster_facts = read_table(path, CLUSTERS_VERSION)
    scores, score_footer = read_scores(scores_path), read_footer(scores_path, SCORES_VERSION)
    scored = score_clusters(clusters, scores.table, scores.heads, CLUSTER_POOLING)
    warnings = list(scores.warnings)
    if morphometry is not None:
        head = flagging_head(scores.heads)
        flags = _flag_scores(scored, score_column(head.name, head.flag_class or ""))
        order = _by_score(flags, scores.table)
        below = np.flatnonzero(flags < scores.threshold)
        with open_unchanged(entry, str(score_footer["slide_fingerprint"])) as slide:
            finder = cell_finder_for(cell_finder, entry.stain)
            measured = measure_slide_clusters(slide, clusters, order, morphometry, below.tolist(), finder)
        warnings += measured.warnings
        footer = {name: value for name, value in cluster_facts.items() if name != "version"}
        nuclei_path.unlink(missing_ok=True)  # before the clusters: never those of other clusters
        write_table(path, measured.table, CLUSTERS_VERSION, footer | measured.facts)
        write_table(nuclei_path, measured.nuclei, NUCLEI_VERSION, {"clusters_sha256": file_sha256(path)})
    else:
        nuclei_path.unlink(missing_ok=True)
    write_cluster_scores(
        scored_path,
        scored,
        {**score_footer, **facts, "nuclei_sha256": _sha256_or_none(nuclei_path), "warnings": warnings},
        clusters_sha256=file_sha256(path),
        pooling=CLUSTER_POOLING,
    )
    return "done"


def _flag_scores(scored: pa.Table, column: str) -> npt.NDArray[np.float64]:
    values = cast("list[float | None]", scored.column(column).to_pylist())
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _by_score(flags: npt.NDArray[np.float64], tiles: pa.Table) -> list[int]:
    """cluster_id of clusters with tiles of their own, the highest score first; ties from top to bottom."""
    own = np.unique(owners_of_tiles(tiles))
    return own[np.lexsort((own, -flags[own]))].tolist()


def clusters_reusable(entry: SlideEntry, layout: RunLayout, morphometry: MorphometryConfig | None) -> bool:
    """Whether earlier cluster scores are valid, given that the slide's scores are; True without clusters."""
    if not layout.clusters(entry.slide_id).exists():
        return True
    return _is_current(layout, entry.slide_id, _provenance(layout, entry.slide_id, morphometry))


def _provenance(layout: RunLayout, slide_id: str, morphometry: MorphometryConfig | None) -> dict[str, object]:
    return {
        "scores_sha256": file_sha256(layout.scores(slide_id)),
        "morphometry": morphometry.model_dump(mode="json") if morphometry else None,
        "pooling": CLUSTER_POOLING,
    }


def _is_current(layout: RunLayout, slide_id: str, facts: dict[str, object]) -> bool:
    try:
        earlier = read_footer(layout.cluster_scores(slide_id), CLUSTER_SCORES_VERSION)
    except StorageError:
        return False
    # The hash covers the measurements, which are in the same file.
    expected = facts | {
        "clusters_sha256": file_sha256(layout.clusters(slide_id)),
        "nuclei_sha256": _sha256_or_none(layout.nuclei(slide_id)),
    }
    return all(earlier.get(name, "absent") == value for name, value in expected.items())


def _sha256_or_none(path: Path) -> str | None:
    return file_sha256(path) if path.exists() else None
