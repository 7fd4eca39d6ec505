"""A slide's scored and measured clusters, for ranking and pages."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import pyarrow as pa
import shapely
from shapely.geometry.base import BaseGeometry

from inkdot.labels import score_column
from inkdot.records import MaskArray, Mpp
from inkdot.review.results.cluster_facts import ClusterFacts, measures_of
from inkdot.review.results.ranking import Ranking, Region, View
from inkdot.review.results.scored_slide import FloatArray, IntArray, ScoredSlide, flag_margins
from inkdot.storage.tables.cluster_scores import ClusterScores
from inkdot.storage.tables.nuclei import NucleusOutlines

_MARGIN_UM: Final = 4.0  # of surroundings in the image of a cluster larger than a tile


@dataclass(frozen=True, slots=True)
class ScoredClusters:
    """Clusters of one slide, in the order of the tables.

    Attributes:
        slide: The scored tiles that they were cut around.
        table: ``clusters/<slide_id>.parquet``.
        scores: By column name ``p.<head>.<class>``, 0 to 1, NaN without tiles, each of shape [n].
        own: Rows of the tiles placed for each cluster, highest score first; empty for those only in others' tiles.
        others: Per cluster, the number of clusters without a tile of their own that lie fully in one of its tiles.
        flagged: Per cluster, whether its score reaches the operating point, shape [n].
        footer: Facts of the cluster table: the lymphocyte reference, and how many clusters were measured.
        nuclei: By row, the nuclei as outlined; None where the results hold no outlines.
    """

    slide: ScoredSlide
    table: pa.Table
    scores: Mapping[str, FloatArray]
    own: tuple[tuple[int, ...], ...]
    others: tuple[int, ...]
    flagged: MaskArray
    footer: Mapping[str, object]
    nuclei: Mapping[int, NucleusOutlines] | None = None

    @property
    def flag_scores(self) -> FloatArray:
        """Score of the flag class per cluster, 0 to 1, NaN without tiles, shape [n]."""
        head = self.slide.facts.head
        return self.scores[score_column(head.name, cast(str, head.flag_class))]

    @property
    def flag_margins(self) -> FloatArray:
        """Logit of the score per cluster, by which clusters are ranked; NaN without tiles, shape [n]."""
        return flag_margins(self.scores, self.slide.facts.head)

    @property
    def with_cards(self) -> IntArray:
        """Rows of the clusters that have tiles of their own, by score; ties from top to bottom."""
        rows = np.array([row for row, own in enumerate(self.own) if own], np.int64)
        return rows[np.lexsort((rows, -self.flag_margins[rows]))]

    @property
    def flagged_rows(self) -> IntArray:
        """Rows of all flagged clusters, with tiles of their own or in others', by score; ties from top to bottom."""
        rows = np.flatnonzero(self.flagged)
        return rows[np.lexsort((rows, -self.flag_margins[rows]))].astype(np.int64)

    def shown_on(self) -> dict[int, int]:
        """For each flagged cluster without tiles of its own, the cluster whose card shows it: that of its highest tile."""
        rows = [int(row) for row in self.flagged_rows if not self.own[row]]
        tiles = cast(
            "list[list[int]]", self.table.column("tile_rows").take(pa.array(rows, pa.int64())).to_pylist()
        )
        flags = self.slide.flag_margins
        return {
            row: self.slide.cluster_ids[max(of_row, key=lambda tile: (flags[tile], -tile))]
            for row, of_row in zip(rows, tiles, strict=True)
        }


def scored_clusters(
    slide: ScoredSlide, scores: ClusterScores, clusters: pa.Table, footer: Mapping[str, object]
) -> ScoredClusters:
    """Join a slide's cluster tables.

    Args:
        slide: Its scored tiles.
        scores: Its scored clusters.
        clusters: Its cluster table, whose rows these are.
        footer: The footer of that table.
    """
    columns = {
        score_column(head.name, name): scores.probabilities(head.name, name)
        for head in scores.heads
        for name in head.classes
    }
    head = slide.facts.head
    flags = columns[score_column(head.name, cast(str, head.flag_class))]
    # Compared in the precision of the file, so that the score that set the threshold reaches it.
    flagged = np.nan_to_num(flags, nan=-1.0).astype(np.float32) >= np.float32(slide.facts.threshold)
    own = _own_tiles(slide, len(clusters))
    return ScoredClusters(slide, clusters, columns, own, _others(slide, clusters, own), flagged, footer)


def rank_clusters(clusters: ScoredClusters, top_n: int) -> Ranking:
    """The ``top_n`` clusters of the highest score, whether flagged or not."""
    order = clusters.with_cards
    chosen = order[:top_n]
    shown = set(chosen.tolist())
    shown |= {row for row, owner in clusters.shown_on().items() if owner in shown}
    return Ranking(
        regions=tuple(clusters_at(clusters, chosen)),
        flagged_tiles=int(clusters.slide.flagged.sum()),
        tiles=len(clusters.slide.flag_scores),
        more_flagged=not shown.issuperset(clusters.flagged_rows.tolist()),
        unit="cluster",
        units=int(np.count_nonzero(~np.isnan(clusters.flag_scores))),
        flagged_units=int(clusters.flagged.sum()),
    )


def clusters_at(clusters: ScoredClusters, rows: IntArray, first_rank: int = 1) -> Iterator[Region]:
    """The clusters in some rows of the tables as regions, numbered in this order."""
    # One take for all rows: slicing the table per cluster would dominate the run time.
    table = clusters.table.take(rows)
    outlines = _outlines(table)
    inside = _flagged_others(clusters)
    facts_of_row = cast("list[dict[str, object]]", table.drop_columns("geometry").to_pylist())
    numbers = cast("list[int]", rows.tolist())
    flags = clusters.flag_scores
    for rank, (row, facts, outline) in enumerate(
        zip(numbers, facts_of_row, outlines, strict=True), start=first_rank
    ):
        x, y, width, height = (cast(int, facts[f"{name}_l0_px"]) for name in ("x", "y", "width", "height"))
        yield Region(
            rank=rank,
            x_l0_px=x,
            y_l0_px=y,
            width_l0_px=width,
            height_l0_px=height,
            score=float(flags[row]),
            flagged=bool(clusters.flagged[row]),
            scores={name: float(column[row]) for name, column in clusters.scores.items()},
            outline=_ring(outline),
            view=_view((x, y, width, height), clusters.slide),
            rows=clusters.own[row],
            spread=clusters.slide.spread_at(clusters.own[row][0]) if clusters.own[row] else None,
            cluster=ClusterFacts(
                cluster_id=row,
                nuclei=cast(int, facts["nuclei"]),
                in_focus=bool(facts["in_focus"]),
                measured_nuclei=cast("int | None", facts["measured_nuclei"]),
                measures=measures_of(facts),
                others=clusters.others[row],
                group_nuclei=cast(int, facts["group_nuclei"]),
                flagged_others=inside.get(row, ()),
                outlines=None if clusters.nuclei is None else clusters.nuclei.get(row, NucleusOutlines()),
            ),
        )


def _own_tiles(slide: ScoredSlide, count: int) -> tuple[tuple[int, ...], ...]:
    own: list[list[int]] = [[] for _ in range(count)]
    for row, cluster in enumerate(slide.cluster_ids):
        own[cluster].append(row)
    flags = slide.flag_margins
    return tuple(tuple(sorted(rows, key=lambda row: (-flags[row], row))) for rows in own)


def _others(slide: ScoredSlide, clusters: pa.Table, own: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    counts = [0] * len(own)
    shown = cast("list[list[int]]", clusters.column("tile_rows").to_pylist())
    for cluster, rows in enumerate(shown):
        if not own[cluster]:
            for owner in {slide.cluster_ids[row] for row in rows}:
                counts[owner] += 1
    return tuple(counts)


def _flagged_others(clusters: ScoredClusters) -> dict[int, tuple[tuple[tuple[float, float], ...], ...]]:
    """By cluster, the outlines of the flagged clusters that its card shows beside it."""
    owners = clusters.shown_on()
    table = clusters.table.take(pa.array(list(owners), pa.int64()))
    found: dict[int, tuple[tuple[tuple[float, float], ...], ...]] = {}
    for owner, outline in zip(owners.values(), _outlines(table), strict=True):
        found[owner] = (*found.get(owner, ()), _ring(outline))
    return found


def _outlines(table: pa.Table) -> list[BaseGeometry]:
    return list(cast("Iterable[BaseGeometry]", shapely.from_wkt(table.column("geometry").to_pylist())))


def _ring(outline: BaseGeometry) -> tuple[tuple[float, float], ...]:
    """The outer ring of an outline, as a simple polygon that verdicts can name."""
    if outline.geom_type != "Polygon" or not outline.is_valid:
        outline = outline.convex_hull
    ring = shapely.Polygon(cast(shapely.Polygon, outline).exterior)
    return tuple((x, y) for x, y in ring.exterior.coords)


def _view(box: tuple[int, int, int, int], slide: ScoredSlide) -> View:
    """A square round the middle of the cluster: as wide as a tile, or as the cluster needs."""
    x, y, width, height = box
    mpp: Mpp = slide.facts.frame.mpp
    longest = max(width * mpp.x, height * mpp.y) + 2.0 * _MARGIN_UM
    side_um = max(float(slide.facts.spec.side_um), longest)
    return View(
        round(x + 0.5 * (width - side_um / mpp.x)), round(y + 0.5 * (height - side_um / mpp.y)), side_um
    )
