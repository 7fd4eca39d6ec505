"""Lays a ThinPrep cell spot: who lies where on the glass."""

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
from inkdot.synthetic.cytology.confounders import Field, FocusBand, draw_confounders
from inkdot.synthetic.cytology.groups import Group, draw_group, founding_cluster
from inkdot.synthetic.cytology.settling import Glass
from inkdot.synthetic.rendering.backdrops import AlignmentArc, SpotRing, Writing
from inkdot.synthetic.rendering.stains import Stain

WRITING_DENSITY = 0.075
RING_DENSITY = 0.02
ARC_DENSITY = 0.30
P_AGGREGATE, P_CHOROID = 0.4, 0.2
"""Chances of a lymphoid aggregate and of a choroid group on a slide whose kind does not bring its own."""

_OVERLAPPING = 0.08
"""Share of single cells that lie on another where cells overlap."""


class _Laying:
    """Collects cells and clusters while the spot is laid."""

    def __init__(
        self, glass: Glass, patient: Patient, rim: "_Rim", degenerate: float, rng: np.random.Generator
    ) -> None:
        self.glass, self.rim, self.rng = glass, rim, rng
        self.patient = replace(patient, degenerate=degenerate)
        self.cells: list[Cell] = []
        self.clusters: list[Cluster] = []

    @property
    def preparation(self) -> Preparation:
        return self.patient.preparation

    def single(self, cell: Cell) -> None:
        if cell.nuclei and self.rng.random() < self.patient.degenerate:
            cell = degenerated(cell, self.rng)
        innermost = self.rim.innermost if self.rng.random() < self.rim.share else 0.0
        x, y = self.glass.settle(cell.reach_um, 1.5, innermost, single=True)
        self.cells.append(replace(cell, x_um=x, y_um=y))

    def named(self, kind: str) -> None:
        self.single(draw_single(kind, self.patient.recipe(kind), self.preparation, self.rng))

    def group(self, group: Group) -> None:
        """Lay a group with glass around it."""
        x, y = self.glass.settle(group.reach_um, gap_um=15.0)
        number = len(self.clusters)
        self.clusters.append(Cluster(number, group.name))
        self.cells += [replace(c, x_um=c.x_um + x, y_um=c.y_um + y, cluster=number) for c in group.cells]


def build_spot(plan: SlidePlan, patient: Patient, stain: Stain) -> Scene:
    """Everything on one ThinPrep slide, from the plan alone.

    Args:
        plan: The slide.
        patient: Its patient.
        stain: Colours of debris follow the laboratory's dyes.
    """
    rng = plan.chance("scene")
    composition = COMPOSITIONS[plan.composition]
    diameter = plan.spot_mm * 1000.0
    if not is_scaled(plan.spot_mm):  # filters are not all alike: 20 mm, give or take 0.6
        diameter *= float(rng.uniform(0.97, 1.03))
    margin, band = max(60.0, 0.05 * diameter), 0.13 * diameter
    width = diameter + 2.0 * margin
    centre = width / 2.0
    glass = Glass(centre, centre, diameter / 2.0, rng)
    rim = _Rim.draw(diameter / 2.0, rng)
    degenerate = float(rng.uniform(*composition.degenerate)) if composition.degenerate else patient.degenerate
    laying = _Laying(glass, patient, rim, degenerate, rng)
    if plan.preset == "demo" and plan.number == 0:
        laying.group(founding_cluster(patient.preparation))
    _lay_groups(laying, composition, plan.spot_mm)
    _lay_singles(laying, composition, plan.spot_mm)
    scan = Box(0.0, 0.0, width, width + band)
    spot = Box(margin, margin, margin + diameter, margin + diameter)
    found = draw_confounders(
        Field(scan, spot, glass.settle, stain), plan.chance("confounders"), plan.confounders
    )
    laid = laying.cells
    if "overlapping_cells" in found.names:
        laid = _overlapped(laid, plan.chance("overlap"))
    writing = Box(margin, width - 0.2 * margin, width - margin, width + band - 0.4 * margin)
    ring = SpotRing(centre, centre, diameter / 2.0, rim.width_um, RING_DENSITY)
    arc = AlignmentArc(centre, centre, diameter / 2.0 + 0.55 * margin, 0.12 * margin, ARC_DENSITY)
    cells = [_refocused(cell, found.bands) for cell in (*laid, *found.cells)]
    return Scene(
        width,
        width + band,
        tuple(cells),
        tuple(laying.clusters),
        (ring, arc, Writing(writing, WRITING_DENSITY), *found.backdrop),
        found.names,
        seam=found.seam,
    )


@dataclass(frozen=True, slots=True)
class _Rim:
    """The denser edge that a filter leaves.

    Attributes:
        width_um: Width of the ring.
        innermost: Where it begins, as a fraction of the spot's radius.
        share: Share of single cells that lie there beyond what its area would hold.
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


def _overlapped(cells: Sequence[Cell], rng: np.random.Generator) -> list[Cell]:
    """Move a share of the single cells half onto other single cells."""
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


def _refocused(cell: Cell, bands: Sequence[FocusBand]) -> Cell:
    """The cell as high above the focal plane as the band it lies in has it."""
    offset = sum(band.offset_um for band in bands if band.top_um <= cell.y_um < band.bottom_um)
    return replace(cell, z_um=cell.z_um + offset) if offset else cell


def _lay_groups(laying: _Laying, composition: Composition, spot_mm: float) -> None:
    """Groups first: they need the most room."""
    rng = laying.rng
    for _ in range(cluster_count(composition.tumour_clusters, spot_mm, rng)):
        laying.group(draw_group(_tumour_class(laying.patient, rng), laying.patient, rng))
    for kind, full, chance in (
        ("choroid", composition.choroid_groups, P_CHOROID),
        ("lymphocyte", composition.lymphoid_aggregates, P_AGGREGATE),
        ("arachnoid", composition.whorls, 0.0),
        ("germinal_matrix", composition.germinal_matrix, 0.0),
    ):
        count = int(rng.random() < chance) if full is None else cluster_count(full, spot_mm, rng)
        for _ in range(count):
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
    lysed = composition.lysed_share or float(rng.uniform(0.3, 0.7))
    for _ in range(cell_count(composition.red_cells, spot_mm, rng)):
        laying.single(draw_red_cell(laying.preparation, rng, (0.0, 0.0), lysed))


def _tumour_class(patient: Patient, rng: np.random.Generator) -> str:
    if patient.tumour == "mixed":
        return "small_nec" if rng.random() < 0.5 else "large_nec"
    return {"small_cell": "small_nec", "large_cell": "large_nec"}.get(patient.tumour, patient.tumour)
