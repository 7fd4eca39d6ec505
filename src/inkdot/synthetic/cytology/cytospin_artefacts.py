"""Draw the artefacts of cytospins: fibres, hairs, protein clots, scratches, stain precipitate, a pen ring.

Each is in the truth with its kind and its outline. Sizes follow what was seen on four real slides.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from inkdot.synthetic.cells.scene import Backdrop
from inkdot.synthetic.cohort.cytospins import Cytospin, Range
from inkdot.synthetic.rendering.csf_stains import fibre_colour, precipitate_colour, protein_colour
from inkdot.synthetic.rendering.deposits import (
    PenRing,
    draw_precipitate_clump,
    draw_precipitate_grains,
    draw_protein_clot,
)
from inkdot.synthetic.rendering.stains import Stain
from inkdot.synthetic.rendering.strands import Points, Ribbon, Scratch

_FULL_RADIUS_UM = 1000.0
"""Smallest radius of a spot with all its artefacts; a smaller one has fewer, so that they do not cover it."""

_PENS = ((0.75, 0.28, 0.42), (0.95, 0.60, 0.22), (0.90, 0.90, 0.90))
"""Optical density (R, G, B) of green, blue and black ink."""


@dataclass(frozen=True, slots=True)
class SpotCircle:
    """The circle that holds the cells.

    Attributes:
        x_um: Centre.
        y_um: Centre.
        radius_um: Radius.
    """

    x_um: float
    y_um: float
    radius_um: float

    def anywhere(self, rng: np.random.Generator, reach: float = 0.9) -> tuple[float, float]:
        """A random position within a fraction of the radius."""
        away, direction = (
            reach * self.radius_um * math.sqrt(rng.random()),
            rng.uniform(0.0, 2.0 * math.pi),
        )
        return self.x_um + away * math.cos(direction), self.y_um + away * math.sin(direction)


def draw_artefacts(
    specimen: Cytospin, spot: SpotCircle, stain: Stain, rng: np.random.Generator, only: frozenset[str] | None
) -> tuple[list[Backdrop], tuple[str, ...]]:
    """Draw the artefacts of one slide.

    Args:
        specimen: How many of each kind.
        spot: The spot.
        stain: Stain of the laboratory.
        rng: Random generator; its use does not depend on ``only``.
        only: Kinds that are kept; None: all.

    Returns:
        The artefacts, and the kinds among them, sorted.
    """
    numbers: list[tuple[str, Range, Callable[[SpotCircle, Stain, np.random.Generator], Backdrop]]] = [
        ("protein_clot", specimen.clots, _clot),
        ("precipitate", specimen.precipitates, _precipitate),
        ("scratch", specimen.scratches, _scratch),
        ("fibre", specimen.fibres, _fibre),
        ("hair", specimen.hairs, _hair),
        ("pen_mark", (1, 1) if rng.random() < specimen.p_pen_ring else (0, 0), _pen_ring),
    ]
    drawn: list[Backdrop] = []
    for kind, (low, high), draw in numbers:
        own = np.random.default_rng(int(rng.integers(1 << 62)))
        if only is None or kind in only:
            number = math.ceil(int(own.integers(low, high + 1)) * min(spot.radius_um / _FULL_RADIUS_UM, 1.0))
            drawn += [draw(spot, stain, own) for _ in range(number)]
    return drawn, tuple(sorted({thing.kind for thing in drawn}))


def wandering_line(
    start_um: tuple[float, float], length_um: float, step_um: float, curl: float, rng: np.random.Generator
) -> Points:
    """A smooth random line.

    Args:
        start_um: First point.
        length_um: Its length.
        step_um: Length of its straight pieces.
        curl: Standard deviation of the change of its turn per piece, in radians.
        rng: Random generator.
    """
    heading, turn = rng.uniform(0.0, 2.0 * math.pi), 0.0
    points = [(float(start_um[0]), float(start_um[1]))]
    for _ in range(max(round(length_um / step_um), 2)):
        turn = 0.85 * turn + rng.normal(0.0, curl)
        heading += turn
        x, y = points[-1]
        points.append((x + step_um * math.cos(heading), y + step_um * math.sin(heading)))
    return tuple(points)


def _middle_at(points: Points, at_um: tuple[float, float]) -> Points:
    """The line, moved so that its middle vertex lies at a position."""
    x, y = points[len(points) // 2]
    return tuple((px - x + at_um[0], py - y + at_um[1]) for px, py in points)


def _fibre(spot: SpotCircle, stain: Stain, rng: np.random.Generator) -> Ribbon:
    """A cotton or wood fibre of 12 to 28 µm, from clear to deeply stained, often frayed."""
    length = min(math.exp(rng.uniform(math.log(250.0), math.log(1800.0))), 1.3 * spot.radius_um)
    line = wandering_line((0.0, 0.0), length, 20.0, 0.025, rng)
    line = _middle_at(line, spot.anywhere(rng, 0.85))
    width = float(rng.uniform(12.0, 28.0))
    fibrils: list[Points] = []
    for _ in range(int(rng.integers(0, 5))):
        at = line[int(rng.integers(len(line)))]
        fibrils.append(wandering_line(at, float(rng.uniform(0.8, 3.0)) * width, 4.0, 0.12, rng))
    return Ribbon(
        line,
        width,
        fibre_colour(stain.name) * np.float32(rng.uniform(0.35, 1.15)),
        twist_um=float(rng.uniform(120.0, 320.0)),
        folds=int(rng.integers(2, 6)),
        seed=int(rng.integers(1 << 30)),
        edge=float(rng.uniform(0.3, 0.9)),
        soft_um=math.exp(rng.uniform(0.0, math.log(4.0))),
        fibrils=tuple(fibrils),
    )


def _hair(spot: SpotCircle, stain: Stain, rng: np.random.Generator) -> Ribbon:
    """A hair: a smooth brown rod of 40 to 80 µm, wider than any cell."""
    line = wandering_line((0.0, 0.0), min(3000.0, 1.6 * spot.radius_um), 40.0, 0.01, rng)
    colour = np.array([0.45, 0.62, 0.80]) * rng.uniform(0.6, 1.3)
    return Ribbon(
        _middle_at(line, spot.anywhere(rng, 0.7)),
        float(rng.uniform(40.0, 80.0)),
        colour.astype(np.float32),
        folds=1,
        seed=int(rng.integers(1 << 30)),
        edge=0.9,
        soft_um=float(rng.uniform(2.0, 5.0)),
        kind="hair",
    )


def _clot(spot: SpotCircle, stain: Stain, rng: np.random.Generator) -> Backdrop:
    """A sheet of protein of 25 to 400 µm."""
    radius = min(math.exp(rng.uniform(math.log(25.0), math.log(400.0))), 0.35 * spot.radius_um)
    colour = protein_colour(stain.name) * np.float32(rng.uniform(0.7, 1.6))
    return draw_protein_clot(spot.anywhere(rng), radius, colour, rng)


def _precipitate(spot: SpotCircle, stain: Stain, rng: np.random.Generator) -> Backdrop:
    """A patch of loose grains, or a dense clump."""
    colour = precipitate_colour(stain.name, stain.od)
    at = spot.anywhere(rng)
    if rng.random() < 0.5:
        radius = min(float(rng.uniform(60.0, 160.0)), 0.3 * spot.radius_um)
        density = math.exp(rng.uniform(math.log(1500.0), math.log(12000.0)))
        return draw_precipitate_grains(at, radius, density, colour * np.float32(0.6), rng)
    radius = math.exp(rng.uniform(math.log(3.0), math.log(25.0)))
    return draw_precipitate_clump(at, radius, colour, rng)


def _scratch(spot: SpotCircle, stain: Stain, rng: np.random.Generator) -> Scratch:
    """A scratch of 0.3 to 3 mm, slightly bent; deeply stained in MGG, pale in Pap."""
    length = min(math.exp(rng.uniform(math.log(300.0), math.log(3000.0))), 1.5 * spot.radius_um)
    line = wandering_line((0.0, 0.0), length, 30.0, 0.004, rng)
    strength = rng.uniform(0.6, 1.2) if stain.name == "mgg" else rng.uniform(0.15, 0.5)
    colour = np.array([0.50, 0.55, 0.32]) * strength
    return Scratch(
        _middle_at(line, spot.anywhere(rng, 0.95)),
        float(rng.uniform(2.5, 7.0)),
        colour.astype(np.float32),
        haze_um=float(rng.uniform(10.0, 45.0)),
        seed=int(rng.integers(1 << 30)),
    )


def _pen_ring(spot: SpotCircle, stain: Stain, rng: np.random.Generator) -> PenRing:
    """Part of a ring around the spot."""
    width = float(rng.uniform(0.08, 0.14)) * spot.radius_um
    start, ink = rng.uniform(0.0, 2.0 * math.pi), _PENS[int(rng.choice(3, p=[0.6, 0.25, 0.15]))]
    return PenRing(
        spot.x_um,
        spot.y_um,
        spot.radius_um + (0.5 + float(rng.uniform(0.05, 0.25))) * width,
        width,
        np.array(ink, np.float32) * np.float32(rng.uniform(0.7, 1.2)),
        float(start),
        float(start + rng.uniform(0.5, 2.2)),
        seed=int(rng.integers(1 << 30)),
        soft_um=float(np.clip(0.3 * width, 10.0, 80.0)),
    )
