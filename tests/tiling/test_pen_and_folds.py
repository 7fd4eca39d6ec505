import cv2
import numpy as np
import pytest

from inkdot.config import default_config
from inkdot.slides.array_slide import ArraySlide
from inkdot.tiling.foreground.find_foreground import find_foreground
from inkdot.tiling.foreground.foreground_classes import ForegroundClass

THINPREP = default_config("thinprep").tiling
SECTION = default_config("section").tiling
BLUE, GREEN, BLACK = (1.7, 1.3, 0.5), (1.6, 0.6, 1.5), (1.6, 1.6, 1.6)
HAEMATOXYLIN = (0.651, 0.701, 0.290)


def share(foreground, class_: ForegroundClass, rows: slice, columns: slice) -> float:
    return float((foreground.classes[rows, columns] == class_).mean())


@pytest.mark.parametrize("ink", [BLUE, GREEN, BLACK])
@pytest.mark.parametrize("border_um", [1.0, 5.0])
def test_a_stroke_of_a_pen_is_named_border_and_all(scene, stains, ink, border_um):
    drawn = scene(900, 500, 1.0)
    drawn.box(200, 100, 90, 300, 1.0, ink)
    od = drawn.od.copy()
    drawn.od[:] = 0
    drawn.disc(700, 250, 9.0, 0.8, stains["haematoxylin"])
    drawn.od += cv2.GaussianBlur(od, (0, 0), border_um)
    foreground = find_foreground(ArraySlide(drawn.render(), 1.0), THINPREP)
    area = foreground.areas_um2()
    assert area[ForegroundClass.PEN] == pytest.approx(90 * 300, rel=0.35)
    assert share(foreground, ForegroundClass.PEN, slice(30, 95), slice(53, 69)) == 1.0
    assert not foreground.mask[:, :100].any()
    assert foreground.classes[62, 175] == ForegroundClass.FOREGROUND


@pytest.mark.parametrize("concentration", [1.2, 2.0])
def test_a_large_hyperchromatic_cluster_is_no_pen(scene, concentration):
    """120 µm of dark overlapping nuclei: as dark as ink, and as blue, but made of nuclei."""
    drawn = scene(500, 500, 0.5)
    rng = np.random.default_rng(3)
    for x, y in rng.normal(250, 32, (90, 2)):
        drawn.disc(
            float(x),
            float(y),
            float(rng.uniform(9, 15)),
            float(concentration * rng.uniform(0.7, 1.3)),
            HAEMATOXYLIN,
        )
    foreground = find_foreground(ArraySlide(drawn.render(), 0.5), THINPREP)
    assert not foreground.of((ForegroundClass.PEN, ForegroundClass.GREY, ForegroundClass.FOLD)).any()
    assert foreground.areas_um2()[ForegroundClass.FOREGROUND] > 5000


def test_dark_solid_tumour_of_a_section_is_no_pen(scene, stains):
    drawn = scene(1200, 1200, 1.0)
    rng = np.random.default_rng(5)
    drawn.box(100, 100, 1000, 1000, 0.5, stains["eosin"])
    for x, y in rng.uniform(150, 700, (2600, 2)):  # 8,600 a mm²: crowded small cells
        drawn.disc(float(x), float(y), 8.0, 1.3, HAEMATOXYLIN)
    foreground = find_foreground(ArraySlide(drawn.render(), 1.0), SECTION)
    assert not foreground.of((ForegroundClass.PEN, ForegroundClass.GREY, ForegroundClass.FOLD)).any()
    assert foreground.areas_um2()[ForegroundClass.FOREGROUND] == pytest.approx(1e6, rel=0.05)


def test_a_black_frame_is_no_pen(scene, stains):
    drawn = scene(600, 600, 1.0)
    drawn.box(0, 0, 600, 60, 1.6, stains["black"])
    drawn.disc(300, 300, 9.0, 0.8, stains["haematoxylin"])
    areas = find_foreground(ArraySlide(drawn.render(), 1.0), THINPREP).areas_um2()
    assert areas[ForegroundClass.PEN] == 0
    assert areas[ForegroundClass.GREY] == pytest.approx(600 * 60, rel=0.1)


def fibrous(scene, stains, shape_um: float = 1400.0):
    drawn = scene(shape_um, shape_um, 2.0)
    drawn.box(100, 100, shape_um - 200, shape_um - 200, 0.35, stains["eosin"])
    drawn.box(100, 100, shape_um - 200, shape_um - 200, 0.06, stains["haematoxylin"])
    drawn.od *= np.random.default_rng(1).normal(1.0, 0.06, (*drawn.od.shape[:2], 1)).astype(np.float32)
    return drawn


def test_a_fold_of_a_section_is_named_and_nothing_else(scene, stains):
    drawn = fibrous(scene, stains)
    drawn.od[200:500, 340:362] *= 2.0  # the tissue lies double: 44 µm by 600 µm
    foreground = find_foreground(ArraySlide(drawn.render(1.0), 2.0), SECTION)
    assert foreground.areas_um2()[ForegroundClass.FOLD] == pytest.approx(44 * 600, rel=0.35)
    rows, columns = np.nonzero(foreground.classes == ForegroundClass.FOLD)
    assert columns.min() >= 80
    assert columns.max() <= 95
    assert rows.min() >= 48


def test_a_strip_of_epithelium_is_no_fold(scene, stains):
    """Much more red is absorbed there, and little more blue."""
    drawn = fibrous(scene, stains)
    drawn.box(680, 400, 60, 600, 0.6, stains["haematoxylin"])
    foreground = find_foreground(ArraySlide(drawn.render(1.0), 2.0), SECTION)
    assert foreground.areas_um2()[ForegroundClass.FOLD] == 0


def test_a_dark_rim_beside_glass_is_no_fold(scene, stains):
    drawn = fibrous(scene, stains)
    drawn.od[50:650, 50:72] *= 2.0
    foreground = find_foreground(ArraySlide(drawn.render(1.0), 2.0), SECTION)
    assert foreground.areas_um2()[ForegroundClass.FOLD] == 0


def test_a_core_of_fat_and_a_small_biopsy_survive_beside_a_large_piece(scene, stains):
    """No largest region only; septa of fat tissue are thin, and mostly holes."""
    drawn = scene(4000, 2400, 2.0)
    drawn.box(200, 200, 1500, 1900, 0.4, stains["eosin"])
    drawn.box(2000, 400, 250, 120, 0.3, stains["eosin"])  # a fragment of 0.03 mm²
    for y in range(1000, 2001, 80):  # fat: septa of 6 µm round cells of 80 µm
        drawn.box(2400, y, 1200, 6, 0.3, stains["eosin"])
    for x in range(2400, 3601, 80):
        drawn.box(x, 1000, 6, 1000, 0.3, stains["eosin"])
    foreground = find_foreground(ArraySlide(drawn.render(), 2.0), SECTION)
    mask = foreground.mask
    assert mask[25:262, 25:212].mean() > 0.99
    assert mask[50:65, 250:281].mean() > 0.95
    fat = mask[126:250, 301:449]
    assert fat.any(axis=0).mean() > 0.99  # the whole net, not a part of it
    assert fat.any(axis=1).mean() > 0.99


def draw_ring(
    drawn, x_um: float, y_um: float, radius_um: float, width_um: float, ink, border_um: float
) -> None:
    """A ring of a felt pen, darker where two strokes overlap, out of focus."""
    rows, columns = np.mgrid[: drawn.shape[0], : drawn.shape[1]] * drawn.mpp
    away = np.hypot(columns - x_um, rows - y_um)
    ring = ((away > radius_um - width_um / 2) & (away < radius_um + width_um / 2)).astype(np.float32)
    overlap = ring * (np.arctan2(rows - y_um, columns - x_um) > 2.4)
    od = (ring + overlap)[..., None] * np.asarray(ink, np.float32)
    drawn.od += cv2.GaussianBlur(od, (0, 0), border_um / drawn.mpp)


@pytest.mark.parametrize("strength", [0.35, 0.6])
@pytest.mark.parametrize("border_um", [6.0, 20.0])
def test_a_pale_green_ring_out_of_focus_is_named_and_the_cell_inside_is_kept(
    scene, stains, strength, border_um
):
    """As drawn round the spots of real fluid: half of the red light absorbed, wide, its border blurred."""
    drawn = scene(2400, 2400, 2.0)
    ink = tuple(strength * value for value in (1.0, 0.48, 0.62))
    draw_ring(drawn, 1200, 1200, 900, 260, ink, border_um)
    drawn.disc(1200, 1200, 16.0, 0.9, stains["haematoxylin"])
    foreground = find_foreground(ArraySlide(drawn.render(), 2.0), THINPREP)
    area = foreground.areas_um2()
    assert area[ForegroundClass.PEN] == pytest.approx(2 * np.pi * 900 * 260, rel=0.3)
    assert area[ForegroundClass.PEN] > 2 * np.pi * 900 * 260
    assert foreground.classes[300, 300] == ForegroundClass.FOREGROUND
    assert area[ForegroundClass.FOREGROUND] < 0.01 * area[ForegroundClass.PEN]


@pytest.mark.parametrize("colour", [(1.0, 0.6, 0.45), (0.947, 0.254, 0.197), (0.651, 0.701, 0.290)])
def test_wide_blue_green_and_violet_material_is_no_pen(scene, colour):
    """Clots and cytoplasm in light green, and haematoxylin: they absorb more green than blue light, or as much."""
    drawn = scene(1200, 1200, 2.0)
    drawn.disc(600, 600, 300.0, 0.3, colour)
    areas = find_foreground(ArraySlide(drawn.render(2.0), 2.0), THINPREP).areas_um2()
    assert areas[ForegroundClass.PEN] == 0
