"""The spot of a cytospin: stated where cells are several times as dense in a disc, else not found; nothing is hidden."""

import numpy as np
import pytest

from inkdot.config import SpotConfig, default_config
from inkdot.slides.array_slide import ArraySlide, pyramid_of
from inkdot.tiling.foreground.find_foreground import find_foreground
from inkdot.tiling.foreground.foreground_classes import ForegroundClass
from inkdot.tiling.foreground.glass import Glass
from inkdot.tiling.foreground.mask_frame import MaskFrame
from inkdot.tiling.foreground.small_spot import find_small_spot
from inkdot.tiling.foreground.stain_map import Planes
from inkdot.units import Level0Px

MPP = 8.0
CYTOSPIN = default_config("cytospin").tiling


def glass_slide(width_mm: float, height_mm: float) -> tuple[np.ndarray, Planes]:
    """Classes without any cell, and the planes that belong to them."""
    shape = (round(height_mm * 1000 / MPP), round(width_mm * 1000 / MPP))
    frame = MaskFrame(Level0Px(0), Level0Px(0), 32.0, 32.0, shape[1], shape[0], MPP)
    tone = np.full((*shape, 3), 240, np.uint8)
    planes = Planes(
        np.zeros(shape, np.uint8), np.zeros(shape, np.uint8), tone, frame, Glass((240.0,) * 3, 0.0, True), 0
    )
    return np.zeros(shape, np.uint8), planes


def strew(
    classes: np.ndarray,
    planes: Planes,
    count: int,
    centre_mm: tuple[float, float],
    diameter_mm: float,
    kind: ForegroundClass = ForegroundClass.FOREGROUND,
) -> None:
    """Cells of 16 µm, as dense in the middle of the disc as at its edge."""
    rng = np.random.default_rng(7)
    away, angle = 0.5 * diameter_mm * np.sqrt(rng.random(count)), 2 * np.pi * rng.random(count)
    rows = ((centre_mm[1] + away * np.sin(angle)) * 1000 / MPP).astype(int)
    columns = ((centre_mm[0] + away * np.cos(angle)) * 1000 / MPP).astype(int)
    inside = (rows >= 0) & (columns >= 0) & (rows < classes.shape[0] - 1) & (columns < classes.shape[1] - 1)
    for row, column in zip(rows[inside], columns[inside], strict=True):
        classes[row : row + 2, column : column + 2] = kind
        planes.stained[row : row + 2, column : column + 2] = 255


@pytest.mark.parametrize(
    ("size", "centre", "diameter"),
    [
        ((9.0, 8.0), (4.0, 3.8), 6.0),
        ((8.0, 8.0), (3.9, 4.1), 7.0),
        ((7.0, 7.0), (3.0, 5.0), 6.0),  # cut by the lower edge
        ((20.0, 16.0), (8.0, 8.0), 12.0),
        ((12.0, 9.0), (3.5, 4.0), 4.5),
    ],
)
@pytest.mark.parametrize("beyond", [0.0, 0.1])
def test_the_disc_where_cells_are_dense_is_stated(size, centre, diameter, beyond):
    classes, planes = glass_slide(*size)
    strew(classes, planes, 700, centre, diameter)
    per_mm2 = 700 / (np.pi * diameter**2 / 4)
    strew(
        classes, planes, round(beyond * per_mm2 * 4 * size[0] ** 2), (size[0] / 2, size[1] / 2), 4 * size[0]
    )
    spot = find_small_spot(classes, planes)
    assert spot is not None
    assert (spot.x_um, spot.y_um) == pytest.approx((1000 * centre[0], 1000 * centre[1]), abs=400)
    assert 2 * spot.radius_um == pytest.approx(1000 * diameter, abs=500)
    assert spot.ratio >= 4.0
    assert "times as dense as outside" in spot.words


@pytest.mark.parametrize(
    ("size", "count", "diameter", "kind"),
    [
        pytest.param((9.0, 8.0), 0, 6.0, ForegroundClass.FOREGROUND, id="empty"),
        pytest.param((9.0, 8.0), 2000, 40.0, ForegroundClass.FOREGROUND, id="cells from edge to edge"),
        pytest.param((9.0, 8.0), 60, 6.0, ForegroundClass.FOREGROUND, id="too few"),
        pytest.param((3.1, 3.1), 700, 2.0, ForegroundClass.FOREGROUND, id="a crop"),
        pytest.param((9.0, 8.0), 700, 6.0, ForegroundClass.CLOT, id="clots"),
        pytest.param((9.0, 8.0), 700, 1.5, ForegroundClass.FOREGROUND, id="a heap of cells"),
    ],
)
def test_no_spot_is_made_up(size, count, diameter, kind):
    classes, planes = glass_slide(*size)
    strew(classes, planes, count, (size[0] / 2, size[1] / 2), diameter, kind)
    spot = find_small_spot(classes, planes)
    # A heap may be called a disc of the smallest size, never one of its own.
    assert spot is None or (count == 700 and diameter == 1.5 and spot.radius_um == 2000.0)


def test_cells_beyond_the_soft_edge_stay_foreground(scene, stains):
    """With the ring of a printed spot all that lies outside is left out; here it is kept."""
    drawn = scene(7000, 7000, 4.0)
    rng = np.random.default_rng(2)
    away, angle = 2400 * np.sqrt(rng.random(700)), 2 * np.pi * rng.random(700)
    for x, y in zip(3500 + away * np.cos(angle), 3500 + away * np.sin(angle), strict=True):
        drawn.disc(x, y, 16.0, 0.9, stains["haematoxylin"])
    drawn.disc(400, 400, 24.0, 0.9, stains["haematoxylin"])
    slide = ArraySlide(pyramid_of(drawn.render(blur_um=2.0), (1,)), 4.0)
    foreground = find_foreground(slide, CYTOSPIN)
    assert foreground.spot is not None
    assert foreground.spot.by == "cells"
    assert foreground.classes[100, 100] == ForegroundClass.FOREGROUND
    assert foreground.areas_um2()[ForegroundClass.OUTSIDE] == 0
    off = CYTOSPIN.model_copy(update={"spot": SpotConfig(diameter_um=0.0)})
    assert find_foreground(slide, off).spot is None
    assert find_foreground(slide, CYTOSPIN.model_copy(update={"mode": "grid"})).spot is None
    assert find_foreground(slide, CYTOSPIN, with_spot=False).spot is None  # as of a smear
