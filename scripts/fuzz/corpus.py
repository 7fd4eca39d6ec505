"""Makes one small, sound file of every kind: slides, tables of users, and artefacts as the commands write them."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from case_models import write_small_case_model
from slide_files import write_slide_files
from torch import nn

from inkdot.cell_finder.finder_files import SHIPPED
from inkdot.config import Config, commented_yaml
from inkdot.labels import DEFAULT_HEADS
from inkdot.pipeline.shards import SHARD_VERSION
from inkdot.review.active_learning.query_list import COLUMNS as QUERY_COLUMNS
from inkdot.review.active_learning.query_list import QUERY_LIST_VERSION
from inkdot.review.verdicts.verdict_table import COLUMNS as VERDICT_COLUMNS
from inkdot.review.verdicts.verdict_table import VERDICTS_VERSION
from inkdot.stages.case import templates as case_templates
from inkdot.storage.embeddings.embedding_formats import write_foreign
from inkdot.storage.embeddings.slide_embeddings import read_embeddings_file
from inkdot.storage.verdict_schema import Change, Study
from inkdot.storage.verdict_store import VerdictStore
from inkdot.training.fit.checkpoint import RunState, write_checkpoint

REPOSITORY = Path(__file__).resolve().parents[2]
SQUARE = "POLYGON ((10 10, 90 10, 90 90, 10 90, 10 10))"
_TIME = "2026-01-02T03:04:05Z"
_RING = [[10.5, 10], [90, 10], [90, 90], [10, 90], [10.5, 10]]


def make_corpus(folder: Path) -> None:
    """Make the corpus; a folder that has one is left as it is. The commands that it needs take about 20 seconds."""
    if (folder / "made").is_file():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_slide_files(folder)
    _results(folder)
    _models(folder)
    _tables(folder)
    _annotations(folder)
    _reviews(folder)
    (folder / "made").touch()


def _results(folder: Path) -> None:
    """What synth and predict write of one slide."""
    cohort, results = folder / "cohort", folder / "results"
    _inkdot(
        "synth",
        "--preset",
        "demo-training",
        "--slides",
        "1",
        "--spot-mm",
        "0.35",
        "--mpp",
        "0.5",
        "--out",
        cohort,
    )
    _inkdot(
        "predict", cohort / "slides.csv", "--model", REPOSITORY / "models" / "demo", "--out", results,
        "--workers", "1", "--embeddings", "--no-slide-images",
    )  # fmt: skip
    (embedded,) = (results / "embeddings").iterdir()
    own = read_embeddings_file(embedded)
    for format_ in ("trident", "clam", "stamp"):
        (folder / format_).mkdir()
        write_foreign(folder / format_ / "a.h5", format_, embedded.stem, own)


def _inkdot(*words: object) -> None:
    command = [sys.executable, "-m", "inkdot", *map(str, words)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"corpus: `inkdot {words[0]}` ended with {ended.returncode}: {ended.stderr[-400:]}")


def _models(folder: Path) -> None:
    shutil.copytree(REPOSITORY / "models" / "demo", folder / "model")
    shutil.copytree(SHIPPED, folder / "finder")
    for name in ("model", "finder"):
        for path in (folder / name).rglob("__pycache__"):
            shutil.rmtree(path)
    (folder / "weights").mkdir()
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2))
    torch.save({"state_dict": network.state_dict(), "epoch": 1}, folder / "weights" / "a.pth")  # noqa: TID251 - what others write
    (folder / "checkpoint").mkdir()
    write_checkpoint(
        folder / "checkpoint" / "a.safetensors",
        RunState("ab", 1, 0, ({"epoch": 0, "loss": 1.0},)),
        network,
        None,
    )


def _tables(folder: Path) -> None:
    write_small_case_model(folder / "case-model" / "case_model.json")
    _csv(
        folder / "slides-csv" / "slides.csv",
        [
            "slide_id",
            "path",
            "patient_id",
            "site",
            "preparation",
            "stain",
            "mpp",
            "malignancy",
            "split",
            "more",
        ],
        ["s1", "a.svs", "p1", "here", "cytospin", "pap", "0.25", "malignant", "train", "x"],
        ["s2", "b.tif", "p2", "", "thinprep", "he", "", "benign", "test", ""],
    )
    _csv(
        folder / "labels" / "labels.csv",
        ["slide_id", "geometry", "head", "label", "reader", "source"],
        ["s", SQUARE, "malignancy", "malignant", "r1", "annotation"],
        ["s", "POLYGON ((0 0, 5 0, 5 5, 0 0))", "malignancy", "benign", "r2", "annotation"],
    )
    _csv(
        folder / "images-csv" / "images.csv",
        ["path", "patient_id", "malignancy", "morphology", "mpp", "site", "split"],
        ["a.png", "p1", "malignant", "small_cell", "0.25", "x", "train"],
        ["b.png", "p2", "benign", "", "0.25", "y", "test"],
    )
    _csv(
        folder / "verdicts" / "verdicts.csv",
        VERDICT_COLUMNS,
        [
            "s",
            "region",
            SQUARE,
            "malignancy",
            "malignant",
            "",
            "dr-a",
            _TIME,
            "scores",
            1,
            0.5,
            "a note",
            "ab" * 32,
            "",
            VERDICTS_VERSION,
        ],
        [
            "s",
            "region",
            SQUARE,
            "",
            "",
            "",
            "dr-b",
            _TIME,
            "blinded",
            2,
            "",
            "note",
            "ab" * 32,
            "s",
            VERDICTS_VERSION,
        ],
        [
            "s",
            "slide",
            "",
            "category",
            "SFM",
            "suspicious",
            "dr-a",
            _TIME,
            "scores",
            "",
            "",
            "",
            "",
            "",
            VERDICTS_VERSION,
        ],
        [
            "s",
            "missed",
            SQUARE,
            "missed",
            "malignant",
            "",
            "dr-a",
            _TIME,
            "scores",
            "",
            "",
            "",
            "",
            "",
            VERDICTS_VERSION,
        ],
    )
    _csv(
        folder / "pseudonyms" / "pseudonyms.csv",
        ["slide_id", "pseudonym"],
        ["s1", "slide-0f3a9c12"],
        ["s2", "slide-0f3a9c13"],
    )
    _csv(folder / "tokens" / "tokens.csv", ["reader", "token"], ["dr-a", "t" * 43], ["dr-b", "u" * 43])
    (folder / "tokens" / "tokens.csv").chmod(0o600)
    _csv(
        folder / "queries" / "queries.csv",
        QUERY_COLUMNS,
        [1, "s", SQUARE, "0.5000", "1.0000", "", "ab" * 32, QUERY_LIST_VERSION],
    )
    _csv(
        folder / "corrections" / "corrections.csv",
        ["slide_id", "geometry", "answer", "reader", "time"],
        ["s", SQUARE, "cell", "dr-a", _TIME],
        ["s", "POLYGON ((0 0, 5 0, 5 5, 0 0))", "not_a_cell", "dr-a", _TIME],
    )
    _text(folder / "config" / "config.yaml", commented_yaml(Config()))
    case_templates.run(folder / "case")
    shard = {
        "version": SHARD_VERSION, "command": "predict", "shard": 1, "shards": 2, "slide_ids": ["s1", "s2"], "listed": 3,
        "list_sha256": "ab" * 32, "settings_sha256": "cd" * 32, "host": "h", "pid": 4, "job": "",
        "started": "2026-01-02T03:04:05+00:00", "ended": None,
    }  # fmt: skip
    _text(folder / "shard" / "shards" / "1-of-2" / "shard.json", json.dumps(shard))


def _annotations(folder: Path) -> None:
    properties = {
        "objectType": "annotation", "classification": {"name": "Malignant", "color": [200, 0, 0]}, "name": "a",
        "measurements": {"area": 1.5}, "isLocked": False,
    }  # fmt: skip
    child = {
        "type": "Feature",
        "id": "2",
        "geometry": {"type": "Polygon", "coordinates": [_RING]},
        "properties": properties,
    }
    outline = {
        "type": "MultiPolygon",
        "coordinates": [[_RING], [[[100, 100], [150, 100], [150, 150], [100, 100]]]],
    }
    parent = {**child, "id": "1", "geometry": outline, "properties": {**properties, "childObjects": [child]}}
    _text(
        folder / "geojson" / "a.geojson",
        json.dumps({"type": "FeatureCollection", "features": [parent, child]}, indent=1),
    )
    verdict = {
        **child,
        "properties": {"objectType": "annotation", "classification": {"name": "malignancy: malignant"}},
    }
    _text(
        folder / "qupath" / "a.geojson",
        json.dumps({"type": "FeatureCollection", "features": [verdict, verdict]}),
    )
    points = "".join(f'<Coordinate Order="{n}" X="{x}" Y="{y}" />' for n, (x, y) in enumerate(_RING))
    asap = (
        '<?xml version="1.0"?>\n<ASAP_Annotations><Annotations><Annotation Name="Annotation 0" Type="Polygon" '
        f'PartOfGroup="Malignant" Color="#F4FA58"><Coordinates>{points}</Coordinates></Annotation></Annotations>'
        '<AnnotationGroups><Group Name="Malignant" PartOfGroup="None" Color="#64FE2E"><Attributes /></Group></AnnotationGroups>'
        "</ASAP_Annotations>"
    )
    _text(folder / "asap" / "a.xml", asap)
    vertices = "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in _RING)
    imagescope = (
        '<Annotations MicronsPerPixel="0.25"><Annotation Id="1" Name="Malignant" Visible="1"><Attributes/><Regions>'
        f'<Region Id="1" Type="0" NegativeROA="0" Text=""><Vertices>{vertices}</Vertices></Region>'
        '<Region Id="2" Type="1" NegativeROA="0"><Vertices><Vertex X="1" Y="1"/><Vertex X="99" Y="99"/></Vertices></Region>'
        "</Regions></Annotation></Annotations>"
    )
    _text(folder / "imagescope" / "a.xml", imagescope)
    _csv(
        folder / "boxes" / "boxes.csv",
        ["slide_id", "x", "y", "w", "h", "class"],
        ["s", 10, 10, 80, 80, "Malignant"],
        ["other", 1, 1, 8, 8, "Malignant"],
    )


def _reviews(folder: Path) -> None:
    path = folder / "reviews" / "reviews.sqlite"
    path.parent.mkdir()
    store = VerdictStore(path)
    given = {
        "verdicts": {"malignancy": {"verdict": "malignant", "time": _TIME}},
        "note": {"text": "ä", "time": _TIME},
    }
    for rank, entry in enumerate((given, {"verdicts": {}, "note": None}), start=1):
        study = Study("m" * 64, "scores", "")
        store.record(
            Change("dr-a", study, f"k{rank}", "s", SQUARE, rank, 0.5, entry, is_undo=False, time=_TIME)
        )
    of_slide = {
        "verdicts": {"category": {"verdict": "SFM", "means": "suspicious", "time": _TIME}},
        "note": None,
    }
    of_missed = {"verdicts": {"missed": {"verdict": "malignant", "time": _TIME}}, "note": None}
    study = Study("m" * 64, "scores", "")
    store.record(Change("dr-a", study, "k3", "s", "", 0, None, of_slide, False, _TIME, "slide"))
    store.record(Change("dr-a", study, "k4", "s", SQUARE, 0, None, of_missed, False, _TIME, "missed"))
    store.close()
    update = {
        "key": "k1",
        "verdicts": {head.name: next(iter(head.labels)) for head in DEFAULT_HEADS},
        "note": "n",
        "undo": False,
    }
    _text(folder / "update" / "update.json", json.dumps(update))


def _csv(path: Path, *rows: object) -> None:
    path.parent.mkdir()
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)  # pyright: ignore[reportArgumentType]


def _text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
