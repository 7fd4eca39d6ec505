import numpy as np
import pytest

from inkdot.config import default_config
from inkdot.slides.array_slide import ArraySlide
from inkdot.synthetic.rendering.marks import AirBubble, Fibre
from inkdot.tiling.foreground.bubbles_and_lines import fitted_circle
from inkdot.tiling.foreground.find_foreground import find_foreground
from inkdot.tiling.foreground.foreground_classes import ForegroundClass

THINPREP = default_config("thinprep").tiling


def draw(scene, backdrop, width=1200.0, height=1200.0, mpp=1.0):
    drawn = scene(width, height, mpp)
    rows, columns = drawn.shape
    x, y = ((np.arange(n, dtype=np.float32) + 0.5) * mpp for n in (columns, rows))
    drawn.od += backdrop.optical_density(x, y)
    return drawn


@pytest.mark.parametrize("radius", [60.0, 150.0, 400.0])
@pytest.mark.parametrize("cells", [0, 12])
def test_an_air_bubble_is_named_and_its_cells_are_kept(scene, stains, radius, cells):
    drawn = draw(scene, AirBubble(600.0, 570.0, radius, 0.045 * radius + 3.0))
    for k in range(cells):  # in the bubble, on its wall and outside
        away, angle = radius * (0.5, 1.0, 1.4)[k % 3], 2.0 * np.pi * k / max(cells, 1)
        drawn.disc(600 + away * np.cos(angle), 570 + away * np.sin(angle), 9.0, 0.9, stains["haematoxylin"])
    foreground = find_foreground(ArraySlide(drawn.render(), 1.0), THINPREP)
    areas = foreground.areas_um2()
    disc = areas[ForegroundClass.BUBBLE] + areas[ForegroundClass.IN_BUBBLE]
    assert disc == pytest.approx(np.pi * (1.08 * radius + 10) ** 2, rel=0.15)
    kept = foreground.mask
    for k in range(cells):
        away, angle = radius * (0.5, 1.0, 1.4)[k % 3], 2.0 * np.pi * k / max(cells, 1)
        if away != radius:
            x, y = 600 + away * np.cos(angle), 570 + away * np.sin(angle)
            assert kept[int(y / 4), int(x / 4)]
    assert np.count_nonzero(kept) <= 16 * cells + 0.02 * disc / 16


def test_a_bubble_cut_by_the_image_is_named(scene):
    drawn = draw(scene, AirBubble(100.0, 600.0, 250.0, 14.0))
    areas = find_foreground(ArraySlide(drawn.render(), 1.0), THINPREP).areas_um2()
    assert areas[ForegroundClass.IN_BUBBLE] > 0.5 * np.pi * 250**2
    assert areas[ForegroundClass.FOREGROUND] < 0.02 * areas[ForegroundClass.IN_BUBBLE]


def test_a_ring_of_cells_is_no_bubble(scene, stains):
    drawn = scene(600, 600, 1.0)
    for angle in np.linspace(0, 2 * np.pi, 60, endpoint=False):
        drawn.disc(300 + 100 * np.cos(angle), 300 + 100 * np.sin(angle), 12.0, 0.9, stains["haematoxylin"])
    areas = find_foreground(ArraySlide(drawn.render(), 1.0), THINPREP).areas_um2()
    assert areas[ForegroundClass.BUBBLE] == areas[ForegroundClass.IN_BUBBLE] == 0
    assert areas[ForegroundClass.FOREGROUND] > 60 * 50


def test_print_is_no_bubble(scene, stains):
    """A letter C: its eight corners lie on a circle."""
    drawn = scene(600, 600, 2.0)
    for x, y in [
        (1, 0),
        (2, 0),
        (3, 0),
        (0, 1),
        (4, 1),
        (0, 2),
        (0, 3),
        (0, 4),
        (0, 5),
        (4, 5),
        (1, 6),
        (2, 6),
        (3, 6),
    ]:
        drawn.box(200 + 30 * x, 180 + 30 * y, 30, 30, 0.1, stains["black"])
    areas = find_foreground(ArraySlide(drawn.render(), 2.0), default_config("section").tiling).areas_um2()
    assert areas[ForegroundClass.BUBBLE] == areas[ForegroundClass.IN_BUBBLE] == 0


def test_the_edge_of_a_coverslip_is_named_and_the_cell_at_it_kept(scene, stains):
    line = Fibre(((150.0, 0.0), (172.0, 1200.0)), 6.0, np.array([0.5, 0.5, 0.5], np.float32))
    drawn = draw(scene, line)
    drawn.disc(174, 600, 12.0, 0.9, stains["haematoxylin"])
    foreground = find_foreground(ArraySlide(drawn.render(), 1.0), THINPREP)
    assert foreground.areas_um2()[ForegroundClass.COVERSLIP] > 1100 * 6
    rows, columns = np.nonzero(foreground.mask)
    assert len(rows) > 0
    assert np.abs(rows * 4 - 600).max() < 16
    assert columns.min() * 4 > 155


def test_a_curved_fibre_is_no_edge(scene):
    points = tuple(
        (300 + 400 * float(np.sin(a)), 100 + 1000 * float(a) / 3.1) for a in np.linspace(0, 3.1, 20)
    )
    drawn = draw(scene, Fibre(points, 8.0, np.array([0.4, 0.4, 0.4], np.float32)))
    assert (
        find_foreground(ArraySlide(drawn.render(), 1.0), THINPREP).areas_um2()[ForegroundClass.COVERSLIP] == 0
    )


def test_a_circle_is_fitted_to_an_arc():
    angles = np.linspace(0.2, 2.0, 40)
    circle = fitted_circle(np.stack([31.5 + 12.25 * np.cos(angles), -4.0 + 12.25 * np.sin(angles)], axis=1))
    assert circle is not None
    assert (circle.x_px, circle.y_px, circle.radius_px) == pytest.approx((31.5, -4.0, 12.25))
    assert fitted_circle(np.stack([np.arange(9.0), 2.0 * np.arange(9.0)], axis=1)) is None  # a straight line
