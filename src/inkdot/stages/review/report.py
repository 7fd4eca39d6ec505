"""``inkdot review report``: one PDF page per slide or patient to hand over, and contact sheets for talks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from rich.console import Console

from inkdot import __version__
from inkdot.config import ReviewConfig
from inkdot.errors import SlideError
from inkdot.execution.runner import print_summary, run_slides
from inkdot.labels import DEFAULT_HEADS, Head
from inkdot.manifest import read_slides
from inkdot.manifest.file_names import id_of_name
from inkdot.records import SlideEntry
from inkdot.review.gallery.pseudonyms import identifying_words, read_pseudonyms, shown_names, shown_reason
from inkdot.review.gallery.read_review import read_review
from inkdot.review.gallery.shareable_text import shareable_review
from inkdot.review.gallery.slide_cases import CasePanels, case_panels
from inkdot.review.gallery.slide_review import SlideReview, slide_order
from inkdot.review.report.answers import answers_for
from inkdot.review.report.case_lines import page_cases
from inkdot.review.report.content import page_facts, sheet_facts, title_of
from inkdot.review.report.page import PLACES, ROOMS, Page, PagePlace, PageSlide
from inkdot.review.report.page_groups import By, page_groups, wanted_slides
from inkdot.review.report.private_names import without_private_names
from inkdot.review.report.slide_pages import (
    highest_places,
    model_names,
    write_images,
)
from inkdot.review.report.typeset import Typesetter
from inkdot.review.report.words import adequacy_line
from inkdot.review.verdicts.stored_verdicts import read_stored_answers
from inkdot.review.verdicts.verdict_table import Verdict
from inkdot.storage.atomic import write_bytes
from inkdot.storage.layout import RunLayout
from inkdot.storage.locking import locked
from inkdot.storage.output_layouts import ReportLayout
from inkdot.storage.tables.predictions import read_predictions, spreadsheet_safe

_PSEUDONYMS = "Names of slides are pseudonyms, which only the laboratory can map back."
_TAKEN_OUT = "Names were taken out of notes; they are shown as […]."
_SHEET_PLACES = 8
_SHEET_PPI = 192.0  # 2,560 × 1,440 pixels
_KNOWN_STAINS = frozenset({"pap", "he", "h&e", "mgg", "giemsa", "wright", "wright-giemsa", "diff-quik"})


def run(
    results: Path,
    out: Path,
    *,
    by: By = "slide",
    verdicts: Sequence[Path] = (),
    heads: Sequence[Head] = DEFAULT_HEADS,
    slides: Sequence[str] = (),
    pseudonymise: bool = True,
    contact_sheet: bool = False,
    model: Path | None = None,
    identifiers: Sequence[str] = (),
    cases: Path | None = None,
    ranges: Path | None = None,
    made: datetime | None = None,
) -> int:
    """Write ``out/report-NAME.pdf`` per slide or patient, one page A4 each, and with ``contact_sheet`` a PNG per slide.

    Args:
        results: Results folder of ``inkdot predict``.
        out: Folder of the reports.
        by: One page per slide, or per patient; a slide without patient_id has a page of its own.
        verdicts: Tables saved by galleries, and databases of the server; the results' own where there are none.
        heads: The heads that were reviewed.
        slides: Only these slides (or pseudonyms of slides), and the patients that have them.
        pseudonymise: Show slides by the pseudonyms of the results, and take names of the slide table out of notes.
        contact_sheet: Also write ``out/contact-sheet-NAME.png`` of each slide.
        model: Folder of the model that made the results, for its name and what it was trained on.
        identifiers: Further words to take out of notes.
        cases: ``cases.csv``, for the case on each page; free text of it is left out with ``pseudonymise``.
        ranges: Reference ranges of the laboratory; the published ones where None.
        made: Date on the pages; now where None.

    Returns:
        0, or 1 if a slide has no results or could not be read again, or a page did not fit.

    Raises:
        UserError: Typst is not installed, a slide is not in the results, or the model is not theirs.
        StorageError: The folder holds no results.
        ManifestError: A table of verdicts is invalid.
    """
    source, layout = RunLayout(results), ReportLayout(out)
    rows = {row["slide_id"]: row for row in read_predictions(source.predictions_csv)}
    entries = read_slides(source.slides_csv, heads=())  # the label columns are not needed
    names = shown_names(source, entries, pseudonymise=pseudonymise)
    panels, notes = case_panels(cases, entries, ranges=ranges, blinded=False, pseudonymise=pseudonymise)
    groups = page_groups(entries, by, wanted_slides(entries, names, slides))
    job = _Job(
        source=source,
        layout=layout,
        rows=rows,
        names=names,
        groups=groups,
        verdicts=_verdicts(source, verdicts, heads),
        heads=heads,
        private=sorted({*identifying_words(entries), *identifiers}) if pseudonymise else (),
        pseudonymise=pseudonymise,
        made=made or datetime.now(UTC),
        models=model_names(model, source, rows) if model else {},
        panels=panels,
    )
    with Typesetter("page") as page, Typesetter("sheet") as sheet, locked(layout.lock):
        task = _ReportTask(job, page, sheet if contact_sheet else None)
        summary = run_slides("report", [group[0] for group in groups.values()], task, source, workers=1)
    console = Console(stderr=True)
    print_summary(console, [summary])
    for line in [*notes, *(f"{name}: {problem}" for name, problem in job.problems.items())]:
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    console.print(f"{len(summary.done)} reports in {out}", soft_wrap=True, markup=False, highlight=False)
    return 1 if summary.exit_code or job.problems else 0


@dataclass(frozen=True, slots=True)
class _Job:
    """What all pages share.

    Attributes:
        source: The results.
        layout: The reports.
        rows: Rows of ``predictions.csv`` by slide.
        names: Shown name by slide_id.
        groups: Slides of each page, by the slide that stands for it.
        verdicts: All verdicts, under the slides' own names.
        heads: The heads that were reviewed.
        private: Words to take out of notes.
        pseudonymise: Whether names are pseudonyms.
        made: Date on the pages.
        models: Names of models by their hash.
        panels: The case panel of each slide that has one.
        problems: What went wrong, by shown name; filled by the task.
    """

    source: RunLayout
    layout: ReportLayout
    rows: Mapping[str, Mapping[str, str]]
    names: Mapping[str, str]
    groups: Mapping[str, Sequence[SlideEntry]]
    verdicts: Sequence[Verdict]
    heads: Sequence[Head]
    private: Sequence[str]
    pseudonymise: bool
    made: datetime
    models: Mapping[str, str]
    panels: CasePanels
    problems: dict[str, str] = field(default_factory=dict[str, str])


def _verdicts(source: RunLayout, paths: Sequence[Path], heads: Sequence[Head]) -> list[Verdict]:
    """All answers, under the slides' own names."""
    own = [source.reviews_sqlite] if source.reviews_sqlite.exists() else []
    real = {name: slide_id for slide_id, name in read_pseudonyms(source.pseudonyms_csv).items()}
    return [
        replace(verdict, slide_id=real.get(verdict.slide_id, verdict.slide_id))
        for path in (paths or own)
        for verdict in read_stored_answers(path, heads)
    ]


class _ReportTask:
    """Makes the page that a slide stands for; a slide that cannot be read is on it without images."""

    def __init__(self, job: _Job, page: Typesetter, sheet: Typesetter | None) -> None:
        self._job, self._page, self._sheet = job, page, sheet

    def __call__(self, entry: SlideEntry) -> Literal["done"]:
        """Write the page, and the contact sheets of its slides."""
        job = self._job
        group = {one.slide_id: one for one in job.groups[entry.slide_id]}
        ordered = slide_order([self._review(one) for one in group.values()])
        page = self._content(ordered, highest_places(ordered, PLACES), group, self._page.root)
        report = job.layout.report(id_of_name(self._file_name(group)))
        pdf, pages = self._page.pdf([page_facts(page, room) for room in ROOMS], job.made)
        write_bytes(report, pdf)
        if pages > 1:
            job.problems[report.name] = f"expected text for one page, found {pages}; use shorter names"
        if self._sheet is not None:
            for review in ordered:
                self._write_sheet(self._sheet, review, group)
        return "done"

    def _file_name(self, group: Mapping[str, SlideEntry]) -> str:
        first = next(iter(group.values()))
        if len(group) == 1:
            return self._job.names[first.slide_id]
        return (
            f"patient-of-{self._job.names[first.slide_id]}"
            if self._job.pseudonymise
            else f"patient-{first.patient_id}"
        )

    def _review(self, entry: SlideEntry) -> SlideReview:
        job = self._job
        name, row = job.names[entry.slide_id], job.rows.get(spreadsheet_safe(entry.slide_id), {})
        review = self._shareable(
            read_review(
                job.source,
                entry,
                name,
                row,
                top_n=max(PLACES, _SHEET_PLACES),
                min_distance_fraction=ReviewConfig().min_distance_fraction,
            )
        )
        if review.problem:
            job.problems[name] = review.problem
        return review

    def _shareable(self, review: SlideReview) -> SlideReview:
        return shareable_review(review, blinded=False) if self._job.pseudonymise else review

    def _content(
        self,
        ordered: Sequence[SlideReview],
        places: Sequence[PagePlace],
        group: Mapping[str, SlideEntry],
        folder: Path,
    ) -> Page:
        job = self._job
        real = {job.names[slide_id]: slide_id for slide_id in group}
        slides, pictured = self._pictured(ordered, places, group, folder)
        outlines = [(real[place.review.slide_id], place.region.wkt) for place in places]
        answers = answers_for(outlines, job.verdicts, job.heads, group)
        answers, taken_out = without_private_names(answers, job.private, job.names)
        hashes = sorted({review.facts.model_sha256 for review in ordered if review.facts is not None})
        many = len(group) > 1
        names = [job.names[slide_id] for slide_id in group]
        patient = title_of(names) if job.pseudonymise else next(iter(group.values())).patient_id
        return Page(
            title=patient if many else names[0],
            kind="Patient" if many else "Slide",
            made=job.made,
            slides=tuple(slides),
            places=tuple(pictured),
            answers=answers,
            model="; ".join(
                f"model {job.models.get(one, '')} SHA-256 {one}".replace("  ", " ") for one in hashes
            )
            or "model not known",
            inkdot=__version__,
            named=_PSEUDONYMS if job.pseudonymise else "",
            remarks=(_TAKEN_OUT,) if taken_out else (),
            cases=page_cases(
                [(review.slide_id, job.panels.get(real[review.slide_id], ())) for review in ordered]
            ),
        )

    def _pictured(
        self,
        ordered: Sequence[SlideReview],
        places: Sequence[PagePlace],
        group: Mapping[str, SlideEntry],
        folder: Path,
    ) -> tuple[list[PageSlide], list[PagePlace]]:
        """The slides and places with images of what can be read; what cannot is named in the warnings."""
        job = self._job
        real = {job.names[slide_id]: slide_id for slide_id in group}
        slides: list[PageSlide] = []
        images: dict[int, str] = {}
        for number, review in enumerate(ordered):
            entry = group[real[review.slide_id]]
            row = job.rows.get(spreadsheet_safe(entry.slide_id), {})
            slide = PageSlide(review, adequacy_line(review.call, row), self._material(entry))
            own = [index for index, place in enumerate(places) if place.review is review]
            try:
                regions = [places[index].region for index in own]
                overview, found = write_images(entry, review, regions, number, folder)
                slide = replace(slide, overview=overview)
                images |= dict(zip(own, found, strict=False))
            except SlideError as error:
                problem = shown_reason(str(error), entry, review.slide_id)
                failed = self._shareable(replace(review, problem=problem))
                job.problems[review.slide_id] = failed.problem
                slide = replace(slide, review=failed)
            slides.append(slide)
        return slides, [replace(place, image=images.get(index, "")) for index, place in enumerate(places)]

    def _material(self, entry: SlideEntry) -> str:
        """Preparation and stain; a stain is free text, which may name somebody, so only a known one goes under a pseudonym."""
        shown = not self._job.pseudonymise or entry.stain.casefold() in _KNOWN_STAINS
        parts = [entry.preparation or "", entry.stain if shown else ""]
        return ", ".join(part for part in parts if part)

    def _write_sheet(self, sheet: Typesetter, review: SlideReview, group: Mapping[str, SlideEntry]) -> None:
        names = self._job.names
        only = {slide_id: entry for slide_id, entry in group.items() if names[slide_id] == review.slide_id}
        page = self._content([review], highest_places([review], _SHEET_PLACES), only, sheet.root)
        image = sheet.png(sheet_facts(page, _SHEET_PLACES), _SHEET_PPI)
        write_bytes(self._job.layout.contact_sheet(id_of_name(review.slide_id)), image)
