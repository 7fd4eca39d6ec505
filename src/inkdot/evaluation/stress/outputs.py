"""The robustness report as JSON, as a table for people, and as one picture."""

# pyright: reportUnknownMemberType=false

import json
from dataclasses import asdict
from typing import Final

from inkdot import plotting
from inkdot.datasets.augmentation.corruptions import CORRUPTIONS
from inkdot.evaluation.stress.report import StressReport, StressRow
from inkdot.labels import flagging_head
from inkdot.metrics.intervals.confidence_intervals import Estimate
from inkdot.storage.models.model_files import ModelFile

STRESS_VERSION: Final = "inkdot.stress/1"
_COLUMNS: Final = 4


def stress_json(report: StressReport, model_sha256: str) -> str:
    """The report as JSON; names of metrics of a synthetic model start with ``selftest_``."""
    prefix = "selftest_" if report.synthetic else ""
    facts = {
        "version": STRESS_VERSION,
        "model_sha256": model_sha256,
        "tiles": report.tiles,
        "patients": report.patients,
        "positive": report.positive,
        "synthetic": report.synthetic,
        "rows": [_row_facts(row, prefix) for row in report.rows],
    }
    return json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _row_facts(row: StressRow, prefix: str) -> dict[str, object]:
    metrics = {
        "auc": row.auc,
        "score_change": row.score_change,
        "calls_changed": row.calls_changed,
        "ood": row.ood,
    }
    return {
        "corruption": row.corruption,
        "level": row.level,
        "shift": row.shift,
        f"{prefix}mean_shift": row.mean_shift,
        **{f"{prefix}{name}": None if own is None else asdict(own) for name, own in metrics.items()},
    }


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
