"""``inkdot review import``: convert readers' verdicts into training labels, and corrections of the cell finder."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from rich.console import Console

from inkdot.errors import UserError
from inkdot.labels import DEFAULT_HEADS, FINDER_HEAD, NOT_A_CELL, Head, flagging_head
from inkdot.review.gallery.pseudonyms import read_pseudonyms
from inkdot.review.verdicts.answers import Answers, answers_of
from inkdot.review.verdicts.cell_answers import cell_answers
from inkdot.review.verdicts.missed_labels import missed_cells, missed_labels, source_words
from inkdot.review.verdicts.qupath_import import read_qupath
from inkdot.review.verdicts.stored_verdicts import read_stored_answers
from inkdot.review.verdicts.verdict_table import Verdict
from inkdot.stages.review.reviewed_slides import write_reviewed_slides
from inkdot.storage.layout import RunLayout
from inkdot.storage.schemas import SCORES_VERSION
from inkdot.storage.tables.finder_corrections import FinderCorrection, write_finder_corrections
from inkdot.storage.tables.labels_table import RegionLabel, write_labels
from inkdot.storage.tables.parquet_tables import read_footer

_IN_QUPATH = "QuPath"
QUPATH_SUFFIXES = frozenset({".geojson", ".json"})


def run(
    verdicts: Sequence[Path],
    out: Path,
    *,
    heads: Sequence[Head] = DEFAULT_HEADS,
    results: Path | None = None,
    reader: str = "",
    finder_corrections: Path | None = None,
    not_a_cell: str | None = None,
    slides: Path | None = None,
    slides_out: Path | None = None,
) -> int:
    """Write a labels table with one row per reader, region and head.

    Disagreeing verdicts are both kept: tiling averages them into a soft target. Of repeated verdicts of a reader the latest
    counts. The column ``source`` states whether scores were shown, and the model of the regions. "Not a cell" is about the cell
    finder and no label of a head, unless ``not_a_cell`` says of which. A region marked as missed gets the label of the flag
    class; one that a reader wants to look at again, the label that training does not use.

    Args:
        verdicts: Tables saved by galleries, databases of the server, and GeoJSON files saved by QuPath, named by their
            slide_id.
        out: The labels table to write.
        heads: The heads that may be reviewed.
        results: Results folder of the regions: gives the origin of QuPath's coordinates and the slides of pseudonyms.
        reader: Pseudonym of the reader who used QuPath.
        finder_corrections: Also write who saw a cell where and who did not, to fine-tune the cell finder.
        not_a_cell: Label of the flagging head for regions without a cell, such as ``benign``; None gives them no label.
        slides: A ``slides.csv``, to write again with the labels that readers gave to slides.
        slides_out: That table.

    Returns:
        0.

    Raises:
        ManifestError: A table or file is missing or invalid.
        UserError: There is no answer at all, only one of ``slides`` and ``slides_out`` is given, a GeoJSON file is given without
            ``results`` or ``reader`` or belongs to no slide of the results, or ``not_a_cell`` is no label of the flagging head.
        StorageError: The results' scores cannot be read.
    """
    console = Console(stderr=True)
    _check_label(not_a_cell, heads)
    drawn = [path for path in verdicts if path.suffix.lower() in QUPATH_SUFFIXES]
    if (slides is None) != (slides_out is None):
        raise UserError("expected both --slides and --slides-out, found one of them; give both or none")
    found = [answer for path in verdicts if path not in drawn for answer in read_stored_answers(path, heads)]
    answers = _renamed(answers_of(found), _real_names(results))
    kept = list(answers.regions)
    for path in sorted(drawn):
        kept += _drawn_verdicts(path, heads, results, reader, console)
    if not (kept or answers.slides or answers.missed):
        raise UserError(
            f"{', '.join(str(path) for path in verdicts)}: expected verdicts of readers, found none; nothing was written. Give "
            "files in which a reader has answered"
        )
    no_cell = [verdict for verdict in kept if verdict.head == FINDER_HEAD.name]
    labels = [_label(verdict) for verdict in kept if verdict.head != FINDER_HEAD.name]
    if not_a_cell is not None:
        head = flagging_head(heads).name
        labels += [_label(replace(verdict, head=head, verdict=not_a_cell), NOT_A_CELL) for verdict in no_cell]
    given, of_missed = len(labels), missed_labels(answers.missed, heads)
    labels += of_missed
    write_labels(out, labels)
    notes = sum(not answer.head for answer in found if answer.kind == "region")
    replaced = sum(answer.kind == "region" for answer in found) - notes - len(answers.regions)
    readers, named = {label.reader for label in labels}, {label.slide_id for label in labels}
    console.print(
        f"{given} verdicts of {len(readers)} readers on {len(named)} slides in {out} "
        f"({replaced} earlier or repeated verdicts and {notes} notes without a verdict ignored)",
        soft_wrap=True,
        markup=False,
    )
    _print_missed(answers, of_missed, console)
    cells = [*cell_answers(kept, heads), *missed_cells(answers.missed, heads)]
    _write_corrections(finder_corrections, cells, len(no_cell), console)
    for line in _written_slides(slides, slides_out, out, answers, named, heads):
        console.print(line, soft_wrap=True, markup=False)
    return 0


def _written_slides(
    slides: Path | None,
    slides_out: Path | None,
    labels: Path,
    answers: Answers,
    named: set[str],
    heads: Sequence[Head],
) -> list[str]:
    """Write the table of slides, or say that there would be something to write; returns lines for the user."""
    if slides is None or slides_out is None:
        count = len(answers.slides)
        hint = f"{count} answers about slides: --slides slides.csv --slides-out FILE writes them as labels"
        return [hint] if count else []
    reviewed = write_reviewed_slides(slides, slides_out, labels, answers.slides, named, heads)
    counts = f"{reviewed.labelled} slides with a label of their readers, {reviewed.annotated} with labelled regions"
    return [f"{counts}, in {slides_out}", *reviewed.notes]


def _renamed(answers: Answers, names: Mapping[str, str]) -> Answers:
    """The answers under the slides' own names."""
    return Answers(
        tuple(replace(one, slide_id=names.get(one.slide_id, one.slide_id)) for one in answers.regions),
        tuple(replace(one, slide_id=names.get(one.slide_id, one.slide_id)) for one in answers.slides),
        tuple(replace(one, slide_id=names.get(one.slide_id, one.slide_id)) for one in answers.missed),
    )


def _print_missed(answers: Answers, labels: Sequence[RegionLabel], console: Console) -> None:
    if not answers.missed:
        return
    counts = Counter(one.verdict for one in answers.missed)
    words = ", ".join(f"{count} {verdict.replace('_', ' ')}" for verdict, count in sorted(counts.items()))
    console.print(
        f"{len(answers.missed)} regions marked as missed ({words}); {len(labels)} of them are labels",
        soft_wrap=True,
        markup=False,
    )


def _check_label(not_a_cell: str | None, heads: Sequence[Head]) -> None:
    if not_a_cell is None:
        return
    head = flagging_head(heads)
    if not_a_cell not in head.labels:
        raise UserError(
            f"--not-a-cell {not_a_cell}: expected a label of head {head.name}, one of {', '.join(head.labels)}"
        )


def _write_corrections(path: Path | None, answers: Sequence[Verdict], no_cell: int, console: Console) -> None:
    """Write the corrections of the cell finder, or say that there would be some."""
    if path is not None:
        write_finder_corrections(
            path,
            (
                FinderCorrection(one.slide_id, one.geometry, one.verdict, one.reader, one.time)
                for one in answers
            ),
        )
        slides = len({answer.slide_id for answer in answers})
        text = f"{no_cell} regions without a cell and {len(answers) - no_cell} with one, on {slides} slides, in {path}"
    elif no_cell:
        text = (
            f"{no_cell} regions are no cells: --finder-corrections FILE writes them for "
            "`inkdot cell-finder fine-tune`"
        )
    else:
        return
    console.print(text, soft_wrap=True, markup=False)


def _drawn_verdicts(
    path: Path, heads: Sequence[Head], results: Path | None, reader: str, console: Console
) -> list[Verdict]:
    if results is None or not reader.strip():
        raise UserError(
            f"{path}: expected --results and --reader with annotations from QuPath, found one or both missing"
        )
    slide_id = _real_names(results).get(path.stem, path.stem)
    scores = RunLayout(results).scores(slide_id)
    if not scores.exists():
        raise UserError(
            f"{path}: expected a file named by a slide of {results}, found no slide {slide_id!r} there; rename the file"
        )
    slide = cast("Mapping[str, object]", read_footer(scores, SCORES_VERSION)["slide"])
    bounds = cast("Sequence[int] | None", slide["bounds_l0_px"])
    size = cast("tuple[int, int]", (slide["width_l0_px"], slide["height_l0_px"]))
    found = read_qupath(path, heads, (bounds[0], bounds[1]) if bounds else (0, 0), size)
    for note in found.notes:
        console.print(note, soft_wrap=True, markup=False)
    if found.ignored:
        classes = ", ".join(f"{name} ({count})" for name, count in found.ignored.items())
        console.print(
            f"{path.name}: ignored annotations without a verdict: {classes}",
            soft_wrap=True,
            markup=False,
        )
    return [
        Verdict(slide_id, region, head, verdict, reader.strip(), "", _IN_QUPATH, "", "")
        for region, head, verdict in found.verdicts
    ]


def _real_names(results: Path | None) -> dict[str, str]:
    """Slides by their pseudonyms; none where no pseudonyms were used."""
    known = read_pseudonyms(RunLayout(results).pseudonyms_csv) if results else {}
    return {name: slide_id for slide_id, name in known.items()}


def _label(verdict: Verdict, remark: str = "") -> RegionLabel:
    in_qupath = verdict.shown == _IN_QUPATH
    source = f"review, {_IN_QUPATH}" if in_qupath else source_words(verdict.shown, verdict.model_sha256)
    if remark:
        source += f", {remark}"
    return RegionLabel(
        verdict.slide_id, verdict.geometry, verdict.head, verdict.verdict, verdict.reader, source
    )
