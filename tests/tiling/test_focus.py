import cv2
import numpy as np
import pytest

from inkdot.config import TilingConfig, default_config
from inkdot.slides.array_slide import ArraySlide, pyramid_of
from inkdot.tiling.foreground.find_foreground import find_foreground
from inkdot.tiling.foreground.focus import edge_um, measure_focus, sharpness
from inkdot.tiling.foreground.foreground_classes import ForegroundClass
from inkdot.tiling.foreground.glass import Glass

THINPREP = default_config("thinprep").tiling
GLASS = Glass((243.0, 241.0, 238.0), 0.004, True)


def measured(scene, stains, mpp: float, blur_um: float, strength: float, count: int = 3) -> float:
    drawn = scene(64, 64, mpp / 2)  # painted finer than it is scanned
    for x, y in [(15, 15), (42, 20), (30, 46), (50, 50), (12, 40)][:count]:
        drawn.disc(x, y, 9.0, strength, stains["haematoxylin"])
    drawn.noise = 0.0
    fine = drawn.render(blur_um).astype(np.float32)
    side = round(64 / mpp)
    rgb = cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA)
    rgb += np.random.default_rng(0).normal(0.0, 2.0, rgb.shape)
    found = sharpness(np.clip(np.rint(rgb), 0, 255).astype(np.uint8), GLASS.od_table(), mpp)
    return float(edge_um(np.array([found.strength]), np.array([found.again]))[0])


@pytest.mark.parametrize("mpp", [0.25, 0.5, 0.7])
@pytest.mark.parametrize("strength", [0.35, 1.2])
def test_edges_have_their_width_whatever_the_scale_and_the_stain(scene, stains, mpp, strength):
    for blur_um in (0.5, 1.0, 1.5):
        assert measured(scene, stains, mpp, blur_um, strength) == pytest.approx(blur_um, rel=0.25)
    # Wider than the things themselves there is no step left; wider all the same.
    assert measured(scene, stains, mpp, 2.5, strength) > 1.5


def test_the_number_of_cells_changes_nothing(scene, stains):
    assert measured(scene, stains, 0.5, 1.0, 0.8, count=1) == pytest.approx(
        measured(scene, stains, 0.5, 1.0, 0.8, count=5), abs=0.04
    )


def test_nothing_is_said_of_what_has_no_edges(scene, stains):
    assert np.isnan(measured(scene, stains, 0.5, 1.0, 0.0))
    assert np.isnan(measured(scene, stains, 0.5, 1.0, 0.02))


def two_sides(scene, stains, blur_um: float) -> np.ndarray:
    """Cells on the left in focus, on the right not."""
    drawn = scene(512, 256, 0.5)
    places = [
        (32 + 64 * i + dx, 32 + 64 * j + dy)
        for i in range(8)
        for j in range(4)
        for dx, dy in ((-12, 5), (14, -9))
    ]
    for x, y in places:
        drawn.disc(x, y, 9.0, 0.8, stains["haematoxylin"])
    drawn.od[:, 512:] = cv2.GaussianBlur(drawn.od, (0, 0), blur_um / 0.5)[:, 512:]
    return drawn.render()


@pytest.mark.parametrize("downsamples", [(1,), (1, 4)])
def test_a_band_out_of_focus_is_named_where_it_is(scene, stains, downsamples):
    foreground = find_foreground(
        ArraySlide(pyramid_of(two_sides(scene, stains, 2.0), downsamples), 0.5), THINPREP
    )
    blurred = foreground.classes == ForegroundClass.BLUR
    assert foreground.mask[:, :64].any()
    assert not blurred[:, :64].any()
    assert not foreground.mask[:, 66:].any()


def test_tiles_take_the_sharpest_of_what_they_show(scene, stains):
    slide = ArraySlide(two_sides(scene, stains, 2.0), 0.5)
    foreground = find_foreground(slide, THINPREP)
    assert foreground.focus is not None
    x, y = np.array([0, 512 - 64, 512 + 128, 3]), np.array([0, 64, 128, 250])
    edges = foreground.focus.edges_of(foreground.frame, x, y, 128.0, 128.0)
    assert edges[0] < 0.6
    assert edges[1] < 0.6  # half of it is sharp
    assert edges[2] > 1.2
    assert edges[3] < 0.6


def test_a_slide_too_coarse_to_tell_is_not_judged(scene, stains):
    drawn = scene(400, 400, 2.0)
    drawn.box(100, 100, 200, 200, 0.5, stains["eosin"])
    slide = ArraySlide(drawn.render(3.0), 2.0)
    foreground = find_foreground(slide, TilingConfig(mpp=2.0))
    assert foreground.focus is None
    assert foreground.areas_um2()[ForegroundClass.BLUR] == 0
    assert measure_focus(slide, foreground.mask, foreground.frame, foreground.glass) is None


def test_it_can_be_switched_off(scene, stains):
    off = THINPREP.model_copy(
        update={"artefacts": THINPREP.artefacts.model_copy(update={"largest_edge_um": 0.0})}
    )
    foreground = find_foreground(ArraySlide(two_sides(scene, stains, 2.0), 0.5), off)
    assert foreground.focus is None
    assert foreground.areas_um2()[ForegroundClass.BLUR] == 0


def test_squares_follow_the_tiles_and_never_skip_foreground(scene, stains):
    """Sections have tiles of 128 µm: one window in each square, where most of the foreground is."""
    drawn = scene(512, 512, 0.5)
    places = [(20.0, 20.0), (240.0, 110.0), (160.0, 390.0), (500.0, 500.0)]
    for x, y in places:
        drawn.disc(x, y, 12.0, 0.8, stains["haematoxylin"])
    slide = ArraySlide(drawn.render(), 0.5)
    foreground = find_foreground(slide, THINPREP)
    focus = measure_focus(slide, foreground.mask, foreground.frame, foreground.glass, square_um=130.0)
    assert focus is not None
    assert focus.square_um == 128.0
    assert sorted(map(tuple, np.argwhere(~np.isnan(focus.edges_um())).tolist())) == sorted(
        (int(y // 128), int(x // 128)) for x, y in places
    )
