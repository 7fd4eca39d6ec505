"""Draw the groups of a patient: tumour clusters and benign mimics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from inkdot.synthetic.cells.cell_clusters import (
    Builder,
    cohesive_cluster,
    loose_aggregate,
    moulded_cluster,
    regular_group,
    whorl,
)
from inkdot.synthetic.cells.draw_cells import Preparation
from inkdot.synthetic.cells.odd_cells import degenerated, in_mitosis
from inkdot.synthetic.cells.recipes import RECIPES
from inkdot.synthetic.cells.scene import Cell
from inkdot.synthetic.cohort.patients import OTHER_TUMOURS, TUMOURS, Patient

_INDEX_CASE_SEED = 20260213

_RELATIVE_MITOTIC_RATE: Mapping[str, float] = {
    **dict.fromkeys((*TUMOURS, *OTHER_TUMOURS, "germinal_matrix"), 1.0),
    "lymphocyte": 0.5,
}
"""Mitotic rate of a class relative to that of the patient's tumour; 0 for all others."""

Size = Callable[[np.random.Generator], int]


@dataclass(frozen=True, slots=True)
class Architecture:
    """Architecture of the groups of a class.

    Attributes:
        name: Kind of cluster in the ground truth.
        build: Draws and arranges the cells.
        size: Draws the number of cells.
    """

    name: str
    build: Builder
    size: Size


@dataclass(frozen=True, slots=True)
class Group:
    """A group around the origin.

    Attributes:
        name: Kind of cluster.
        cells: Its cells with their true class, whatever their architecture.
    """

    name: str
    cells: list[Cell]

    @property
    def reach_um(self) -> float:
        """Largest distance of any point of it from the origin."""
        return max(float(np.hypot(cell.x_um, cell.y_um)) + cell.reach_um for cell in self.cells)


def draw_group(kind: str, patient: Patient, rng: np.random.Generator) -> Group:
    """Draw a group of one class in one patient.

    Args:
        kind: Class, a key of ``ARCHITECTURES``.
        patient: The patient.
        rng: Random generator.
    """
    appearance = patient.appearances[kind]
    classes = sorted(appearance.built_as)
    architecture = ARCHITECTURES[str(rng.choice(classes, p=[appearance.built_as[name] for name in classes]))]
    built = architecture.build(kind, appearance.recipe, patient.preparation, architecture.size(rng), rng)
    cells = [_degenerate_or_in_mitosis(cell, patient, rng) if cell.kind == kind else cell for cell in built]
    own = ARCHITECTURES[kind]
    name = own.name if architecture is own else f"{own.name}_as_{architecture.name}"
    return Group(name, cells)


def _degenerate_or_in_mitosis(cell: Cell, patient: Patient, rng: np.random.Generator) -> Cell:
    """Make the cell degenerate or put it in mitosis, with the rates of the patient."""
    chance = rng.random()
    if chance < patient.degenerate:
        return degenerated(cell, rng)
    upper = patient.degenerate + _RELATIVE_MITOTIC_RATE.get(cell.kind, 0.0) * patient.mitotic
    return in_mitosis(cell, rng) if chance < upper else cell


def index_case_cluster(preparation: Preparation) -> Group:
    """The cluster of the index case: seven large cells, cohesive, finely vacuolated; the same on every slide."""
    rng = np.random.default_rng(_INDEX_CASE_SEED)
    recipe = replace(
        RECIPES["large_nec"],
        **{
            "p_vacuoles": 1.0,
            "vacuoles_low": 14.0,
            "vacuoles_high": 30.0,
            "vacuole_high_um": 1.5,
            "p_naked": 0.0,
        },
        **{"nc_low": 0.55, "nc_high": 0.70, "p_vague_edge": 0.0},
    )
    return Group("founding_case", cohesive_cluster("large_nec", recipe, preparation, 7, rng))


def _log_normal(median: float, sigma: float, low: int, high: int) -> Size:
    def draw(rng: np.random.Generator) -> int:
        return int(np.clip(round(float(median * np.exp(rng.normal(0.0, sigma)))), low, high))

    return draw


def _large_cell_size(rng: np.random.Generator) -> int:
    """One cluster in ten has 60 cells or more."""
    return int(rng.integers(60, 81)) if rng.random() < 0.10 else _log_normal(14, 0.6, 5, 59)(rng)


ARCHITECTURES: Mapping[str, Architecture] = {
    "small_nec": Architecture("small_cell_moulded", moulded_cluster, _log_normal(9, 0.65, 3, 40)),
    "large_nec": Architecture("large_cell_cohesive", cohesive_cluster, _large_cell_size),
    "adenocarcinoma": Architecture("adenocarcinoma_group", cohesive_cluster, _log_normal(10, 0.5, 4, 40)),
    "lymphoma": Architecture("lymphoma_aggregate", loose_aggregate, _log_normal(12, 0.5, 5, 50)),
    "choroid": Architecture("choroid_group", regular_group, _log_normal(18, 0.55, 8, 60)),
    "lymphocyte": Architecture("lymphoid_aggregate", loose_aggregate, _log_normal(14, 0.6, 5, 60)),
    "arachnoid": Architecture("arachnoid_whorl", whorl, _log_normal(9, 0.3, 5, 15)),
    "germinal_matrix": Architecture("germinal_matrix", moulded_cluster, _log_normal(9, 0.5, 4, 30)),
}
