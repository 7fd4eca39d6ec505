"""A model of images keeps an OOD reference; foreign images get a warning and no call, alone and as a batch."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from inkdot.config import Config, config_from_mapping
from inkdot.errors import UserError
from inkdot.stages import evaluate, predict_images, stress, train
from inkdot.storage.layout import ModelLayout
from inkdot.storage.models.model_files import read_model_file

NOT_LOCKED = "not enough patients to lock: 20 positives; with 45 one could promise a sensitivity of 0.95"
COLOURS = {"NL": (60, 90, 200), "SCC": (150, 30, 60)}


def config() -> Config:
    columns = {"path": "file", "group": "original", "heads": {"lesion": "label"}, "mpp_of_all": "unknown"}
    return config_from_mapping(
        {
            "tiling": {"side_px": 32, "mpp": 0.5, "stride_px": 32},
            "heads": [{"name": "lesion", "classes": ["NL", "SCC"], "flag_class": "SCC"}],
            "model": {"backbone": "test_efficientnet"},
            "images": {**columns, "near_duplicates": "warn"},
            "training": {"epochs": 2, "batch_size": 32, "learning_rate": 0.003, "accelerator": "cpu"},
        }
    )


def make_table(folder: Path, seed: int, originals: int, *, foreign: bool = False) -> Path:
    generator = np.random.default_rng(seed)
    lines = ["file,label,original,split"]
    folder.mkdir(parents=True)
    for label, colour in COLOURS.items():
        for original in range(originals):
            rgb = np.full((40, 40, 3), 235, np.uint8)
            mixed = [int(c + generator.normal(0, 25)) for c in colour]
            cv2.circle(
                rgb, (20, 20), int(generator.integers(6, 11)), np.clip(mixed, 0, 255).tolist(), cv2.FILLED
            )
            noisy = np.clip(rgb + generator.normal(0, 5, rgb.shape), 0, 255).astype(np.uint8)
            noisy = 255 - noisy if foreign else noisy
            name = f"{label}_{original}.png"
            cv2.imwrite(str(folder / name), noisy[..., ::-1])
            part = "validation" if original % 4 == 3 else "train"
            lines.append(f"{name},{label},{label} {original},{part if seed == 0 else ''}")
    (folder / "images.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "images.csv"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    assert train.run_images(config(), make_table(folder / "data", 0, 80), folder / "run") == 0
    return folder / "run" / "model"


def predicted(source: Path, model: Path, out: Path, **options: bool) -> list[dict[str, str]]:
    assert predict_images.run(source, model, out, runtime="torch", **options) == 0
    with (out / "image_predictions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_model_and_its_card_say_what_the_distance_notices(model: Path) -> None:
    ood = read_model_file(model).ood
    assert ood is not None
    assert ood.slides == 40
    assert ood.false_alarm_rate == pytest.approx(1 / 41)
    assert ood.batch_limit is not None
    assert ood.batch_limit < ood.limit
    assert "Blur (sigma) 2 px" in ood.auroc
    assert all(own.low <= own.value <= own.high for own in ood.auroc.values())
    card = (model / "card.md").read_text(encoding="utf-8")
    assert "| Blur (sigma) 2 px |" in card
    assert "about 2.4% of images like the 40 validation images" in card


def test_foreign_images_are_not_called_unless_asked(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = make_table(tmp_path / "foreign", 2, 15, foreign=True)
    rows = predicted(foreign.parent, model, tmp_path / "one")
    assert {row["call"] for row in rows} == {"indeterminate"}
    assert all("out of distribution (OOD)" in row["warnings"] and row["reason"] for row in rows)
    printed = " ".join(capsys.readouterr().err.split())
    assert "expected a median OOD distance of the batch of at most" in printed
    kept = predicted(foreign, model, tmp_path / "two", keep_ood_calls=True)
    assert not any("distribution" in row["reason"] for row in kept)  # some scores lie in the abstention band
    assert [row["score"] for row in kept] == [row["score"] for row in rows]
    assert all("out of distribution (OOD)" in row["warnings"] for row in kept)


def test_images_of_the_same_kind_are_called(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = predicted(make_table(tmp_path / "fresh", 3, 15), model, tmp_path / "out")
    assert NOT_LOCKED in " ".join(capsys.readouterr().err.split())
    withheld = [row for row in rows if "OOD" in row["reason"]]
    assert len(withheld) <= 3  # of 30; one in 41 is expected
    assert {row["outcome"] for row in rows} == {"done"}


def test_an_image_that_cannot_be_read_is_a_row_and_stops_nothing(model: Path, tmp_path: Path) -> None:
    folder = make_table(tmp_path / "some", 4, 2).parent
    (folder / "torn.png").write_bytes(b"no image")
    assert predict_images.run(folder, model, tmp_path / "out", runtime="torch") == 1
    with (tmp_path / "out" / "image_predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert rows["torn.png"]["outcome"] == "failed"
    assert "torn.png" in rows["torn.png"]["reason"]
    assert sum(row["outcome"] == "done" for row in rows.values()) == 4
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"expected images .* found none"):
        predict_images.run(tmp_path / "empty", model, tmp_path / "out")


def test_without_a_readable_image_nothing_is_said_of_the_reference(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "torn.png").write_bytes(b"no image")
    assert predict_images.run(tmp_path / "torn", model, tmp_path / "out", runtime="torch") == 1
    printed = capsys.readouterr().err
    assert "OOD" not in printed
    assert "1 images: 1 failed" in " ".join(printed.split())


def test_evaluation_says_that_the_batch_is_foreign(model: Path, tmp_path: Path) -> None:
    foreign = make_table(tmp_path / "foreign", 2, 15, foreign=True)
    assert evaluate.run_images(model, foreign, tmp_path / "out") == 0
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert any(NOT_LOCKED in warning for warning in report["warnings"])
    assert any("median OOD distance of the batch" in text for text in report["warnings"])


def test_the_robustness_report_has_every_level_with_intervals(model: Path, tmp_path: Path) -> None:
    table = make_table(tmp_path / "fresh", 3, 12)
    assert stress.run(model, tmp_path / "out", images=table, corruptions=["blur", "exposure"]) == 0
    report = json.loads((tmp_path / "out" / "stress.json").read_text(encoding="utf-8"))
    assert [row["corruption"] for row in report["rows"]] == ["unchanged", *["exposure"] * 6, *["blur"] * 4]
    assert report["rows"][0]["score_change"]["value"] == 0.0
    assert all(row["auc"]["low"] <= row["auc"]["value"] <= row["auc"]["high"] for row in report["rows"])
    by_level = {
        row["level"]: row["score_change"]["value"] for row in report["rows"] if row["corruption"] == "blur"
    }
    assert by_level[2.0] > by_level[0.25] >= 0.0
    page = (tmp_path / "out" / "stress.md").read_text(encoding="utf-8")
    assert "| Blur (sigma) 2 px |" in page
    assert (tmp_path / "out" / "stress.svg").read_text(encoding="utf-8").startswith("<svg")
    with pytest.raises(UserError, match="expected one of stain_amount"):
        stress.run(model, tmp_path / "out", images=table, corruptions=["fog"])
    with pytest.raises(UserError, match="expected either --images or --run, found neither"):
        stress.run(model, tmp_path / "out")


@pytest.mark.slow
def test_an_ensemble_of_images_withholds_calls_too(tmp_path: Path) -> None:
    table = make_table(tmp_path / "data", 0, 90)
    lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join(line.rsplit(",", 1)[0] for line in lines) + "\n", encoding="utf-8")
    assert train.run_images(config(), table, tmp_path / "run", folds=5, ensemble=True) == 0
    folder = tmp_path / "run" / "model"
    ood = read_model_file(folder).ood
    assert ood is not None
    limits = [read_model_file(ModelLayout(folder).member(index)).ood for index in range(5)]
    assert ood.limit == pytest.approx(np.mean([own.limit for own in limits if own is not None]))
    foreign = make_table(tmp_path / "foreign", 2, 15, foreign=True)
    assert {row["call"] for row in predicted(foreign, folder, tmp_path / "out")} == {"indeterminate"}
