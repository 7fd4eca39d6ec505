"""Columns of a case from its slides: score, counts, and measurements of the highest cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import numpy as np

from inkdot.errors import StorageError, UserError
from inkdot.evaluation.comparison.predicted_slides import predicted_score
from inkdot.evaluation.comparison.scored_table import read_scored_table
from inkdot.manifest import read_slides
from inkdot.records import SlideEntry
from inkdot.storage.layout import RunLayout
from inkdot.storage.models.slide_score_rule import logits
from inkdot.storage.schemas import CLUSTERS_VERSION, MEASURES
from inkdot.storage.tables.cluster_scores import read_cluster_scores
from inkdot.storage.tables.parquet_tables import read_table
from inkdot.storage.tables.predictions import read_predictions
from inkdot.storage.tables.scores import read_scores

SLIDE_SCORE: Final = "slide_score"
_COUNTS: Final = ("nuclei_in_focus", "clusters", "flagged_clusters")
_TOP: Final = tuple(f"top_{name}" for name in ("nucleus_um", *MEASURES))

SLIDE_COLUMNS: Final = (SLIDE_SCORE, *_COUNTS, *_TOP)
"""``slide_score`` is the logit of the score; counts are those of ``predictions.csv``; ``top_`` stands before the measurements of
the cluster of the highest score, see ``clusters/`` in docs/reference/files.md."""

LOG_COLUMNS: Final = frozenset({*_COUNTS, "csf_cells_per_ul"})
"""Counts, of which ``log(1 + value)`` is taken."""

DEFAULT_SLIDE_COLUMNS: Final = (SLIDE_SCORE, "nuclei_in_focus", "top_diameter_ratio")


@dataclass(frozen=True, slots=True)
class SlideFacts:
    """What results say of slides.

    Attributes:
        entries: The slides of the slide table that have results.
        values: Columns by slide_id; NaN where unknown.
        synthetic: The model, or a slide, is synthetic.
    """

    entries: list[SlideEntry]
    values: Mapping[str, Mapping[str, float]]
    synthetic: bool


def read_slide_facts(
    results: Path, columns: Sequence[str], *, slides: Path | None = None, out_of_fold: Path | None = None
) -> SlideFacts:
    """Read columns of slides from a results folder of ``predict``.

    Args:
        results: The folder.
        columns: Of :data:`SLIDE_COLUMNS`.
        slides: The slide table; None for that of the results.
        out_of_fold: A run folder of ``train --folds``, whose scores of slides take the place of those in the results: a model's
            own training patients must not be scored by it.

    Raises:
        UserError: A file is missing or damaged, or the run has no score of slides.
    """
    layout = RunLayout(results)
    rows = {row["slide_id"].removeprefix("'"): row for row in read_predictions(layout.predictions_csv)}
    done = [slide_id for slide_id, row in rows.items() if row["outcome"] == "done"]
    if not done:
        raise UserError(f"{layout.predictions_csv}: expected scored slides, found none; run `inkdot predict`")
    heads = read_scores(layout.scores(done[0])).heads
    listed = read_slides(slides or layout.slides_csv, heads, unknown_labels="skip")
    entries = [entry for entry in listed if entry.slide_id in set(done)]
    held_out = None if out_of_fold is None else _out_of_fold(out_of_fold)
    values: dict[str, dict[str, float]] = {}
    synthetic = False
    for entry in entries:
        scores = read_scores(layout.scores(entry.slide_id))
        synthetic |= scores.synthetic_model or scores.slide.get("synthetic") is True
        values[entry.slide_id] = _values(layout, entry.slide_id, rows[entry.slide_id], columns, held_out)
    return SlideFacts(entries, values, synthetic)


def _out_of_fold(folder: Path) -> dict[str, float]:
    table = read_scored_table(folder, "out of fold")
    if table.unit != "slide" or table.folds is None:
        raise UserError(
            f"{folder}: expected a run folder of `inkdot train --folds` with out_of_fold_slides.csv, found {table.source.name}; "
            "train with --folds on slides"
        )
    return dict(zip(table.ids.tolist(), table.scores[:, 1].tolist(), strict=True))


def _values(
    layout: RunLayout,
    slide_id: str,
    row: Mapping[str, str],
    columns: Sequence[str],
    held_out: Mapping[str, float] | None,
) -> dict[str, float]:
    found = {name: _count(row, name) for name in _COUNTS if name in columns}
    adequate = row["call"] != "inadequate"
    if held_out is not None:
        score = held_out.get(slide_id, np.nan)
    else:
        scored = predicted_score(layout, slide_id) if adequate else None
        score = np.nan if scored is None else scored[0]
    # Always there: the slide of the highest score stands for the case.
    found[SLIDE_SCORE] = float(logits(score)) if not np.isnan(score) else np.nan
    wanted = [name for name in columns if name in _TOP]
    if wanted:
        found |= _measurements(layout, slide_id, wanted) if adequate else dict.fromkeys(wanted, np.nan)
    return found


def _count(row: Mapping[str, str], name: str) -> float:
    text = row.get(name, "")
    try:
        return float(text) if text else np.nan
    except ValueError:
        raise StorageError(
            f"predictions.csv: {row['slide_id']}: column {name}: expected a number, found {text[:60]!r}; run `predict` again"
        ) from None


def _measurements(layout: RunLayout, slide_id: str, wanted: Sequence[str]) -> dict[str, float]:
    unknown = dict.fromkeys(wanted, np.nan)
    path = layout.cluster_scores(slide_id)
    if not path.exists():  # tiled on the grid
        return unknown
    scores = read_cluster_scores(path).flag_scores
    if not len(scores) or np.isnan(scores).all():
        return unknown
    top = int(np.nanargmax(scores))
    table, _ = read_table(layout.clusters(slide_id), CLUSTERS_VERSION)
    if table.num_rows != len(scores):
        raise StorageError(
            f"{layout.clusters(slide_id)}: expected {len(scores)} clusters as in {path}, found {table.num_rows}; run `inkdot "
            "predict` again"
        )
    cells = cast("dict[str, float | None]", table.slice(top, 1).to_pylist()[0])
    values = {name: cells.get(name.removeprefix("top_")) for name in wanted}
    return {name: np.nan if value is None else float(value) for name, value in values.items()}
