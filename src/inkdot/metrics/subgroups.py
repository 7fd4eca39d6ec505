"""Which subgroups a model fails, and which are too small to tell."""

from collections.abc import Mapping

from inkdot.metrics.confidence_intervals import TOO_FEW, Estimate

_TOLD = ("auc", "sensitivity", "specificity")
_WIDEST = 0.5
"""An interval wider than this says nothing about a subgroup."""


def subgroup_words(
    whole: Mapping[str, Estimate], groups: Mapping[str, Mapping[str, Mapping[str, Estimate]]]
) -> list[str]:
    """Lines on subgroups: those whose interval lies below the metric of all, and those that are too small to tell.

    With many subgroups some fall below by chance, one in forty of each metric.

    Args:
        whole: Metrics of all slides, by name.
        groups: Column to word to metrics, as :func:`inkdot.metrics.slide_level.subgroup_metrics` gives.
    """
    below, unclear = list[str](), list[str]()
    for column, words in groups.items():
        for word, metrics in words.items():
            told = [name for name in _TOLD if name in metrics and not _tells_nothing(metrics[name])]
            below += [
                f"{column} {word!r}: {name} {metrics[name]}, of all {whole[name]}"
                for name in told
                if name in whole and metrics[name].high < whole[name].value
            ]
            if missing := [name for name in _TOLD if name in whole and name not in told]:
                unclear.append(f"{column} {word!r} ({', '.join(missing)})")
    if not any(groups.values()):
        return [
            "Subgroups: site, scanner, stain and preparation are the same on all validation slides, or not stated."
        ]
    lines = [f"Subgroup that fails, its interval lies below the metric of all: {line}." for line in below]
    if not below:
        lines.append("No subgroup's interval lies below the metric of all validation slides.")
    if unclear:
        lines.append(
            f"Too few validation patients to tell, which is no sign of being good: {'; '.join(unclear)}."
        )
    return lines


def _tells_nothing(metric: Estimate) -> bool:
    return metric.method == TOO_FEW or metric.high - metric.low > _WIDEST
