import subprocess
import sys

import numpy as np
import pytest

from inkdot.config import AugmentationConfig
from inkdot.datasets.augmentation import Augmentation


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
