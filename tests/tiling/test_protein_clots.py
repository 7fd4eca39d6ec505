"""Protein clots are named, never hidden, and cells on them stay foreground."""

import cv2
import numpy as np
import pytest

from inkdot.config import default_config
from inkdot.slides.array_slide import ArraySlide
from inkdot.tiling.clusters.find_objects import find_objects
from inkdot.tiling.foreground.find_foreground import find_foreground
from inkdot.tiling.foreground.foreground_classes import BLOCKING, OPAQUE, ForegroundClass

CYTOSPIN = default_config("cytospin").tiling
MGG_PINK = (0.3, 1.0, 0.4)
PAP_TEAL = (1.0, 0.6, 0.45)
MPP = 1.0


def draw_clot(
    drawn, x_um: float, y_um: float, size_um: float, strength: float, colour, cracks: bool
) -> np.ndarray:
    """A blot with an uneven edge, with or without cracks of 5 µm; returns where it lies."""
    rng = np.random.default_rng(5)
    angles = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)
    radii = 0.5 * size_um * rng.uniform(0.8, 1.1, len(angles))
    edge = np.stack([x_um + radii * np.cos(angles), y_um + radii * np.sin(angles)], axis=1)
    mask = np.zeros(drawn.shape, np.uint8)
    cv2.fillPoly(mask, [np.round(edge).astype(np.int32)], 1)
    if cracks:
        for start in np.arange(x_um - size_um, x_um + size_um, 30.0):
            cv2.line(
                mask, (round(start), round(y_um - size_um)), (round(start + 40), round(y_um + size_um)), 0, 5
            )
    drawn.od[mask > 0] += strength * np.asarray(colour, np.float32)
    return mask > 0


def share(foreground, where: np.ndarray, kind: ForegroundClass) -> float:
    rows, columns = (values * MPP / foreground.frame.mpp for values in np.nonzero(where))
    return float((foreground.classes[rows.astype(int), columns.astype(int)] == kind).mean())


@pytest.mark.parametrize(
    ("strength", "colour", "cracks"),
    [
        pytest.param(0.10, MGG_PINK, False, id="pale, MGG"),
        pytest.param(0.10, MGG_PINK, True, id="cracked, MGG"),
        pytest.param(0.30, MGG_PINK, False, id="thick, MGG"),
        pytest.param(0.22, PAP_TEAL, False, id="Pap"),
    ],
)
def test_a_clot_is_named_and_the_cells_on_it_and_beside_it_are_found(scene, stains, strength, colour, cracks):
    drawn = scene(900, 700, MPP)
    where = draw_clot(drawn, 300, 350, 240, strength, colour, cracks)
    cells = [(300.0, 350.0, 9.0), (250.0, 300.0, 14.0), (360.0, 390.0, 7.0), (600.0, 350.0, 12.0)]
    for x, y, diameter in cells:
        drawn.disc(x, y, 1.5 * diameter, 0.15, stains["eosin"])
        drawn.disc(x, y, diameter, 0.8, stains["haematoxylin"])
    slide = ArraySlide(drawn.render(), MPP)
    foreground = find_foreground(slide, CYTOSPIN)
    assert share(foreground, where, ForegroundClass.CLOT) > 0.8
    found = [thing.outline_um.mean(axis=0) for thing in find_objects(slide, foreground, CYTOSPIN).objects]
    assert len(found) == len(cells)
    for x, y, _ in cells:
        assert min(np.hypot(*(middle - (x, y))) for middle in found) < 4.0
        assert foreground.classes[int(y / 4), int(x / 4)] == ForegroundClass.FOREGROUND


def test_a_clot_hides_nothing():
    """It is named only: a pale nucleus on it is searched for, and no area is unassessable."""
    assert ForegroundClass.CLOT not in OPAQUE | BLOCKING


def test_a_faint_nucleus_alone_on_a_clot_is_found(scene, stains):
    """Nothing here is dark enough for foreground: the block is read because clots are searched."""
    drawn = scene(700, 700, MPP)
    draw_clot(drawn, 350, 350, 300, 0.06, MGG_PINK, cracks=False)
    drawn.disc(350, 350, 16.0, 0.26, stains["haematoxylin"])
    slide = ArraySlide(drawn.render(), MPP)
    foreground = find_foreground(slide, CYTOSPIN)
    assert not foreground.mask.any()
    assert len(find_objects(slide, foreground, CYTOSPIN).objects) == 1


def test_large_pale_cells_and_crowded_ones_are_no_clots(scene, stains):
    drawn = scene(900, 700, MPP)
    for row in range(6):  # a sheet of carcinoma: cytoplasm joins nuclei of 14 µm
        for column in range(8):
            x, y = 150 + 24 * column + 12 * (row % 2), 150 + 21 * row
            drawn.disc(x, y, 25.0, 0.12, stains["eosin"])
            drawn.disc(x, y, 14.0, 0.7, stains["haematoxylin"])
    drawn.disc(600, 400, 44.0, 0.12, stains["eosin"])  # a macrophage, its nucleus at the edge
    drawn.disc(612, 400, 12.0, 0.5, stains["haematoxylin"])
    areas = find_foreground(ArraySlide(drawn.render(), MPP), CYTOSPIN).areas_um2()
    assert areas[ForegroundClass.CLOT] < 0.01 * areas[ForegroundClass.FOREGROUND]


def test_sheets_of_a_section_stay_tissue(scene, stains):
    drawn = scene(900, 700, MPP)
    drawn.box(200, 200, 400, 300, 0.15, stains["eosin"])
    areas = find_foreground(
        ArraySlide(drawn.render(), MPP), CYTOSPIN.model_copy(update={"mode": "grid"})
    ).areas_um2()
    assert areas[ForegroundClass.CLOT] == 0
    assert areas[ForegroundClass.FOREGROUND] == pytest.approx(400 * 300, rel=0.05)
