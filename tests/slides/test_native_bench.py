"""benchmarks/bench_reading.py ends with the line that its readers rely on."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from inkdot.records import Mpp
from inkdot.slides.pyramid import write_array_pyramid

METRICS = {"tiles_per_s", "ratio_to_openslide", "ratio_to_floor", "peak_mb"}


def bench(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, repository / "benchmarks/bench_reading.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_last_line_has_the_metrics(repository: Path, tmp_path: Path) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (1300, 1300, 3), dtype=np.uint8)
    path = tmp_path / "slide.tif"
    write_array_pyramid(path, rgb, mpp=Mpp.square(0.25), quality=80, subsampling="420")
    ended = bench(repository, str(path), "--rounds", "1", "--tiles", "4")
    assert ended.returncode == 0, ended.stderr
    line = json.loads(ended.stdout.splitlines()[-1])
    assert line.keys() >= METRICS
    assert line["without_dct_scaling"].keys() == METRICS
    assert all(line[name] > 0 for name in METRICS)
    assert line["tiles"] == 3  # a whole row


@pytest.mark.slow
def test_a_slide_without_mpp_is_named(repository: Path, tmp_path: Path) -> None:
    path = tmp_path / "none.tif"
    write_array_pyramid(path, np.full((600, 600, 3), 200, np.uint8), mpp=None)
    ended = bench(repository, str(path))
    assert ended.returncode == 2
    assert "--mpp" in ended.stderr.splitlines()[-1]
