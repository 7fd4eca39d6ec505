"""The prediction of one slide: call, score, warnings, and its tables of tiles, clusters and ranked regions."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from inkdot.api.frames import html_table, to_pandas
from inkdot.api.python_words import at_least_one
from inkdot.config import ReviewConfig
from inkdot.pipeline.results.render_slide import SlideImages, draw_slide, read_slide_prediction
from inkdot.records import SlideEntry
from inkdot.review.gallery.fields import OVERVIEW_PX
from inkdot.review.results.ranking import Ranking
from inkdot.review.results.read_results import SlideResults, read_slide_results
from inkdot.review.wording import RESEARCH_USE
from inkdot.storage.layout import RunLayout
from inkdot.storage.schemas import (
    CLUSTER_SCORES_VERSION,
    CLUSTERS_VERSION,
    SCORES_VERSION,
    cluster_scores_schema,
    clusters_schema,
)
from inkdot.storage.tables.parquet_tables import read_table
from inkdot.storage.tables.predictions import WARNING_SEPARATOR, Prediction, SlideCall

if TYPE_CHECKING:
    import pandas as pd


class SlidePrediction:
    """What a model predicts for one slide. Made by :meth:`inkdot.Model.predict_slide` or by ``results[slide_id]``.

    The numbers are those that `inkdot predict` writes for the slide. All ``*_l0_px`` columns and geometries are level-0
    pixels.

    Attributes:
        slide_id: The slide.
        record: Its line of ``predictions.csv``.
    """

    def __init__(self, layout: RunLayout, entry: SlideEntry, keep_alive: object = None) -> None:
        """Read the line of a scored slide.

        Args:
            layout: The results folder.
            entry: The slide.
            keep_alive: Held for as long as the prediction is, such as a temporary results folder.
        """
        self._layout = layout
        self._keep_alive = keep_alive
        self._entry = entry
        self._reviewed: SlideResults | None = None
        self._images: dict[int, SlideImages] = {}
        self.slide_id = entry.slide_id
        self.record: Prediction = read_slide_prediction(layout, entry.slide_id)

    @property
    def call(self) -> SlideCall:
        """``flagged``, ``nothing flagged``, ``indeterminate`` (the model abstains) or ``inadequate`` (too little to judge)."""
        return self.record.call

    @property
    def score(self) -> float | None:
        """Score of the slide, 0 to 1, rounded to 4 decimals as in ``predictions.csv``; None where it has none."""
        return float(self.record.score) if self.record.score else None

    @property
    def threshold(self) -> float:
        """Score, 0 to 1, from which a region of this slide is flagged.

        The locked operating point; of a model that corrects for the number of clusters, what reaches it on a slide of so many.
        """
        return self.reviewed.slide.facts.threshold

    @property
    def _slide_threshold(self) -> float:
        """The locked operating point, which the score of the slide is compared with."""
        facts = self.reviewed.slide.facts
        return facts.threshold if facts.slide_threshold is None else facts.slide_threshold

    @property
    def reason(self) -> str:
        """Why the slide is inadequate, or why the model abstains; empty otherwise."""
        return self.record.reason

    @property
    def further_calls(self) -> str:
        """Calls of the heads that are asked only of what is flagged, such as ``morphology: small-cell-like``."""
        return self.record.further_calls

    @property
    def warnings(self) -> tuple[str, ...]:
        """What must be shown with every result of this slide, out-of-distribution warnings among them."""
        return tuple(self.record.warnings.split(WARNING_SEPARATOR)) if self.record.warnings else ()

    @property
    def entry(self) -> SlideEntry:
        """The slide as a row of ``slides.csv``; its path is read for images only."""
        return self._entry

    @property
    def reviewed(self) -> SlideResults:
        """The scores as the gallery reads them."""
        if self._reviewed is None:
            self._reviewed = read_slide_results(self._layout, self.slide_id, self.slide_id)
        return self._reviewed

    def tiles(self) -> pd.DataFrame:
        """One row per tile, sorted by y then x.

        ``x_l0_px`` and ``y_l0_px`` are the top left corner, ``p.<head>.<class>`` calibrated probabilities (0 to 1),
        ``ood_distance`` the out-of-distribution distance, ``attention`` the weight of the tile in its slide.

        Raises:
            UserError: pandas is not installed.
        """
        return to_pandas(self.tiles_arrow())

    def tiles_arrow(self) -> pa.Table:
        """The same as Arrow: the table ``scores/<slide_id>.parquet``."""
        return read_table(self._layout.scores(self.slide_id), SCORES_VERSION)[0].replace_schema_metadata(None)

    def clusters(self) -> pd.DataFrame:
        """One row per cluster, with its outline (WKT), nuclei, measurements in µm and scores; empty for slides cut by a grid.

        Scores are missing for clusters without a tile (``tiles`` is 0), measurements for clusters that nobody measured.

        Raises:
            UserError: pandas is not installed.
        """
        return to_pandas(self.clusters_arrow())

    def clusters_arrow(self) -> pa.Table:
        """The same as Arrow: the columns of ``clusters/<slide_id>.parquet``, then those of ``cluster_scores/``."""
        if self._layout.clusters(self.slide_id).exists():
            table = read_table(self._layout.clusters(self.slide_id), CLUSTERS_VERSION)[0]
            scores = read_table(self._layout.cluster_scores(self.slide_id), CLUSTER_SCORES_VERSION)[0]
        else:
            table = clusters_schema().empty_table()
            scores = cluster_scores_schema(self.reviewed.slide.facts.heads).empty_table()
        columns: dict[str, Any] = {name: scores.column(name) for name in scores.column_names}
        columns = {name: table.column(name) for name in table.column_names} | columns
        return pa.table(columns)

    def ranking(self, top_n: int | None = None) -> Ranking:
        """The regions that the gallery shows, the most suspicious first.

        Args:
            top_n: How many at most; 30 where None.

        Raises:
            UserError: ``top_n`` is below 1.
        """
        defaults = ReviewConfig()
        count = defaults.top_n if top_n is None else at_least_one("top_n", top_n)
        return self.reviewed.ranking(count, defaults.min_distance_fraction)

    def regions(self, top_n: int | None = None) -> pd.DataFrame:
        """The regions that the gallery shows: clusters, or merged tiles where the slide was cut by a grid.

        Columns: ``rank`` (1 is the most suspicious), ``score`` (0 to 1), ``flagged``, ``cluster_id`` and ``nuclei``
        (missing for merged tiles), ``x_l0_px``, ``y_l0_px``, ``width_l0_px``, ``height_l0_px``, ``geometry`` (WKT, level-0
        pixels) and ``p.<head>.<class>``.

        Args:
            top_n: How many at most; 30 where None.

        Raises:
            UserError: ``top_n`` is below 1, or pandas is not installed.
        """
        return to_pandas(self.regions_arrow(top_n))

    def regions_arrow(self, top_n: int | None = None) -> pa.Table:
        """The same as Arrow; see :meth:`regions`."""
        regions = self.ranking(top_n).regions
        names = list(self.reviewed.slide.scores)
        columns: dict[str, Any] = {
            "rank": pa.array([region.rank for region in regions], pa.int32()),
            "score": pa.array([region.score for region in regions], pa.float64()),
            "flagged": pa.array([region.flagged for region in regions], pa.bool_()),
            "cluster_id": pa.array(
                [r.cluster.cluster_id if r.cluster else None for r in regions], pa.int32()
            ),
            "nuclei": pa.array([r.cluster.nuclei if r.cluster else None for r in regions], pa.int32()),
            "x_l0_px": pa.array([region.x_l0_px for region in regions], pa.int32()),
            "y_l0_px": pa.array([region.y_l0_px for region in regions], pa.int32()),
            "width_l0_px": pa.array([float(region.width_l0_px) for region in regions], pa.float64()),
            "height_l0_px": pa.array([float(region.height_l0_px) for region in regions], pa.float64()),
            "geometry": pa.array([region.wkt for region in regions], pa.string()),
        }
        columns |= {name: pa.array([r.scores[name] for r in regions], pa.float64()) for name in names}
        return pa.table(columns)

    def images(self, max_side: int = OVERVIEW_PX) -> SlideImages:
        """Overview and heat map as `inkdot predict` draws them, uint8 RGB; see :mod:`inkdot.plot`.

        Args:
            max_side: Longest side of the slide in the images, in pixels; captions are added below.

        Raises:
            SlideError: The slide's pixels cannot be read.
            UserError: ``max_side`` is below 1.
        """
        if max_side not in self._images:
            self._images[max_side] = draw_slide(self._entry, self._layout, at_least_one("max_side", max_side))
        return self._images[max_side]

    def __repr__(self) -> str:
        score = "no score" if self.score is None else f"score {self.score:.4f}"
        return f"SlidePrediction({self.slide_id!r}, {self.call!r}, {score}, {len(self.warnings)} warnings)"

    def _repr_html_(self) -> str:
        record = self.record
        return html_table(
            {
                "slide": self.slide_id,
                "call": self.call,
                "score": ""
                if self.score is None
                else f"{self.score:.4f} (flagged from {self._slide_threshold:.4g})",
                "reason": self.reason,
                "further calls": self.further_calls,
                "clusters": record.clusters and f"{record.clusters} ({record.flagged_clusters} flagged)",
                "tiles": f"{record.tiles} ({record.flagged_tiles} flagged)",
                "nuclei in focus": record.nuclei_in_focus,
                "warnings": "; ".join(self.warnings),
                "": RESEARCH_USE,
            }
        )


class TemporaryResults:
    """A results folder that is deleted with the object that holds it."""

    def __init__(self) -> None:
        self.layout = RunLayout(Path(tempfile.mkdtemp(prefix="inkdot-")))
        self._finalizer = weakref.finalize(self, shutil.rmtree, self.layout.root, ignore_errors=True)
