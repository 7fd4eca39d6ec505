"""The whole line through the command line, twice: the data files must be byte-equal."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

CONFIG = """\
preparation: thinprep
tiling: {side_px: 64, mpp: 0.5, stride_px: 64}
model: {backbone: test_resnet}
training: {epochs: 2, batch_size: 32, learning_rate: 0.002, max_tiles_per_slide: 60}
review: {top_n: 5}
"""

DATA = (
    "*.csv",
    "*.json",
    "*.parquet",
    "*.safetensors",
    "*.png",
    "*.jpg",
    "*.tif",
    "*.html",
    "*.geojson",
    "*.md",
    "*.js",
    "*.css",
)
EXPECTED = (
    "cohort/slides.csv",
    "cohort/labels.csv",
    "run/model/weights.safetensors",
    "run/model/model.json",
    "run/model/card.md",
    "run/metrics.csv",
    "run/split.csv",
    "results/predictions.csv",
    "review/index.html",
    "review/worklist.csv",
)


def walk(folder: Path, inkdot: Callable[..., None]) -> None:
    (folder / "config.yaml").write_text(CONFIG)
    cohort, new = folder / "cohort", folder / "new"
    for seed, slides, out in ((1, 8, cohort), (2, 2, new)):
        inkdot("synth", "--preset", "demo-training", "--slides", slides, "--seed", seed, "--out", out)
    common = ("--config", folder / "config.yaml", "--out", folder / "run")
    inkdot("tile", cohort / "slides.csv", *common)
    inkdot("train", "--slides", cohort / "slides.csv", *common)
    inkdot("predict", new / "slides.csv", "--model", folder / "run/model", "--out", folder / "results")
    inkdot("review", "export", "--results", folder / "results", "--out", folder / "review")


def data_files(folder: Path) -> dict[str, bytes]:
    paths = (path for pattern in DATA for path in folder.rglob(pattern))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_line_gives_the_same_bytes_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inkdot: Callable[..., None]
) -> None:
    found: list[dict[str, bytes]] = []
    line = tmp_path / "line"
    for _ in range(2):
        # In the same region twice: slides.csv of a run names slides outside its folder by their whole path.
        line.mkdir()
        monkeypatch.chdir(line)
        walk(Path(), inkdot)
        found.append(data_files(line))
        monkeypatch.chdir(tmp_path)
        shutil.rmtree(line)
    first, second = found
    assert set(EXPECTED) <= set(first)
    assert sum(name.startswith("results/scores/") for name in first) == 2
    assert sum(name.endswith(".geojson") and name.startswith("review/") for name in first) == 2
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
