"""Metrics on labelled tiles or images outside of training: out-of-fold (OOF) predictions, or those on test images."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from inkdot.evaluation.head_metrics import decided_rows, head_classes
from inkdot.labels import Head, flagging_head, head_slices
from inkdot.metrics.calibration import softmax
from inkdot.metrics.classification import FloatArray, balanced_accuracy, expected_calibration_error, roc_auc
from inkdot.metrics.intervals.confidence_intervals import (
    Estimate,
    auc_estimate,
    bootstrap_estimate,
    sensitivity_specificity,
    share_estimate,
)
from inkdot.model.targets import NameArray, TargetArray

_CERTAIN = 0.5
"""A target of more than this for one class is its truth; ½ and ½ has no true class."""


@dataclass(frozen=True, slots=True)
class OofPredictions:
    """Labelled tiles, each scored by the model of the fold that was not trained on its patient.

    Attributes:
        names: Slide or image of each tile, shape [n].
        patients: Shape [n].
        folds: Fold of each tile, from 0, shape [n].
        targets: NaN where unknown, shape [n, classes of all heads].
        scores: Calibrated probabilities, same shape.
        uncalibrated: Probabilities at temperature 1, same shape.
        flagged: Whether the flagging head's score reaches the locked threshold of its fold's model, shape [n].
    """

    names: NameArray
    patients: NameArray
    folds: npt.NDArray[np.int64]
    targets: TargetArray
    scores: TargetArray
    uncalibrated: TargetArray
    flagged: npt.NDArray[np.bool_]


def cross_validation_metrics(
    predictions: OofPredictions, heads: Sequence[Head], seed: int
) -> dict[str, Estimate]:
    """Metrics on tiles, by name, with intervals over patients.

    Per head the AUC; the balanced accuracy of the likeliest class; per head of three classes or more the mean AUC and
    the recall of each class; the calibration error before and after temperature; sensitivity and specificity at
    the locked thresholds. Scores of different folds are pooled as they are. Undefined metrics are left out.
    """
    metrics: dict[str, Estimate | None] = {}
    for head_class in head_classes(heads):
        rows, truth = decided_rows(predictions.targets, head_class.column)
        own, patients = predictions.scores[rows, head_class.column], predictions.patients[rows]
        metrics[f"auc.{head_class.name}"] = auc_estimate(truth, own, patients, seed=seed)
        if (
            head_class.head == flagging_head(heads).name
            and head_class.class_name == flagging_head(heads).flag_class
        ):
            calls = sensitivity_specificity(truth, predictions.flagged[rows], patients, seed=seed)
            metrics |= {f"{name}.{head_class.name}": estimate for name, estimate in calls.items()}
    for head, columns in zip(heads, head_slices(heads).values(), strict=True):
        rows = np.flatnonzero(~np.isnan(predictions.targets[:, columns.start]))
        metrics |= _head_metrics(predictions, head, columns, rows, seed)
    return {name: estimate for name, estimate in metrics.items() if estimate is not None}


def _head_metrics(
    predictions: OofPredictions, head: Head, columns: slice, rows: npt.NDArray[np.int64], seed: int
) -> dict[str, Estimate | None]:
    targets, scores = predictions.targets[rows, columns], predictions.scores[rows, columns]
    before, patients = predictions.uncalibrated[rows, columns], predictions.patients[rows]
    certain = np.flatnonzero(targets.max(axis=1, initial=0.0) > _CERTAIN)
    truth, called = targets[certain].argmax(axis=1), scores[certain].argmax(axis=1)
    sides = [truth == index for index in np.unique(truth)]
    metrics: dict[str, Estimate | None] = {
        # The recall of a single class would look like the mean of several.
        f"balanced_accuracy.{head.name}": None
        if len(sides) < 2
        else bootstrap_estimate(
            lambda weights: balanced_accuracy(truth, called, weights),
            patients[certain],
            seed=seed,
            sides=sides,
        ),
        f"calibration_error_before.{head.name}": bootstrap_estimate(
            lambda weights: expected_calibration_error(targets, before, weights), patients, seed=seed
        ),
        f"calibration_error.{head.name}": bootstrap_estimate(
            lambda weights: expected_calibration_error(targets, scores, weights), patients, seed=seed
        ),
    }
    if len(head.classes) > 2:

        def mean_auc(weights: FloatArray) -> float:
            aucs = [roc_auc(truth == k, scores[certain, k], weights) for k in range(len(head.classes))]
            return float(np.mean(aucs))

        metrics[f"mean_auc.{head.name}"] = bootstrap_estimate(
            mean_auc, patients[certain], seed=seed, sides=sides
        )
        for index, class_name in enumerate(head.classes):
            own = np.flatnonzero(truth == index)
            metrics[f"recall.{head.name}.{class_name}"] = share_estimate(
                called[own] == index, patients[certain][own], seed=seed
            )
    return metrics


def confusion_matrix(predictions: OofPredictions, head: Head, columns: slice) -> dict[tuple[str, str], int]:
    """Counts of rows with one clear label by (true class, likeliest class).

    Args:
        predictions: The scored rows.
        head: The head.
        columns: Its columns.
    """
    targets = predictions.targets[:, columns]
    certain = np.flatnonzero(np.nan_to_num(targets).max(axis=1) > _CERTAIN)
    truth, called = targets[certain].argmax(axis=1), predictions.scores[certain, columns].argmax(axis=1)
    pairs = zip(cast("list[int]", truth.tolist()), cast("list[int]", called.tolist()), strict=True)
    return dict(Counter((head.classes[t], head.classes[c]) for t, c in pairs))


def uncalibrated_scores(
    scores: TargetArray, heads: Sequence[Head], temperatures: Mapping[str, float]
) -> TargetArray:
    """Probabilities at temperature 1 from those after temperature, shape [n, classes of all heads]."""
    uncalibrated = np.empty_like(scores)
    for name, columns in head_slices(heads).items():
        # Softmax is unchanged by a constant per row, so the logarithm of a score serves as its logit.
        uncalibrated[:, columns] = softmax(
            np.log(np.maximum(scores[:, columns], 1e-30)) * temperatures.get(name, 1.0)
        )
    return uncalibrated
