"""Cells beyond the plain class parameters: squames, chondrocytes, neutrophils, red cells, mitoses, degenerate cells."""

import math
from dataclasses import replace

import numpy as np

from inkdot.synthetic.cells.draw_cells import FOCUS_SPREAD_UM, Preparation, draw_cell
from inkdot.synthetic.cells.recipes import Recipe
from inkdot.synthetic.cells.scene import Cell, Cytoplasm, Inclusion, Nucleus
from inkdot.synthetic.cells.shapes import (
    Outline,
    ellipse,
    equivalent_diameter_um,
    flattened,
    perturbed,
)

_P_ANUCLEATE = 0.3
"""Share of squames without a nucleus."""

_P_EOSINOPHILIC = 0.5
"""Share of squames stained by eosin instead of light green."""


def draw_single(kind: str, recipe: Recipe, preparation: Preparation, rng: np.random.Generator) -> Cell:
    """Draw one single cell, with the features specific to its class.

    Args:
        kind: Class in the ground truth.
        recipe: Parameters of the class.
        preparation: Size and stain factors of the slide.
        rng: Random generator.
    """
    cell = draw_cell(kind, recipe, preparation, rng)
    if kind == "squame":
        return _squame(cell, rng)
    if kind == "chondrocyte":
        return _in_lacuna(cell, rng)
    if kind == "macrophage" and rng.random() < 0.25:
        return _with_engulfed_red_cells(cell, rng)
    return cell


def _squame(cell: Cell, rng: np.random.Generator) -> Cell:
    """A squame: polygonal, blue-green or pink, with a small nucleus or none."""
    if cell.cytoplasm is None:
        return cell
    body = replace(cell.cytoplasm, outline=_polygonal(cell.cytoplasm.outline, rng), grain=0.06)
    if rng.random() < _P_EOSINOPHILIC:
        body = replace(body, eosin=body.light_green, light_green=body.eosin, orange_g=0.03)
    return replace(cell, cytoplasm=body, nuclei=() if rng.random() < _P_ANUCLEATE else cell.nuclei)


def _polygonal(outline: Outline, rng: np.random.Generator) -> Outline:
    """Give an outline five or six straight sides."""
    sides = int(rng.integers(5, 7))
    start = rng.uniform(0.0, 2.0 * math.pi)
    for k in range(sides):
        direction = start + 2.0 * math.pi * k / sides + rng.normal(0.0, 0.15)
        outline = flattened(outline, float(outline.mean() * rng.uniform(0.74, 0.86)), float(direction))
    return outline


def _in_lacuna(cell: Cell, rng: np.random.Generator) -> Cell:
    """A chondrocyte: a pyknotic nucleus in a clear lacuna of dense magenta-blue matrix."""
    if cell.cytoplasm is None:
        return cell
    nucleus = cell.nuclei[0]
    matrix = replace(cell.cytoplasm, light_green=0.0, eosin=0.25, haematoxylin=0.15, grain=0.10)
    hole = equivalent_diameter_um(nucleus.outline) + float(rng.uniform(3.0, 6.0))
    lacuna = Inclusion(nucleus.dx_um, nucleus.dy_um, hole, float(rng.uniform(0.85, 1.0)))
    return replace(cell, cytoplasm=matrix, vacuoles=(lacuna,))


def _with_engulfed_red_cells(cell: Cell, rng: np.random.Generator) -> Cell:
    """A macrophage with one or two engulfed red cells (erythrophage)."""
    if cell.cytoplasm is None:
        return cell
    nucleus, room = cell.nuclei[0], float(cell.cytoplasm.outline.mean())
    ghosts: list[Inclusion] = []
    for _ in range(int(rng.integers(1, 3))):
        away = math.atan2(-nucleus.dy_um, -nucleus.dx_um) + rng.normal(0.0, 0.7)
        ghosts.append(
            Inclusion(
                0.55 * room * math.cos(away),
                0.55 * room * math.sin(away),
                float(rng.uniform(4.5, 6.0)),
                float(rng.uniform(0.45, 0.65)),
            )
        )
    return replace(cell, vacuoles=(*cell.vacuoles, *ghosts))


def draw_neutrophil(preparation: Preparation, rng: np.random.Generator, at_um: tuple[float, float]) -> Cell:
    """A neutrophil with three to five nuclear lobes."""
    size = preparation.size
    body = perturbed(ellipse(rng.uniform(11.0, 13.0) * size, 1.05, rng.uniform(0.0, np.pi)), 0.05, rng)
    count = int(rng.integers(3, 6))
    start, bend = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(0.9, 1.4)
    lobes: list[Nucleus] = []
    for k in range(count):
        angle = start + bend * k
        away = rng.uniform(2.0, 2.9) * size
        outline = perturbed(ellipse(rng.uniform(2.5, 3.5) * size, 1.2, rng.uniform(0.0, np.pi)), 0.06, rng)
        lobe = Nucleus(
            away * np.cos(angle), away * np.sin(angle), outline, 1.0 * preparation.haematoxylin, "smudged"
        )
        lobes.append(lobe)
    cytoplasm = Cytoplasm(body, light_green=0.05, eosin=0.06, edge_um=0.5)
    z = float(rng.normal(0.0, FOCUS_SPREAD_UM))
    return Cell("neutrophil", *at_um, z, tuple(lobes), cytoplasm, texture=int(rng.integers(1 << 30)))


def draw_red_cell(
    preparation: Preparation, rng: np.random.Generator, at_um: tuple[float, float], p_ghost: float = 0.5
) -> Cell:
    """A red cell, orange to pink, or a pale ghost (lysed) with probability ``p_ghost`` (0 to 1)."""
    outline = perturbed(
        ellipse(rng.normal(6.8, 0.4) * preparation.size, 1.05, rng.uniform(0.0, np.pi)), 0.02, rng
    )
    strength = rng.uniform(0.15, 0.4) if rng.random() < p_ghost else 1.0
    cytoplasm = Cytoplasm(
        outline,
        eosin=0.15 * strength,
        orange_g=0.25 * strength,
        light_green=0.03 * strength,
        edge_um=0.3,
        grain=0.04,
    )
    z = float(rng.normal(0.0, FOCUS_SPREAD_UM))
    return Cell("red_cell", *at_um, z, (), cytoplasm, texture=int(rng.integers(1 << 30)))


def draw_apoptotic_body(
    preparation: Preparation, rng: np.random.Generator, at_um: tuple[float, float], z_um: float
) -> Cell:
    """An apoptotic body: a small dense globule in pink cytoplasm."""
    diameter = rng.uniform(1.5, 4.0) * preparation.size
    globe = Nucleus(0.0, 0.0, perturbed(ellipse(diameter, 1.1, 0.0), 0.04, rng), 1.5, "smudged")
    shred = Cytoplasm(perturbed(ellipse(diameter * 1.8, 1.2, 1.0), 0.1, rng), eosin=0.2, edge_um=0.8)
    return Cell("apoptotic_body", *at_um, z_um, (globe,), shred, texture=int(rng.integers(1 << 30)))


def in_mitosis(cell: Cell, rng: np.random.Generator, *, eosin: float = 0.0) -> Cell:
    """The cell in metaphase: a dark plate in side view or a ring in polar view, without nuclear membrane.

    The mitotic figure is about as large as the nucleus was, 8 to 12 µm on cytology slides. A naked nucleus gets cytoplasm
    stained by light green, or by ``eosin`` (concentration) where that is above 0.
    """
    nuclear_diameter = equivalent_diameter_um(cell.nuclei[0].outline)
    length = float(np.clip(nuclear_diameter * rng.uniform(0.75, 0.95), 0.55 * nuclear_diameter + 1.0, 12.0))
    tilt = rng.uniform(0.0, math.pi)
    mitotic_figure = _plate(length, tilt, rng) if rng.random() < 0.6 else _ring(length, rng)
    body = cell.cytoplasm
    if body is None:
        around = perturbed(cell.nuclei[0].outline * np.float32(1.12), 0.03, rng)
        body = Cytoplasm(around, light_green=0.0 if eosin else 0.10, eosin=eosin, edge_um=0.8)
    return replace(cell, nuclei=mitotic_figure, cytoplasm=body, state="dividing")


def _plate(length_um: float, tilt: float, rng: np.random.Generator) -> tuple[Nucleus, ...]:
    width = length_um * rng.uniform(0.26, 0.36)
    bar = _with_chromosome_arms(ellipse(math.sqrt(length_um * width), length_um / width, tilt), rng)
    return (Nucleus(0.0, 0.0, bar, float(rng.uniform(1.5, 1.8)), "coarse"),)


def _ring(diameter_um: float, rng: np.random.Generator) -> tuple[Nucleus, ...]:
    """A ring of overlapping clumps of chromosomes; a single outline cannot have a hole."""
    count, radius = int(rng.integers(12, 16)), 0.34 * diameter_um
    clumps: list[Nucleus] = []
    for k in range(count):
        angle = 2.0 * math.pi * k / count + rng.normal(0.0, 0.06)
        outline = _with_chromosome_arms(ellipse(0.26 * diameter_um * rng.uniform(0.75, 1.2), 1.4, angle), rng)
        away = radius * rng.uniform(0.92, 1.08)
        x, y = away * math.cos(angle), away * math.sin(angle)
        clumps.append(Nucleus(x, y, outline, float(rng.uniform(0.7, 1.1)), "coarse"))
    return tuple(clumps)


def _with_chromosome_arms(outline: Outline, rng: np.random.Generator) -> Outline:
    """An outline with projecting chromosome arms: rough from point to point."""
    rough = rng.normal(0.0, 0.09, len(outline))
    rough = 0.5 * rough + 0.35 * (np.roll(rough, 1) + np.roll(rough, -1))
    return (outline * np.clip(1.0 + rough, 0.75, 1.3)).astype(np.float32)


def degenerated(cell: Cell, rng: np.random.Generator) -> Cell:
    """The cell after autolysis: smudged and pale, or pyknotic; cytoplasm frayed or lost."""
    shrunken = rng.random() < 0.3
    factor, dye = (rng.uniform(0.75, 0.9), 1.2) if shrunken else (1.0, rng.uniform(0.45, 0.75))
    nuclei = tuple(
        replace(
            nucleus,
            outline=perturbed(nucleus.outline * np.float32(factor), 0.04, rng),
            haematoxylin=nucleus.haematoxylin * float(dye),
            chromatin="smudged",
            nucleoli=(),
        )
        for nucleus in cell.nuclei
    )
    body = cell.cytoplasm
    if body is not None and rng.random() < 0.3:
        return replace(cell, nuclei=nuclei, cytoplasm=None, vacuoles=(), granules=(), state="degenerate")
    if body is not None:
        body = replace(
            body,
            outline=perturbed(body.outline, 0.12, rng),
            light_green=0.6 * body.light_green,
            edge_um=max(body.edge_um, float(rng.uniform(1.0, 3.0))),
            grain=0.35,
        )
    return replace(cell, nuclei=nuclei, cytoplasm=body, state="degenerate")
