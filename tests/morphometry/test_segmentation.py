"""Nuclei are found, and only nuclei; their size does not depend on scale or stain."""

import numpy as np
import pytest
from fixtures.painted_nuclei import Disc, Paint

from inkdot.morphometry import measure_nuclei, segment_at_unknown_scale, segment_nuclei
from inkdot.morphometry.stain_planes import nuclear_stain
from inkdot.records import Mpp

LYMPHOCYTES = [Disc(15 + 17 * column, 15 + 17 * row, 7.2) for row in range(5) for column in range(5)]


def diameters(image: np.ndarray, mpp: Mpp) -> list[float]:
    return sorted(one.diameter_um for one in measure_nuclei(image, segment_nuclei(image, mpp).labels, mpp))


@pytest.mark.parametrize("mpp", [0.22, 0.25, 0.5])
def test_every_lymphocyte_at_its_size_at_every_scale(paint: Paint, mpp: float) -> None:
    found = diameters(paint(LYMPHOCYTES, mpp=mpp), Mpp.square(mpp))
    assert len(found) == 25
    assert np.median(found) == pytest.approx(7.2, rel=0.04)
    assert np.ptp(found) < 0.6


def test_pixels_need_not_be_square(paint: Paint) -> None:
    square = paint(LYMPHOCYTES, mpp=0.25)
    oblong = np.ascontiguousarray(square[::2])  # every second row: 0.25 by 0.5 µm
    found = diameters(oblong, Mpp(Mpp.square(0.25).x, Mpp.square(0.5).y))
    assert len(found) == 25
    assert np.median(found) == pytest.approx(7.2, rel=0.06)


@pytest.mark.parametrize("diameter", [5.0, 11.0, 15.0, 22.0])
@pytest.mark.parametrize("amount", [0.5, 1.2])
def test_sizes_and_stain_strengths(paint: Paint, diameter: float, amount: float) -> None:
    found = diameters(
        paint([Disc(30, 30, diameter, amount=amount), Disc(70, 70, diameter, amount=amount)]),
        Mpp.square(0.25),
    )
    assert found == pytest.approx([diameter] * 2, rel=0.05)


@pytest.mark.parametrize(("dye", "amount"), [("light_green", 0.25), ("eosin", 0.3), ("orange_g", 0.3)])
def test_cytoplasm_does_not_widen_the_nucleus(paint: Paint, dye: str, amount: float) -> None:
    cell = [Disc(50, 50, 18, dye, amount), Disc(50, 50, 9.0)]
    assert diameters(paint(cell), Mpp.square(0.25)) == pytest.approx([9.0], rel=0.05)


def test_cells_without_a_nucleus_are_paler_in_nuclear_stain(paint: Paint) -> None:
    for dye in ("light_green", "eosin", "orange_g"):
        stain = nuclear_stain(paint([Disc(50, 50, 20, dye, 0.3)]))
        assert float(stain[190:210, 190:210].mean()) < 0.15
    nucleus = nuclear_stain(paint([Disc(50, 50, 20, "haematoxylin", 0.9)]))
    assert float(nucleus[190:210, 190:210].mean()) == pytest.approx(0.9, abs=0.03)


def test_red_cells_beside_lymphocytes_are_no_nuclei(paint: Paint) -> None:
    red = [
        Disc(23 + 17 * column, 23 + 17 * row, 6.8, "orange_g", 0.25)
        for row in range(4)
        for column in range(4)
    ]
    assert len(diameters(paint([*LYMPHOCYTES, *red]), Mpp.square(0.25))) == 25


def test_touching_nuclei_are_split(paint: Paint) -> None:
    chain = [Disc(20 + 10.5 * index, 50, 11.5) for index in range(6)]
    found = diameters(paint(chain), Mpp.square(0.25))
    assert len(found) == 6
    assert np.median(found) == pytest.approx(11.5, rel=0.06)


def test_long_nuclei_stay_whole(paint: Paint) -> None:
    found = diameters(paint([Disc(50, 50, 12, aspect=2.2)]), Mpp.square(0.25))
    assert found == pytest.approx([12], rel=0.05)


def test_pale_middles_stay_whole(paint: Paint) -> None:
    vesicular = [Disc(50, 50, 15, amount=1.0), Disc(50, 50, 12, amount=-0.5)]
    assert diameters(paint(vesicular), Mpp.square(0.25)) == pytest.approx([15], rel=0.06)


def test_nothing_on_empty_glass(paint: Paint) -> None:
    assert segment_nuclei(paint([]), Mpp.square(0.25)).labels.max() == 0
    assert segment_nuclei(np.full((40, 60, 3), 243, np.uint8), Mpp.square(0.25)).labels.max() == 0
    assert segment_nuclei(np.zeros((40, 60, 3), np.uint8), Mpp.square(0.25)).labels.max() == 0


def test_labels_have_no_gaps_and_are_the_same_every_time(paint: Paint) -> None:
    image = paint(LYMPHOCYTES)
    labels = segment_nuclei(image, Mpp.square(0.25)).labels
    assert labels.dtype == np.int32
    assert labels.shape == image.shape[:2]
    numbers, first = np.unique(labels, return_index=True)
    assert numbers.tolist() == list(range(26))
    assert (np.diff(first[1:]) > 0).all()
    assert np.array_equal(labels, segment_nuclei(image, Mpp.square(0.25)).labels)


@pytest.mark.parametrize("mpp", [0.15, 0.3, 0.7])
def test_unknown_scale(paint: Paint, mpp: float) -> None:
    found = segment_at_unknown_scale(paint(LYMPHOCYTES, mpp=mpp))
    assert found.labels.max() == 25
    areas = np.bincount(found.labels.ravel())[1:]
    assert np.median(2 * np.sqrt(areas / np.pi)) * mpp == pytest.approx(7.2, rel=0.06)
