"""Labels about regions: annotations and verdicts in one table."""

from pathlib import Path

import pytest
import shapely

from inkdot.errors import ManifestError
from inkdot.labels import DEFAULT_HEADS
from inkdot.storage.tables.labels_table import RegionLabel, read_labels, write_labels

GOLDEN = Path(__file__).parent / "golden" / "labels.csv"
HEADER = "slide_id,geometry,head,label,reader,source\n"
SQUARE = '"POLYGON ((0 0, 8 0, 8 8, 0 8, 0 0))"'

LABELS = [
    RegionLabel("s1", shapely.box(10, 20, 30, 40), "malignancy", "malignant", "r1", "review"),
    RegionLabel("s1", shapely.box(10, 20, 30, 40), "morphology", "small_cell", "r1", "review"),
    RegionLabel(
        "Präparat, 2",
        shapely.MultiPolygon([shapely.box(0, 0, 2.25, 2), shapely.box(5, 5, 9, 9)]),
        "malignancy",
        "unsure",
        'r "2"',
        "annotation",
    ),
]


def test_the_form_of_the_table(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.csv", LABELS)
    assert (tmp_path / "labels.csv").read_bytes() == GOLDEN.read_bytes()


def test_labels_come_back() -> None:
    read = read_labels(GOLDEN, DEFAULT_HEADS)
    assert [(label.slide_id, label.head, label.label, label.reader, label.source) for label in read] == [
        (label.slide_id, label.head, label.label, label.reader, label.source) for label in LABELS
    ]
    for label, expected in zip(read, LABELS, strict=True):
        # Regions are kept to a tenth of a level-0 pixel.
        assert label.geometry.symmetric_difference(expected.geometry).area < 0.11 * expected.geometry.length


def test_a_table_without_rows_is_a_table(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.csv", [])
    assert read_labels(tmp_path / "labels.csv", DEFAULT_HEADS) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + f"s1,{SQUARE},ploidy,x,,\n", r"line 2: column head: expected malignancy, morphology, found 'ploidy'"),
        (HEADER + f"s1,{SQUARE},malignancy,maybe,,\n", r"line 2: column label: expected malignant, .* found 'maybe'"),
        (HEADER + f"s1,{SQUARE},malignancy,,,\n", r"column label: expected .* found ''"),
        (HEADER + f",{SQUARE},malignancy,benign,,\n", r"line 2: column slide_id: expected a slide, found nothing"),
        (HEADER + "s1,POINT (1 2),malignancy,benign,,\n", r"column geometry: expected a POLYGON .* found 'POINT \(1 2\)'"),
        (HEADER + "s1,here,malignancy,benign,,\n", r"column geometry: .* found 'here'"),
        (HEADER + 's1,"POLYGON ((0 0, 8 8, 8 0, 0 8, 0 0))",malignancy,benign,,\n', r"cross itself"),
        (HEADER + 's1,"POLYGON ((0 0, 1 nan, 8 0, 0 0))",malignancy,benign,,\n', r"column geometry"),
        (HEADER + 's1,"POLYGON ((0 0, 1 1e309, 8 0, 0 0))",malignancy,benign,,\n', r"column geometry"),
        (HEADER + f"s1,{SQUARE},malignancy\n", r"line 2: expected 6 fields, found fewer"),
        (HEADER + f"s1,{SQUARE},malignancy,benign,,,,\n", r"line 2: expected 6 fields, found more"),
        ("slide_id,geometry,head\n", r"expected columns slide_id, .* found slide_id, geometry, head"),
        ("slide_id,place,head,answer,reader,source\n", r"columns: 2 names .*: place -> geometry, answer -> label; use"),
        ("slide_id,geometry,head,answer\n", r"labels\.csv: column: answer was renamed to label; use the new name"),
        (HEADER.replace(",", ";"), r"semicolons"),
        ("", r"expected columns .* found none"),
        (HEADER + 's1,"POLYGON', r"not a CSV table"),
    ],
)  # fmt: skip
def test_wrong_tables_are_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError, match=message) as caught:
        read_labels(path, DEFAULT_HEADS)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(b"\xef\xbb\xbf" + GOLDEN.read_bytes())
    assert len(read_labels(path, DEFAULT_HEADS)) == 3


def test_missing_and_non_utf8_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="found nothing there; correct the column annotation"):
        read_labels(tmp_path / "gone.csv", DEFAULT_HEADS)
    (tmp_path / "latin.csv").write_bytes(
        (HEADER + f"Präparat,{SQUARE},malignancy,benign,,\n").encode("latin-1")
    )
    with pytest.raises(ManifestError, match="UTF-8"):
        read_labels(tmp_path / "latin.csv", DEFAULT_HEADS)
