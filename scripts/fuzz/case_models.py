"""A small case model for the corpus, and cases to predict with it."""

from pathlib import Path

import numpy as np

from inkdot.case_model.case_model_file import write_case_model
from inkdot.case_model.case_table import ARMS, CaseTable, blocks_of
from inkdot.case_model.fit import FitSettings, fit_logistic
from inkdot.case_model.records import CaseModelFile


def case_table(count: int) -> CaseTable:
    """Cases with a slide column, and a number and a category beside it."""
    generator = np.random.default_rng(0)
    truth = np.arange(count) % 2 == 0
    number = generator.normal(size=count) + truth
    number[::4] = np.nan
    names = np.array([f"p{row}" for row in range(count)])
    return CaseTable(
        names,
        names,
        truth,
        {"score": generator.normal(size=count) + truth, "number": np.abs(number)},
        {"mri": np.where(generator.random(count) < 0.5, "normal", "linear")},
        {"score": "image", "number": "case", "mri": "case"},
    )


def write_small_case_model(path: Path) -> None:
    """Fit a model of all kinds of terms and write it."""
    table = case_table(60)
    settings = FitSettings(log=["number"], curves=True, inner_folds=2, refits=3)
    write_case_model(
        path,
        CaseModelFile(
            inkdot="0", synthetic=False, truth="truth", prevalence=0.5, cases=60, patients=60, positive_patients=30,
            blocks=dict(table.blocks), outer_folds=5, inner_folds=2, seed=0, missing=[],
            cross_validation={arm: {} for arm in ARMS},
            arms={arm: fit_logistic(table, table.columns_of(blocks_of(arm)), settings) for arm in ARMS},
        ),
    )  # fmt: skip
