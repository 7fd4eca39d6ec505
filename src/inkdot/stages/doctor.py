"""``inkdot doctor``: check every slide and the machine, and print what would fail later and why."""

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from inkdot.cases.join_slides import join_notes
from inkdot.cases.read_cases import CASES_NAME, check_cases
from inkdot.config import Config
from inkdot.datasets.cohort_checks import LabelCount, cohort_notes, count_labels
from inkdot.datasets.label_tables import check_label_tables
from inkdot.datasets.trainable_heads import RegionLabels, labelled_patients, trainable_heads
from inkdot.errors import ManifestError, UserError
from inkdot.execution.hardware import hardware_facts
from inkdot.execution.process_pool import ProcessPool
from inkdot.execution.task import Returned
from inkdot.manifest import read_slides, source_notes
from inkdot.pipeline.batch_settings import SlideOverrides
from inkdot.pipeline.doctor_report import DoctorReport, config_line, scale_notes
from inkdot.pipeline.inspect_slide import SlideInspection, inspect_slide
from inkdot.records import SlideEntry
from inkdot.storage.disk import free_bytes, readable_bytes


def run(
    slides: Path,
    config: Config,
    overrides: SlideOverrides | None = None,
    *,
    config_source: str = "",
    slide_timeout_s: float | None = None,
    cases: Path | None = None,
    as_json: bool = False,
) -> int:
    """Print tables of the slides, the patients and the machine; nothing is written.

    Args:
        slides: A ``slides.csv``, a slide, or a folder.
        config: How the slides would be tiled, and the heads.
        overrides: Values that replace those of every slide.
        config_source: Where the config is from, as words.
        slide_timeout_s: Slides are checked in a process of their own, which a decoder may end, and one without progress for
            this many seconds is stopped; None checks them in this process.
        cases: Table of the cases; ``cases.csv`` beside ``slides.csv`` where None, if there is one.
        as_json: Print JSON to stdout in place of the tables.

    Returns:
        0 when every slide and every cell of the cases could be used, 1 when some could not.

    Raises:
        UserError: The manifest itself is wrong, or the given table of cases is none.
    """
    console, progress = Console(), Console(stderr=True)
    entries = (overrides or SlideOverrides()).apply(read_slides(slides, config.head_records))
    of_cases = _case_findings(cases, slides, entries)
    reports = check_slides(entries, config, slide_timeout_s, progress)
    regions = {report.slide_id: [(label.head, label.label) for label in report.labels] for report in reports}
    notes = [
        *source_notes([slides]),
        *scale_notes(reports, config),
        *cohort_notes(entries),
        *_training_notes(entries, regions, config),
        *_disk_notes(reports),
        *of_cases.lines,
    ]
    counts = count_labels(entries, regions, config.head_records)
    report = DoctorReport(
        config, config_source, entries, reports, notes, [asdict(count) for count in counts], _machine()
    )
    if as_json:
        console.out(json.dumps(report.as_json(), indent=2, ensure_ascii=False), highlight=False)
    else:
        _print(report, counts, console)
    return 1 if report.failed or of_cases.wrong else 0


def _print(report: DoctorReport, counts: Sequence[LabelCount], console: Console) -> None:
    if report.source:
        console.print(Text(config_line(report.source, report.config)), soft_wrap=True)
    at_most = report.config.tiling.mode == "clusters"
    console.print(_slide_table(report.entries, report.slides, at_most=at_most))
    for line in report.notes:
        console.print(Text(line), soft_wrap=True)
    problems = problem_table(report.slides)
    if problems is not None:
        console.print(problems)
    console.print(_patient_table(counts))
    console.print(_machine_table(report))
    total, failed = len(report.slides), report.failed
    line = f"{total - failed} of {total} slides can be used"
    console.print(Text(line + (f"; {failed} cannot: see the reasons above" if failed else "")))


@dataclass(frozen=True, slots=True)
class _CaseFindings:
    """Lines about ``cases.csv``, and whether one of them is an error."""

    lines: tuple[str, ...] = ()
    wrong: bool = False


def _case_findings(cases: Path | None, slides: Path, entries: Sequence[SlideEntry]) -> _CaseFindings:
    beside = slides.parent / CASES_NAME
    if cases is None and (slides.suffix.lower() != ".csv" or not beside.exists()):
        return _CaseFindings()
    try:
        checked = check_cases(cases or beside)
    except ManifestError as error:
        if cases is not None:
            raise
        return _CaseFindings((str(error),), wrong=True)  # found, not asked for: the slides are still checked
    rows = len(checked.cases)
    lines = (
        f"{cases or beside}: {rows} row{'s' if rows != 1 else ''}, {len(checked.errors)} to correct",
        *checked.errors,
        *checked.warnings,
        *join_notes(checked.cases, entries),
    )
    return _CaseFindings(lines, wrong=bool(checked.errors))


@dataclass(frozen=True, slots=True)
class _Inspection:
    """:func:`inspect_slide` as a task for an executor."""

    config: Config

    def __call__(self, entry: SlideEntry) -> Returned:
        return Returned("done", inspect_slide(entry, self.config))


def check_slides(
    entries: Sequence[SlideEntry], config: Config, slide_timeout_s: float | None, progress: Console
) -> list[SlideInspection]:
    """The report of every slide, in the order of ``entries``; a slide whose process died or hung has one, too."""
    found: dict[str, SlideInspection] = {}
    with closing(ProcessPool(1, slide_timeout_s)) as pool:
        results = pool.run(entries, _Inspection(config))
        for result in track(results, "Checking slides", len(entries), console=progress, transient=True):
            if isinstance(result.value, SlideInspection):
                found[result.slide_id] = result.value
            else:
                found[result.slide_id] = SlideInspection(
                    result.slide_id, None, False, (), None, 0, 0, "", result.reason, ()
                )
    return [found[entry.slide_id] for entry in entries]


def _training_notes(entries: Sequence[SlideEntry], regions: RegionLabels, config: Config) -> list[str]:
    """What `inkdot train` would say of the labels before it tiles: heads left out, or why it would stop."""
    try:
        tables = check_label_tables(entries, config.head_records)
    except ManifestError as error:  # the slides without the wrong row are still checked
        tables = [f"{error}: training would stop"]
    labels = labelled_patients(entries, config, regions)
    if not any(labels.of_class.values()):
        return [*tables, "no labels: enough to tile and predict, nothing to train or evaluate on"]
    try:
        return [*tables, *trainable_heads(labels, config).notes]
    except UserError as error:
        return [*tables, str(error)]


def _slide_table(
    entries: Sequence[SlideEntry], reports: Sequence[SlideInspection], *, at_most: bool
) -> Table:
    table = Table(title="Slides", title_justify="left", show_lines=True)
    table.add_column("slide", overflow="fold")
    for name in ("usable", "file", "stain, preparation, labels", "tiles, disk"):
        table.add_column(name, overflow="fold")
    for entry, report in zip(entries, reports, strict=True):
        conditions = [entry.stain or "stain not stated", entry.preparation or "preparation not stated"]
        cells = [
            entry.slide_id,
            "no" if report.problem else "yes",
            _file_cell(report),
            "\n".join([*conditions, *_label_lines(entry, report)]),
            _tiles_cell(report, at_most=at_most),
        ]
        table.add_row(*(Text(cell) for cell in cells))  # as Text: a name from a manifest is not markup
    return table


def _tiles_cell(report: SlideInspection, *, at_most: bool) -> str:
    if not report.tiles:
        return "-"
    return f"{'at most ' if at_most else ''}{report.tiles:,} tiles\n{readable_bytes(report.tables_bytes)}"


def _file_cell(report: SlideInspection) -> str:
    """Format, µm/px and their source, size."""
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
    if report.red_cells:
        lines.append(report.red_cells)
    lines.append(f"{width:,} x {height:,} px, {levels} level{'s' if levels > 1 else ''}")
    return "\n".join(lines)


def _label_lines(entry: SlideEntry, report: SlideInspection) -> list[str]:
    lines = [f"{head}: {label}" for head, label in sorted(entry.on_slide.items())]
    lines += [f"patient {head}: {label}" for head, label in sorted(entry.of_patient.items())]
    if report.labels:
        lines.append(f"{len(report.labels)} region labels")
    return lines or ["no labels"]


def problem_table(reports: Sequence[SlideInspection]) -> Table | None:
    """Failures and warnings of slides; None without any."""
    rows = [(report.slide_id, "fails", report.problem) for report in reports if report.problem]
    rows += [(report.slide_id, "warning", text) for report in reports for text in report.warnings]
    if not rows:
        return None
    table = Table(title="Failures and warnings", title_justify="left")
    table.add_column("slide", overflow="fold")
    table.add_column("")
    table.add_column("reason", overflow="fold")
    for cells in sorted(rows):
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _patient_table(counts: Sequence[LabelCount]) -> Table:
    """Patients and slides per label, which may be of the slide, the patient or a region."""
    table = Table(title="Patients per label", title_justify="left")
    for name in ("head", "label", "patients", "slides"):
        table.add_column(name)
    for count in counts:
        table.add_row(Text(count.head), Text(count.label), str(count.patients), str(count.slides))
    return table


def _machine_table(report: DoctorReport) -> Table:
    table = Table(title="Machine and disk", title_justify="left", show_header=False)
    table.add_column("fact")
    table.add_column("value")
    for name, value in report.machine.items():
        table.add_row(name, Text(value))
    tables, cache, free = _disk(report.slides)
    table.add_row("free disk here", "unknown" if free is None else readable_bytes(free))
    table.add_row("disk for tables", f"at most {readable_bytes(tables)}")
    table.add_row("disk for training", f"at most {readable_bytes(cache)}, if every tile is labelled")
    return table


def _machine() -> dict[str, str]:
    return {**hardware_facts(), "GPU": _gpu()}


def _disk(reports: Sequence[SlideInspection]) -> tuple[int, int, int | None]:
    """Bytes for tables and for training, and free bytes in the current folder."""
    tables = sum(report.tables_bytes for report in reports)
    cache = sum(report.cache_bytes for report in reports)
    return tables, cache, free_bytes(Path.cwd())


def _disk_notes(reports: Sequence[SlideInspection]) -> list[str]:
    tables, cache, free = _disk(reports)
    if free is None or tables + cache <= free:
        return []
    purpose = "tables" if tables > free else "tables and training tiles"
    return [
        f"disk: expected {readable_bytes(tables + cache)} free for {purpose}, found {readable_bytes(free)}; use another disk, "
        "or lower training.max_tiles_per_slide"
    ]


def _gpu() -> str:
    import torch  # imported here: it takes seconds

    if torch.cuda.is_available():
        return ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
    if torch.backends.mps.is_available():
        return "Apple (mps)"
    return "none that torch can use; computation runs on the CPU"
