"""Scores of one model on labelled slides or images, read from a results folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

import numpy as np
import numpy.typing as npt

from inkdot.bounded_json import parse_json
from inkdot.errors import UserError
from inkdot.labels import Head, flagging_head, score_columns, target_columns
from inkdot.manifest.csv_table import CsvRow, read_csv
from inkdot.metrics.classification import BoolArray, FloatArray
from inkdot.metrics.slides.slide_level import NameArray
from inkdot.storage.layout import RunLayout
from inkdot.storage.record_json import first_error, heads_from_json

Unit = Literal["slide", "image", "case"]

_TRUTHS = {"positive": 1.0, "negative": 0.0}


@dataclass(frozen=True, slots=True)
class ScoredTable:
    """Labelled slides or images with their scores, one row each.

    Attributes:
        name: Short name in tables and plots.
        source: The file.
        unit: What a row is.
        heads: The heads. Of slides only the flagging head is known, as the flag class against the others.
        ids: Slide or image, shape [n].
        patients: Patient or group, shape [n].
        folds: Fold of each, from 1; None where one model scored all, shape [n].
        targets: NaN where unknown, shape [n, classes of all heads].
        scores: Calibrated probabilities, NaN where there is none (inadequate), same shape.
        flagged: Whether the flag class's score reaches the locked threshold; None where the file does not tell, shape [n].
        without_result: Number of labelled slides that the results do not hold, and that are no rows.
    """

    name: str
    source: Path
    unit: Unit
    heads: tuple[Head, ...]
    ids: NameArray
    patients: NameArray
    folds: npt.NDArray[np.int64] | None
    targets: FloatArray
    scores: FloatArray
    flagged: BoolArray | None
    without_result: int = 0

    def of(self, rows: npt.NDArray[np.integer]) -> "ScoredTable":
        """Some rows, in the given order."""
        return replace(
            self,
            ids=self.ids[rows],
            patients=self.patients[rows],
            folds=None if self.folds is None else self.folds[rows],
            targets=self.targets[rows],
            scores=self.scores[rows],
            flagged=None if self.flagged is None else self.flagged[rows],
        )


def read_scored_table(folder: Path, name: str) -> ScoredTable:
    """Read the scores of a run folder of ``train --folds``, or of ``evaluate``.

    Args:
        folder: The folder.
        name: Short name of the model.

    Raises:
        UserError: The folder holds neither, or a file is damaged.
    """
    layout = RunLayout(folder)
    for path, unit in (
        (layout.out_of_fold_slides_csv, "slide"),
        (layout.evaluated_slides_csv, "slide"),
        (layout.out_of_fold_csv, "image"),
        (layout.image_predictions_csv, "image"),
    ):
        if not path.is_file():
            continue
        heads = _heads(layout)
        return _slides(path, heads, name) if unit == "slide" else _images(path, heads, name)
    raise UserError(
        f"{folder}: expected a run folder of `inkdot train --folds` or the output of `inkdot evaluate`, found none of "
        f"{layout.out_of_fold_csv.name}, {layout.out_of_fold_slides_csv.name}, {layout.evaluated_slides_csv.name} and "
        f"{layout.image_predictions_csv.name}; results of `inkdot predict` need --labels"
    )


def slide_table(
    source: Path,
    name: str,
    head: Head,
    rows: Sequence[tuple[str, str, float, float, bool | None]],
    folds: Sequence[int] | None = None,
) -> ScoredTable:
    """A table of slides, of which one score is known each.

    Args:
        source: The file.
        name: Short name of the model.
        head: The flagging head.
        rows: Slide, patient, truth (1, 0 or NaN), score (or NaN), and whether it is flagged.
        folds: Fold of each, from 1.
    """
    flag = cast(str, head.flag_class)
    others = next((own for own in head.classes if own != flag), "other")
    of_slides = replace(head, classes=(others if len(head.classes) == 2 else "other", flag))
    ids, patients, truth, scores, flagged = ([row[i] for row in rows] for i in range(5))
    known = not any(own is None for own in flagged)
    return ScoredTable(
        name=name,
        source=source,
        unit="slide",
        heads=(of_slides,),
        ids=np.array(ids, np.str_),
        patients=np.array([p or i for p, i in zip(patients, ids, strict=True)], np.str_),
        folds=None if folds is None else np.array(folds, np.int64),
        targets=_both(truth),
        scores=_both(scores),
        flagged=np.array(flagged, np.bool_) if known else None,
    )


def _both(values: Sequence[object]) -> FloatArray:
    of_flag = np.array(values, np.float64)
    return np.stack([1.0 - of_flag, of_flag], axis=1)


def _heads(layout: RunLayout) -> tuple[Head, ...]:
    """The heads of the results: of the run's config, or of the evaluation."""
    for path in (layout.config_json, layout.evaluation_json):
        if not path.is_file():
            continue
        try:
            content: object = parse_json(path.read_text(encoding="utf-8"))
            found = cast("Mapping[str, object]", content).get("heads") if isinstance(content, dict) else None
            if found:
                return heads_from_json(found)
        except (ValueError, TypeError) as error:
            raise UserError(f"{path}: expected the heads of the model: {first_error(error)}") from None
    raise UserError(
        f"{layout.root}: expected heads in {layout.config_json.name} or {layout.evaluation_json.name}, found none; run "
        "`inkdot train --folds` or `inkdot evaluate` again with this version"
    )


def _images(path: Path, heads: tuple[Head, ...], name: str) -> ScoredTable:
    targets, scores = target_columns(heads), score_columns(heads)
    table = read_csv(path, ["name", "group", *targets, *scores])
    rows = table.rows
    return ScoredTable(
        name=name,
        source=path,
        unit="image",
        heads=heads,
        ids=np.array([row.cells["name"] for row in rows], np.str_),
        patients=np.array([row.cells["group"] for row in rows], np.str_),
        folds=np.array([_fold(row) for row in rows], np.int64) if "fold" in table.columns else None,
        targets=np.array([[_number(row, own) for own in targets] for row in rows], np.float64),
        scores=np.array([[_number(row, own) for own in scores] for row in rows], np.float64),
        flagged=np.array([row.cells["flagged"] == "1" for row in rows], np.bool_)
        if "flagged" in table.columns
        else None,
    )


def _slides(path: Path, heads: tuple[Head, ...], name: str) -> ScoredTable:
    table = read_csv(path, ["slide_id", "patient_id", "truth", "score"])
    known = "flagged" in table.columns
    rows = [
        (
            row.cells["slide_id"],
            row.cells["patient_id"],
            _TRUTHS.get(row.cells["truth"], np.nan),
            _number(row, "score"),
            row.cells["flagged"] == "1" if known else None,
        )
        for row in table.rows
    ]
    folds = [_fold(row) for row in table.rows] if "fold" in table.columns else None
    return slide_table(path, name, flagging_head(heads), rows, folds)


def _number(row: CsvRow, column: str) -> float:
    text = row.cells[column]
    try:
        value = float(text) if text else None
    except ValueError:
        value = np.nan
    if value is not None and not np.isfinite(value):
        raise UserError(f"{row.where}: expected a number in {column}, found {text!r}; correct it")
    return np.nan if value is None else value


def _fold(row: CsvRow) -> int:
    text = row.cells["fold"]
    if not (text.isascii() and text.isdigit()):
        raise UserError(f"{row.where}: expected a whole number in fold, found {text!r}; correct it")
    return int(text)
