"""Metrics of an epoch, per patient too, and which of two epochs is the better one."""

import numpy as np
import pytest

from inkdot.config import config_from_mapping
from inkdot.errors import UserError
from inkdot.evaluation.head_metrics import patient_metrics
from inkdot.labels import DEFAULT_HEADS
from inkdot.metrics.classification import average_precision, roc_auc
from inkdot.training.fit.epoch_metrics import (
    Row,
    best_epoch_note,
    cells,
    epoch_line,
    is_better,
    monitored_metrics,
)
from inkdot.training.fit.monitor import check_monitored

NAN = np.nan


def metrics(scores, positive, patients):
    """Of tiles with these scores; ``positive`` is the target of the flag class."""
    own = np.array(positive, np.float32)
    blank = np.full_like(own, NAN)
    targets = np.stack([1 - own, own, blank, blank], axis=1)
    probabilities = np.array(scores, np.float32)
    columns = np.stack([1 - probabilities, probabilities, probabilities, probabilities], axis=1)
    return patient_metrics(columns, targets, np.array(patients), DEFAULT_HEADS, replicates=50, seed=0)


def test_a_patient_has_the_score_of_the_highest_tile_and_is_positive_where_one_tile_is():
    generator = np.random.default_rng(4)
    patients = np.array([f"p{i:02d}" for i in generator.integers(0, 12, 200)])
    sick = {f"p{i:02d}" for i in range(0, 12, 2)}
    positive = np.array([float(p in sick and generator.random() < 0.2) for p in patients])
    scores = np.clip(0.3 * positive + generator.random(200) * 0.8, 0, 1).astype(np.float32)
    found = metrics(scores, positive, patients)
    # By hand, patient by patient.
    names = sorted(set(patients.tolist()))
    truth = np.array([bool((positive[patients == name] > 0.5).any()) for name in names])
    best = np.array([scores[patients == name].max() for name in names])
    assert 0.5 < roc_auc(truth, best) < 1
    assert found["patient_auc"].value == pytest.approx(roc_auc(truth, best))
    assert found["patient_average_precision"].value == pytest.approx(average_precision(truth, best))
    for metric in found.values():
        assert metric.low < metric.value < metric.high


def test_a_patient_of_whom_something_is_undecided_counts_only_where_positive():
    scores = [0.9, 0.1, 0.8, 0.2, 0.3, 0.4]
    patients = ["a", "a", "b", "b", "c", "d"]
    # b: atypical and benign; c: benign; d: not known at all.
    found = metrics(scores, [1, 0.5, 0.5, 0, 0, NAN], patients)
    assert found["patient_auc"].value == 1.0  # a against c alone
    assert metrics(scores, [1, 0, 0, 0, 0, 0], patients)["patient_auc"].value == 1.0
    assert metrics(scores, [0, 0, 1, 0, 0, 0], patients)["patient_auc"].value == pytest.approx(2 / 3)


def test_where_a_class_has_no_patient_nothing_is_claimed():
    assert metrics([0.9, 0.1], [1, 0], ["a", "a"]) == {"patient_auc": None, "patient_average_precision": None}
    assert metrics([0.9, 0.1], [0, 0], ["a", "b"]) == {"patient_auc": None, "patient_average_precision": None}


def epoch(loss: float, auc: float | None = None, prefix: str = "selftest_") -> Row:
    return {f"{prefix}calibrated_loss": loss, f"{prefix}patient_auc": auc}


def test_the_lower_loss_is_better_unless_patient_auc_is_monitored():
    first, second = epoch(0.4, 0.8), epoch(0.5, 0.9)
    assert is_better(first, second, "selftest_", "calibrated_loss")
    assert not is_better(second, first, "selftest_", "calibrated_loss")
    assert is_better(second, first, "selftest_", "patient_auc")
    assert not is_better(first, second, "selftest_", "patient_auc")


def test_of_epochs_that_rank_patients_alike_the_lower_loss_is_better_and_the_same_is_no_better():
    assert is_better(epoch(0.4, 1.0), epoch(0.5, 1.0), "selftest_", "patient_auc")
    assert not is_better(epoch(0.5, 1.0), epoch(0.4, 1.0), "selftest_", "patient_auc")
    assert not is_better(epoch(0.4, 1.0), epoch(0.4, 1.0), "selftest_", "patient_auc")


def test_without_an_auc_of_patients_the_loss_decides():
    lower, higher = ({"pairs_calibrated_loss": loss} for loss in (0.1, 0.2))
    assert is_better(lower, higher, "pairs_", "patient_auc")
    assert not is_better(higher, lower, "pairs_", "patient_auc")


def test_the_terminal_line_has_the_patient_auc_with_its_interval():
    row = epoch(0.5, 0.75) | {"epoch": 3, "train_loss": 0.25}
    row |= {"selftest_patient_auc.low": 0.5, "selftest_patient_auc.high": 1.0}
    message = epoch_line(row, 9, "selftest_")
    assert message == (
        "epoch 3 of 9: train_loss 0.2500, selftest_calibrated_loss 0.5000, selftest_patient_auc 0.750 (0.500 to 1.000)"
    )
    assert "patient" not in epoch_line(row | {"selftest_patient_auc": None}, 9, "selftest_")


def test_too_few_patients_have_no_interval():
    too_few = metrics([0.9, 0.8, 0.1, 0.2], [1, 1, 0, 0], ["a", "b", "c", "d"])
    row = epoch(0.5, 0.75) | {"epoch": 1, "train_loss": 0.25}
    row |= {f"selftest_{name}": value for name, value in cells(too_few).items()}
    assert epoch_line(row, 1, "selftest_").endswith("selftest_patient_auc 1.000 (interval not known)")


def test_monitoring_patient_auc_needs_positive_and_negative_patients(tiny_config):
    targets = np.array([[0, 1, 1, 0], [1, 0, NAN, NAN], [0.5, 0.5, NAN, NAN]], np.float32)
    settings = tiny_config.training.model_copy(update={"monitor": "patient_auc"})
    monitored = tiny_config.model_copy(update={"training": settings})
    one_class = np.array(["a", "a", "b"])  # a has both kinds of tile, b is undecided
    message = r"found 1 positive and 0 negative ones among 2; .*set training\.monitor to calibrated_loss"
    with pytest.raises(UserError, match=message):
        check_monitored(targets, one_class, monitored)
    check_monitored(targets, one_class, tiny_config)
    check_monitored(targets, np.array(["a", "b", "c"]), monitored)


def test_the_card_names_the_metric_that_chose_the_epoch(tiny_config):
    assert best_epoch_note(7, tiny_config.training) == (
        "Weights of epoch 7 of 3, which had the lowest calibrated validation loss."
    )
    settings = tiny_config.training.model_copy(update={"monitor": "patient_auc"})
    assert "epoch 7 of 3, which had the highest AUC over validation patients" in best_epoch_note(7, settings)


def test_scores_that_are_not_finite_are_a_user_error_naming_the_key():
    """The losses are those before each step: after the last one the weights may have become infinite."""
    logits = np.array([[0.0, 1.0, 0.0, 0.0], [0.0, NAN, 0.0, 0.0]], np.float32)
    targets = np.array([[1, 0, NAN, NAN], [0, 1, NAN, NAN]], np.float32)
    config = config_from_mapping({})
    with pytest.raises(UserError, match=r"finite.*training\.learning_rate"):
        monitored_metrics(logits, {}, targets, np.array(["a", "b"]), config)
