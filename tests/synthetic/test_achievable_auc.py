"""The upper bound of the AUC: no reader of the scene may separate the classes perfectly."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def experiment(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(repository / "experiments"))
    return importlib.import_module("achievable_auc")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_best_reader_stays_below_the_bound(experiment: ModuleType) -> None:
    for bound in experiment.simulated_bounds(500, seed=3):
        assert 0.85 < bound.selftest_best_auc <= 0.97, bound
        assert bound.selftest_diameter_auc < bound.selftest_best_auc, bound


def test_same_seed_same_metrics_and_their_names_say_selftest(experiment: ModuleType) -> None:
    one, other = experiment.simulated_bounds(10, seed=1), experiment.simulated_bounds(10, seed=1)
    assert one == other
    assert all("selftest" in name for name in type(one[0]).__slots__ if "auc" in name)
