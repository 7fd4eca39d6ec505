"""``inkdot evaluate``: the performance of a model on labelled slides or images."""

import csv
import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.text import Text

from inkdot.config import Config
from inkdot.datasets.label_tables import check_label_tables
from inkdot.datasets.lesions import region_labels
from inkdot.datasets.trainable_heads import without_heads
from inkdot.errors import UserError
from inkdot.evaluation.html_report import report_html
from inkdot.evaluation.images.inputs import (
    at_model_scale,
    columns_for_model,
    no_test_message,
    read_test_images,
    require_synthetic_images,
)
from inkdot.evaluation.images.report import image_report
from inkdot.evaluation.images.results import ImageResults, image_results
from inkdot.evaluation.images.scoring import batch_ood_warnings
from inkdot.evaluation.report import EvaluationReport, report_json
from inkdot.evaluation.slide_report import evaluated_slides_text, slide_report
from inkdot.evaluation.slide_results import SlideResult, patient_truths, score_for_evaluation, slide_result
from inkdot.execution.runner import print_summary, run_slides
from inkdot.labels import Head, flagging_head, score_columns, target_columns
from inkdot.manifest import manifest_text, read_slides, source_notes
from inkdot.pipeline.results.warnings import group_warnings
from inkdot.pipeline.scoring.guards import require_known_scale, require_synthetic_slides
from inkdot.pipeline.scoring.score_slide import ScoringModel
from inkdot.pipeline.tile_slide import TileTask
from inkdot.records import SlideEntry
from inkdot.storage.atomic import write_text
from inkdot.storage.disk import TABLE_BYTES_PER_SLIDE, check_free_disk
from inkdot.storage.layout import RunLayout
from inkdot.storage.locking import locked
from inkdot.storage.models.ensemble_files import cost_lines
from inkdot.storage.models.model_files import ModelFile
from inkdot.storage.run_table import write_run_table


def run(
    model: Path,
    slides: Path,
    out: Path,
    *,
    config: Config | None = None,
    workers: int = 1,
    allow_synthetic_model: bool = False,
    prevalences: Sequence[float] = (),
) -> int:
    """Score labelled slides and write ``out/evaluation.json`` and ``out/evaluation.html``.

    Where the manifest has a column ``split``, only its ``test`` slides are used.

    Args:
        model: A model folder.
        slides: A ``slides.csv`` with labels or annotations.
        out: Output folder; a rerun reuses tiles and scores that are still valid.
        config: Meaning of annotations and how they label tiles; the tiling is the model's.
        workers: Processes that cut tiles.
        allow_synthetic_model: Let a model trained on synthetic specimens score real slides.
        prevalences: Shares of positive patients at which predictive values and net benefit are given, each of more than 0
            and less than 1.

    Returns:
        0 when every slide was evaluated, 1 when some failed.

    Raises:
        UserError: Nothing can be evaluated, or the input as a whole is wrong.
    """
    console, layout = Console(stderr=True), RunLayout(out)
    scoring = ScoringModel.load(model, allow_synthetic_model=allow_synthetic_model)
    description = scoring.predictor.description
    heads = description.head_records
    require_known_scale(model, description, allowed=False, remedy="evaluate it on images with --images")
    entries = _test_slides(read_slides(slides, heads), slides)
    notes = [*source_notes([slides]), *check_label_tables(entries, heads, other_heads="skip")]
    require_synthetic_slides(entries, description, allowed=allow_synthetic_model)
    settings = _settings(description, config)
    _print_lines(console, cost_lines(description.members))
    check_free_disk(out, TABLE_BYTES_PER_SLIDE * len(entries), "tables and mask images")
    with locked(layout.lock):
        write_run_table(layout, manifest_text(entries, heads, out))
        tiled = run_slides(
            "tile", entries, TileTask(settings, layout), layout, workers=workers, description="Tiling"
        )
        good = [entry for entry in entries if entry.slide_id not in tiled.failed]
        task = partial(score_for_evaluation, layout=layout, scoring=scoring)
        scored = run_slides("evaluate", good, task, layout, workers=1, description="Scoring")
        print_summary(console, [tiled, scored])
        results = [
            slide_result(entry, layout, region_labels(entry, settings.annotations, heads), settings.labelling)
            for entry in good
            if entry.slide_id not in scored.failed
        ]
        failed = tiled.failed | scored.failed
        _check_truth(results, slides, heads)
        report = slide_report(results, failed, description, scoring.model_sha256, slides, notes, prevalences)
        write_text(layout.evaluated_slides_csv, evaluated_slides_text(results))
        _write(report, layout, scoring)
    _print(report, layout, console)
    return 1 if failed else 0


def run_images(
    model: Path,
    images: Path,
    out: Path,
    *,
    config: Config | None = None,
    allow_synthetic_model: bool = False,
    prevalences: Sequence[float] = (),
) -> int:
    """Score labelled images and write the same report, and ``out/images.csv`` with every score.

    Where the table has a column ``split``, only its ``test`` images are used. Images are cropped as in training.

    Args:
        model: A model folder.
        images: An ``images.csv``.
        out: Output folder.
        config: Names of the table's columns; as in training where not given.
        allow_synthetic_model: Let a model trained on synthetic specimens score real images.
        prevalences: As for slides.

    Returns:
        0 when every image was evaluated, 1 when some failed.

    Raises:
        UserError: Nothing can be evaluated, or the input as a whole is wrong.
    """
    console, layout = Console(stderr=True), RunLayout(out)
    scoring = ScoringModel.load(model, allow_synthetic_model=allow_synthetic_model)
    description = scoring.predictor.description
    columns = columns_for_model(description, config)
    _print_lines(console, cost_lines(description.members))
    entries = at_model_scale(read_test_images(images, description, columns), description, images)
    require_synthetic_images(entries, description, allowed=allow_synthetic_model)
    with locked(layout.lock):
        results = image_results(entries, scoring.predictor, columns)
        notes = [
            *description.lock_notes,
            *batch_ood_warnings(results.ood_distances, description),
            *group_warnings(results.warnings, len(entries), "images"),
        ]
        if results.padded:
            notes.append(f"{results.padded} images are smaller than a tile and were padded with white.")
        report = image_report(results, description, scoring.model_sha256, images, notes, prevalences)
        write_text(layout.image_predictions_csv, _image_scores(results, description))
        _write(report, layout, scoring)
    for name, reason in sorted(results.failed.items()):
        console.print(Text(f"{name} could not be used: {reason}"), soft_wrap=True)
    _print(report, layout, console)
    return 1 if results.failed else 0


def _check_truth(results: Sequence[SlideResult], source: Path, heads: tuple[Head, ...]) -> None:
    """Check that there is a scored slide and a known truth.

    Raises:
        UserError: Every slide failed, or no label about a slide or a patient is known.
    """
    if not results:
        raise UserError(
            f"{source}: expected slides that can be scored, found none; the reason of each is printed above"
        )
    known = any(slide.truth is not None for slide in results)
    if not known and not patient_truths([slide.entry for slide in results], heads):
        name = flagging_head(heads).name
        raise UserError(
            f"{source}: expected slides or patients whose labels are known, found none among {len(results)} scored "
            f"slides; fill the column {name} or patient_{name}, or give annotations"
        )


def _settings(model: ModelFile, config: Config | None) -> Config:
    """The model's tiling and heads, with the config's annotations and labelling.

    Raises:
        UserError: The heads of the config are not those of the model.
    """
    settings = Config(preparation=model.preparation, tiling=model.tiling, heads=model.heads)
    if config is None:
        return settings
    own, theirs = [head.name for head in model.heads], [head.name for head in config.heads]
    # Heads without labels were left out in training; the config may still have them.
    config, _ = without_heads(config, [name for name in theirs if name not in own])
    if own != [head.name for head in config.heads]:
        raise UserError(
            f"--config: expected the heads of the model, {', '.join(own)}, found {', '.join(theirs)}; correct the heads"
        )
    return settings.model_copy(update={"annotations": config.annotations, "labelling": config.labelling})


def _test_slides(entries: Sequence[SlideEntry], source: Path) -> list[SlideEntry]:
    if not any(entry.extra.get("split") for entry in entries):
        return list(entries)
    test = [entry for entry in entries if entry.extra.get("split") == "test"]
    if not test:
        raise UserError(no_test_message(source, "slides"))
    return test


def _image_scores(results: ImageResults, model: ModelFile) -> str:
    """Targets, scores and call of every image as CSV."""
    heads, predictions = model.head_records, results.predictions
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    spread: list[float] = [] if results.spread is None else results.spread.tolist()
    distances: list[float] = [] if results.ood_distances is None else results.ood_distances.tolist()
    further = [*(["spread"] if spread else []), *(["ood_distance"] if distances else [])]
    writer.writerow(["name", "group", *target_columns(heads), *score_columns(heads), "flagged", *further])
    for row, entry in enumerate(results.entries):
        targets = ["" if value != value else f"{value:g}" for value in predictions.targets[row].tolist()]
        scores = [f"{value:.6f}" for value in predictions.scores[row].tolist()]
        own = [f"{value:.6f}" for value in [*spread[row : row + 1], *distances[row : row + 1]]]
        writer.writerow([entry.name, entry.group, *targets, *scores, int(predictions.flagged[row]), *own])
    return buffer.getvalue()


def _write(report: EvaluationReport, layout: RunLayout, scoring: ScoringModel) -> None:
    heads = scoring.predictor.description.heads
    write_text(layout.evaluation_json, report_json(report, scoring.model_sha256, heads))
    write_text(layout.evaluation_html, report_html(report))


def _print_lines(console: Console, lines: Sequence[str]) -> None:
    """Print lines literally: names from a table are not markup."""
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def _print(report: EvaluationReport, layout: RunLayout, console: Console) -> None:
    _print_lines(console, report.warnings)
    for level, metrics in report.metrics.items():
        for name, estimate in metrics.items():
            console.print(Text(f"{level}: {name} {estimate} ({estimate.method})"), soft_wrap=True)
    console.print(Text(f"report: {layout.evaluation_html}"), soft_wrap=True)
