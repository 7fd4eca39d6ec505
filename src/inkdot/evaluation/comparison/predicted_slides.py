"""Results of ``inkdot predict`` with the truth of a slide table, for a comparison."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from inkdot.datasets.splits.grouped_split import patient_of
from inkdot.errors import StorageError, UserError
from inkdot.evaluation.comparison.scored_table import ScoredTable, slide_table
from inkdot.labels import flagging_head
from inkdot.manifest import read_slides
from inkdot.pipeline.results.slide_prediction import slide_score
from inkdot.storage.layout import RunLayout
from inkdot.storage.tables.cluster_scores import read_cluster_scores
from inkdot.storage.tables.predictions import read_predictions
from inkdot.storage.tables.scores import read_scores


def read_predicted_slides(folder: Path, name: str, labels: Path) -> ScoredTable:
    """The slides of a results folder that the table labels.

    Slides that failed, and inadequate ones, have no score.

    Args:
        folder: A results folder of ``inkdot predict``.
        name: Short name of the model.
        labels: A ``slides.csv`` with the column of the flagging head.

    Raises:
        UserError: No slide of the folder has a label.
        StorageError: The folder holds no results, or they are damaged.
    """
    layout = RunLayout(folder)
    calls = {
        row["slide_id"].removeprefix("'"): row["call"] for row in read_predictions(layout.predictions_csv)
    }
    done = [slide_id for slide_id, call in calls.items() if call]
    if not done:
        raise UserError(f"{layout.predictions_csv}: expected scored slides, found none; run `inkdot predict`")
    heads = read_scores(layout.scores(done[0])).heads
    head = flagging_head(heads)
    rows, without_result = list[tuple[str, str, float, float, bool | None]](), 0
    for entry in read_slides(labels, heads):
        positive = head.is_positive(entry.on_slide.get(head.name))
        if positive is None:
            continue
        if entry.slide_id not in calls:
            without_result += 1
            continue
        score, flagged = np.nan, False
        if calls[entry.slide_id] not in ("", "inadequate"):
            scored = predicted_score(layout, entry.slide_id)
            score, flagged = (np.nan, False) if scored is None else scored
        patient = patient_of(entry.slide_id, entry.patient_id)
        rows.append((entry.slide_id, patient, float(positive), score, flagged))
    if not rows:
        raise UserError(
            f"{labels}: expected labels of slides in {folder} (column {head.name}), found none; give the slide table of these "
            "slides"
        )
    return replace(slide_table(layout.predictions_csv, name, head, rows), without_result=without_result)


def predicted_score(layout: RunLayout, slide_id: str) -> tuple[float, bool] | None:
    """The score (0 to 1) of a slide in results of ``predict``, unrounded, and whether it is flagged; None without a tile.

    Raises:
        StorageError: Its tables are missing or damaged.
    """
    clustered = layout.cluster_scores(slide_id)
    try:
        clusters = read_cluster_scores(clustered) if clustered.exists() else None
        return slide_score(read_scores(layout.scores(slide_id)), clusters)
    except StorageError as error:
        raise StorageError(f"{error}; run `inkdot predict` again") from None
