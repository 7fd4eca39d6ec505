"""Abstention bands, chosen on validation data for a target selective risk (share of wrong calls)."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from inkdot.config import TrainingConfig
from inkdot.labels import Head, flagging_head, head_slices
from inkdot.metrics.decision.abstention import band_for_selective_risk, score_for_selective_risk
from inkdot.metrics.decision.calls import MIN_CALL_SCORE
from inkdot.metrics.intervals.confidence_intervals import share_estimate
from inkdot.model.targets import NameArray, TargetArray
from inkdot.storage.models.model_records import AbstentionBand, Interval
from inkdot.training.release.interval_records import to_interval

_STEPS = 10_000
"""As thresholds: finer steps would separate validation slides, not patients."""

_MIN_PATIENTS = 3
"""Of either class: fewer patients do not support a share of wrong calls."""

_CERTAIN = 0.5
"""A target of more than this for one class is its truth."""


def slide_abstention_band(
    truth: npt.NDArray[np.bool_],
    scores: TargetArray,
    patients: NameArray,
    threshold: float,
    training: TrainingConfig,
    *,
    evaluated_on: Literal["slides", "attention"],
) -> AbstentionBand | None:
    """The scores round the threshold on which the model abstains.

    Args:
        truth: Of each validation slide, shape [n].
        scores: Shape [n].
        patients: Shape [n].
        threshold: The locked operating point.
        training: Target selective risk and seed.
        evaluated_on: What a slide's score is made from.

    Returns:
        None where no target is set, where a class has fewer than three patients, or where even the most confident calls
        are wrong too often: a model that could call nothing uses its threshold alone.
    """
    target, seed = training.target_selective_risk, training.seed
    rarer = min(len(np.unique(patients[truth])), len(np.unique(patients[~truth])))
    if target is None or rarer < _MIN_PATIENTS:
        return None
    band = band_for_selective_risk(truth, scores, threshold, target)
    if not band.coverage:
        return None
    # Towards the threshold: another runtime's last digits must not abstain on a slide that has a call here.
    low = min(threshold, math.ceil(band.low * _STEPS) / _STEPS)
    high = max(threshold, math.floor(band.high * _STEPS) / _STEPS)
    called = ~((scores > np.float32(low)) & (scores < np.float32(high)))
    wrong = (scores >= np.float32(threshold)) != truth
    return AbstentionBand(
        low=low,
        high=high,
        target_selective_risk=target,
        selective_risk=to_interval(share_estimate(wrong[called], patients[called], seed=seed)),
        coverage=_share(called, patients, seed),
        evaluated_on=evaluated_on,
    )


def head_abstention_bands(
    scores: TargetArray,
    targets: TargetArray,
    patients: NameArray,
    heads: Sequence[Head],
    training: TrainingConfig,
) -> dict[str, AbstentionBand]:
    """Lowest score that gives a call of each head without a flag class, by head; at least :data:`MIN_CALL_SCORE`.

    Counted on tiles: few slides have a label of such a head.

    Args:
        scores: Of the validation tiles, shape [n, classes of all heads].
        targets: NaN where unknown, same shape.
        patients: Shape [n].
        heads: The heads.
        training: Target selective risk and seed.
    """
    flagging = flagging_head(heads).name
    bands = {
        head.name: _head_band(scores[:, columns], targets[:, columns], patients, training)
        for head, columns in zip(heads, head_slices(heads).values(), strict=True)
        if head.name != flagging
    }
    return {name: band for name, band in bands.items() if band is not None}


def _head_band(
    scores: TargetArray, targets: TargetArray, patients: NameArray, training: TrainingConfig
) -> AbstentionBand | None:
    target, seed = training.target_selective_risk, training.seed
    rows = np.flatnonzero(np.nan_to_num(targets).max(axis=1, initial=0.0) > _CERTAIN)
    if target is None or len(np.unique(patients[rows])) < _MIN_PATIENTS:
        return None
    best, owners = scores[rows].max(axis=1), patients[rows]
    right = scores[rows].argmax(axis=1) == targets[rows].argmax(axis=1)
    lowest = score_for_selective_risk(right, best, target)
    # Few patients that happened to be right must not lower the threshold below the one without data.
    high = None if lowest is None else max(MIN_CALL_SCORE, math.floor(lowest * _STEPS) / _STEPS)
    called = np.zeros(len(rows), np.bool_) if high is None else best >= high
    return AbstentionBand(
        high=high,
        target_selective_risk=target,
        selective_risk=to_interval(share_estimate(~right[called], owners[called], seed=seed)),
        coverage=_share(called, owners, seed),
        evaluated_on="tiles",
    )


def abstention_notes(
    abstention: Mapping[str, AbstentionBand], heads: Sequence[Head], training: TrainingConfig
) -> list[str]:
    """Lines for the card on heads without an abstention band although a target is set."""
    if training.target_selective_risk is None:
        return []
    return [
        f"Head {head.name}: no abstention band: too few validation patients, or even the most confident calls exceeded a "
        f"selective risk of {training.target_selective_risk:g}."
        for head in heads
        if head.name not in abstention
    ]


def _share(rows: npt.NDArray[np.bool_], patients: NameArray, seed: int) -> Interval:
    share = to_interval(share_estimate(rows, patients, seed=seed))
    assert share is not None, "there are rows"
    return share
