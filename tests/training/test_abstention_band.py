"""Abstention bands on scores given by hand, against a plain count."""

import numpy as np
import pytest
from scipy import stats

from inkdot.metrics.decision.calls import MIN_CALL_SCORE
from inkdot.metrics.decision.guarantees import patient_scores
from inkdot.training.release.abstention_band import (
    SlideRows,
    abstention_notes,
    head_abstention_bands,
    slide_abstention_band,
)

NAN = np.nan


def banded(truth, scores, patients, threshold, training, locked=False):
    rows = SlideRows(truth, scores, patients)
    units = patient_scores(truth, scores, patients)
    return slide_abstention_band(rows, units, threshold, training, evaluated_on="slides", locked=locked)


def slides(seed: int, n: int = 200):
    """Scores whose errors gather in the middle; every slide its own patient."""
    generator = np.random.default_rng(seed)
    scores = generator.random(n).astype(np.float32)
    truth = generator.random(n) < np.clip(2.5 * (scores - 0.5) + 0.5, 0, 1)
    return truth, scores, np.array([f"p{k}" for k in range(n)])


@pytest.mark.parametrize("seed", range(3))
def test_the_selective_risk_is_at_most_the_target_and_counted_on_the_called_slides(tiny_config, seed):
    truth, scores, patients = slides(seed)
    locked = banded(truth, scores, patients, 0.4, tiny_config.training)
    called = [k for k in range(len(scores)) if not locked.low < scores[k] < locked.high]
    wrong = [k for k in called if (scores[k] >= 0.4) != truth[k]]
    assert locked.low < 0.4 < locked.high
    assert locked.selective_risk.value == pytest.approx(len(wrong) / len(called))
    assert locked.selective_risk.value <= 0.05 + 1 / len(called)  # edges are rounded towards the threshold
    assert locked.coverage.value == pytest.approx(len(called) / len(scores))
    assert locked.selective_risk.low <= locked.selective_risk.value <= locked.selective_risk.high
    assert [locked.holds(float(s)) for s in scores] == [k not in called for k in range(len(scores))]


def test_there_is_no_band_without_a_target_or_enough_patients(tiny_config):
    truth, scores, patients = slides(0)
    silent = tiny_config.model_copy(
        update={"training": tiny_config.training.model_copy(update={"target_selective_risk": None})}
    )
    assert banded(truth, scores, patients, 0.4, silent.training) is None
    assert abstention_notes({}, silent.head_records, silent.training) == []
    few = np.where(truth, "one", patients)
    assert banded(truth, scores, few, 0.4, tiny_config.training) is None
    wrong = ~truth & (scores < 0.99)
    assert banded(scores < 0.4, scores, patients, 0.4, tiny_config.training) is None
    assert wrong.any()
    assert len(abstention_notes({}, tiny_config.head_records, tiny_config.training)) == 2


def upper(wrong, calls):
    """One-sided bound of 0.9 by Clopper and Pearson."""
    return stats.binomtest(wrong, calls).proportion_ci(0.8, "exact").high


def separated(positives=60, negatives=120, errors=3):
    """Patients of one slide each; so many negative ones lie above the threshold of 0.5, at the lower end."""
    scores = np.concatenate([np.linspace(0.6, 0.9, positives), np.linspace(0.1, 0.4, negatives)])
    scores[positives : positives + errors] = np.linspace(0.51, 0.59, errors)
    truth = np.arange(positives + negatives) < positives
    return truth, scores.astype(np.float32), np.array([f"p{k:03d}" for k in range(positives + negatives)])


def test_a_guaranteed_band_says_for_how_many_patients_and_how_surely(tiny_config):
    own = banded(*separated(errors=20), 0.5, tiny_config.training, locked=True)
    assert own.low == 0.5
    assert 0.51 < own.high < 0.6
    guarantee = own.guarantee
    assert (guarantee.locked, guarantee.confidence, guarantee.patients, guarantee.needed) == (
        True,
        0.9,
        180,
        77,
    )
    assert guarantee.scores == "validation"
    truth, scores, _ = separated(errors=20)
    inside = (scores > own.low) & (scores < own.high)
    wrong = int((~truth & (scores >= own.high)).sum())
    assert 0 < wrong < 20
    assert guarantee.bound == pytest.approx(min(0.05, upper(wrong, int((~inside).sum()))))
    assert own.coverage.value == pytest.approx(1 - inside.mean())


def test_an_unguaranteed_band_says_what_its_patients_show(tiny_config):
    truth, scores, patients = slides(1)
    own = banded(truth, scores, patients, 0.4, tiny_config.training, locked=False)
    inside = (scores > own.low) & (scores < own.high)
    wrong = int((((scores >= 0.4) != truth) & ~inside).sum())
    assert own.guarantee.locked is False
    assert own.guarantee.bound == pytest.approx(upper(wrong, int((~inside).sum())))
    assert own.guarantee.bound > 0.05 >= wrong / (~inside).sum() - 0.01


@pytest.mark.parametrize(("positives", "negatives"), [(2, 30), (30, 2)])
def test_two_patients_of_a_class_are_too_few_and_three_enough(tiny_config, positives, negatives):
    assert banded(*separated(positives, negatives, errors=0), 0.5, tiny_config.training) is None
    few = (positives + (positives == 2), negatives + (negatives == 2))
    assert banded(*separated(*few, errors=0), 0.5, tiny_config.training) is not None


def bands(arrays, config):
    return head_abstention_bands(*arrays, config.head_records, config.training)


def morphology(pairs):
    """Rows of (score of large cells, whether they are, patient)."""
    scores, large, patients = zip(*pairs, strict=True)
    table = np.full((len(pairs), 4), 0.5, np.float32)
    table[:, 3], table[:, 2] = scores, 1 - np.array(scores)
    targets = np.full((len(pairs), 4), NAN, np.float32)
    targets[:, 3], targets[:, 2] = large, 1 - np.array(large)
    return table, targets, np.array(patients)


def test_another_head_is_called_from_the_lowest_score_that_is_right_often_enough(tiny_config):
    rows = [(0.99, 1, f"a{k}") for k in range(30)] + [(0.02, 0, f"b{k}") for k in range(30)]
    rows += [(0.9, 1, f"c{k}") for k in range(18)] + [(0.9, 0, f"d{k}") for k in range(2)]  # 2 of 80 wrong
    rows += [(0.8, 0, f"e{k}") for k in range(10)]  # 12 of 90 would be
    rows += [(0.5, 0.5, "mixed")]
    found = bands(morphology(rows), tiny_config)
    assert list(found) == ["morphology"]
    own = found["morphology"]
    assert (own.low, own.evaluated_on) == (None, "tiles")
    assert own.high == pytest.approx(0.9, abs=1.01e-4)
    assert own.high <= np.float32(0.9)
    assert own.selective_risk.value == pytest.approx(2 / 80)
    assert own.coverage.value == pytest.approx(80 / 90)


def test_the_threshold_of_another_head_is_never_below_the_default_and_bad_data_give_no_call(tiny_config):
    right = morphology([(0.6, 1, f"a{k}") for k in range(5)] + [(0.4, 0, f"b{k}") for k in range(5)])
    assert bands(right, tiny_config)["morphology"].high == MIN_CALL_SCORE
    wrong = morphology([(0.99, 0, f"a{k}") for k in range(5)])
    own = bands(wrong, tiny_config)["morphology"]
    assert own.high is None
    assert own.selective_risk is None
    assert own.coverage.value == 0.0
