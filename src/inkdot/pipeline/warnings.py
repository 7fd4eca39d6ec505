"""Warnings of many slides: each kind once, with the number of slides."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from inkdot.storage.tables.predictions import WARNING_SEPARATOR, Prediction

_KINDS: Final = 12
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
    lines = group_warnings(found, len(predictions))
    if len(lines) > _KINDS:
        lines[_KINDS:] = [f"and {len(lines) - _KINDS} further kinds: see the column warnings"]
    return lines


def group_warnings(found: Iterable[tuple[str, str]], total: int) -> list[str]:
    """One line for each kind of warning, the commonest first; warnings that differ in numbers only are of one kind.

    Args:
        found: Slide and warning.
        total: Number of slides.
    """
    kinds: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for slide_id, text in found:
        kinds[_NUMBER.sub("#", text)].append((slide_id, text))
    ordered = sorted(kinds.items(), key=lambda kind: (-len(kind[1]), kind[0]))
    return [_line(of_kind, total) for _, of_kind in ordered]


def _line(found: Sequence[tuple[str, str]], total: int) -> str:
    slide_id, text = found[0]
    alike = all(other == text for _, other in found)
    return f"{len(found)} of {total} slides{'' if alike else f', such as {slide_id}'}: {text}"
