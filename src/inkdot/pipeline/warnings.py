"""What is said of many slides at once: each kind of warning once, with the number of slides."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from inkdot.storage.tables.predictions import WARNING_SEPARATOR, Prediction

_KINDS: Final = 12
_NUMBER: Final = re.compile(r"\d+(\.\d+)?")


def warning_lines(predictions: Sequence[Prediction]) -> list[str]:
    """What a batch says of its slides before it ends, by :func:`lines_by_kind`.

    Why a slide is inadequate or was left open is said too. Why one failed stands in the table of failures.

    Args:
        predictions: All slides of the batch.
    """
    said: list[tuple[str, str]] = []
    for prediction in predictions:
        texts = prediction.warnings.split(WARNING_SEPARATOR) if prediction.warnings else []
        if prediction.outcome == "done" and prediction.reason:
            texts.append(prediction.reason)
        said += [(prediction.slide_id, text) for text in dict.fromkeys(texts)]
    lines = lines_by_kind(said, len(predictions))
    if len(lines) > _KINDS:
        lines[_KINDS:] = [f"and {len(lines) - _KINDS} further kinds: see the column warnings"]
    return lines


def lines_by_kind(said: Iterable[tuple[str, str]], total: int) -> list[str]:
    """One line for each kind of warning, the commonest first; warnings that differ in numbers only are of one kind.

    Args:
        said: Slide and warning.
        total: How many slides there are.
    """
    kinds: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for slide_id, text in said:
        kinds[_NUMBER.sub("#", text)].append((slide_id, text))
    ordered = sorted(kinds.items(), key=lambda kind: (-len(kind[1]), kind[0]))
    return [_line(found, total) for _, found in ordered]


def _line(found: Sequence[tuple[str, str]], total: int) -> str:
    slide_id, text = found[0]
    alike = all(other == text for _, other in found)
    return f"{len(found)} of {total} slides{'' if alike else f', such as {slide_id}'}: {text}"
