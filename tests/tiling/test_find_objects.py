import numpy as np
import pytest

from inkdot.config import TilingConfig
from inkdot.errors import ResolutionError
from inkdot.records import BoundsL0
from inkdot.slides.array_slide import ArraySlide, pyramid_of
from inkdot.tiling.clusters.find_objects import find_objects
from inkdot.tiling.clusters.group_objects import group_objects
from inkdot.tiling.foreground.find_foreground import find_foreground
from inkdot.tiling.foreground.foreground_classes import ForegroundClass

TILING = TilingConfig(mode="clusters")
LIGHT_GREEN = (0.947, 0.254, 0.197)
ORANGE = (0.107, 0.368, 0.924)


def found_on(slide: ArraySlide, tiling: TilingConfig = TILING):
    return find_objects(slide, find_foreground(slide, tiling), tiling)


def middles(found) -> list[tuple[float, float]]:
    boxes = [(*thing.outline_um.min(axis=0), *thing.outline_um.max(axis=0)) for thing in found.objects]
    return sorted(((left + right) / 2, (top + bottom) / 2) for left, top, right, bottom in boxes)


@pytest.mark.parametrize(("mpp", "downsamples"), [(0.2301, (1, 4)), (0.5, (1, 2)), (1.0, (1,))])
@pytest.mark.parametrize("diameter", [7.0, 12.0, 18.0])
def test_nuclei_have_their_place_and_size_at_any_scale(scene, stains, mpp, downsamples, diameter):
    drawn = scene(400, 300, mpp)
    places = [(60.3, 70.8), (200.0, 150.4), (341.7, 233.1)]
    for x, y in places:
        drawn.disc(x, y, diameter, 0.8, stains["haematoxylin"])
    found = found_on(ArraySlide(pyramid_of(drawn.render(), downsamples), mpp))
    assert np.abs(np.array(middles(found)) - places).max() < 1.0
    for thing in found.objects:
        assert thing.diameter_um == pytest.approx(diameter, rel=0.06)
        assert thing.nuclei == 1
        assert thing.od == pytest.approx(0.8 * 0.651, rel=0.1)


def test_cytoplasm_and_red_cells_are_no_nuclei(scene):
    drawn = scene(300, 200, 0.5)
    drawn.disc(80, 100, 30.0, 0.3, LIGHT_GREEN)
    drawn.disc(200, 100, 7.0, 0.5, ORANGE)
    assert found_on(ArraySlide(drawn.render(), 0.5)).objects == []


def test_a_nucleus_in_cytoplasm_has_its_own_size(scene, stains):
    drawn = scene(200, 200, 0.5)
    drawn.disc(100, 100, 30.0, 0.3, LIGHT_GREEN)
    drawn.disc(103, 98, 10.0, 0.7, stains["haematoxylin"])
    (thing,) = found_on(ArraySlide(drawn.render(), 0.5)).objects
    assert thing.diameter_um == pytest.approx(10.0, rel=0.06)


def test_precipitate_is_no_nucleus(scene, stains):
    drawn = scene(200, 200, 0.25)
    for x in (50, 100, 150):
        drawn.disc(x, 100, 3.0, 1.5, stains["haematoxylin"])
    slide = ArraySlide(pyramid_of(drawn.render(), (1, 4)), 0.25)
    tiling = TilingConfig(mode="clusters", min_object_um=1.0)
    foreground = find_foreground(slide, tiling)
    assert np.count_nonzero(foreground.of((ForegroundClass.PRECIPITATE,))) >= 3
    assert find_objects(slide, foreground, tiling).objects == []


def test_too_small_things_in_cells_are_counted_apart(scene, stains):
    drawn = scene(200, 200, 0.25)
    drawn.disc(100, 100, 40.0, 0.3, LIGHT_GREEN)
    for x in (90, 100, 110):
        drawn.disc(x, 100, 2.2, 1.2, stains["haematoxylin"])
    found = found_on(ArraySlide(pyramid_of(drawn.render(), (1, 4)), 0.25))
    assert found.objects == []
    assert found.too_small == 3


def test_the_ring_of_a_bubble_is_left_out_and_the_cluster_at_it_kept(scene, stains):
    drawn = scene(600, 600, 0.5)
    drawn.disc(300, 300, 400.0, 0.7, stains["black"])
    drawn.disc(300, 300, 370.0, -0.7, stains["black"])
    for dx, dy in [(0, 0), (11, 3), (4, 11)]:
        drawn.disc(120 + dx, 300 + dy, 11.0, 0.7, stains["haematoxylin"])
    slide = ArraySlide(drawn.render(), 0.5)
    foreground = find_foreground(slide, TILING)
    found = find_objects(slide, foreground, TILING)
    assert sum(thing.nuclei for thing in found.objects) == 3
    assert all(100 < x < 150 for x, _ in middles(found))
    wall = foreground.areas_um2()[ForegroundClass.BUBBLE] + found.grey_um2
    assert wall == pytest.approx(np.pi * (200**2 - 185**2), rel=0.4)  # mask pixels of 4 µm: rounded outwards


def test_pen_is_left_out_by_area(scene, stains):
    drawn = scene(800, 400, 1.0)
    drawn.box(100, 100, 400, 150, 1.0, stains["haematoxylin"])
    drawn.disc(700, 200, 11.0, 0.7, stains["haematoxylin"])
    found = found_on(ArraySlide(drawn.render(), 1.0))
    assert len(found.objects) == 1
    assert found.ink_um2 == pytest.approx(400 * 150, rel=0.05)


def test_every_object_is_found_once_wherever_the_blocks_meet(scene, stains):
    drawn = scene(1300, 1300, 1.0)
    # Rows and columns all over, closest where blocks meet, at 1024 µm.
    ticks = [*np.arange(40.0, 990.0, 95.0), *np.arange(1000.5, 1050.0, 16.3), 1200.0]
    places = sorted((x, y) for x in ticks for y in ticks)
    for x, y in places:
        drawn.disc(x, y, 10.0, 0.8, stains["haematoxylin"])
    found = found_on(ArraySlide(drawn.render(), 1.0))
    assert len(found.objects) == len(places)
    assert np.abs(np.array(middles(found)) - np.array(places)).max() < 1.5


def test_an_object_larger_than_a_blocks_margin_is_one_cluster(scene, stains):
    drawn = scene(1500, 400, 1.0)
    # 600 µm across the border at 1024, and too wide for a fibre, which is no object.
    drawn.box(700, 150, 600, 52, 0.6, stains["haematoxylin"])
    clusters = group_objects(found_on(ArraySlide(drawn.render(), 1.0)).objects, 12.0)
    assert len(clusters) == 1
    assert clusters[0].box_um == pytest.approx((700, 150, 1300, 202), abs=2.0)
    assert clusters[0].area_um2 == pytest.approx(600 * 52, rel=0.05)  # no part of it twice


def test_only_the_scanned_part_is_searched(scene, stains):
    drawn = scene(600, 400, 0.5)
    drawn.disc(100, 100, 12.0, 0.8, stains["haematoxylin"])
    drawn.disc(450, 250, 12.0, 0.8, stains["haematoxylin"])
    slide = ArraySlide(drawn.render(), 0.5, bounds_l0_px=BoundsL0(601, 201, 500, 500))
    ((x, y),) = middles(found_on(slide))
    assert (x, y) == pytest.approx((450, 250), abs=1.0)


@pytest.mark.parametrize(("blur", "low", "high"), [(0.3, 0.5, 1.4), (3.0, 2.3, 4.5)])
def test_the_edge_tells_focus(scene, stains, blur, low, high):
    drawn = scene(200, 200, 0.5)
    drawn.disc(100, 100, 14.0, 0.8, stains["haematoxylin"])
    (thing,) = found_on(ArraySlide(drawn.render(blur_um=blur), 0.5)).objects
    assert low < thing.blur_um < high


def test_a_slide_too_coarse_for_nuclei_is_refused(scene):
    with pytest.raises(ResolutionError):
        found_on(ArraySlide(scene(400, 400, 2.0).render(), 2.0))
