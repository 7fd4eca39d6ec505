"""Build cell clusters: packed and moulded, cohesive, on a lattice, loose or concentric."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from inkdot.synthetic.cells.draw_cells import Preparation, draw_cell, flatten_side
from inkdot.synthetic.cells.odd_cells import draw_apoptotic_body
from inkdot.synthetic.cells.recipes import RECIPES, Recipe
from inkdot.synthetic.cells.scene import Cell, Nucleus
from inkdot.synthetic.cells.shapes import ellipse, equivalent_diameter_um, perturbed

Points = npt.NDArray[np.float64]
"""Positions in µm, shape [n, (x, y)]."""

Builder = Callable[[str, Recipe, Preparation, int, np.random.Generator], list[Cell]]
"""(class, recipe, preparation, number of cells, random generator) to cells around the origin, without cluster number."""


def moulded_cluster(
    kind: str, recipe: Recipe, preparation: Preparation, count: int, rng: np.random.Generator
) -> list[Cell]:
    """Small-cell carcinoma: overlapping nuclei that mould each other."""
    cells = [draw_cell(kind, recipe, preparation, rng) for _ in range(count)]
    radii = np.array([_nuclear_radius(cell) for cell in cells])
    closeness = rng.uniform(0.80, 0.95)
    positions = packed_positions(radii, closeness, rng, chain=count <= 8 and rng.random() < 0.25)
    heights = _heights(positions, rng.uniform(6.0, 14.0), rng)
    moulding = rng.beta(4.0, 3.0)  # liquid-based preparation weakens moulding
    cells = _moved_to(cells, positions, heights)
    cells = flatten_contacts(cells, radii, moulding, rng, nuclei=True)
    if rng.random() < 0.08:
        cells.append(_nuclear_streak(cells, preparation, rng))
    return cells + _apoptotic_bodies(cells, preparation, 0.02, rng)


def cohesive_cluster(
    kind: str, recipe: Recipe, preparation: Preparation, count: int, rng: np.random.Generator
) -> list[Cell]:
    """Large-cell carcinoma: overlapping cells with cytoplasm, an irregular border and little moulding."""
    cells = [draw_cell(kind, recipe, preparation, rng) for _ in range(count)]
    radii = np.array([_packing_radius(cell) for cell in cells])
    overlap = rng.uniform(0.05, 0.25)
    positions = packed_positions(radii, 1.0 - overlap, rng)
    if count >= 9 and rng.random() < 0.15:
        positions = _with_lumen(positions, rng.uniform(4.0, 8.0) / 2.0 * preparation.size)
    if rng.random() < 0.30:
        cells = _palisaded(cells, positions)
    heights = _heights(positions, rng.uniform(8.0, 18.0), rng)
    moulding = rng.uniform(0.5, 0.9) if rng.random() < 0.20 else 0.1
    cells = flatten_contacts(_moved_to(cells, positions, heights), radii, moulding, rng, nuclei=False)
    return cells + _apoptotic_bodies(cells, preparation, 0.015, rng)


def regular_group(
    kind: str, recipe: Recipe, preparation: Preparation, count: int, rng: np.random.Generator
) -> list[Cell]:
    """Choroid plexus or ependyma: a flat sheet or a papilla on a nearly regular lattice, with adjoining cell borders."""
    drawn = [draw_cell(kind, recipe, preparation, rng) for _ in range(count)]
    radius = float(np.median([_body_radius(cell) for cell in drawn]))
    cells = [_enlarged(cell, radius) for cell in drawn]  # cells of a sheet leave no gaps
    pitch = 1.62 * radius
    papilla = count >= 12 and rng.random() < 0.4
    stretch, turn = rng.uniform(1.8, 2.4) if papilla else rng.uniform(1.0, 1.5), rng.uniform(0.0, np.pi)
    lattice = _hexagonal(count, pitch, stretch)
    if papilla:  # papillae are curved
        lattice[:, 1] += rng.uniform(-0.012, 0.012) / preparation.size * lattice[:, 0] ** 2
    positions = _rotated_positions(lattice, turn) + rng.normal(0.0, 0.06 * pitch, lattice.shape)
    heights = _heights(positions, rng.uniform(6.0, 8.0) if papilla else rng.uniform(4.0, 6.0), rng)
    radii = np.full(count, radius)
    return flatten_contacts(_moved_to(cells, positions, heights), radii, 0.0, rng, nuclei=False)


def loose_aggregate(
    kind: str, recipe: Recipe, preparation: Preparation, count: int, rng: np.random.Generator
) -> list[Cell]:
    """Lymphoid aggregate: separate, round cells; 5 to 25 % monocytes among lymphocytes."""
    monocyte_share = rng.uniform(0.05, 0.25) if kind == "lymphocyte" else 0.0
    cells = [
        draw_cell("monocyte", RECIPES["monocyte"], preparation, rng)
        if rng.random() < monocyte_share
        else draw_cell(kind, recipe, preparation, rng)
        for _ in range(count)
    ]
    radii = np.array([_body_radius(cell) + rng.uniform(0.15, 1.0) for cell in cells])
    positions = packed_positions(radii, 1.0, rng)
    return _moved_to(cells, positions, _heights(positions, rng.uniform(3.0, 6.0), rng))


def whorl(
    kind: str, recipe: Recipe, preparation: Preparation, count: int, rng: np.random.Generator
) -> list[Cell]:
    """Arachnoid whorl: concentric rings, long axes tangential."""
    cells: list[Cell] = []
    ring, left = 0, count
    while left > 0:
        on_ring = 1 if ring == 0 else min(left, 5 * ring)
        for k in range(on_ring):
            angle = 2.0 * np.pi * k / on_ring + ring + rng.normal(0.0, 0.1)
            away = ring * 8.5 * preparation.size
            cell = draw_cell(kind, recipe, preparation, rng)
            cell = rotated_cell(cell, angle + np.pi / 2.0)
            cells.append(replace(cell, x_um=float(away * np.cos(angle)), y_um=float(away * np.sin(angle))))
        left -= on_ring
        ring += 1
    radii = np.array([_body_radius(cell) for cell in cells])
    positions = np.array([(cell.x_um, cell.y_um) for cell in cells])
    return flatten_contacts(
        _moved_to(cells, positions, _heights(positions, 4.0, rng)), radii, 0.0, rng, nuclei=False
    )


def packed_positions(
    radii: npt.NDArray[np.float64], closeness: float, rng: np.random.Generator, chain: bool = False
) -> Points:
    """Positions of packed discs, relaxed under attraction and repulsion.

    Args:
        radii: Radius of each disc in µm.
        closeness: Rest distance of two discs as a fraction of the sum of their radii.
        rng: Random generator.
        chain: A curved row instead of a compact group.
    """
    count = len(radii)
    if chain:
        return _chain(radii, closeness, rng)
    spread = float(radii.mean()) * np.sqrt(count) * 1.3
    positions = rng.normal(0.0, spread, (count, 2)) * np.array([1.0, rng.uniform(0.6, 1.0)])
    rest = closeness * (radii[:, None] + radii[None, :])
    for step in range(90):
        apart = positions[:, None, :] - positions[None, :, :]
        distance = np.hypot(apart[..., 0], apart[..., 1]) + np.eye(count) * 1e9 + 1e-6
        push = np.maximum(rest - distance, 0.0)
        move = 0.42 * np.einsum("ij,ijk->ik", push / distance, apart)
        pull = 0.06 if step < 60 else 0.015
        positions = positions + move - pull * (positions - positions.mean(axis=0))
    return positions - positions.mean(axis=0)


def flatten_contacts(
    cells: Sequence[Cell],
    radii: npt.NDArray[np.float64],
    moulding: float,
    rng: np.random.Generator,
    *,
    nuclei: bool,
) -> list[Cell]:
    """Flatten neighbours at the planes of their power diagram.

    Args:
        cells: Cells at their positions.
        radii: Radius of each in µm, the weight in the diagram.
        moulding: Probability that two touching nuclei are flattened; else they overlap.
        rng: Random generator.
        nuclei: Flatten only pairs chosen by ``moulding``. False: cytoplasm is always flattened, nuclei by ``moulding``.
    """
    shaped = list(cells)
    for i in range(len(shaped)):
        for j in range(i + 1, len(shaped)):
            dx, dy = shaped[j].x_um - shaped[i].x_um, shaped[j].y_um - shaped[i].y_um
            distance = float(np.hypot(dx, dy))
            if distance < 1e-3 or distance > 1.1 * (radii[i] + radii[j]):
                continue
            from_i = (distance**2 + radii[i] ** 2 - radii[j] ** 2) / (2.0 * distance)
            mould = rng.random() < moulding
            if nuclei and not mould:
                continue
            direction = float(np.arctan2(dy, dx))
            shaped[i] = flatten_side(shaped[i], from_i, direction, nucleus=mould)
            shaped[j] = flatten_side(shaped[j], distance - from_i, direction + np.pi, nucleus=mould)
    return shaped


def _nuclear_radius(cell: Cell) -> float:
    return equivalent_diameter_um(cell.nuclei[0].outline) / 2.0


def _body_radius(cell: Cell) -> float:
    if cell.cytoplasm is None:
        return _nuclear_radius(cell)
    return equivalent_diameter_um(cell.cytoplasm.outline) / 2.0


def _enlarged(cell: Cell, radius_um: float) -> Cell:
    """Enlarge the cytoplasm to at least a radius."""
    body, factor = cell.cytoplasm, radius_um / max(_body_radius(cell), 1e-6)
    if body is None or factor <= 1.0:
        return cell
    return replace(cell, cytoplasm=replace(body, outline=body.outline * np.float32(factor)))


def _packing_radius(cell: Cell) -> float:
    """Radius for packing, between that of nucleus and cell: cytoplasm overlaps more than nuclei do."""
    return 0.35 * _nuclear_radius(cell) + 0.65 * _body_radius(cell)


def _moved_to(cells: Sequence[Cell], positions: Points, heights: npt.NDArray[np.float64]) -> list[Cell]:
    return [
        replace(cell, x_um=float(position[0]), y_um=float(position[1]), z_um=float(height))
        for cell, position, height in zip(cells, positions, heights, strict=True)
    ]


def _heights(positions: Points, top_um: float, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Heights in µm of a dome-shaped cluster: highest in the middle."""
    away = np.hypot(positions[:, 0], positions[:, 1])
    dome = 1.0 - (away / max(float(away.max()), 1e-6)) ** 2
    # The focal plane lies inside the cluster, not on the glass.
    return rng.normal(0.0, 1.2) + top_um * (dome * rng.uniform(0.2, 1.0, len(positions)) - 0.35)


def _hexagonal(count: int, pitch_um: float, stretch: float) -> Points:
    """The ``count`` points of a hexagonal lattice nearest to the centre of a stretched disc."""
    reach = int(np.ceil(np.sqrt(count) * stretch)) + 2
    row, column = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    points = (
        np.stack([(column + 0.5 * (row % 2)).ravel(), (row * np.sqrt(3.0) / 2.0).ravel()], axis=1) * pitch_um
    )
    order = np.argsort(np.hypot(points[:, 0] / stretch, points[:, 1] * stretch), kind="stable")
    chosen = points[order[:count]]
    return chosen - chosen.mean(axis=0)


def _rotated_positions(positions: Points, turn: float) -> Points:
    cosine, sine = np.cos(turn), np.sin(turn)
    return (positions - positions.mean(axis=0)) @ np.array([[cosine, sine], [-sine, cosine]])


def _with_lumen(positions: Points, radius_um: float) -> Points:
    """Move cells radially outwards to open a lumen: a rosette."""
    away = np.hypot(positions[:, 0], positions[:, 1])[:, None]
    return positions / np.maximum(away, 1e-6) * np.sqrt(away**2 + (radius_um + 5.0) ** 2)


def _chain(radii: npt.NDArray[np.float64], closeness: float, rng: np.random.Generator) -> Points:
    positions = np.zeros((len(radii), 2))
    heading = rng.uniform(0.0, 2.0 * np.pi)
    for k in range(1, len(radii)):
        heading += rng.normal(0.0, 0.35)
        step = closeness * (radii[k - 1] + radii[k])
        positions[k] = positions[k - 1] + step * np.array([np.cos(heading), np.sin(heading)])
    return positions - positions.mean(axis=0)


def rotated_cell(cell: Cell, angle: float) -> Cell:
    """Rotate all outlines so that the longest radius of the nucleus points along an angle (radians)."""
    outline = cell.nuclei[0].outline
    shift = round((angle % (2.0 * np.pi)) / (2.0 * np.pi) * len(outline)) - int(np.argmax(outline))
    nuclei = tuple(replace(nucleus, outline=np.roll(nucleus.outline, shift)) for nucleus in cell.nuclei)
    body = cell.cytoplasm
    if body is not None:
        body = replace(body, outline=np.roll(body.outline, shift))
    return replace(cell, nuclei=nuclei, cytoplasm=body)


def _palisaded(cells: Sequence[Cell], positions: Points) -> list[Cell]:
    """Orient the outermost cells radially: a palisade."""
    away = np.hypot(positions[:, 0], positions[:, 1])
    outermost = away > 0.7 * away.max()
    return [
        rotated_cell(cell, float(np.arctan2(position[1], position[0]))) if outer else cell
        for cell, position, outer in zip(cells, positions, outermost, strict=True)
    ]


def _nuclear_streak(cells: Sequence[Cell], preparation: Preparation, rng: np.random.Generator) -> Cell:
    """A smeared nucleus beside a small-cell cluster: crush artefact in a liquid-based preparation."""
    direction = rng.uniform(0.0, 2.0 * np.pi)
    length = rng.uniform(10.0, 40.0) * preparation.size
    width = rng.uniform(1.5, 3.0)
    outline = perturbed(ellipse(float(np.sqrt(length * width)), length / width, direction), 0.06, rng)
    nucleus = Nucleus(0.0, 0.0, outline, 0.8 * preparation.haematoxylin, "smudged")
    reach = max(float(np.hypot(cell.x_um, cell.y_um)) for cell in cells) + 0.4 * length
    x, y = reach * np.cos(direction), reach * np.sin(direction)
    return Cell("nuclear_streak", float(x), float(y), 0.0, (nucleus,), texture=int(rng.integers(1 << 30)))


def _apoptotic_bodies(
    cells: Sequence[Cell], preparation: Preparation, share: float, rng: np.random.Generator
) -> list[Cell]:
    """Apoptotic bodies next to a share of the cells."""
    bodies: list[Cell] = []
    for cell in cells:
        if rng.random() < share:
            at = (cell.x_um + float(rng.normal(0.0, 5.0)), cell.y_um + float(rng.normal(0.0, 5.0)))
            bodies.append(draw_apoptotic_body(preparation, rng, at, cell.z_um))
    return bodies
