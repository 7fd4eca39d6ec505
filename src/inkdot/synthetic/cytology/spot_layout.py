"""Scene of a ThinPrep cell spot."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from inkdot.synthetic.cells.draw_cells import Preparation
from inkdot.synthetic.cells.odd_cells import (
    degenerated,
    draw_neutrophil,
    draw_red_cell,
    draw_single,
)
from inkdot.synthetic.cells.scene import NO_CLUSTER, Box, Cell, Cluster, Scene
from inkdot.synthetic.cohort.cohort_plan import SlidePlan
from inkdot.synthetic.cohort.patients import Patient
from inkdot.synthetic.cohort.presets import (
    COMPOSITIONS,
    Composition,
    cell_count,
    cluster_count,
    is_scaled,
)
from inkdot.synthetic.cytology.confounders import FocusBand, SlideArea, draw_confounders
from inkdot.synthetic.cytology.groups import Group, draw_group, index_case_cluster
from inkdot.synthetic.cytology.settling import CellSpotArea
from inkdot.synthetic.rendering.backdrops import AlignmentArc, SpotRing, Writing
from inkdot.synthetic.rendering.stains import Stain

WRITING_DENSITY = 0.075
RING_DENSITY = 0.02
ARC_DENSITY = 0.30
P_AGGREGATE, P_CHOROID = 0.4, 0.2
"""Probability of one aggregate or choroid group where the composition has no range for them."""

_OVERLAPPING = 0.08
"""Share of single cells on another one, on slides with the confounder ``overlapping_cells``."""


class _SpotContents:
    """Cells and clusters of a spot while it is built."""

    def __init__(
        self,
        spot_area: CellSpotArea,
        patient: Patient,
        rim: "_Rim",
        degenerate: float,
        rng: np.random.Generator,
    ) -> None:
        self.spot_area, self.rim, self.rng = spot_area, rim, rng
        self.patient = replace(patient, degenerate=degenerate)
        self.cells: list[Cell] = []
        self.clusters: list[Cluster] = []

    @property
    def preparation(self) -> Preparation:
        return self.patient.preparation

    def add_cell(self, cell: Cell) -> None:
        if cell.nuclei and self.rng.random() < self.patient.degenerate:
            cell = degenerated(cell, self.rng)
        innermost = self.rim.innermost if self.rng.random() < self.rim.share else 0.0
        x, y = self.spot_area.settle(cell.reach_um, 1.5, innermost, single=True)
        self.cells.append(replace(cell, x_um=x, y_um=y))

    def add_cell_of_class(self, kind: str) -> None:
        self.add_cell(draw_single(kind, self.patient.recipe(kind), self.preparation, self.rng))

    def add_group(self, group: Group) -> None:
        """Add a group with free space around it."""
        x, y = self.spot_area.settle(group.reach_um, gap_um=15.0)
        number = len(self.clusters)
        self.clusters.append(Cluster(number, group.name))
        self.cells += [replace(c, x_um=c.x_um + x, y_um=c.y_um + y, cluster=number) for c in group.cells]


def build_spot(plan: SlidePlan, patient: Patient, stain: Stain) -> Scene:
    """Build the scene of a ThinPrep slide; the plan determines all of it.

    Args:
        plan: Plan of the slide.
        patient: The patient.
        stain: Stain of the laboratory, for the colour of debris.
    """
    rng = plan.generator("scene")
    composition = COMPOSITIONS[plan.composition]
    diameter = plan.spot_mm * 1000.0
    if not is_scaled(plan.spot_mm):  # spots vary by 3 %
        diameter *= float(rng.uniform(0.97, 1.03))
    margin, band = max(60.0, 0.05 * diameter), 0.13 * diameter
    width = diameter + 2.0 * margin
    centre = width / 2.0
    spot_area = CellSpotArea(centre, centre, diameter / 2.0, rng)
    rim = _Rim.draw(diameter / 2.0, rng)
    degenerate = float(rng.uniform(*composition.degenerate)) if composition.degenerate else patient.degenerate
    contents = _SpotContents(spot_area, patient, rim, degenerate, rng)
    if plan.preset == "demo" and plan.number == 0:
        contents.add_group(index_case_cluster(patient.preparation))
    _add_groups(contents, composition, plan.spot_mm)
    _add_single_cells(contents, composition, plan.spot_mm)
    scan = Box(0.0, 0.0, width, width + band)
    spot = Box(margin, margin, margin + diameter, margin + diameter)
    found = draw_confounders(
        SlideArea(scan, spot, spot_area.settle, stain), plan.generator("confounders"), plan.confounders
    )
    laid = contents.cells
    if "overlapping_cells" in found.names:
        laid = _with_overlaps(laid, plan.generator("overlap"))
    writing = Box(margin, width - 0.2 * margin, width - margin, width + band - 0.4 * margin)
    ring = SpotRing(centre, centre, diameter / 2.0, rim.width_um, RING_DENSITY)
    arc = AlignmentArc(centre, centre, diameter / 2.0 + 0.55 * margin, 0.12 * margin, ARC_DENSITY)
    cells = [_shifted_by_focus_bands(cell, found.bands) for cell in (*laid, *found.cells)]
    return Scene(
        width,
        width + band,
        tuple(cells),
        tuple(contents.clusters),
        (ring, arc, Writing(writing, WRITING_DENSITY), *found.backdrop),
        found.names,
        seam=found.seam,
    )


@dataclass(frozen=True, slots=True)
class _Rim:
    """The denser rim of a spot.

    Attributes:
        width_um: Width of the rim.
        innermost: Inner radius, as a fraction (0 to 1) of the radius of the spot.
        share: Share of single cells placed in the rim in addition to the uniform density.
    """

    width_um: float
    innermost: float
    share: float

    @staticmethod
    def draw(radius_um: float, rng: np.random.Generator) -> "_Rim":
        width = float(np.clip(radius_um * rng.uniform(0.02, 0.05), 15.0, 500.0))
        innermost = 1.0 - width / radius_um
        area = 1.0 - innermost**2
        extra = (rng.uniform(1.5, 3.0) - 1.0) * area  # 1.5 to 3 times as dense as the rest
        return _Rim(width, innermost, float(extra / (1.0 + extra)))


def _with_overlaps(cells: Sequence[Cell], rng: np.random.Generator) -> list[Cell]:
    """Move a share of the single cells onto other single cells."""
    moved = list(cells)
    alone = [k for k, cell in enumerate(cells) if cell.cluster == NO_CLUSTER]
    for k in alone:
        if len(alone) < 2 or rng.random() >= _OVERLAPPING:
            continue
        under = moved[alone[int(rng.integers(len(alone)))]]
        if under is moved[k]:
            continue
        away = rng.uniform(0.5, 0.9) * min(under.reach_um + moved[k].reach_um, 16.0)
        direction = rng.uniform(0.0, 2.0 * np.pi)
        x, y = under.x_um + away * np.cos(direction), under.y_um + away * np.sin(direction)
        moved[k] = replace(moved[k], x_um=float(x), y_um=float(y))
    return moved


def _shifted_by_focus_bands(cell: Cell, bands: Sequence[FocusBand]) -> Cell:
    """Shift the height of a cell by the focus bands that it lies in."""
    offset = sum(band.offset_um for band in bands if band.top_um <= cell.y_um < band.bottom_um)
    return replace(cell, z_um=cell.z_um + offset) if offset else cell


def _add_groups(contents: _SpotContents, composition: Composition, spot_mm: float) -> None:
    """Add the groups, before single cells since they need more space."""
    rng = contents.rng
    for _ in range(cluster_count(composition.tumour_clusters, spot_mm, rng)):
        contents.add_group(draw_group(_tumour_class(contents.patient, rng), contents.patient, rng))
    for kind, full, chance in (
        ("choroid", composition.choroid_groups, P_CHOROID),
        ("lymphocyte", composition.lymphoid_aggregates, P_AGGREGATE),
        ("arachnoid", composition.whorls, 0.0),
        ("germinal_matrix", composition.germinal_matrix, 0.0),
    ):
        count = int(rng.random() < chance) if full is None else cluster_count(full, spot_mm, rng)
        for _ in range(count):
            contents.add_group(draw_group(kind, contents.patient, rng))


def _add_single_cells(contents: _SpotContents, composition: Composition, spot_mm: float) -> None:
    rng = contents.rng
    for _ in range(cell_count(composition.tumour_singles, spot_mm, rng)):
        contents.add_cell_of_class(_tumour_class(contents.patient, rng))
    for _ in range(cell_count(composition.lymphocytes, spot_mm, rng)):
        contents.add_cell_of_class(
            "reactive_lymphocyte" if rng.random() < composition.reactive_share else "lymphocyte"
        )
    for _ in range(cell_count(composition.monocytes, spot_mm, rng)):
        contents.add_cell_of_class(
            "macrophage" if rng.random() < composition.macrophage_share else "monocyte"
        )
    for kind, full in (("squame", composition.squames), ("chondrocyte", composition.chondrocytes)):
        for _ in range(cell_count(full, spot_mm, rng)):
            contents.add_cell_of_class(kind)
    for _ in range(cell_count(composition.neutrophils, spot_mm, rng)):
        contents.add_cell(draw_neutrophil(contents.preparation, rng, (0.0, 0.0)))
    lysed = composition.lysed_share or float(rng.uniform(0.3, 0.7))
    for _ in range(cell_count(composition.red_cells, spot_mm, rng)):
        contents.add_cell(draw_red_cell(contents.preparation, rng, (0.0, 0.0), lysed))


def _tumour_class(patient: Patient, rng: np.random.Generator) -> str:
    if patient.tumour == "mixed":
        return "small_nec" if rng.random() < 0.5 else "large_nec"
    return {"small_cell": "small_nec", "large_cell": "large_nec"}.get(patient.tumour, patient.tumour)
