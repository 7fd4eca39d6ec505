"""A network that gives other scores than those in its model folder is refused, in whatever form it runs."""

# pyright: reportUnknownMemberType=false

import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from inkdot.errors import StorageError
from inkdot.model.calibrated_scores import calibrated_scores
from inkdot.model.model_folder import load_model, save_model
from inkdot.model.network import NetworkSpec, TileNetwork
from inkdot.model.predictor import Predictor, Runtime
from inkdot.model.reference_scores import (
    check_reference_scores,
    reference_logits,
    reference_tiles,
    score_difference,
)
from inkdot.stages.model import verify
from inkdot.storage.hashing import file_sha256
from inkdot.storage.models.model_files import ModelFile, read_model_file

DEMO = Path(__file__).parents[2] / "models" / "demo"
SIDE = 32
RUNTIMES: tuple[Runtime, ...] = ("torch", "openvino")
TILES_OF_64_PX = "e8211199ee9839012c1b6c18f09bf2220e59f244ae35a9edff68d6bd896a0f2d"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INKDOT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "networks"


def make(folder: Path, seed: int, mode: str = "eval") -> TileNetwork:
    described = read_model_file(DEMO)
    torch.manual_seed(seed)
    network = TileNetwork(NetworkSpec("test_efficientnet", 0.2, described.head_records, SIDE))
    with torch.no_grad():
        for head in network.heads.values():
            head.get_parameter("weight").mul_(200)
    update = {
        "backbone": "test_efficientnet", "dropout": 0.2, "ood": None, "reference_scores": None,
        "normalisation_mean": list(network.spec.normalisation_mean), "normalisation_std": list(network.spec.normalisation_std),
        "tiling": described.tiling.model_copy(update={"side_px": SIDE, "stride_px": SIDE}),
    }  # fmt: skip
    network.train(mode == "train")
    save_model(folder, network, described.model_copy(update=update))
    return network


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference") / "model"
    make(folder, 4)
    return folder


@pytest.fixture
def model(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "model"))


def edit(model: Path, **values: object) -> None:
    path = model / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | values), encoding="utf-8")


def without_reference(model: Path) -> None:
    """As version 4 wrote it."""
    values = json.loads((model / "model.json").read_text(encoding="utf-8"))
    del values["reference_scores"]
    (model / "model.json").write_text(json.dumps(values | {"version": "inkdot.model/4"}), encoding="utf-8")


def test_the_tiles_are_the_same_bytes_everywhere() -> None:
    tiles = np.stack(reference_tiles(64))
    assert (tiles.shape, tiles.dtype) == ((12, 64, 64, 3), np.uint8)
    assert hashlib.sha256(tiles.tobytes()).hexdigest() == TILES_OF_64_PX
    assert tiles.std(axis=(1, 2, 3)).min() > 1
    assert np.stack(reference_tiles(33)).shape == (12, 33, 33, 3)


def test_the_folder_states_what_the_weights_give(model: Path) -> None:
    description, network = load_model(model)
    assert description.reference_scores is not None
    with torch.inference_mode():
        expected = network(torch.from_numpy(np.stack(reference_tiles(SIDE)).transpose(0, 3, 1, 2))).numpy()
    assert np.allclose(description.reference_scores.logits, expected, atol=1e-4)
    scores = calibrated_scores(expected, description.head_records, description.temperatures)
    assert scores.std(axis=0).max() > 0.1  # else any network would do


def test_saving_leaves_a_network_in_training_as_it_is(tmp_path: Path) -> None:
    network = make(tmp_path / "model", 4, mode="train")
    assert network.training
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    save_model(tmp_path / "again", network, read_model_file(tmp_path / "model"))
    assert all(torch.equal(buffers[name], buffer) for name, buffer in network.named_buffers())
    assert (
        read_model_file(tmp_path / "again").reference_scores
        == read_model_file(tmp_path / "model").reference_scores
    )


@pytest.mark.parametrize("runtime", ["torch", pytest.param("openvino", marks=pytest.mark.slow)])
def test_an_edited_normalisation_is_refused_in_every_runtime(model: Path, runtime: Runtime) -> None:
    pytest.importorskip(runtime)
    tiles = [np.zeros((SIDE, SIDE, 3), np.uint8)]
    Predictor(model, device="cpu", runtime=runtime).predict_proba(tiles)
    edit(model, normalisation_mean=[0.2, 0.4, 0.7])
    with pytest.raises(
        StorageError, match=f"{runtime} on the CPU: expected scores within .* of the reference scores"
    ) as error:
        Predictor(model, device="cpu", runtime=runtime).predict_proba(tiles)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.slow
def test_a_planted_conversion_is_refused_where_it_is_used_first(
    model: Path, cache: Path, tmp_path: Path
) -> None:
    """As if someone had got at the user's own cache: every hash matches, only the scores do not."""
    pytest.importorskip("openvino")
    tiles = [np.zeros((SIDE, SIDE, 3), np.uint8)]
    Predictor(model, device="cpu", runtime="openvino").predict_proba(tiles)
    (own,) = cache.iterdir()
    make(tmp_path / "other", 5)
    Predictor(tmp_path / "other", device="cpu", runtime="openvino").predict_proba(tiles)
    (other,) = [folder for folder in cache.iterdir() if folder != own]
    facts = json.loads((own / "network.json").read_text(encoding="utf-8"))
    for name in ("network.xml", "network.bin"):
        (other / name).replace(own / name)
        facts[f"{name}_sha256"] = file_sha256(own / name)
    (own / "network.json").write_text(json.dumps(facts), encoding="utf-8")
    message = (
        r"openvino on the CPU: expected scores within .* delete the converted networks in .*, "
        "or score with `inkdot predict --runtime torch`"
    )
    with pytest.raises(StorageError, match=message):
        Predictor(model, device="cpu", runtime="openvino").predict_proba(tiles)
    Predictor(model, device="cpu", runtime="torch").predict_proba(tiles)


def test_in_bfloat16_single_tiles_may_differ_and_another_network_is_refused(
    model: Path, tmp_path: Path
) -> None:
    stored = read_model_file(model)
    description = stored.model_copy(update={"precision": "bfloat16"})
    own = Predictor(model, device="cpu", runtime="torch").network
    assert check_reference_scores(model, description, own, "torch on the CPU") == pytest.approx(0, abs=1e-4)
    expected = reference_logits(description)
    assert expected is not None
    found = expected.copy()
    found[:5, :2] = found[:5, 1::-1] + 9.0 * np.array([1, -1], np.float32)  # five of twelve tiles are wrong
    assert score_difference(description, found, expected) < 1e-6
    assert score_difference(stored, found, expected) > 0.5
    make(tmp_path / "other", 5)
    other = Predictor(tmp_path / "other", device="cpu", runtime="torch").network
    with pytest.raises(
        StorageError, match=r"torch on the CPU: expected scores within 0\.05 of the reference"
    ):
        check_reference_scores(model, description, other, "torch on the CPU")


def test_another_version_of_pytorch_that_computes_otherwise_is_found(model: Path) -> None:
    """Stands for it: the reference scores say another thing than these weights give here."""
    scores = json.loads((model / "model.json").read_text(encoding="utf-8"))["reference_scores"]
    scores["logits"][3] = [value + 2.0 * place for place, value in enumerate(scores["logits"][3])]
    edit(model, reference_scores=scores | {"made_with": "torch 1.0, timm 0.9"})
    with pytest.raises(
        StorageError, match=r"install the versions that it was made with \(torch 1\.0, timm 0\.9\)"
    ):
        verify.run(model)


def test_verify_says_what_it_compared(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify.run(model) == 0
    told = capsys.readouterr().out
    made_with = re.escape(f"torch {torch.__version__.split('+')[0]}")
    assert re.search(
        rf"torch on the CPU: scores of 12 tiles within \S+ of the reference scores \({made_with}", told
    )
    without_reference(model)
    assert verify.run(model) == 0
    assert "no reference scores in this model folder (made before inkdot.model/5)" in capsys.readouterr().out


def test_a_model_without_reference_scores_runs_as_before(model: Path) -> None:
    tiles = reference_tiles(SIDE)
    expected = Predictor(model, device="cpu", runtime="torch").predict_proba(tiles)
    without_reference(model)
    assert np.array_equal(Predictor(model, device="cpu", runtime="torch").predict_proba(tiles), expected)


@pytest.mark.parametrize("logits", [[[0.0]], [[0.0] * 7] * 11, [[0.0] * 5] * 12])
def test_reference_scores_of_another_form_are_refused(model: Path, logits: list[list[float]]) -> None:
    edit(model, reference_scores={"tiles": "blobs/1", "logits": logits, "made_with": "torch"})
    with pytest.raises(StorageError, match="expected reference_scores of 12 tiles"):
        Predictor(model, device="cpu", runtime="torch").network  # noqa: B018


def test_the_shipped_model_has_the_scores_that_it_states() -> None:
    description: ModelFile = read_model_file(DEMO)
    assert description.reference_scores is not None
    assert Predictor(DEMO, device="cpu", runtime="torch").network.feature_count > 0
