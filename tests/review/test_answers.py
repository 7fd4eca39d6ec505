"""Answers about slides, and regions that readers marked as missed."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from inkdot.errors import ManifestError
from inkdot.labels import DEFAULT_HEADS, Head
from inkdot.review.verdicts.answers import Answers, read_answers
from inkdot.review.verdicts.questions import missed_verdicts
from inkdot.review.verdicts.stored_verdicts import read_stored_answers, read_stored_verdicts, verdicts_text
from inkdot.review.verdicts.verdict_table import COLUMNS, VERDICTS_VERSION
from inkdot.storage.verdict_schema import Change, Study
from inkdot.storage.verdict_store import VerdictStore

SQUARE = "POLYGON ((0 0, 256 0, 256 256, 0 256, 0 0))"
STUDY = Study("ab" * 32, "scores", "")
EARLY, LATE = "2026-01-01T10:00:00.000Z", "2026-01-02T10:00:00.000Z"


def row(**values: str) -> dict[str, str]:
    plain = {"slide_id": "S1", "kind": "slide", "reader": "dr-a", "time": EARLY, "shown": "scores"}
    return dict.fromkeys(COLUMNS, "") | plain | {"schema": VERDICTS_VERSION} | values


ADEQUATE = {"head": "adequacy", "verdict": "adequate"}
CATEGORY = {"head": "category", "verdict": "SFM, suspicious", "means": "suspicious"}
MISSED = {"kind": "missed", "geometry": SQUARE, "head": "missed", "verdict": "malignant"}


def read(folder: Path, *rows: dict[str, str]) -> Answers:
    path = folder / "verdicts.csv"
    lines = [",".join(COLUMNS)] + [",".join(f'"{one[name]}"' for name in COLUMNS) for one in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_answers([path], DEFAULT_HEADS)


def test_what_a_reader_says_about_a_slide_is_one_answer(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        row(**ADEQUATE, note="thick"),
        row(**CATEGORY, time=LATE),
        row(**CATEGORY | {"verdict": "MAL", "means": "malignant"}, reader="dr-b"),
        row(**MISSED, note="left of the fold"),
        row(kind="", geometry=SQUARE, head="malignancy", verdict="benign"),
    )
    first, second = found.slides
    assert (first.slide_id, first.reader, first.adequate) == ("S1", "dr-a", True)
    assert (first.category, first.means, first.note, first.time) == (
        "SFM, suspicious", "suspicious", "thick", LATE,
    )  # fmt: skip
    assert (second.reader, second.adequate, second.means) == ("dr-b", None, "malignant")
    (missed,) = found.missed
    assert (missed.verdict, missed.note, missed.geometry.bounds) == (
        "malignant", "left of the fold", (0, 0, 256, 256),
    )  # fmt: skip
    (region,) = found.regions
    assert (region.head, region.verdict, region.kind) == ("malignancy", "benign", "region")


def test_the_later_of_repeated_answers_counts(tmp_path: Path) -> None:
    later = row(**CATEGORY | {"verdict": "NFM", "means": "negative"}, time=LATE)
    looked_again = row(**MISSED | {"verdict": "look_again"}, time=LATE)
    found = read(tmp_path, later, row(**CATEGORY), row(**MISSED), looked_again)
    assert [slide.category for slide in found.slides] == ["NFM"]
    assert [missed.verdict for missed in found.missed] == ["look_again"]


def test_an_inadequate_slide_is_never_negative(tmp_path: Path) -> None:
    inadequate = ADEQUATE | {"verdict": "inadequate"}
    negative = CATEGORY | {"verdict": "NFM", "means": "negative"}
    (last,) = read(tmp_path, row(**negative), row(**inadequate, time=LATE)).slides
    assert (last.adequate, last.category, last.means) == (False, "", "")
    (last,) = read(tmp_path, row(**inadequate), row(**negative, time=LATE)).slides
    assert (last.adequate, last.category) == (None, "NFM")
    # A malignant cell on an inadequate slide is still malignant.
    (last,) = read(tmp_path, row(**inadequate), row(**CATEGORY)).slides
    assert (last.adequate, last.means) == (False, "suspicious")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"kind": "patient"}, "column kind: expected region, slide, missed, found 'patient'"),
        ({"head": "malignancy"}, "column head: expected adequacy, category, found 'malignancy'"),
        ({"verdict": "perhaps"}, "column verdict: expected adequate, inadequate, found 'perhaps'"),
        (CATEGORY | {"means": "bad"}, "column means: expected nondiagnostic, negative, .*, found 'bad'"),
        (CATEGORY | {"verdict": "x" * 61}, "expected a category of 1 to 60 characters"),
        (CATEGORY | {"verdict": "line\x07feed"}, "expected a category of 1 to 60 characters"),
        (MISSED | {"verdict": "benign"}, "expected malignant, other, look_again, found 'benign'"),
        (MISSED | {"geometry": ""}, "column geometry: expected a"),
    ],
)
def test_a_wrong_answer_is_named_with_its_line(
    tmp_path: Path, changes: dict[str, str], expected: str
) -> None:
    with pytest.raises(ManifestError, match=rf"verdicts\.csv.*2.*{expected}"):
        read(tmp_path, row(**ADEQUATE | changes))


def test_a_table_of_the_version_before_is_read(tmp_path: Path) -> None:
    columns = [name for name in COLUMNS if name not in {"kind", "means"}]
    cells = row(geometry=SQUARE, head="malignancy", verdict="malignant", schema="inkdot.verdicts/2")
    path = tmp_path / "verdicts.csv"
    path.write_text(",".join(columns) + "\n" + ",".join(f'"{cells[name]}"' for name in columns) + "\n")
    (answer,) = read_stored_answers(path, DEFAULT_HEADS)
    assert (answer.kind, answer.verdict) == ("region", "malignant")


def test_the_server_stores_what_the_table_holds(tmp_path: Path) -> None:
    given = {"verdict": "=SFM", "means": "suspicious", "time": EARLY}
    of_slide = {"verdicts": {"category": given}, "note": {"text": "thick", "time": LATE}}
    of_missed = {"verdicts": {"missed": {"verdict": "other", "time": EARLY}}, "note": None}
    changes = [
        Change("dr-a", STUDY, "k1", "S1", "", 0, None, of_slide, False, LATE, "slide"),
        Change("dr-a", STUDY, "k2", "S1", SQUARE, 0, None, of_missed, False, LATE, "missed"),
    ]
    path = tmp_path / "reviews.sqlite"
    store = VerdictStore(path)
    for change in changes:
        store.record(change)
    assert store.latest() == changes
    store.close()
    table = tmp_path / "verdicts.csv"
    table.write_text(verdicts_text(changes, DEFAULT_HEADS), encoding="utf-8")
    assert read_answers([path], DEFAULT_HEADS) == read_answers([table], DEFAULT_HEADS)
    (slide,) = read_answers([table], DEFAULT_HEADS).slides
    assert (slide.category, slide.means, slide.note) == ("=SFM", "suspicious", "thick")
    assert read_stored_verdicts(path, DEFAULT_HEADS) == []  # none is about a region that was shown
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)


def test_what_was_missed_is_named_by_the_flag_class() -> None:
    labels = {"mostly": {"hsil": 0.5, "nilm": 0.5}, "high_grade": {"hsil": 1.0}, "nilm": {"nilm": 1.0}}
    grade = Head("grade", ("nilm", "hsil"), labels, flag_class="hsil")
    assert missed_verdicts(DEFAULT_HEADS) == ("malignant", "other", "look_again")
    assert missed_verdicts([grade]) == ("high_grade", "other", "look_again")
