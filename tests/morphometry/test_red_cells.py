"""Red cells as size reference, on discs drawn here: known diameters, and things that are no red cells."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from inkdot.morphometry.red_cell_reference import MIN_RED_CELLS, POSSIBLE_UM, red_cell_reference
from inkdot.morphometry.red_cells import find_red_cells

GLASS = (243.0, 242.0, 244.0)
PAP = (0.12, 0.22, 0.19)
MGG = (0.15, 0.18, 0.125)
LYMPHOCYTE_PAP = (0.48, 0.52, 0.40)
TUMOUR_MGG = (0.28, 0.36, 0.18)
PALE_NUCLEUS_HE = (0.10, 0.22, 0.14)


def window(
    discs: Sequence[tuple[float, float, float]],
    od: tuple[float, float, float],
    *,
    side: int = 512,
    pallor: float = 0.0,
    blur_px: float = 1.0,
    background: float = 0.0,
    aspect: float = 1.0,
) -> np.ndarray:
    """Discs (x, y, diameter) in pixels, with a pale centre and a blurred edge, uint8 RGB."""
    shape = np.zeros((4 * side, 4 * side), np.float32)
    for x, y, diameter in discs:
        axes = (round(2 * diameter * aspect), round(2 * diameter / aspect))
        cv2.ellipse(shape, (round(4 * x), round(4 * y)), axes, 30, 0, 360, 1.0, -1)
        if pallor:
            cv2.circle(shape, (round(4 * x), round(4 * y)), round(0.6 * diameter), 1.0 - pallor, -1)
    shape = cv2.resize(shape, (side, side), interpolation=cv2.INTER_AREA)
    shape = cv2.GaussianBlur(shape, (0, 0), blur_px)
    density = shape[..., None] * np.asarray(od, np.float32) + np.float32(background)
    noise = np.random.default_rng(0).normal(0.0, 1.0, density.shape)
    return np.clip(np.asarray(GLASS) * 10.0**-density + noise, 0, 255).round().astype(np.uint8)


def grid(diameter: float, step: int = 110) -> list[tuple[float, float, float]]:
    return [(x + 0.3, y + 0.6, diameter) for x in range(80, 450, step) for y in range(80, 450, step)]


@pytest.mark.parametrize("od", [PAP, MGG], ids=["pap", "mgg"])
@pytest.mark.parametrize("pallor", [0.0, 0.6])
@pytest.mark.parametrize("diameter", [12.0, 15.0, 30.0, 62.0])
def test_discs_are_measured_at_every_scale(od, pallor, diameter):
    discs = grid(diameter)
    found = find_red_cells(window(discs, od, pallor=pallor, blur_px=0.033 * diameter + 0.3), GLASS)
    assert len(found) == len(discs)
    assert [cell.diameter_px for cell in found] == pytest.approx([diameter] * len(found), rel=0.04)


@pytest.mark.parametrize(
    ("od", "how"),
    [
        (LYMPHOCYTE_PAP, {}),
        (TUMOUR_MGG, {}),
        (PALE_NUCLEUS_HE, {}),
        (tuple(0.25 * value for value in PAP), {}),
        (PAP, {"blur_px": 6.0}),
        (PAP, {"aspect": 1.3}),
        (PAP, {"background": 0.08}),
    ],
    ids=["lymphocyte", "tumour cell", "pale nucleus", "ghost", "out of focus", "oval", "in tissue"],
)
def test_what_is_no_measurable_red_cell_is_left_out(od, how):
    assert find_red_cells(window(grid(30.0), od, **how), GLASS) == []


def test_discs_with_something_all_around_are_left_out():
    """Nuclei in lacy tissue lie in a clear rim, and fibres between them leave gaps."""
    image = window(grid(30.0), PAP)
    fibres = window(grid(33.0), (1.0, 1.0, 1.0))[..., 1] > 200
    fibres[np.arange(512) % 12 > 9] = False
    image[fibres] = (image[fibres] * 0.75).astype(np.uint8)
    assert find_red_cells(image, GLASS) == []


def test_cells_that_touch_or_are_cut_by_the_window_are_left_out():
    lone, pair, cut = (100.0, 100.0, 30.0), [(250.0, 250.0, 30.0), (278.0, 250.0, 30.0)], (505.0, 400.0, 30.0)
    found = find_red_cells(window([lone, *pair, cut], PAP), GLASS)
    assert [(round(cell.x_px), round(cell.y_px)) for cell in found] == [(100, 100)]


def drawn(median: float, cells: int, windows: int = 10, spread: float = 0.1) -> list[list[float]]:
    values = median * np.exp(np.random.default_rng(1).normal(0.0, spread, cells))
    return [list(values[index::windows]) for index in range(windows)]


def test_the_median_has_an_interval_that_narrows_with_the_cells():
    few, many = red_cell_reference(drawn(30.0, 25)), red_cell_reference(drawn(30.0, 400))
    widths = []
    for reference in (few, many):
        assert reference.interval_px is not None
        low, high = reference.interval_px
        assert low <= 30.0 <= high
        widths.append(high - low)
    assert widths[1] < 0.5 * widths[0]


def test_the_interval_holds_the_true_median_about_as_often_as_it_says():
    inside = 0
    for seed in range(200):
        values = 30.0 * np.exp(np.random.default_rng(seed).normal(0.0, 0.12, 60))
        reference = red_cell_reference([list(values[index::20]) for index in range(20)])
        assert reference.interval_px is not None
        inside += reference.interval_px[0] <= 30.0 <= reference.interval_px[1]
    assert 0.88 <= inside / 200 <= 0.99


def test_discs_of_another_size_do_not_move_it():
    droplets = [[9.0, 70.0]] * 8
    assert red_cell_reference(drawn(30.0, 60) + droplets).diameter_px == pytest.approx(30.0, rel=0.05)


@pytest.mark.parametrize(
    ("diameters", "reason"),
    [
        ([], "0 found, 20 needed"),
        (drawn(30.0, MIN_RED_CELLS - 1), "19 found, 20 needed"),
        (drawn(30.0, 60, windows=4), "red cells in 4 places, 5 needed"),
        ([list(np.geomspace(8.0, 90.0, 12))] * 10, "discs of no common size"),
    ],
)
def test_without_enough_alike_there_is_no_estimate(diameters, reason):
    reference = red_cell_reference(diameters)
    assert reference.diameter_px is None
    assert reference.estimate() is None
    assert reason in reference.offer()
    assert reference.warning(0.01) == ""


def test_a_wrong_scale_is_doubted_and_a_possible_one_is_not():
    reference = red_cell_reference(drawn(32.0, 60))  # 8 µm at 0.25
    assert reference.warning(0.25) == ""
    assert reference.warning(0.125).startswith("red cells measure 4.0 µm")
    assert "expected 5.3 to 9.5 µm; check the µm/px" in reference.warning(0.5)
    estimate = reference.estimate()
    assert estimate is not None
    assert estimate.low < 0.25 < estimate.high
    # However many cells: their possible sizes alone leave this factor.
    assert estimate.high / estimate.low > POSSIBLE_UM[1] / POSSIBLE_UM[0]
    assert "an estimate, not used" in reference.offer()
