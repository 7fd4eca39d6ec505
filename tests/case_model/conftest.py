"""Synthetic cases of which the truth is known."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import ndtr

from inkdot.case_model.case_table import CaseTable

MakeCases = Callable[..., CaseTable]


def true_auc(*distances: float) -> float:
    """AUC of the best model of independent normal columns whose class means are so many standard deviations apart."""
    return float(ndtr(np.sqrt(np.sum(np.square(distances)) / 2.0)))


@pytest.fixture(scope="session")
def make_cases() -> MakeCases:
    """Cases with one slide column and two case columns: a number and a category that says nothing."""

    def make(count: int, image: float, case: float, *, seed: int = 0, missing: float = 0.0) -> CaseTable:
        generator = np.random.default_rng(seed)
        truth = np.arange(count) < count * 2 // 5
        number = generator.normal(size=count) + case * truth
        number[generator.random(count) < missing] = np.nan
        return CaseTable(
            ids=np.array([f"c{row}" for row in range(count)]),
            patients=np.array([f"p{row}" for row in range(count)]),
            truth=truth,
            numbers={"score": generator.normal(size=count) + image * truth, "protein": number},
            categories={"mri": generator.choice(["normal", "linear", "nodular"], count, p=[0.6, 0.3, 0.1])},
            blocks={"score": "image", "protein": "case", "mri": "case"},
        )

    return make
