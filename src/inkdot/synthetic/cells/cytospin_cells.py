"""Cells as they look on cytospins: blebs, signet rings, segmented neutrophils, crenated red cells, burst cells."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np

from inkdot.synthetic.cells.draw_cells import Preparation
from inkdot.synthetic.cells.scene import Cell, Cytoplasm, Inclusion, Nucleus
from inkdot.synthetic.cells.shapes import (
    ANGLE_COUNT,
    ANGLES,
    Outline,
    ellipse,
    equivalent_diameter_um,
    flattened,
    perturbed,
)

FLAT_FOCUS_SPREAD_UM = 1.2
"""Standard deviation (µm) of the height of cells that lie flat on glass."""

_P_RAISED = 0.04
"""Share of cells that lie on something and are out of focus."""


def flat_height_um(rng: np.random.Generator) -> float:
    """Draw the height of a cell on a cytospin in µm."""
    if rng.random() < _P_RAISED:
        return float(rng.uniform(6.0, 14.0) * rng.choice([-1.0, 1.0]))
    return float(rng.normal(0.0, FLAT_FOCUS_SPREAD_UM))


def with_blebs(cell: Cell, rng: np.random.Generator) -> Cell:
    """The cell with blebs on its border: many of 0.8 to 2.2 µm, some in strings, a few pale ones of up to 6 µm."""
    if cell.cytoplasm is None:
        return cell
    outline = cell.cytoplasm.outline
    blebs: list[Inclusion] = []
    around = 2.0 * math.pi * float(outline.mean())
    for _ in range(int(around / 1.2 * rng.uniform(0.5, 1.5))):
        size = float(np.clip(rng.lognormal(math.log(1.15), 0.3), 0.7, 2.4))
        blebs.append(
            _on_border(outline, rng, size, float(rng.uniform(-0.2, 0.7)) * size, rng.uniform(0.7, 1.3))
        )
    for _ in range(int(rng.poisson(0.8))):
        blebs += _string_of_blebs(outline, rng)
    for _ in range(int(rng.poisson(0.8))):
        size = float(rng.uniform(2.8, 6.0))
        blebs.append(_on_border(outline, rng, size, 0.35 * size, float(rng.uniform(0.3, 0.55))))
    return replace(cell, blebs=tuple(blebs))


def _on_border(
    outline: Outline, rng: np.random.Generator, size_um: float, out_um: float, strength: float
) -> Inclusion:
    at = int(rng.integers(ANGLE_COUNT))
    away = float(outline[at]) + out_um
    return Inclusion(
        away * float(np.cos(ANGLES[at])), away * float(np.sin(ANGLES[at])), size_um, float(strength)
    )


def _string_of_blebs(outline: Outline, rng: np.random.Generator) -> list[Inclusion]:
    first = _on_border(outline, rng, float(rng.uniform(1.2, 1.9)), 0.4, 1.1)
    heading = math.atan2(first.dy_um, first.dx_um)
    string = [first]
    for _ in range(int(rng.integers(3, 9))):
        heading += rng.normal(0.0, 0.45)
        last = string[-1]
        size = float(np.clip(last.diameter_um * rng.uniform(0.85, 1.12), 0.8, 2.4))
        step = 0.42 * (size + last.diameter_um)
        x, y = last.dx_um + step * math.cos(heading), last.dy_um + step * math.sin(heading)
        string.append(Inclusion(x, y, size, 1.0))
    return string


def signet_ring(cell: Cell, rng: np.random.Generator) -> Cell:
    """The cell with one vacuole that fills it and presses the nucleus to the border, as a crescent."""
    if cell.cytoplasm is None or not cell.nuclei:
        return cell
    nucleus = cell.nuclei[0]
    radius = equivalent_diameter_um(nucleus.outline) / 2.0
    hole = min(float(rng.uniform(1.2, 1.9)) * radius, 9.0)
    body_radius = 0.62 * radius + hole
    direction = rng.uniform(0.0, 2.0 * math.pi)
    cosine, sine = math.cos(direction), math.sin(direction)
    # The vacuole lies at one side of the body, the nucleus, flattened by it, at the other.
    outline = flattened(nucleus.outline, 0.30 * radius, float(direction))
    outline = outline * np.float32(0.92 * radius * 2.0 / equivalent_diameter_um(outline))
    back = round(((direction + math.pi) % (2.0 * math.pi)) / (2.0 * math.pi) * ANGLE_COUNT) % ANGLE_COUNT
    away = 0.94 * body_radius - float(outline[back])
    moved = replace(nucleus, dx_um=-away * cosine, dy_um=-away * sine, outline=outline, nucleoli=())
    shift = body_radius - hole - 0.6
    vacuole = Inclusion(shift * cosine, shift * sine, 1.9 * hole, float(rng.uniform(0.75, 1.0)))
    body = replace(
        cell.cytoplasm,
        outline=perturbed(ellipse(2.0 * body_radius, 1.06, direction), 0.03, rng),
        edge_um=0.4,
    )
    return replace(cell, nuclei=(moved,), cytoplasm=body, vacuoles=(vacuole,))


def draw_segmented_neutrophil(preparation: Preparation, rng: np.random.Generator) -> Cell:
    """A neutrophil: three to five separate lobes on an arc, joined by threads, in pale granular cytoplasm."""
    size = preparation.size
    body_radius = rng.uniform(6.2, 8.0) * size
    count = int(rng.integers(3, 6))
    ring = rng.uniform(0.46, 0.56) * body_radius
    start, gap = rng.uniform(0.0, 2.0 * math.pi), rng.uniform(1.05, 1.25) * 2.0 * math.pi / (count + 0.6)
    angles = [start + gap * k + rng.normal(0.0, 0.06) for k in range(count)]
    largest = 0.72 * ring * gap  # leaves a gap between lobes
    lobes: list[Nucleus] = []
    for angle in angles:
        diameter = min(float(rng.uniform(3.0, 4.6)) * size, largest)
        outline = perturbed(ellipse(diameter, 1.25, angle + math.pi / 2.0), 0.06, rng)
        away = ring * rng.uniform(0.94, 1.06)
        dye = 0.96 * preparation.haematoxylin
        lobes.append(Nucleus(away * math.cos(angle), away * math.sin(angle), outline, dye, "granular"))
    threads: list[Nucleus] = []
    for one, other in pairwise(lobes):
        dx, dy = other.dx_um - one.dx_um, other.dy_um - one.dy_um
        length, tilt = math.hypot(dx, dy), math.atan2(dy, dx)
        outline = ellipse(math.sqrt(0.45 * length), length / 0.45, tilt)
        threads.append(Nucleus(one.dx_um + dx / 2, one.dy_um + dy / 2, outline, 0.55, "smudged"))
    body = Cytoplasm(
        perturbed(ellipse(2.0 * body_radius, 1.06, rng.uniform(0.0, math.pi)), 0.06, rng),
        light_green=0.06,
        eosin=0.04,
        edge_um=0.6,
        grain=0.30,
    )
    # The lobes first: the truth takes nuclear columns from the first nucleus.
    return Cell(
        "neutrophil",
        0.0,
        0.0,
        flat_height_um(rng),
        (*lobes, *threads),
        body,
        texture=int(rng.integers(1 << 30)),
    )


def draw_cytospin_red_cell(preparation: Preparation, rng: np.random.Generator, p_crenated: float) -> Cell:
    """A red cell of 7.5 µm: a disc, a disc with a pale middle, or crenated.

    Args:
        preparation: Size factor of the slide.
        rng: Random generator.
        p_crenated: Probability (0 to 1) of a crenated cell.
    """
    diameter = float(rng.normal(7.5, 0.5)) * preparation.size
    outline = perturbed(
        ellipse(diameter, 1.0 + abs(rng.normal(0.0, 0.08)), rng.uniform(0.0, math.pi)), 0.02, rng
    )
    spikes: tuple[Inclusion, ...] = ()
    pallor = float(rng.uniform(0.3, 0.7)) if rng.random() < 0.4 else 0.0
    if rng.random() < p_crenated:
        outline, spikes = _crenated(0.92 * outline, rng)
        pallor = float(rng.uniform(0.2, 0.5))
    strength = float(rng.lognormal(0.0, 0.2))
    body = Cytoplasm(
        outline,
        orange_g=0.32 * strength,
        eosin=0.08 * strength,
        edge_um=0.3,
        grain=0.06,
        pallor=pallor,
    )
    return Cell(
        "red_cell",
        0.0,
        0.0,
        flat_height_um(rng),
        (),
        body,
        blebs=spikes,
        texture=int(rng.integers(1 << 30)),
    )


def _crenated(outline: Outline, rng: np.random.Generator) -> tuple[Outline, tuple[Inclusion, ...]]:
    """A border with 9 to 14 blunt spikes, and the spikes that point to the viewer as dark dots."""
    count, phase = int(rng.integers(9, 15)), rng.uniform(0.0, 2.0 * math.pi)
    wave = 0.5 * (1.0 + np.cos(count * ANGLES + phase))
    height = rng.uniform(0.10, 0.18) * (1.0 + 0.25 * np.cos(2.0 * ANGLES + rng.uniform(0.0, 6.3)))
    spiked = (outline * (1.0 - 0.05 + height * (wave**2 - 0.4))).astype(np.float32)
    dots: list[Inclusion] = []
    for _ in range(int(rng.integers(3, 8))):
        away = float(outline.mean()) * 0.75 * math.sqrt(rng.random())
        direction = rng.uniform(0.0, 2.0 * math.pi)
        strength = float(rng.uniform(1.2, 1.6))
        dots.append(Inclusion(away * math.cos(direction), away * math.sin(direction), 0.9, strength))
    return spiked, tuple(dots)


def draw_smudged_cell(preparation: Preparation, rng: np.random.Generator) -> Cell:
    """A burst cell: a pale, spread nucleus with a ragged border in frayed cytoplasm."""
    size = preparation.size
    diameter = float(rng.uniform(13.0, 24.0)) * size
    tilt = rng.uniform(0.0, math.pi)
    outline = perturbed(ellipse(diameter, float(rng.uniform(1.0, 1.5)), tilt), 0.14, rng)
    ragged = rng.normal(0.0, 0.05, ANGLE_COUNT)
    outline = (outline * (1.0 + ragged)).astype(np.float32)
    nucleus = Nucleus(
        0.0, 0.0, outline, float(rng.uniform(0.55, 0.85)) * preparation.haematoxylin, "reticular"
    )
    frayed = perturbed(outline * np.float32(rng.uniform(1.15, 1.5)), 0.15, rng)
    body = Cytoplasm(frayed, light_green=0.05, eosin=0.03, edge_um=float(rng.uniform(3.0, 6.0)), grain=0.6)
    return Cell(
        "smudged_cell",
        0.0,
        0.0,
        flat_height_um(rng),
        (nucleus,),
        body,
        texture=int(rng.integers(1 << 30)),
        state="degenerate",
    )
