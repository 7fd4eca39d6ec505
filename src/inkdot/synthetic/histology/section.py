"""Scene of an H&E section: cells of tumour and benign tissue on a tissue plan."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from inkdot.synthetic.cells.cell_clusters import rotated_cell
from inkdot.synthetic.cells.draw_cells import draw_cell
from inkdot.synthetic.cells.odd_cells import draw_apoptotic_body, in_mitosis
from inkdot.synthetic.cells.recipes import RECIPES, Recipe, blend
from inkdot.synthetic.cells.scene import Backdrop, Box, Cell, Scene
from inkdot.synthetic.cells.shapes import ellipse, equivalent_diameter_um, perturbed
from inkdot.synthetic.cohort.cohort_plan import SlidePlan
from inkdot.synthetic.cohort.patients import Patient
from inkdot.synthetic.cytology.spot_layout import WRITING_DENSITY
from inkdot.synthetic.histology.benign_tissue import (
    AddCell,
    add_benign_tissue,
    flatten_contacts_in_sheet,
    positions_in_classes,
)
from inkdot.synthetic.histology.draw_tissue_plan import draw_tissue_plan
from inkdot.synthetic.histology.outlined_regions import draw_regions
from inkdot.synthetic.histology.tissue import Tissue
from inkdot.synthetic.histology.tissue_plan import TissueClass, TissuePlan
from inkdot.synthetic.rendering.backdrops import Writing
from inkdot.synthetic.rendering.marks import AirBubble, PenStroke
from inkdot.synthetic.rendering.stains import E, H, Stain

_DEPTH_UM = 0.6
"""Standard deviation (µm) of the height of nuclei in a 4 µm section."""

# Apparent diameters in the section; cytoplasm has eosin and no light green.
_SMALL = replace(
    RECIPES["small_nec"],
    **{"diameter_um": 8.1, "diameter_sd_um": 1.5, "smallest_um": 5.0, "largest_um": 12.0, "light_green": 0.0},
    **{"p_naked": 1.0, "haematoxylin": 0.82, "p_spindle": 0.2, "p_vacuoles": 0.0},
)
_LARGE = replace(
    RECIPES["large_nec"],
    **{
        "diameter_um": 12.0,
        "diameter_sd_um": 2.2,
        "smallest_um": 7.0,
        "largest_um": 20.0,
        "light_green": 0.0,
    },
    **{
        "eosin": 0.07,
        "p_vacuoles": 0.1,
        "haematoxylin": 0.70,
        "nc_low": 0.55,
        "nc_high": 0.72,
        "p_naked": 0.0,
    },
)


def build_section(plan: SlidePlan, patient: Patient, stain: Stain) -> Scene:
    """Build the scene of an H&E section; the plan determines all of it, ``spot_mm`` is its side.

    Args:
        plan: Plan of the slide.
        patient: The patient.
        stain: Stain of the laboratory.
    """
    rng = plan.generator("scene")
    side = plan.spot_mm * 1000.0
    margin, band = max(40.0, 0.03 * side), 0.12 * side
    width = side + 2.0 * margin
    tissue_plan = draw_tissue_plan(side, patient.tumour, rng)
    cells: list[Cell] = []

    def add_cell(cell: Cell) -> None:
        z = float(rng.normal(0.0, _DEPTH_UM))
        cells.append(replace(cell, x_um=cell.x_um + margin, y_um=cell.y_um + margin, z_um=z))

    _add_tumour(tissue_plan, patient, add_cell, rng)
    add_benign_tissue(tissue_plan, patient.preparation, add_cell, rng)
    tissue = Tissue(tissue_plan, margin, margin, stain, int(rng.integers(1 << 30)))
    writing = Box(margin, margin + side + 0.01 * side, width - margin, width + band - 0.3 * margin)
    artefacts = _fold_and_bubble(side, margin, stain, rng)
    names = tuple(sorted({artefact.kind for artefact in artefacts}))
    backdrop: tuple[Backdrop, ...] = (tissue, Writing(writing, WRITING_DENSITY), *artefacts)
    return Scene(width, width + band, tuple(cells), (), backdrop, names, draw_regions(tissue_plan, margin))


def _fold_and_bubble(
    side_um: float, margin_um: float, stain: Stain, rng: np.random.Generator
) -> list[Backdrop]:
    """A fold (probability 0.2) and an air bubble (0.1)."""
    artefacts: list[Backdrop] = []
    x, y = (float(value) for value in margin_um + side_um * rng.uniform(0.3, 0.7, 2))
    if rng.random() < 0.2:
        direction, half = rng.uniform(0.0, math.pi), 0.5 * side_um * rng.uniform(0.2, 0.5)
        dx, dy = half * math.cos(direction), half * math.sin(direction)
        colour = (0.35 * stain.od[E] + 0.12 * stain.od[H]).astype(np.float32)
        width = float(rng.uniform(0.02, 0.05)) * min(side_um, 3000.0)
        ends = ((x - dx, y - dy), (x + dx, y + dy))
        artefacts.append(PenStroke(ends, width, colour, int(rng.integers(1 << 30)), kind="fold"))
    if rng.random() < 0.1:
        radius = float(rng.uniform(0.05, 0.12)) * min(side_um, 5000.0)
        artefacts.append(AirBubble(y, x, radius, 0.04 * radius + 3.0))
    return artefacts


def _add_tumour(
    tissue_plan: TissuePlan, patient: Patient, add_cell: AddCell, rng: np.random.Generator
) -> None:
    """Add sheets of moulded small cells, and nests of large cells with palisades and rosettes."""
    appearances = patient.appearances
    between_small = appearances["small_nec"].built_as.get("large_nec", 0.0)
    between_large = appearances["large_nec"].built_as.get("small_nec", 0.0)
    small = blend(_SMALL, _LARGE, between_small)
    large = blend(_LARGE, _SMALL, between_large)
    size = patient.preparation.size
    per_2mm2 = rng.uniform(20.0, 80.0)  # mitoses
    dense, looser = rng.uniform(9000, 14000) / size**2, rng.uniform(4000, 7000) / size**2
    positions = positions_in_classes(
        tissue_plan, (TissueClass.SMALL_CELL, TissueClass.CRUSHED), dense, 0.24, rng
    )
    crush_direction = rng.uniform(0.0, math.pi)
    sheet: list[Cell] = []
    for x, y in positions:
        cell = replace(draw_cell("small_nec", small, patient.preparation, rng, (0.0, 0.0)), x_um=x, y_um=y)
        if tissue_plan.class_at(x, y) == TissueClass.CRUSHED:
            add_cell(_crushed(cell, crush_direction, rng))
        else:
            sheet.append(cell)
    for cell in _with_mitoses(flatten_contacts_in_sheet(sheet, rng), per_2mm2 / (2.0 * dense), rng):
        add_cell(cell)
    nests = [
        _large_cell_in_nest(tissue_plan, x, y, large, patient, rng)
        for x, y in positions_in_classes(tissue_plan, (TissueClass.LARGE_CELL,), looser, 0.18, rng)
    ]
    for cell in _with_mitoses(flatten_contacts_in_sheet(nests, rng), per_2mm2 / (2.0 * looser), rng):
        add_cell(cell)
    for x, y in positions[::70]:
        add_cell(draw_apoptotic_body(patient.preparation, rng, (x + 3.0, y + 3.0), 0.0))


def _with_mitoses(cells: Sequence[Cell], share: float, rng: np.random.Generator) -> list[Cell]:
    return [in_mitosis(cell, rng, eosin=0.10) if rng.random() < share else cell for cell in cells]


def _large_cell_in_nest(
    tissue_plan: TissuePlan, x: float, y: float, recipe: Recipe, patient: Patient, rng: np.random.Generator
) -> Cell:
    """Draw a large cell; in a palisade or rosette it is perpendicular to the border or lumen."""
    depth, inward = tissue_plan.inward(x, y)
    in_rosette = False
    for rosette in tissue_plan.rosettes:
        away = math.hypot(x - rosette.x_um, y - rosette.y_um)
        if away < 26.0:
            # Moved outwards, so that the lumen opens.
            inward = math.atan2(y - rosette.y_um, x - rosette.x_um)
            opened = math.sqrt(away**2 + (rosette.radius_um + 7.0) ** 2)
            x, y = rosette.x_um + opened * math.cos(inward), rosette.y_um + opened * math.sin(inward)
            depth, in_rosette = min(depth, opened - rosette.radius_um), True
    cell = draw_cell("large_nec", recipe, patient.preparation, rng)
    if depth < 13.0 and (in_rosette or tissue_plan.is_palisaded(x, y)):
        longer = replace(recipe, aspect=recipe.aspect + 0.3)
        upright = draw_cell("large_nec", longer, patient.preparation, rng)
        cell = rotated_cell(upright, inward + float(rng.normal(0.0, math.radians(15.0))))
    return replace(cell, x_um=x, y_um=y)


def _crushed(cell: Cell, direction: float, rng: np.random.Generator) -> Cell:
    """Draw out the nucleus of a crushed cell."""
    nucleus = cell.nuclei[0]
    diameter = equivalent_diameter_um(nucleus.outline)
    tilt = direction + float(rng.normal(0.0, 0.15))
    outline = perturbed(ellipse(diameter, float(rng.uniform(2.5, 5.0)), tilt), 0.05, rng)
    return replace(cell, nuclei=(replace(nucleus, outline=outline, chromatin="smudged", nucleoli=()),))
