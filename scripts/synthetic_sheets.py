"""Contact sheets of synthetic cells, clusters and slides, for docs/explanation/synthetic.md and for review by eye.

python scripts/synthetic_sheets.py [FOLDER]
"""

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from inkdot.records import RgbArray
from inkdot.synthetic.cells.draw_cells import Preparation, draw_cell
from inkdot.synthetic.cells.odd_cells import (
    degenerated,
    draw_apoptotic_body,
    draw_neutrophil,
    draw_red_cell,
    draw_single,
    in_mitosis,
)
from inkdot.synthetic.cells.recipes import RECIPES
from inkdot.synthetic.cells.scene import Cell, Scene
from inkdot.synthetic.cohort.cohort_plan import SlidePlan, plan_cohort
from inkdot.synthetic.cohort.presets import COMPOSITIONS, SECTIONS
from inkdot.synthetic.cytology.confounders import CHANCES
from inkdot.synthetic.cytology.groups import ARCHITECTURES
from inkdot.synthetic.rendering.extended_focus import FusedSource
from inkdot.synthetic.rendering.scanner import scanner_number
from inkdot.synthetic.rendering.scene_source import SceneSource, whole_image
from inkdot.synthetic.rendering.stains import reference_stain
from inkdot.synthetic.scenes import build_scene

MPP = 0.25
LABEL_PX = 200
PREPARATION = Preparation()
TELLING = {
    "adenocarcinoma": {"adenocarcinoma"},
    "bacterial": {"neutrophil"},
    "lm-heavy": {"small_nec", "large_nec"},
    "lm-minimal": {"small_nec", "large_nec"},
    "lm-typical": {"small_nec", "large_nec"},
    "lymphoma": {"lymphoma"},
    "neonate": {"germinal_matrix"},
    "traumatic": {"red_cell"},
    "treated": {"macrophage"},
    "ventricular": {"choroid"},
}
"""What to look for on a preset's field; lymphocytes on the others."""


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    cells(out / "cells.jpg")
    clusters(out / "clusters.jpg")
    spots(out / "spots.jpg", sorted(COMPOSITIONS), spot_mm=1.0)
    confounders(out / "confounders.jpg")
    sections(out / "sections.jpg")
    section_details(out / "section_details.jpg")
    fields(out / "fields.jpg")
    full_spot(out / "full_spot.jpg")
    focus(out / "focus.jpg")


def cells(path: Path) -> None:
    """A row per class, at the size of a 40x objective's image."""
    rng = np.random.default_rng(7)
    makers: dict[str, Callable[[tuple[float, float]], Cell]] = {
        kind: lambda at, kind=kind: placed(draw_single(kind, RECIPES[kind], PREPARATION, rng), at)
        for kind in RECIPES
    }

    def tumour(at: tuple[float, float]) -> Cell:
        kind = "small_nec" if at[0] < 170.0 else "large_nec"
        return draw_cell(kind, RECIPES[kind], PREPARATION, rng, at, 0.0)

    makers["mitosis"] = lambda at: in_mitosis(tumour(at), rng)
    makers["degenerate"] = lambda at: degenerated(tumour(at), rng)
    makers["neutrophil"] = lambda at: replace(draw_neutrophil(PREPARATION, rng, at), z_um=0.0)
    makers["red_cell"] = lambda at: replace(draw_red_cell(PREPARATION, rng, at), z_um=0.0)
    makers["apoptotic_body"] = lambda at: draw_apoptotic_body(PREPARATION, rng, at, 0.0)
    rows: list[tuple[str, RgbArray]] = []
    for kind, make in makers.items():
        pitch, height = (58.0, 58.0) if kind == "squame" else (34.0, 34.0)
        count = int(340 // pitch)
        row = [make(((k + 0.5) * pitch, height / 2.0)) for k in range(count)]
        rows.append((kind, rendered(row, 340.0, height)))
    sheet(path, rows)


def placed(cell: Cell, at_um: tuple[float, float]) -> Cell:
    return replace(cell, x_um=at_um[0], y_um=at_um[1], z_um=0.0)


def clusters(path: Path) -> None:
    """A row per way of lying together, growing."""
    rng = np.random.default_rng(11)
    rows: list[tuple[str, RgbArray]] = []
    for kind, architecture in ARCHITECTURES.items():
        row: list[Cell] = []
        x = 0.0
        for count in (4, 9, 16):
            members = architecture.build(kind, RECIPES[kind], PREPARATION, count, rng)
            reach = max(float(np.hypot(cell.x_um, cell.y_um)) + cell.reach_um for cell in members)
            if x + 2.0 * reach + 4.0 > 300.0:
                break  # the largest of the largest class does not fit
            x += reach + 4.0
            row += [replace(cell, x_um=cell.x_um + x, y_um=cell.y_um + 52.0) for cell in members]
            x += reach + 4.0
        rows.append((architecture.name, rendered(row, 300.0, 105.0)))
    sheet(path, rows)


def spots(path: Path, presets: Sequence[str], spot_mm: float) -> None:
    """Whole spots at low power."""
    grid(path, [(name, low_power(name, spot_mm, 0.5)) for name in presets], columns=4)


def confounders(path: Path) -> None:
    plan = plan_cohort("lm-typical", 1, 3, 1.0, 0.5)[0]
    images: list[tuple[str, RgbArray]] = []
    for name in CHANCES:
        with_one = replace(plan, only_confounders=name)
        scene = build_scene(with_one, with_one.draw_patient(), with_one.stain())
        source = SceneSource(scene, plan.mpp, plan.stain(), plan.scanner_properties(), seed=1)
        images.append((name, shrunk(whole_image(source), 300)))
    grid(path, images, columns=4)


def sections(path: Path) -> None:
    grid(path, [(name, low_power(name, 1.0, 0.5, side_px=420)) for name in SECTIONS], columns=4)


def section_details(path: Path) -> None:
    """Fields of 150 µm, where the most of two kinds of cell meet."""
    wanted = (
        ("small-cell-section", "small_nec", "small_nec"),
        ("small-cell-section", "small_nec", "fibroblast"),
        ("large-cell-section", "large_nec", "large_nec"),
        ("large-cell-section", "large_nec", "ghost"),
        ("benign-section", "columnar", "fibroblast"),
        ("benign-section", "squamous", "squamous"),
    )
    images: list[tuple[str, RgbArray]] = []
    for name, one, other in wanted:
        image = field_of(plan_cohort(name, 8, 2, 0.6, 0.25), ({one}, {other}), 560, least=20)
        images.append((f"{name}: {', '.join(sorted({one, other}))}", image))
    grid(path, images, columns=3)


def fields(path: Path) -> None:
    """A field of 120 µm of every preset, where the most telling cells lie."""
    images: list[tuple[str, RgbArray]] = []
    for name in sorted(COMPOSITIONS):
        plans = plan_cohort(name, 4, 2, 1.0, 0.4)
        kinds = TELLING.get(name, {"lymphocyte", "monocyte"})
        images.append(
            (name, field_of([replace(plan, only_confounders="none") for plan in plans], (kinds,), 300))
        )
    grid(path, images, columns=5)


def field_of(
    plans: Sequence[SlidePlan], meeting: Sequence[set[str]], side_px: int, least: int = 0
) -> RgbArray:
    """The field that holds the most of the rarest of some sets of kinds, on the first slide with enough of each."""
    for plan in plans:
        scene = build_scene(plan, plan.draw_patient(), plan.stain())
        side_um = side_px * plan.mpp
        counts: dict[tuple[int, int], list[int]] = {}
        for cell in scene.cells:
            column, row = int(2.0 * cell.x_um / side_um), int(2.0 * cell.y_um / side_um)
            for region in ((column - dx, row - dy) for dx in (0, 1) for dy in (0, 1)):
                here = counts.setdefault(region, [0] * len(meeting))
                for k, kinds in enumerate(meeting):
                    here[k] += cell.kind in kinds
        best = max(
            sorted(counts), key=lambda region: (min(counts[region]), sum(counts[region])), default=(0, 0)
        )
        if min(counts.get(best, [0])) > least:
            break
    whole = whole_image(SceneSource(scene, plan.mpp, plan.stain(), plan.scanner_properties(), seed=1))
    left, top = (
        min(max(round(k * side_px / 2), 0), size - side_px)
        for k, size in zip(best, whole.shape[1::-1], strict=True)
    )
    return whole[top : top + side_px, left : left + side_px]


def full_spot(path: Path) -> None:
    """A whole 20 mm spot, as a person sees it without a lens."""
    plan = plan_cohort("lm-heavy", 1, 2, 20.0, 4.0)[0]
    scene = build_scene(plan, plan.draw_patient(), plan.stain())
    source = SceneSource(scene, plan.mpp, plan.stain(), plan.scanner_properties(), seed=1)
    grid(path, [("lm-heavy, 20 mm", shrunk(whole_image(source), 760))], columns=1)


def focus(path: Path) -> None:
    """One large-cell cluster through the focal planes, and their fusion."""
    rng = np.random.default_rng(2)
    members = ARCHITECTURES["large_nec"].build("large_nec", RECIPES["large_nec"], PREPARATION, 9, rng)
    row = [replace(cell, x_um=cell.x_um + 40.0, y_um=cell.y_um + 40.0) for cell in members]
    heights = (-9.0, -4.5, 0.0, 4.5, 9.0)
    images = [(f"focus {z:+.1f} um", rendered(row, 80.0, 80.0, focus_um=z)) for z in heights]
    stack = np.arange(-12.0, 12.1, 1.5).tolist()
    fused = FusedSource(
        Scene(80.0, 80.0, tuple(row)), MPP, reference_stain("pap"), scanner_number(0), 5, stack
    )
    images.append(("extended focus of 17 planes", whole_image(fused)))
    grid(path, images, columns=6)


def rendered(row: Iterable[Cell], width_um: float, height_um: float, focus_um: float = 0.0) -> RgbArray:
    scene = Scene(width_um, height_um, tuple(row))
    source = SceneSource(scene, MPP, reference_stain("pap"), scanner_number(0), seed=5, focus_um=focus_um)
    return whole_image(source)


def slide_image(preset: str, side_mm: float, mpp: float) -> RgbArray:
    plan = plan_cohort(preset, 1, 2, side_mm, mpp)[0]
    stain = plan.stain()
    scene = build_scene(plan, plan.draw_patient(), stain)
    return whole_image(SceneSource(scene, plan.mpp, stain, plan.scanner_properties(), seed=1))


def low_power(preset: str, side_mm: float, mpp: float, side_px: int = 300) -> RgbArray:
    return shrunk(slide_image(preset, side_mm, mpp), side_px)


def shrunk(image: RgbArray, width_px: int) -> RgbArray:
    height = round(image.shape[0] * width_px / image.shape[1])
    return np.asarray(Image.fromarray(image).resize((width_px, height), Image.Resampling.BOX))


def sheet(path: Path, rows: Sequence[tuple[str, RgbArray]]) -> None:
    """Rows with their names on the left, a scale bar and the word SYNTHETIC below."""
    width = LABEL_PX + max(row.shape[1] for _, row in rows)
    height = sum(row.shape[0] for _, row in rows)
    page = Image.new("RGB", (width, height + 34), (243, 243, 243))
    draw = ImageDraw.Draw(page)
    y = 0
    for name, row in rows:
        page.paste(Image.fromarray(row), (LABEL_PX, y))
        draw.text((8, y + row.shape[0] // 2 - 8), name.replace("_", " "), fill=(40, 40, 40), font=font(14))
        y += row.shape[0]
    bar = round(20.0 / MPP)
    draw.line((LABEL_PX, height + 12, LABEL_PX + bar, height + 12), fill=(0, 0, 0), width=3)
    draw.text((LABEL_PX + bar + 8, height + 3), "0.02 mm", fill=(0, 0, 0), font=font(14))
    finish(page, path)


def grid(path: Path, images: Sequence[tuple[str, RgbArray]], columns: int) -> None:
    """Images beside each other with their names above."""
    columns = min(columns, len(images))
    cell_width = max(image.shape[1] for _, image in images) + 6
    cell_height = max(image.shape[0] for _, image in images) + 26
    rows = -(-len(images) // columns)
    page = Image.new("RGB", (columns * cell_width, rows * cell_height + 30), (255, 255, 255))
    draw = ImageDraw.Draw(page)
    for k, (name, image) in enumerate(images):
        x, y = k % columns * cell_width, k // columns * cell_height
        draw.text((x + 4, y + 4), name.replace("_", " "), fill=(40, 40, 40), font=font(14))
        page.paste(Image.fromarray(image), (x, y + 24))
    finish(page, path)


def finish(page: Image.Image, path: Path) -> None:
    draw = ImageDraw.Draw(page)
    draw.text((page.width - 130, page.height - 28), "SYNTHETIC", fill=(120, 120, 120), font=font(18))
    page.save(path, quality=70, optimize=True)
    print(f"{path}: {page.width} x {page.height} px, {path.stat().st_size / 1024:.0f} KiB")


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="Draw contact sheets of synthetic cells, clusters and slides."
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path("docs/images/synthetic"))
    main(parser.parse_args().folder)
