from pathlib import Path

import pytest

from inkdot.errors import ManifestError
from inkdot.labels import DEFAULT_HEADS
from inkdot.review.verdicts.verdict_table import (
    COLUMNS,
    VERDICTS_VERSION,
    Verdict,
    latest_verdicts,
    read_verdicts,
    same_region_numbers,
)

SQUARE = "POLYGON ((0 0, 256 0, 256 256, 0 256, 0 0))"


def row(**values: str) -> dict[str, str]:
    plain = {
        "slide_id": "S1",
        "geometry": SQUARE,
        "head": "malignancy",
        "verdict": "benign",
        "reader": "dr-a",
        "time": "2026-01-01T10:00:00.000Z",
        "shown": "scores",
        "model_sha256": "ab" * 32,
        "schema": VERDICTS_VERSION,
    }
    return dict.fromkeys(COLUMNS, "") | plain | values


def table(path: Path, *rows: dict[str, str]) -> Path:
    lines = [",".join(COLUMNS)] + [",".join(f'"{one[name]}"' for name in COLUMNS) for one in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def read(path: Path, *rows: dict[str, str]) -> list[Verdict]:
    return read_verdicts(table(path / "verdicts.csv", *rows), DEFAULT_HEADS)


def test_a_row_is_read_and_cells_made_safe_for_spreadsheets_are_plain_again(tmp_path: Path) -> None:
    (verdict,) = read(tmp_path, row(slide_id="'=S", note="'-1 cell, at the edge"))
    assert (verdict.slide_id, verdict.note) == ("=S", "-1 cell, at the edge")
    assert verdict.geometry.bounds == (0, 0, 256, 256)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("head", "colour"),
        ("verdict", "small_cell"),
        ("verdict", ""),
        ("geometry", "POINT (1 2)"),
        ("geometry", "nonsense"),
        ("reader", " "),
        ("slide_id", ""),
        ("shown", ""),
        (
            "time",
            "01.01.2026 10:00",
        ),  # as a spreadsheet writes it: which verdict is the later one would be lost
        ("time", ""),
        ("schema", "inkdot.verdicts/9"),
    ],
)
def test_a_wrong_cell_is_named_with_its_line(tmp_path: Path, column: str, value: str) -> None:
    with pytest.raises(ManifestError, match=rf"line 3: column {column}"):
        read(tmp_path, row(), row(**{column: value}))


def test_a_table_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ManifestError, match="'slide_id'"):
        read_verdicts(path, DEFAULT_HEADS)
    with pytest.raises(ManifestError, match="found nothing there"):
        read_verdicts(tmp_path / "absent.csv", DEFAULT_HEADS)


def test_a_table_that_a_spreadsheet_saved_is_read(tmp_path: Path) -> None:
    path = table(tmp_path / "verdicts.csv", row(note="'=1+1"))
    text = path.read_text(encoding="utf-8").replace('","', '";"').replace(",", ";", len(COLUMNS) - 1)
    path.write_bytes(f"{text}{';' * (len(COLUMNS) - 1)}\n".replace("\n", "\r\n").encode("utf-8-sig"))
    (verdict,) = read_verdicts(path, DEFAULT_HEADS)
    assert (verdict.slide_id, verdict.verdict, verdict.note) == ("S1", "benign", "=1+1")


def test_a_table_in_another_encoding_says_how_to_save_it(tmp_path: Path) -> None:
    path = table(tmp_path / "verdicts.csv", row(reader="Dr. Müller"))
    path.write_bytes(path.read_text(encoding="utf-8").encode("cp1252"))
    with pytest.raises(ManifestError, match="save it as 'CSV UTF-8'"):
        read_verdicts(path, DEFAULT_HEADS)


def test_the_last_verdict_of_a_reader_counts_and_readers_stay_apart(tmp_path: Path) -> None:
    verdicts = read(
        tmp_path,
        row(verdict="malignant", time="2026-01-02T10:00:00.000Z"),
        row(verdict="benign", time="2026-01-01T10:00:00.000Z"),
        row(verdict="atypical", reader="dr-b"),
        row(head="", verdict="", note="only a note"),
    )
    assert [(v.reader, v.verdict) for v in latest_verdicts(verdicts)] == [
        ("dr-a", "malignant"),
        ("dr-b", "atypical"),
    ]


def test_not_a_cell_and_a_class_exclude_each_other_by_time(tmp_path: Path) -> None:
    def no_cell(**values: str) -> dict[str, str]:
        return row(head="cell_finder", verdict="not_a_cell", **values)

    elsewhere = "POLYGON ((900 0, 950 0, 950 50, 900 50, 900 0))"
    later = "2026-01-02T10:00:00.000Z"
    verdicts = read(
        tmp_path,
        row(verdict="malignant"),
        row(head="morphology", verdict="small_cell"),
        no_cell(time=later),  # in place of a class
        no_cell(geometry=elsewhere),
        row(geometry=elsewhere, verdict="benign", time=later),  # a class in place of it
        row(reader="dr-b", verdict="malignant"),  # another reader keeps theirs
        no_cell(slide_id="S2"),
    )
    assert [(v.slide_id, v.reader, v.verdict) for v in latest_verdicts(verdicts)] == [
        ("S1", "dr-a", "not_a_cell"),
        ("S1", "dr-b", "malignant"),
        ("S1", "dr-a", "benign"),
        ("S2", "dr-a", "not_a_cell"),
    ]


def test_regions_are_the_same_where_they_overlap_by_half_of_their_union(tmp_path: Path) -> None:
    def square(x: int) -> str:
        return f"POLYGON (({x} 0, {x + 100} 0, {x + 100} 100, {x} 100, {x} 0))"

    # Shifted by 33 of 100 px the shared part is 67 of 133: half; shifted by 34 it is less.
    regions = [square(0), square(33), square(34), square(300)]
    verdicts = read(
        tmp_path, *(row(geometry=region) for region in regions), row(slide_id="S2", geometry=square(0))
    )
    assert same_region_numbers(verdicts) == [0, 0, 1, 2, 3]


def test_a_coordinate_beyond_all_numbers_is_refused_without_a_warning(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="column geometry: expected a POLYGON"):
        read(tmp_path, row(geometry="POLYGON ((0 0, 1e309 0, 9 9, 0 0))"))
