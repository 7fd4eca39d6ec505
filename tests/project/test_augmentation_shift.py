"""The numbers of experiments/augmentation_shift.py against references."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from skimage.color import rgb2lab
from sklearn.metrics import roc_auc_score


@pytest.mark.slow
def test_auc_and_normalisation_are_as_references_give_them(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(repository / "experiments"))
    experiment = importlib.import_module("augmentation_shift")
    generator = np.random.default_rng(0)
    truth = generator.random(200) < 0.3
    scores = np.round(generator.normal(size=200) + truth, 1)  # with ties
    other = np.round(generator.normal(size=200), 1)
    own = experiment.Set([], truth, np.arange(200))
    expected = [roc_auc_score(truth, part) for part in (scores, other)]
    found = experiment.intervals(own, [scores, other], [other, other])
    assert found["auc"][0] == pytest.approx(np.mean(expected))
    assert found["difference"][0] == pytest.approx(np.mean(expected) - expected[1])
    assert found["auc"][1] < found["auc"][0] < found["auc"][2]
    assert experiment.intervals(own, [scores], [scores])["difference"] == [0.0, 0.0, 0.0]

    pink = np.clip(generator.normal((190, 110, 160), 12, (40, 40, 3)), 0, 255).astype(np.uint8)
    blue = np.clip(generator.normal((110, 120, 180), 12, (40, 40, 3)), 0, 255).astype(np.uint8)
    moved = rgb2lab(experiment.normalised([pink], [blue])[0] / 255.0).reshape(-1, 3)
    np.testing.assert_allclose(
        moved.mean(axis=0), rgb2lab(blue / 255.0).reshape(-1, 3).mean(axis=0), atol=1.0
    )
