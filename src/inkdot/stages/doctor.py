"""``inkdot doctor``: look at every slide and at the machine, and say what would fail later and why."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from inkdot.config import Config
from inkdot.datasets.cohort_checks import LabelCount, cohort_notes, count_labels, training_notes
from inkdot.execution.hardware import machine_facts
from inkdot.manifest import read_slides, with_overrides
from inkdot.pipeline.inspect_slide import SlideReport, inspect_slide
from inkdot.records import SlideEntry
from inkdot.storage.disk import free_bytes, in_words


def run(
    slides: Path,
    config: Config,
    *,
    mpp: float | None = None,
    stain: str | None = None,
    preparation: str | None = None,
) -> int:
    """Print a table of the slides, one of the patients, and one of the machine; nothing is written.

    Args:
        slides: A ``slides.csv``, a slide, or a folder.
        config: How the slides would be tiled, and which heads are asked.
        mpp: Micrometres per pixel of every slide, instead of what the files state.
        stain: Stain of every slide.
        preparation: Preparation of every slide.

    Returns:
        0 when every slide could be used, 1 when some could not.

    Raises:
        UserError: The manifest itself is wrong.
    """
    console, progress = Console(), Console(stderr=True)
    entries = with_overrides(
        read_slides(slides, config.head_records), mpp=mpp, stain=stain, preparation=preparation
    )
    reports: list[SlideReport] = []
    for entry in track(entries, "Looking at slides", console=progress, transient=True):
        reports.append(inspect_slide(entry, config))
    console.print(_slide_table(entries, reports, config))
    regions = {report.slide_id: [(label.head, label.label) for label in report.labels] for report in reports}
    counts = count_labels(entries, regions, config.head_records)
    notes = [*cohort_notes(entries), *training_notes(counts, config.head_records), *_disk_notes(reports)]
    for line in notes:
        console.print(Text(line), soft_wrap=True)
    problems = _problem_table(reports)
    if problems is not None:
        console.print(problems)
    console.print(_patient_table(counts))
    console.print(_machine_table(reports))
    failed = sum(bool(report.problem) for report in reports)
    verdict = f"{len(reports) - failed} of {len(reports)} slides can be used"
    console.print(Text(verdict + (f"; {failed} cannot, see the reasons above" if failed else "")))
    return 1 if failed else 0


def _slide_table(entries: Sequence[SlideEntry], reports: Sequence[SlideReport], config: Config) -> Table:
    table = Table(title="Slides", title_justify="left", show_lines=True)
    table.add_column("slide", overflow="fold")
    for name in ("usable", "file", "stain, preparation, labels", "tiles, disk"):
        table.add_column(name, overflow="fold")
    for entry, report in zip(entries, reports, strict=True):
        made = [entry.stain or "stain not stated", entry.preparation or "preparation not stated"]
        cells = [
            entry.slide_id,
            "no" if report.problem else "yes",
            _file_cell(report),
            "\n".join([*made, *_label_lines(entry, report)]),
            f"{_at_most(config)}{report.tiles:,} tiles\n{in_words(report.tables_bytes)}"
            if report.tiles
            else "-",
        ]
        table.add_row(*(Text(cell) for cell in cells))  # as Text: a name from a manifest is not markup
    return table


def _at_most(config: Config) -> str:
    return "at most " if config.tiling.mode == "clusters" else ""


def _file_cell(report: SlideReport) -> str:
    """Format, µm/px and who says so, size."""
    info = report.info
    if info is None:
        return "cannot be opened"
    width, height = info.size_l0_px
    levels = len(info.level_sizes_px)
    lines = [info.vendor + (", synthetic" if info.synthetic else "")]
    if report.mpp_usable:
        square = info.mpp.x == info.mpp.y
        mpp = f"{info.mpp.x:.4g}" if square else f"{info.mpp.x:.4g} x {info.mpp.y:.4g}"
        lines.append(f"{mpp} µm/px from {info.mpp_source}")
        lines.append(f"{width * info.mpp.x / 1000:.1f} x {height * info.mpp.y / 1000:.1f} mm")
    else:
        lines.append("no usable µm/px")
    lines.append(f"{width:,} x {height:,} px, {levels} level{'s' if levels > 1 else ''}")
    return "\n".join(lines)


def _label_lines(entry: SlideEntry, report: SlideReport) -> list[str]:
    words = [f"{head}: {label}" for head, label in sorted(entry.on_slide.items())]
    words += [f"patient {head}: {label}" for head, label in sorted(entry.of_patient.items())]
    if report.labels:
        words.append(f"{len(report.labels)} labels on regions")
    return words or ["no labels"]


def _problem_table(reports: Sequence[SlideReport]) -> Table | None:
    """What would fail, and what else should be known; None where all is well."""
    rows = [(report.slide_id, "fails", report.problem) for report in reports if report.problem]
    rows += [(report.slide_id, "note", text) for report in reports for text in report.warnings]
    if not rows:
        return None
    table = Table(title="What would fail later, and what to know", title_justify="left")
    table.add_column("slide", overflow="fold")
    table.add_column("")
    table.add_column("reason", overflow="fold")
    for cells in sorted(rows):
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _patient_table(counts: Sequence[LabelCount]) -> Table:
    """Patients and slides that have each label, be it on the slide, of the patient, or of a region."""
    table = Table(title="Patients per label", title_justify="left")
    for name in ("head", "label", "patients", "slides"):
        table.add_column(name)
    for count in counts:
        table.add_row(Text(count.head), Text(count.label), str(count.patients), str(count.slides))
    return table


def _machine_table(reports: Sequence[SlideReport]) -> Table:
    table = Table(title="Machine and disk", title_justify="left", show_header=False)
    table.add_column("what")
    table.add_column("found")
    for name, found in (machine_facts() | {"GPU": _gpu()}).items():
        table.add_row(name, Text(found))
    tables, cache, free = _disk(reports)
    table.add_row("free disk here", "unknown" if free is None else in_words(free))
    table.add_row("disk for tables", f"at most {in_words(tables)}")
    table.add_row("disk for training", f"at most {in_words(cache)}, if every tile is labelled")
    return table


def _disk(reports: Sequence[SlideReport]) -> tuple[int, int, int | None]:
    """Bytes for tables and for training, and what is free in the current folder."""
    tables = sum(report.tables_bytes for report in reports)
    cache = sum(report.cache_bytes for report in reports)
    return tables, cache, free_bytes(Path.cwd())


def _disk_notes(reports: Sequence[SlideReport]) -> list[str]:
    tables, cache, free = _disk(reports)
    if free is None or tables + cache <= free:
        return []
    what = "tables" if tables > free else "tables and training tiles"
    return [
        f"disk: expected room for {in_words(tables + cache)} of {what}, found {in_words(free)} free here; work on another disk, "
        "or lower training.max_tiles_per_slide"
    ]


def _gpu() -> str:
    import torch  # here, since it takes seconds to load

    if torch.cuda.is_available():
        return ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
    if torch.backends.mps.is_available():
        return "Apple (mps)"
    return "none that torch can use: everything runs on the processor"
