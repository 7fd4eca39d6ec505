import math

import numpy as np
import pytest

from inkdot.metrics.intervals.confidence_intervals import TOO_FEW
from inkdot.metrics.slides.slide_level import (
    NO_HIT,
    NO_KNOWN_REGION,
    SlidePredictions,
    as_patients,
    slide_metrics,
    subgroup_metrics,
)

NAN = math.nan


def results(rows, **groups):
    """Rows of (patient, truth, score, flagged, hit rank)."""
    patients, truth, scores, flagged, ranks = zip(*rows, strict=True)
    return SlidePredictions(
        patients=np.array(patients),
        truth=np.array(truth, float),
        scores=np.array(scores, float),
        flagged=np.array(flagged, bool),
        hit_ranks=np.array(ranks),
        groups={name: np.array(words) for name, words in groups.items()},
    )


COHORT = [
    ("a", 1, 0.9, True, 1),
    ("a", 1, 0.4, False, 12),
    ("b", 1, NAN, False, NO_KNOWN_REGION),  # inadequate: a positive slide missed
    ("c", 1, 0.8, True, NO_HIT),
    ("d", 0, 0.6, True, NO_KNOWN_REGION),
    ("e", 0, 0.1, False, NO_KNOWN_REGION),
    ("f", 0, NAN, False, NO_KNOWN_REGION),
    ("g", NAN, 0.95, True, NO_KNOWN_REGION),
]


def test_inadequate_slides_are_never_right_and_unknown_ones_do_not_count():
    metrics = slide_metrics(results(COHORT))
    assert metrics["sensitivity"].value == 2 / 4
    assert metrics["specificity"].value == 1 / 2  # d flagged, e not; f is inadequate
    assert metrics["balanced_accuracy"].value == pytest.approx((2 / 4 + 1 / 2) / 2)
    pairs = [(p > n) + 0.5 * (p == n) for p in (0.9, 0.4, 0.8) for n in (0.6, 0.1)]
    assert metrics["auc"].value == pytest.approx(np.mean(pairs))


def test_two_patients_on_a_side_give_no_interval():
    rows = [("a", 1, 0.9, True, 1), ("b", 1, 0.4, False, 12)]
    rows += [(f"n{k}", 0, 0.1 * k, k > 4, NO_KNOWN_REGION) for k in range(8)]
    metrics = slide_metrics(results(rows))
    for name in ("average_precision", "balanced_accuracy"):
        assert (metrics[name].low, metrics[name].high, metrics[name].method) == (0.0, 1.0, TOO_FEW)


def test_hits_are_counted_on_slides_with_known_regions_only():
    metrics = slide_metrics(results(COHORT), ks=(1, 10, 30))
    assert metrics["hit@1"].value == 1 / 3
    assert metrics["hit@10"].value == 1 / 3
    assert metrics["hit@30"].value == 2 / 3
    assert "hit@30" not in slide_metrics(results([("d", 0, 0.6, True, NO_KNOWN_REGION)]))


def test_a_patient_is_flagged_where_any_slide_is():
    patients = as_patients(results(COHORT), {"e": True})
    by_name = dict(zip(patients.patients.tolist(), range(7), strict=True))
    assert patients.flagged[by_name["a"]]
    assert patients.scores[by_name["a"]] == 0.9
    assert patients.truth[by_name["a"]] == 1
    assert patients.truth[by_name["e"]] == 1  # a positive patient with a clean slide
    assert math.isnan(patients.truth[by_name["g"]])
    assert math.isnan(patients.scores[by_name["b"]])


def test_a_patient_with_an_unknown_slide_and_no_positive_one_is_unknown():
    rows = [("a", 0, 0.1, False, NO_KNOWN_REGION), ("a", NAN, 0.2, False, NO_KNOWN_REGION)]
    assert math.isnan(as_patients(results(rows), {}).truth[0])


def test_subgroup_metrics_are_those_of_their_own_slides():
    sites = ["x", "x", "x", "x", "y", "y", "", ""]
    found = subgroup_metrics(results(COHORT, site=sites, stain=["pap"] * 8))
    assert set(found) == {"site"}
    assert set(found["site"]) == {"x", "y", "not stated"}
    assert found["site"]["y"]["specificity"].value == 1 / 2
    assert "auc" not in found["site"]["x"]
