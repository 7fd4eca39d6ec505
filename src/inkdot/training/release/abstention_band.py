"""Which labels a model leaves open, chosen on its validation data for a wanted share of wrong ones."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from inkdot.config import Config
from inkdot.labels import Head, flagging_head
from inkdot.metrics.abstention import band_for_error, certainty_for_error
from inkdot.metrics.calls import CERTAIN
from inkdot.metrics.confidence_intervals import share_estimate
from inkdot.model.targets import NameArray, TargetArray, head_slices
from inkdot.storage.model_files import AbstentionBand, Interval
from inkdot.training.release.interval_records import recorded

_STEPS = 10_000
"""As thresholds: finer steps would tell validation slides apart, not patients."""

_FEWEST_PATIENTS = 3
"""On either side: with fewer no share of wrong labels can be spoken of."""

_SURE = 0.5
"""A target of more than this for one class is its truth."""


def slide_abstention_band(
    truth: npt.NDArray[np.bool_],
    scores: TargetArray,
    patients: NameArray,
    threshold: float,
    config: Config,
    *,
    judged_on: Literal["slides", "attention"],
) -> AbstentionBand | None:
    """The scores round the threshold that are left open.

    Args:
        truth: Of each validation slide, shape [n].
        scores: Shape [n].
        patients: Shape [n].
        threshold: The locked operating point.
        config: Says the wanted error.
        judged_on: What a slide's score is made from.

    Returns:
        None where none is asked for, where fewer than three patients are on a side, or where even the surest slides are wrong
        too often: a model that could label nothing is held to its threshold alone.
    """
    wanted, seed = config.training.target_selective_risk, config.training.seed
    fewest = min(len(np.unique(patients[truth])), len(np.unique(patients[~truth])))
    if wanted is None or fewest < _FEWEST_PATIENTS:
        return None
    band = band_for_error(truth, scores, threshold, wanted)
    if not band.coverage:
        return None
    # Towards the threshold: another runtime's last digits must not leave open what was labelled here.
    low = min(threshold, math.ceil(band.low * _STEPS) / _STEPS)
    high = max(threshold, math.floor(band.high * _STEPS) / _STEPS)
    given = ~((scores > np.float32(low)) & (scores < np.float32(high)))
    wrong = (scores >= np.float32(threshold)) != truth
    return AbstentionBand(
        low=low,
        high=high,
        target_selective_risk=wanted,
        selective_risk=recorded(share_estimate(wrong[given], patients[given], seed=seed)),
        coverage=_share(given, patients, seed),
        judged_on=judged_on,
    )


def head_abstention_bands(
    scores: TargetArray, targets: TargetArray, patients: NameArray, config: Config
) -> dict[str, AbstentionBand]:
    """From which score on each head that flags nothing is labelled, by head; never below :data:`CERTAIN`.

    Counted on tiles: few slides have an label to such a head.

    Args:
        scores: Of the validation tiles, shape [n, classes of all heads].
        targets: NaN where unknown, same shape.
        patients: Shape [n].
        config: Says the wanted error.
    """
    heads = config.head_records
    flagging = flagging_head(heads).name
    found = {
        head.name: _one_left_open(scores[:, columns], targets[:, columns], patients, config)
        for head, columns in zip(heads, head_slices(heads).values(), strict=True)
        if head.name != flagging
    }
    return {name: own for name, own in found.items() if own is not None}


def _one_left_open(
    scores: TargetArray, targets: TargetArray, patients: NameArray, config: Config
) -> AbstentionBand | None:
    wanted, seed = config.training.target_selective_risk, config.training.seed
    rows = np.flatnonzero(np.nan_to_num(targets).max(axis=1, initial=0.0) > _SURE)
    if wanted is None or len(np.unique(patients[rows])) < _FEWEST_PATIENTS:
        return None
    best, owners = scores[rows].max(axis=1), patients[rows]
    right = scores[rows].argmax(axis=1) == targets[rows].argmax(axis=1)
    lowest = certainty_for_error(right, best, wanted)
    # What happened to be right on a few patients must not make a model bolder than the rule without data.
    high = None if lowest is None else max(CERTAIN, math.floor(lowest * _STEPS) / _STEPS)
    given = np.zeros(len(rows), np.bool_) if high is None else best >= high
    return AbstentionBand(
        high=high,
        target_selective_risk=wanted,
        selective_risk=recorded(share_estimate(~right[given], owners[given], seed=seed)),
        coverage=_share(given, owners, seed),
        judged_on="tiles",
    )


def abstention_words(
    abstention: Mapping[str, AbstentionBand], heads: Sequence[Head], config: Config
) -> list[str]:
    """What the card says of heads for which nothing could be locked, though it was asked for."""
    if config.training.target_selective_risk is None:
        return []
    return [
        f"Head {head.name}: no scores were chosen to be left open: validation patients are too few, or not even the surest "
        f"labels reached an error of {config.training.target_selective_risk:g}."
        for head in heads
        if head.name not in abstention
    ]


def _share(rows: npt.NDArray[np.bool_], patients: NameArray, seed: int) -> Interval:
    found = recorded(share_estimate(rows, patients, seed=seed))
    assert found is not None, "there are rows"
    return found
