"""One slide's results for review: clusters where tiles were centred on them, else merged regions."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import pyarrow as pa

from inkdot.errors import StorageError
from inkdot.storage.tables.cluster_scores import read_cluster_scores
from inkdot.storage.layout import RunLayout
from inkdot.storage.schemas import CLUSTERS_VERSION, SCORES_VERSION, clusters_schema
from inkdot.storage.tables.nuclei import read_nuclei
from inkdot.storage.tables.scores import read_scores
from inkdot.storage.tables.parquet_tables import check_columns, read_footer, read_table
from inkdot.review.results.ranking import Ranking
from inkdot.review.results.merged_regions import rank_merged_regions
from inkdot.review.results.scored_clusters import ScoredClusters, rank_clusters, scored_clusters
from inkdot.review.results.scored_slide import ScoredSlide, scored_slide


@dataclass(frozen=True, slots=True)
class SlideResults:
    """Results of one slide.

    Attributes:
        slide: Its scored tiles.
        clusters: Its scored clusters; None where it was tiled by a grid.
    """

    slide: ScoredSlide
    clusters: ScoredClusters | None

    @property
    def lymphocyte_reference(self) -> Mapping[str, object] | None:
        """The slide's lymphocyte reference; None where nothing was measured."""
        return cast("Mapping[str, object] | None", self._footer.get("lymphocyte_reference"))

    @property
    def measured_clusters(self) -> int:
        """How many clusters had their nuclei measured."""
        return cast("Mapping[str, int]", self._footer.get("measured", {})).get("clusters", 0)

    @property
    def _footer(self) -> Mapping[str, object]:
        return self.clusters.footer if self.clusters is not None else {}

    def ranking(self, top_n: int, min_distance_fraction: float) -> Ranking:
        """The regions to show; see :func:`rank_clusters` and :func:`rank_merged_regions`."""
        if self.clusters is not None:
            return rank_clusters(self.clusters, top_n)
        return rank_merged_regions(self.slide, top_n, min_distance_fraction)


def read_slide_results(layout: RunLayout, slide_id: str, name: str) -> SlideResults:
    """Read a slide's scores, and its clusters where it has any.

    Args:
        layout: A results folder.
        slide_id: The slide.
        name: Its name in the output, which may be a pseudonym.

    Raises:
        StorageError: A table is missing or damaged.
    """
    path = layout.scores(slide_id)
    slide = scored_slide(read_scores(path), read_footer(path, SCORES_VERSION), str(path)).renamed(name)
    if not slide.cluster_ids:
        return SlideResults(slide, None)
    scores = read_cluster_scores(layout.cluster_scores(slide_id))
    table, footer = read_table(layout.clusters(slide_id), CLUSTERS_VERSION)
    check_columns(layout.clusters(slide_id), table, clusters_schema(), CLUSTERS_VERSION)
    if wrong := _mismatch(slide, scores.table, table, footer):
        raise StorageError(
            f"{layout.clusters(slide_id)}: expected the clusters of the tiles in {path}, found {wrong}; "
            "run `inkdot predict` again"
        )
    slide = replace(slide, facts=replace(slide.facts, warnings=scores.warnings))
    nuclei = read_nuclei(layout.nuclei(slide_id), scores.clusters_sha256)
    try:
        return SlideResults(slide, replace(scored_clusters(slide, scores, table, footer), nuclei=nuclei))
    except (KeyError, IndexError, TypeError, ValueError, pa.ArrowException) as error:
        raise StorageError(
            f"{layout.clusters(slide_id)}: expected the clusters of {path.name}, found {type(error).__name__}: "
            f"{' '.join(str(error).split())}; run `inkdot predict` again"
        ) from None


def _mismatch(
    slide: ScoredSlide, scores: pa.Table, clusters: pa.Table, footer: Mapping[str, object]
) -> str:
    """What shows that tables are not of one run: their rows name each other by number. Empty where nothing does."""
    tiles, count = len(slide.x_l0_px), len(clusters)
    if len(scores) != count:
        return f"{count} clusters, and scores of {len(scores)}"
    if len(slide.cluster_ids) != tiles:
        return f"{tiles - len(slide.cluster_ids)} tiles without a cluster"
    if not all(0 <= owner < count for owner in slide.cluster_ids):
        return f"tiles of other clusters than 0 to {count - 1}"
    listed = cast("list[list[int]]", clusters.column("tile_rows").to_pylist())
    if not all(0 <= row < tiles for rows in listed for row in rows):
        return f"other tiles than 0 to {tiles - 1}"
    measured = footer.get("measured", {})
    return "" if isinstance(measured, Mapping) else "no numbers of measured clusters"
