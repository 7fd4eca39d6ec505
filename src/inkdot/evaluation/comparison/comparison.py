"""The comparison of several models, as records."""

from dataclasses import dataclass

from inkdot.evaluation.comparison.scored_table import ScoredTable
from inkdot.metrics.intervals.confidence_intervals import Estimate
from inkdot.metrics.intervals.delong import AucDifference
from inkdot.metrics.intervals.paired_bootstrap import Difference


@dataclass(frozen=True, slots=True)
class ComparedMetric:
    """One metric of all models.

    Attributes:
        name: As in the other reports, ``<metric>.<head>`` or ``<metric>.<head>.<class>``.
        lower_is_better: Of an error or loss.
        rows: Number of rows that it is computed on.
        values: Of each model, with its interval; None where undefined.
        differences: Of each further model less the first; None where undefined.
    """

    name: str
    lower_is_better: bool
    rows: int
    values: list[Estimate | None]
    differences: list[Difference | None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Several models on the same rows.

    Attributes:
        tables: The models, paired; the others are compared with the first.
        metrics: In the order to show them.
        auc_tests: DeLong's test of the AUC of each further model less that of the first; None where it has no variance.
        adjusted: Holm's adjusted p-value of each of them.
        curves: ROC curve of each model: (1 − specificity, sensitivity).
        patients: Number of patients.
        positives: Number of rows of the flag class.
        negatives: Number of rows known not to be of the flag class.
        notes: What was left out.
        replicates: Draws for the differences.
    """

    tables: list[ScoredTable]
    metrics: list[ComparedMetric]
    auc_tests: list[AucDifference | None]
    adjusted: list[float | None]
    curves: list[list[tuple[float, float]]]
    patients: int
    positives: int
    negatives: int
    notes: list[str]
    replicates: int
