"""Answers about slides and missed regions, as labels for training and evaluation."""

import csv
from pathlib import Path

import numpy as np
import pytest

from inkdot.config import LabellingConfig
from inkdot.errors import UserError
from inkdot.evaluation.places import ScoredTiles, regions_of, tile_outlines
from inkdot.evaluation.sections.misses import LOW, NO_TILE, region_fate
from inkdot.labels import DEFAULT_HEADS
from inkdot.manifest import manifest_text, read_slides
from inkdot.records import SlideEntry
from inkdot.review.verdicts.verdict_table import COLUMNS, VERDICTS_VERSION
from inkdot.stages.review import import_verdicts as review_import
from inkdot.storage.tables.finder_corrections import read_finder_corrections
from inkdot.storage.tables.labels_table import RegionLabel, read_labels
from inkdot.tiling.tile_labels import TileBoxes, target_columns_for

ADEQUATE = {"kind": "slide", "head": "adequacy", "verdict": "adequate"}
MALIGNANT = {"kind": "slide", "head": "category", "verdict": "MAL", "means": "malignant"}
NEGATIVE = {"kind": "slide", "head": "category", "verdict": "NFM", "means": "negative"}
SUSPICIOUS = {"kind": "slide", "head": "category", "verdict": "SFM", "means": "suspicious"}


def square(x: int) -> str:
    return f"POLYGON (({x} 0, {x + 100} 0, {x + 100} 100, {x} 100, {x} 0))"


def missed(x: int, verdict: str) -> dict[str, str]:
    return {"kind": "missed", "geometry": square(x), "head": "missed", "verdict": verdict}


def table(path: Path, *rows: dict[str, str], slide: str = "S1", reader: str = "dr-a") -> Path:
    fixed = {
        "reader": reader,
        "time": "2026-01-01T00:00:00.000Z",
        "shown": "scores",
        "schema": VERDICTS_VERSION,
    }
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list[str](COLUMNS), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({"slide_id": slide, "model_sha256": "ab" * 32} | fixed | row)
    return path


def labels_of(tmp_path: Path, *rows: dict[str, str]) -> list[RegionLabel]:
    out = tmp_path / "labels.csv"
    review_import.run([table(tmp_path / "a.csv", *rows)], out, finder_corrections=tmp_path / "cells.csv")
    return read_labels(out, DEFAULT_HEADS)


def test_a_missed_region_is_a_positive_tile_in_training(tmp_path: Path) -> None:
    labels = labels_of(tmp_path, missed(0, "malignant"), missed(500, "look_again"), missed(900, "other"))
    assert [(one.head, one.label) for one in labels] == [
        ("malignancy", "malignant"),
        ("malignancy", "unsure"),
    ]
    assert labels[0].source == "review, scores shown, model abababababab, marked as missed"
    tiles = TileBoxes(np.asarray([0, 500, 900]), np.asarray([0, 0, 0]), 100.0, 100.0)
    benign = {"malignancy": "benign"}
    targets = target_columns_for(tiles, DEFAULT_HEADS, labels, benign, LabellingConfig())
    # What is to be looked at again is no example of any class, on a benign slide either.
    assert targets["target.malignancy.malignant"].tolist() == pytest.approx([1.0, np.nan, 0.0], nan_ok=True)
    assert np.isnan(targets["target.morphology.small_cell"]).all()
    (cell,) = read_finder_corrections(tmp_path / "cells.csv")
    assert (cell.answer, cell.geometry.bounds) == ("cell", (0, 0, 100, 100))


def test_a_missed_region_is_a_miss_in_evaluation_until_it_is_found(tmp_path: Path) -> None:
    labels = labels_of(tmp_path, missed(0, "malignant"), missed(5000, "malignant"))
    scores = np.array([[0.7, 0.3, 0.5, 0.5], [0.1, 0.9, 0.5, 0.5]])

    def fates(score: float) -> list[str]:
        x = np.array([0, 800])
        tiles = ScoredTiles(
            outlines=tile_outlines(x, np.zeros(2, np.int64), (100.0, 100.0)),
            scores=scores,
            flag_scores=np.array([score, 0.9]),
            flagged=np.array([score >= 0.5, True]),
            ranked=np.array([score, 0.9]),
        )
        found = regions_of(labels, DEFAULT_HEADS, tiles, LabellingConfig())
        assert all(region.marked_missed for region in found)
        return [region_fate(region) for region in found]

    assert fates(0.3) == [LOW, NO_TILE]
    assert fates(0.6) == ["found", NO_TILE]


def slides(tmp_path: Path, *entries: SlideEntry) -> Path:
    path = tmp_path / "slides.csv"
    path.write_text(manifest_text(entries, DEFAULT_HEADS, tmp_path), encoding="utf-8")
    return path


def reviewed(tmp_path: Path, tables: list[Path], *entries: SlideEntry) -> dict[str, SlideEntry]:
    out = tmp_path / "reviewed.csv"
    source = slides(tmp_path, *entries)
    review_import.run(tables, tmp_path / "labels.csv", slides=source, slides_out=out)
    return {entry.slide_id: entry for entry in read_slides(out, DEFAULT_HEADS)}


def entry(tmp_path: Path, name: str, **more: object) -> SlideEntry:
    path = tmp_path / f"{name}.tif"
    path.touch()
    return SlideEntry(name, path, **more)  # type: ignore[arg-type]


def test_slides_get_the_labels_that_all_their_readers_gave(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"S1": [MALIGNANT, missed(0, "malignant")], "S2": [NEGATIVE, ADEQUATE], "S3": [MALIGNANT]}
    given |= {"S4": [SUSPICIOUS], "S5": [MALIGNANT], "S6": [NEGATIVE]}
    tables = [table(tmp_path / f"{name}.csv", *rows, slide=name) for name, rows in given.items()]
    tables.append(table(tmp_path / "b3.csv", NEGATIVE, slide="S3", reader="dr-b"))
    inadequate = {"kind": "slide", "head": "adequacy", "verdict": "inadequate"}
    tables.append(table(tmp_path / "b6.csv", inadequate, slide="S6", reader="dr-b"))
    entries = [entry(tmp_path, name) for name in ("S1", "S2", "S3", "S4", "S6")]
    entries.append(entry(tmp_path, "S5", on_slide={"malignancy": "benign"}))
    found = reviewed(tmp_path, tables, *entries)
    assert {name: one.on_slide.get("malignancy") for name, one in found.items()} == {
        "S1": "malignant", "S2": "benign", "S3": None, "S4": None, "S5": "benign", "S6": None,
    }  # fmt: skip
    assert {name for name, one in found.items() if one.annotation} == {"S1"}
    assert found["S1"].annotation == tmp_path / "labels.csv"
    said = capsys.readouterr().err
    assert "S3: readers disagree, no label is written" in said
    assert "S5: readers say otherwise than the table, whose label stays" in said
    assert "2 slides with a label of their readers, 1 with labelled regions" in said


def test_an_annotation_that_a_slide_has_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "own.geojson"
    own.write_text("{}")
    verdicts = table(tmp_path / "a.csv", missed(0, "malignant"))
    found = reviewed(tmp_path, [verdicts], entry(tmp_path, "S1", annotation=own))
    assert found["S1"].annotation == own
    assert "S1: have an annotation already" in capsys.readouterr().err


def test_one_of_the_two_options_for_slides_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", ADEQUATE)
    with pytest.raises(UserError, match="both --slides and --slides-out"):
        review_import.run([path], tmp_path / "labels.csv", slides=path)


def test_answers_about_slides_alone_write_an_empty_table_and_say_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert labels_of(tmp_path, ADEQUATE, MALIGNANT) == []
    assert "1 answers about slides: --slides slides.csv --slides-out FILE" in capsys.readouterr().err
