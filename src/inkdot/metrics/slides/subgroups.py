"""Subgroups with worse metrics than the whole, and subgroups that are too small to tell."""

from collections.abc import Mapping

from inkdot.metrics.intervals.confidence_intervals import TOO_FEW, Estimate

_COMPARED = ("auc", "sensitivity", "specificity")
_WIDEST = 0.5
"""An interval wider than this is not compared."""


def subgroup_notes(
    whole: Mapping[str, Estimate], groups: Mapping[str, Mapping[str, Mapping[str, Estimate]]]
) -> list[str]:
    """Lines on subgroups whose interval lies below the metric of all slides, and on those that are too small to tell.

    With many subgroups some fall below by chance, one in forty of each metric.

    Args:
        whole: Metrics of all slides, by name.
        groups: Column to value to metrics, as :func:`inkdot.metrics.slides.slide_level.subgroup_metrics` gives.
    """
    below, unclear = list[str](), list[str]()
    for column, values in groups.items():
        for value, metrics in values.items():
            clear = [name for name in _COMPARED if name in metrics and not _too_wide(metrics[name])]
            below += [
                f"{column} {value!r}: {name} {metrics[name]}, of all {whole[name]}"
                for name in clear
                if name in whole and metrics[name].high < whole[name].value
            ]
            if missing := [name for name in _COMPARED if name in whole and name not in clear]:
                unclear.append(f"{column} {value!r} ({', '.join(missing)})")
    if not any(groups.values()):
        return [
            "Subgroups: none; site, scanner, stain and preparation are the same on all validation slides, or not stated."
        ]
    lines = [f"Subgroup with an interval below the metric of all slides: {line}." for line in below]
    if not below:
        lines.append("No subgroup's interval lies below the metric of all validation slides.")
    if unclear:
        lines.append(f"Subgroups with too few validation patients to compare: {'; '.join(unclear)}.")
    return lines


def _too_wide(metric: Estimate) -> bool:
    return metric.method == TOO_FEW or metric.high - metric.low > _WIDEST
