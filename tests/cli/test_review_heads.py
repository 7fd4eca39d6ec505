"""Verdicts on custom heads are imported as labels, and their readers compared."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from inkdot.config import load_config
from inkdot.review.verdicts.verdict_table import COLUMNS, VERDICTS_VERSION
from inkdot.storage.tables.labels_table import read_labels

Inkdot = Callable[..., None]

CONFIG = "heads:\n  - {name: lesion, classes: [NL, LSIL, HSIL], flag_class: HSIL}\n"


def verdicts(path: Path, reader: str, *labels: str) -> Path:
    """A table of one reader's verdicts, one region each."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for index, label in enumerate(labels):
            x = 100 * index
            region = f"POLYGON (({x} 0, {x + 9} 0, {x + 9} 9, {x} 0))"
            row = {
                "slide_id": f"S{index}",
                "geometry": region,
                "head": "lesion",
                "verdict": label,
                "reader": reader,
            }
            row |= {"time": "2026-01-01T00:00:00.000Z", "shown": "scores", "schema": VERDICTS_VERSION}
            writer.writerow(row | {"model_sha256": "ab" * 32})
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


def test_verdicts_on_custom_heads_become_labels(tmp_path: Path, config: Path, inkdot: Inkdot) -> None:
    saved = verdicts(tmp_path / "a.csv", "dr-a", "HSIL", "NL")
    out = tmp_path / "labels.csv"
    inkdot("review", "import", saved, "--out", out, "--config", config)
    labels = read_labels(out, load_config(config).head_records)
    assert [(label.slide_id, label.head, label.label) for label in labels] == [
        ("S0", "lesion", "HSIL"),
        ("S1", "lesion", "NL"),
    ]


def test_without_the_config_the_unknown_head_is_named(
    tmp_path: Path, inkdot: Inkdot, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = verdicts(tmp_path / "a.csv", "dr-a", "HSIL")
    inkdot("review", "import", saved, "--out", tmp_path / "labels.csv", code=2)
    error = capsys.readouterr().err
    assert "column head: expected malignancy, morphology, cell_finder, found 'lesion'" in error
    assert not (tmp_path / "labels.csv").exists()


def test_agreement_works_on_custom_heads(
    tmp_path: Path, config: Path, inkdot: Inkdot, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = [
        verdicts(tmp_path / "a.csv", "dr-a", "HSIL", "NL", "NL", "LSIL"),
        verdicts(tmp_path / "b.csv", "dr-b", "HSIL", "NL", "LSIL", "LSIL"),
    ]
    inkdot("review", "agreement", *tables, "--config", config)
    printed = capsys.readouterr()
    assert "lesion" in printed.out + printed.err


def test_identifiers_in_another_encoding_are_named(
    tmp_path: Path, inkdot: Inkdot, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "names.txt").write_bytes("Müller\n".encode("latin-1"))
    arguments = ("--results", tmp_path, "--out", tmp_path / "review", "--identifiers", tmp_path / "names.txt")
    inkdot("review", "export", *arguments, code=2)
    assert "names.txt: expected a text file in UTF-8" in capsys.readouterr().err
