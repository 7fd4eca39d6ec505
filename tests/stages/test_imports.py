"""Tiling and predicting load no library that only other commands need: each costs every call up to seconds."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from inkdot.model.predictor import Predictor

ONLY_ELSEWHERE = (
    "torch",
    "torchvision",
    "timm",
    "lightning",
    "albumentations",
    "sklearn",
    "matplotlib",
    "jinja2",
    "ray",
    "tensorboard",
)
LIST_MODULES = """
import contextlib, json, sys
import inkdot.cli
with contextlib.suppress(SystemExit):
    inkdot.cli.main()
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def loaded_by(*arguments: str) -> list[str]:
    """Packages that are loaded at the end of a command."""
    program = [sys.executable, "-c", LIST_MODULES, *arguments]
    ended = subprocess.run(program, check=True, capture_output=True, text=True)
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.mark.slow
def test_tiling_loads_no_library_that_only_training_needs(tmp_path: Path, dotted_slide):
    slide, out = dotted_slide(tmp_path / "slide.tif", 1), tmp_path / "run"
    (tmp_path / "config.yaml").write_text(
        "tiling: {mode: clusters, side_px: 64, mpp: 0.5, stride_px: 64}\n", encoding="utf-8"
    )
    loaded = loaded_by(
        "tile", str(slide), "--config", str(tmp_path / "config.yaml"), "--out", str(out), "--workers", "1"
    )
    assert (out / "tiles" / "slide.parquet").exists()
    assert [name for name in (*ONLY_ELSEWHERE, "openvino") if name in loaded] == []


@pytest.mark.slow
def test_predicting_with_a_stored_conversion_loads_no_library_that_only_training_needs(
    tmp_path: Path, dotted_slide, untrained_model
):
    slide, model, out = (
        dotted_slide(tmp_path / "slide.tif", 1),
        untrained_model(tmp_path / "m"),
        tmp_path / "run",
    )
    predictor = Predictor(model, device="cpu", runtime="openvino")
    side = predictor.description.tiling.side_px
    predictor.predict_proba([np.zeros((side, side, 3), np.uint8)])  # stores the conversion, by torch
    loaded = loaded_by(
        "predict", str(slide), "--model", str(model), "--out", str(out), "--workers", "1",
        "--runtime", "openvino", "--no-slide-images",
    )  # fmt: skip
    assert (out / "predictions.csv").exists()
    assert [name for name in ONLY_ELSEWHERE if name in loaded] == []
    assert "openvino" in loaded
