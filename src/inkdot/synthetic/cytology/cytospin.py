"""Scene of a cytospin of cerebrospinal fluid: a round spot of flat cells, with the artefacts of real slides."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from inkdot.synthetic.cells.odd_cells import draw_neutrophil, draw_red_cell, draw_single
from inkdot.synthetic.cells.scene import Box, Cell, Cluster, Scene
from inkdot.synthetic.cohort.cohort_plan import SlidePlan
from inkdot.synthetic.cohort.cytospins import CYTOSPINS, Cytospin, draw_number
from inkdot.synthetic.cohort.patients import Patient
from inkdot.synthetic.cytology.cytospin_artefacts import SpotCircle, draw_artefacts
from inkdot.synthetic.cytology.settling import CellSpotArea
from inkdot.synthetic.rendering.backdrops import Writing
from inkdot.synthetic.rendering.stains import Stain

WRITING_DENSITY = 0.075


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
    _add_cells(contents, specimen, math.pi * (plan.spot_mm / 2.0) ** 2)
    artefacts, names = draw_artefacts(specimen, spot, stain, plan.generator("artefacts"), plan.confounders)
    writing = Box(margin, width, width - margin, width + 0.8 * band)
    return Scene(
        width,
        width + band,
        tuple(contents.cells),
        tuple(contents.clusters),
        (*artefacts, Writing(writing, WRITING_DENSITY)),
        names,
    )


class _Contents:
    """Cells and clusters of a spot while it is built."""

    def __init__(self, area: CellSpotArea, patient: Patient, rng: np.random.Generator) -> None:
        self.area, self.patient, self.rng = area, patient, rng
        self.cells: list[Cell] = []
        self.clusters: list[Cluster] = []

    def add(self, cell: Cell) -> None:
        """Add a single cell at a free place."""
        x, y = self.area.settle(cell.reach_um, 1.0, single=True)
        self.cells.append(replace(cell, x_um=x, y_um=y))


def _add_cells(contents: _Contents, specimen: Cytospin, area_mm2: float) -> None:
    rng, patient = contents.rng, contents.patient

    def single(kind: str) -> Callable[[], Cell]:
        return lambda: draw_single(kind, patient.recipe(kind), patient.preparation, rng)

    makers = [
        (specimen.lymphocytes, single("lymphocyte")),
        (specimen.monocytes, single("monocyte")),
        (specimen.macrophages, single("macrophage")),
        (specimen.neutrophils, lambda: draw_neutrophil(patient.preparation, rng, (0.0, 0.0))),
    ]
    numbers = [draw_number(per_mm2, area_mm2, rng) for per_mm2, _ in makers]
    left = specimen.most_cells
    for number, (_, make) in zip(numbers, makers, strict=True):
        for _ in range(min(number, left)):
            contents.add(make())
        left = max(left - number, 0)
    for _ in range(draw_number(specimen.red_cells, area_mm2, rng)):
        contents.add(draw_red_cell(patient.preparation, rng, (0.0, 0.0), 0.3))
