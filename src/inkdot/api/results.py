"""Read a results folder of `inkdot predict`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from inkdot.api.frames import rows_to_arrow, to_pandas
from inkdot.api.prediction import SlidePrediction
from inkdot.labels import DEFAULT_HEADS, Head
from inkdot.manifest import read_slides
from inkdot.records import SlideEntry
from inkdot.review.verdicts.csv_cells import plain_text
from inkdot.review.verdicts.stored_verdicts import read_stored_verdicts
from inkdot.review.verdicts.verdict_table import latest_verdicts
from inkdot.storage.layout import RunLayout
from inkdot.storage.tables.predictions import read_predictions
from inkdot.storage.tables.scores import read_scores

if TYPE_CHECKING:
    import pandas as pd

_TYPES: Final[Mapping[str, pa.DataType]] = {
    "slide_id": pa.string(),
    "outcome": pa.string(),
    "call": pa.string(),
    "score": pa.float64(),
    "spread": pa.float64(),
    "tiles": pa.int64(),
    "flagged_tiles": pa.int64(),
    "clusters": pa.int64(),
    "flagged_clusters": pa.int64(),
    "further_calls": pa.string(),
    "nuclei_in_focus": pa.int64(),
    "assessable_mm2": pa.float64(),
    "unassessable_fraction": pa.float64(),
    "top_x_l0_px": pa.int64(),
    "top_y_l0_px": pa.int64(),
    "warnings": pa.string(),
    "reason": pa.string(),
}
_VERDICT_COLUMNS = ("slide_id", "geometry", "head", "verdict", "reader", "time", "shown", "model_sha256")


class Results(Mapping[str, SlidePrediction]):
    """A results folder: a mapping from slide_id to the prediction of each slide that was scored.

    Attributes:
        folder: The folder.

    Examples:
        >>> results = inkdot.read_results("results")
        >>> results.slides().sort_values("score", ascending=False).head()
        >>> results["s1"].clusters().query("nuclei > 10")
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._layout = RunLayout(folder)
        rows = read_predictions(self._layout.predictions_csv)
        self._rows = [{name: plain_text(cell) for name, cell in row.items()} for row in rows]
        self._scored = [row["slide_id"] for row in self._rows if row["outcome"] == "done"]
        self._entries: dict[str, SlideEntry] | None = None

    def slides(self) -> pd.DataFrame:
        """One row per slide, those that failed too: the table ``predictions.csv``.

        ``score`` is 0 to 1; what a slide has not is missing. Several warnings of a slide are separated by ``" | "``.

        Raises:
            UserError: pandas is not installed.
        """
        return to_pandas(self.slides_arrow())

    def slides_arrow(self) -> pa.Table:
        """The same as Arrow."""
        return rows_to_arrow(self._rows, _TYPES)

    def tiles(self, slide_id: str) -> pd.DataFrame:
        """The scored tiles of a slide; see :meth:`inkdot.SlidePrediction.tiles`."""
        return self[slide_id].tiles()

    def tiles_arrow(self, slide_id: str) -> pa.Table:
        """The same as Arrow."""
        return self[slide_id].tiles_arrow()

    def clusters(self, slide_id: str) -> pd.DataFrame:
        """The measured and scored clusters of a slide; see :meth:`inkdot.SlidePrediction.clusters`."""
        return self[slide_id].clusters()

    def clusters_arrow(self, slide_id: str) -> pa.Table:
        """The same as Arrow."""
        return self[slide_id].clusters_arrow()

    def verdicts(self, path: str | os.PathLike[str] | None = None) -> pd.DataFrame:
        """The last verdict of each reader on each head of each region.

        Columns: ``slide_id``, ``geometry`` (WKT, level-0 pixels), ``head``, ``verdict``, ``reader``, ``time`` (UTC),
        ``shown`` (``scores`` or ``blinded``) and ``model_sha256``.

        Args:
            path: A ``verdicts.csv`` that the gallery saved, or a ``reviews.sqlite``. Where None, the ``reviews.sqlite`` that
                `inkdot review serve` keeps in the results folder.

        Raises:
            ManifestError: The table is missing, or a row is wrong.
            StorageError: The database is damaged, or of another version.
            UserError: pandas is not installed.
        """
        return to_pandas(self.verdicts_arrow(path))

    def verdicts_arrow(self, path: str | os.PathLike[str] | None = None) -> pa.Table:
        """The same as Arrow."""
        source = self._layout.reviews_sqlite if path is None else Path(path)
        verdicts = latest_verdicts(read_stored_verdicts(source, self._heads()))
        rows = [
            {
                **{name: str(getattr(verdict, name)) for name in _VERDICT_COLUMNS},
                "geometry": verdict.geometry.wkt,
            }
            for verdict in verdicts
        ]
        return rows_to_arrow(rows, dict.fromkeys(_VERDICT_COLUMNS, pa.string()))

    def __getitem__(self, slide_id: str) -> SlidePrediction:
        """The prediction of a slide.

        Raises:
            KeyError: The slide was not scored.
            StorageError: A table of it is missing or damaged.
        """
        if slide_id not in self._scored:
            raise KeyError(f"{slide_id}: expected a slide that was scored, found none; slides() lists all")
        if self._entries is None:
            entries = read_slides(self._layout.slides_csv, self._heads())
            self._entries = {entry.slide_id: entry for entry in entries}
        return SlidePrediction(self._layout, self._entries[slide_id])

    def __iter__(self) -> Iterator[str]:
        return iter(self._scored)

    def __len__(self) -> int:
        return len(self._scored)

    def __repr__(self) -> str:
        failed = len(self._rows) - len(self)
        return f"Results({self.folder.name!r}, {len(self)} slides scored, {failed} failed)"

    def _heads(self) -> tuple[Head, ...]:
        for slide_id in self._scored:
            return read_scores(self._layout.scores(slide_id)).heads
        return DEFAULT_HEADS


def read_results(folder: str | os.PathLike[str]) -> Results:
    """Open a results folder of `inkdot predict`.

    Args:
        folder: The folder that holds ``predictions.csv``.

    Raises:
        StorageError: There are no results.
    """
    return Results(Path(folder))
