import numpy as np
import pytest

from inkdot.config import SpotConfig, TilingConfig, default_config
from inkdot.records import BoundsL0
from inkdot.slides.array_slide import ArraySlide, pyramid_of
from inkdot.tiling.foreground.find_foreground import find_foreground
from inkdot.tiling.foreground.foreground_classes import ForegroundClass
from inkdot.tiling.foreground.stain_map import reading_level

THINPREP = default_config("thinprep").tiling
SECTION = default_config("section").tiling


def class_at(foreground, x_um: float, y_um: float) -> ForegroundClass:
    """What the mask shows at a place, by its own arithmetic."""
    return ForegroundClass(
        int(foreground.classes[int(y_um / foreground.frame.mpp), int(x_um / foreground.frame.mpp)])
    )


@pytest.mark.parametrize("downsamples", [(1,), (1, 4), (1, 4, 16), (1, 16)])
@pytest.mark.parametrize("blur_um", [0.3, 0.9])
def test_a_lone_lymphocyte_on_clear_glass_survives(scene, stains, downsamples, blur_um):
    drawn = scene(600, 500, 0.5)
    # Off the grid of the mask on purpose: 7 µm at mask pixels of 4 µm.
    drawn.disc(301.3, 203.9, 7.0, 0.8, stains["haematoxylin"])
    foreground = find_foreground(ArraySlide(pyramid_of(drawn.render(blur_um), downsamples), 0.5), THINPREP)
    assert class_at(foreground, 301.3, 203.9) == ForegroundClass.FOREGROUND
    assert 3 <= np.count_nonzero(foreground.mask) <= 16  # the cell and nothing else
    rows, columns = np.nonzero(foreground.mask)
    assert abs((columns.mean() + 0.5) * 4.0 - 301.3) < 4.0
    assert abs((rows.mean() + 0.5) * 4.0 - 203.9) < 4.0


def test_every_alignment_of_a_lymphocyte_with_the_mask_survives(scene, stains):
    drawn = scene(420, 420, 0.5)
    # 40 is a whole number of mask pixels: the odd part walks through their alignments.
    places = [(20 + 40.41 * i, 20 + 40.37 * j) for i in range(10) for j in range(10)]
    for x, y in places:
        drawn.disc(x, y, 7.0, 0.8, stains["haematoxylin"])
    foreground = find_foreground(ArraySlide(pyramid_of(drawn.render(), (1, 4)), 0.5), THINPREP)
    assert [class_at(foreground, x, y) for x, y in places] == [ForegroundClass.FOREGROUND] * len(places)


@pytest.mark.parametrize("noise", [0.0, 2.0, 4.0])
def test_empty_glass_is_empty_however_noisy(scene, noise):
    drawn = scene(500, 500, 0.5, noise)
    foreground = find_foreground(ArraySlide(drawn.render(), 0.5), THINPREP)
    assert not foreground.mask.any()


def test_dust_is_dropped_by_name(scene, stains):
    drawn = scene(400, 400, 0.25)
    drawn.disc(100, 100, 2.0, 1.0, stains["haematoxylin"])
    drawn.disc(300, 300, 7.0, 0.8, stains["haematoxylin"])
    foreground = find_foreground(ArraySlide(pyramid_of(drawn.render(), (1, 4)), 0.25), THINPREP)
    assert class_at(foreground, 100, 100) == ForegroundClass.SPECK
    assert class_at(foreground, 300, 300) == ForegroundClass.FOREGROUND


def test_pale_sections_and_thin_biopsies_are_found(scene, stains):
    drawn = scene(3000, 2000, 2.0)
    drawn.box(200, 200, 1200, 1500, 0.10, stains["eosin"])  # 17 % of green light absorbed at most
    drawn.box(1800, 100, 60, 1800, 0.15, stains["eosin"])  # a core of 60 µm
    foreground = find_foreground(ArraySlide(drawn.render(), 2.0), SECTION)
    expected = 1200 * 1500 + 60 * 1800
    assert foreground.areas_um2()[ForegroundClass.FOREGROUND] == pytest.approx(expected, rel=0.12)


@pytest.mark.parametrize("strength", [0.08, 1.5])
def test_wide_grey_areas_are_dropped_and_change_nothing_else(scene, stains, strength):
    drawn = scene(1100, 700, 1.0)
    drawn.disc(1000, 500, 7.0, 0.8, stains["haematoxylin"])
    drawn.disc(900, 300, 60.0, 1.4, stains["haematoxylin"])  # a dark cluster is no ink
    alone = find_foreground(ArraySlide(drawn.render(), 1.0), THINPREP)
    drawn.box(0, 0, 500, 700, strength, stains["black"])
    beside_ink = find_foreground(ArraySlide(drawn.render(), 1.0), THINPREP)
    assert class_at(beside_ink, 250, 500) == ForegroundClass.GREY
    assert not beside_ink.mask[:, :130].any()  # nor is the soft edge of the ink kept
    assert np.array_equal(beside_ink.mask[:, 130:], alone.mask[:, 130:])
    assert class_at(beside_ink, 900, 300) == ForegroundClass.FOREGROUND


def test_a_narrow_dark_frame_around_the_image_is_dropped(scene, stains):
    drawn = scene(800, 800, 1.0)
    for x, y, w, h in [(0, 0, 800, 20), (0, 780, 800, 20), (0, 0, 20, 800), (780, 0, 20, 800)]:
        drawn.box(x, y, w, h, 1.0, stains["black"])
    drawn.disc(400, 400, 10.0, 0.8, stains["haematoxylin"])
    foreground = find_foreground(ArraySlide(drawn.render(), 1.0), THINPREP)
    rows, columns = np.nonzero(foreground.mask)
    assert rows.min() > 90
    assert rows.max() < 110
    assert columns.min() > 90


def test_a_cell_on_a_grey_area_is_kept(scene, stains):
    drawn = scene(800, 800, 1.0)
    drawn.box(0, 0, 400, 800, 0.10, stains["black"])
    drawn.disc(200, 400, 9.0, 0.8, stains["haematoxylin"])
    foreground = find_foreground(ArraySlide(drawn.render(), 1.0), THINPREP)
    assert class_at(foreground, 200, 400) == ForegroundClass.FOREGROUND


@pytest.mark.parametrize("wide", [True, False])
def test_places_do_not_shift_across_blocks_or_with_an_mpp_that_does_not_divide(scene, stains, wide):
    # 2600 level pixels long: two blocks, with mask pixels of 4 / 0.4603 = 8.69 level-0 pixels.
    mpp = 0.4603
    along, across = (50, 420, 940, 950, 960, 1150), (50, 133)
    places = [(x, y) if wide else (y, x) for x in along for y in across]
    drawn = scene(1196, 180, mpp) if wide else scene(180, 1196, mpp)
    for x, y in places:
        drawn.disc(x, y, 9.0, 0.8, stains["haematoxylin"])
    foreground = find_foreground(ArraySlide(drawn.render(), mpp), THINPREP)
    assert [class_at(foreground, x, y) for x, y in places] == [ForegroundClass.FOREGROUND] * len(places)
    assert np.count_nonzero(foreground.mask) <= 16 * len(places)


def test_only_the_scanned_part_is_looked_at(scene, stains):
    drawn = scene(800, 800, 1.0)
    drawn.disc(100, 100, 20.0, 0.8, stains["haematoxylin"])
    drawn.disc(500, 400, 20.0, 0.8, stains["haematoxylin"])
    slide = ArraySlide(drawn.render(), 1.0, bounds_l0_px=BoundsL0(301, 203, 400, 500))
    foreground = find_foreground(slide, THINPREP)
    assert (foreground.frame.x_l0_px, foreground.frame.y_l0_px) == (301, 203)
    rows, columns = np.nonzero(foreground.mask)
    assert abs((columns.mean() + 0.5) * 4.0 - (500 - 301)) < 2.0
    assert abs((rows.mean() + 0.5) * 4.0 - (400 - 203)) < 2.0


def test_a_slide_coarser_than_the_mask_keeps_its_own_scale(scene, stains):
    drawn = scene(2000, 2000, 2.0)
    drawn.box(500, 500, 1000, 1000, 0.5, stains["eosin"])
    foreground = find_foreground(ArraySlide(drawn.render(), 2.0), TilingConfig(mask_mpp=1.0))
    assert foreground.frame.mpp == 2.0
    assert foreground.areas_um2()[ForegroundClass.FOREGROUND] == pytest.approx(1e6, rel=0.02)


@pytest.mark.parametrize(
    ("downsamples", "expected"),
    [((1, 4, 16), 1), ((1, 2, 4, 8, 16), 3), ((1,), 0), ((1, 16), 1), ((1, 16, 64), 1), ((1, 32), 0)],
)
def test_the_level_read_is_fine_enough_and_no_finer_than_worth_it(downsamples, expected):
    levels = [np.zeros((256 // d, 256 // d, 3), np.uint8) for d in downsamples]
    assert reading_level(ArraySlide(levels, 0.25).info, 4.0) == expected


def test_the_print_of_the_filter_on_the_rim_is_dropped_and_cells_on_it_stay(scene, stains):
    tiling = THINPREP.model_copy(update={"spot": SpotConfig(diameter_um=2000.0, ring_um=120.0)})
    drawn = scene(2400, 2400, 2.0)
    y, x = np.mgrid[: drawn.shape[0], : drawn.shape[1]] * 2.0 + 1.0
    away = np.hypot(x - 1200, y - 1200)
    rim = np.clip(1.0 - ((away - 1000) / 24) ** 2, 0, 1)
    angles = np.arctan2(y - 1200, x - 1200)
    smudged = (np.abs(angles - 0.45) < 0.15) & (np.abs(away - 1000) < 20)  # no cell lies there
    drawn.od += (0.02 * rim)[..., None].astype(np.float32)
    drawn.od += (0.08 * smudged)[..., None].astype(np.float32) * np.array((0.947, 0.254, 0.197), np.float32)
    for angle in np.linspace(0.1, 6.0, 9):
        drawn.disc(
            1200 + 1000 * np.cos(angle), 1200 + 1000 * np.sin(angle), 14.0, 1.0, stains["haematoxylin"]
        )
    drawn.disc(1200, 1200, 14.0, 1.0, stains["haematoxylin"])
    drawn.disc(60, 60, 40.0, 1.0, stains["haematoxylin"])  # on the glass outside
    foreground = find_foreground(ArraySlide(drawn.render(), 2.0), tiling)
    assert foreground.spot is not None
    assert class_at(foreground, 60, 60) == ForegroundClass.OUTSIDE
    assert class_at(foreground, 1200, 1200) == ForegroundClass.FOREGROUND
    for angle in np.linspace(0.1, 6.0, 9):
        assert (
            class_at(foreground, 1200 + 1000 * np.cos(angle), 1200 + 1000 * np.sin(angle))
            == ForegroundClass.FOREGROUND
        )
    assert foreground.areas_um2()[ForegroundClass.RING] == pytest.approx(0.3 * 1000 * 40, rel=0.3)
