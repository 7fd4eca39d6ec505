"""The case panel: cited ranges, what a value cannot exclude, and nothing that names a person where names are hidden."""

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
from fixtures.founding_case import FOUNDING, write_cases

from inkdot.cases.case_panel import PanelRow, case_panel
from inkdot.cases.case_record import Case, SignedCategory
from inkdot.cases.counts import combined_positive_score
from inkdot.cases.read_cases import check_cases, read_cases
from inkdot.cases.reference_ranges import default_reference_ranges, read_reference_ranges
from inkdot.errors import ConfigError


@pytest.fixture
def founding(tmp_path: Path) -> Case:
    (case,) = read_cases(write_cases(tmp_path / "cases.csv", [FOUNDING]))
    return case


def rows_of(case: Case) -> dict[str, PanelRow]:
    return {row.label: row for row in case_panel(case)}


def test_the_founding_case_has_cited_ranges_and_what_they_cannot_exclude(founding: Case) -> None:
    rows = rows_of(founding)
    protein = rows["CSF protein"]
    assert (protein.value, protein.range, protein.warning) == ("0.75 g/L", "< 0.5", True)
    assert "above the range" in protein.note
    assert "Tumani 2020" in protein.source
    assert (rows["Opening pressure"].range, rows["Opening pressure"].warning) == ("60 to 250", False)
    assert "does not exclude large-cell: only 46 % are positive" in rows["CgA (tissue)"].note
    assert rows["CgA (tissue)"].source == "Mod Pathol 2019;32:100"
    assert "does not exclude" in rows["MRI"].note
    assert rows["Ki-67 (tissue)"].value == "90 %"
    assert rows["Cytology"].value == "malignant, signed by reader-1"
    assert rows["Evidence level (EANO-ESMO)"].value == "confirmed"
    assert "Volume" not in rows  # what is unknown has no row


def test_every_range_and_every_note_on_a_fact_has_a_source(founding: Case) -> None:
    known = default_reference_ranges()
    assert all(entry.source for entry in (*known.ranges, *known.stains, *known.choices))
    unsourced = [note.column for note in known.values if not note.source]
    assert unsourced == ["csf_chloride_mmol_per_l"]  # which says that no range is shown
    assert all(row.source for row in case_panel(founding) if row.range)


@pytest.mark.parametrize(
    ("column", "value", "note"),
    [
        ("volume_ml", 4.9, "little: EANO-ESMO asks for at least 5 mL"),
        ("volume_ml", 5, "small volumes are a cause of false negatives"),
        ("volume_ml", 10.5, ""),
        ("tap_number", 1, "first tap"),
        ("tap_number", 2, ""),
        ("minutes_to_processing", 30, ""),
        ("minutes_to_processing", 31, "late: process ideally within 30 min"),
    ],
)
def test_specimens_that_are_not_as_advised_have_a_warning(column: str, value: float, note: str) -> None:
    (row,) = case_panel(Case("", "P", **{column: value}))  # pyright: ignore[reportArgumentType]
    assert row.warning == bool(note)
    assert row.note.startswith(note)
    assert bool(row.note) == bool(note)


def test_limits_are_outside_where_the_source_says_less_or_more() -> None:
    def side(**values: float) -> bool:
        return case_panel(Case("", "P", **values))[0].warning  # pyright: ignore[reportArgumentType]

    assert not side(csf_protein_g_per_l=0.499)
    assert side(csf_protein_g_per_l=0.5)
    assert not side(csf_lactate_mmol_per_l=0.9)
    assert not side(csf_lactate_mmol_per_l=2.7)
    assert side(csf_lactate_mmol_per_l=2.71)


def test_the_glucose_ratio_is_shown_where_both_are_known() -> None:
    rows = rows_of(Case("", "P", csf_glucose_mmol_per_l=1.72, serum_glucose_mmol_per_l=5.5))
    assert (rows["CSF/serum glucose"].value, rows["CSF/serum glucose"].range) == ("0.31", "> 0.5")
    assert rows["CSF/serum glucose"].warning


def test_hidden_names_leave_no_free_text(founding: Case, tmp_path: Path) -> None:
    row = {
        **FOUNDING,
        "ihc": "Syn=positive; DoeStain=positive",
        "primary_tumour": "of Jane Doe",
        "signed_by": "Dr Doe",
    }
    (case,) = read_cases(write_cases(tmp_path / "named.csv", [{**row, "note": "Doe"}]))
    assert "Doe" in repr(case_panel(case))
    hidden = case_panel(case, free_text=False)
    assert "Doe" not in repr(hidden)
    assert "malignant, signed" in [row.value for row in hidden]
    assert "Syn (tissue)" in [row.label for row in hidden]


def test_a_laboratory_brings_its_own_ranges(founding: Case, tmp_path: Path) -> None:
    path = tmp_path / "ranges.yaml"
    path.write_text(
        "format: inkdot.reference-ranges/1\nname: ours\n"
        "ranges: [{column: csf_chloride_mmol_per_l, lowest: 118, highest: 132, source: our laboratory}]\n"
    )
    rows = {row.label: row for row in case_panel(founding, read_reference_ranges(path))}
    assert (rows["CSF chloride"].range, rows["CSF chloride"].note) == ("118 to 132", "below the range")
    assert rows["CSF protein"].range == ""


def test_ranges_are_strict(tmp_path: Path) -> None:
    text = (files("inkdot.cases") / "data" / "reference_ranges.yaml").read_text(encoding="utf-8")
    path = tmp_path / "ranges.yaml"
    for old, new, found in (
        (
            "column: csf_protein_g_per_l, lowest",
            "column: protein, lowest",
            "ranges.0: column: expected one of",
        ),
        ("lowest: 0.9, highest: 2.7", "lowest: 2.7, highest: 0.9", "expected lowest below highest"),
        ("lowest: 0.9, highest: 2.7", "lowest: null, highest: null", "expected lowest, highest or both"),
        ("lowest: 60", "lowest: sixty", "found 'sixty'"),
        ("word: normal", "word: clear", "word: expected one of linear"),
        ("- {marker: Syn, stain: negative", "- {marker: Syn, stain: no", "stains.0.stain"),
    ):
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(ConfigError, match=found):
            read_reference_ranges(path)


def test_the_combined_positive_score_is_arithmetic_on_counts(tmp_path: Path) -> None:
    score = combined_positive_score(10, 5, 100)
    assert (score.value, score.tumour_percent, score.capped) == (15.0, 10.0, False)
    assert combined_positive_score(90, 60, 100).value == 100.0
    assert combined_positive_score(90, 60, 100).capped
    assert combined_positive_score(0, 0, 7).value == 0.0
    for counts, found in (
        ((1, 0, 0), "expected at least 1, found 0"),
        ((-1, 0, 5), "expected a whole number of at least 0, found -1"),
        ((1.5, 0, 5), "found 1.5"),
        ((float("nan"), 0, 5), "found nan"),
        ((6, 0, 5), "expected at most the viable ones"),
    ):
        with pytest.raises(ValueError, match=found):
            combined_positive_score(*counts)
    counted = {
        "patient_id": "P",
        "pdl1_stained_tumour_cells": "3",
        "pdl1_stained_immune_cells": "2",
        "pdl1_viable_tumour_cells": "40",
    }
    (case,) = read_cases(write_cases(tmp_path / "cases.csv", [counted]))
    (row,) = case_panel(case)
    assert (row.label, row.value) == ("PD-L1 CPS", "12.5")
    assert row.note == "(3 + 2) / 40 × 100, counted by a person"
    assert case_panel(replace(case, pdl1_viable_tumour_cells=None)) == ()
    wrong = check_cases(write_cases(tmp_path / "wrong.csv", [{**counted, "pdl1_stained_tumour_cells": "41"}]))
    assert "expected at most the viable tumour cells (40), found 41" in wrong.errors[0]
    assert case_panel(wrong.cases[0]) == ()


def test_another_specimen_that_confirms_is_named_beside_the_level_of_this_one(founding: Case) -> None:
    second = replace(founding, specimen_id="SECRET-2")
    first = replace(founding, specimen_id="t1", signed_category=SignedCategory("negative", "reader-1"))
    panel = case_panel(first, of_patient=[first, second], free_text=False)
    row = next(row for row in panel if row.label.startswith("Evidence"))
    assert row.value == "possible"
    assert row.note.endswith(
        "another row of this patient is confirmed; the level here is that of this row alone"
    )
    assert row.warning
    assert "SECRET" not in repr(panel)
    for case, rows in ((first, [first]), (second, [first, second]), (first, ())):
        assert not any(
            row.warning for row in case_panel(case, of_patient=rows) if row.label.startswith("Evid")
        )
    other = replace(second, patient_id="Q")
    assert not any("another row" in row.note for row in case_panel(first, of_patient=[other, first]))
