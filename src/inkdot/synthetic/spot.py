"""Lays a ThinPrep cell spot: who lies where on the glass."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from inkdot.synthetic.backdrops import SpotRing, Writing
from inkdot.synthetic.cells import Preparation, draw_cell, draw_neutrophil, draw_red_cell
from inkdot.synthetic.cohort import SlidePlan
from inkdot.synthetic.confounders import Field, FocusBand, draw_confounders
from inkdot.synthetic.groups import Group, draw_group, founding_cluster
from inkdot.synthetic.patients import Patient
from inkdot.synthetic.presets import COMPOSITIONS, Composition, cell_count, cluster_count
from inkdot.synthetic.scene import Box, Cell, Cluster, Scene
from inkdot.synthetic.stains import Stain

WRITING_DENSITY = 0.075
RING_DENSITY = 0.02
EDGE_SHARE = 0.12
"""Share of single cells that lie on the rim beyond what its area would hold: about doubles the density there."""

_GRID_UM = 40.0


class Glass:
    """The round field cells settle on, with a memory of what is taken."""

    def __init__(self, x_um: float, y_um: float, radius_um: float, rng: np.random.Generator) -> None:
        self.x_um, self.y_um, self.radius_um = x_um, y_um, radius_um
        self._rng = rng
        self._taken: dict[tuple[int, int], list[tuple[float, float, float]]] = {}

    def settle(self, reach_um: float, gap_um: float = 1.0, innermost: float = 0.0) -> tuple[float, float]:
        """A place for something round; after 40 vain attempts it falls on others, as cells do.

        Args:
            reach_um: Its radius.
            gap_um: Glass to leave around it.
            innermost: Nearest to the middle it may lie, as a fraction of the spot's radius.
        """
        x, y = self.x_um, self.y_um
        for _ in range(40):
            away = max(self.radius_um - reach_um, 0.0) * np.sqrt(self._rng.uniform(innermost**2, 1.0))
            direction = self._rng.uniform(0.0, 2.0 * np.pi)
            x, y = float(self.x_um + away * np.cos(direction)), float(self.y_um + away * np.sin(direction))
            if self._free(x, y, reach_um + gap_um):
                break
        self._take(x, y, reach_um)
        return x, y

    def _cells(self, x: float, y: float, reach: float) -> list[tuple[int, int]]:
        columns = range(int((x - reach) // _GRID_UM), int((x + reach) // _GRID_UM) + 1)
        rows = range(int((y - reach) // _GRID_UM), int((y + reach) // _GRID_UM) + 1)
        return [(column, row) for column in columns for row in rows]

    def _free(self, x: float, y: float, reach: float) -> bool:
        for at in self._cells(x, y, reach):
            for other_x, other_y, other_reach in self._taken.get(at, ()):
                if (x - other_x) ** 2 + (y - other_y) ** 2 < (reach + other_reach) ** 2:
                    return False
        return True

    def _take(self, x: float, y: float, reach: float) -> None:
        for at in self._cells(x, y, reach):
            self._taken.setdefault(at, []).append((x, y, reach))


class _Laying:
    """Collects cells and clusters while the spot is laid."""

    def __init__(self, glass: Glass, patient: Patient, rng: np.random.Generator) -> None:
        self.glass, self.patient, self.rng = glass, patient, rng
        self.cells: list[Cell] = []
        self.clusters: list[Cluster] = []

    @property
    def preparation(self) -> Preparation:
        return self.patient.preparation

    def single(self, cell: Cell) -> None:
        # A filter leaves a denser rim.
        innermost = 0.93 if self.rng.random() < EDGE_SHARE else 0.0
        x, y = self.glass.settle(cell.reach_um, 1.5, innermost)
        self.cells.append(replace(cell, x_um=x, y_um=y))

    def named(self, kind: str) -> None:
        self.single(draw_cell(kind, self.patient.recipe(kind), self.preparation, self.rng))

    def group(self, group: Group) -> None:
        """Lay a group with glass around it."""
        x, y = self.glass.settle(group.reach_um, gap_um=15.0)
        number = len(self.clusters)
        self.clusters.append(Cluster(number, group.name))
        self.cells += [replace(c, x_um=c.x_um + x, y_um=c.y_um + y, cluster=number) for c in group.cells]


def lay_spot(plan: SlidePlan, patient: Patient, stain: Stain) -> Scene:
    """Everything on one ThinPrep slide, from the plan alone.

    Args:
        plan: The slide.
        patient: Its patient.
        stain: Colours of debris follow the laboratory's dyes.
    """
    rng = plan.chance("scene")
    diameter = plan.spot_mm * 1000.0
    margin, band = max(60.0, 0.05 * diameter), 0.13 * diameter
    width = diameter + 2.0 * margin
    centre = width / 2.0
    glass = Glass(centre, centre, diameter / 2.0, rng)
    laying = _Laying(glass, patient, rng)
    composition = COMPOSITIONS[plan.composition]
    if plan.preset == "demo" and plan.number == 0:
        laying.group(founding_cluster(patient.preparation))
    _lay_groups(laying, composition, plan.spot_mm)
    _lay_singles(laying, composition, plan.spot_mm)
    ring_width = float(np.clip(diameter * rng.uniform(0.01, 0.025), 15.0, 500.0))
    scan = Box(0.0, 0.0, width, width + band)
    spot = Box(margin, margin, margin + diameter, margin + diameter)
    found = draw_confounders(
        Field(scan, spot, glass.settle, stain), plan.chance("confounders"), plan.confounders
    )
    writing = Box(margin, width - 0.2 * margin, width - margin, width + band - 0.4 * margin)
    ring = SpotRing(centre, centre, diameter / 2.0, ring_width, RING_DENSITY)
    cells = [_refocused(cell, found.bands) for cell in (*laying.cells, *found.cells)]
    return Scene(
        width,
        width + band,
        tuple(cells),
        tuple(laying.clusters),
        (ring, Writing(writing, WRITING_DENSITY), *found.backdrop),
        found.names,
    )


def _refocused(cell: Cell, bands: Sequence[FocusBand]) -> Cell:
    """The cell as high above the focal plane as the band it lies in has it."""
    offset = sum(band.offset_um for band in bands if band.top_um <= cell.y_um < band.bottom_um)
    return replace(cell, z_um=cell.z_um + offset) if offset else cell


def _lay_groups(laying: _Laying, composition: Composition, spot_mm: float) -> None:
    """Groups first: they need the most room."""
    rng = laying.rng
    for _ in range(cluster_count(composition.tumour_clusters, spot_mm, rng)):
        laying.group(draw_group(_tumour_class(laying.patient, rng), laying.patient, rng))
    for kind, full in (
        ("choroid", composition.choroid_groups),
        ("lymphocyte", composition.lymphoid_aggregates),
        ("arachnoid", composition.whorls),
        ("germinal_matrix", composition.germinal_matrix),
    ):
        for _ in range(cluster_count(full, spot_mm, rng)):
            laying.group(draw_group(kind, laying.patient, rng))


def _lay_singles(laying: _Laying, composition: Composition, spot_mm: float) -> None:
    rng = laying.rng
    for _ in range(cell_count(composition.tumour_singles, spot_mm, rng)):
        laying.named(_tumour_class(laying.patient, rng))
    for _ in range(cell_count(composition.lymphocytes, spot_mm, rng)):
        laying.named("reactive_lymphocyte" if rng.random() < composition.reactive_share else "lymphocyte")
    for _ in range(cell_count(composition.monocytes, spot_mm, rng)):
        laying.named("macrophage" if rng.random() < composition.macrophage_share else "monocyte")
    for kind, full in (("squame", composition.squames), ("chondrocyte", composition.chondrocytes)):
        for _ in range(cell_count(full, spot_mm, rng)):
            laying.named(kind)
    for _ in range(cell_count(composition.neutrophils, spot_mm, rng)):
        laying.single(draw_neutrophil(laying.preparation, rng, (0.0, 0.0)))
    for _ in range(cell_count(composition.red_cells, spot_mm, rng)):
        laying.single(draw_red_cell(laying.preparation, rng, (0.0, 0.0)))


def _tumour_class(patient: Patient, rng: np.random.Generator) -> str:
    if patient.tumour == "mixed":
        return "small_nec" if rng.random() < 0.5 else "large_nec"
    return {"small_cell": "small_nec", "large_cell": "large_nec"}.get(patient.tumour, patient.tumour)
