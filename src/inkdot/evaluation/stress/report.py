"""Robustness of a model: what graded corruptions of labelled tiles do to its scores, its calls and its AUC."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from inkdot.datasets.augmentation.corruptions import CORRUPTIONS, Corruption, corrupted, shift_name
from inkdot.labels import flag_column, flagging_head
from inkdot.metrics.intervals.confidence_intervals import Estimate, auc_estimate, bootstrap_estimate
from inkdot.model.predictor import Predictor
from inkdot.records import RgbArray
from inkdot.storage.models.model_files import ModelFile

FloatArray = npt.NDArray[np.float64]
_REPLICATES: Final = 400


class StressTiles(NamedTuple):
    """Labelled tiles (or images of one tile each).

    Attributes:
        pixels: uint8 RGB at the model's scale, [side, side, 3] each.
        truth: Whether each is of the flag class, shape [n].
        patients: Patient of each, shape [n].
    """

    pixels: Sequence[RgbArray]
    truth: npt.NDArray[np.bool_]
    patients: npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class StressRow:
    """One level of one corruption; every estimate has a 95 % interval by resampling patients.

    Attributes:
        corruption: Its name.
        level: In its unit.
        shift: Both for people.
        auc: AUC of the flagging head on the corrupted tiles; None where a class is missing.
        score_change: Mean absolute change of the score, 0 to 1.
        mean_shift: Mean change of the score, -1 to 1; above 0: towards the flag class.
        calls_changed: Share of tiles (0 to 1) whose score crosses the threshold.
        ood: Share of tiles (0 to 1) above the OOD limit; None where the model has no limit for single tiles.
    """

    corruption: str
    level: float
    shift: str
    auc: Estimate | None
    score_change: Estimate | None
    mean_shift: float
    calls_changed: Estimate | None
    ood: Estimate | None


@dataclass(frozen=True, slots=True)
class StressReport:
    """All levels of all corruptions, the unchanged tiles first.

    Attributes:
        tiles: Number of tiles.
        patients: Number of patients or groups.
        positive: Number of tiles of the flag class.
        synthetic: The model was trained on synthetic specimens: names of metrics start with ``selftest_``.
        rows: One per level.
    """

    tiles: int
    patients: int
    positive: int
    synthetic: bool
    rows: tuple[StressRow, ...]


def stress_report(
    tiles: StressTiles, predictor: Predictor, corruptions: Sequence[Corruption] = CORRUPTIONS
) -> StressReport:
    """Score the tiles as they are and under every level of every corruption.

    Args:
        tiles: The tiles; memory holds all of them.
        predictor: The model.
        corruptions: Which; all where not given.
    """
    model = predictor.description
    known = model.mpp_known
    mpp = model.tiling.mpp if known else 1.0
    before = _score(tiles.pixels, predictor)
    rows = [_row("unchanged", 0.0, "unchanged", before, before, tiles, model)]
    for own in corruptions:
        for level in own.levels:
            after = _score([corrupted(tile, own, level, mpp) for tile in tiles.pixels], predictor)
            rows.append(
                _row(own.name, level, shift_name(own, level, mpp_known=known), before, after, tiles, model)
            )
    return StressReport(
        len(tiles.pixels),
        len(np.unique(tiles.patients)),
        int(tiles.truth.sum()),
        model.trained_on.synthetic,
        tuple(rows),
    )


class _Scored(NamedTuple):
    scores: FloatArray
    distances: FloatArray | None


def _score(pixels: Sequence[RgbArray], predictor: Predictor) -> _Scored:
    batches = list(predictor.infer(pixels))
    scores = predictor.from_logits([batch.logits for batch in batches]).scores
    column = flag_column(predictor.description.head_records)
    distance = predictor.ood_distance
    found = None if distance is None else np.concatenate([distance(batch.features) for batch in batches])
    return _Scored(scores[:, column].astype(np.float64), None if found is None else found.astype(np.float64))


def _row(
    name: str, level: float, shift: str, before: _Scored, after: _Scored, tiles: StressTiles, model: ModelFile
) -> StressRow:
    threshold = float(np.float32(model.operating_points[flagging_head(model.head_records).name].threshold))
    change = after.scores - before.scores
    crossed = (after.scores >= threshold) != (before.scores >= threshold)
    single = model.ood.limit if model.ood is not None and model.ood.false_alarm_rate is not None else None
    beyond = None if single is None or after.distances is None else after.distances > single
    return StressRow(
        corruption=name,
        level=level,
        shift=shift,
        auc=auc_estimate(tiles.truth, after.scores, tiles.patients, replicates=_REPLICATES),
        score_change=_mean(np.abs(change), tiles.patients),
        mean_shift=float(change.mean()),
        calls_changed=_mean(crossed, tiles.patients),
        ood=None if beyond is None else _mean(beyond, tiles.patients),
    )


def _mean(values: npt.ArrayLike, patients: npt.NDArray[np.str_]) -> Estimate | None:
    own = np.asarray(values, np.float64)
    if not own.any():
        # Every draw gives 0: the exact interval of as many observations as there are patients.
        return bootstrap_estimate(lambda weights: 0.0 * float(weights.sum()), patients, replicates=10)
    return bootstrap_estimate(
        lambda weights: float((own * weights).sum() / weights.sum()), patients, replicates=_REPLICATES
    )
