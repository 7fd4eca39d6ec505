"""A synthetic slide, its results as the commands write them, and the shipped model."""

from pathlib import Path

import pytest

import inkdot
from inkdot.stages import predict
from inkdot.storage.layout import RunLayout


@pytest.fixture(scope="session")
def synthetic_slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide of 0.5 µm/px with tumour clusters."""
    folder = tmp_path_factory.mktemp("synthetic")
    inkdot.make_synthetic_slides(folder, 1, seed=8, spot_mm=0.5)
    return next((folder / "slides").glob("*.tif"))


@pytest.fixture(scope="session")
def demo_model(repository: Path) -> inkdot.Model:
    return inkdot.load_model(repository / "models" / "demo")


@pytest.fixture(scope="session")
def command_results(
    synthetic_slide: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> RunLayout:
    """What `inkdot predict` writes for the slide and for a file that is no slide."""
    broken = tmp_path_factory.mktemp("broken") / "broken.tif"
    broken.write_bytes(b"no slide")
    layout = RunLayout(tmp_path_factory.mktemp("results"))
    assert predict.run([synthetic_slide, broken], repository / "models" / "demo", layout.root) == 1
    return layout


@pytest.fixture(scope="session")
def prediction(demo_model: inkdot.Model, synthetic_slide: Path) -> inkdot.SlidePrediction:
    return demo_model.predict_slide(synthetic_slide)
