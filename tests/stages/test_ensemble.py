"""Ensembles: several models in one folder, scored, verified, shown and refused."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.predict_run import run as predict

from inkdot.errors import StorageError, UserError
from inkdot.model.ensemble import mean_ood_distance
from inkdot.model.model_folder import load_model, network_spec, save_model
from inkdot.model.network import TileNetwork
from inkdot.model.predictor import Predictor
from inkdot.stages.model import export as model_export
from inkdot.stages.model import show as model_show
from inkdot.stages.model import verify as model_verify
from inkdot.stages.review import export as review_export
from inkdot.storage.layout import ModelLayout, RunLayout
from inkdot.storage.models.ensemble_files import Member, members_sha256
from inkdot.storage.models.model_files import model_sha256, read_model_file, write_model_file
from inkdot.storage.models.model_records import Attention
from inkdot.storage.tables.scores import read_scores

MakeModel = Callable[..., Path]
MakeSlide = Callable[..., Path]

MEMBERS = 3


@pytest.fixture(scope="module")
def ensemble(untrained_model: MakeModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three untrained networks with other temperatures each."""
    folder = tmp_path_factory.mktemp("ensemble") / "model"
    for index in range(MEMBERS):
        own = untrained_model(ModelLayout(folder).member(index), seed=index)
        temperatures = {"malignancy": 0.02 * (index + 1), "morphology": 1.0}
        write_model_file(own, read_model_file(own).model_copy(update={"temperatures": temperatures}))
    return assemble(folder)


def assemble(folder: Path) -> Path:
    """Describe the models in a folder's ``members`` as one ensemble."""
    folders = [ModelLayout(folder).member(index) for index in range(MEMBERS)]
    descriptions = [read_model_file(own) for own in folders]
    members = [
        Member(
            model_sha256=model_sha256(own),
            weights_sha256=description.weights_sha256,
            temperatures=description.temperatures,
        )
        for own, description in zip(folders, descriptions, strict=True)
    ]
    update = {"temperatures": {}, "members": members, "weights_sha256": members_sha256(members)}
    write_model_file(folder, descriptions[0].model_copy(update=update))
    return folder


def tiles(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(3).integers(0, 256, (count, 64, 64, 3), np.uint8))


@pytest.mark.parametrize("runtime", ["torch", pytest.param("openvino", marks=pytest.mark.slow)])
def test_a_score_is_the_mean_of_the_members_and_the_spread_their_deviation(ensemble: Path, runtime: str):
    found = Predictor(ensemble, device="cpu", runtime=runtime).predict(iter(tiles(37)))
    own = [
        Predictor(ModelLayout(ensemble).member(index), device="cpu", runtime=runtime).predict_proba(tiles(37))
        for index in range(MEMBERS)
    ]
    assert found.scores == pytest.approx(np.mean(own, axis=0), abs=1e-7)
    assert found.spread == pytest.approx(np.std([scores[:, 1] for scores in own], axis=0), abs=1e-6)
    assert found.spread.min() > 1e-4  # the members do not agree, so that the mean is tested
    assert found.scores[:, :2].sum(axis=1) == pytest.approx(np.ones(37), abs=1e-6)
    assert Predictor(ensemble, runtime=runtime).predict(iter([])).scores.shape == (0, 4)


def test_slides_carry_the_spread_to_tables_terminal_and_gallery(
    ensemble: Path, dotted_slide: MakeSlide, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    slide = dotted_slide(tmp_path / "slides" / "a.tif", 1)
    results = RunLayout(tmp_path / "results")
    assert predict([slide], ensemble, results.root, slide_images=False) == 0
    printed = capsys.readouterr().err
    assert "Ensemble of 3 models: prediction takes about 3 times as long" in printed
    scores = read_scores(results.scores("a"))
    assert scores.spread is not None
    row = next(csv.DictReader(results.predictions_csv.read_text(encoding="utf-8").splitlines()))
    best = int(np.argmax(scores.flag_scores))
    assert float(row["score"]) == pytest.approx(scores.flag_scores[best], abs=1e-4)
    assert float(row["spread"]) == pytest.approx(scores.spread[best], abs=1e-4)
    assert f"highest {float(row['spread']):.3f} (a)" in re.sub(r"\s+", " ", printed)
    assert review_export.run(results.root, tmp_path / "review") == 0
    page = (tmp_path / "review" / "index.html").read_text(encoding="utf-8")
    spreads = [float(value) for value in re.findall(r'"spread": ?([0-9.]+)', page)]
    assert spreads[0] == pytest.approx(float(row["spread"]), abs=1e-4)
    before = results.scores("a").read_bytes()
    assert predict([slide], ensemble, results.root, slide_images=False) == 0
    assert results.scores("a").read_bytes() == before


def test_with_attention_the_slide_has_the_mean_of_the_members_slide_scores(
    untrained_model: MakeModel, dotted_slide: MakeSlide, tmp_path: Path
):
    folder, slide = tmp_path / "model", dotted_slide(tmp_path / "slides" / "a.tif", 1)
    for index in range(MEMBERS):
        own = ModelLayout(folder).member(index)
        plain = read_model_file(untrained_model(own, mode="grid", seed=index))
        torch.manual_seed(index)
        spec = replace(network_spec(plain), attention_hidden=4)
        point = plain.operating_points["malignancy"].model_copy(update={"evaluated_on": "attention"})
        attention = Attention(hidden=4, slides_per_class={}, start="scratch")
        update = {"attention": attention, "operating_points": {"malignancy": point}}
        update["temperatures"] = {"malignancy": 0.05 * (index + 1), "morphology": 1.0}
        save_model(own, TileNetwork(spec), plain.model_copy(update=update))
    assemble(folder)
    slide_scores: list[float] = []
    for name, model in [
        ("whole", folder),
        *((str(index), ModelLayout(folder).member(index)) for index in range(MEMBERS)),
    ]:
        results = RunLayout(tmp_path / name)
        assert predict([slide], model, results.root, slide_images=False) == 0
        row = next(csv.DictReader(results.predictions_csv.read_text(encoding="utf-8").splitlines()))
        slide_scores.append(float(row["score"]))
        if name == "whole":
            spread = float(row["spread"])
            scores = read_scores(results.scores("a"))
            assert np.sum(scores.table.column("attention").to_numpy()) == pytest.approx(1.0, abs=1e-5)
            before = results.scores("a").read_bytes()
            assert predict([slide], model, results.root, slide_images=False) == 0
            assert results.scores("a").read_bytes() == before
    assert slide_scores[0] == pytest.approx(np.mean(slide_scores[1:]), abs=1e-4)
    assert spread == pytest.approx(np.std(slide_scores[1:]), abs=1e-4)
    assert spread > 1e-3


def test_ood_distances_of_the_members_are_averaged_over_their_own_embeddings():
    features = np.random.default_rng(2).normal(size=(5, 7)).astype(np.float32)
    own = [lambda part: part.sum(axis=1), lambda part: part.max(axis=1)]
    expected = (features[:, :3].sum(axis=1) + features[:, 3:].max(axis=1)) / 2.0
    assert mean_ood_distance(own, [3, 4])(features) == pytest.approx(expected, abs=1e-6)


def test_one_network_has_no_spread(untrained_model: MakeModel, dotted_slide: MakeSlide, tmp_path: Path):
    slide = dotted_slide(tmp_path / "slides" / "a.tif", 1)
    model = untrained_model(tmp_path / "model")
    results = RunLayout(tmp_path / "results")
    assert predict([slide], model, results.root, slide_images=False) == 0
    assert read_scores(results.scores("a")).spread is None
    row = next(csv.DictReader(results.predictions_csv.read_text(encoding="utf-8").splitlines()))
    assert row["spread"] == ""
    assert "members" not in json.loads((model / "model.json").read_text())


def test_an_ensemble_is_shown_and_verified(ensemble: Path, capsys: pytest.CaptureFixture[str]):
    assert model_show.run(ensemble) == 0
    assert model_verify.run(ensemble) == 0
    printed = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "ensemble of 3, each test_resnet" in printed
    assert "temperatures of the members 0.02, 0.04, 0.06" in printed
    assert "parameters in 3 members fit" in printed
    for member in read_model_file(ensemble).members:
        assert member.model_sha256 in printed


def test_what_needs_one_network_names_a_member(ensemble: Path, dotted_slide: MakeSlide, tmp_path: Path):
    with pytest.raises(
        UserError, match=r"takes one network, found an ensemble of 3; give one of its members"
    ):
        load_model(ensemble)
    with pytest.raises(UserError, match=r"model export takes one network"):
        model_export.run(ensemble, "onnx", tmp_path / "export")
    slide = dotted_slide(tmp_path / "slides" / "a.tif", 1)
    with pytest.raises(UserError, match=r"embeddings takes one network.*members/1"):
        predict([slide], ensemble, tmp_path / "results", embeddings=True)
    assert load_model(ModelLayout(ensemble).member(0))[0].backbone == "test_resnet"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda own: shutil.rmtree(own), "expected a member of the ensemble, found no model.json"),
        (lambda own: (own / "weights.safetensors").write_bytes(b"x"), "the weights that model.json describes"),
        (lambda own: shutil.copyfile(own.parent / "1" / "model.json", own / "model.json"), "weights that model.json"),
        (lambda own: (shutil.rmtree(own), shutil.copytree(own.parent / "1", own)), "found another model"),
    ],
)  # fmt: skip
def test_a_missing_damaged_or_other_member_is_refused(ensemble: Path, tmp_path: Path, damage, message: str):
    copy = tmp_path / "model"
    shutil.copytree(ensemble, copy)
    damage(ModelLayout(copy).member(1))
    with pytest.raises(StorageError, match=message):
        Predictor(copy)
