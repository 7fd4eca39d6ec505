"""Outlines that lie beside the edge of a nucleus are moved onto it."""

import cv2
import numpy as np
import pytest
from fixtures.painted_nuclei import Disc, Paint

from inkdot.morphometry.half_maximum import aligned_labels
from inkdot.morphometry.priors import WORKING_MPP
from inkdot.morphometry.stain_planes import nuclear_stain


def drawn(shape: tuple[int, ...], discs: list[Disc], off_um: float) -> np.ndarray:
    """Labels of discs whose outlines lie ``off_um`` outside of the true ones."""
    labels = np.zeros(shape, np.int32)
    for number, disc in enumerate(discs, start=1):
        centre = (round(disc.x_um / WORKING_MPP), round(disc.y_um / WORKING_MPP))
        cv2.circle(labels, centre, round((disc.diameter_um / 2 + off_um) / WORKING_MPP), number, -1)
    return labels


def diameter_um(labels: np.ndarray, number: int) -> float:
    return 2 * float(np.sqrt((labels == number).sum() * WORKING_MPP**2 / np.pi))


@pytest.mark.parametrize("blur_um", [0.3, 0.7])
@pytest.mark.parametrize("off_um", [-0.6, 0.6])
def test_outlines_move_to_the_edge_whatever_its_sharpness(
    paint: Paint, off_um: float, blur_um: float
) -> None:
    discs = [Disc(20, 20, 7.2), Disc(50, 20, 10.0), Disc(20, 60, 14.0, amount=0.6)]
    image = paint(discs, mpp=WORKING_MPP, blur_um=blur_um)
    before = drawn(image.shape[:2], discs, off_um)
    after = aligned_labels(before, nuclear_stain(image))
    for number, disc in enumerate(discs, start=1):
        assert abs(diameter_um(before, number) / disc.diameter_um - 1) > 0.05
        assert diameter_um(after, number) == pytest.approx(disc.diameter_um, rel=0.04)


def test_a_nucleus_takes_nothing_of_one_that_touches_it(paint: Paint) -> None:
    discs = [Disc(40, 40, 10.0), Disc(49.5, 40, 10.0)]
    image = paint(discs, mpp=WORKING_MPP)
    before = drawn(image.shape[:2], discs, -0.5)
    after = aligned_labels(before, nuclear_stain(image))
    assert not ((before == 1) & (after == 2)).any()
    assert not ((before == 2) & (after == 1)).any()
    assert all(diameter_um(after, number) == pytest.approx(10.0, rel=0.06) for number in (1, 2))


def test_cytoplasm_half_as_dark_is_not_taken_for_the_nucleus(paint: Paint) -> None:
    cell, nucleus = Disc(40, 40, 18.0, amount=0.3), Disc(40, 40, 9.0, amount=0.7)
    image = paint([cell, nucleus], mpp=WORKING_MPP)
    after = aligned_labels(drawn(image.shape[:2], [nucleus], 0.5), nuclear_stain(image))
    assert diameter_um(after, 1) == pytest.approx(9.0, rel=0.05)


def test_a_label_without_a_nucleus_or_without_surroundings_is_left(paint: Paint) -> None:
    image = paint([Disc(40, 40, 10.0)], mpp=WORKING_MPP)
    stain = nuclear_stain(image)
    flat = drawn(image.shape[:2], [Disc(70, 70, 8.0)], 0.0)
    np.testing.assert_array_equal(aligned_labels(flat, np.zeros_like(stain)), flat)
    everywhere = np.ones(image.shape[:2], np.int32)
    np.testing.assert_array_equal(aligned_labels(everywhere, stain), everywhere)
