"""``inkdot synth``: make synthetic slides, their truth and a manifest, for tests and demonstrations."""

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from time import process_time

import pyarrow as pa
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from inkdot import __version__
from inkdot.errors import StorageError
from inkdot.labels import DEFAULT_HEADS
from inkdot.manifest import manifest_text
from inkdot.records import SlideEntry
from inkdot.slides.pyramid import write_pyramid
from inkdot.storage.atomic import write_text
from inkdot.storage.locking import locked
from inkdot.storage.output_layouts import CohortLayout
from inkdot.storage.tables.labels_table import RegionLabel, write_labels
from inkdot.storage.tables.parquet_tables import read_footer, read_table, write_table
from inkdot.synthetic import GENERATOR_VERSION
from inkdot.synthetic.cells.scene import Scene
from inkdot.synthetic.cohort.arguments import check_numbers, refuse_other_cohort
from inkdot.synthetic.cohort.cohort_plan import SlidePlan, plan_cohort
from inkdot.synthetic.cohort.cytospins import CYTOSPIN_VERSION
from inkdot.synthetic.cohort.truth import (
    MORPHOLOGY_OF,
    TRUTH_VERSION,
    slide_labels,
    true_labels,
    truth_geojson,
    truth_table,
)
from inkdot.synthetic.rendering.extended_focus import FusedSource
from inkdot.synthetic.rendering.scene_source import SceneSource
from inkdot.synthetic.rendering.stains import Stain
from inkdot.synthetic.scenes import build_scene

_DOWNSAMPLES = (1, 4, 16, 64)
_SMALLEST_LEVEL_PX = 128  # coarser levels are of no use
PLANE_STEP_UM = 1.5
_READER, _SOURCE = "truth", "synthetic-truth"
_FACTS = ("synthetic", "composition", "counts", "mpp_fault")


def run(
    preset: str,
    slides: int,
    seed: int,
    out: Path,
    *,
    spot_mm: float | None = None,
    mpp: float | None = None,
    planes: int = 1,
    workers: int = 2,
) -> int:
    """Make a cohort of synthetic slides; existing slides made from the same settings are reused.

    Args:
        preset: Kind of cohort; see :mod:`inkdot.synthetic.cohort.presets`.
        slides: Number of slides.
        seed: Same seed, same bytes.
        out: Folder for slides, slides.csv, labels.csv and truth.
        spot_mm: Diameter of the cell spot; the preset's own where None.
        mpp: Micrometres per pixel; the preset's own where None.
        planes: Focal planes; those beside the middle one are files of their own, 1.5 µm apart, and so is the
            extended-focus image that fuses them.
        workers: Processes.

    Returns:
        The exit code, 0.

    Raises:
        UserError: There is no such preset, a number is out of range, or the folder holds slides of another cohort.
    """
    check_numbers(slides, seed, spot_mm, mpp, planes)
    plans = plan_cohort(preset, slides, seed, spot_mm, mpp)
    layout = CohortLayout(out)
    more = refuse_other_cohort(layout, plans)
    with locked(layout.lock):
        waiting = [plan for plan in plans if not _is_made(layout, plan, planes)]
        made = _make_all(
            layout, waiting, planes, min(workers, len(waiting)), reused=len(plans) - len(waiting)
        )
        _write_tables(layout, plans)
    speed = f", {made.megapixels / made.cpu_seconds:.1f} MPx/s per core" if made.cpu_seconds else ""
    line = f"{slides} synthetic slides in {layout.root} (made {len(waiting)}, reused {slides - len(waiting)}{speed})"
    console = Console(stderr=True)
    console.print(line, soft_wrap=True, markup=False)
    if more:
        line = f"the folder also holds {more} slide{'s' * (more > 1)} of a longer run, which slides.csv does not list"
        console.print(line, soft_wrap=True, markup=False)
    return 0


@dataclass(frozen=True, slots=True)
class Made:
    """How much was made, and the time it took.

    Attributes:
        megapixels: Level-0 pixels of the slides, focal planes and their fusion counted each.
        cpu_seconds: Processor time, of one core at a time.
    """

    megapixels: float = 0.0
    cpu_seconds: float = 0.0

    def __add__(self, other: "Made") -> "Made":
        return Made(self.megapixels + other.megapixels, self.cpu_seconds + other.cpu_seconds)


def make_slide(
    layout: CohortLayout, plan: SlidePlan, planes: int = 1, on_share: Callable[[float], None] | None = None
) -> Made:
    """Make one slide and its truth; the truth is written last and marks the slide as complete.

    Args:
        layout: The cohort's files.
        plan: The slide.
        planes: Focal planes, an odd number.
        on_share: Called with the finished fraction of the slide, 0 to 1.
    """
    started = process_time()
    patient = plan.draw_patient()
    stain = plan.stain()
    scene = build_scene(plan, patient, stain)
    path = layout.slide(plan.slide_id)
    heights = [(number - planes // 2) * PLANE_STEP_UM for number in range(planes)]
    images: list[tuple[tuple[float, ...], Path]] = [
        ((height,), layout.plane(plan.slide_id, height) if height else path) for height in heights
    ]
    if planes > 1:
        images.append((tuple(heights), layout.extended_focus(plan.slide_id)))
    for number, (in_focus_um, target) in enumerate(images):

        def on_row(done: int, rows: int, before: int = number) -> None:
            if on_share is not None:
                on_share((before + done / rows) / len(images))

        _scan(plan, scene, stain, target, in_focus_um, on_row)
    truth = truth_table(scene, plan.mpp)
    shapes = json.dumps(truth_geojson(plan.slide_id, truth), sort_keys=True)
    write_text(layout.truth_geojson(plan.slide_id), shapes)
    facts = _settings(plan, planes) | {
        "slide_bytes": path.stat().st_size,
        "patient_tumour": patient.tumour,
        "confounders": list(scene.confounders),
    }
    write_table(layout.truth(plan.slide_id), truth, TRUTH_VERSION, facts)
    megapixels = len(images) * scene.width_um * scene.height_um / plan.mpp**2 / 1e6
    return Made(megapixels, process_time() - started)


def _scan(
    plan: SlidePlan,
    scene: Scene,
    stain: Stain,
    path: Path,
    heights_um: tuple[float, ...],
    on_row: Callable[[int, int], None],
) -> None:
    """Scan a scene with the focus at one height, or at several, fused."""
    scanner = plan.scanner_properties()
    seed = plan.seed * 100_003 + plan.number
    if len(heights_um) == 1:
        source = SceneSource(scene, plan.mpp, stain, scanner, seed, heights_um[0])
    else:
        source = FusedSource(scene, plan.mpp, stain, scanner, seed, heights_um)
    levels = [d for d in _DOWNSAMPLES if d == 1 or min(source.size_px) >= d * _SMALLEST_LEVEL_PX]
    write_pyramid(
        path,
        source,
        mpp=plan.stated_mpp,
        description=_description(plan, heights_um),
        downsamples=levels,
        quality=scanner.jpeg_quality,
        subsampling=scanner.subsampling,
        on_row=on_row,
    )


def _make_all(layout: CohortLayout, plans: list[SlidePlan], planes: int, workers: int, reused: int) -> Made:
    """Make slides in as many processes, with a progress bar over slides."""
    columns = (
        TextColumn("making slides"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("slides", total=reused + len(plans), completed=reused)
        total = Made()
        if workers <= 1:
            for done, plan in enumerate(plans, start=reused):

                def on_share(share: float, done: int = done) -> None:
                    progress.update(bar, completed=done + share)

                total += make_slide(layout, plan, planes, on_share)
            return total
        # Spawned, not forked: a fork copies the locks of threads that are running.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            for made in as_completed([pool.submit(make_slide, layout, plan, planes) for plan in plans]):
                total += made.result()
                progress.advance(bar)
        return total


def _write_tables(layout: CohortLayout, plans: list[SlidePlan]) -> None:
    """Write labels.csv and slides.csv from the truth of all slides; the manifest last."""
    labels: list[RegionLabel] = []
    entries: list[SlideEntry] = []
    for plan in plans:
        truth, facts = read_table(layout.truth(plan.slide_id), TRUTH_VERSION)
        labels += [
            RegionLabel(plan.slide_id, true.geometry, true.head, true.label, _READER, _SOURCE)
            for true in true_labels(truth)
        ]
        entries.append(_entry(layout, plan, truth, str(facts["patient_tumour"])))
    write_labels(layout.labels_csv, labels)
    write_text(layout.slides_csv, manifest_text(entries, DEFAULT_HEADS, layout.root, _FACTS))


def _entry(layout: CohortLayout, plan: SlidePlan, truth: pa.Table, patient_tumour: str) -> SlideEntry:
    of_patient = {"malignancy": "malignant" if patient_tumour else "benign"}
    if patient_tumour in MORPHOLOGY_OF.values():
        of_patient["morphology"] = patient_tumour
    return SlideEntry(
        slide_id=plan.slide_id,
        path=layout.slide(plan.slide_id),
        patient_id=plan.patient_id,
        specimen_id=f"{plan.patient_id}-s{plan.number}",
        site=f"synthetic-laboratory-{plan.laboratory + 1}",
        scanner=plan.scanner_properties().name,
        preparation=plan.preparation,
        stain=plan.stain_name,
        annotation=layout.labels_csv,
        on_slide=slide_labels(truth),
        of_patient=of_patient,
        extra=dict(zip(_FACTS, ("true", plan.composition, plan.counts, plan.mpp_fault), strict=True)),
    )


def _is_made(layout: CohortLayout, plan: SlidePlan, planes: int) -> bool:
    """Whether slide and truth exist, are complete, and were made from the same settings by the same program."""
    path = layout.slide(plan.slide_id)
    try:
        facts = read_footer(layout.truth(plan.slide_id), TRUTH_VERSION)
    except StorageError:
        return False
    same = all(facts.get(name) == value for name, value in _settings(plan, planes).items())
    return same and path.is_file() and path.stat().st_size == facts["slide_bytes"]


def _generator(plan: SlidePlan) -> str:
    """The program that makes a slide; cytospins have a version of their own."""
    cytospin = f", cytospin {CYTOSPIN_VERSION}" if plan.is_cytospin else ""
    return f"inkdot {__version__}, generator {GENERATOR_VERSION}{cytospin}"


def _settings(plan: SlidePlan, planes: int) -> dict[str, object]:
    return {"synthetic": True, "generator": _generator(plan), "plan": plan.facts(), "planes": planes}


def _description(plan: SlidePlan, heights_um: tuple[float, ...]) -> str:
    """The ImageDescription, which states first that the slide is synthetic."""
    facts: dict[str, object] = {
        "synthetic": True,
        "generator": _generator(plan),
        "seed": plan.seed,
        "preset": plan.preset,
        "composition": plan.composition,
        "true_mpp": plan.mpp,
        "spot_mm": plan.spot_mm,
        "counts": plan.counts,
        "focus_um": heights_um[0] if len(heights_um) == 1 else list(heights_um),
    }
    return json.dumps(facts)
