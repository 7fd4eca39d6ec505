"""Abstention bands, chosen on validation data for a target selective risk (share of wrong calls)."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from inkdot.config import TrainingConfig
from inkdot.labels import Head, flagging_head, head_slices
from inkdot.metrics.decision.abstention import (
    Band,
    band_for_selective_risk,
    calls_needed,
    guaranteed_band,
    score_for_selective_risk,
)
from inkdot.metrics.decision.calls import MIN_CALL_SCORE
from inkdot.metrics.decision.guarantees import PatientScores, risk_bound
from inkdot.metrics.decision.thresholds import rounded_down
from inkdot.metrics.intervals.confidence_intervals import share_estimate
from inkdot.model.targets import NameArray, TargetArray
from inkdot.storage.models.model_records import AbstentionBand, Guarantee, Interval
from inkdot.training.release.interval_records import to_interval

_STEPS = 10_000
"""Steps of the scores from which another head makes a call: finer ones would separate validation tiles, not patients."""

_MIN_PATIENTS = 3
"""Of either class: fewer patients do not support a share of wrong calls."""

_CERTAIN = 0.5
"""A target of more than this for one class is its truth."""


class SlideRows(NamedTuple):
    """Slides or images: truth, scores and patients, each of shape [n]."""

    truth: npt.NDArray[np.bool_]
    scores: TargetArray
    patients: NameArray


def slide_abstention_band(
    slides: SlideRows,
    units: PatientScores,
    threshold: float,
    training: TrainingConfig,
    *,
    evaluated_on: Literal["slides", "attention"],
    locked: bool,
    origin: Literal["validation", "out_of_fold"] = "validation",
) -> AbstentionBand | None:
    """The scores round the threshold on which the model abstains.

    Where the target can be guaranteed, that is the band of :func:`guaranteed_band`. Else it is the narrowest one outside which
    the target is met on the validation patients, and recorded as not guaranteed.

    Args:
        slides: Validation slides or images, for the recorded selective risk and coverage.
        units: Their independent observations.
        threshold: The operating point.
        training: Target selective risk, confidence and seed.
        evaluated_on: What a slide's score is made from.
        locked: Whether the sensitivity of the operating point is guaranteed; without it nothing else is.
        origin: Whose scores.

    Returns:
        None where no target is set, where a class has fewer than three patients, or where even the most confident calls
        are wrong too often: a model that could call nothing uses its threshold alone. Nor is there a band that would hold no
        score at all.
    """
    target, seed, level = training.target_selective_risk, training.seed, training.confidence_level
    if not target or min(units.truth.sum(), (~units.truth).sum()) < _MIN_PATIENTS:
        return None
    truth, scores, patients = slides
    promised = guaranteed_band(units.truth, units.scores, threshold, target, level) if locked else None
    band = promised or band_for_selective_risk(units.truth, units.scores, threshold, target)
    if not band.coverage:
        return None
    low, high = _rounded(band, threshold)
    if low >= high:
        return None
    inside = (units.scores > low) & (units.scores < high)
    errors = int((((units.scores >= threshold) != units.truth) & ~inside).sum())
    guarantee = Guarantee(
        locked=promised is not None,
        confidence=level,
        patients=len(units.truth),
        needed=calls_needed(target, level),
        bound=min(target, risk_bound(errors, int((~inside).sum()), level))
        if promised
        else risk_bound(errors, int((~inside).sum()), level),
        scores=origin,
    )
    called = ~((scores > np.float32(low)) & (scores < np.float32(high)))
    wrong = (scores >= np.float32(threshold)) != truth
    return AbstentionBand(
        low=low,
        high=high,
        target_selective_risk=target,
        selective_risk=to_interval(share_estimate(wrong[called], patients[called], seed=seed)),
        coverage=_share(called, patients, seed),
        evaluated_on=evaluated_on,
        guarantee=guarantee,
    )


def _rounded(band: Band, threshold: float) -> tuple[float, float]:
    """Ends towards the threshold: another runtime's last digits must not abstain on a patient that has a call here."""
    return min(threshold, 1.0 - rounded_down(1.0 - band.low)), max(threshold, rounded_down(band.high))


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
