"""Heads without a flag class, counted by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from inkdot.evaluation.sections.further_heads import (
    NOT_FLAGGED,
    HeadRows,
    as_patient_rows,
    further_heads_section,
    head_result,
)
from inkdot.labels import INDETERMINATE, MORPHOLOGY, Head


def rows(small: list[float], truth: list[float], flagged: list[bool] | None = None) -> HeadRows:
    scores, targets = np.array(small), np.array(truth)
    return HeadRows(
        targets=np.stack([targets, 1 - targets], axis=1),
        scores=np.stack([scores, 1 - scores], axis=1),
        flagged=None if flagged is None else np.array(flagged),
        patients=np.array([f"p{n}" for n in range(len(small))]),
    )


def test_calls_and_coverage_by_hand() -> None:
    """Two right calls, one wrong, one between; one slide is not flagged; mixed and unknown ones are not judged."""
    own = rows(
        [0.9, 0.1, 0.8, 0.6, 0.99, 0.9, 0.9],
        [1, 0, 0, 1, 1, 0.5, np.nan],
        [True, True, True, True, False, True, True],
    )
    result = head_result(MORPHOLOGY, own, 0.75)
    assert result is not None
    assert result.confusion == {
        ("small_cell", "small-cell-like"): 1,
        ("large_cell", "large-cell-like"): 1,
        ("large_cell", "small-cell-like"): 1,
        ("small_cell", INDETERMINATE): 1,
        ("small_cell", NOT_FLAGGED): 1,
    }
    assert result.metrics["coverage"].value == pytest.approx(3 / 5)
    assert result.metrics["accuracy_of_calls"].value == pytest.approx(2 / 3)


def test_a_model_that_never_calls_covers_nothing() -> None:
    result = head_result(MORPHOLOGY, rows([0.99, 0.01], [1, 0]), None)
    assert result is not None
    assert result.metrics["coverage"].value == 0
    assert "accuracy_of_calls" not in result.metrics


def test_ranking_is_that_of_scikit_learn_with_three_classes() -> None:
    generator = np.random.default_rng(2)
    head = Head("kind", ("a", "b", "c"), {})
    truth = np.arange(60) % 3
    logits = generator.normal(0, 1, (60, 3)) + np.eye(3)[truth]
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    own = HeadRows(np.eye(3)[truth], scores, None, np.array([f"p{n // 2}" for n in range(60)]))
    result = head_result(head, own, 0.5)
    assert result is not None
    expected = roc_auc_score(truth, scores, multi_class="ovr", average="macro")
    assert result.metrics["macro_auc"].value == pytest.approx(expected)
    expected = balanced_accuracy_score(truth, scores.argmax(axis=1))
    assert result.metrics["balanced_accuracy"].value == pytest.approx(expected)


def test_units_without_a_tile_are_indeterminate_and_in_no_ranking() -> None:
    own = rows([0.9, 0.1, np.nan], [1, 0, 1])
    result = head_result(MORPHOLOGY, own, 0.75)
    assert result is not None
    assert result.confusion[("small_cell", INDETERMINATE)] == 1
    assert result.metrics["macro_auc"].value == 1.0


def test_a_patient_has_the_mean_of_its_flagged_slides() -> None:
    slides = HeadRows(
        targets=np.array([[1, 0], [1, 0], [np.nan, np.nan], [0, 1], [1, 0]]),
        scores=np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.4, 0.6], [0.1, 0.9]]),
        flagged=np.array([True, True, False, False, False]),
        patients=np.array(["a", "a", "a", "b", "b"]),
    )
    own = as_patient_rows(slides, {})
    assert own.patients.tolist() == ["a", "b"]
    assert own.scores == pytest.approx(np.array([[0.8, 0.2], [0.25, 0.75]]))
    assert own.targets[0].tolist() == [1, 0]
    assert np.isnan(own.targets[1]).all()  # its slides disagree
    assert own.flagged is not None
    assert own.flagged.tolist() == [True, False]
    stated = as_patient_rows(slides, {"b": np.array([0.0, 1.0])})
    assert stated.targets[1].tolist() == [0, 1]


def test_without_labels_there_is_no_section() -> None:
    nothing = rows([0.9], [np.nan])
    assert head_result(MORPHOLOGY, nothing, 0.75) is None
    assert further_heads_section([(MORPHOLOGY, {})], "") == (None, {})
