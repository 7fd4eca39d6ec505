"""Confounders on cell spots: debris, precipitate and scan artefacts, each with its probability (SYNTHETIC.md B5)."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from inkdot.synthetic.cells.scene import Backdrop, Box, Cell, Nucleus, Seam
from inkdot.synthetic.cells.shapes import ellipse, perturbed
from inkdot.synthetic.rendering.backdrops import draw_debris
from inkdot.synthetic.rendering.marks import AirBubble, Fibre, GainStripe, PenStroke, StarchGranule
from inkdot.synthetic.rendering.stains import LG, OG, E, Stain

FindPlace = Callable[[float, float], tuple[float, float]]
"""(radius in µm, gap in µm) to the centre (x, y in µm) of a free place."""

CHANCES: Mapping[str, float] = {
    "debris": 0.5,
    "precipitate": 0.4,
    "starch": 0.15,
    "fibre": 0.2,
    "air_bubble": 0.15,
    "pen_mark": 0.15,
    "coverslip_edge": 0.1,
    "out_of_focus_band": 0.3,
    "stitching_seam": 0.15,
    "drying_halo": 0.1,
    "sensor_dust": 0.05,
    "overlapping_cells": 0.3,  # made in spot_layout, which has the cells
}


@dataclass(frozen=True, slots=True)
class SlideArea:
    """Area of the slide for confounders.

    Attributes:
        scan: The whole scanned area.
        spot: The square around the cells.
        settle: Finds free places for objects that must not cover cells.
        stain: Stain of the laboratory, for the colour of debris.
    """

    scan: Box
    spot: Box
    settle: FindPlace
    stain: Stain

    @property
    def spot_um(self) -> float:
        """Diameter of the spot."""
        return self.spot.right_um - self.spot.left_um


@dataclass(frozen=True, slots=True)
class Confounders:
    """Confounders of one slide.

    Attributes:
        names: Names, sorted.
        cells: Particles that are rendered like cells.
        backdrop: Larger objects.
        bands: Bands out of focus.
        seam: The stitching error, if any.
    """

    names: tuple[str, ...]
    cells: Sequence[Cell]
    backdrop: Sequence[Backdrop]
    bands: Sequence["FocusBand"]
    seam: Seam | None = None


@dataclass(frozen=True, slots=True)
class FocusBand:
    """A horizontal band out of focus.

    Attributes:
        top_um: Upper edge.
        bottom_um: Lower edge.
        offset_um: Added to the height of everything in the band.
    """

    top_um: float
    bottom_um: float
    offset_um: float


def draw_confounders(
    area: SlideArea, rng: np.random.Generator, only: frozenset[str] | None = None
) -> Confounders:
    """Draw the confounders of one slide.

    Args:
        area: Area of the slide.
        rng: Random generator. Its use does not depend on which confounders occur, so that counterfactual pairs with and
            without one are otherwise equal.
        only: Exactly these; None: drawn by ``CHANCES``.
    """
    seeds = {name: int(rng.integers(1 << 62)) for name in CHANCES}
    drawn = {name for name, chance in CHANCES.items() if rng.random() < chance}
    names = tuple(sorted(drawn if only is None else only))
    cells: list[Cell] = []
    backdrop: list[Backdrop] = []
    bands: list[FocusBand] = []
    seam: Seam | None = None
    for name in names:
        own = np.random.default_rng(seeds[name])
        if name == "precipitate":
            cells += draw_precipitate(area.spot, own)
        elif name == "out_of_focus_band":
            bands.append(_focus_band(area, own))
        elif name == "stitching_seam" and own.random() < 0.5:
            seam = _draw_seam(area, own)
        elif name == "overlapping_cells":
            continue
        else:
            backdrop += _MAKERS[name](area, own)
    return Confounders(names, tuple(cells), tuple(backdrop), tuple(bands), seam)


def draw_precipitate(spot: Box, rng: np.random.Generator, per_mm2: float | None = None) -> list[Cell]:
    """Stain precipitate: clouds of blue-black grains above the focal plane.

    Args:
        spot: The square around the cells.
        rng: Random generator.
        per_mm2: Grains per mm² of cloud; None: drawn from 60 to 300.
    """
    width = spot.right_um - spot.left_um
    density = rng.uniform(60.0, 300.0) if per_mm2 is None else per_mm2
    grains: list[Cell] = []
    for _ in range(int(rng.integers(1, 4))):
        radius = rng.uniform(0.08, 0.22) * width
        away = rng.uniform(0.0, 0.35) * width
        direction = rng.uniform(0.0, 2.0 * math.pi)
        x = (spot.left_um + spot.right_um) / 2.0 + away * math.cos(direction)
        y = (spot.top_um + spot.bottom_um) / 2.0 + away * math.sin(direction)
        height = float(rng.uniform(8.0, 15.0))
        for _ in range(min(int(density * math.pi * (radius / 1000.0) ** 2) + 4, 20_000)):
            position = rng.normal(0.0, radius / 2.0, 2)
            outline = perturbed(ellipse(float(rng.uniform(1.0, 6.0)) ** 0.8 + 0.4, 1.2, 0.0), 0.12, rng)
            grain = Nucleus(0.0, 0.0, outline, float(rng.uniform(1.4, 2.4)), "smudged")
            z = height + float(rng.normal(0.0, 1.0))
            grains.append(
                Cell(
                    "precipitate",
                    x + float(position[0]),
                    y + float(position[1]),
                    z,
                    (grain,),
                    texture=len(grains),
                )
            )
    return grains


def _focus_band(area: SlideArea, rng: np.random.Generator) -> FocusBand:
    height = rng.uniform(0.05, 0.25) * area.spot_um
    top = rng.uniform(area.spot.top_um, area.spot.bottom_um - height)
    return FocusBand(float(top), float(top + height), float(rng.uniform(6.0, 20.0) * rng.choice([-1.0, 1.0])))


def _debris(area: SlideArea, rng: np.random.Generator) -> list[Backdrop]:
    shreds: list[Backdrop] = []
    largest = min(150.0, 0.06 * area.spot_um)
    for _ in range(int(rng.integers(1, 6))):
        radius = math.exp(rng.uniform(math.log(5.0), math.log(largest)))
        x, y = area.settle(radius, 10.0)
        dyes = area.stain.od
        colour = (
            rng.uniform(0.05, 0.2) * dyes[LG]
            + rng.uniform(0.0, 0.1) * dyes[E]
            + rng.uniform(0, 0.03) * dyes[OG]
        )
        shreds.append(draw_debris(x, y, radius, colour.astype(np.float32), rng))
    return shreds


def _starch(area: SlideArea, rng: np.random.Generator) -> list[Backdrop]:
    granules: list[Backdrop] = []
    for _ in range(int(rng.integers(3, 12))):
        radius = float(rng.uniform(4.0, 11.0))
        x, y = area.settle(radius, 2.0)
        granules.append(StarchGranule(x, y, radius, float(rng.uniform(0.0, math.pi))))
    return granules


def _fibre(area: SlideArea, rng: np.random.Generator) -> list[Backdrop]:
    fibres: list[Backdrop] = []
    for _ in range(int(rng.integers(1, 3))):
        x, y = _anywhere(area.spot, rng)
        length = rng.uniform(0.1, 0.3) * min(area.spot_um, 4000.0)
        start, bend = rng.uniform(0.0, 2.0 * math.pi), rng.normal(0.0, 0.35)
        steps = 12
        points = [(x, y)]
        for k in range(steps):
            heading = start + bend * k / 2.0
            last_x, last_y = points[-1]
            points.append(
                (last_x + length / steps * math.cos(heading), last_y + length / steps * math.sin(heading))
            )
        colour = np.array([0.30, 0.22, 0.16]) * rng.uniform(0.5, 1.3)
        fibres.append(Fibre(tuple(points), float(rng.uniform(4.0, 9.0)), colour.astype(np.float32)))
    return fibres


def _air_bubble(area: SlideArea, rng: np.random.Generator) -> list[Backdrop]:
    radius = float(rng.uniform(0.05, 0.16)) * min(area.spot_um, 6000.0)
    return [AirBubble(*_anywhere(area.spot, rng), radius, float(rng.uniform(0.03, 0.06)) * radius + 3.0)]


def _pen_stroke(area: SlideArea, rng: np.random.Generator) -> list[Backdrop]:
    """A pen stroke in blue, green or black at a random position of the spot."""
    ink = [(1.7, 1.3, 0.5), (1.6, 0.6, 1.5), (1.6, 1.6, 1.6)][int(rng.integers(3))]
    width = rng.uniform(0.04, 0.07) * min(area.spot_um, 8000.0)
    x, y = _anywhere(area.spot, rng)
    direction, length = rng.uniform(0.0, math.pi), rng.uniform(0.2, 0.5) * area.spot_um
    half_x, half_y = length / 2.0 * math.cos(direction), length / 2.0 * math.sin(direction)
    ends = ((x - half_x, y - half_y), (x + half_x, y + half_y))
    return [PenStroke(ends, float(width), np.array(ink, np.float32), int(rng.integers(1 << 30)))]


def _coverslip_edge(area: SlideArea, rng: np.random.Generator) -> list[Backdrop]:
    """The edge of the coverslip along the left side, or a crack (probability 0.3)."""
    if rng.random() < 0.3:
        return [_crack(area, rng)]
    x = area.scan.left_um + rng.uniform(0.01, 0.04) * area.spot_um
    tilt = rng.normal(0.0, 0.01) * area.spot_um
    points = ((float(x), area.scan.top_um), (float(x + tilt), area.scan.bottom_um))
    return [Fibre(points, 6.0, np.array([0.5, 0.5, 0.5], np.float32), kind="coverslip_edge")]


def _crack(area: SlideArea, rng: np.random.Generator) -> Fibre:
    x, y = area.scan.left_um, area.scan.top_um + rng.uniform(0.1, 0.6) * area.spot_um
    points, heading = [(x, float(y))], rng.uniform(-1.2, -0.3)
    for _ in range(9):
        heading += rng.normal(0.0, 0.35)
        step = rng.uniform(0.04, 0.10) * area.spot_um
        x, y = x + step * abs(math.cos(heading)), y + step * math.sin(heading)
        points.append((float(x), float(y)))
    return Fibre(tuple(points), 4.0, np.array([0.45, 0.45, 0.45], np.float32), kind="coverslip_edge")


def _gain_stripe(area: SlideArea, rng: np.random.Generator) -> list[Backdrop]:
    """A stripe that is 2 % brighter or darker."""
    width = min(rng.uniform(0.08, 0.15) * area.spot_um, 400.0)
    x = rng.uniform(area.spot.left_um, area.spot.right_um - width)
    box = Box(float(x), area.scan.top_um, float(x + width), area.scan.bottom_um)
    return [GainStripe(box, float(rng.choice([-1.0, 1.0])) * math.log10(1.02))]


def _draw_seam(area: SlideArea, rng: np.random.Generator) -> Seam:
    """A stitching error of one to three pixels."""
    x = rng.uniform(area.spot.left_um + 0.2 * area.spot_um, area.spot.right_um - 0.2 * area.spot_um)
    return Seam(float(x), int(rng.integers(1, 4)))


def _drying_halo(area: SlideArea, rng: np.random.Generator) -> list[Backdrop]:
    x, y = _anywhere(area.spot, rng)
    radius = float(rng.uniform(0.06, 0.15)) * min(area.spot_um, 4000.0)
    colour = (0.03 * area.stain.od[E] + 0.02 * area.stain.od[LG]).astype(np.float32)
    return [draw_debris(x, y, radius, colour, rng, kind="drying_halo")]


def _sensor_dust(area: SlideArea, rng: np.random.Generator) -> list[Backdrop]:
    """Dust on the sensor: the same blurred speck in every field of view."""
    pitch = max(400.0, area.spot_um / 12.0)
    colour = np.full(3, 0.035, np.float32)
    first = draw_debris(0.0, 0.0, float(rng.uniform(10.0, 20.0)), colour, rng, kind="sensor_dust")
    x0, y0 = (float(value) for value in rng.uniform(0.2, 0.8, 2) * pitch)
    specks: list[Backdrop] = []
    for row in range(int((area.scan.bottom_um - y0) // pitch) + 1):
        for column in range(int((area.scan.right_um - x0) // pitch) + 1):
            specks.append(first.moved_to(x0 + column * pitch, y0 + row * pitch))
    return specks


def _anywhere(box: Box, rng: np.random.Generator) -> tuple[float, float]:
    """A random position within 90 % of the radius of the circle in the box."""
    radius = 0.45 * (box.right_um - box.left_um) * math.sqrt(rng.random())
    direction = rng.uniform(0.0, 2.0 * math.pi)
    x, y = (box.left_um + box.right_um) / 2.0, (box.top_um + box.bottom_um) / 2.0
    return x + radius * math.cos(direction), y + radius * math.sin(direction)


_MAKERS: Mapping[str, Callable[[SlideArea, np.random.Generator], list[Backdrop]]] = {
    "debris": _debris,
    "starch": _starch,
    "fibre": _fibre,
    "air_bubble": _air_bubble,
    "pen_mark": _pen_stroke,
    "coverslip_edge": _coverslip_edge,
    "stitching_seam": _gain_stripe,
    "drying_halo": _drying_halo,
    "sensor_dust": _sensor_dust,
}
