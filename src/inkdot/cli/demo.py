"""``inkdot demo``: the whole workflow on synthetic slides, each step shown as the command that a person would type.

It belongs to ``cli`` because it runs one stage after another, which no stage may.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.markup import escape

from inkdot.cases.read_cases import CASES_NAME
from inkdot.cases.worked_example import worked_example_text
from inkdot.config import Config, config_from_mapping, load_config
from inkdot.execution.backends import ExecutionSettings
from inkdot.labels import DEFAULT_HEADS
from inkdot.manifest import read_slides
from inkdot.pipeline.batch_settings import BatchSettings
from inkdot.stages import predict, synth, tile, train
from inkdot.stages.review import export as review_export
from inkdot.storage.atomic import write_text
from inkdot.storage.layout import RunLayout
from inkdot.storage.output_layouts import CohortLayout, ReviewLayout

_TRAINING_SEED, _NEW_SEED = 1, 2
"""Different seeds draw different patients: no patient of the new slides is in the training slides."""

_FIBRES_SPOT_MM, _FIBRES_MPP = 1.0, 0.5
"""As large and as coarse as the other new slides."""


@dataclass(frozen=True, slots=True)
class _Size:
    """How much the demo makes."""

    training_slides: int
    new_slides: int
    epochs: int | None


_FULL = _Size(training_slides=64, new_slides=8, epochs=None)
_QUICK = _Size(training_slides=12, new_slides=3, epochs=2)


def run(out: Path, *, quick: bool) -> int:
    """Run synth, tile, train, predict and review export, and print the address of the gallery.

    Args:
        out: Folder for everything; a rerun resumes where an earlier one stopped.
        quick: Fewer slides and epochs.

    Returns:
        The first exit code that is not 0, else 0.
    """
    size = _QUICK if quick else _FULL
    console = Console(stderr=True)
    started = perf_counter()
    cohort, new = CohortLayout(out / "training"), CohortLayout(out / "new")
    fibres = CohortLayout(out / "fibres")
    config_path, results, pages = out / "config.yaml", out / "results", ReviewLayout(out / "review")
    trained = RunLayout(out / "run")
    config = _write_config(config_path, size)
    batch = BatchSettings(execution=ExecutionSettings(workers=2))
    steps: list[tuple[str, Callable[[], int]]] = [
        (
            f"inkdot synth --preset demo-training --slides {size.training_slides} --seed {_TRAINING_SEED} --out {cohort.root}",
            lambda: synth.run("demo-training", size.training_slides, _TRAINING_SEED, cohort.root),
        ),
        (
            f"inkdot synth --preset demo-training --slides {size.new_slides} --seed {_NEW_SEED} --out {new.root}",
            lambda: synth.run("demo-training", size.new_slides, _NEW_SEED, new.root),
        ),
        (
            f"inkdot synth --preset csf-cytospin-fibres --slides 1 --seed {_NEW_SEED} "
            f"--spot-mm {_FIBRES_SPOT_MM:g} --mpp {_FIBRES_MPP:g} --out {fibres.root}",
            lambda: synth.run(
                "csf-cytospin-fibres", 1, _NEW_SEED, fibres.root, spot_mm=_FIBRES_SPOT_MM, mpp=_FIBRES_MPP
            ),
        ),
        (
            f"inkdot tile {cohort.slides_csv} --config {config_path} --out {trained.root}",
            lambda: tile.run(cohort.slides_csv, config, trained.root, batch),
        ),
        (
            f"inkdot train --slides {cohort.slides_csv} --config {config_path} --out {trained.root}",
            lambda: train.run(config, cohort.slides_csv, trained.root, workers=2),
        ),
        (
            f"inkdot predict {new.slides_csv} {fibres.slides_csv} --model {trained.model} --out {results}",
            lambda: predict.run([new.slides_csv, fibres.slides_csv], trained.model, results, batch=batch),
        ),
        (
            f"inkdot review export --results {results} --out {pages.root} --cases {new.root / CASES_NAME}",
            lambda: review_export.run(results, pages.root, cases=write_cases(new)),
        ),
    ]
    for number, (command, step) in enumerate(steps, start=1):
        console.rule(f"{number} of {len(steps)}", align="left")
        console.print(f"$ {escape(command)}", style="bold", soft_wrap=True)
        if code := step():
            return code
    console.rule("done", align="left")
    minutes = (perf_counter() - started) / 60
    console.print(
        f"{minutes:.1f} minutes. All slides are synthetic: they show how Inkdot works, not how well it performs."
    )
    console.print(f"Open this page: {pages.index.resolve().as_uri()}", style="bold", soft_wrap=True)
    return 0


def write_cases(new: CohortLayout) -> Path:
    """The worked example as the case of one synthetic patient: of a large-cell carcinoma, or else the first patient."""
    entries = read_slides(new.slides_csv, DEFAULT_HEADS)
    chosen = max(entries, key=lambda entry: entry.of_patient.get("morphology") == "large_cell")
    path = new.root / CASES_NAME
    origin = "values of the published founding case, given to a synthetic patient"
    write_text(path, worked_example_text(chosen.patient_id, origin))
    return path


def _write_config(path: Path, size: _Size) -> Config:
    """The demo's settings, written where the person can read and change them."""
    text = files("inkdot.cli").joinpath("demo.yaml").read_text(encoding="utf-8")
    write_text(path, text)
    config = load_config(path)
    if size.epochs is None:
        return config
    data = config.model_dump(mode="json")
    data["training"]["epochs"] = size.epochs
    config = config_from_mapping(data)
    write_text(path, text.replace("  epochs: ", f"  epochs: {size.epochs}  # --quick; otherwise "))
    return config
