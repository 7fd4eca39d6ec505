"""Measured numbers against the numbers that were painted."""

from dataclasses import replace

import numpy as np
import pytest
from fixtures.painted_nuclei import Disc, Paint

from inkdot.morphometry import (
    NucleusMeasurement,
    cluster_table,
    lymphocyte_reference,
    measure_clusters,
    measure_nuclei,
    nucleus_table,
    segment_nuclei,
)
from inkdot.morphometry.arrays import steepness
from inkdot.records import Mpp

QUARTER = Mpp.square(0.25)


def measured(image: np.ndarray) -> list[NucleusMeasurement]:
    return measure_nuclei(image, segment_nuclei(image, QUARTER).labels, QUARTER)


def test_region_shape_and_darkness(paint: Paint) -> None:
    (one,) = measured(paint([Disc(40, 60, 12, aspect=1.5, amount=0.8)]))
    assert (one.x_px * 0.25, one.y_px * 0.25) == pytest.approx((40, 60), abs=0.3)
    assert one.area_um2 == pytest.approx(np.pi * 36, rel=0.08)
    assert one.aspect == pytest.approx(1.5, rel=0.06)
    assert one.solidity_fraction > 0.95
    assert one.mean_od == pytest.approx(0.8 * (0.651 + 0.701) / 2, rel=0.08)
    assert one.stain == pytest.approx(0.8, rel=0.08)
    assert not one.touches_border


def test_a_nucleus_at_the_border_says_so(paint: Paint) -> None:
    assert [one.touches_border for one in measured(paint([Disc(0, 50, 12), Disc(50, 50, 12)]))] == [
        True,
        False,
    ]


@pytest.mark.parametrize("ratio", [0.4, 0.6, 0.85])
def test_nucleus_to_cell(paint: Paint, ratio: float) -> None:
    (one,) = measured(paint([Disc(50, 50, 10 / ratio, "light_green", 0.25), Disc(50, 50, 10.0)]))
    assert one.nc_diameter_ratio == pytest.approx(ratio, abs=0.07)


def test_a_naked_nucleus(paint: Paint) -> None:
    (one,) = measured(paint([Disc(50, 50, 10.0)]))
    assert one.nc_diameter_ratio > 0.9


def test_a_nucleolus_scores(paint: Paint) -> None:
    (plain,) = measured(paint([Disc(50, 50, 15, amount=0.7)]))
    (marked,) = measured(paint([Disc(50, 50, 15, amount=0.7), Disc(51, 50, 2.2, amount=0.5)]))
    assert plain.nucleolus_score < 0.15
    assert marked.nucleolus_score > 0.4


def test_clumped_chromatin_is_rougher_than_smooth(paint: Paint) -> None:
    generator = np.random.default_rng(1)
    clumps = [Disc(50 + 5 * x, 50 + 5 * y, 1.0, amount=0.35) for x, y in generator.uniform(-1, 1, (40, 2))]
    (smooth,) = measured(paint([Disc(50, 50, 15, amount=0.7)]))
    (rough,) = measured(paint([Disc(50, 50, 15, amount=0.7), *clumps]))
    assert rough.texture > 2 * smooth.texture


def lymphocyte() -> NucleusMeasurement:
    return NucleusMeasurement(
        1, 10, 10, 38.5, 7.0, 1.05, 0.97, 0.75, 1.1, 0.03, 0.05, 1.0, 0.7, 0.84, 0.8, False
    )


def test_the_lymphocyte_reference_needs_twenty_lymphocytes() -> None:
    nineteen = lymphocyte_reference([lymphocyte()] * 19)
    assert not nineteen.available
    assert nineteen.ratio(15.0) is None
    assert nineteen.hyperchromasia(1.0) is None
    assert nineteen.reason == "lymphocyte reference unavailable: 19 resting lymphocytes, 20 needed"
    twenty = lymphocyte_reference([lymphocyte()] * 20)
    assert twenty.available
    assert twenty.ratio(14.0) == pytest.approx(2.0)
    assert twenty.hyperchromasia(0.75) == pytest.approx(1.0)


def test_other_cells_do_not_change_the_lymphocyte_reference() -> None:
    tumour = replace(lymphocyte(), diameter_um=9.4, area_um2=69.4)
    cut = replace(lymphocyte(), touches_border=True, diameter_um=5.0)
    blurred = replace(lymphocyte(), edge_blur_um=5.0, diameter_um=8.2)
    pale = replace(lymphocyte(), mean_od=0.2, diameter_um=8.2)
    reference = lymphocyte_reference(
        [*[lymphocyte()] * 25, *[tumour] * 8, *[cut] * 8, *[blurred] * 4, *[pale] * 8]
    )
    assert reference.lymphocytes == 25
    assert reference.diameter_um == 7.0


def test_clusters_ratio_and_moulding(paint: Paint) -> None:
    lymphocytes = [Disc(12 + 15 * column, 12 + 15 * row, 7.0) for row in range(2) for column in range(12)]
    moulded = [Disc(40 + 11.0 * column, 90 + 11.0 * row, 11.5) for row in range(2) for column in range(3)]
    apart = [Disc(120 + 16.0 * column, 90 + 16.0 * row, 11.5) for row in range(2) for column in range(3)]
    image = paint([*lymphocytes, *moulded, *apart], side_um=200)
    labels = segment_nuclei(image, QUARTER).labels
    nuclei = measure_nuclei(image, labels, QUARTER)
    reference = lymphocyte_reference(nuclei)
    assert reference.lymphocytes == 24
    clusters = measure_clusters(labels, nuclei, QUARTER, reference)
    large = [one for one in clusters if one.n_nuclei == 6]
    assert len(large) == 2
    tight, loose = sorted(large, key=lambda one: one.x_px)
    assert tight.moulding_index is not None
    assert tight.moulding_index > 0.25
    assert loose.moulding_index == 0.0
    assert loose.diameter_ratio == pytest.approx(11.5 / 7.0, rel=0.05)
    assert loose.diameter_spread is not None
    assert loose.diameter_spread < 0.05
    assert sum(one.n_nuclei for one in clusters) == len(nuclei)


def test_tables_name_units_and_leave_unknown_ratios_empty() -> None:
    nuclei = [lymphocyte()]
    table = nucleus_table(nuclei, lymphocyte_reference(nuclei))
    assert {"diameter_um", "area_um2", "x_px", "mean_od", "diameter_ratio"} <= set(table.column_names)
    assert table["diameter_ratio"].to_pylist() == [None]
    labels = np.zeros((20, 20), np.int32)
    labels[5:9, 5:9] = 1
    clusters = measure_clusters(labels, nuclei, QUARTER, lymphocyte_reference(nuclei))
    assert cluster_table(clusters)["nuclei_labels"].to_pylist() == [[1]]
    assert cluster_table([]).num_rows == nucleus_table([], lymphocyte_reference([])).num_rows == 0
    assert measure_nuclei(np.zeros((20, 20, 3), np.uint8), np.zeros((20, 20), np.int32), QUARTER) == []


def test_the_length_of_a_gradient_does_not_depend_on_where_it_lies_in_memory():
    rng = np.random.default_rng(1)
    along_x, along_y = (rng.normal(size=4099).astype(np.float32) for _ in range(2))
    expected = steepness(along_x[3:], along_y[3:])
    for shift in range(1, 8):
        moved = np.zeros(4099 + 16, np.float32)
        moved[shift : shift + 4096] = along_x[3:]
        assert (steepness(moved[shift : shift + 4096], along_y[3:].copy()) == expected).all()
    assert expected == pytest.approx(np.hypot(along_x[3:].astype(float), along_y[3:]), rel=1e-6)
