"""Contact sheets of synthetic cytospins, and beside real ones at the same scale, for docs/explanation/synthetic-cytospins.md.

python scripts/cytospin_sheets.py [--real FOLDER] [--out FOLDER]

With ``--real`` (the folder of the real slides and their labels by eye) it draws the comparison, with the credit of its left half.
"""

import argparse
import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import openslide
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont
from synthetic_sheets import finish, font, grid, shrunk

from inkdot.records import RgbArray
from inkdot.synthetic.cells.scene import NO_CLUSTER, Scene
from inkdot.synthetic.cohort.cohort_plan import SlidePlan, plan_cohort
from inkdot.synthetic.cohort.cytospins import CSF_CYTOSPIN, CYTOSPINS
from inkdot.synthetic.rendering.csf_stains import reference_csf_stain
from inkdot.synthetic.rendering.scene_source import SceneSource, whole_image
from inkdot.synthetic.scenes import build_scene

MPP = 0.2528
CELL_PX, FIELD_PX = 112, 184
CREDIT = "left: real (pathologyatlas, MIT licence, \u00a9 Serdar Balc\u0131)      right: SYNTHETIC"

CELLS = (
    ("carcinoma, Pap", "csf-lobular-pap2", "malignant_like", "csf-cytospin-carcinoma", "adenocarcinoma", 0),
    ("carcinoma, MGG", "csf-lobular-mgg2", "malignant_like", "csf-cytospin-carcinoma", "adenocarcinoma", 1),
    ("neutrophils, MGG", "csf-lobular-mgg2", "neutrophil", "csf-cytospin-negative", "neutrophil", 1),
    ("red cells, Pap", "csf-lobular-pap2", "red_cell", "csf-cytospin-negative", "red_cell", 0),
    ("red cells, MGG", "csf-lobular-mgg2", "red_cell", "csf-cytospin-negative", "red_cell", 1),
    ("burst cells, MGG", "csf-lobular-mgg2", "nucleated_degenerate", "csf-cytospin-dense", "smudged_cell", 1),
)
"""Row, real slide, label by eye, synthetic specimen, its class, 0 for Pap and 1 for MGG."""

FIELDS = (
    ("dense, Pap", "csf-breast-pap-crop", ((5600, 5300), (5250, 5650), (6100, 5950)), "dense", "", 0),
    ("dense, MGG", "csf-breast-mgg-crop", ((5350, 5850), (6050, 5300), (5250, 5150)), "dense", "", 1),
    ("fibres, Pap", "csf-lobular-pap2", ((7500, 10880), (8450, 11100), (10900, 20350)), "fibres", "fibre", 0),
    (
        "scratches, MGG",
        "csf-lobular-mgg2",
        ((13650, 2950), (17350, 5420), (14560, 13300)),
        "fibres",
        "scratch",
        1,
    ),
    (
        "protein, MGG",
        "csf-lobular-mgg2",
        ((13950, 21700), (21300, 22600), (15000, 21000)),
        "fibres",
        "protein_clot",
        1,
    ),
)
"""Row, real slide, centres in level-0 pixels, synthetic specimen, artefact in the middle, 0 for Pap and 1 for MGG."""


def main(out: Path, real: Path | None) -> None:
    out.mkdir(parents=True, exist_ok=True)
    if real is not None:
        compare(out / "cytospins-beside-real.jpg", real)
    images = [
        (
            f"{plan.composition.removeprefix('csf-cytospin-')}, {plan.stain_name.upper()}",
            shrunk(image_of(plan), 230),
        )
        for plan in plan_cohort(CSF_CYTOSPIN, 2 * len(CYTOSPINS), 7, 2.0, 1.0)
    ]
    grid(out / "cytospins.jpg", images, columns=4)


def image_of(plan: SlidePlan) -> RgbArray:
    stain = plan.stain()
    scene = build_scene(plan, plan.draw_patient(), stain)
    return whole_image(SceneSource(scene, plan.mpp, stain, plan.scanner_properties(), seed=1))


def compare(path: Path, real: Path) -> None:
    """Rows of real crops on the left and of synthetic ones on the right, at the same µm/px."""
    with (real / "labels_by_eye.csv").open(encoding="utf-8") as file:
        labels = list(csv.DictReader(file))
    rows: list[tuple[str, list[RgbArray]]] = []
    for name, slide, label, preset, kind, stain in CELLS:
        found = [row for row in labels if row["slide_id"] == slide and row["label"] == label]
        middles = [
            (
                int(row["x_l0_px"]) + int(row["width_l0_px"]) // 2,
                int(row["y_l0_px"]) + int(row["height_l0_px"]) // 2,
            )
            for row in found
        ]
        left = real_crops(real / f"{slide}.tif", middles[:5], CELL_PX, 1)
        rows.append((name, left + drawn_cells(preset, kind, stain, 5)))
    for name, slide, middles, preset, kind, stain in FIELDS:
        left = real_crops(real / f"{slide}.tif", middles, FIELD_PX, 2)
        rows.append((name, left + drawn_fields(f"csf-cytospin-{preset}", kind, stain, 3)))
    page_of(path, rows)


def real_crops(path: Path, middles: Sequence[tuple[int, int]], side_px: int, reduced: int) -> list[RgbArray]:
    """Squares around positions in level-0 pixels, reduced by a factor."""
    side = side_px * reduced
    with openslide.OpenSlide(path) as slide:
        crops = [
            slide.read_region((x - side // 2, y - side // 2), 0, (side, side)).convert("RGB")
            for x, y in middles
        ]
    return [np.asarray(crop.resize((side_px, side_px), Image.Resampling.BOX)) for crop in crops]


def drawn_cells(preset: str, kind: str, stain: int, count: int) -> list[RgbArray]:
    """Squares around the first single cells of a class that are in focus."""
    crops: list[RgbArray] = []
    for seed in range(4, 20):
        plan = replace(plan_cohort(preset, 2, seed, 0.6, MPP)[stain], only_confounders="none")
        scene = build_scene(plan, plan.draw_patient(), plan.stain())
        image = drawn_in_reference(scene, plan)
        middles = [
            (cell.x_um, cell.y_um) for cell in scene.cells if cell.kind == kind and abs(cell.z_um) < 2.0
        ]
        crops += squares(image, middles[:2], CELL_PX, 1)
        if len(crops) >= count:
            break
    return crops[:count]


def drawn_fields(preset: str, kind: str, stain: int, count: int) -> list[RgbArray]:
    """Squares around artefacts of a kind; around the largest sheet where none is named."""
    crops: list[RgbArray] = []
    for seed in range(1, 20):
        plan = plan_cohort(preset, 2, seed, 0.6 if kind == "" else 0.9, MPP)[stain]
        plan = replace(plan, only_confounders=kind or "none")
        scene = build_scene(plan, plan.draw_patient(), plan.stain())
        if kind:
            boxes = [thing.box for thing in scene.backdrop if thing.kind == kind]
            middles = [
                ((box.left_um + box.right_um) / 2.0, (box.top_um + box.bottom_um) / 2.0) for box in boxes
            ]
        else:
            middles = [middle_of_largest_sheet(scene)]
        crops += squares(drawn_in_reference(scene, plan), middles[:1], FIELD_PX, 2)
        if len(crops) >= count:
            break
    return crops[:count]


def middle_of_largest_sheet(scene: Scene) -> tuple[float, float]:
    numbers = np.array([cell.cluster for cell in scene.cells])
    largest = np.bincount(numbers[numbers != NO_CLUSTER]).argmax()
    positions = np.array([(cell.x_um, cell.y_um) for cell in scene.cells])[numbers == largest]
    return float(positions[:, 0].mean()), float(positions[:, 1].mean())


def drawn_in_reference(scene: Scene, plan: SlidePlan) -> RgbArray:
    stain = reference_csf_stain(plan.stain_name, 1.0 if "dense" in plan.composition else 0.0)
    return whole_image(SceneSource(scene, MPP, stain, plan.scanner_properties(), seed=1))


def squares(
    image: RgbArray, middles: Sequence[tuple[float, float]], side_px: int, reduced: int
) -> list[RgbArray]:
    """Squares around positions in µm that lie inside the image, reduced by a factor."""
    side = side_px * reduced
    crops: list[RgbArray] = []
    for x_um, y_um in middles:
        left, top = round(x_um / MPP) - side // 2, round(y_um / MPP) - side // 2
        crop = image[max(top, 0) : top + side, max(left, 0) : left + side]
        if crop.shape[:2] == (side, side):
            crops.append(np.asarray(Image.fromarray(crop).resize((side_px, side_px), Image.Resampling.BOX)))
    return crops


def page_of(path: Path, rows: Sequence[tuple[str, list[RgbArray]]]) -> None:
    """One page: the name of each row above it, a gap between real and synthetic."""
    gap = 24
    width = max(sum(image.shape[1] + 3 for image in images) for _, images in rows) + gap
    height = sum(images[0].shape[0] + 24 for _, images in rows) + 40
    page = Image.new("RGB", (width, height), (255, 255, 255))
    draw = ImageDraw.Draw(page)
    y = 0
    for name, images in rows:
        draw.text((4, y + 4), name, fill=(40, 40, 40), font=font(14))
        y += 22
        for k, image in enumerate(images):
            right = k >= len(images) // 2
            x = (
                (k - len(images) // 2) * (image.shape[1] + 3) + (width + gap) // 2
                if right
                else k * (image.shape[1] + 3)
            )
            page.paste(Image.fromarray(image), (x, y))
        y += images[0].shape[0] + 2
    with_dotless_i = ImageFont.truetype(findfont("DejaVu Sans"), 13)
    draw.text((4, height - 26), CREDIT, fill=(40, 40, 40), font=with_dotless_i)
    finish(page, path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Draw contact sheets of synthetic cytospins.")
    parser.add_argument("--real", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/images/synthetic"))
    options = parser.parse_args()
    main(options.out, options.real)
