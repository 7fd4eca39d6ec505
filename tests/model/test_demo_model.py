"""models/demo is what it says: small, synthetic, and better than guessing on synthetic slides it never saw."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from inkdot.metrics.classification import roc_auc
from inkdot.pipeline.tile_slide import tiling_config
from inkdot.stages import predict, synth, tile
from inkdot.storage.layout import ModelLayout, RunLayout
from inkdot.storage.models.model_files import read_model_file
from inkdot.storage.output_layouts import CohortLayout
from inkdot.storage.tables.scores import read_scores


@pytest.fixture(scope="module")
def demo_model(repository: Path) -> Path:
    return repository / "models" / "demo"


def test_it_is_small_and_says_that_it_is_synthetic(demo_model: Path) -> None:
    layout = ModelLayout(demo_model)
    description = read_model_file(demo_model)
    assert layout.weights.stat().st_size <= 16_000_000
    assert description.trained_on.synthetic
    assert "SYNTHETIC" in layout.card.read_text(encoding="utf-8")
    assert all(name.startswith("selftest_") for name in description.validation_metrics)


def test_it_leaves_close_calls_open_and_knows_slides_unlike_its_own(demo_model: Path) -> None:
    description = read_model_file(demo_model)
    assert ModelLayout(demo_model).reference.is_file()
    assert {"malignancy", "morphology"} <= set(description.abstention)
    assert description.ood is not None


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_it_tells_tumour_from_the_rest_on_slides_it_never_saw(demo_model: Path, tmp_path: Path) -> None:
    """A self-test of the program, not of medicine: well above guessing, below the simulated bound."""
    cohort, results, truth = (
        CohortLayout(tmp_path / "new"),
        RunLayout(tmp_path / "results"),
        RunLayout(tmp_path / "truth"),
    )
    synth.run("demo-training", 8, 4242, cohort.root)
    assert predict.run([cohort.slides_csv], demo_model, results.root) == 0
    assert tile.run(cohort.slides_csv, tiling_config(read_model_file(demo_model)), truth.root) == 0
    scores, malignant = list[np.ndarray](), list[np.ndarray]()
    for path in sorted((results.root / "scores").glob("*.parquet")):
        target = pq.read_table(truth.tiles(path.stem), partitioning=None)["target.malignancy.malignant"]
        scores.append(read_scores(path).flag_scores)
        malignant.append(np.array([np.nan if value is None else value for value in target.to_pylist()]))
    score, target = np.concatenate(scores), np.concatenate(malignant)
    known = np.isin(target, (0.0, 1.0))
    assert 0.8 < roc_auc(target[known] == 1.0, score[known]) < 0.99
