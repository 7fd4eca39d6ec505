"""Graded corruptions: each does what its unit says, and nothing at its neutral level."""

import cv2
import numpy as np
import pytest

from inkdot.datasets.augmentation.corruptions import CORRUPTIONS, corrupted, named_levels, shift_name

BY_NAME = {own.name: own for own in CORRUPTIONS}


@pytest.fixture(scope="module")
def tile() -> np.ndarray:
    image = np.full((64, 64, 3), 220, np.uint8)
    cv2.circle(image, (32, 32), 12, (120, 60, 140), cv2.FILLED)
    noise = np.random.default_rng(0).normal(0, 4, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", list(BY_NAME))
def test_the_further_from_unchanged_the_more_it_differs(name: str, tile: np.ndarray) -> None:
    own, before = BY_NAME[name], tile.copy()
    assert corrupted(tile, own, own.unchanged, 0.5) is tile
    sides = (
        [v for v in own.levels if v < own.unchanged][::-1],
        [v for v in own.levels if v > own.unchanged],
    )
    assert any(sides)
    for levels in filter(None, sides):  # blur and JPEG have one side alone
        found = [corrupted(tile, own, level, 0.5) for level in levels]
        assert all(one.shape == tile.shape and one.dtype == np.uint8 for one in found)
        differences = [float(np.abs(one.astype(int) - tile).mean()) for one in found]
        assert differences[0] > 0, differences
        assert all(np.diff(differences) > 0), differences
    assert (tile == before).all()


def test_exposure_is_in_stops_of_linear_light(tile: np.ndarray) -> None:
    grey = np.full((8, 8, 3), 128, np.uint8)
    darker = corrupted(grey, BY_NAME["exposure"], -1.0, 0.5)
    # sRGB 128 is 0.2159 of linear light; half of it is 0.1079, which is sRGB 92.
    assert (darker == 92).all()
    warmer = corrupted(grey, BY_NAME["colour_cast"], 0.5, 0.5)[0, 0]
    assert warmer[0] > 128 == warmer[1] > warmer[2]


def test_stain_is_in_percent_of_optical_density() -> None:
    grey = np.full((8, 8, 3), 99, np.uint8)
    twice = corrupted(grey, BY_NAME["stain_amount"], 200.0, 0.5)
    assert abs(int(twice[0, 0, 0]) - 255 * (100 / 256) ** 2) <= 0.5


def test_blur_is_in_micrometres() -> None:
    point = np.zeros((65, 65, 3), np.uint8)
    point[:, 32:] = 255
    for mpp in (0.5, 0.25):
        edge = corrupted(point, BY_NAME["blur"], 1.0, mpp)[32, :, 0].astype(float)
        width = np.gradient(edge)
        centre = (width * np.arange(65)).sum() / width.sum()
        sigma = np.sqrt((width * (np.arange(65) - centre) ** 2).sum() / width.sum()) * mpp
        assert sigma == pytest.approx(1.0, abs=0.2)


def test_size_is_in_percent(tile: np.ndarray) -> None:
    def area(rgb: np.ndarray) -> float:
        middle = rgb[16:48, 16:48, 1] < 140  # the reflected surroundings hold no second disc here
        return float(middle.sum())

    assert area(corrupted(tile, BY_NAME["size"], 50.0, 0.5)) == pytest.approx(area(tile) / 4, rel=0.15)


def test_names_say_the_unit() -> None:
    names = [name for *_, name in named_levels(mpp_known=True)]
    assert len(set(names)) == len(names)
    assert {"Blur (sigma) 1 µm", "JPEG quality 40"} <= set(names)
    assert shift_name(BY_NAME["blur"], 2.0, mpp_known=False) == "Blur (sigma) 2 px"
