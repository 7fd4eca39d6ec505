"""``inkdot stress``: robustness of a model under graded changes of stain, light, focus, compression and size."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from rich.console import Console
from rich.text import Text

from inkdot.config import Config, load_config
from inkdot.datasets.augmentation.corruptions import CORRUPTIONS, Corruption
from inkdot.datasets.cohort import patient
from inkdot.datasets.image_cache import read_image
from inkdot.datasets.tile_cache import cached_pixels, labelled_tiles
from inkdot.datasets.tile_set import evenly_spread
from inkdot.errors import SlideError, UserError
from inkdot.evaluation.head_metrics import decided_rows
from inkdot.evaluation.images.inputs import at_model_scale, columns_for_model, read_test_images
from inkdot.evaluation.images.results import target_rows
from inkdot.evaluation.stress.outputs import stress_json, stress_markdown, stress_svg
from inkdot.evaluation.stress.report import StressTiles, stress_report
from inkdot.labels import flag_column, flagging_head
from inkdot.manifest import read_slides
from inkdot.manifest.csv_table import read_csv
from inkdot.model.predictor import Predictor
from inkdot.records import RgbArray
from inkdot.storage.atomic import write_text
from inkdot.storage.layout import RunLayout
from inkdot.storage.locking import locked
from inkdot.storage.models.model_files import ModelFile, model_sha256

_Item = TypeVar("_Item")


def run(
    model: Path,
    out: Path,
    *,
    images: Path | None = None,
    run_folder: Path | None = None,
    config: Config | None = None,
    corruptions: Sequence[str] = (),
    most: int = 300,
) -> int:
    """Write ``out/stress.svg``, ``stress.md`` and ``stress.json``.

    Args:
        model: A model folder.
        out: Output folder.
        images: An ``images.csv`` of labelled images; of its test images where it has a column ``split``.
        run_folder: Instead: a run folder of `inkdot train SLIDES`, of whose validation slides the labelled tiles are taken.
        config: Names of the table's columns; as in training where not given.
        corruptions: Names of the corruptions; all where empty.
        most: Tiles at most, evenly over all.

    Returns:
        0.

    Raises:
        UserError: There are no tiles of both classes, or the input as a whole is wrong.
    """
    chosen = _chosen(corruptions)
    predictor, console = Predictor(model), Console(stderr=True)
    description = predictor.description
    if (images is None) == (run_folder is None):
        raise UserError(
            f"expected either --images or --run, found {'neither' if images is None else 'both'}; give one of them"
        )
    source = images or run_folder or Path()
    tiles = (
        _of_images(images, description, config, most)
        if images is not None
        else _of_run(source, description, most)
    )
    if not tiles.truth.any() or tiles.truth.all():
        name = flagging_head(description.head_records).flag_class
        raise UserError(
            f"{source}: expected labelled tiles of both classes, found {int(tiles.truth.sum())} of {len(tiles.truth)} of class "
            f"{name}; add the other"
        )
    levels = sum(len(own.levels) for own in chosen)
    console.print(Text(f"Scoring {len(tiles.truth)} tiles {levels + 1} times."), soft_wrap=True)
    report = stress_report(tiles, predictor, chosen)
    layout = RunLayout(out)
    with locked(layout.lock):
        write_text(out / "stress.svg", stress_svg(report, mpp_known=description.mpp_known))
        write_text(out / "stress.json", stress_json(report, model_sha256(model)))
        write_text(out / "stress.md", stress_markdown(report, description, source.name))
    worst = min((row for row in report.rows if row.auc), key=lambda row: row.auc.value if row.auc else 1.0)
    prefix = "selftest_" if report.synthetic else ""
    for line in (
        f"unchanged: {prefix}AUC {report.rows[0].auc}",
        f"lowest: {worst.shift}: {prefix}AUC {worst.auc}",
        f"report: {out / 'stress.md'}, {out / 'stress.svg'}",
    ):
        console.print(Text(line), soft_wrap=True)
    return 0


def _chosen(names: Sequence[str]) -> list[Corruption]:
    known = {own.name: own for own in CORRUPTIONS}
    for name in names:
        if name not in known:
            raise UserError(f"--corruption: expected one of {', '.join(known)}, found {name!r}; correct it")
    return [own for own in CORRUPTIONS if not names or own.name in names]


def _of_images(table: Path, model: ModelFile, config: Config | None, most: int) -> StressTiles:
    columns = columns_for_model(model, config)
    entries = read_test_images(table, model, columns)
    rows, truth = decided_rows(target_rows(entries, model.head_records), flag_column(model.head_records))
    labelled: list[tuple[int, bool]] = list(zip(rows.tolist(), truth.tolist(), strict=True))
    chosen = _evenly(labelled, most)
    scaled = at_model_scale([entries[row] for row, _ in chosen], model, table)
    pixels: list[RgbArray] = []
    kept: list[tuple[bool, str]] = []
    reason = "no image has a label"
    for (_, positive), entry in zip(chosen, scaled, strict=True):
        try:
            pixels.append(read_image(entry, model.tiling, columns, locked=True).rgb)
        except SlideError as error:
            reason = str(error)
            continue
        kept.append((positive, entry.group))
    if not kept:
        raise UserError(f"{table}: expected labelled images that can be read, found none; {reason}")
    return StressTiles(
        pixels, np.array([positive for positive, _ in kept]), np.array([group for _, group in kept])
    )


def _of_run(folder: Path, model: ModelFile, most: int) -> StressTiles:
    layout = RunLayout(folder)
    if not (layout.config_json.is_file() and layout.split_csv.is_file() and layout.slides_csv.is_file()):
        raise UserError(
            f"{folder}: expected a run folder of `inkdot train SLIDES` (config.json, split.csv, slides.csv), found none; give "
            "the --out of training, or labelled images with --images"
        )
    config, column = load_config(layout.config_json), flag_column(model.head_records)
    split = [row.cells for row in read_csv(layout.split_csv, ("slide_id", "split")).rows]
    validation = {row["slide_id"] for row in split if row["split"] == "validation"}
    places: list[tuple[str, int, bool, str]] = []
    pixels_of: dict[str, RgbArray] = {}
    for entry in read_slides(layout.slides_csv, model.head_records):
        if entry.slide_id not in validation:
            continue
        own = labelled_tiles(entry, config, layout)
        pixels_of[entry.slide_id] = cached_pixels(entry, layout)
        rows, truth = decided_rows(own.targets, column)
        places += [
            (entry.slide_id, row, positive, patient(own))
            for row, positive in zip(rows.tolist(), truth.tolist(), strict=True)
        ]
    chosen = _evenly(places, most)
    if not chosen:
        raise UserError(
            f"{folder}: expected labelled tiles of validation slides, found none; train with labels of tiles"
        )
    return StressTiles(
        [np.asarray(pixels_of[name][row]) for name, row, *_ in chosen],
        np.array([truth for *_, truth, _ in chosen]),
        np.array([who for *_, who in chosen]),
    )


def _evenly(items: Sequence[_Item], most: int) -> list[_Item]:
    return [items[row] for row in evenly_spread(len(items), most)]
