"""Models that learnt nothing and slides of a few dots, for tests of what stages do with them."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from inkdot import __version__
from inkdot.config import config_from_mapping
from inkdot.model.model_folder import save_model
from inkdot.model.network import NetworkSpec, TileNetwork
from inkdot.records import Mpp
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.storage.models.model_files import ModelFile
from inkdot.storage.models.model_records import OperatingPoint, TrainedOn

MakeModel = Callable[..., Path]
MakeSlide = Callable[..., Path]
SIDE = 64


@pytest.fixture(scope="session")
def untrained_model() -> MakeModel:
    """Makes a model folder of an untrained network of thinprep and Pap, tiles of 64 px at 0.5 µm/px."""

    def make(
        folder: Path,
        *,
        mode: str = "clusters",
        threshold: float = 0.5,
        synthetic: bool = False,
        seed: int = 0,
        **tiling: object,
    ) -> Path:
        settings = {"mode": mode, "side_px": SIDE, "mpp": 0.5, "stride_px": SIDE, **tiling}
        config = config_from_mapping({"tiling": settings, "model": {"backbone": "test_resnet"}})
        torch.manual_seed(seed)
        network = TileNetwork(NetworkSpec("test_resnet", 0.0, config.head_records, SIDE))
        point = OperatingPoint(
            class_name="malignant", threshold=threshold, target_sensitivity=0.95, sensitivity=None, specificity=None
        )  # fmt: skip
        seen = TrainedOn(
            synthetic=synthetic, slides=2, patients=2, tiles_per_class={}, preparations=["thinprep"], stains=["pap"],
            sites=1, scanners=1,
        )  # fmt: skip
        description = ModelFile(
            inkdot=__version__,
            backbone="test_resnet",
            dropout=0.0,
            preparation="thinprep",
            heads=config.heads,
            tiling=config.tiling,
            normalisation_mean=list(network.spec.normalisation_mean),
            normalisation_std=list(network.spec.normalisation_std),
            temperatures={"malignancy": 1.0, "morphology": 1.0},
            operating_points={"malignancy": point},
            validation_metrics={},
            trained_on=seen,
            config_sha256="0" * 64,
            weights_sha256="",
        )
        save_model(folder, network, description)
        return folder

    return make


@pytest.fixture(scope="session")
def dotted_slide() -> MakeSlide:
    """Makes a slide of dots as large as nuclei at 0.5 µm/px."""

    def make(path: Path, seed: int, *, dots: int = 40, side_px: int = 600, description: str = "") -> Path:
        generator = np.random.default_rng(seed)
        image = np.full((side_px, side_px, 3), 245, np.uint8)
        for x, y in generator.integers(20, side_px - 20, (dots, 2)).tolist():
            radius = int(generator.integers(6, 14))
            cv2.circle(image, (x, y), radius, generator.integers(30, 150, 3).tolist(), -1)
        path.parent.mkdir(exist_ok=True)
        write_array_pyramid(path, image, mpp=Mpp.square(0.5), description=description)
        return path

    return make
