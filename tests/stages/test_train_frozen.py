"""Training on a frozen backbone: tiles are encoded once, and heads of any kind make a model like every other."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import timm
import torch
from fixtures.slides_with_labels import config as slide_config
from fixtures.slides_with_labels import make_cohort
from safetensors.torch import load_file, save_file

from inkdot.config import Config, config_from_mapping
from inkdot.errors import StorageError, UserError
from inkdot.model.predictor import Predictor
from inkdot.model.slide_transformer import load_slide_transformer
from inkdot.stages import predict, train
from inkdot.stages.model import export as model_export
from inkdot.stages.model import show as model_show
from inkdot.storage.layout import RunLayout
from inkdot.storage.models.model_files import read_model_file
from inkdot.storage.tables.scores import read_scores

pytestmark = pytest.mark.slow

SLIDES = [f"s{index:02d}" for index in range(12)]
COLOURS = {"NL": (60, 90, 200), "LSIL": (120, 160, 60), "SCC": (150, 30, 60)}


def image_config() -> Config:
    grades = {name: {name: 1.0} for name in COLOURS}
    half = {"NL": {"benign": 1.0}, "LSIL": {"benign": 0.5, "malignant": 0.5}, "SCC": {"malignant": 1.0}}
    return config_from_mapping(
        {
            "tiling": {"side_px": 32, "mpp": 0.5, "stride_px": 32},
            "heads": [
                {
                    "name": "malignancy",
                    "classes": ["benign", "malignant"],
                    "labels": half,
                    "flag_class": "malignant",
                },
                {"name": "grade", "classes": list(COLOURS), "labels": grades},
            ],
            "model": {"backbone": "test_efficientnet"},
            "images": {
                "path": "file",
                "group": "original_image",
                "heads": {"malignancy": "label", "grade": "label"},
                "mpp_of_all": "unknown",
                "near_duplicates": "warn",  # painted circles resemble each other
            },
            "training": {"accelerator": "cpu"},
        }
    )


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "backbone.safetensors"
    torch.manual_seed(0)
    save_file(timm.create_model("test_efficientnet", num_classes=0).state_dict(), path)
    return path


def frozen(config: Config, weights: Path, **mil: object) -> Config:
    values = config.model_dump(mode="json")
    values["model"] |= {"weights": str(weights), "freeze_backbone": True}
    values["training"]["mil"] |= mil
    return config_from_mapping(values)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, generator = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    lines = ["file,label,original_image,site"]
    for label, colour in COLOURS.items():
        for original in range(6):
            rgb = np.full((60, 80, 3), 235, np.uint8)
            cv2.circle(rgb, (40, 30), 10, colour, cv2.FILLED)
            rgb = np.clip(rgb + generator.normal(0, 4, rgb.shape), 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / f"{label}{original}.png"), rgb[..., ::-1])
            lines.append(f"{label}{original}.png,{label},{label}{original},s")
    (folder / "images.csv").write_text("\n".join(lines))
    return folder / "images.csv"


@pytest.fixture(scope="module")
def probed(images: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    layout = RunLayout(tmp_path_factory.mktemp("probe") / "run")
    assert train.run_images(frozen(image_config(), weights), images, layout.root) == 0
    return layout


def test_a_linear_probe_on_images_keeps_the_backbone_and_makes_a_model(
    probed: RunLayout, weights: Path, images: Path
) -> None:
    stored = load_file(probed.model / "weights.safetensors")
    for name, tensor in load_file(weights).items():
        assert torch.equal(stored[f"backbone.{name}"], tensor)
    model = read_model_file(probed.model)
    assert model.validation_metrics["validation_auc.malignancy.malignant"].value == 1.0
    rows = list(csv.DictReader(probed.linear_probe_csv.read_text(encoding="utf-8").splitlines()))
    assert {row["head"] for row in rows if row["chosen"]} == {"malignancy", "grade"}
    card = (probed.model / "card.md").read_text(encoding="utf-8")
    assert "backbone frozen" in card
    assert "Augmentation: none" in card
    # The threshold holds for scores from pixels, too.
    predictor = Predictor(probed.model, runtime="torch")
    pixels = np.load(probed.cached_images)
    names = [row["file"] for row in csv.DictReader(images.read_text(encoding="utf-8").splitlines())]
    score = dict(zip(names, predictor.predict_proba(pixels)[:, 1], strict=True))
    split = csv.DictReader(probed.split_csv.read_text(encoding="utf-8").splitlines())
    held_out = [row["slide_id"] for row in split if row["split"] == "validation"]
    positive = [name for name in held_out if name.startswith("SCC")]
    assert positive
    assert min(score[name] for name in positive) >= model.operating_points["malignancy"].threshold


def test_embeddings_serve_further_runs_and_those_of_other_weights_are_named(
    probed: RunLayout, images: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = frozen(image_config(), weights)
    again = RunLayout(tmp_path / "again")
    assert train.run_images(config, images, again.root, embeddings=probed.root) == 0
    assert "are reused" in capsys.readouterr().err
    assert not again.image_embeddings.exists()
    for name in ("weights.safetensors", "model.json"):
        assert (again.model / name).read_bytes() == (probed.model / name).read_bytes()
    torch.manual_seed(1)
    save_file(timm.create_model("test_efficientnet", num_classes=0).state_dict(), tmp_path / "b.safetensors")
    other = RunLayout(tmp_path / "other")
    assert (
        train.run_images(
            frozen(image_config(), tmp_path / "b.safetensors"),
            images,
            other.root,
            embeddings=probed.root / "embeddings",
        )
        == 0
    )
    assert "are not used: expected encoder_sha256" in capsys.readouterr().err
    assert other.image_embeddings.exists()


def test_a_dry_run_says_what_is_encoded_and_writes_nothing(
    images: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.run_images(frozen(image_config(), weights), images, tmp_path / "run", dry_run=True) == 0
    printed = capsys.readouterr().err
    assert "all tiles are encoded once" in printed
    assert "Steps: none" in printed
    assert not (tmp_path / "run").exists()


def test_settings_that_contradict_a_frozen_backbone_are_refused(
    images: Path, weights: Path, tmp_path: Path
) -> None:
    config = frozen(image_config(), weights)
    scratch = config.model_copy(update={"model": config.model.model_copy(update={"weights": "scratch"})})
    with pytest.raises(UserError, match=r"freeze_backbone: expected false with model.weights: scratch"):
        train.run_images(scratch, images, tmp_path / "run")
    thawed = config.training.model_copy(update={"freeze_epochs": 2})
    with pytest.raises(UserError, match=r"freeze_epochs: expected 0"):
        train.run_images(config.model_copy(update={"training": thawed}), images, tmp_path / "run")
    with pytest.raises(UserError, match=r"--embeddings: expected model.freeze_backbone: true"):
        train.run_images(image_config(), images, tmp_path / "run", embeddings=tmp_path)
    with pytest.raises(UserError, match=r"--embeddings: expected a folder with embeddings"):
        train.run_images(config, images, tmp_path / "run", embeddings=tmp_path)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cohort(tmp_path_factory.mktemp("slides") / "cohort")


@pytest.fixture(scope="module")
def embedded(cohort: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    layout = RunLayout(tmp_path_factory.mktemp("slides") / "run")
    assert train.run(frozen(slide_config(), weights), cohort, layout.root, workers=1) == 0
    return layout


@pytest.mark.parametrize("aggregator", ["clam_sb", "max"])
def test_slide_labels_train_each_aggregator_and_predict_uses_it(
    embedded: RunLayout,
    cohort: Path,
    weights: Path,
    tmp_path: Path,
    aggregator: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    layout = RunLayout(tmp_path / "run")
    config = frozen(slide_config(), weights, aggregator=aggregator)
    assert train.run(config, cohort, layout.root, workers=1, embeddings=embedded.root) == 0
    assert "tile: 12 reused\n" in capsys.readouterr().err
    assert not list(layout.root.glob("embeddings/*"))
    assert not layout.tile_cache.exists()  # no pixel is kept
    model = read_model_file(layout.model)
    assert model.attention is not None
    assert (model.attention.aggregator, model.attention.start) == (aggregator, "pseudo-labels")
    scores: dict[str, dict[str, float]] = {}
    for runtime in ("torch", "openvino"):
        out = tmp_path / runtime
        settings = predict.PredictSettings(runtime=runtime, slide_images=False)  # type: ignore[arg-type]
        assert predict.run([cohort], layout.model, out, settings) == 0
        lines = list(csv.DictReader((out / "predictions.csv").read_text(encoding="utf-8").splitlines()))
        scores[runtime] = {line["slide_id"]: float(line["score"]) for line in lines}
    for name, score in scores["torch"].items():
        assert scores["openvino"][name] == pytest.approx(score, abs=0.03)  # bfloat16 where the CPU has it
    split = csv.DictReader(layout.split_csv.read_text(encoding="utf-8").splitlines())
    held_out = [row["slide_id"] for row in split if row["split"] == "validation"]
    positive = [name for name in held_out if int(name[1:]) % 2]
    threshold = model.operating_points["malignancy"].threshold
    runtime = "openvino" if model.precision == "bfloat16" else "torch"
    assert min(scores[runtime][name] for name in positive) >= threshold - 1e-4


def test_folds_on_embeddings_predict_every_slide_once(
    embedded: RunLayout, cohort: Path, weights: Path, tmp_path: Path
) -> None:
    config = frozen(slide_config(), weights, aggregator="mean")
    assert train.run(config, cohort, tmp_path / "folds", workers=1, folds=2, embeddings=embedded.root) == 0
    layout = RunLayout(tmp_path / "folds")
    rows = list(csv.DictReader(layout.out_of_fold_slides_csv.read_text(encoding="utf-8").splitlines()))
    assert sorted(row["slide_id"] for row in rows) == [f"s{index:02d}" for index in range(12)]
    assert all(row["score"] for row in rows)


def test_transmil_scores_a_slide_alike_in_validation_prediction_and_from_embeddings(
    embedded: RunLayout, cohort: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = frozen(slide_config(), weights, aggregator="transmil", hidden=8)
    values = config.model_dump(mode="json")
    values["model"]["precision"] = "float32"
    config = config_from_mapping(values)
    folds = RunLayout(tmp_path / "folds")
    options = {"workers": 1, "folds": 2, "ensemble": True, "embeddings": embedded.root}
    assert train.run(config, cohort, folds.root, **options) == 0  # type: ignore[arg-type]
    held_out = list(csv.DictReader(folds.out_of_fold_slides_csv.read_text(encoding="utf-8").splitlines()))
    by_member: list[dict[str, float]] = []
    for fold in range(2):
        model, found = folds.fold(fold).model, dict[str, dict[str, float]]()
        for name, runtime, source in (
            ("torch", "torch", None),
            ("openvino", "openvino", None),
            ("embeddings", "auto", embedded),
        ):
            out = tmp_path / f"{name}-{fold}"
            settings = predict.PredictSettings(
                runtime=runtime,  # type: ignore[arg-type]
                slide_images=False,
                embeddings_from=source.root if source else None,
            )
            assert predict.run([cohort], model, out, settings) == 0
            found[name] = {
                own: float(read_scores(RunLayout(out).scores(own)).mil_score or 0) for own in SLIDES
            }
            lines = csv.DictReader((out / "predictions.csv").read_text(encoding="utf-8").splitlines())
            for line in lines:
                assert float(line["score"]) == pytest.approx(found[name][line["slide_id"]], abs=1e-4)
                attention = read_scores(RunLayout(out).scores(line["slide_id"])).table.column("attention")
                assert attention.to_numpy().sum() == pytest.approx(1.0, abs=1e-5)
        for row in held_out:
            if int(row["fold"]) == fold + 1:  # training's own score of a whole slide
                assert float(row["score"]) == pytest.approx(found["embeddings"][row["slide_id"]], abs=2e-6)
        for own in SLIDES:
            assert found["openvino"][own] == pytest.approx(found["torch"][own], abs=1e-4)
            assert found["embeddings"][own] == pytest.approx(found["torch"][own], abs=1e-3)  # float16
        by_member.append(found["openvino"])
    out = tmp_path / "ensemble"
    assert predict.run([cohort], folds.model, out, predict.PredictSettings(slide_images=False)) == 0
    for line in csv.DictReader((out / "predictions.csv").read_text(encoding="utf-8").splitlines()):
        members = [own[line["slide_id"]] for own in by_member]
        assert float(line["score"]) == pytest.approx(np.mean(members), abs=1e-4)
        assert float(line["spread"]) == pytest.approx(np.std(members), abs=1e-4)
    description = read_model_file(folds.fold(0).model)
    assert description.attention is not None
    assert (description.attention.aggregator, description.attention.hidden) == ("transmil", 8)
    assert set(description.attention.slide_temperatures) == {"malignancy"}
    capsys.readouterr()
    assert model_show.run(folds.fold(0).model) == 0
    assert "scored by a transformer over their tiles" in capsys.readouterr().out
    assert "by the transformer over all tiles" in (folds.fold(0).model / "card.md").read_text(
        encoding="utf-8"
    )
    assert model_export.run(folds.fold(0).model, "onnx", tmp_path / "onnx") == 0
    assert "a slide's score (transmil) is not exported" in capsys.readouterr().err
    damaged = load_file(folds.fold(1).model / "weights.safetensors")
    del damaged["slide_transformer.class_token"]
    save_file(damaged, tmp_path / "weights.safetensors")
    with pytest.raises(StorageError, match="expected the transformer over tiles"):
        load_slide_transformer(tmp_path, 8, 2)
