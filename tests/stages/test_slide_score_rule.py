"""A slide's score is corrected for its number of tiles, alike in training, predict and evaluate."""

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from fixtures.predict_run import run as predict

from inkdot.config import config_from_mapping
from inkdot.pipeline.results.slide_prediction import slide_score
from inkdot.records import Mpp
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.stages import evaluate, train
from inkdot.storage.layout import ModelLayout, RunLayout
from inkdot.storage.models.model_files import read_model_file
from inkdot.storage.models.slide_score_rule import SlideScoreRule
from inkdot.storage.tables.scores import read_scores

pytestmark = pytest.mark.slow

SIDES = (2, 3, 5)
"""Blobs along a side of a slide, by turns."""


def paint(path: Path, side: int, seed: int, *, malignant: bool) -> None:
    """A slide of side × side violet blobs of slightly different colours; one of them is red where it is malignant."""
    generator = np.random.default_rng(seed)
    rgb = np.full((64 * side, 64 * side, 3), 242, np.uint8)
    for index in range(side * side):
        red = malignant and index == side
        colour = (160, 40, 60) if red else (90 + int(generator.integers(0, 45)), 70, 170)
        middle = (64 * (index % side) + 32, 64 * (index // side) + 32)
        cv2.circle(rgb, middle, 14, colour, cv2.FILLED)
    write_array_pyramid(path, rgb, mpp=Mpp.square(1.0), description="")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slide-score") / "cohort"
    folder.mkdir()
    rows = ["slide_id,path,patient_id,stain,malignancy,split,annotation"]
    labels = ["slide_id,geometry,head,label,reader,source"]
    for index in range(18):
        name, malignant = f"s{index:02d}", index % 3 == 2
        side = SIDES[index // 3 % len(SIDES)]
        paint(folder / f"{name}.tif", side, index, malignant=malignant)
        part = "train" if index < 6 else "validation"
        rows.append(
            f"{name},{name}.tif,p{index},pap,{'malignant' if malignant else 'benign'},{part},labels.csv"
        )
        x, y = 64 * (side % side), 64 * (side // side)
        word = "malignant" if malignant else "benign"
        square = f"POLYGON (({x} {y}, {x + 64} {y}, {x + 64} {y + 64}, {x} {y + 64}, {x} {y}))"
        labels.append(f'{name},"{square}",malignancy,{word},r1,annotation')
    (folder / "labels.csv").write_text("\n".join(labels) + "\n")
    (folder / "slides.csv").write_text("\n".join(rows) + "\n")
    return folder / "slides.csv"


@pytest.fixture(scope="module")
def trained(cohort: Path) -> RunLayout:
    layout = RunLayout(cohort.parent.parent / "run")
    config = config_from_mapping(
        {
            "tiling": {
                "mode": "grid", "side_px": 64, "mpp": 1.0, "stride_px": 64, "min_foreground_fraction": 0.01,
                "adequacy": {"min_nuclei": 0},
            },
            "model": {"backbone": "test_efficientnet"},
            "heads": [{"name": "malignancy", "classes": ["benign", "malignant"], "flag_class": "malignant"}],
            "training": {"epochs": 12, "batch_size": 8, "learning_rate": 0.003, "accelerator": "cpu"},
        }
    )  # fmt: skip
    assert train.run(config, cohort, layout.root) == 0
    return layout


@pytest.fixture(scope="module")
def predicted(cohort: Path, trained: RunLayout) -> RunLayout:
    layout = RunLayout(cohort.parent.parent / "predicted")
    assert predict([cohort], trained.model, layout.root) == 0
    return layout


def lines(layout: RunLayout) -> dict[str, dict[str, str]]:
    text = layout.predictions_csv.read_text(encoding="utf-8")
    return {row["slide_id"]: row for row in csv.DictReader(text.splitlines())}


def rule_of(trained: RunLayout) -> SlideScoreRule:
    rule = read_model_file(trained.model).slide_score_rule
    assert rule is not None
    return rule


def test_training_fits_the_rule_on_benign_validation_slides(trained: RunLayout) -> None:
    rule = rule_of(trained)
    assert (rule.slides, rule.patients, rule.fitted_on) == (8, 8, "validation")
    assert (rule.lowest_count, rule.highest_count) == (4, 25)
    assert rule.slope > 0.02
    assert rule.in_words in ModelLayout(trained.model).card.read_text(encoding="utf-8")


def test_predict_corrects_the_score_and_flags_tiles_by_the_same_rule(
    trained: RunLayout, predicted: RunLayout
) -> None:
    rule, point = rule_of(trained), read_model_file(trained.model).operating_points["malignancy"]
    found = lines(predicted)
    assert len(found) == 18
    for name, line in found.items():
        scores = read_scores(predicted.scores(name))
        highest = scores.flag_scores.max()
        assert float(line["score"]) == pytest.approx(float(rule.corrected(highest, scores.count)), abs=6e-5)
        reached = float(rule.corrected(highest, scores.count)) >= np.float32(point.threshold)
        assert bool(int(line["flagged_tiles"])) == reached
        assert slide_score(scores) == (pytest.approx(float(line["score"]), abs=6e-5), reached)
    counts = {read_scores(predicted.scores(name)).count for name in found}
    assert counts == {side * side for side in SIDES}


def test_the_threshold_is_locked_on_these_scores(trained: RunLayout, predicted: RunLayout) -> None:
    point = read_model_file(trained.model).operating_points["malignancy"]
    found = {int(name[1:]): float(line["score"]) for name, line in lines(predicted).items()}
    positive = [found[index] for index in range(6, 18) if index % 3 == 2]
    negative = [found[index] for index in range(6, 18) if index % 3 != 2]
    assert max(negative) < point.threshold <= min(positive)
    assert point.specificity is not None
    assert point.specificity.value == 1.0


def test_evaluate_gives_the_scores_of_predict(
    cohort: Path, trained: RunLayout, predicted: RunLayout, tmp_path: Path
) -> None:
    table = tmp_path / "slides.csv"
    rows = list(csv.DictReader(cohort.read_text(encoding="utf-8").splitlines()))
    names = ("slide_id", "path", "patient_id", "stain", "malignancy")
    kept = [row | {"path": str(cohort.parent / row["path"])} for row in rows[6:]]
    table.write_text(
        "\n".join([",".join(names), *(",".join(row[name] for name in names) for row in kept)]) + "\n"
    )
    assert evaluate.run(trained.model, table, tmp_path / "out") == 0
    text = (tmp_path / "out" / "evaluated_slides.csv").read_text(encoding="utf-8")
    found = lines(predicted)
    evaluated = list(csv.DictReader(text.splitlines()))
    assert len(evaluated) == 12
    for row in evaluated:
        assert float(row["score"]) == pytest.approx(float(found[row["slide_id"]]["score"]), abs=6e-5)
        assert bool(int(row["flagged"])) == (found[row["slide_id"]]["flagged_tiles"] != "0")


def test_a_model_without_the_rule_scores_by_the_highest_tile(
    cohort: Path, trained: RunLayout, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(trained.model, folder)
    path = ModelLayout(folder).description
    values = json.loads(path.read_text(encoding="utf-8"))
    del values["slide_score_rule"]
    path.write_text(json.dumps(values), encoding="utf-8")
    assert predict([cohort], folder, tmp_path / "out") == 0
    layout = RunLayout(tmp_path / "out")
    for name, line in lines(layout).items():
        scores = read_scores(layout.scores(name))
        assert float(line["score"]) == pytest.approx(float(scores.flag_scores.max()), abs=6e-5)
        assert scores.threshold == scores.operating_points["malignancy"].threshold
