"""Robustness of a model: what graded corruptions of labelled tiles do to its scores, its calls and its AUC."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from inkdot import plotting
from inkdot.datasets.corruptions import CORRUPTIONS, Corruption, corrupted, shift_name
from inkdot.labels import flag_column, flagging_head
from inkdot.metrics.intervals.confidence_intervals import Estimate, auc_estimate, bootstrap_estimate
from inkdot.model.predictor import Predictor
from inkdot.records import RgbArray
from inkdot.storage.models.model_files import ModelFile

FloatArray = npt.NDArray[np.float64]
_COLUMNS: Final = 4
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


def stress_json(report: StressReport, model_sha256: str) -> str:
    """The report as JSON."""
    facts = asdict(report) | {"version": "inkdot.stress/1", "model_sha256": model_sha256}
    if report.synthetic:
        for row in facts["rows"]:
            for name in ("auc", "score_change", "mean_shift", "calls_changed", "ood"):
                row[f"selftest_{name}"] = row.pop(name)
    return json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def stress_markdown(report: StressReport, model: ModelFile, source: str) -> str:
    """One table, with what is to be known to read it."""
    prefix = "selftest_" if report.synthetic else ""
    head = flagging_head(model.head_records)
    lines = [
        "# Robustness report",
        f"{report.tiles} labelled tiles ({report.positive} {head.flag_class}) of {report.patients} patients or groups from "
        f"{source}, each scored as it is and under made changes, one at a time. Intervals are 95 %, by resampling patients or "
        "groups. These are no other laboratory's slides: a model that holds here may still fail there.",
        *(
            [
                "**SYNTHETIC.** The model was trained on synthetic specimens: the numbers test the program alone."
            ]
            if report.synthetic
            else []
        ),
        "![AUC, changed calls and OOD share by level](stress.svg)",
        f"| change | {prefix}AUC | {prefix}calls changed | {prefix}mean change of the score | above the OOD limit |\n"
        "|---|---|---|---|---|\n"
        + "\n".join(
            f"| {row.shift} | {row.auc or ''} | {_percent(row.calls_changed)} | {row.mean_shift:+.3f} | {_percent(row.ood)} |"
            for row in report.rows
        ),
        "*Calls changed*: share of tiles whose score crosses the threshold. *Above the OOD limit*: share that `inkdot predict` "
        "would not call; a change that costs AUC and is not noticed there is the dangerous one.",
    ]
    return "\n\n".join(lines) + "\n"


def _percent(own: Estimate | None) -> str:
    return "" if own is None else f"{own.value:.0%} ({own.low:.0%} to {own.high:.0%})"


def stress_svg(report: StressReport, *, mpp_known: bool) -> str:
    """One panel per corruption: AUC, share of changed calls, and share above the OOD limit, against the level."""
    unchanged, *rest = report.rows
    names = [own for own in CORRUPTIONS if any(row.corruption == own.name for row in rest)]
    lines = (
        ("AUC", "auc", "o"),
        ("calls that change", "calls_changed", "s"),
        ("above the OOD limit", "ood", "^"),
    )
    with plotting.style():
        panels = -(-(len(names) + 1) // _COLUMNS)
        figure, axes = plotting.subplots(panels, _COLUMNS, width=3.1, height=2.7)
        for panel, own in zip(axes, names, strict=False):
            rows = sorted(
                [
                    (own.unchanged, unchanged),
                    *((row.level, row) for row in rest if row.corruption == own.name),
                ],
                key=lambda pair: pair[0],
            )
            places = range(len(rows))
            for (label, key, marker), colour in zip(lines, plotting.COLOURS, strict=False):
                found = [(at, getattr(row, key)) for at, (_, row) in zip(places, rows, strict=True)]
                kept = [(at, value) for at, value in found if value is not None]
                if not kept:
                    continue
                x = [at for at, _ in kept]
                panel.fill_between(
                    x,
                    [v.low for _, v in kept],
                    [v.high for _, v in kept],
                    color=colour,
                    alpha=0.15,
                    linewidth=0,
                )
                panel.plot(x, [v.value for _, v in kept], color=colour, marker=marker, label=label)
            at = [level for level, _ in rows].index(own.unchanged)
            panel.axvline(at, color=plotting.GREY, linestyle=":", linewidth=1.0)
            unit = "px" if own.unit == "µm" and not mpp_known else own.unit
            panel.set_title(f"{own.title}{f' ({unit})' if unit else ''}")
            panel.set(ylim=(-0.02, 1.02), xlim=(-0.2, len(rows) - 0.8))
            panel.set_xticks(list(places), [f"{level:g}" for level, _ in rows])
        handles, labels = axes[0].get_legend_handles_labels()
        legend = axes[len(names)]
        legend.axis("off")
        legend.legend(
            handles, labels, loc="center left", title="0 to 1, band: 95 % interval\ndotted: unchanged"
        )
        for panel in axes[len(names) + 1 :]:
            panel.axis("off")
        return plotting.svg(figure)
