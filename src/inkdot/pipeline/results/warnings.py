"""Warnings of many slides: each kind once, with the number of slides."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Final

from inkdot.storage.tables.predictions import WARNING_SEPARATOR, Prediction

_KINDS: Final = 12
_NAMED: Final = 3
_NUMBER: Final = re.compile(r"\d+(\.\d+)?")


def warning_lines(predictions: Sequence[Prediction]) -> list[str]:
    """The warnings of a batch, grouped by :func:`group_warnings`.

    The reasons of inadequate and indeterminate slides are included; those of failed slides are in the failure table.

    Args:
        predictions: All slides of the batch.
    """
    found: list[tuple[str, str]] = []
    for prediction in predictions:
        texts = prediction.warnings.split(WARNING_SEPARATOR) if prediction.warnings else []
        if prediction.outcome == "done" and prediction.reason:
            texts.append(prediction.reason)
        found += [(prediction.slide_id, text) for text in dict.fromkeys(texts)]
    return few_kinds(group_warnings(found, len(predictions)))


def few_kinds(lines: Sequence[str]) -> list[str]:
    """The first lines of :func:`group_warnings`, and how many more there are."""
    if len(lines) <= _KINDS:
        return list(lines)
    return [*lines[:_KINDS], f"and {len(lines) - _KINDS} further kinds: see the column warnings"]


def group_warnings(found: Iterable[tuple[str, str]], total: int, kind: str = "slides") -> list[str]:
    """One line for each kind of warning with the slides it applies to, the commonest first.

    Warnings that differ in numbers only are of one kind: those that say the opposite must differ in words.

    Args:
        found: Slide and warning.
        total: Number of slides.
        kind: What they are called: slides or images.
    """
    groups: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for slide_id, text in found:
        groups[_NUMBER.sub("#", text)].append((slide_id, text))
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    return [_line(group, total, kind) for _, group in ordered]


def _line(found: Sequence[tuple[str, str]], total: int, kind: str) -> str:
    _, text = found[0]
    names = list(dict.fromkeys(name for name, _ in found))
    named = ", ".join([*names[:_NAMED], *(["…"] if len(names) > _NAMED else [])])
    alike = all(other == text for _, other in found)
    which = f" ({named})" if len(names) < total or not alike else ""
    # The first name is that of the text: named once, it need not be repeated.
    return f"{len(found)} of {total} {kind}{which}{'' if alike else ', here of the first'}: {text}"


def ood_reason(reasons: Sequence[str], flagged: int = 0, units: str = "") -> str:
    """Why a call was withheld from what is unlike the training data.

    Args:
        reasons: What is unlike.
        flagged: Number of regions that reach the operating point all the same.
        units: What these are called.
    """
    also = f"; {flagged} {units} reach the threshold all the same: review them" if flagged else ""
    return f"no call, since it is unlike those of training: {'; '.join(reasons)}{also}"


def spread_lines(predictions: Sequence[Prediction]) -> list[str]:
    """How far the models of an ensemble are apart, over the slides of a batch; nothing where one network scored them."""
    spreads = {own.slide_id: float(own.spread) for own in predictions if own.spread}
    if not spreads:
        return []
    widest = max(spreads, key=lambda slide_id: spreads[slide_id])
    return [
        f"spread (standard deviation of the slide's score between the models of the ensemble): median "
        f"{median(spreads.values()):.3f}, highest {spreads[widest]:.3f} ({widest}); where it is high, the models disagree"
    ]
