"""benchmarks/bench_predict.py ends with the line that its readers rely on, and both ways score the same network."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from inkdot.records import Mpp
from inkdot.slides.pyramid import write_array_pyramid


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_last_line_has_the_metrics(repository: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    rgb = np.random.default_rng(1).integers(0, 256, (9000, 2600, 3), dtype=np.uint8)
    path = tmp_path / "slide.tif"
    write_array_pyramid(path, rgb, mpp=Mpp.square(0.25), quality=80, subsampling="420")
    words = ["--backbone", "test_resnet", "--rounds", "1", "--tiles", "2", "--no-start-up"]
    command = [sys.executable, repository / "benchmarks/bench_predict.py", str(path), *words]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    line = json.loads(ended.stdout.splitlines()[-1])
    found = line["backbones"]["test_resnet"]["float32"]
    for name in ("inkdot", "plain", "floor"):
        assert found[f"{name}_cpu_ms_a_tile"] > 0
    assert found["times_the_plain_loop"] == pytest.approx(
        found["plain_cpu_ms_a_tile"] / found["inkdot_cpu_ms_a_tile"],
        rel=0.02,
        abs=0.01,  # it is rounded to hundredths, and so tiny a network gains nothing
    )
    assert found["first_score_apart"] < 0.01  # JPEG decoders differ by a grey level or so
