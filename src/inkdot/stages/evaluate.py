"""``inkdot evaluate``: how good a model is on labelled slides or images, patients first."""

import csv
import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.text import Text

from inkdot.config import Config, ImagesConfig
from inkdot.datasets.image_tables import read_image_table
from inkdot.datasets.label_tables import check_label_tables
from inkdot.datasets.lesions import labels_of
from inkdot.errors import UserError
from inkdot.evaluation.html_report import page
from inkdot.evaluation.image_report import image_report
from inkdot.evaluation.image_results import ImageResults, image_results, image_settings_of
from inkdot.evaluation.report import EvaluationReport, report_json
from inkdot.evaluation.slide_report import slide_report
from inkdot.evaluation.slide_results import SlideResult, patient_truths, score_for_evaluation, slide_result
from inkdot.execution.runner import print_summary, run_slides
from inkdot.labels import Head, flagging_head, score_columns, target_columns
from inkdot.manifest import ImageEntry, manifest_text, read_slides
from inkdot.pipeline.guards import refuse_real_slides
from inkdot.pipeline.score_slide import Scoring
from inkdot.pipeline.tile_slide import TileTask
from inkdot.records import Mpp, SlideEntry
from inkdot.storage.atomic import write_text
from inkdot.storage.disk import TABLES_BYTES_A_SLIDE, check_free_disk
from inkdot.storage.layout import RunLayout
from inkdot.storage.locking import locked
from inkdot.storage.model_files import ModelFile


def run(
    model: Path,
    slides: Path,
    out: Path,
    *,
    config: Config | None = None,
    workers: int = 1,
    allow_synthetic_model: bool = False,
) -> int:
    """Score labelled slides and write ``out/evaluation.json`` and ``out/evaluation.html``.

    Where the manifest has a column ``split``, only its ``test`` slides are used.

    Args:
        model: A model folder.
        slides: A ``slides.csv`` with labels or annotations.
        out: Output folder; a rerun keeps tiles and scores that still fit.
        config: What annotations mean and how they label tiles; how slides are cut is the model's to say.
        workers: Processes that cut tiles.
        allow_synthetic_model: Let a model trained on synthetic specimens judge real slides.

    Returns:
        0 when every slide was judged, 1 when some failed.

    Raises:
        UserError: Nothing can be judged, or the input as a whole is wrong.
    """
    console, layout = Console(stderr=True), RunLayout(out)
    scoring = Scoring.load(model, allow_synthetic_model=allow_synthetic_model)
    description = scoring.scorer.description
    heads = description.head_records
    if not description.mpp_known:
        raise UserError(
            f"{model}: expected a model of known scale, found one trained on images whose micrometres per pixel nobody "
            "stated: it cannot be judged on slides; judge it on images with --images"
        )
    entries = _test_slides(read_slides(slides, heads), slides)
    notes = check_label_tables(entries, heads)
    if description.trained_on.synthetic and not allow_synthetic_model:
        refuse_real_slides(entries)
    settings = _settings(description, config)
    check_free_disk(out, TABLES_BYTES_A_SLIDE * len(entries), "tables and mask images")
    with locked(layout.lock):
        write_text(layout.slides_csv, manifest_text(entries, heads, out))
        tiled = run_slides(
            "tile", entries, TileTask(settings, layout), layout, workers=workers, description="Tiling"
        )
        good = [entry for entry in entries if entry.slide_id not in tiled.failed]
        task = partial(score_for_evaluation, layout=layout, scoring=scoring)
        scored = run_slides("evaluate", good, task, layout, workers=1, description="Scoring")
        print_summary(console, [tiled, scored])
        judged = [
            slide_result(entry, layout, labels_of(entry, settings))
            for entry in good
            if entry.slide_id not in scored.failed
        ]
        failed = tiled.failed | scored.failed
        _check_judged(judged, slides, heads)
        report = slide_report(judged, failed, description, scoring.model_sha256, slides, notes)
        _write(report, layout, scoring.model_sha256)
    _say(report, layout, console)
    return 1 if failed else 0


def run_images(
    model: Path,
    images: Path,
    out: Path,
    *,
    config: Config | None = None,
    allow_synthetic_model: bool = False,
) -> int:
    """Score labelled images and write the same report, and ``out/images.csv`` with every score.

    Where the table has a column ``split``, only its ``test`` images are used. CachedImages are cropped as those were that
    the model learned from.

    Args:
        model: A model folder.
        images: An ``images.csv``.
        out: Output folder.
        config: How the table's columns are called; as in training where not given.
        allow_synthetic_model: Let a model trained on synthetic specimens judge real images.

    Returns:
        0 when every image was judged, 1 when some failed.

    Raises:
        UserError: Nothing can be judged, or the input as a whole is wrong.
    """
    console, layout = Console(stderr=True), RunLayout(out)
    scoring = Scoring.load(model, allow_synthetic_model=allow_synthetic_model)
    description = scoring.scorer.description
    columns = _image_columns(description, config)
    heads = description.head_records
    # Who asks one head only can still judge a model that labels two.
    further = {head.name for head in heads} - {flagging_head(heads).name}
    entries = _test_images(read_image_table(images, heads, columns, optional=further), images)
    entries = image_settings_of(entries, description, images)
    if description.trained_on.synthetic and not allow_synthetic_model:
        scale = Mpp.square(description.tiling.mpp)  # opening wants one; nothing is measured by it here
        refuse_real_slides(SlideEntry(entry.name, entry.path, mpp=entry.mpp or scale) for entry in entries)
    with locked(layout.lock):
        judged = image_results(entries, scoring.scorer, columns)
        notes = [f"{judged.padded} images are smaller than a tile and were filled up with white."]
        report = image_report(
            judged, description, scoring.model_sha256, images, notes if judged.padded else []
        )
        write_text(layout.judged_images_csv, _image_scores(judged, description))
        _write(report, layout, scoring.model_sha256)
    for name, reason in sorted(judged.failed.items()):
        console.print(Text(f"{name} could not be used: {reason}"), soft_wrap=True)
    _say(report, layout, console)
    return 1 if judged.failed else 0


def _check_judged(judged: Sequence[SlideResult], source: Path, heads: tuple[Head, ...]) -> None:
    """There must be something to judge by.

    Raises:
        UserError: Every slide failed, or no label about a slide or a patient is known.
    """
    if not judged:
        raise UserError(
            f"{source}: expected slides to judge, found none that could be scored; the reasons are said above, slide by slide"
        )
    known = any(slide.truth is not None for slide in judged)
    if not known and not patient_truths([slide.entry for slide in judged], heads):
        name = flagging_head(heads).name
        raise UserError(
            f"{source}: expected slides or patients whose labels are known, found none among {len(judged)} slides that could "
            f"be judged; fill the column {name} or patient_{name}, or give annotations"
        )


def _settings(model: ModelFile, config: Config | None) -> Config:
    """Slides are cut as the model wants it; what annotations mean is for the laboratory to say.

    Raises:
        UserError: The config asks other heads than the model labels.
    """
    settings = Config(preparation=model.preparation, tiling=model.tiling, heads=model.heads)
    if config is None:
        return settings
    own, theirs = [head.name for head in model.heads], [head.name for head in config.heads]
    if own != theirs:
        raise UserError(
            f"--config: expected the heads of the model, {', '.join(own)}, found {', '.join(theirs)}; correct the heads"
        )
    return settings.model_copy(update={"annotations": config.annotations, "labelling": config.labelling})


def _image_columns(model: ModelFile, config: Config | None) -> ImagesConfig:
    """The columns that the config names; the crop is always the one that the model learned with."""
    learned = model.images or ImagesConfig()
    named = config.images if config else learned
    return named.model_copy(update={"crop_px": learned.crop_px}) if model.images else named


def _test_slides(entries: Sequence[SlideEntry], source: Path) -> list[SlideEntry]:
    if not any(entry.extra.get("split") for entry in entries):
        return list(entries)
    kept = [entry for entry in entries if entry.extra.get("split") == "test"]
    if not kept:
        raise UserError(_no_test(source, "slides"))
    return kept


def _test_images(entries: Sequence[ImageEntry], source: Path) -> list[ImageEntry]:
    if not any(entry.split for entry in entries):
        return list(entries)
    kept = [entry for entry in entries if entry.split == "test"]
    if not kept:
        raise UserError(_no_test(source, "images"))
    return kept


def _no_test(source: Path, what: str) -> str:
    return (
        f"{source}: expected {what} with split = test, found none; a model must not be judged on {what} that it "
        "learned from or was chosen on"
    )


def _image_scores(judged: ImageResults, model: ModelFile) -> str:
    """Every image with truth and scores, for a person who wants to see the worst errors."""
    heads, found = model.head_records, judged.results
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["name", "group", *target_columns(heads), *score_columns(heads), "flagged"])
    for row, entry in enumerate(judged.entries):
        targets = ["" if value != value else f"{value:g}" for value in found.targets[row].tolist()]
        scores = [f"{value:.6f}" for value in found.scores[row].tolist()]
        writer.writerow([entry.name, entry.group, *targets, *scores, int(found.flagged[row])])
    return buffer.getvalue()


def _write(report: EvaluationReport, layout: RunLayout, model_sha256: str) -> None:
    write_text(layout.evaluation_json, report_json(report, model_sha256))
    write_text(layout.evaluation_html, page(report))


def _say(report: EvaluationReport, layout: RunLayout, console: Console) -> None:
    for line in report.warnings:
        console.print(Text(line), soft_wrap=True)
    for level, metrics in report.metrics.items():
        for name, estimate in metrics.items():
            console.print(Text(f"{level}: {name} {estimate} ({estimate.method})"), soft_wrap=True)
    console.print(Text(f"report: {layout.evaluation_html}"), soft_wrap=True)
