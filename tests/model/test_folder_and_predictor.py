import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.special import softmax

from inkdot.errors import StorageError, UserError
from inkdot.model.model_folder import load_model, save_model
from inkdot.model.network import TileNetwork
from inkdot.model.predictor import Predictor
from inkdot.storage.hashing import file_sha256
from inkdot.storage.models.model_files import ModelFile
from inkdot.storage.models.model_records import TrainedOn


def described(config, spec, **changes):
    facts = {
        "inkdot": "0",
        "backbone": spec.backbone,
        "dropout": spec.dropout,
        "preparation": "thinprep",
        "heads": config.heads,
        "tiling": config.tiling,
        "normalisation_mean": list(spec.normalisation_mean),
        "normalisation_std": list(spec.normalisation_std),
        "temperatures": {"malignancy": 2.0, "morphology": 0.5},
        "operating_points": {},
        "validation_metrics": {},
        "trained_on": TrainedOn(
            synthetic=True,
            slides=1,
            patients=1,
            tiles_per_class={},
            preparations=[],
            stains=[],
            sites=0,
            scanners=0,
        ),
        "config_sha256": "0",
        "weights_sha256": "",
    }
    return ModelFile.model_validate(facts | changes)


@pytest.fixture
def folder(tmp_path, tiny_config, tiny_spec):
    torch.manual_seed(0)
    network = TileNetwork(tiny_spec)
    with torch.no_grad():
        for head in network.heads.values():
            head.bias.copy_(torch.tensor([0.3, -0.8]))
    save_model(tmp_path / "model", network, described(tiny_config, tiny_spec))
    return tmp_path / "model"


def test_what_was_saved_comes_back(folder, tiny_config, tiny_spec):
    torch.manual_seed(0)
    description, network = load_model(folder)
    assert description.weights_sha256 == file_sha256(folder / "weights.safetensors")
    assert description.temperatures == {"malignancy": 2.0, "morphology": 0.5}
    assert not network.training
    assert network.spec == tiny_spec
    for name, tensor in load_file(folder / "weights.safetensors").items():
        assert torch.equal(network.state_dict()[name], tensor)


def test_the_same_network_gives_the_same_bytes(folder, tmp_path):
    description, network = load_model(folder)
    save_model(tmp_path / "again", network, description)
    for name in ("weights.safetensors", "model.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_weights_that_do_not_fit_the_description_are_named(folder):
    tensors = load_file(folder / "weights.safetensors")
    tensors["heads.malignancy.weight"] = torch.zeros(3, 7)
    del tensors["heads.morphology.bias"]
    save_file(tensors, folder / "weights.safetensors")
    data = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    data["weights_sha256"] = file_sha256(folder / "weights.safetensors")
    (folder / "model.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(StorageError) as error:
        load_model(folder)
    assert "heads.malignancy.weight (2×" in str(error.value)
    assert "3×7 found" in str(error.value)
    assert "heads.morphology.bias (2 expected, none found)" in str(error.value)


def test_changed_weights_are_refused(folder):
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(StorageError, match="copy the whole model folder"):
        load_model(folder)


class TestScorer:
    """Tiles in, calibrated scores out."""

    def test_scores_are_the_softmax_of_logits_divided_by_the_temperature(self, folder, training_tiles):
        predictor = Predictor(folder, device="cpu", batch_size=8)
        scores = predictor.predict_proba(training_tiles.tiles())
        _, network = load_model(folder)
        pixels = torch.from_numpy(np.stack(list(training_tiles.tiles()))).permute(0, 3, 1, 2)
        with torch.no_grad():
            logits = network(pixels).numpy()
        np.testing.assert_allclose(scores[:, :2], softmax(logits[:, :2] / 2.0, axis=1), atol=1e-4)
        np.testing.assert_allclose(scores[:, 2:], softmax(logits[:, 2:] / 0.5, axis=1), atol=1e-4)
        assert scores.dtype == np.float32
        assert scores.shape == (96, 4)

    def test_a_tile_scores_the_same_whatever_comes_after_it(self, folder, training_tiles):
        # Without padding the last batch would be smaller, and its kernels round differently.
        predictor = Predictor(folder, device="cpu", batch_size=16)
        tiles = list(training_tiles.tiles())
        whole = predictor.predict_proba(tiles)
        for count in (1, 5, 17, 40):
            np.testing.assert_array_equal(predictor.predict_proba(tiles[:count]), whole[:count])

    def test_no_tiles_no_scores(self, folder):
        assert Predictor(folder, device="cpu").predict_proba([]).shape == (0, 4)

    def test_a_device_that_is_not_there_is_the_users_error(self, folder):
        if torch.cuda.is_available():
            pytest.skip("this machine has CUDA")
        with pytest.raises(UserError, match="found 'cuda'"):
            Predictor(folder, device="cuda")
        with pytest.raises(UserError, match="found 'abacus'"):
            Predictor(folder, device="abacus")

    def test_a_kept_conversion_is_used_without_loading_torch(self, folder):
        """Loading torch and timm takes seconds, which one small slide need not wait for."""
        Predictor(folder, device="cpu", runtime="openvino").predict_proba([np.zeros((32, 32, 3), np.uint8)])
        code = (
            "import sys, numpy as np; from pathlib import Path; from inkdot.model.predictor import Predictor;"
            f"s = Predictor(Path({str(folder)!r}), device='cpu', runtime='openvino');"
            "print(s.predict_proba([np.zeros((32, 32, 3), np.uint8)]).shape, 'torch' in sys.modules, 'timm' in sys.modules)"
        )
        shown = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        assert shown.strip() == "(1, 4) False False"
