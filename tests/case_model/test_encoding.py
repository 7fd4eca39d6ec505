"""Terms of numbers and categories: by hand, and splines against SciPy's."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from inkdot.case_model.case_table import CaseTable
from inkdot.case_model.encoding import Encoding, fit_encoding, raw_terms, spline_curve


def small_table() -> CaseTable:
    words = ["normal"] * 8 + ["linear"] * 5 + ["nodular"] * 2 + [""] * 5
    return CaseTable(
        ids=np.array([str(row) for row in range(20)]),
        patients=np.array([str(row) for row in range(20)]),
        truth=np.arange(20) < 10,
        numbers={"cells": np.array([np.nan] * 5 + list(range(15))), "ph": np.array([np.nan, *range(19)])},
        categories={"mri": np.array(words)},
        blocks={"cells": "case", "ph": "case", "mri": "case"},
    )


def test_a_restricted_spline_is_a_natural_spline_through_its_knots() -> None:
    knots = [0.5, 2.0, 7.0]
    reference = CubicSpline(knots, spline_curve(knots, knots), bc_type="natural")
    inside = np.linspace(0.5, 7.0, 50)
    np.testing.assert_allclose(spline_curve(inside, knots), reference(inside), atol=1e-12)
    np.testing.assert_allclose(spline_curve([-3.0, 0.5], knots), [0.0, 0.0])
    beyond = spline_curve([8.0, 9.0, 30.0], knots)
    slope = float(reference(7.0, 1))
    np.testing.assert_allclose(beyond, reference(7.0) + slope * np.array([1.0, 2.0, 23.0]))


def test_missing_values_and_rare_levels_by_hand() -> None:
    table = small_table()
    encoding = fit_encoding(table, ["cells", "ph", "mri"], log=["cells"])
    terms = raw_terms(encoding.columns, table)
    assert list(terms) == ["log(1 + cells)", "cells missing", "ph", "mri = linear", "mri missing"]
    np.testing.assert_allclose(
        terms["log(1 + cells)"][:6], [np.log(8.0)] * 5 + [0.0]
    )  # the median of 0 to 14 is 7
    assert terms["cells missing"].tolist() == [1.0] * 5 + [0.0] * 15
    assert terms["ph"][0] == 9.0  # one missing value has no term of its own
    assert terms["mri = linear"].sum() == 5
    (cells, ph, mri) = encoding.columns
    assert (cells.missing, ph.missing, mri.missing) == (5, 1, 5)
    assert mri.kind == "category"
    assert (mri.reference, mri.rare) == ("normal", ["nodular"])
    design = encoding.design(table)
    np.testing.assert_allclose(design.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(design.std(axis=0), 1.0)


def test_other_cases_are_encoded_by_the_numbers_of_training() -> None:
    table = small_table()
    encoding = fit_encoding(table, ["cells", "mri"])
    read_back = Encoding.model_validate_json(encoding.model_dump_json())
    others = replace(
        table.of(np.arange(3)),
        numbers={"cells": np.array([np.nan, 7.0, 100.0]), "ph": np.zeros(3)},
        categories={"mri": np.array(["never seen", "nodular", "linear"])},
    )
    raw = raw_terms(read_back.columns, others)
    assert raw["cells"].tolist() == [7.0, 7.0, 100.0]
    assert raw["mri = linear"].tolist() == [0.0, 0.0, 1.0]
    np.testing.assert_array_equal(read_back.design(others), encoding.design(others))


@pytest.mark.parametrize("curves", [False, True])
def test_a_column_without_variation_has_finite_terms(curves: bool) -> None:
    table = replace(small_table(), numbers={"cells": np.full(20, 3.0), "ph": np.full(20, np.nan)})
    design = fit_encoding(table, ["cells", "ph"], curves=curves).design(table)
    assert design.shape == (20, 2)
    np.testing.assert_array_equal(design, 0.0)
