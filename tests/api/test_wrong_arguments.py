"""Wrong arguments end in one line that names the argument as Python has it, and what was expected."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import inkdot
from inkdot.errors import ConfigError, ManifestError, ResolutionError, UserError


@pytest.fixture
def slide(tmp_path: Path) -> inkdot.Slide:
    path = tmp_path / "image.png"
    Image.new("RGB", (64, 48), "white").save(path)
    return inkdot.open_slide(path, mpp=0.5)


TILES = [np.zeros((128, 128, 3), np.uint8), np.zeros((64, 128, 3), np.uint8)]

OF_A_SLIDE: list[tuple[Callable[[inkdot.Slide], object], type[Exception], str]] = [
    (lambda slide: slide.thumbnail(0), UserError, "max_side: expected at least 1, found 0"),
    (lambda slide: slide.read_region(0, 0, 8, 8, mpp=0.1), ResolutionError, "use a coarser mpp"),
    (lambda slide: inkdot.find_clusters(slide, "spin"), ManifestError, "preparation=: expected thinprep"),
    (
        lambda slide: inkdot.find_clusters(slide, config="none.yaml"),
        ConfigError,
        "none.yaml: expected a config",
    ),
]
OF_A_MODEL: list[tuple[Callable[[inkdot.Model, Path], object], str]] = [
    (lambda model, _: model.predict_tiles(TILES), r"found tiles of different shapes$"),
    (lambda model, _: inkdot.load_model(model.folder, runtime="cuda"), "runtime: expected auto, torch"),  # pyright: ignore[reportArgumentType]
    (lambda model, out: model.predict_slides([], out), "sources: expected at least one slide, found none"),
    (lambda model, out: model.predict_slides("s", out, workers=0), "workers: expected at least 1, found 0"),
    (lambda _, out: inkdot.train_slides("s.csv", "c.yaml", out), "c.yaml: expected a config file"),
    (lambda _, out: inkdot.train_images("none.csv", inkdot.load_config(), out), "; correct images=$"),
    (lambda _, out: inkdot.make_synthetic_slides(out, 0), "slides=: expected at least 1, found 0"),
    (lambda _, out: inkdot.make_synthetic_slides(out, seed=-1), "seed=: expected 0 or more, found -1"),
    (lambda _, out: inkdot.make_synthetic_slides(out, preset="x"), "preset=: expected one of"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "line"), OF_A_SLIDE)
def test_of_a_slide(
    slide: inkdot.Slide, call: Callable[[inkdot.Slide], object], error: type[Exception], line: str
) -> None:
    with pytest.raises(error, match=line):
        call(slide)


@pytest.mark.parametrize(("call", "line"), OF_A_MODEL)
def test_of_models_training_and_synthetic_slides(
    demo_model: inkdot.Model, tmp_path: Path, call: Callable[[inkdot.Model, Path], object], line: str
) -> None:
    with pytest.raises(UserError, match=line):
        call(demo_model, tmp_path / "out")


@pytest.mark.slow
def test_of_a_prediction(prediction: inkdot.SlidePrediction) -> None:
    for count in (0, -1):
        with pytest.raises(UserError, match=f"top_n: expected at least 1, found {count}"):
            prediction.regions(count)
        with pytest.raises(UserError, match=f"rank: expected at least 1, found {count}"):
            inkdot.plot.cluster_card(prediction, count)
