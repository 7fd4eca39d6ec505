"""A model evaluated on new images, with metrics recomputed from the files that were written."""

import csv
import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from inkdot.config import Config, config_from_mapping
from inkdot.errors import ManifestError, SyntheticModelError, UserError
from inkdot.stages import evaluate, train
from inkdot.storage.layout import RunLayout
from inkdot.storage.models.model_files import read_model_file

COLOURS = {"NL": (60, 90, 200), "LSIL": (120, 160, 60), "SCC": (150, 30, 60)}


def config(**images: object) -> Config:
    columns = {"path": "file", "group": "original", "heads": {"lesion": "label"}, "mpp_of_all": "unknown"}
    return config_from_mapping(
        {
            "tiling": {"side_px": 32, "mpp": 0.5, "stride_px": 32},
            "heads": [{"name": "lesion", "classes": ["NL", "LSIL", "SCC"], "flag_class": "SCC"}],
            "model": {"backbone": "test_efficientnet"},
            "images": {**columns, "crop_px": 40, "near_duplicates": "warn", **images},
            "training": {"epochs": 4, "batch_size": 16, "learning_rate": 0.003, "accelerator": "cpu"},
        }
    )


def make_table(folder: Path, seed: int, originals: int = 5, copies: int = 2) -> Path:
    generator = np.random.default_rng(seed)
    lines = ["file,label,original,site,split"]
    (folder / "images").mkdir(parents=True)
    for label, colour in COLOURS.items():
        for original in range(originals):
            for copy in range(copies):
                rgb = np.full((60, 80, 3), 235, np.uint8)
                rgb[:, :18] = colour[::-1]  # a streak beside the crop that tells every class, wrongly
                mixed = [int(c + generator.normal(0, 45)) for c in colour]
                cv2.circle(rgb, (40, 30), 10, np.clip(mixed, 0, 255).tolist(), cv2.FILLED)
                noisy = np.clip(rgb + generator.normal(0, 5, rgb.shape), 0, 255).astype(np.uint8)
                name = f"images/{label} ü_{original} ({copy}).png"
                (folder / name).write_bytes(cv2.imencode(".png", noisy[..., ::-1])[1].tobytes())
                lines.append(f"{name},{label},{label} {original},lab-{original % 2},")
    (folder / "images.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "images.csv"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    table = make_table(folder / "data", 0)
    header, *rows = table.read_text(encoding="utf-8").splitlines()
    # Two of the five originals of each class validate, as the column says.
    rows = [row + ("validation" if row.split(",")[2][-1] in "34" else "train") for row in rows]
    table.write_text("\n".join([header, *rows]), encoding="utf-8")
    assert train.run_images(config(), table, folder / "run") == 0
    with (folder / "run" / "split.csv").open(encoding="utf-8", newline="") as file:
        parts = {row["patient_id"]: row["split"] for row in csv.DictReader(file)}
    assert [parts[f"NL {k}"] for k in range(5)] == ["train"] * 3 + ["validation"] * 2
    return folder / "run" / "model"


@pytest.fixture(scope="module")
def evaluated(model: Path, tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    folder = tmp_path_factory.mktemp("evaluated")
    assert evaluate.run_images(model, make_table(folder / "data", 1), folder / "out") == 0
    return RunLayout(folder / "out")


def pairwise_auc(truth: list[bool], scores: list[float]) -> float:
    positive = [s for t, s in zip(truth, scores, strict=True) if t]
    negative = [s for t, s in zip(truth, scores, strict=True) if not t]
    return float(np.mean([(p > n) + 0.5 * (p == n) for p in positive for n in negative]))


def stepwise_precision(truth: list[bool], scores: list[float]) -> float:
    """Mean over the positives of the precision at their own score."""
    found = []
    for own in (s for t, s in zip(truth, scores, strict=True) if t):
        called = [t for t, s in zip(truth, scores, strict=True) if s >= own]
        found.append(sum(called) / len(called))
    return float(np.mean(found))


def records(layout: RunLayout) -> list[dict[str, str]]:
    with layout.image_predictions_csv.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_metrics_agree_with_the_scores_written(evaluated: RunLayout, model: Path) -> None:
    report = json.loads(evaluated.evaluation_json.read_text(encoding="utf-8"))
    rows = records(evaluated)
    assert len(rows) == 30
    truth = np.array([float(row["target.lesion.SCC"]) for row in rows])
    score = np.array([float(row["p.lesion.SCC"]) for row in rows])
    images, groups = report["metrics"]["images"], report["metrics"]["groups"]
    assert images["auc.lesion.SCC"]["value"] == pytest.approx(
        pairwise_auc((truth == 1).tolist(), score.tolist()), abs=1e-3
    )
    names = ("NL", "LSIL", "SCC")
    labels = np.array([[float(row[f"target.lesion.{name}"]) for name in names] for row in rows]).argmax(1)
    likeliest = np.array([[float(row[f"p.lesion.{name}"]) for name in names] for row in rows]).argmax(1)
    expected = np.mean([(likeliest[labels == k] == k).mean() for k in range(3)])
    assert images["balanced_accuracy.lesion"]["value"] == pytest.approx(expected)
    counts = Counter(f"{names[t]}, {names[c]}" for t, c in zip(labels, likeliest, strict=True))
    assert report["confusions"]["lesion"] == dict(counts)
    threshold = read_model_file(model).operating_points["lesion"].threshold
    assert [row["flagged"] == "1" for row in rows] == [bool(value >= threshold) for value in score]
    assert images["sensitivity.lesion.SCC"]["value"] == pytest.approx((score[truth == 1] >= threshold).mean())
    best: dict[str, float] = {}
    for row, value in zip(rows, score, strict=True):
        best[row["group"]] = max(value, best.get(row["group"], 0.0))
    of_group = [group.startswith("SCC") for group in best]
    assert groups["auc"]["value"] == pytest.approx(pairwise_auc(of_group, list(best.values())), abs=1e-3)
    expected = stepwise_precision(of_group, list(best.values()))
    assert groups["average_precision"]["value"] == pytest.approx(expected, abs=1e-3)
    assert sum(row["count"] for row in report["reliability"]) == 30
    assert set(report["subgroups"]["site"]) == {"lab-0", "lab-1"}
    assert report["unit"] == "image"
    point = read_model_file(model).operating_points["lesion"]
    assert report["operating_point"] == {"head": "lesion", "class": "SCC", "threshold": point.threshold}
    of_groups = {name: value >= threshold for name, value in best.items()}
    flagged = [name for name, own in of_groups.items() if own]
    (own,) = report["predictive_values"]
    if flagged:
        assert own["ppv"]["value"] == pytest.approx(np.mean([name.startswith("SCC") for name in flagged]))
    assert own["of_this_test_set"]
    decision = {round(row["threshold_probability"], 2): row for row in report["curves"]["decision"]}
    hits = sum(name.startswith("SCC") for name, value in best.items() if value >= 0.3)
    false = sum(not name.startswith("SCC") for name, value in best.items() if value >= 0.3)
    assert decision[0.3]["net_benefit"] == pytest.approx((hits - false * 3 / 7) / len(best), abs=1e-6)


@pytest.mark.slow
def test_images_are_cropped_as_in_training_whatever_the_config_says(
    evaluated: RunLayout, model: Path, tmp_path: Path
) -> None:
    assert read_model_file(model).images is not None
    table = evaluated.root.parent / "data" / "images.csv"
    evaluate.run_images(model, table, tmp_path / "out", config=config(crop_px=None))
    assert records(RunLayout(tmp_path / "out")) == records(evaluated)


@pytest.mark.slow
def test_columns_of_another_table_are_named_by_a_config(
    evaluated: RunLayout, model: Path, tmp_path: Path
) -> None:
    table = evaluated.root.parent / "data" / "images.csv"
    other = table.with_name("other.csv")
    other.write_text(
        table.read_text(encoding="utf-8").replace("file,label,original", "image,diagnosis,patient"),
        encoding="utf-8",
    )
    with pytest.raises(ManifestError, match="expected a column 'file'"):
        evaluate.run_images(model, other, tmp_path / "out")
    named = config(path="image", heads={"lesion": "diagnosis"}, group="patient")
    assert evaluate.run_images(model, other, tmp_path / "out", config=named) == 0
    assert records(RunLayout(tmp_path / "out")) == records(evaluated)


@pytest.mark.slow
def test_a_second_run_gives_the_same_bytes(evaluated: RunLayout, model: Path) -> None:
    files = evaluated.evaluation_json, evaluated.evaluation_html, evaluated.image_predictions_csv
    before = [path.read_bytes() for path in files]
    evaluate.run_images(model, evaluated.root.parent / "data" / "images.csv", evaluated.root)
    assert [path.read_bytes() for path in files] == before


@pytest.mark.slow
def test_images_with_wrong_calls_are_shown_as_cropped_for_the_model(model: Path, tmp_path: Path) -> None:
    table = make_table(tmp_path / "data", 7, originals=2, copies=2)
    lines = table.read_text(encoding="utf-8").splitlines()
    swapped = [line.replace(",NL,", ",?,").replace(",SCC,", ",NL,").replace(",?,", ",SCC,") for line in lines]
    table.write_text("\n".join(swapped), encoding="utf-8")
    assert evaluate.run_images(model, table, tmp_path / "out") == 0
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    errors = report["worst_errors"]
    assert {e["kind"] for e in errors} & {"missed", "false positive"}
    assert {e["label"] for e in errors} <= {"NL", "LSIL", "HSIL", "SCC"}
    text = (tmp_path / "out" / "evaluation.html").read_text(encoding="utf-8")
    assert text.count("data:image/jpeg;base64,") == len(errors)


@pytest.mark.slow
def test_the_page_is_about_images_and_loads_nothing(evaluated: RunLayout) -> None:
    text = evaluated.evaluation_html.read_text(encoding="utf-8")
    for words in ("For Research Use Only", "ROC of groups", "Groups", "95 % interval"):
        assert words in text
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")


@pytest.mark.slow
def test_with_a_split_only_test_images_are_evaluated(model: Path, tmp_path: Path) -> None:
    table = make_table(tmp_path / "data", 2, originals=2, copies=1)
    lines = table.read_text(encoding="utf-8").splitlines()
    parts = ["train", "test"] * 3
    table.write_text(
        "\n".join([lines[0], *(line + part for line, part in zip(lines[1:], parts, strict=True))]),
        encoding="utf-8",
    )
    assert evaluate.run_images(model, table, tmp_path / "out") == 0
    assert sorted({row["group"] for row in records(RunLayout(tmp_path / "out"))}) == [
        "LSIL 1",
        "NL 1",
        "SCC 1",
    ]
    table.write_text(table.read_text(encoding="utf-8").replace(",test", ",train"), encoding="utf-8")
    with pytest.raises(UserError, match="expected images with split = test, found none"):
        evaluate.run_images(model, table, tmp_path / "out2")
    assert not (tmp_path / "out2").exists()


@pytest.mark.slow
def test_bad_images_are_named_and_in_no_metric(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = make_table(tmp_path / "data", 3, originals=1, copies=1)
    (tmp_path / "data" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    with table.open("a", encoding="utf-8") as file:
        file.write("torn.png,SCC,t,,\ngone.png,NL,g,,\n")
    assert evaluate.run_images(model, table, tmp_path / "out") == 1
    assert "gone.png could not be used" in capsys.readouterr().err
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert sorted(report["failed"]) == ["gone.png", "torn.png"]
    assert sum(report["calls"].values()) == 3


@pytest.mark.slow
def test_images_of_which_none_can_be_read_are_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "images.csv").write_text("file,label,original\ngone.png,NL,g\n")
    with pytest.raises(UserError, match=r"expected images that can be read, found none; gone\.png"):
        evaluate.run_images(model, tmp_path / "images.csv", tmp_path / "out")


def synthetic(model: Path, folder: Path, **changed: object) -> Path:
    """A copy of the model with another description."""
    folder.mkdir()
    for path in model.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    description["trained_on"]["synthetic"] = True
    (folder / "model.json").write_text(json.dumps(description | changed), encoding="utf-8")
    return folder


@pytest.mark.slow
def test_a_synthetic_model_refuses_real_images(model: Path, tmp_path: Path) -> None:
    table = make_table(tmp_path / "data", 4, originals=1, copies=1)
    painted = synthetic(model, tmp_path / "painted")
    with pytest.raises(SyntheticModelError, match="expected a synthetic slide"):
        evaluate.run_images(painted, table, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert evaluate.run_images(painted, table, tmp_path / "out", allow_synthetic_model=True) == 0
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert "SYNTHETIC" in report["warnings"][0]
    assert all(name.startswith("selftest_") for own in report["metrics"].values() for name in own)


@pytest.mark.slow
def test_a_model_of_known_scale_needs_the_scale_of_every_image(model: Path, tmp_path: Path) -> None:
    table = make_table(tmp_path / "data", 5, originals=1, copies=1)
    known = synthetic(model, tmp_path / "known", mpp_known=True)
    with pytest.raises(UserError, match=r"expected micrometres per pixel for every image.*found 3 without"):
        evaluate.run_images(known, table, tmp_path / "out", allow_synthetic_model=True)


@pytest.mark.slow
@pytest.mark.parametrize("blank", [True, False])
def test_another_head_may_be_without_labels(tmp_path: Path, blank: bool) -> None:
    """A table with labels of one head evaluates a model that has two."""
    both = config().model_dump()
    both["heads"].append({"name": "laboratory", "classes": ["lab-0", "lab-1"]})
    both["images"]["heads"] = {"lesion": "label", "laboratory": "site"}
    both["training"]["epochs"] = 1
    table = make_table(tmp_path / "data", 0)
    header, *rows = table.read_text(encoding="utf-8").splitlines()
    rows = [row + ("validation" if row.split(",")[2][-1] in "34" else "train") for row in rows]
    table.write_text("\n".join([header, *rows]), encoding="utf-8")
    assert train.run_images(config_from_mapping(both), table, tmp_path / "run") == 0
    kept = [",".join(row.split(",")[:3]) + "," * blank for row in rows]
    head = "file,label,original" + ",site" * blank
    table.write_text("\n".join([head, *kept]) + "\n", encoding="utf-8")
    assert evaluate.run_images(tmp_path / "run" / "model", table, tmp_path / "out") == 0
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    names = report["metrics"]["images"]
    assert "auc.lesion.SCC" in names
    assert not any("laboratory" in name for name in names)
    page = (tmp_path / "out" / "evaluation.html").read_text(encoding="utf-8")
    assert "the worst first; each image as the model saw it." in page or "Worst errors" not in page
    assert "lesion: likeliest class of images" in page
    assert "likeliest class: laboratory" not in page


def test_training_images_are_counted_in_a_warning(
    evaluated: RunLayout, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = make_table(
        tmp_path / "data", 0
    )  # the images of the model; 3 of 5 originals of each class trained it
    assert evaluate.run_images(model, table, tmp_path / "out") == 0
    warning = "The model was trained on 18 of these 30 images: the metrics are too good. Evaluate it on other patients."
    assert warning in json.loads(RunLayout(tmp_path / "out").evaluation_json.read_text("utf-8"))["warnings"]
    assert warning in capsys.readouterr().err
    assert "trained on" not in str(json.loads(evaluated.evaluation_json.read_text("utf-8"))["warnings"])


def test_smaller_images_are_not_advised_to_change_what_the_model_fixed(model: Path, tmp_path: Path) -> None:
    """The crop is the model's, whatever a config says: to lower images.crop_px would change nothing."""
    table = make_table(tmp_path / "data", 9, originals=2, copies=1)
    small = tmp_path / "data" / "images" / "small.png"
    small.write_bytes(cv2.imencode(".png", np.full((30, 30, 3), 200, np.uint8))[1].tobytes())
    table.write_text(
        table.read_text(encoding="utf-8") + "images/small.png,NL,small,lab-0,\n", encoding="utf-8"
    )
    assert evaluate.run_images(model, table, tmp_path / "out", config=config(crop_px=20)) == 1
    failed = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))["failed"]
    (reason,) = failed.values()
    assert "expected at least images.crop_px = 40 pixels on each side, found 30 x 30" in reason
    assert "lower" not in reason
    assert "leave the image out" in reason
