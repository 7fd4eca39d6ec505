"""Metrics over several classes against counting by hand."""

import numpy as np
import pytest

from inkdot.evaluation.oof_metrics import OofPredictions, confusion_matrix, cross_validation_metrics
from inkdot.labels import Head

CLASSES = ("low", "middle", "high")
HEAD = Head(
    name="grade",
    classes=CLASSES,
    labels={name: {name: 1.0} for name in CLASSES},
    calls={},
    condition=None,
    flag_class="high",
)


@pytest.fixture
def predictions() -> OofPredictions:
    generator = np.random.default_rng(5)
    rows = 120
    truth = generator.integers(0, 3, rows)
    targets = np.eye(3, dtype=np.float32)[truth]
    targets[3] = (0.5, 0.5, 0.0)  # no one's truth
    targets[7] = np.nan
    scores = generator.dirichlet((1, 1, 1), rows).astype(np.float32) * 0.6 + 0.4 * np.nan_to_num(targets)
    scores /= scores.sum(axis=1, keepdims=True)
    return OofPredictions(
        names=np.array([f"p{row}" for row in range(rows)]),
        patients=np.array([f"g{row // 4}" for row in range(rows)]),
        folds=np.zeros(rows, np.int64),
        targets=targets,
        scores=scores,
        uncalibrated=scores,
        flagged=scores[:, 2] > 0.5,
    )


def test_metrics_of_several_classes_agree_with_counting(predictions: OofPredictions):
    expected = {(truth, called): 0 for truth in CLASSES for called in CLASSES}
    for row in range(120):
        if row not in (3, 7):
            expected[
                CLASSES[int(np.argmax(predictions.targets[row]))],
                CLASSES[int(np.argmax(predictions.scores[row]))],
            ] += 1
    found = confusion_matrix(predictions, HEAD, slice(0, 3))
    assert found == {pair: count for pair, count in expected.items() if count}
    assert sum(found.values()) == 118
    metrics = cross_validation_metrics(predictions, (HEAD,), seed=0)
    recalls = []
    for name in CLASSES:
        recall = expected[name, name] / sum(expected[name, called] for called in CLASSES)
        recalls.append(recall)
        metric = metrics[f"recall.grade.{name}"]
        assert metric.value == pytest.approx(recall)
        assert metric.low < recall < metric.high
    assert metrics["balanced_accuracy.grade"].value == pytest.approx(np.mean(recalls))


def test_one_class_alone_has_no_balanced_accuracy(predictions: OofPredictions):
    """Its own share would pass for the mean of all."""
    alone = np.flatnonzero(predictions.targets[:, 0] == 1)
    only = OofPredictions(
        names=predictions.names[alone],
        patients=predictions.patients[alone],
        folds=predictions.folds[alone],
        targets=predictions.targets[alone],
        scores=predictions.scores[alone],
        uncalibrated=predictions.uncalibrated[alone],
        flagged=predictions.flagged[alone],
    )
    metrics = cross_validation_metrics(only, (HEAD,), seed=0)
    assert "recall.grade.low" in metrics
    assert not any(name.startswith(("balanced_accuracy", "mean_auc", "auc")) for name in metrics)
