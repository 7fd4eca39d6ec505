"""Models shown, verified, and handed to other programs: what these compute is what we compute, and they say what it is."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import inkdot
from inkdot.config import config_from_mapping
from inkdot.errors import NonFiniteError, StorageError, SyntheticModelError, UserError
from inkdot.model.model_folder import save_model
from inkdot.model.network import NetworkSpec, TileNetwork
from inkdot.model.predictor import Predictor
from inkdot.stages.model import export as model_export
from inkdot.stages.model import show as model_show
from inkdot.stages.model import verify as model_verify
from inkdot.storage.hashing import file_sha256
from inkdot.storage.models.model_files import ModelFile, model_sha256, read_model_file
from inkdot.storage.models.model_records import Interval, OperatingPoint, TrainedOn

SIDE = 32
MEAN, STD = (0.81, 0.72, 0.88), (0.2, 0.25, 0.15)


def make_model(
    folder: Path, *, synthetic: bool = False, mpp_known: bool = True, factor: float = 1.0, bias: float = 0.0
) -> Path:
    """A random network whose scores are all over 0 to 1, with a description that is nowhere a default."""
    config = config_from_mapping(
        {
            "tiling": {"side_px": SIDE, "mpp": 0.25, "stride_px": SIDE},
            "model": {"backbone": "test_efficientnet"},
        }
    )
    torch.manual_seed(4)
    spec = NetworkSpec("test_efficientnet", 0.3, config.head_records, SIDE, MEAN, STD)
    network = TileNetwork(spec).eval()
    with torch.no_grad():
        for head in network.heads.values():
            head.weight.mul_(200).mul_(factor)
            head.bias.add_(bias)
    description = ModelFile(
        inkdot=inkdot.__version__,
        backbone=spec.backbone,
        dropout=spec.dropout,
        preparation="thinprep",
        heads=config.heads,
        tiling=config.tiling,
        mpp_known=mpp_known,
        normalisation_mean=list(MEAN),
        normalisation_std=list(STD),
        temperatures={"malignancy": 1.7, "morphology": 0.6},
        operating_points={
            "malignancy": OperatingPoint(
                class_name="malignant",
                threshold=0.4321,
                target_sensitivity=0.95,
                sensitivity=Interval(value=0.96, low=0.81, high=0.99, method="Clopper-Pearson"),
                specificity=None,
            )
        },
        validation_metrics={
            "selftest_auc.malignancy.malignant": Interval(value=0.9, low=0.8, high=0.95, method="bootstrap")
        },
        trained_on=TrainedOn(
            synthetic=synthetic,
            slides=7,
            patients=5,
            tiles_per_class={"malignancy.malignant": 120.0},
            preparations=["thinprep"],
            stains=["pap"],
            sites=1,
            scanners=2,
        ),
        config_sha256="c" * 64,
        weights_sha256="",
    )
    save_model(folder, network, description)
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model")


@pytest.fixture
def tiles() -> list[np.ndarray]:
    generator = np.random.default_rng(8)
    flat = generator.integers(0, 256, (9, 1, 1, 3))
    return list(np.clip(flat + generator.normal(0, 25, (9, SIDE, SIDE, 3)), 0, 255).astype(np.uint8))


def ours(model: Path, tiles: list[np.ndarray]) -> np.ndarray:
    scores = Predictor(model, device="cpu", runtime="torch").predict_proba(tiles)
    assert np.ptp(scores[:, 1]) > 0.2  # else agreement would say nothing
    return scores


def without_origins(folder: Path) -> bool:
    """No file says where on this machine its parts came from."""
    regions = [str(Path(torch.__file__).parent.parent), str(Path(inkdot.__file__).parent)]
    return not any(region.encode() in path.read_bytes() for path in folder.iterdir() for region in regions)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*")
def test_wsinfer_gets_what_its_zoo_asks_for(model: Path, tiles: list[np.ndarray], tmp_path: Path) -> None:
    """Read as WSInfer reads it: scaled to 0 to 1, normalised by its config, softmax at the end."""
    out = tmp_path / "out"
    assert model_export.run(model, "wsinfer", out) == 0
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    assert config["spec_version"] == "1.0"
    assert (config["num_classes"], config["class_names"]) == (2, ["benign", "malignant"])
    assert (config["patch_size_pixels"], config["spacing_um_px"]) == (SIDE, 0.25)
    assert [step["name"] for step in config["transform"]] == ["Resize", "ToTensor", "Normalize"]
    settings = config["transform"][2]["arguments"]
    pixels = np.stack(tiles).transpose(0, 3, 1, 2) / 255
    mean, std = (np.array(settings[name]).reshape(1, 3, 1, 1) for name in ("mean", "std"))
    module = torch.jit.load(str(out / "torchscript_model.pt"))
    assert next(module.parameters()).device.type == "cpu"
    for count in (1, 4, len(tiles)):
        batch = torch.from_numpy((pixels[:count] - mean) / std).float()
        found = torch.nn.functional.softmax(module(batch), dim=1).detach().numpy()
        np.testing.assert_allclose(found, ours(model, tiles)[:count, :2], atol=1e-3)
    assert without_origins(out)


@pytest.mark.slow
def test_onnx_gives_our_scores(model: Path, tiles: list[np.ndarray], tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    out = tmp_path / "out"
    assert model_export.run(model, "onnx", out) == 0
    session = onnxruntime.InferenceSession(str(out / "model.onnx"), providers=["CPUExecutionProvider"])
    said = session.get_modelmeta().custom_metadata_map
    assert said["trained_on_synthetic"] == "false"
    assert (
        said["columns"]
        == "p.malignancy.benign,p.malignancy.malignant,p.morphology.small_cell,p.morphology.large_cell"
    )
    pixels = np.stack(tiles).transpose(0, 3, 1, 2)
    for count in (1, 5, len(tiles)):
        (found,) = session.run(None, {"tiles": pixels[:count]})
        np.testing.assert_allclose(found, ours(model, tiles)[:count], atol=1e-3)
    assert without_origins(out)


@pytest.mark.slow
def test_openvino_gives_our_scores(model: Path, tiles: list[np.ndarray], tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    out = tmp_path / "out"
    assert model_export.run(model, "openvino", out) == 0
    core = openvino.Core()
    read = core.read_model(out / "model.xml")
    assert read.get_rt_info(["inkdot", "trained_on_synthetic"]).astype(str) == "false"
    compiled = core.compile_model(read, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    pixels = np.stack(tiles).transpose(0, 3, 1, 2)
    for count in (1, 5, len(tiles)):
        np.testing.assert_allclose(
            compiled({"tiles": pixels[:count]})["scores"], ours(model, tiles)[:count], atol=1e-3
        )
    assert without_origins(out)


def test_a_synthetic_model_is_refused_or_says_so_everywhere(tmp_path: Path) -> None:
    model, out = make_model(tmp_path / "model", synthetic=True), tmp_path / "out"
    with pytest.raises(SyntheticModelError, match="--allow-synthetic-model"):
        model_export.run(model, "wsinfer", out)
    assert not out.exists()
    model_export.run(model, "wsinfer", out, allow_synthetic_model=True)
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    assert config["class_names"] == ["benign (synthetic model)", "malignant (synthetic model)"]
    assert config["trained_on_synthetic"] is True
    facts = json.loads((out / "inkdot.json").read_text(encoding="utf-8"))
    assert facts["trained_on_synthetic"] is True
    assert facts["operating_points"] == {"malignancy": {"class": "malignant", "threshold": 0.4321}}


def test_a_model_of_unknown_scale_is_not_exported(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model", mpp_known=False)
    with pytest.raises(UserError, match="micrometres per pixel"):
        model_export.run(model, "wsinfer", tmp_path / "out")


def test_an_export_with_other_scores_is_refused(model: Path, tmp_path: Path) -> None:
    other, out = make_model(tmp_path / "other", factor=-1.0), tmp_path / "out"
    model_export.run(other, "wsinfer", out)
    with pytest.raises(UserError, match=r"expected scores of the wsinfer export within 0.001 of ours"):
        model_export.largest_difference("wsinfer", out, model, read_model_file(model))


def test_what_gives_no_scores_is_not_handed_over(tmp_path: Path) -> None:
    model, out = make_model(tmp_path / "model"), tmp_path / "out"
    overflow(model)
    with pytest.raises(NonFiniteError, match="expected finite numbers for every tile"):
        model_export.run(model, "wsinfer", out)
    assert [path.name for path in out.iterdir()] in ([], [".inkdot.lock"])


def test_a_whole_model_is_valid(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert model_verify.run(model) == 0
    told = capsys.readouterr().out
    assert "valid" in told
    # The operating point is in model.json, which nothing but this hash vouches for.
    assert model_sha256(model) in told
    model_show.run(model)
    assert model_sha256(model) in capsys.readouterr().out


@pytest.mark.slow
def test_a_converted_network_that_scores_otherwise_is_found(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As if someone had got at the user's own cache: every hash matches, only the scores do not."""
    pytest.importorskip("openvino")
    monkeypatch.setenv("INKDOT_CACHE_DIR", str(tmp_path / "cache"))
    assert model_verify.run(model) == 0
    told = capsys.readouterr().out
    assert "openvino on the CPU: scores of 12 tiles within" in told
    assert f"converted networks are kept in {tmp_path / 'cache' / 'networks'}" in told
    (own,) = (tmp_path / "cache" / "networks").iterdir()
    other = make_model(tmp_path / "other", factor=-0.5)
    Predictor(other, device="cpu", runtime="openvino").predict_proba([np.zeros((SIDE, SIDE, 3), np.uint8)])
    (planted,) = [folder for folder in own.parent.iterdir() if folder != own]
    facts = json.loads((own / "network.json").read_text(encoding="utf-8"))
    for name in ("network.xml", "network.bin"):
        (planted / name).replace(own / name)
        facts[f"{name}_sha256"] = file_sha256(own / name)
    (own / "network.json").write_text(json.dumps(facts), encoding="utf-8")
    with pytest.raises(
        StorageError, match=r"openvino on the CPU: expected scores within 0\.001 .* delete the"
    ) as error:
        model_verify.run(model)
    assert len(str(error.value).splitlines()) == 1


def changed_byte(model: Path) -> None:
    weights = model / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")


def other_shape(model: Path) -> None:
    """Weights of another network, with their own hash in the description."""
    description = json.loads((model / "model.json").read_text(encoding="utf-8"))
    description["backbone"] = "test_resnet"
    (model / "model.json").write_text(json.dumps(description), encoding="utf-8")
    assert description["weights_sha256"] == file_sha256(model / "weights.safetensors")


def no_description(model: Path) -> None:
    (model / "model.json").unlink()


def not_a_number(model: Path) -> None:
    make_model(model, factor=float("nan"))


def overflow(model: Path) -> None:
    """Finite weights whose scores are not."""
    make_model(model, factor=2e37, bias=3.4e38)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (changed_byte, "expected the weights that model.json describes, found others"),
        (other_shape, "expected the tensors of test_resnet, found other names or shapes"),
        (no_description, "expected a model folder with model.json, found none"),
        (not_a_number, "expected finite numbers, found 512 of 512 in heads.malignancy.weight"),
        (overflow, "expected finite numbers for every tile"),
    ],
)
def test_what_is_wrong_is_said(model: Path, harm: Callable[[Path], None], message: str) -> None:
    harm(model)
    with pytest.raises((StorageError, NonFiniteError), match=message) as error:
        model_verify.run(model)
    assert len(str(error.value).splitlines()) == 1


def test_the_page_says_what_a_model_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model_show.run(make_model(tmp_path / "model", synthetic=True))
    shown = capsys.readouterr().out
    assert "SYNTHETIC: trained on synthetic specimens" in shown
    assert "32 px at 0.25 µm/px (8 µm)" in shown
    assert "malignancy: malignant at or above 0.4321, chosen for a sensitivity of 0.95 on slides" in shown
    assert "selftest_sensitivity 0.960 (0.810 to 0.990; Clopper-Pearson)" in shown
    assert "selftest_specificity unknown" in shown
    assert "7 slides of 5 patients" in shown
    assert "morphology: small_cell, large_cell; only where malignancy is malignant; temperature 0.6" in shown


def test_the_page_of_a_real_model_does_not_say_synthetic(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model_show.run(model)
    shown = capsys.readouterr().out
    assert "SYNTHETIC" not in shown
    assert "    sensitivity 0.960" in shown


def test_the_page_of_a_model_of_images_speaks_of_images(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    description = json.loads((model / "model.json").read_text(encoding="utf-8"))
    description["trained_on"]["images"] = True
    (model / "model.json").write_text(json.dumps(description), encoding="utf-8")
    model_show.run(model)
    assert "chosen for a sensitivity of 0.95 on images" in capsys.readouterr().out
