"""``inkdot predict --images``: one call per image, with its warnings, and what is to be said of the batch."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.text import Text

from inkdot.config import Config, ImagesConfig
from inkdot.errors import UserError
from inkdot.evaluation.images.inputs import at_model_scale, columns_for_model, require_synthetic_images
from inkdot.evaluation.images.scoring import (
    ScoredImages,
    batch_is_ood,
    batch_ood_warnings,
    image_ood_warning,
    score_images,
)
from inkdot.labels import flag_column, flagging_head, score_columns
from inkdot.manifest import ImageEntry
from inkdot.manifest.csv_table import read_csv
from inkdot.model.predictor import Predictor, Runtime
from inkdot.pipeline.results.warnings import few_kinds, group_warnings, ood_reason
from inkdot.pipeline.scoring.unlike_training import SYNTHETIC_MODEL_WARNING
from inkdot.records import Mpp
from inkdot.storage.atomic import write_text
from inkdot.storage.layout import RunLayout
from inkdot.storage.locking import locked
from inkdot.storage.models.model_files import ModelFile
from inkdot.storage.tables.predictions import WARNING_SEPARATOR, spreadsheet_safe

_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


def run(
    images: Path,
    model: Path,
    out: Path,
    *,
    config: Config | None = None,
    keep_ood_calls: bool = False,
    allow_synthetic_model: bool = False,
    runtime: Runtime = "auto",
) -> int:
    """Score images without labels and write ``out/image_predictions.csv``.

    Args:
        images: A table with a column of files, or a folder of images.
        model: A model folder, of images.
        out: Results folder.
        config: Names of the table's columns; as in training where not given.
        keep_ood_calls: Call images unlike those of training, too, instead of abstaining.
        allow_synthetic_model: Let a model trained on synthetic specimens score real images.
        runtime: See :class:`inkdot.model.predictor.Predictor`.

    Returns:
        0 when every image was scored, 1 when some failed.

    Raises:
        UserError: The input as a whole is wrong.
    """
    console, layout, table = Console(stderr=True), RunLayout(out), out / "image_predictions.csv"
    predictor = Predictor(model, runtime=runtime)
    description = predictor.description
    columns = columns_for_model(description, config)
    entries = at_model_scale(_entries(images, columns), description, images)
    require_synthetic_images(entries, description, allowed=allow_synthetic_model)
    with locked(layout.lock):
        scored = score_images(entries, predictor, columns)
        rows = _rows(scored, description, keep_ood_calls=keep_ood_calls)
        write_text(table, _csv(rows))
    warnings = [
        *batch_ood_warnings(scored.ood_distances, description),
        *([SYNTHETIC_MODEL_WARNING] if description.trained_on.synthetic else []),
        *description.lock_notes,
        *few_kinds(group_warnings(_warnings(rows), len(entries), "images")),
    ]
    for line in warnings:
        console.print(Text(f"! {line}"), soft_wrap=True)
    for name, reason in sorted(scored.failed.items()):
        console.print(Text(f"{name} could not be used: {reason}"), soft_wrap=True)
    calls = Counter(row["call"] or "failed" for row in rows)
    counted = ", ".join(f"{count} {call}" for call, count in sorted(calls.items()))
    line = f"{len(rows)} images: {counted}; one line per image in {table}"
    console.print(Text(line), soft_wrap=True)
    return 1 if scored.failed else 0


def _entries(source: Path, columns: ImagesConfig) -> list[ImageEntry]:
    """The images of a folder, or of a table that needs no labels and no groups.

    Raises:
        UserError: There is no image, or the table has no column of files.
    """
    stated = columns.mpp_of_all
    of_all = Mpp.square(stated) if isinstance(stated, float | int) else None
    if source.is_dir():
        paths = sorted(path for path in source.iterdir() if path.suffix.lower() in _SUFFIXES)
        if not paths:
            raise UserError(
                f"{source}: expected images ({', '.join(_SUFFIXES)}), found none; give another folder or a table"
            )
        return [ImageEntry(path.name, path, path.name, {}, of_all, "") for path in paths]
    table = read_csv(source, [columns.path], missing_hint="correct --images")
    if not table.rows:
        raise UserError(f"{source}: expected at least one image, found only the header; add a row per image")
    found: list[ImageEntry] = []
    for row in table.rows:
        name = row.cells[columns.path]
        text = row.cells.get(columns.mpp, "")
        try:
            mpp = Mpp.square(float(text)) if text else of_all
        except ValueError:
            raise UserError(
                f"{row.where}: column {columns.mpp}: expected micrometres per pixel, found {text!r}; correct it"
            ) from None
        group = row.cells.get(columns.group, "") or name
        found.append(ImageEntry(name, source.parent / name, group, {}, mpp, ""))
    return found


def _rows(scored: ScoredImages, model: ModelFile, *, keep_ood_calls: bool) -> list[dict[str, str]]:
    """One row per image, in the order of the names."""
    heads, column = model.head_records, flag_column(model.head_records)
    head = flagging_head(heads)
    threshold, band = model.operating_points[head.name].threshold, model.abstention.get(head.name)
    distances: list[float] = [] if scored.ood_distances is None else scored.ood_distances.tolist()
    whole = batch_is_ood(scored.ood_distances, model)
    by_name: dict[str, list[str]] = {}
    for name, text in scored.warnings:
        by_name.setdefault(name, []).append(text)
    rows: list[dict[str, str]] = []
    for index, entry in enumerate(scored.entries):
        values = scored.predicted.scores[index]
        score = values[column]
        unlike = image_ood_warning(distances[index], model.ood) if distances and model.ood else ""
        reasons = [text for text in (unlike, _WHOLE if whole else "") if text]
        if reasons and not keep_ood_calls:
            call, reason = "indeterminate", ood_reason(reasons)
        elif band is not None and band.holds(float(score)):
            call, reason = (
                "indeterminate",
                f"the score is in the abstention band between {band.low:.4g} and {band.high:.4g}",
            )
        else:
            call, reason = ("flagged" if score >= np.float32(threshold) else "nothing flagged"), ""
        rows.append(
            {
                "name": entry.name,
                "group": entry.group,
                "outcome": "done",
                "call": call,
                "score": f"{score:.4f}",
                "ood_distance": f"{distances[index]:.3f}" if distances else "",
                **{
                    name: f"{value:.6f}"
                    for name, value in zip(score_columns(heads), values.tolist(), strict=True)
                },
                "warnings": WARNING_SEPARATOR.join([*reasons, *by_name.get(entry.name, [])]),
                "reason": reason,
            }
        )
    for name, reason in scored.failed.items():
        rows.append({"name": name, "outcome": "failed", "call": "", "reason": reason})
    return sorted(rows, key=lambda row: row["name"])


_WHOLE: Final = "the batch as a whole is out of distribution (OOD)"


def _csv(rows: Sequence[dict[str, str]]) -> str:
    buffer = io.StringIO()
    names = list(max(rows, key=len))
    writer = csv.DictWriter(buffer, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows([{name: spreadsheet_safe(value) for name, value in row.items()} for row in rows])
    return buffer.getvalue()


def _warnings(rows: Sequence[dict[str, str]]) -> list[tuple[str, str]]:
    return [
        (row["name"], text)
        for row in rows
        for text in row.get("warnings", "").split(WARNING_SEPARATOR)
        if text
    ]
