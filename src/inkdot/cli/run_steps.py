"""``inkdot run``: doctor, predict and review export one after another, and one summary.

It belongs to ``cli`` because it runs one stage after another, which no stage may.
"""

import json
import os
import sys
import webbrowser
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Final

from rich.console import Console
from rich.text import Text

from inkdot.errors import UserError
from inkdot.manifest import read_all_slides
from inkdot.pipeline.batch_settings import BatchSettings
from inkdot.pipeline.doctor_report import scale_notes
from inkdot.pipeline.scoring.guards import require_known_scale, require_synthetic_slides
from inkdot.pipeline.tile_slide import tiling_config
from inkdot.records import SlideEntry
from inkdot.stages import doctor, predict
from inkdot.stages.predict import PredictSettings
from inkdot.stages.review import export as review_export
from inkdot.storage.layout import RunLayout
from inkdot.storage.models.model_files import ModelFile, read_model_file
from inkdot.storage.output_layouts import ReviewLayout
from inkdot.storage.tables.predictions import read_predictions, spreadsheet_safe

RUN_VERSION: Final = "inkdot.run/1"
_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What came out.

    Attributes:
        results: Results folder.
        page: The review page.
        calls: Slides by call, of those that were scored.
        failed: Why slides could not be scored, by slide_id.
        exit_code: 0 when every slide is scored and shown, else 1.
    """

    results: Path
    page: Path
    calls: Mapping[str, int]
    failed: Mapping[str, str]
    exit_code: int

    @property
    def scored(self) -> int:
        """Number of slides with a result."""
        return sum(self.calls.values())

    def as_json(self) -> dict[str, object]:
        """The same as a JSON value, described in ``docs/reference/json.md``."""
        return {
            "version": RUN_VERSION,
            "slides": self.scored + len(self.failed),
            "scored": self.scored,
            "calls": dict(self.calls),
            "failed": [{"slide_id": name, "reason": reason} for name, reason in self.failed.items()],
            "results": str(self.results),
            "page": str(self.page),
            "exit_code": self.exit_code,
        }


def run(
    sources: Sequence[Path],
    model: Path,
    out: Path,
    settings: PredictSettings,
    batch: BatchSettings,
    *,
    open_page: bool,
    as_json: bool = False,
) -> int:
    """Check the slides, score them, write the review page, print a summary, and open the page.

    Args:
        sources: Folders, manifests or slides.
        model: A model folder; its settings are used.
        out: ``out/results`` and ``out/review`` are written; a rerun resumes where an earlier one stopped.
        settings: What is allowed.
        batch: Overrides and execution.
        open_page: Open the page in the browser where there is a display.
        as_json: Print the summary as JSON to stdout.

    Returns:
        0 when every slide is scored and shown, 1 when some are not and are listed.

    Raises:
        UserError: The input as a whole is wrong.
    """
    started = perf_counter()
    console = Console(stderr=True)
    _check_out(out)
    description = read_model_file(model)
    entries = batch.overrides.apply(read_all_slides(sources, description.head_records, unknown_labels="skip"))
    require_known_scale(model, description, allowed=settings.allow_unknown_scale)
    require_synthetic_slides(entries, description, allowed=settings.allow_synthetic_model)
    results, pages = RunLayout(out / "results"), ReviewLayout(out / "review")
    _step(console, 1, f"check {len(entries)} slide{'s' if len(entries) > 1 else ''}")
    _check_new_slides(entries, description, results, batch, console)
    _step(console, 2, f"score them: {results.root}")
    code = predict.run(sources, model, results.root, settings, batch)
    _step(console, 3, f"write the review page: {pages.root}")
    code = max(code, review_export.run(results.root, pages.root))
    summary = _summary(results, pages, code)
    _step(console, None, f"{(perf_counter() - started) / 60:.1f} minutes")
    if as_json:
        Console().out(json.dumps(summary.as_json(), indent=2, ensure_ascii=False), highlight=False)
    else:
        for line in summary_lines(summary):
            Console().print(Text(line), soft_wrap=True)
    if open_page and has_display():
        webbrowser.open(pages.index.resolve().as_uri())
    return code


def _check_out(out: Path) -> None:
    """Refuse a place where nothing can be written before minutes were spent on checks."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: expected a folder for the outputs, found a file; choose another --out")


def _step(console: Console, number: int | None, words: str) -> None:
    console.rule(Text(f"{number} of 3: {words}" if number else f"done in {words}"), align="left")


def _check_new_slides(
    entries: Sequence[SlideEntry],
    model: ModelFile,
    results: RunLayout,
    batch: BatchSettings,
    console: Console,
) -> None:
    """Print what is wrong with slides that no earlier run has scored; they stay in the list, and fail by name."""
    done = _scored_before(results)
    new = [entry for entry in entries if spreadsheet_safe(entry.slide_id) not in done]
    config = tiling_config(model)
    reports = doctor.check_slides(new, config, batch.execution.slide_timeout_s, console)
    for line in scale_notes(reports, config, of_model=True):
        console.print(Text(line), soft_wrap=True)
    table = doctor.problem_table(reports)
    if table is not None:
        console.print(table)
    bad = sum(bool(report.problem) for report in reports)
    line = f"{len(new) - bad} of {len(new)} slides without a result can be used"
    console.print(line if new else "all slides have a result of an earlier run", soft_wrap=True)


def _scored_before(results: RunLayout) -> set[str]:
    if not results.predictions_csv.is_file():
        return set()
    return {row["slide_id"] for row in read_predictions(results.predictions_csv) if row["outcome"] == "done"}


def _summary(results: RunLayout, pages: ReviewLayout, code: int) -> RunSummary:
    rows = read_predictions(results.predictions_csv)
    calls = Counter(row["call"] or "no call" for row in rows if row["outcome"] == "done")
    failed = {row["slide_id"]: row["reason"] for row in rows if row["outcome"] == "failed"}
    return RunSummary(results.root, pages.index, dict(sorted(calls.items())), failed, code)


def summary_lines(summary: RunSummary) -> list[str]:
    """The summary for people."""
    total = summary.scored + len(summary.failed)
    calls = ", ".join(f"{count} {call}" for call, count in summary.calls.items())
    lines = [f"{summary.scored} of {total} slides scored" + (f": {calls}" if calls else "")]
    for name, reason in list(summary.failed.items())[:_SHOWN]:
        lines.append(f"failed: {name}: {reason}")
    if len(summary.failed) > _SHOWN:
        lines.append(
            f"and {len(summary.failed) - _SHOWN} more that failed: see {summary.results / 'predictions.csv'}"
        )
    if summary.exit_code:
        lines.append("The same command tries again what failed, and keeps what is done.")
    lines.append(f"Review page: {summary.page.resolve().as_uri()}")
    return lines


def has_display() -> bool:
    """Whether a browser could show a page to the person who typed the command."""
    if "SSH_CONNECTION" in os.environ and "DISPLAY" not in os.environ:
        return False
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
