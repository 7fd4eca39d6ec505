"""bfloat16: recorded with the model, computed where the machine has it, and never silently replaced."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from inkdot.config import config_from_mapping
from inkdot.errors import UserError
from inkdot.model.calibrated_scores import calibrated_scores
from inkdot.model.model_folder import load_model, save_model
from inkdot.model.network import NetworkSpec, TileNetwork
from inkdot.model.predictor import Predictor
from inkdot.model.runtimes.openvino_backend import OpenVinoNetwork, cpu_has_bfloat16
from inkdot.model.runtimes.precision import BOUND, choose_precision, precision_on
from inkdot.model.runtimes.torch_backend import predict_logits
from inkdot.storage.layout import ModelLayout
from inkdot.storage.models.model_files import ModelFile, read_model_file
from inkdot.training.fit.pretrained import check_start

REPOSITORY = Path(__file__).parents[2]
SIDE, BATCH = 128, 8
ONLY_WITH_BFLOAT16 = pytest.mark.skipif(not cpu_has_bfloat16(), reason="this processor has no bfloat16")


@pytest.fixture(scope="module")
def tiles() -> list[np.ndarray]:
    """Pale glass with dark discs: noise would drive a trained network far from anything it knows."""
    generator = np.random.default_rng(5)
    images = np.full((3 * BATCH + 3, SIDE, SIDE, 3), 240, np.uint8)
    for image in images:
        for _ in range(int(generator.integers(2, 30))):
            x, y, radius = (int(value) for value in generator.integers((0, 0, 4), (SIDE, SIDE, 14)))
            cv2.circle(
                image, (x, y), radius, [int(c) for c in generator.integers(40, 180, 3)], -1, cv2.LINE_AA
            )
    return list(images)


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """The trained demo network, as a model of bfloat16."""
    description, network = load_model(REPOSITORY / "models" / "demo")
    changed = {"precision": "bfloat16", "ood": None}  # whose training tiles stay behind
    save_model(tmp_path / "model", network, description.model_copy(update=changed))
    return tmp_path / "model"


def test_a_cpu_without_bfloat16_and_pytorch_on_any_cpu_compute_in_single_precision() -> None:
    assert precision_on("cpu", "float32", "openvino") == "float32"
    assert precision_on("cpu", "bfloat16", "torch") == "float32"
    assert precision_on("cpu", "bfloat16", "openvino") == ("bfloat16" if cpu_has_bfloat16() else "float32")


def test_auto_takes_what_this_machine_predicts_in() -> None:
    assert choose_precision("auto", "cpu") == precision_on("cpu", "bfloat16", "openvino")
    assert choose_precision("auto", "mps") == "float32"
    assert choose_precision("float32", "cpu") == "float32"


def test_bfloat16_where_there_is_none_is_refused_before_training() -> None:
    with pytest.raises(UserError, match=r"model\.precision: expected a processor with bfloat16"):
        choose_precision("bfloat16", "mps")
    if not cpu_has_bfloat16() and not torch.cuda.is_available():
        with pytest.raises(UserError, match=r"model\.precision"):
            check_start(config_from_mapping({"model": {"precision": "bfloat16"}}))


def test_a_model_says_its_precision_only_where_older_programs_must_refuse_it(demo: Path) -> None:
    told = json.loads(ModelLayout(demo).description.read_text(encoding="utf-8"))
    assert told["precision"] == "bfloat16"
    assert read_model_file(demo).precision == "bfloat16"
    before = json.loads((REPOSITORY / "models" / "demo" / "model.json").read_text(encoding="utf-8"))
    del told["precision"]
    assert ModelFile.model_validate(told).precision == "float32"
    plain = ModelFile.model_validate(told)
    save_model(demo, load_model(demo)[1], plain)
    assert "precision" not in json.loads(ModelLayout(demo).description.read_text(encoding="utf-8"))
    assert before["backbone"] == plain.backbone


def test_scores_in_another_precision_than_the_models_say_so(demo: Path, tiles: list[np.ndarray]) -> None:
    predictor = Predictor(demo, device="cpu", runtime="torch")
    assert predictor.precision == "float32"
    (warning,) = predictor.warnings
    assert "computed in float32" in warning
    assert "bfloat16" in warning
    plain = Predictor(REPOSITORY / "models" / "demo", device="cpu", runtime="torch")
    assert plain.warnings == []
    assert predictor.predict_proba(tiles).shape == (len(tiles), 4)


@ONLY_WITH_BFLOAT16
def test_the_demo_networks_scores_stay_within_the_stated_bound(demo: Path, tiles: list[np.ndarray]) -> None:
    half, single = Predictor(demo, runtime="openvino"), Predictor(demo, device="cpu", runtime="torch")
    assert (half.precision, half.warnings) == ("bfloat16", [])
    expected, found = single.predict_proba(tiles), half.predict_proba(tiles)
    assert np.ptp(expected[:, 1]) > 0.2  # else agreement would say nothing
    assert BOUND["float32"] < np.abs(found - expected).max() < BOUND["bfloat16"]
    assert half.predict_proba(tiles).tobytes() == found.tobytes()
    assert Predictor(demo, runtime="openvino").predict_proba(tiles).tobytes() == found.tobytes()


@ONLY_WITH_BFLOAT16
def test_one_kept_conversion_serves_both_precisions(
    tiles: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inkdot.labels import DEFAULT_HEADS

    monkeypatch.setenv("INKDOT_CACHE_DIR", str(tmp_path))

    torch.manual_seed(3)
    network = TileNetwork(NetworkSpec("test_efficientnet", 0.0, DEFAULT_HEADS, SIDE)).eval()
    logits = {
        precision: OpenVinoNetwork(lambda: network, SIDE, "a" * 64, BATCH, precision).logits(tiles)
        for precision in BOUND
    }
    assert len(list(tmp_path.glob("networks/*/network.xml"))) == 1
    single = predict_logits(network, tiles, device=torch.device("cpu"), batch_size=BATCH)
    heads = network.spec.heads
    for precision, bound in BOUND.items():
        apart = np.abs(calibrated_scores(logits[precision], heads, {}) - calibrated_scores(single, heads, {}))
        assert apart.max() < bound
    assert logits["float32"].tobytes() != logits["bfloat16"].tobytes()
