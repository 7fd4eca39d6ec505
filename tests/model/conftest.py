"""Painted tiles: a blue blob is benign, a dark red one malignant; its size tells the two morphologies apart."""

import io
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from rich.console import Console

from inkdot.config import config_from_mapping
from inkdot.model.data import TileSet
from inkdot.model.network import NetworkSpec

SIDE = 32
BACKBONE = "test_efficientnet"


def painted_tile(malignant, large, generator):
    tile = np.full((SIDE, SIDE, 3), 240, np.uint8)
    colour = (120, 20, 60) if malignant else (60, 90, 200)
    centre = generator.integers(10, 22, 2).tolist()
    cv2.circle(tile, centre, 8 if large else 4, colour, -1)
    noise = generator.normal(0, 6, tile.shape)
    return np.clip(tile + noise, 0, 255).astype(np.uint8)


def painted_set(patients, tiles_each, seed):
    generator = np.random.default_rng(seed)
    arrays, targets, owners = [], [], []
    for patient in range(patients):
        malignant, large = patient % 2 == 1, patient % 4 == 3
        arrays.append(np.stack([painted_tile(malignant, large, generator) for _ in range(tiles_each)]))
        answer = [0, 1, 1 - large, large] if malignant else [1, 0, np.nan, np.nan]
        targets += [answer] * tiles_each
        owners += [f"p{seed}-{patient}"] * tiles_each
    rows = patients * tiles_each
    return TileSet(
        arrays=arrays,
        array_of_row=np.arange(rows) // tiles_each,
        place_of_row=np.arange(rows) % tiles_each,
        targets=np.array(targets, np.float32),
        patients=np.array(owners),
        slides=np.array(owners),
    )


@pytest.fixture
def tiny_config():
    return config_from_mapping(
        {
            "tiling": {"side_px": SIDE, "mpp": 0.5, "stride_px": SIDE},
            "model": {"backbone": BACKBONE},
            "training": {"epochs": 3, "batch_size": 16, "learning_rate": 0.003, "accelerator": "cpu"},
        }
    )


@pytest.fixture
def tiny_spec(tiny_config):
    return NetworkSpec(BACKBONE, 0.2, tiny_config.head_records, SIDE)


@pytest.fixture(scope="session")
def training_tiles():
    return painted_set(8, 12, seed=1)


@pytest.fixture(scope="session")
def validation_tiles():
    return painted_set(8, 5, seed=2)


@pytest.fixture
def quiet():
    return Console(file=io.StringIO(), width=200)


@pytest.fixture(scope="session")
def run_script(tmp_path_factory):
    """Run a script in so many processes, as ``torchrun`` starts them where there are several."""

    def run(processes, script, *words):
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        launcher += ["--log-dir", str(tmp_path_factory.mktemp("torchrun"))]
        done = subprocess.run(
            [
                sys.executable,
                "-W",
                "ignore",
                *(launcher if processes > 1 else []),
                *map(str, (script, *words)),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=500,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, done.stderr[-3000:]

    return run
