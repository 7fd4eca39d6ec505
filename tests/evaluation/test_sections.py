"""Sections of the report, from rows given by hand."""

import re

import numpy as np
import pytest

from inkdot.evaluation.places import Clusters
from inkdot.evaluation.report_parts import estimate_text, percent
from inkdot.evaluation.sections.benefit import benefit_section
from inkdot.evaluation.sections.cell_count import SEVERAL, SINGLE, cell_count_section, cluster_metrics
from inkdot.evaluation.sections.predictive import threshold_section
from inkdot.evaluation.sections.ranking import ranking_section
from inkdot.evaluation.sections.rows import counts_of, scored_rows
from inkdot.evaluation.selective_prediction import abstention_text
from inkdot.metrics.intervals.confidence_intervals import TOO_FEW, Estimate
from inkdot.metrics.predictive_values import Counts
from inkdot.metrics.slides.slide_level import NO_KNOWN_REGION, SlidePredictions, slide_metrics
from inkdot.storage.models.model_records import AbstentionBand

THRESHOLD = 0.5


def cohort(count: int = 40, noise: float = 0.25) -> SlidePredictions:
    generator = np.random.default_rng(4)
    truth = (np.arange(count) % 2).astype(float)
    scores = np.clip(0.3 + 0.4 * truth + generator.normal(0, noise, count), 0.01, 0.99)
    return SlidePredictions(
        patients=np.array([f"p{n}" for n in range(count)]),
        truth=truth,
        scores=scores,
        flagged=scores >= THRESHOLD,
        hit_ranks=np.full(count, NO_KNOWN_REGION),
        groups={},
    )


def test_the_ring_is_sensitivity_and_specificity_at_the_locked_threshold() -> None:
    own = cohort()
    metrics = slide_metrics(own, ks=())
    roc, precision_recall = ranking_section(scored_rows(own, "patients"), THRESHOLD, {}, []).plots
    assert roc.marked == [
        (pytest.approx(1 - metrics["specificity"].value), pytest.approx(metrics["sensitivity"].value))
    ]
    assert roc.marked[0] in roc.points
    assert precision_recall.marked[0] in precision_recall.points
    assert "0.5" in roc.caption


def test_a_positive_row_without_a_score_is_missed() -> None:
    own = cohort(4, 0.0)
    own.scores[[0, 1]] = np.nan
    own.flagged[1] = False
    assert counts_of(own) == Counts(1, 2, 1, 1)


def test_predictive_values_are_listed_for_the_test_set_and_each_stated_prevalence() -> None:
    section, rows = threshold_section(
        Counts(18, 20, 16, 20), {}, [0.01, 0.2],
        threshold=0.5, patients="patients", unit="slides", prefix="selftest_",
    )  # fmt: skip
    assert [row[0] for row in section.tables[0].rows] == ["50 % (this test set)", "1 %", "20 %"]
    assert [row["prevalence"] for row in rows] == [0.5, 0.01, 0.2]
    assert [row["of_this_test_set"] for row in rows] == [True, False, False]
    assert all("selftest_ppv" in row and "ppv" not in row for row in rows)
    assert section.tables[0].rows[1][3:] == ["207", "9.0", "1.0"]


def test_the_locked_threshold_is_on_the_decision_curve() -> None:
    own = cohort()
    section, curves = benefit_section(
        scored_rows(own, "patients"), THRESHOLD, slide_metrics(own, ks=()), [0.05], ""
    )
    curve, at_prevalence = section.plots
    (marked,) = curve.marked
    assert dict(curve.points)[marked[0]] == pytest.approx(marked[1])
    assert [line.label for line in curve.lines] == ["flag all", "flag none"]
    assert set(curves) == {"decision", "decision_at_prevalence_0.05"}
    assert all(
        row["low"] <= row["net_benefit"] <= row["high"] for row in curves["decision_at_prevalence_0.05"]
    )
    assert at_prevalence.x_max == pytest.approx(0.25)


def test_the_caption_says_where_the_locked_threshold_lies_below_the_plot() -> None:
    own = cohort()
    rows = scored_rows(own, "patients")
    section, _ = benefit_section(rows, 0.99, {}, [], "")
    assert section.plots[0].marked == []
    assert "0.99, lies below the plot" in section.plots[0].caption


def test_a_count_that_explains_as_much_is_a_warning() -> None:
    own = cohort()
    counts = (100 * own.scores).astype(np.int64)
    section, warning, facts = cell_count_section(own, counts, "clusters", {}, {}, "")
    assert re.match(r"The number of clusters explains as much: AUC of slides 0\.\d+ by the score", warning)
    assert section.warning == warning
    assert facts["explained_by_count"] is True
    _, warning, facts = cell_count_section(own, np.arange(40) // 2, "clusters", {}, {}, "")
    assert warning == ""
    assert facts["explained_by_count"] is False


def test_single_cells_are_judged_apart_from_clusters() -> None:
    clusters = Clusters(
        truth=np.array([1.0, 1.0, 0.0, 0.0, 1.0, np.nan]),
        scores=np.array([0.9, 0.2, 0.1, 0.1, 0.8, 0.9]),
        flagged=np.array([True, False, False, False, True, True]),
        nuclei=np.array([1, 1, 1, 2, 5, 3]),
    )
    metrics, sizes = cluster_metrics([(f"p{n}", clusters) for n in range(4)])
    assert metrics[SINGLE]["sensitivity"].value == 0.5
    assert metrics[SEVERAL]["sensitivity"].value == 1.0
    assert sizes[SINGLE] == "4 patients: 8 positive, 4 negative"
    assert cluster_metrics([]) == ({}, {})


def test_an_interval_of_too_few_is_not_known() -> None:
    assert estimate_text(Estimate(0.5, 0.0, 1.0, TOO_FEW)) == "0.500 (not known)"
    assert estimate_text(None) == "–"
    assert [percent(own) for own in (0.005, 0.05, 0.7391)] == ["0.5 %", "5 %", "73.9 %"]


@pytest.mark.parametrize(
    ("guarantee", "said"),
    [
        (None, "of 0.05 on validation data. Sens"),
        (
            {"locked": True},
            "of 0.05 on validation data and guaranteed for further ones with a confidence of 0.9. Sens",
        ),
        (
            {"locked": False, "scores": "out_of_fold"},
            "of 0.05 on out-of-fold scores, not guaranteed for further ones. Sens",
        ),
    ],
)
def test_the_band_is_not_called_more_than_it_is(guarantee: dict[str, object] | None, said: str) -> None:
    """A band that is a help in reading must not pass for a promise."""
    rest = {"confidence": 0.9, "patients": 90, "needed": 77, "bound": 0.05}
    metric = {"value": 0.9, "low": 0.8, "high": 1.0, "method": "by hand"}
    band = AbstentionBand.model_validate({
        "low": 0.4, "high": 0.6, "target_selective_risk": 0.05, "selective_risk": metric, "coverage": metric,
        "evaluated_on": "slides", "guarantee": None if guarantee is None else rest | guarantee,
    })  # fmt: skip
    assert said in abstention_text(band)
