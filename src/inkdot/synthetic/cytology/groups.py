"""Draws whole groups as a patient has them: tumour clusters and the benign groups that imitate them."""

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
from inkdot.synthetic.cells.odd_cells import degenerated, dividing
from inkdot.synthetic.cells.recipes import RECIPES
from inkdot.synthetic.cells.scene import Cell
from inkdot.synthetic.cohort.patients import DISTRACTORS, TUMOURS, Patient

_FOUNDING_SEED = 20260213

_DIVIDING: Mapping[str, float] = {
    **dict.fromkeys((*TUMOURS, *DISTRACTORS, "germinal_matrix"), 1.0),
    "lymphocyte": 0.5,
}
"""Who divides, relative to the patient's tumour: immature and activated cells do too, choroid plexus never."""

Size = Callable[[np.random.Generator], int]


@dataclass(frozen=True, slots=True)
class Architecture:
    """How the cells of a class lie together.

    Attributes:
        name: Name of such a cluster in the truth.
        build: Arranges the cells.
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
        cells: Its cells; their class is the true one, whatever they look like.
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
        kind: A class that forms groups, a key of ``ARCHITECTURES``.
        patient: Patient whose appearance it has.
        rng: Source of chance.
    """
    appearance = patient.appearances[kind]
    classes = sorted(appearance.built_as)
    architecture = ARCHITECTURES[str(rng.choice(classes, p=[appearance.built_as[name] for name in classes]))]
    built = architecture.build(kind, appearance.recipe, patient.preparation, architecture.size(rng), rng)
    cells = [altered(cell, patient, rng) if cell.kind == kind else cell for cell in built]
    own = ARCHITECTURES[kind]
    name = own.name if architecture is own else f"{own.name}_as_{architecture.name}"
    return Group(name, cells)


def altered(cell: Cell, patient: Patient, rng: np.random.Generator) -> Cell:
    """The cell as it is, fallen apart as a share of the patient's cells, or dividing as a share of its tumour's."""
    chance = rng.random()
    if chance < patient.degenerate:
        return degenerated(cell, rng)
    dividing_below = patient.degenerate + _DIVIDING.get(cell.kind, 0.0) * patient.mitotic
    return dividing(cell, rng) if chance < dividing_below else cell


def founding_cluster(preparation: Preparation) -> Group:
    """The cluster of the founding case: a few large cells, tight, finely vacuolated; the same every time."""
    rng = np.random.default_rng(_FOUNDING_SEED)
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
