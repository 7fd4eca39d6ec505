import numpy as np
import pytest
from skimage.color import hed2rgb, rgb2hed, rgb2lab

from inkdot.datasets.augmentation.stain import (
    change_light,
    from_optical_density,
    hed_jitter,
    lab_statistics,
    optical_density,
    rand_stain_na,
)

GREYS = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)


@pytest.fixture
def colours():
    return np.random.default_rng(0).integers(30, 256, (32, 32, 3), dtype=np.uint8)


def test_optical_density_is_undone_exactly_and_is_zero_where_white():
    np.testing.assert_array_equal(from_optical_density(optical_density(GREYS)), GREYS)
    assert optical_density(GREYS)[-1, -1, 0] == 0.0


def test_hed_jitter_is_that_of_scikit_image_where_no_amount_is_negative():
    amounts = np.random.default_rng(1).uniform(0.0, 0.04, (24, 24, 3))
    tile = np.rint(255 * hed2rgb(amounts)).astype(np.uint8)
    factors = np.random.default_rng(7).uniform(0.7, 1.3, 3)
    expected = 255 * hed2rgb(rgb2hed(tile / 255.0) * factors)
    found = hed_jitter(tile, 0.3, np.random.default_rng(7))
    assert (
        np.abs(found - expected).max() < 3
    )  # scikit-image has another zero, and cuts off what is below none
    assert np.abs(found.astype(float) - tile).max() > 10


def test_hed_jitter_of_nothing_is_the_tile_and_glass_stays_white(colours):
    np.testing.assert_array_equal(hed_jitter(colours, 0.0, np.random.default_rng(0)), colours)
    white = np.full((4, 4, 3), 255, np.uint8)
    np.testing.assert_array_equal(hed_jitter(white, 1.0, np.random.default_rng(0)), white)


def test_a_stop_less_is_half_the_light():
    np.testing.assert_array_equal(change_light(GREYS, 0.0, 0.0), GREYS)
    darker = change_light(GREYS, -1.0, 0.0)
    assert darker[-1, -1].tolist() == [188, 188, 188]  # sRGB of half the light: 0.7354
    assert change_light(darker, 1.0, 0.0)[8, 0].tolist() == pytest.approx([128] * 3, abs=1)


def test_white_balance_turns_grey_red_or_blue_and_leaves_green():
    warm, cold = (change_light(GREYS, 0.0, stops)[8, 0].astype(int) for stops in (0.5, -0.5))
    assert warm[0] > 128 > warm[2]
    assert cold[0] < 128 < cold[2]
    assert warm[1] == cold[1] == 128


def test_statistics_are_of_the_stained_pixels_of_a_slide(colours):
    half = colours.copy()
    half[:16] = 250  # glass
    other = np.clip(colours.astype(int) // 2, 0, 255).astype(np.uint8)
    found = lab_statistics([("a", half), ("a", colours[16:]), ("b", other), ("empty", half[:16])])
    assert found is not None
    assert set(found.by_slide) == {"a", "b"}
    pixels = np.concatenate([colours[16:], colours[16:]]).reshape(-1, 3)
    pixels = pixels[-np.log((pixels + 1.0) / 256).mean(axis=1) > 0.15]
    lab = rgb2lab(pixels[None] / 255.0)[0]
    np.testing.assert_allclose(found.by_slide["a"], [lab.mean(axis=0), lab.std(axis=0)], atol=0.15)
    values = np.stack([found.by_slide["a"], found.by_slide["b"]])
    np.testing.assert_allclose(found.centre, values.mean(axis=0))
    np.testing.assert_allclose(found.spread, values.std(axis=0))


def test_slides_without_stain_have_no_statistics():
    assert lab_statistics([("a", np.full((8, 8, 3), 255, np.uint8))]) is None


def test_rand_stain_na_moves_a_slide_to_the_colours_drawn_and_leaves_glass():
    generator = np.random.default_rng(3)
    pink = np.clip(generator.normal((190, 110, 160), 12, (40, 40, 3)), 0, 255).astype(np.uint8)
    blue = np.clip(generator.normal((110, 120, 180), 12, (40, 40, 3)), 0, 255).astype(np.uint8)
    statistics = lab_statistics([("pink", pink), ("blue", blue)])
    assert statistics is not None
    tile = pink.copy()
    tile[:4] = 255
    moved = rand_stain_na(tile, "pink", statistics, 0.0, generator)  # no spread: to the mean of both
    np.testing.assert_array_equal(moved[:4], tile[:4])
    lab = rgb2lab(moved[4:] / 255.0).reshape(-1, 3)
    np.testing.assert_allclose(lab.mean(axis=0), statistics.centre[0], atol=1.0)
    np.testing.assert_allclose(lab.std(axis=0), statistics.centre[1], rtol=0.2)
    np.testing.assert_array_equal(rand_stain_na(tile, "unseen", statistics, 1.0, generator), tile)


def test_rand_stain_na_varies_as_slides_do():
    generator = np.random.default_rng(4)
    slides = {
        f"s{i}": np.clip(generator.normal((150 + 8 * i, 110, 160), 10, (24, 24, 3)), 0, 255).astype(np.uint8)
        for i in range(6)
    }
    statistics = lab_statistics(slides.items())
    assert statistics is not None

    def spread(times):
        drawn = [
            rgb2lab(rand_stain_na(slides["s2"], "s2", statistics, times, np.random.default_rng(i)) / 255.0)
            for i in range(60)
        ]
        return np.std([lab[..., 1].mean() for lab in drawn])

    assert spread(1.0) == pytest.approx(statistics.spread[0, 1], rel=0.3)
    assert spread(0.0) < 0.01
