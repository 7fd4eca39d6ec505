"""Sheets of touching cells: how the cells of dense fluid lie on a cytospin."""

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from inkdot.synthetic.cells.cell_clusters import flatten_contacts
from inkdot.synthetic.cells.scene import Cell
from inkdot.synthetic.cells.shapes import equivalent_diameter_um

_ON_TOP = 0.05
"""Share of cells that lie on top of another one."""

_GAP_UM = 0.25
"""Half the width of the clear line between two touching cells."""

_ATTEMPTS = 12


def touching_sheet(cells: list[Cell], rng: np.random.Generator) -> list[Cell]:
    """Arrange cells as a branching sheet: each new cell touches one that lies already.

    Args:
        cells: The cells; their positions are replaced.
        rng: Random generator.

    Returns:
        The cells around the origin, flattened where they touch, with a thin clear line between them.
    """
    radii = np.array([_radius(cell) for cell in cells])
    positions = np.zeros((len(cells), 2))
    on_top = np.zeros(len(cells), bool)
    for k in range(1, len(cells)):
        on_top[k] = rng.random() < _ON_TOP
        positions[k] = _beside(positions[:k], radii[: k + 1], bool(on_top[k]), rng)
    positions -= positions.mean(axis=0)
    placed = [
        replace(cell, x_um=float(x), y_um=float(y)) for cell, (x, y) in zip(cells, positions, strict=True)
    ]
    flat = [k for k in range(len(cells)) if not on_top[k]]
    shaped = flatten_contacts([placed[k] for k in flat], radii[flat], 0.12, rng, nuclei=False)
    for k, cell in zip(flat, shaped, strict=True):
        placed[k] = _with_gap(cell)
    return placed


def _beside(
    laid: npt.NDArray[np.float64], radii: npt.NDArray[np.float64], on_top: bool, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """A position beside one of the laid cells (on top: half over it) that overlaps the others least, [2]."""
    best, least = np.zeros(2), math.inf
    for _ in range(_ATTEMPTS):
        under = int(rng.integers(len(laid)))
        closeness = rng.uniform(0.35, 0.7) if on_top else rng.uniform(0.90, 1.0)
        away = closeness * (radii[under] + radii[-1])
        direction = rng.uniform(0.0, 2.0 * math.pi)
        position = laid[under] + away * np.array([math.cos(direction), math.sin(direction)])
        distance = np.hypot(*(laid - position).T)
        overlap = float(np.maximum(0.90 * (radii[:-1] + radii[-1]) - distance, 0.0).sum())
        if overlap < least:
            best, least = position, overlap
        if overlap == 0.0 or on_top:
            break
    return best


def _with_gap(cell: Cell) -> Cell:
    body = cell.cytoplasm
    if body is None:
        return cell
    return replace(cell, cytoplasm=replace(body, outline=np.maximum(body.outline - np.float32(_GAP_UM), 0.5)))


def _radius(cell: Cell) -> float:
    outline = cell.nuclei[0].outline if cell.cytoplasm is None else cell.cytoplasm.outline
    return equivalent_diameter_um(outline) / 2.0
