"""Columns that hold nothing, and columns that may be another form of the truth, are said before anybody believes a gain."""

from dataclasses import replace

import numpy as np
from case_model.conftest import MakeCases

from inkdot.case_model.case_table import CaseTable
from inkdot.case_model.column_notes import column_notes


def with_case_column(table: CaseTable, values: np.ndarray) -> CaseTable:
    words = values.dtype.kind == "U"
    return replace(
        table,
        numbers={**table.numbers, **({} if words else {"own": values})},
        categories={**table.categories, **({"own": values} if words else {})},
        blocks={**table.blocks, "own": "case"},
    )


def test_ordinary_columns_have_no_note(make_cases: MakeCases) -> None:
    assert column_notes(make_cases(200, 1.0, 1.0, missing=0.3)) == []


def test_a_column_without_two_values_is_named(make_cases: MakeCases) -> None:
    table = make_cases(60, 1.0, 1.0)
    for values in (np.full(60, np.nan), np.full(60, 3.0), np.full(60, "same"), np.full(60, "")):
        (note,) = column_notes(with_case_column(table, values))
        assert "own" in note
        assert "says nothing" in note


def test_a_column_that_splits_the_classes_is_named(make_cases: MakeCases) -> None:
    table = make_cases(60, 1.0, 1.0)
    positive = table.positive.astype(float)
    generator = np.random.default_rng(1)
    apart = 5 * positive + generator.random(60)
    gappy = np.where(generator.random(60) < 0.3, np.nan, -apart)
    words = np.where(table.positive, generator.choice(["a", "b"], 60), "c")
    for values in (positive, apart, gappy, words):
        (note,) = column_notes(with_case_column(table, values))
        assert "own" in note
        assert "the truth in another form" in note


def test_few_known_values_prove_no_split(make_cases: MakeCases) -> None:
    table = make_cases(60, 1.0, 1.0)
    values = np.full(60, np.nan)
    values[[0, 1, 58, 59]] = [1.0, 2.0, 3.0, 4.0]
    assert column_notes(with_case_column(table, values)) == []
    values = np.full(60, 2.0)
    values[0] = 1.0  # one positive case of 24 differs
    assert column_notes(with_case_column(table, values)) == []


def test_being_measured_in_one_class_alone_is_named(make_cases: MakeCases) -> None:
    table = make_cases(60, 1.0, 1.0)
    values = np.where(table.positive, np.random.default_rng(0).random(60), np.nan)
    (note,) = column_notes(with_case_column(table, values))
    assert "known in one class alone" in note
