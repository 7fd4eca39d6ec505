"""Fibres, hairs and scratches are named and hidden; chains of cells, and cells on and beside a fibre, are not."""

import cv2
import numpy as np
import pytest

from inkdot.config import default_config
from inkdot.slides.array_slide import ArraySlide
from inkdot.tiling.foreground.find_foreground import find_foreground
from inkdot.tiling.foreground.foreground_classes import OPAQUE, ForegroundClass

CYTOSPIN = default_config("cytospin").tiling
COTTON = (0.8, 1.0, 0.5)
MELANIN = (0.8, 0.9, 1.0)
MPP = 1.0


def draw_line(drawn, points, width_um: float, strength: float, colour) -> np.ndarray:
    """A smooth line of even width; returns where it lies, at the scale of the scene."""
    mask = np.zeros(drawn.shape, np.uint8)
    at = np.round(np.asarray(points) / drawn.mpp * 16).astype(np.int32)
    cv2.polylines(mask, [at], False, 1, round(width_um / drawn.mpp), cv2.LINE_8, 4)
    drawn.od[mask > 0] += strength * np.asarray(colour, np.float32)
    return mask > 0


def curve(length_um: float, bend_um: float = 80.0, x_um: float = 200.0, y_um: float = 400.0):
    along = np.linspace(0.0, 1.0, 60)
    return np.stack([x_um + along * length_um, y_um + bend_um * np.sin(np.pi * along)], axis=1)


def share(foreground, where: np.ndarray, *kinds: ForegroundClass) -> float:
    """Share of the drawn pixels that have one of these classes."""
    rows, columns = (values * MPP / foreground.frame.mpp for values in np.nonzero(where))
    under = foreground.classes[rows.astype(int), columns.astype(int)]
    return float(np.isin(under, [int(kind) for kind in kinds]).mean())


def seen(drawn, tiling=CYTOSPIN):
    return find_foreground(ArraySlide(drawn.render(), drawn.mpp), tiling)


@pytest.mark.parametrize(
    ("length", "width", "strength", "colour"),
    [
        pytest.param(700, 20, 0.40, COTTON, id="cotton"),
        pytest.param(420, 22, 0.12, COTTON, id="pale cotton"),
        pytest.param(900, 10, 0.30, COTTON, id="rolled film"),
        pytest.param(600, 30, 0.25, COTTON, id="wide fibre"),
        pytest.param(500, 9, 0.80, MELANIN, id="hair"),
        pytest.param(180, 6, 0.10, COTTON, id="pale thread"),
    ],
)
def test_fibres_and_hairs_are_named_and_hidden(scene, length, width, strength, colour):
    drawn = scene(1200, 800, MPP)
    where = draw_line(drawn, curve(length, bend_um=min(80.0, 0.2 * length)), width, strength, colour)
    foreground = seen(drawn)
    assert share(foreground, where, ForegroundClass.FIBRE) > 0.9
    assert np.count_nonzero(foreground.mask) < 0.02 * np.count_nonzero(where)
    assert ForegroundClass.FIBRE in OPAQUE


@pytest.mark.parametrize("length", [300, 900])
def test_a_scratch_is_a_line_or_a_thread_and_never_foreground(scene, stains, length):
    drawn = scene(1200, 1200, MPP)
    where = draw_line(drawn, [(150, 200), (150 + 0.6 * length, 200 + 0.8 * length)], 6, 0.3, stains["black"])
    drawn.disc(900, 300, 12.0, 0.8, stains["haematoxylin"])
    foreground = seen(drawn)
    named = {300: ForegroundClass.FIBRE, 900: ForegroundClass.COVERSLIP}[length]
    assert share(foreground, where, named) > 0.9
    assert foreground.classes[75, 225] == ForegroundClass.FOREGROUND


@pytest.mark.parametrize("diameter", [7.0, 12.0, 18.0])
@pytest.mark.parametrize("off", [0.0, 0.5, 1.0])
def test_a_cell_on_or_beside_a_fibre_is_kept(scene, stains, diameter, off):
    """On its middle, on its edge, and touching it from outside: at seven places, each another alignment."""
    drawn = scene(1200, 800, MPP)
    width = 16.0
    points = curve(800)
    where = draw_line(drawn, points, width, 0.15, COTTON)
    cells = [(x, y - off * 0.5 * (width + diameter)) for x, y in points[6:-6:8]]
    for x, y in cells:
        drawn.disc(x, y, diameter, 0.8, stains["haematoxylin"])
    foreground = seen(drawn)
    assert share(foreground, where, ForegroundClass.FIBRE) > 0.5
    for x, y in cells:
        nucleus = np.zeros(drawn.shape, np.uint8)
        cv2.circle(nucleus, (round(x), round(y)), round(diameter / 2), 1, cv2.FILLED)
        assert share(foreground, nucleus > 0, *OPAQUE) < 0.5, (x, y)


@pytest.mark.parametrize("spacing", [9.0, 12.0, 16.0])
@pytest.mark.parametrize("count", [8, 14, 24])
def test_cells_in_a_row_are_no_fibre(scene, stains, spacing, count):
    """Single file, as lobular carcinoma lies; 0.7 of the spacing is nucleus, and cytoplasm joins the cells."""
    drawn = scene(700, 500, MPP)
    for number in range(count):
        x, y = 100 + spacing * number, 250 + 10 * np.sin(number / 2.0)
        drawn.disc(x, y, 1.4 * spacing, 0.12, stains["eosin"])
        drawn.disc(x, y, 0.7 * spacing, 0.7 + 0.1 * (number % 3), stains["haematoxylin"])
    areas = seen(drawn).areas_um2()
    assert areas[ForegroundClass.FIBRE] == 0
    assert areas[ForegroundClass.FOREGROUND] > count * spacing**2 * 0.3


def test_nuclei_that_touch_in_an_even_row_are_no_fibre(scene, stains):
    drawn = scene(600, 500, MPP)
    for number in range(17):
        drawn.disc(100 + 9 * number, 250 + 12 * np.sin(number / 3.0), 10.0, 0.7, stains["haematoxylin"])
    assert seen(drawn).areas_um2()[ForegroundClass.FIBRE] == 0


def test_threads_of_a_section_or_smear_stay_tissue(scene):
    drawn = scene(1200, 800, MPP)
    where = draw_line(drawn, curve(700), 20, 0.4, COTTON)
    foreground = seen(drawn, CYTOSPIN.model_copy(update={"mode": "grid"}))
    assert share(foreground, where, ForegroundClass.FOREGROUND) > 0.95
