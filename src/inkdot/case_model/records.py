"""``case_model.json``: coefficients, scalers and knots of a case-level model, with what it was trained on."""

from typing import Final, Literal, Self

import numpy as np
from pydantic import Field, model_validator
from scipy.special import expit

from inkdot.case_model.case_table import Arm, Block, CaseTable
from inkdot.case_model.encoding import CategoryColumn, Encoding, NumberColumn
from inkdot.metrics.classification import FloatArray
from inkdot.metrics.recalibration import Recalibration
from inkdot.storage.models.model_records import Fraction, Interval, Positive, Recorded

CASE_MODEL_VERSION: Final = "inkdot.case_model/1"


class Logistic(Recorded):
    """A penalised logistic regression on standardised terms, recalibrated on held-out cases.

    ``logit = intercept + slope · (bias + Σ coefficient · (term − mean) / sd)``.

    Attributes:
        encoding: From columns to terms.
        bias: Of the regression.
        coefficients: Per standardised term, in the order of the scales.
        c: Inverse of the L2 penalty, chosen by inner cross-validation.
        slope: Of the recalibration.
        intercept: Of the recalibration.
        replicates: Bias and coefficients of refits on draws of patients with the same penalty and encoding, for intervals.
    """

    encoding: Encoding
    bias: float
    coefficients: list[float]
    c: Positive
    slope: Positive
    intercept: float
    replicates: list[list[float]]

    @model_validator(mode="after")
    def _as_many_as_terms(self) -> Self:
        terms = len(self.encoding.scales)
        if len(self.coefficients) != terms:
            raise ValueError(
                f"coefficients: expected one for each of {terms} terms, found {len(self.coefficients)}"
            )
        if any(len(own) != terms + 1 for own in self.replicates):
            raise ValueError(f"replicates: expected {terms + 1} numbers in each")
        return self

    @property
    def recalibration(self) -> Recalibration:
        """Slope and intercept."""
        return Recalibration(self.slope, self.intercept)

    def logits(self, table: CaseTable) -> FloatArray:
        """Calibrated logits, shape [n]."""
        return self.recalibration.logits(
            self.bias + self.encoding.design(table) @ np.array(self.coefficients)
        )

    def probabilities(self, table: CaseTable) -> FloatArray:
        """Calibrated probabilities, shape [n]."""
        return np.asarray(expit(self.logits(table)), np.float64)

    def replicate_probabilities(self, table: CaseTable) -> FloatArray:
        """Probabilities by each refit, shape [refits, n]."""
        refits = np.array(self.replicates, np.float64).reshape(-1, len(self.coefficients) + 1)
        margins = refits[:, :1] + refits[:, 1:] @ self.encoding.design(table).T
        return np.asarray(expit(self.recalibration.logits(margins)), np.float64)


class MissingShare(Recorded):
    """How many training cases lack a value of a column, by truth: where the shares differ, being measured is itself a sign.

    Attributes:
        column: The column.
        positive: Share of the positive cases.
        negative: Share of the negative cases.
    """

    column: str
    positive: Interval
    negative: Interval


class CaseModelFile(Recorded):
    """The whole file.

    Attributes:
        version: Of the form.
        inkdot: Version of the program that wrote it.
        synthetic: Trained on synthetic slides or by the scores of a synthetic model.
        truth: Where the truth came from.
        prevalence: Share of positive training cases.
        cases: Number of training cases.
        patients: Number of their patients.
        positive_patients: Patients with a positive case.
        blocks: Block of each column.
        outer_folds: Folds of the outer cross-validation.
        inner_folds: Folds of the inner one.
        seed: Of folds and draws.
        missing: Shares of missing values.
        cross_validation: Metrics of the nested cross-validation by arm and name.
        arms: The models.
    """

    version: Literal["inkdot.case_model/1"] = CASE_MODEL_VERSION
    inkdot: str
    synthetic: bool
    truth: str
    prevalence: Fraction
    cases: int = Field(ge=1)
    patients: int = Field(ge=1)
    positive_patients: int = Field(ge=1)
    blocks: dict[str, Block]
    outer_folds: int = Field(ge=2)
    inner_folds: int = Field(ge=2)
    seed: int
    missing: list[MissingShare]
    cross_validation: dict[Arm, dict[str, Interval]]
    arms: dict[Arm, Logistic]

    @model_validator(mode="after")
    def _columns_known(self) -> Self:
        if set(self.arms) != {"image", "case", "image + case"}:
            raise ValueError("arms: expected image, case and image + case")
        for arm, own in self.arms.items():
            unknown = [column.column for column in own.encoding.columns if column.column not in self.blocks]
            if unknown:
                raise ValueError(f"arms.{arm}: expected columns named in blocks, found {unknown[0]!r}")
        return self

    @property
    def columns(self) -> dict[str, NumberColumn | CategoryColumn]:
        """How each column is encoded."""
        return {own.column: own for own in self.arms["image + case"].encoding.columns}
