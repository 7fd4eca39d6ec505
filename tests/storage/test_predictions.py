"""``predictions.csv``: the table that people open in a spreadsheet."""

from pathlib import Path

import pytest

from inkdot.errors import StorageError
from inkdot.storage.tables.predictions import (
    Prediction,
    read_predictions,
    spreadsheet_safe,
    write_predictions,
)

GOLDEN = Path(__file__).parent / "golden" / "predictions.csv"

ROWS = [
    Prediction("z", "failed", "", reason='expected a slide file, found nothing there; "correct" the path'),
    Prediction(
        "Präparat 1",
        "done",
        "flagged",
        "0.9731",
        120,
        4,
        "2560",
        "128",
        "dark; other stain",
        clusters="61",
        flagged_clusters="3",
        further_calls="morphology: small-cell-like",
        nuclei_in_focus="312",
        assessable_mm2="301.2",
        unassessable_fraction="0.0410",
    ),
    Prediction("=cmd()", "done", "nothing flagged", "0.0100", 80, 0, "-12", "0"),
]


def test_the_form_of_the_table(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    write_predictions(path, ROWS)
    assert path.read_bytes() == GOLDEN.read_bytes()
    write_predictions(path, reversed(ROWS))
    assert path.read_bytes() == GOLDEN.read_bytes()


def test_rows_come_back_as_written() -> None:
    rows = read_predictions(GOLDEN)
    assert [row["slide_id"] for row in rows] == ["'=cmd()", "Präparat 1", "z"]
    assert rows[1]["call"] == "flagged"


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="expected the results of `inkdot predict`"):
        read_predictions(tmp_path / "gone.csv")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1+2", "-a", "@x", "\tx", "\rx"])
def test_a_spreadsheet_shows_formulas_instead_of_running_them(text: str) -> None:
    assert spreadsheet_safe(text) == "'" + text
    assert spreadsheet_safe("a" + text) == "a" + text


def test_numbers_stay_numbers() -> None:
    for text in ("-12", "0", "-0.5", "0.9731", ""):
        assert spreadsheet_safe(text) == text
