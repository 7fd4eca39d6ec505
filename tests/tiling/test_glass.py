import numpy as np
import pytest

from inkdot.errors import NotBrightFieldError
from inkdot.slides.array_slide import ArraySlide
from inkdot.tiling.foreground.glass import OD_STEP, Glass, find_glass, glass_of_pixels

RNG = np.random.default_rng(7)


def pixels(colour: tuple[int, int, int], count: int, noise: float = 2.0) -> np.ndarray:
    return np.clip(np.rint(RNG.normal(colour, noise, (count, 3))), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("tissue_share", [0.0, 0.001, 0.5, 0.95])
def test_glass_is_found_however_much_of_the_slide_it_is(tissue_share: float):
    count = 40_000
    tissue = pixels((214, 160, 190), int(count * tissue_share), noise=12.0)
    glass = glass_of_pixels(np.concatenate([pixels((241, 236, 232), count - len(tissue)), tissue]))
    assert glass.found
    assert glass.rgb == pytest.approx((241, 236, 232), abs=1.0)


def test_noise_is_measured():
    quiet, loud = (glass_of_pixels(pixels((240, 240, 240), 50_000, noise)).noise_od for noise in (1.0, 4.0))
    # d(log10 v) = dv / (v ln 10); whole grey levels make it coarse.
    assert quiet == pytest.approx(1.0 / (240 * np.log(10)), rel=0.5)
    assert loud == pytest.approx(4.0 / (240 * np.log(10)), rel=0.2)


def test_pale_tissue_from_edge_to_edge_is_not_taken_for_glass():
    assert not glass_of_pixels(pixels((226, 170, 205), 20_000, noise=5.0)).found


def test_a_little_glass_between_pale_tissue_counts_more_than_much_tissue():
    mixed = np.concatenate([pixels((205, 190, 200), 19_000), pixels((244, 242, 243), 1_000)])
    assert glass_of_pixels(mixed).rgb == pytest.approx((244, 242, 243), abs=1.0)


def test_exact_white_beyond_the_scan_is_not_glass():
    rgb = np.full((600, 600, 3), 255, np.uint8)
    rgb[:, 400:] = pixels((221, 217, 210), 600 * 200).reshape(600, 200, 3)
    assert find_glass(ArraySlide(rgb, 1.0), 0).rgb == pytest.approx((221, 217, 210), abs=1.0)


def test_a_drawn_slide_of_exact_white_has_white_glass():
    rgb = np.full((200, 200, 3), 255, np.uint8)
    rgb[50:60, 50:60] = 80
    assert find_glass(ArraySlide(rgb, 1.0), 0).rgb == (255.0, 255.0, 255.0)


def test_a_fluorescence_slide_is_refused_by_name():
    dark = pixels((3, 3, 30), 10_000)
    with pytest.raises(NotBrightFieldError, match="bright-field"):
        glass_of_pixels(dark)


def test_optical_density_follows_its_definition():
    table = Glass((240.0, 200.0, 100.0), 0.0, found=True).od_table()
    assert table.shape == (1, 256, 3)
    assert table[0, 24].tolist() == [
        round(1.0 / OD_STEP),
        round(np.log10(200 / 24) / OD_STEP),
        round(np.log10(100 / 24) / OD_STEP),
    ]
    assert table[0, 240, 0] == 0
    assert table[0, 250].tolist()[2] == 0  # brighter than glass is not less than nothing


def test_a_rim_of_glass_around_a_small_slide_is_found():
    """128 px are two windows of 64: they must reach the edges, where all the glass is."""
    image = np.full((128, 128, 3), (90, 60, 150), np.uint8)
    image[:12] = image[-12:] = image[:, :12] = image[:, -12:] = 240
    glass = find_glass(ArraySlide(image, 0.5), 0)
    assert glass.found
    assert glass.rgb == (240.0, 240.0, 240.0)
