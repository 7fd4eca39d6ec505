"""Numbers that are not finite are refused by name, in every runtime; descriptions that no training writes are refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from inkdot.errors import NonFiniteError, StorageError
from inkdot.model.model_folder import load_model, save_model
from inkdot.model.network import TileNetwork
from inkdot.model.predictor import Predictor
from inkdot.storage.hashing import file_sha256
from inkdot.storage.models.model_files import ModelFile, read_model_file
from inkdot.storage.models.model_records import OperatingPoint, TrainedOn

RUNTIMES = ("torch", "openvino")


@pytest.fixture
def folder(tmp_path: Path, tiny_config: Any, tiny_spec: Any) -> Path:
    torch.manual_seed(0)
    seen = TrainedOn(
        synthetic=True, slides=1, patients=1, tiles_per_class={}, preparations=[], stains=[], sites=0, scanners=0
    )  # fmt: skip
    point = OperatingPoint(
        class_name="malignant", threshold=0.5, target_sensitivity=0.95, sensitivity=None, specificity=None
    )
    description = ModelFile(
        inkdot="0",
        backbone=tiny_spec.backbone,
        dropout=tiny_spec.dropout,
        preparation="thinprep",
        heads=tiny_config.heads,
        tiling=tiny_config.tiling,
        normalisation_mean=list(tiny_spec.normalisation_mean),
        normalisation_std=list(tiny_spec.normalisation_std),
        temperatures={"malignancy": 2.0, "morphology": 0.5},
        operating_points={"malignancy": point},
        validation_metrics={},
        trained_on=seen,
        config_sha256="0",
        weights_sha256="",
    )
    save_model(tmp_path / "model", TileNetwork(tiny_spec), description)
    return tmp_path / "model"


def with_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Change the weights, and their hash with them: as a training that went wrong would write them."""
    path = folder / "weights.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    edited(folder, weights_sha256=file_sha256(path))


def edited(folder: Path, **changes: object) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), encoding="utf-8")


def tiles(folder: Path) -> list[np.ndarray]:
    side = read_model_file(folder).tiling.side_px
    return [np.full((side, side, 3), 200, np.uint8)] * 3


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_weights_that_are_not_finite_are_refused_by_name(folder: Path, runtime: Any, value: float) -> None:
    name = next(name for name in load_file(folder / "weights.safetensors") if name.endswith("weight"))
    with_weights(folder, lambda tensors: tensors[name].view(-1)[0].fill_(value))
    with pytest.raises(
        StorageError, match=rf"weights\.safetensors: expected finite numbers, found 1 of .* {name}"
    ):
        Predictor(folder, device="cpu", runtime=runtime).predict(tiles(folder))
    with pytest.raises(StorageError, match="expected finite numbers"):
        load_model(folder)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_finite_weights_that_overflow_are_named(folder: Path, runtime: Any) -> None:
    def grow(tensors: dict[str, torch.Tensor]) -> None:
        for name, tensor in tensors.items():
            if tensor.dtype == torch.float32 and tensor.dim() > 1:
                tensors[name] = tensor * 1e38

    with_weights(folder, grow)
    with pytest.raises(NonFiniteError, match=r"found NaN or infinite ones for (\d+) of \1 tiles"):
        Predictor(folder, device="cpu", runtime=runtime).predict(tiles(folder))


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("normalisation_std", [0.2, 0.0, 0.2], "normalisation_std.1"),
        ("normalisation_std", [0.2, -0.1, 0.2], "normalisation_std.1"),
        ("normalisation_std", [0.2, float("nan"), 0.2], "normalisation_std.1"),
        ("normalisation_mean", [0.2, 124.0, 0.2], "normalisation_mean.1"),
        ("temperatures", {"malignancy": -1.0}, "temperatures.malignancy"),
        ("temperatures", {"malignancy": 0.0}, "temperatures.malignancy"),
        ("temperatures", {"malignancy": float("inf")}, "temperatures.malignancy"),
        ("temperatures", {"another": 1.0}, "no head is called 'another'"),
        ("dropout", 1.5, "dropout"),
    ],
)
def test_descriptions_that_no_training_writes_are_refused(
    folder: Path, key: str, value: object, found: str
) -> None:
    edited(folder, **{key: value})
    with pytest.raises(StorageError, match=rf"model\.json: expected a model description, .*{found}"):
        read_model_file(folder)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"threshold": 1.5}, "operating_points.malignancy.threshold"),
        ({"threshold": -0.1}, "operating_points.malignancy.threshold"),
        ({"threshold": float("nan")}, "operating_points.malignancy.threshold"),
        ({"target_sensitivity": 95.0}, "operating_points.malignancy.target_sensitivity"),
        ({"class_name": "nobody"}, "the head has no class 'nobody'"),
    ],
)
def test_thresholds_out_of_range_are_refused(folder: Path, changes: dict[str, object], found: str) -> None:
    point = json.loads((folder / "model.json").read_text("utf-8"))["operating_points"]["malignancy"]
    edited(folder, operating_points={"malignancy": point | changes})
    with pytest.raises(StorageError, match=found):
        read_model_file(folder)


def test_an_abstention_band_has_its_ends_in_order(folder: Path) -> None:
    coverage = {"value": 0.5, "low": 0.4, "high": 0.6, "method": "bootstrap"}
    band = {
        "low": 0.7, "high": 0.3, "target_selective_risk": 0.1, "selective_risk": None, "coverage": coverage,
        "evaluated_on": "slides",
    }  # fmt: skip
    edited(folder, abstention={"malignancy": band})
    with pytest.raises(StorageError, match=r"low 0\.7 is above high 0\.3"):
        read_model_file(folder)
