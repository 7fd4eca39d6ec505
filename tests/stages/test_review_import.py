"""Import of verdicts as labels, and inter-reader agreement."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from inkdot.config import LabellingConfig
from inkdot.errors import ManifestError, UserError
from inkdot.labels import DEFAULT_HEADS
from inkdot.review.verdicts.verdict_table import COLUMNS, VERDICTS_VERSION
from inkdot.stages.review import agreement as review_agreement
from inkdot.stages.review import import_verdicts as review_import
from inkdot.storage.layout import RunLayout
from inkdot.storage.schemas import SCORES_VERSION
from inkdot.storage.tables.finder_corrections import read_finder_corrections
from inkdot.storage.tables.labels_table import read_labels
from inkdot.storage.tables.parquet_tables import write_table
from inkdot.storage.verdict_store import VerdictStore
from inkdot.tiling.tile_labels import TileBoxes, target_columns_for


def square(x: int) -> str:
    return f"POLYGON (({x} 0, {x + 100} 0, {x + 100} 100, {x} 100, {x} 0))"


def verdicts(path: Path, reader: str, rows: list[tuple[str, int, str, str]], shown: str = "scores") -> Path:
    """A table of (slide, x, head, verdict) of one reader."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for slide, x, head, verdict in rows:
            row = {
                "slide_id": slide,
                "geometry": square(x),
                "head": head,
                "verdict": verdict,
                "reader": reader,
            }
            row |= {"time": "2026-01-01T00:00:00.000Z", "shown": shown, "schema": VERDICTS_VERSION}
            writer.writerow(row | {"model_sha256": "ab" * 32})
    return path


def test_readers_who_disagree_become_a_soft_target(tmp_path: Path) -> None:
    malignant = [("S1", 0, "malignancy", "malignant"), ("S1", 0, "morphology", "small_cell")]
    paths = [
        verdicts(tmp_path / "a.csv", "dr-a", malignant),
        verdicts(tmp_path / "b.csv", "dr-b", malignant),
        verdicts(tmp_path / "c.csv", "dr-c", [("S1", 0, "malignancy", "benign")], shown="blinded"),
    ]
    out = tmp_path / "labels.csv"
    assert review_import.run(paths, out) == 0
    labels = read_labels(out, DEFAULT_HEADS)
    assert [(label.reader, label.head, label.label) for label in labels] == [
        ("dr-a", "malignancy", "malignant"),
        ("dr-b", "malignancy", "malignant"),
        ("dr-c", "malignancy", "benign"),
        ("dr-a", "morphology", "small_cell"),
        ("dr-b", "morphology", "small_cell"),
    ]
    assert labels[0].source == "review, scores shown, model abababababab"
    assert labels[2].source == "review, blinded, model abababababab"
    tile = TileBoxes(np.asarray([0]), np.asarray([0]), 100.0, 100.0)
    targets = target_columns_for(tile, DEFAULT_HEADS, labels, {}, LabellingConfig.model_validate({}))
    assert targets["target.malignancy.malignant"][0] == pytest.approx(2 / 3)


NO_CELL = ("cell_finder", "not_a_cell")


def test_not_a_cell_corrects_the_cell_finder_and_is_no_label_of_a_class(tmp_path: Path) -> None:
    rows = [("S1", 0, *NO_CELL), ("S1", 500, "malignancy", "malignant"), ("S2", 0, "malignancy", "unsure")]
    paths = [
        verdicts(tmp_path / "a.csv", "dr-a", [*rows, ("S1", 500, "morphology", "small_cell")]),
        verdicts(tmp_path / "b.csv", "dr-b", [("S1", 0, "malignancy", "benign")]),
    ]
    out, table = tmp_path / "labels.csv", tmp_path / "corrections.csv"
    assert review_import.run(paths, out, finder_corrections=table) == 0
    labels = read_labels(out, DEFAULT_HEADS)
    assert [(label.reader, label.label) for label in labels] == [
        ("dr-b", "benign"),
        ("dr-a", "malignant"),
        ("dr-a", "small_cell"),
        ("dr-a", "unsure"),
    ]
    # "unsure" says nothing about the cell finder; of two verdicts on a region one answer is made.
    found = read_finder_corrections(table)
    assert sorted((one.slide_id, one.geometry.bounds[0], one.reader, one.answer) for one in found) == [
        ("S1", 0.0, "dr-a", "not_a_cell"),
        ("S1", 0.0, "dr-b", "cell"),
        ("S1", 500.0, "dr-a", "cell"),
    ]
    assert found[0].time == "2026-01-01T00:00:00.000Z"


def test_not_a_cell_becomes_a_label_of_the_flagging_head_where_asked(tmp_path: Path) -> None:
    path = verdicts(tmp_path / "a.csv", "dr-a", [("S1", 0, *NO_CELL)])
    out = tmp_path / "labels.csv"
    review_import.run([path], out, not_a_cell="benign")
    (label,) = read_labels(out, DEFAULT_HEADS)
    assert (label.head, label.label) == ("malignancy", "benign")
    assert label.source == "review, scores shown, model abababababab, not_a_cell"
    with pytest.raises(UserError, match="one of malignant, benign, atypical, unsure"):
        review_import.run([path], out, not_a_cell="debris")


@pytest.mark.parametrize(
    ("column", "value"),
    [("answer", "perhaps"), ("geometry", "POINT (1 2)"), ("slide_id", ""), ("reader", "")],
)
def test_a_wrong_correction_is_named_with_its_line(tmp_path: Path, column: str, value: str) -> None:
    row = {"slide_id": "S1", "geometry": square(0), "answer": "cell", "reader": "dr-a", "time": ""}
    path = tmp_path / "corrections.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerows([row, row | {column: value}])
    with pytest.raises(ManifestError, match=f"line 3: column {column}"):
        read_finder_corrections(path)


def test_agreement_compares_who_saw_a_cell_and_leaves_those_regions_out_of_the_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Of eight regions: both no cell on 0 and 1, only one on 2, both a class from 3 on; one "unsure" counts for the class alone.
    def reader(name: str, no_cell: int, last: str) -> Path:
        given = [(f"S{x % 2}", 500 * x, *NO_CELL) for x in range(no_cell)]
        given += [(f"S{x % 2}", 500 * x, "malignancy", "benign") for x in range(no_cell, 7)]
        return verdicts(tmp_path / f"{name}.csv", name, [*given, ("S1", 3500, "malignancy", last)])

    review_agreement.run([reader("dr-a", 3, "unsure"), reader("dr-b", 2, "benign")])
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    (cells,) = [line for line in lines if "cell_finder" in line]
    (classes,) = [line for line in lines if "malignancy" in line]
    assert (cells[cells.index("Cohen") + 1], classes[classes.index("Cohen") + 1]) == ("7", "5")
    # po = 6/7, pe = (3*2 + 4*5) / 49, kappa = (po - pe) / (1 - pe) = 16 / 23
    assert f"{16 / 23:.3f}" in " ".join(cells)


def test_a_table_saved_twice_gives_each_verdict_once(tmp_path: Path) -> None:
    rows = [("S1", 0, "malignancy", "malignant"), ("S2", 500, "malignancy", "unsure")]
    paths = [verdicts(tmp_path / f"{name}.csv", "dr-a", rows) for name in "ab"]
    out = tmp_path / "labels.csv"
    review_import.run(paths, out)
    first = out.read_bytes()
    assert len(read_labels(out, DEFAULT_HEADS)) == 2
    review_import.run(paths[::-1], out)
    assert out.read_bytes() == first


def test_annotations_from_qupath_become_labels_in_level_0_pixels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = RunLayout(tmp_path / "results")
    table = pa.table({"x_l0_px": pa.array([], pa.int32())})
    slide = {"bounds_l0_px": [500, 200, 9000, 9000], "width_l0_px": 9500, "height_l0_px": 9200}
    write_table(results.scores("S1"), table, SCORES_VERSION, {"slide": slide})
    ring = [[0, 0], [100, 0], [100, 100], [0, 100], [0, 0]]

    def annotation(name: str) -> dict[str, object]:
        geometry = {"type": "Polygon", "coordinates": [ring]}
        return {"type": "Feature", "geometry": geometry, "properties": {"classification": {"name": name}}}

    path = tmp_path / "S1.geojson"
    path.write_text(
        json.dumps([annotation("malignant: small cell"), annotation("flagged")]), encoding="utf-8"
    )
    out = tmp_path / "labels.csv"
    assert review_import.run([path], out, results=results.root, reader="dr-q") == 0
    labels = read_labels(out, DEFAULT_HEADS)
    assert [(label.head, label.label, label.reader, label.source) for label in labels] == [
        ("malignancy", "malignant", "dr-q", "review, QuPath"),
        ("morphology", "small_cell", "dr-q", "review, QuPath"),
    ]
    assert labels[0].geometry.bounds == (500, 200, 600, 300)
    assert "flagged (1)" in capsys.readouterr().err
    with pytest.raises(UserError, match="--reader"):
        review_import.run([path], out, results=results.root)
    stranger = path.rename(tmp_path / "S9.geojson")
    with pytest.raises(UserError, match="'S9'"):
        review_import.run([stranger], out, results=results.root, reader="dr-q")


def test_agreement_of_two_and_of_three_readers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")  # a pipe has no width: nothing may be cut
    generator = np.random.default_rng(0)
    regions = [(f"S{index % 8}", index * 200) for index in range(64)]
    truth = generator.integers(2, size=64)
    paths: list[Path] = []
    for reader in ("dr-a", "dr-b", "dr-c"):
        labels = np.where(generator.random(64) < 0.9, truth, 1 - truth)
        rows = [
            (slide, x, "malignancy", ("benign", "malignant")[a])
            for (slide, x), a in zip(regions, labels, strict=True)
        ]
        paths.append(verdicts(tmp_path / f"{reader}.csv", reader, rows))
    assert review_agreement.run(paths) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    header, *rows = csv.reader(lines, delimiter="\t")
    assert {len(row) for row in rows} == {len(header)}
    assert [row[1] for row in rows[:4]] == ["dr-a, dr-b", "dr-a, dr-c", "dr-b, dr-c", "all 3"]
    cohen = [line for line in lines if "Cohen" in line and "malignancy" in line]
    assert len(cohen) == 3
    (fleiss,) = [line for line in lines if "Fleiss" in line and "malignancy" in line]
    for part in ("all 3", "64", "8", "bootstrap over slides"):
        assert part in fleiss
    assert any("no region in common" in line for line in lines if "morphology" in line)
    assert "--blinded" in printed.err


def test_agreement_needs_two_readers(tmp_path: Path) -> None:
    path = verdicts(tmp_path / "a.csv", "dr-a", [("S1", 0, "malignancy", "benign")])
    with pytest.raises(ManifestError, match="two readers, found dr-a"):
        review_agreement.run([path])


def test_without_any_verdict_nothing_is_written(tmp_path: Path) -> None:
    """An empty table of labels would pass for the answers of a reader."""
    VerdictStore(tmp_path / "reviews.sqlite").close()
    out = tmp_path / "labels.csv"
    out.write_text("the labels of last week")
    with pytest.raises(UserError, match=r"reviews\.sqlite: expected verdicts of readers, found none"):
        review_import.run([tmp_path / "reviews.sqlite"], out)
    assert out.read_text() == "the labels of last week"
