"""Draw single cells from the parameters of their class."""

import math
from dataclasses import dataclass, replace

import numpy as np

from inkdot.synthetic.cells.recipes import Recipe
from inkdot.synthetic.cells.scene import CHROMATINS, Cell, Cytoplasm, Inclusion, Nucleus
from inkdot.synthetic.cells.shapes import (
    area_um2,
    ellipse,
    equivalent_diameter_um,
    flattened,
    notched,
    perturbed,
)

_SPINDLE_ASPECT = 1.6
FOCUS_SPREAD_UM = 3.0
"""Standard deviation (µm) of the height of single cells above the focal plane."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """Effect of fixation, preparation and stain strength on all cells of one patient.

    Attributes:
        size: Factor on every diameter; ratios between cells do not change.
        haematoxylin: Factor on the haematoxylin of every nucleus.
    """

    size: float = 1.0
    haematoxylin: float = 1.0


def draw_cell(
    kind: str,
    recipe: Recipe,
    preparation: Preparation,
    rng: np.random.Generator,
    at_um: tuple[float, float] = (0.0, 0.0),
    z_um: float | None = None,
) -> Cell:
    """Draw one cell of a class.

    Args:
        kind: Class in the ground truth.
        recipe: Parameters of the class.
        preparation: Size and stain factors of the slide.
        rng: Random generator.
        at_um: Centre (x, y) on the slide in µm.
        z_um: Height above the focal plane in µm; random where None.
    """
    nucleus = draw_nucleus(recipe, preparation, rng)
    radius = equivalent_diameter_um(nucleus.outline) / 2.0
    vacuoles: tuple[Inclusion, ...] = ()
    granules: tuple[Inclusion, ...] = ()
    cytoplasm: Cytoplasm | None = None
    if rng.random() >= recipe.p_naked:
        ratio = rng.uniform(recipe.nc_low, recipe.nc_high)
        body_radius = radius / ratio
        tight = ratio > 0.75  # scant cytoplasm has the shape of the nucleus
        body = (
            nucleus.outline / np.float32(ratio)
            if tight
            else ellipse(2 * body_radius, 1.1, rng.uniform(0, np.pi))
        )
        room = max(body_radius - radius, 0.0) * recipe.eccentric
        away, direction = room * np.sqrt(rng.random()), rng.uniform(0.0, 2.0 * np.pi)
        nucleus = replace(
            nucleus, dx_um=float(away * np.cos(direction)), dy_um=float(away * np.sin(direction))
        )
        vague = rng.random() < recipe.p_vague_edge
        cytoplasm = Cytoplasm(
            outline=perturbed(body, 0.03 if tight else 0.09, rng),
            light_green=recipe.light_green * float(np.exp(rng.normal(0.0, 0.2))),
            eosin=recipe.eosin * float(np.exp(rng.normal(0.0, 0.3))),
            edge_um=float(rng.uniform(1.5, 3.5)) if vague else 0.4,
        )
        vacuoles = _vacuoles(recipe, nucleus, body_radius, rng)
        if len(vacuoles) >= 5:  # vacuoles below the resolution look like coarse grain
            cytoplasm = replace(cytoplasm, grain=0.30)
        granules = _granules(recipe, nucleus, body_radius, rng)
    return Cell(
        kind,
        at_um[0],
        at_um[1],
        float(rng.normal(0.0, FOCUS_SPREAD_UM)) if z_um is None else z_um,
        (nucleus,),
        cytoplasm,
        vacuoles,
        granules,
        texture=int(rng.integers(1 << 30)),
    )


def draw_nucleus(recipe: Recipe, preparation: Preparation, rng: np.random.Generator) -> Nucleus:
    """Draw a nucleus at the centre of its cell."""
    diameter = float(rng.normal(recipe.diameter_um, recipe.diameter_sd_um))
    diameter = float(np.clip(diameter, recipe.smallest_um, recipe.largest_um)) * preparation.size
    aspect = max(1.0, float(rng.normal(recipe.aspect, recipe.aspect_sd)))
    if rng.random() < recipe.p_spindle:
        aspect = max(aspect, float(rng.normal(_SPINDLE_ASPECT, 0.2)))
    outline = perturbed(ellipse(diameter, aspect, rng.uniform(0.0, np.pi)), recipe.irregularity, rng)
    if recipe.notch > 0.0:
        outline = notched(
            outline, float(rng.uniform(0.44, 1.0)) * recipe.notch, rng.uniform(0.0, 2.0 * np.pi)
        )
    outline = outline * np.float32(diameter / equivalent_diameter_um(outline))
    chromatin = CHROMATINS[int(rng.choice(len(CHROMATINS), p=recipe.chromatin_weights))]
    strength = recipe.haematoxylin * preparation.haematoxylin * float(np.exp(rng.normal(0.0, 0.10)))
    return Nucleus(0.0, 0.0, outline, strength, chromatin, _nucleoli(recipe, diameter, preparation, rng))


def _nucleoli(
    recipe: Recipe, diameter_um: float, preparation: Preparation, rng: np.random.Generator
) -> tuple[Inclusion, ...]:
    if rng.random() >= recipe.p_nucleolus:
        return ()
    count = 1 + int(rng.random() < recipe.p_second_nucleolus)
    spots: list[Inclusion] = []
    for _ in range(count):
        away, direction = 0.28 * diameter_um * np.sqrt(rng.random()), rng.uniform(0.0, 2.0 * np.pi)
        size = float(rng.uniform(recipe.nucleolus_low_um, recipe.nucleolus_high_um)) * preparation.size
        strength = recipe.nucleolus_strength * float(rng.uniform(0.7, 1.2))
        spots.append(
            Inclusion(float(away * np.cos(direction)), float(away * np.sin(direction)), size, strength)
        )
    return tuple(spots)


def _vacuoles(
    recipe: Recipe, nucleus: Nucleus, body_radius_um: float, rng: np.random.Generator
) -> tuple[Inclusion, ...]:
    """Vacuoles outside of the nucleus, drawn by rejection."""
    if rng.random() >= recipe.p_vacuoles:
        return ()
    count = round(float(rng.uniform(recipe.vacuoles_low, recipe.vacuoles_high)))
    spots: list[Inclusion] = []
    for _ in range(4 * count):
        if len(spots) == count:
            break
        # Small vacuoles are more frequent.
        size = (
            recipe.vacuole_low_um
            + (recipe.vacuole_high_um - recipe.vacuole_low_um) * float(rng.random()) ** 1.4
        )
        position = _outside_nucleus(nucleus, body_radius_um, size, rng)
        if position is not None:
            spots.append(Inclusion(*position, size, float(rng.uniform(0.8, 1.0))))
    return tuple(spots)


def _granules(
    recipe: Recipe, nucleus: Nucleus, body_radius_um: float, rng: np.random.Generator
) -> tuple[Inclusion, ...]:
    if recipe.granules_high <= 0.0 or rng.random() < 0.65:
        return ()
    spots: list[Inclusion] = []
    for _ in range(int(rng.integers(1, max(2, round(recipe.granules_high) + 1)))):
        size = float(rng.uniform(0.5, 1.3))
        position = _outside_nucleus(nucleus, body_radius_um, size, rng)
        if position is not None:
            spots.append(Inclusion(*position, size, float(rng.uniform(0.5, 0.9))))
    return tuple(spots)


def _outside_nucleus(
    nucleus: Nucleus, body_radius_um: float, size_um: float, rng: np.random.Generator
) -> tuple[float, float] | None:
    away = max(body_radius_um - 0.6 * size_um, 0.0) * math.sqrt(rng.random())
    direction = 2.0 * math.pi * rng.random()
    x, y = away * math.cos(direction), away * math.sin(direction)
    clear = math.sqrt(area_um2(nucleus.outline) / math.pi) + 0.3 * size_um
    return None if math.hypot(x - nucleus.dx_um, y - nucleus.dy_um) < clear else (x, y)


def flatten_side(cell: Cell, distance_um: float, direction: float, *, nucleus: bool = True) -> Cell:
    """Flatten a cell at its contact plane with a neighbour.

    Args:
        cell: The cell.
        distance_um: Distance of the contact plane from the cell's centre in µm.
        direction: Direction of the neighbour in radians.
        nucleus: Flatten the nucleus too, not only the cytoplasm.
    """
    body = cell.cytoplasm
    if body is not None:
        body = replace(body, outline=flattened(body.outline, distance_um, direction))
    nuclei = cell.nuclei
    if nucleus and nuclei:
        first = nuclei[0]
        offset = first.dx_um * np.cos(direction) + first.dy_um * np.sin(direction)
        first = replace(
            first, outline=flattened(first.outline, distance_um - float(offset) - 0.12, direction)
        )
        nuclei = (first, *nuclei[1:])
    return replace(cell, cytoplasm=body, nuclei=nuclei)
