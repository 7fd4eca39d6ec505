"""``cases.csv``: every slip of a unit, an unknown word and a broken cell is named by line and column; nothing is guessed."""

from dataclasses import fields
from pathlib import Path

import pytest
from fixtures.founding_case import FOUNDING, write_cases

from inkdot.cases.case_record import Case, IhcResult, SignedCategory
from inkdot.cases.columns import CHOICE_COLUMNS, KNOWN, NUMBER_COLUMNS
from inkdot.cases.join_slides import cases_of_slides, join_notes
from inkdot.cases.read_cases import check_cases, read_cases
from inkdot.errors import ManifestError
from inkdot.records import SlideEntry


def test_the_founding_case_is_read_as_published(tmp_path: Path) -> None:
    (case,) = read_cases(write_cases(tmp_path / "cases.csv", [FOUNDING]))
    assert (case.csf_protein_g_per_l, case.csf_glucose_mmol_per_l, case.opening_pressure_mmh2o) == (
        0.75,
        1.72,
        250,
    )
    assert case.ihc["Ki-67"] == IhcResult("Ki-67", "percent", 90.0)
    assert case.ihc["CgA"].stain == "negative"
    assert case.signed_category == SignedCategory("malignant", "reader-1")
    assert case.mri == "normal"
    assert case.volume_ml is None
    assert check_cases(tmp_path / "cases.csv").warnings == ()


def test_only_patient_id_is_required_and_free_columns_are_kept(tmp_path: Path) -> None:
    (case,) = read_cases(
        write_cases(tmp_path / "cases.csv", [{"patient_id": "P", "skull_metastasis": "1", "note": "x"}])
    )
    assert case.number("skull_metastasis") == 1
    assert case.number("csf_protein_g_per_l") is None
    with pytest.raises(ValueError, match="expected a number or blank, found 'x'"):
        case.number("note")


def test_every_column_has_its_field() -> None:
    assert set(KNOWN) - {"signed_by"} == {field.name for field in fields(Case)} - {"where", "extra"}


SLIPS = [
    ("csf_protein_g_per_l", "75", r"expected 0\.05 to 20 g/L, found 75; is it in mg/dL \(0\.75 g/L\)\?$"),
    ("csf_protein_g_per_l", "450", r"is it in mg/dL \(4\.5 g/L\) or mg/L \(0\.45 g/L\)\?$"),
    ("csf_protein_g_per_l", "0,75", "found '0,75'; write a decimal point$"),
    ("csf_protein_g_per_l", "75 mg/dl", r"the unit is in the name of the column: write 0\.75$"),
    ("csf_glucose_mmol_per_l", "31", r"expected 0 to 25 mmol/L, found 31; is it in mg/dL \(1\.72 mmol/L\)\?$"),
    ("serum_glucose_mmol_per_l", "95", r"is it in mg/dL \(5\.27 mmol/L\)\?$"),
    ("csf_lactate_mmol_per_l", "45", r"is it in mg/dL \(5 mmol/L\)\?$"),
    ("csf_chloride_mmol_per_l", "404", r"is it in mg/dL \(114 mmol/L\)\?$"),
    ("csf_cells_per_ul", "15/3", "a count of a Fuchs-Rosenthal chamber: write 5$"),
    ("csf_cells_per_ul", "4000000", r"is it in cells/L \(4 cells/µL\)\?$"),
    ("volume_ml", "3000", r"is it in µL \(3 mL\)\?$"),
    ("volume_ml", "0", r"expected 0\.05 to 100 mL, found 0; correct it$"),
    ("csf_lactate_mmol_per_l", "<0.3", "beyond a limit of detection"),
    ("csf_protein_g_per_l", "nan", "expected a number g/L or blank, found 'nan'"),
    ("csf_protein_g_per_l", "٣", "expected a number"),
    ("csf_protein_g_per_l", "-0.4", "expected a number"),
    ("tap_number", "1.5", "expected a whole number"),
    ("tap_number", "0", "expected 1 to 100, found 0"),
    ("mri", "clear", "expected linear, nodular, both, hydrocephalus_only, equivocal, normal, not_done or blank, found 'clear'"),
    ("treatment", "chemo", "expected intrathecal, radiation, shunt, surgery, none"),
    ("treatment", "none; shunt", "expected none alone"),
    ("ihc", "Syn+", "expected MARKER=RESULT"),
    ("ihc", "Syn=+", r"Syn: expected negative, positive, a percentage .* found '\+'; write negative or positive$"),
    ("ihc", "Ki-67=130%", r"Ki-67: expected negative, positive, a percentage such as 90% \(0 to 100\)"),
    ("ihc", "CgA=negative; chromogranin A=positive", "expected each marker once, found CgA twice"),
    ("signed_category", "positive", "expected nondiagnostic, negative, atypical, suspicious, malignant or blank"),
    ("specimen_id", "a\x1b[2J", "expected one line of at most 200 characters"),
    ("primary_tumour", "x" * 300, "expected one line of at most 200 characters"),
]  # fmt: skip


@pytest.mark.parametrize(("column", "text", "found"), SLIPS)
def test_a_cell_that_cannot_be_is_named_in_one_line(
    tmp_path: Path, column: str, text: str, found: str
) -> None:
    table = write_cases(tmp_path / "cases.csv", [{"patient_id": "P", column: text}])
    with pytest.raises(ManifestError, match=rf"cases\.csv: line 2: column {column}: .*{found}") as raised:
        read_cases(table)
    assert "\n" not in str(raised.value)


def test_all_cells_are_checked_and_the_other_cells_kept(tmp_path: Path) -> None:
    rows = [
        {"patient_id": "A", "csf_protein_g_per_l": "75", "csf_glucose_mmol_per_l": "60", "tap_number": "2"},
        {"patient_id": "", "csf_protein_g_per_l": "0.3"},
    ]
    table = write_cases(tmp_path / "cases.csv", rows)
    checked = check_cases(table)
    assert len(checked.errors) == 3
    assert checked.cases[0].tap_number == 2
    assert checked.cases[0].csf_protein_g_per_l is None
    with pytest.raises(ManifestError, match=r"and 2 more: `inkdot case check` lists them"):
        read_cases(table)


def test_glucose_of_two_units_is_named(tmp_path: Path) -> None:
    row = {"patient_id": "A", "csf_glucose_mmol_per_l": "20", "serum_glucose_mmol_per_l": "5.5"}
    (error,) = check_cases(write_cases(tmp_path / "cases.csv", [row])).errors
    assert error.endswith(
        "column csf_glucose_mmol_per_l: expected at most 1.5 times the serum glucose (5.5), found 20; "
        "is one of them in mg/dL, or are they exchanged?"
    )


def test_possible_but_unusual_values_are_warnings(tmp_path: Path) -> None:
    row = {
        "patient_id": "A",
        "opening_pressure_mmh2o": "25",
        "csf_protein_g_per_l": "15",
        "csf_cells_per_ul": "0",
    }
    checked = check_cases(write_cases(tmp_path / "cases.csv", [row]))
    assert checked.errors == ()
    protein, pressure = checked.warnings
    assert protein.endswith("15 is possible, usually 0.1 to 5 g/L; is it in mg/dL (0.15 g/L)?")
    assert pressure.endswith("usually 60 to 600 mmH2O; is it in cmH2O (250 mmH2O) or mmHg (340 mmH2O)?")


def test_a_category_without_a_name_is_not_signed(tmp_path: Path) -> None:
    table = write_cases(tmp_path / "cases.csv", [{"patient_id": "A", "signed_category": "malignant"}])
    checked = check_cases(table)
    assert checked.cases[0].signed_category is None
    assert "column signed_by: expected who signed the category" in checked.errors[0]
    with pytest.raises(ValueError, match="expected who signed"):
        SignedCategory("malignant", " ")


def test_misspelt_columns_and_repeated_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ManifestError, match="expected column 'csf_protein_g_per_l', found 'CSF protein g per L'"
    ):
        read_cases(write_cases(tmp_path / "a.csv", [{"patient_id": "A", "CSF protein g per L": "1"}]))
    with pytest.raises(
        ManifestError, match=r"line 3: .*expected one row for patient 'A', found another in line 2"
    ):
        read_cases(write_cases(tmp_path / "b.csv", [{"patient_id": "A"}, {"patient_id": "A"}]))


def test_rows_are_joined_by_patient_and_specimen(tmp_path: Path) -> None:
    rows = [
        {"patient_id": "A", "specimen_id": "A1"},
        {"patient_id": "A", "specimen_id": "A2"},
        {"patient_id": "B"},
        {"patient_id": "C"},
    ]
    cases = read_cases(write_cases(tmp_path / "cases.csv", rows))
    entries = [
        SlideEntry("a1", Path("a"), patient_id="A", specimen_id="A1"),
        SlideEntry("a", Path("b"), patient_id="A"),
        SlideEntry("b", Path("c"), patient_id="B", specimen_id="B7"),
        SlideEntry("d", Path("d"), patient_id="D"),
        SlideEntry("none", Path("e")),
    ]
    joined = cases_of_slides(cases, entries)
    assert {name: case.specimen_id for name, case in joined.items()} == {"a1": "A1", "b": ""}
    assert join_notes(cases, entries) == [
        "cases: patient 'C' of cases.csv: no slide of this patient_id in slides.csv",
        "cases: patient 'D' of slides.csv: no row in cases.csv",
        "cases: slides 'a': the patient has several rows and none is of the slide's specimen_id; "
        "write the same specimen_id in both tables",
    ]


def test_limits_are_consistent() -> None:
    for column in NUMBER_COLUMNS:
        assert column.lowest <= column.usual[0] < column.usual[1] <= column.highest, column.name
    assert all(len(set(words)) == len(words) for words in CHOICE_COLUMNS.values())


def test_a_free_column_like_a_known_one_is_a_warning(tmp_path: Path) -> None:
    row = {
        "patient_id": "P",
        "csf_protein": "75",
        "csf_protein_mg_per_dl": "75",
        "volume": "4",
        "ki67": "90",
        "outcome_1y": "x",
    }
    found = check_cases(write_cases(tmp_path / "cases.csv", [row])).warnings
    assert len(found) == 3
    for name, meant in (
        ("csf_protein", "csf_protein_g_per_l"),
        ("csf_protein_mg_per_dl", "csf_protein_g_per_l"),
        ("volume", "volume_ml"),
    ):
        (line,) = (line for line in found if f"column {name}:" in line)
        assert f"neither checked nor shown, since its name is not {meant}" in line


def test_a_patient_written_in_two_ways_is_named(tmp_path: Path) -> None:
    path = write_cases(tmp_path / "cases.csv", [{"patient_id": name} for name in ("P-1", "p 1", "Q")])
    (warning,) = check_cases(path).warnings
    assert "column patient_id: 'p 1' differs from 'P-1' of line 2 only in" in warning
    notes = join_notes(read_cases(path)[2:], [SlideEntry("s", Path("s.svs"), patient_id="q ")])
    assert notes[-1] == (
        "cases: patient_id 'Q' of cases.csv and 'q ' of slides.csv differ only in capitals, spaces or punctuation; "
        "write one of them in both tables"
    )
