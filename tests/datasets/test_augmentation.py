import subprocess
import sys

import numpy as np
import pytest

from inkdot.config import AugmentationConfig
from inkdot.datasets.augmentation.transforms import Augmentation


@pytest.fixture
def tile():
    return np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def test_the_same_seed_gives_the_same_tile(tile):
    first = Augmentation(AugmentationConfig(colour=1.0, focus=0.5, jpeg=0.5))
    second = Augmentation(AugmentationConfig(colour=1.0, focus=0.5, jpeg=0.5))
    before = tile.copy()
    expected = {seed: first(tile, seed) for seed in range(20)}
    for seed in reversed(range(20)):  # another order, another history
        np.testing.assert_array_equal(second(tile, seed), expected[seed])
    np.testing.assert_array_equal(tile, before)
    assert len({image.tobytes() for image in expected.values()}) > 10


def test_without_augmentation_a_tile_is_unchanged(tile):
    plain = Augmentation(AugmentationConfig(geometry=False, colour=0.0, focus=0.0, jpeg=0.0))
    np.testing.assert_array_equal(plain(tile, 5), tile)


def test_geometry_alone_moves_pixels_but_invents_no_colours(tile):
    turned = Augmentation(AugmentationConfig(geometry=True, colour=0.0, focus=0.0, jpeg=0.0))
    results = [turned(tile, seed) for seed in range(60)]
    assert all(result.shape == tile.shape and result.dtype == np.uint8 for result in results)
    exact = [r for r in results if sorted(r.reshape(-1, 3).tolist()) == sorted(tile.reshape(-1, 3).tolist())]
    assert len({r.tobytes() for r in exact}) == 8  # the square's symmetries; the rest was scaled too


def test_colour_strength_grows_with_the_setting(tile):
    def change(strength):
        vary = Augmentation(AugmentationConfig(geometry=False, colour=strength, focus=0.0, jpeg=0.0))
        return np.mean([np.abs(vary(tile, seed).astype(int) - tile).mean() for seed in range(40)])

    assert 0 < change(0.2) < change(1.0)


@pytest.mark.slow
def test_importing_it_makes_no_version_check_over_the_network():
    code = (
        "import os, socket\n"
        "os.environ.pop('NO_ALBUMENTATIONS_UPDATE', None)\n"
        "def refuse(*a, **k): raise SystemExit('network call at import')\n"
        "socket.socket.connect = refuse\n"
        "socket.getaddrinfo = refuse\n"
        "import inkdot.datasets.augmentation\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_distortion_changes_sizes_by_up_to_a_quarter_and_turns():
    # A bright bar on the dark: its length and its direction are measured from its second moments.
    bar = np.zeros((257, 257, 3), np.uint8)
    bar[126:131, 113:144] = 255  # far from the borders, which reflect
    vary = Augmentation(AugmentationConfig(geometry=False, distortion=1.0, colour=0.0, focus=0.0, jpeg=0.0))

    def measured(tile):
        y, x = np.nonzero(tile[..., 0] > 127)
        values, vectors = np.linalg.eigh(np.cov(x, y))
        direction = np.degrees(np.arctan2(*vectors[::-1, 1])) % 180
        return np.sqrt(values[1]), min(direction, 180 - direction)

    length, _ = measured(bar)
    found = [measured(vary(bar, seed)) for seed in range(150)]
    sizes, angles = np.array(found).T
    assert 0.77 < sizes.min() / length < 0.85
    assert 1.18 < sizes.max() / length < 1.29
    assert 38 < angles.max() < 48
    assert 0.1 < np.mean(np.abs(sizes / length - 1) < 1e-6) < 0.35  # a fifth is left as it is


NOTHING = {"geometry": False, "colour": 0.0, "focus": 0.0, "jpeg": 0.0}


@pytest.mark.parametrize(
    "setting", [{"hed_jitter": 0.2}, {"exposure": 0.5}, {"white_balance": 0.5}, {"scale": 0.3}]
)
def test_each_setting_varies_tiles_by_the_seed_alone(tile, setting):
    first, second = (Augmentation(AugmentationConfig(**NOTHING, **setting)) for _ in range(2))
    found = [first(tile, seed) for seed in range(12)]
    assert len({image.tobytes() for image in found}) > 8
    for seed in reversed(range(12)):
        np.testing.assert_array_equal(second(tile, seed), found[seed])


def test_stain_and_light_leave_the_draws_of_the_rest_as_they_were(tile):
    # No effect on white, so that what differs would be the geometry.
    marked = np.full_like(tile, 255)
    marked[3:9, 5:20] = 0
    plain = Augmentation(AugmentationConfig())
    stained = Augmentation(AugmentationConfig(hed_jitter=1e-9))
    for seed in range(20):
        np.testing.assert_array_equal(plain(marked, seed), stained(marked, seed))


def test_scale_keeps_the_aspect_ratio_and_its_range():
    disc = np.zeros((161, 161, 3), np.uint8)
    y, x = np.ogrid[-80:81, -80:81]
    disc[x**2 + y**2 <= 30**2] = 255
    vary = Augmentation(AugmentationConfig(**NOTHING, scale=0.25))
    sizes = []
    for seed in range(80):
        rows, columns = np.nonzero(vary(disc, seed)[..., 0] > 127)
        high, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert abs(high - wide) <= 2
        sizes.append(wide / 61)
    assert 0.78 < min(sizes) < 0.86
    assert 1.18 < max(sizes) < 1.28


@pytest.mark.parametrize("mpp", [0.25, 0.5])
def test_the_strongest_blur_is_in_micrometres(mpp):
    # The edge of a half-plane, blurred by a Gaussian: the spread of its derivative is sigma.
    edge = np.zeros((64, 64, 3), np.uint8)
    edge[:, 32:] = 255
    vary = Augmentation(AugmentationConfig(geometry=False, colour=0.0, focus=1.0, jpeg=0.0, blur_um=1.0), mpp)
    sigmas = []
    for seed in range(80):
        slope = np.diff(vary(edge, seed)[32, :, 0].astype(float))
        at = np.arange(len(slope))
        centre = (slope * at).sum() / slope.sum()
        sigmas.append(np.sqrt((slope * (at - centre) ** 2).sum() / slope.sum()) * mpp)
    assert 0.85 < max(sigmas) < 1.1
    assert min(sigmas) < 0.3


def test_blur_in_micrometres_needs_the_scale():
    with pytest.raises(ValueError, match="expected the mpp of tiles with 1 µm, found None"):
        Augmentation(AugmentationConfig(blur_um=1.0))


def test_lower_jpeg_quality_changes_more():
    x, y = np.meshgrid(np.arange(64), np.arange(64))
    tile = (120 + 60 * np.sin(x / 5) + 60 * np.cos(y / 4))[..., None].repeat(3, axis=2).astype(np.uint8)

    def change(quality):
        config = AugmentationConfig(geometry=False, colour=0.0, focus=0.0, jpeg=1.0, jpeg_quality=quality)
        vary = Augmentation(config)
        return np.mean([np.abs(vary(tile, seed).astype(int) - tile).mean() for seed in range(20)])

    assert change(10) > 1.5 * change(90) > 0
