"""``inkdot review study``: make a reader study, and turn its answers into tables and intervals."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from rich.console import Console

from inkdot.config import ReviewConfig
from inkdot.errors import StorageError, UserError
from inkdot.labels import DEFAULT_HEADS, Head, flagging_head
from inkdot.manifest import read_slides
from inkdot.manifest.csv_table import read_text
from inkdot.review.gallery.pseudonyms import read_pseudonyms
from inkdot.review.report.words import counted
from inkdot.review.study.analysis import analyse
from inkdot.review.study.design import make_design, read_design, write_design
from inkdot.review.study.readings import RATINGS, answer_times, case_readings
from inkdot.review.study.summary import summary_json, summary_text
from inkdot.review.study.tables import imrmc_table, mrmcaov_table, readings_table, times_table
from inkdot.storage.atomic import write_text
from inkdot.storage.layout import RunLayout
from inkdot.storage.output_layouts import StudyLayout
from inkdot.storage.schemas import SCORES_VERSION
from inkdot.storage.tables.parquet_tables import read_footer
from inkdot.storage.tables.predictions import read_predictions, spreadsheet_safe
from inkdot.storage.verdict_schema import Change
from inkdot.storage.verdict_store import read_verdict_history

PositiveFrom = Literal["atypical", "suspicious", "malignant"]

STUDY_RESULTS_VERSION: Final = "inkdot.study_results/1"

CAP_CASES: Final = 60
CAP_DAYS: Final = 14.0
"""Least cases and days of wash-out of the CAP guideline (Evans 2022, Arch. Pathol. Lab. Med. 146:440)."""


def make(
    results: Path,
    out: Path,
    *,
    readers: Sequence[str],
    seed: int,
    cases: Path | None = None,
    training: Sequence[str] = (),
    washout_days: float = CAP_DAYS,
    top_n: int | None = None,
) -> int:
    """Write ``study.json``: the readings of every reader with their orders.

    Args:
        results: Results folder of ``inkdot predict``.
        out: The file to write; an existing one is never overwritten.
        readers: Pseudonyms of the readers.
        seed: Seed of all orders.
        cases: Text file of slides, one a line; all analysed slides of the results where None.
        training: Slides shown first in the first reading, that do not count.
        washout_days: Least days between a reader's readings.
        top_n: Places shown of each slide.

    Returns:
        0.

    Raises:
        UserError: The file exists, a slide is not among the analysed ones, or names are the same.
        StorageError: The folder holds no results.
    """
    if out.exists():
        raise UserError(
            f"{out}: expected no file there, found a study; a study that has begun must not change, choose another --out"
        )
    layout = RunLayout(results)
    rows = {row["slide_id"]: row for row in read_predictions(layout.predictions_csv)}
    analysed = [
        entry.slide_id
        for entry in read_slides(layout.slides_csv, heads=())
        if rows.get(spreadsheet_safe(entry.slide_id), {}).get("outcome") == "done"
    ]
    chosen = [line.strip() for line in read_text(cases).splitlines() if line.strip()] if cases else analysed
    for name in (*chosen, *training):
        if name not in analysed:
            raise UserError(f"{name[:80]}: expected an analysed slide of {results}, found no such one")
    chosen_cases = [name for name in dict.fromkeys(chosen) if name not in training]
    if not chosen_cases or not readers:
        raise UserError("expected at least one case and one reader, found none")
    design = make_design(
        chosen_cases,
        readers,
        training=training,
        seed=seed,
        washout_days=washout_days,
        top_n=top_n or ReviewConfig().top_n,
        model_sha256=str(read_footer(layout.scores(chosen_cases[0]), SCORES_VERSION).get("model_sha256", "")),
    )
    write_design(out, design)
    console = Console(stderr=True)
    console.print(
        f"{counted(len(chosen_cases), 'case')}, {counted(len(training), 'training case')} and "
        f"{counted(len(readers), 'reader')} in {out}; "
        f"seed {seed}, wash-out of {washout_days:g} days",
        soft_wrap=True, markup=False, highlight=False,
    )  # fmt: skip
    if len(chosen_cases) < CAP_CASES or washout_days < CAP_DAYS:
        console.print(
            f"The CAP guideline for validating whole-slide imaging asks for {CAP_CASES} cases and {CAP_DAYS:g} days; "
            "`inkdot plan reader-study` tells what your question needs.",
            soft_wrap=True, markup=False, highlight=False,
        )  # fmt: skip
    return 0


def tables(
    study: Path,
    results: Path,
    out: Path,
    *,
    truth: Path,
    verdicts: Path | None = None,
    heads: Sequence[Head] = DEFAULT_HEADS,
    positive_from: PositiveFrom = "suspicious",
    longest_pause_s: float = 300.0,
) -> int:
    """Write the tables of a study for iMRMC and MRMCaov, times, and a summary with intervals.

    Args:
        study: The study of :func:`make`.
        results: Results folder whose places were read.
        out: Folder of the tables.
        truth: A ``slides.csv`` whose label of the flagging head is the truth of each case.
        verdicts: The server's database; ``reviews.sqlite`` of the results where None.
        heads: The heads that were reviewed.
        positive_from: Lowest category that counts as positive.
        longest_pause_s: A longer time between two answers is a pause, and is not counted.

    Returns:
        0.

    Raises:
        StorageError: The study or the answers cannot be read.
        ManifestError: The table of truth cannot be read.
        UserError: No case of the study has both truth and an answer.
    """
    design, layout, head = read_design(study), RunLayout(results), flagging_head(heads)
    path = verdicts or layout.reviews_sqlite
    if not path.is_file():
        raise StorageError(
            f"{path}: expected the answers of the study, found nothing there; name the file of the verdicts"
        )
    history = [
        change for change in read_verdict_history(path) if change.study.model_sha256 == design.model_sha256
    ]
    names = {name: slide_id for slide_id, name in read_pseudonyms(layout.pseudonyms_csv).items()}
    entries = {entry.slide_id: entry for entry in read_slides(truth, heads=heads)}
    known = {
        slide_id: positive
        for slide_id, entry in entries.items()
        if (positive := head.is_positive(entry.on_slide.get(head.name))) is not None
    }
    times = answer_times(history, design, names, longest_pause_s)
    readings = case_readings(_latest(history), times, design, names, head)
    if not any(one.rating is not None and one.slide_id in known for one in readings):
        raise UserError(
            f"{path}: expected answers on cases of {study} with truth in {truth}, found none; check that they belong together"
        )
    patients = {slide_id: entry.patient_id for slide_id, entry in entries.items()}
    result = analyse(readings, known, patients, RATINGS[positive_from])
    written = StudyLayout(out)
    write_text(written.imrmc, imrmc_table(readings, known))
    write_text(written.mrmcaov, mrmcaov_table(readings, known))
    write_text(written.readings, readings_table(readings))
    write_text(written.times, times_table(times))
    text = summary_text(result, design, positive_from)
    facts: Mapping[str, object] = {
        "version": STUDY_RESULTS_VERSION,
        "positive_from": positive_from,
        "longest_pause_s": longest_pause_s,
        "model_sha256": design.model_sha256,
        "seed": design.seed,
    }
    write_text(written.summary_json, summary_json(result, facts))
    write_text(written.summary, text)
    Console().print(text, soft_wrap=True, markup=False, highlight=False)
    return 0


def _latest(history: Sequence[Change]) -> list[Change]:
    """The last change of every region and slide of every reader and reading."""
    last = {(change.reader, change.study, change.key): change for change in history}
    return list(last.values())
