"""Scene of a cytospin of cerebrospinal fluid: a round spot of flat cells, with the artefacts of real slides."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from inkdot.synthetic.cells.cytospin_cells import (
    draw_cytospin_red_cell,
    draw_segmented_neutrophil,
    draw_smudged_cell,
    flat_height_um,
    signet_ring,
    with_blebs,
)
from inkdot.synthetic.cells.odd_cells import degenerated, draw_single, in_mitosis
from inkdot.synthetic.cells.scene import Box, Cell, Cluster, Scene
from inkdot.synthetic.cohort.cohort_plan import SlidePlan
from inkdot.synthetic.cohort.cytospins import CYTOSPINS, Cytospin, draw_number
from inkdot.synthetic.cohort.patients import Patient
from inkdot.synthetic.cytology.cytospin_artefacts import SpotCircle, draw_artefacts
from inkdot.synthetic.cytology.settling import CellSpotArea
from inkdot.synthetic.cytology.sheets import touching_sheet
from inkdot.synthetic.rendering.backdrops import Writing
from inkdot.synthetic.rendering.stains import Stain

WRITING_DENSITY = 0.075

_ALONE_OF_SHEET = 0.9
"""Radius that a sheet occupies, as a fraction of its reach: sheets branch, other cells lie between the branches."""

_CLUSTER_NAMES = {
    "small_nec": "small_cell_sheet",
    "large_nec": "large_cell_sheet",
    "adenocarcinoma": "adenocarcinoma_sheet",
}


@dataclass(frozen=True, slots=True)
class TumourStyle:
    """Features of the tumour cells of one patient, as shares of the cells (0 to 1).

    Attributes:
        blebs: Cells with blebs.
        signet_rings: Signet ring cells.
    """

    blebs: float
    signet_rings: float


def build_cytospin(plan: SlidePlan, patient: Patient, stain: Stain) -> Scene:
    """Build the scene of a cytospin; the plan determines all of it.

    Args:
        plan: Plan of the slide.
        patient: The patient.
        stain: Stain of the laboratory, for the colours of artefacts.
    """
    specimen = CYTOSPINS[plan.composition]
    rng = plan.generator("scene")
    diameter = plan.spot_mm * 1000.0
    margin, band = 0.10 * diameter, 0.12 * diameter
    width = diameter + 2.0 * margin
    spot = SpotCircle(width / 2.0, width / 2.0, diameter / 2.0)
    contents = _Contents(CellSpotArea(spot.x_um, spot.y_um, spot.radius_um, rng), patient, rng)
    style = _draw_style(patient.tumour, np.random.default_rng([plan.seed, plan.patient, 0xB1EB]))
    area_mm2 = math.pi * (plan.spot_mm / 2.0) ** 2
    _add_tumour(contents, specimen, style, area_mm2)
    _add_background(contents, specimen, area_mm2)
    artefacts, names = draw_artefacts(specimen, spot, stain, plan.generator("artefacts"), plan.confounders)
    writing = Box(margin, width, width - margin, width + 0.8 * band)
    return Scene(
        width,
        width + band,
        tuple(contents.cells),
        tuple(contents.clusters),
        (*artefacts, Writing(writing, WRITING_DENSITY)),
        names,
        squeezed=True,
    )


class _Contents:
    """Cells and clusters of a spot while it is built."""

    def __init__(self, area: CellSpotArea, patient: Patient, rng: np.random.Generator) -> None:
        self.area, self.patient, self.rng = area, patient, rng
        self.cells: list[Cell] = []
        self.clusters: list[Cluster] = []

    def add(self, cell: Cell) -> None:
        """Add a single cell at a free place."""
        x, y = self.area.settle(0.9 * cell.reach_um, 0.5, single=True)
        self.cells.append(replace(cell, x_um=x, y_um=y))

    def add_sheet(self, name: str, cells: list[Cell]) -> None:
        """Add a sheet at a free place."""
        reach = max(math.hypot(cell.x_um, cell.y_um) + cell.reach_um for cell in cells)
        x, y = self.area.settle(_ALONE_OF_SHEET * reach, 2.0)
        number = len(self.clusters)
        self.clusters.append(Cluster(number, name))
        self.cells += [
            replace(cell, x_um=cell.x_um + x, y_um=cell.y_um + y, cluster=number) for cell in cells
        ]


def _draw_style(tumour: str, rng: np.random.Generator) -> TumourStyle:
    blebs = {"adenocarcinoma": (0.5, 0.95), "large_cell": (0.1, 0.6)}.get(tumour, (0.0, 0.3))
    signet = (0.05, 0.3) if tumour == "adenocarcinoma" else (0.0, 0.0)
    return TumourStyle(float(rng.uniform(*blebs)), float(rng.uniform(*signet)))


def draw_tumour_cell(kind: str, patient: Patient, style: TumourStyle, rng: np.random.Generator) -> Cell:
    """Draw one tumour cell as it lies on a cytospin.

    Args:
        kind: ``small_nec``, ``large_nec``, ``adenocarcinoma`` or ``lymphoma``.
        patient: The patient.
        style: Features of the patient's tumour.
        rng: Random generator.
    """
    cell = draw_single(kind, patient.recipe(kind), patient.preparation, rng)
    chance = rng.random()
    if chance < patient.degenerate:
        cell = degenerated(cell, rng)
    elif chance < patient.degenerate + patient.mitotic:
        cell = in_mitosis(cell, rng)
    elif rng.random() < style.signet_rings:
        cell = signet_ring(cell, rng)
    if cell.cytoplasm is not None and cell.state != "degenerate":
        # Basophilic and granular, from pale to as dark as the nucleus.
        depth = float(np.exp(rng.normal(0.0, 0.25)))
        body = replace(cell.cytoplasm, light_green=cell.cytoplasm.light_green * depth, grain=0.28)
        cell = replace(cell, cytoplasm=body)
        if rng.random() < style.blebs:
            cell = with_blebs(cell, rng)
    return replace(cell, z_um=flat_height_um(rng))


def _add_tumour(contents: _Contents, specimen: Cytospin, style: TumourStyle, area_mm2: float) -> None:
    rng, patient = contents.rng, contents.patient
    left = draw_number(specimen.tumour_cells, area_mm2, rng)
    in_sheets = round(specimen.sheet_share * left)
    while left > 0:
        kind = _tumour_class(patient, rng)
        if in_sheets < 2:
            contents.add(draw_tumour_cell(kind, patient, style, rng))
            left -= 1
            continue
        size = int(
            np.clip(rng.lognormal(math.log(0.35 * specimen.largest_sheet), 0.7), 2, specimen.largest_sheet)
        )
        size = min(size, in_sheets)
        cells = [draw_tumour_cell(kind, patient, style, rng) for _ in range(size)]
        contents.add_sheet(_CLUSTER_NAMES.get(kind, f"{kind}_sheet"), touching_sheet(cells, rng))
        left, in_sheets = left - size, in_sheets - size


def _tumour_class(patient: Patient, rng: np.random.Generator) -> str:
    if patient.tumour == "mixed":
        return "small_nec" if rng.random() < 0.5 else "large_nec"
    return {"small_cell": "small_nec", "large_cell": "large_nec"}.get(patient.tumour, patient.tumour)


def _add_background(contents: _Contents, specimen: Cytospin, area_mm2: float) -> None:
    """Add the cells that are no tumour, up to the most cells of the specimen; red cells are not counted."""
    rng, patient = contents.rng, contents.patient

    def single(kind: str) -> Callable[[], Cell]:
        def draw() -> Cell:
            cell = draw_single(kind, patient.recipe(kind), patient.preparation, rng)
            if rng.random() < patient.degenerate:
                cell = degenerated(cell, rng)
            return replace(cell, z_um=flat_height_um(rng))

        return draw

    makers = [
        (specimen.lymphocytes, single("lymphocyte")),
        (specimen.monocytes, single("monocyte")),
        (specimen.macrophages, single("macrophage")),
        (specimen.neutrophils, lambda: draw_segmented_neutrophil(patient.preparation, rng)),
        (specimen.smudged_cells, lambda: draw_smudged_cell(patient.preparation, rng)),
    ]
    left = specimen.most_cells
    for per_mm2, make in makers:
        number = min(draw_number(per_mm2, area_mm2, rng), left)
        for _ in range(number):
            contents.add(make())
        left -= number
    p_crenated = float(rng.uniform(0.0, 0.6))
    for _ in range(draw_number(specimen.red_cells, area_mm2, rng)):
        contents.add(draw_cytospin_red_cell(patient.preparation, rng, p_crenated))
