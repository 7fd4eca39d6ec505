"""Cross-validation through the stage, on painted images, against plain recomputation from what it wrote."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from inkdot.config import Config, config_from_mapping
from inkdot.errors import UserError
from inkdot.metrics.decision.guarantees import LockedThreshold, lock_threshold, one_row_per_patient
from inkdot.stages import compare, evaluate, train
from inkdot.storage.layout import ModelLayout, RunLayout
from inkdot.storage.models.model_files import read_model_file

COLOURS = {"benign": (60, 90, 200), "malignant": (150, 30, 60)}
FOLDS = 3


def config(**training: object) -> Config:
    settings = {
        "epochs": 3,
        "batch_size": 16,
        "learning_rate": 0.003,
        "accelerator": "cpu",
        "validation_fraction": 0.3,
    }
    return config_from_mapping(
        {
            "tiling": {"mode": "grid", "side_px": 32, "mpp": 0.5, "stride_px": 32},
            "heads": [
                {
                    "name": "malignancy",
                    "classes": ["benign", "malignant"],
                    "labels": {"benign": {"benign": 1.0}, "malignant": {"malignant": 1.0}},
                    "flag_class": "malignant",
                }
            ],
            "model": {"backbone": "test_efficientnet"},
            "images": {"mpp_of_all": 0.5, "near_duplicates": "warn"},
            "training": settings | training,
        }
    )


def expected_lock(rows: list[dict[str, str]]) -> LockedThreshold:
    """Of out-of-fold images: one of each patient, in the order of their names."""
    ordered = sorted(rows, key=lambda row: row["name"])
    truth = np.array([row["target.malignancy.malignant"] == "1" for row in ordered])
    scores = np.array([row["p.malignancy.malignant"] for row in ordered], np.float32)
    patients = np.array([row["group"] for row in ordered])
    return lock_threshold(one_row_per_patient(truth, scores, patients), 0.95, 0.9)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    lines = ["path,malignancy,patient_id"]
    for patient in range(18):
        label = ("benign", "malignant")[patient % 2]
        for copy in range(3):
            rgb = np.full((32, 32, 3), 235.0)
            cv2.circle(rgb, (16, 16), 9, COLOURS[label], cv2.FILLED)
            rgb = np.clip(rgb + generator.normal(0, 60, rgb.shape), 0, 255).astype(np.uint8)
            name = f"{patient}_{copy}.png"
            (folder / name).write_bytes(cv2.imencode(".png", rgb[..., ::-1])[1].tobytes())
            lines.append(f"{name},{label},patient-{patient}")
    (folder / "images.csv").write_text("\n".join(lines) + "\n")
    return folder / "images.csv"


@pytest.fixture(scope="module")
def validated(table: Path, tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    layout = RunLayout(tmp_path_factory.mktemp("run"))
    assert train.run_images(config(), table, layout.root, folds=FOLDS, ensemble=True) == 0
    return layout


def records(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


@pytest.mark.slow
def test_every_image_is_judged_once_by_a_model_that_never_saw_its_group(validated: RunLayout):
    judged = records(validated.out_of_fold_csv)
    assert len(judged) == len({row["name"] for row in judged}) == 54
    for fold in range(FOLDS):
        sides = {row["slide_id"]: row["split"] for row in records(validated.fold(fold).split_csv)}
        groups = {row["slide_id"]: row["patient_id"] for row in records(validated.fold(fold).split_csv)}
        out = {row["name"] for row in judged if row["fold"] == str(fold + 1)}
        assert out == {name for name, side in sides.items() if side == "test"}
        assert {groups[name] for name in out}.isdisjoint(groups[name] for name in sides if name not in out)
        assert set(sides.values()) == {"train", "validation", "test"}


def test_metrics_are_those_of_the_scores_written(validated: RunLayout):
    judged = records(validated.out_of_fold_csv)
    facts = json.loads(validated.cross_validation_json.read_text(encoding="utf-8"))
    score = np.array([float(row["p.malignancy.malignant"]) for row in judged])
    truth = np.array([row["target.malignancy.malignant"] == "1" for row in judged])
    wins = np.mean([(p > n) + 0.5 * (p == n) for p in score[truth] for n in score[~truth]])
    right = (score > 0.5) == truth
    metrics = facts["metrics"]
    assert metrics["auc.malignancy.malignant"]["value"] == pytest.approx(wins, abs=1e-3)
    assert metrics["balanced_accuracy.malignancy"]["value"] == pytest.approx(
        (right[truth].mean() + right[~truth].mean()) / 2, abs=1e-9
    )
    thresholds = [
        json.loads((validated.fold(k).model / "model.json").read_text())["operating_points"]["malignancy"][
            "threshold"
        ]
        for k in range(FOLDS)
    ]
    called = np.array([s >= thresholds[int(row["fold"]) - 1] for s, row in zip(score, judged, strict=True)])
    assert metrics["sensitivity.malignancy.malignant"]["value"] == pytest.approx(
        called[truth].mean(), abs=0.04
    )
    for name in (
        "calibration_error.malignancy",
        "calibration_error_before.malignancy",
        "specificity.malignancy.malignant",
    ):
        assert 0 <= metrics[name]["low"] <= metrics[name]["value"] <= metrics[name]["high"] <= 1
    counts = [[int((right & ~truth).sum()), int((~right & ~truth).sum())]]
    counts += [[int((~right & truth).sum()), int((right & truth).sum())]]
    assert facts["confusions"] == {"malignancy": counts}
    report = validated.cross_validation_md.read_text(encoding="utf-8")
    assert "3 folds, 54 images of 18 groups" in report
    assert "balanced_accuracy.malignancy" in report
    assert f"| malignant | {counts[1][0]} | {counts[1][1]} |" in report


def test_the_models_of_the_folds_are_one_ensemble_locked_on_out_of_fold_scores(
    validated: RunLayout, table: Path, tmp_path: Path
):
    description = read_model_file(validated.model)
    folds = [read_model_file(validated.fold(fold).model) for fold in range(FOLDS)]
    assert [own.weights_sha256 for own in description.members] == [own.weights_sha256 for own in folds]
    assert [own.temperatures for own in description.members] == [own.temperatures for own in folds]
    assert description.trained_on.patients == 18
    assert set(description.trained_on.training_files) == {
        name for own in folds for name in own.trained_on.training_files
    }
    judged = records(validated.out_of_fold_csv)
    score = np.array([float(row["p.malignancy.malignant"]) for row in judged])
    truth = np.array([row["target.malignancy.malignant"] == "1" for row in judged])
    point = description.operating_points["malignancy"]
    assert point.threshold == pytest.approx(expected_lock(judged).threshold, abs=2e-4)
    assert point.sensitivity is not None
    assert point.sensitivity.value == pytest.approx((score[truth] >= point.threshold).mean())
    auc = description.validation_metrics["validation_out_of_fold_auc.malignancy.malignant"]
    facts = json.loads(validated.cross_validation_json.read_text(encoding="utf-8"))
    assert auc.value == facts["metrics"]["auc.malignancy.malignant"]["value"]
    assert not [name for name in description.validation_metrics if "sensitivity" in name]
    card = ModelLayout(validated.model).card.read_text(encoding="utf-8")
    assert "Ensemble of 3, each test_efficientnet" in card
    assert "has been measured on no patient" in card
    assert evaluate.run_images(validated.model, table, tmp_path / "report") == 0
    rows = records(RunLayout(tmp_path / "report").image_predictions_csv)
    assert all(0.0 <= float(row["spread"]) <= 0.5 for row in rows)
    report = json.loads(RunLayout(tmp_path / "report").evaluation_json.read_text(encoding="utf-8"))
    assert not [name for name in report["metrics"]["images"] if name.startswith("calibration_error_before")]
    assert "Spread, the standard deviation" in RunLayout(tmp_path / "report").evaluation_html.read_text()


def test_runs_of_folds_and_evaluations_are_compared(validated: RunLayout, table: Path, tmp_path: Path):
    members = [ModelLayout(validated.model).member(index) for index in range(2)]
    for index, member in enumerate(members):
        assert evaluate.run_images(member, table, tmp_path / f"e{index}") == 0
    assert compare.run([tmp_path / "e0", tmp_path / "e1"], tmp_path / "c", replicates=50) == 0
    assert compare.run([validated.root, tmp_path / "e0"], tmp_path / "out", replicates=50) == 0
    found = json.loads((tmp_path / "out" / "compare.json").read_text(encoding="utf-8"))
    facts = json.loads(validated.cross_validation_json.read_text(encoding="utf-8"))["metrics"]
    for name in (
        "auc.malignancy.malignant",
        "sensitivity.malignancy.malignant",
        "balanced_accuracy.malignancy",
    ):
        values = found["metrics"][name]["values"][validated.root.name]
        # The table holds six decimals, which may tie scores.
        assert values["value"] == pytest.approx(facts[name]["value"], abs=5e-3)
        assert values["low"] == pytest.approx(facts[name]["low"], abs=2e-2)
    assert "must not have been trained on these patients" in found["notes"][0]


def test_an_ensemble_needs_folds(table: Path, tmp_path: Path):
    with pytest.raises(UserError, match="add --folds 5"):
        train.run_images(config(), table, tmp_path / "run", ensemble=True)


@pytest.mark.slow
def test_the_same_again_gives_the_same_bytes(validated: RunLayout, table: Path, tmp_path: Path):
    again = RunLayout(tmp_path / "again")
    assert train.run_images(config(), table, again.root, folds=FOLDS, ensemble=True) == 0
    for name in ("cross_validation_json", "cross_validation_md", "out_of_fold_csv"):
        assert getattr(again, name).read_bytes() == getattr(validated, name).read_bytes()
    assert (again.model / "model.json").read_bytes() == (validated.model / "model.json").read_bytes()


def test_more_folds_than_groups_is_the_users_error(table: Path, tmp_path: Path):
    with pytest.raises(UserError, match="lower --folds"):
        train.run_images(config(), table, tmp_path / "run", folds=40)


@pytest.mark.slow
def test_one_model_is_locked_on_the_out_of_fold_scores_of_all_patients(
    table: Path, validated: RunLayout, tmp_path: Path
) -> None:
    layout = RunLayout(tmp_path / "run")
    assert train.run_images(config(calibration_folds=FOLDS), table, layout.root) == 0
    point = read_model_file(layout.model).operating_points["malignancy"]
    own = point.guarantee
    assert own is not None
    assert (own.scores, own.patients, own.locked, own.needed) == ("out_of_fold", 9, False, 45)
    assert point.lock_note.startswith("not enough patients to lock: 9 positives; with 45 one could")
    # The folds are those of a cross-validation with the same config, whose scores are known.
    rows = list(csv.DictReader(validated.out_of_fold_csv.read_text(encoding="utf-8").splitlines()))
    truth = np.array([row["target.malignancy.malignant"] == "1" for row in rows])
    scores = np.array([row["p.malignancy.malignant"] for row in rows], np.float32)
    expected = expected_lock(rows)
    assert point.threshold == pytest.approx(expected.threshold, abs=2e-4)
    assert own.bound == pytest.approx(expected.bound)
    assert point.sensitivity is not None
    assert point.sensitivity.value == pytest.approx(np.mean(scores[truth] >= np.float32(point.threshold)))
    card = (layout.model / "card.md").read_text(encoding="utf-8")
    assert "Not enough patients to lock: 9 positives" in card
    assert "each scored by a model trained without him" in card
