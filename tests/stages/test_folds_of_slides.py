"""Cross-validation of slides with nothing but a label each: every slide is predicted by a model that was not trained on it."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from fixtures.predict_run import run as predict

from inkdot.config import Config, config_from_mapping
from inkdot.records import Mpp
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.stages import compare, train
from inkdot.storage.layout import ModelLayout, RunLayout
from inkdot.storage.models.model_files import read_model_file

SLIDES = 12


def config() -> Config:
    heads = [
        {"name": "malignancy", "classes": ["benign", "malignant"], "calls": {}, "flag_class": "malignant"}
    ]
    tiling = {"mode": "grid", "side_px": 32, "mpp": 1.0, "stride_px": 32, "adequacy": {"min_nuclei": 0}}
    training = {
        "epochs": 1,
        "batch_size": 16,
        "learning_rate": 0.003,
        "accelerator": "cpu",
        "validation_fraction": 0.3,
        "mil": {"bag_tiles": 4, "hidden": 4},
    }
    model = {"backbone": "test_efficientnet", "precision": "float32"}
    return config_from_mapping({"tiling": tiling, "heads": heads, "model": model, "training": training})


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Every second slide is malignant: one of its nine blobs is dark."""
    lines = ["slide_id,path,patient_id,stain,malignancy"]
    for index in range(SLIDES):
        generator, malignant = np.random.default_rng(index), index % 2 == 1
        rgb = np.full((256, 256, 3), 242, np.uint8)
        for cell in range(9):
            dark = malignant and cell == index % 9
            x, y = (int(80 * k + 44 + generator.integers(-10, 10)) for k in divmod(cell, 3))
            cv2.circle(rgb, (x, y), 18 if dark else 11, (150, 40, 70) if dark else (70, 90, 190), cv2.FILLED)
        write_array_pyramid(tmp_path / f"s{index:02d}.tif", rgb, mpp=Mpp.square(0.5), description="")
        lines.append(f"s{index:02d},s{index:02d}.tif,p{index},pap,{'malignant' if malignant else 'benign'}")
    (tmp_path / "slides.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "slides.csv"


@pytest.mark.slow
def test_every_slide_is_predicted_by_attention_of_a_model_trained_without_its_patient(
    cohort: Path, tmp_path: Path
) -> None:
    layout = RunLayout(tmp_path / "folds")
    assert train.run(config(), cohort, layout.root, folds=3, ensemble=True) == 0
    text = layout.out_of_fold_slides_csv.read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert sorted(row["slide_id"] for row in rows) == [f"s{index:02d}" for index in range(SLIDES)]
    models = [read_model_file(layout.fold(fold).model) for fold in range(3)]
    for row in rows:
        index, fold = int(row["slide_id"][1:]), int(row["fold"]) - 1
        assert row["truth"] == ("positive" if index % 2 else "negative")
        split = csv.DictReader(layout.fold(fold).split_csv.read_text(encoding="utf-8").splitlines())
        assert {one["slide_id"]: one["split"] for one in split}[row["slide_id"]] == "test"
        point = models[fold].operating_points["malignancy"]
        assert point.evaluated_on == "attention"
        assert (row["call"] == "flagged") == (float(row["score"]) >= point.threshold - 1e-6)
    facts = json.loads(layout.cross_validation_json.read_text(encoding="utf-8"))
    assert (facts["slides"], facts["patients"]) == (SLIDES, SLIDES)
    score = {row["slide_id"]: float(row["score"]) for row in rows}
    positive = [score[f"s{index:02d}"] for index in range(1, SLIDES, 2)]
    negative = [score[f"s{index:02d}"] for index in range(0, SLIDES, 2)]
    auc = np.mean([(p > n) + 0.5 * (p == n) for p in positive for n in negative])
    assert facts["metrics"]["slide_auc"]["value"] == pytest.approx(auc, abs=1e-6)
    assert facts["metrics"]["patient_auc"]["value"] == pytest.approx(auc, abs=1e-6)
    assert not any(name.startswith("calibration_error") for name in facts["metrics"])
    assert sum(facts["calls"].values()) == SLIDES
    assert "3 folds, 12 slides" in layout.cross_validation_md.read_text(encoding="utf-8")
    assert_slide_scores_of_members_are_averaged(layout, cohort, tmp_path / "results")


def assert_slide_scores_of_members_are_averaged(layout: RunLayout, cohort: Path, out: Path) -> None:
    """The ensemble's slide score is the mean of what each member predicts for the slide."""
    description = read_model_file(layout.model)
    assert description.operating_points["malignancy"].evaluated_on == "attention"
    assert description.attention is not None
    scores: list[list[float]] = []
    for index, model in enumerate([layout.model, *(ModelLayout(layout.model).member(i) for i in range(3))]):
        results = RunLayout(out / str(index))
        assert predict([cohort], model, results.root, slide_images=False) == 0
        rows = csv.DictReader(results.predictions_csv.read_text(encoding="utf-8").splitlines())
        scores.append([float(row["score"]) for row in rows])
    assert scores[0] == pytest.approx(np.mean(scores[1:], axis=0), abs=2e-4)
    text = RunLayout(out / "0").predictions_csv.read_text(encoding="utf-8")
    spreads = [float(row["spread"]) for row in csv.DictReader(text.splitlines())]
    assert spreads == pytest.approx(np.std(scores[1:], axis=0), abs=2e-4)
    labels = cohort.with_name("labelled.csv")
    first, *others = cohort.read_text(encoding="utf-8").splitlines()
    further = ["never_scored" if name == "slide_id" else "" for name in first.split(",")]
    further[first.split(",").index("malignancy")] = "benign"
    further[first.split(",").index("path")] = "never_scored.tif"
    labels.write_text("\n".join([first, *others, ",".join(further)]), encoding="utf-8")
    assert compare.run([out / "0", out / "1", out / "2"], out / "c", labels=labels, replicates=50) == 0
    assert "1 in 0, 1 in 1, 1 in 2" in (out / "c" / "compare.md").read_text(encoding="utf-8")
    facts = json.loads((out / "c" / "compare.json").read_text(encoding="utf-8"))
    own = scores[0][1::2], scores[0][::2]
    auc = np.mean([(p > n) + 0.5 * (p == n) for p in own[0] for n in own[1]])
    assert facts["metrics"]["auc.malignancy.malignant"]["values"]["0"]["value"] == pytest.approx(
        auc, abs=0.03
    )
