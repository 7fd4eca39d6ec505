"""What a batch says of its slides before it ends: each kind of warning once, with the number of slides."""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from inkdot.artefacts.predictions import WARNING_SEPARATOR, Prediction

_KINDS: Final = 12
_NUMBER: Final = re.compile(r"\d+(\.\d+)?")


def warning_lines(predictions: Sequence[Prediction]) -> list[str]:
    """One line for each kind of warning, the commonest first; warnings that differ in numbers only are of one kind.

    Why a slide is inadequate or was left open is said too. Why one failed stands in the table of failures.

    Args:
        predictions: All slides of the batch.
    """
    kinds: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for prediction in predictions:
        texts = prediction.warnings.split(WARNING_SEPARATOR) if prediction.warnings else []
        if prediction.outcome == "done" and prediction.reason:
            texts.append(prediction.reason)
        for text in dict.fromkeys(texts):
            kinds[_NUMBER.sub("#", text)].append((prediction.slide_id, text))
    ordered = sorted(kinds.items(), key=lambda kind: (-len(kind[1]), kind[0]))
    lines = [_line(found, len(predictions)) for _, found in ordered[:_KINDS]]
    if len(ordered) > _KINDS:
        lines.append(f"and {len(ordered) - _KINDS} further kinds: see the column warnings")
    return lines


def _line(found: Sequence[tuple[str, str]], total: int) -> str:
    slide_id, text = found[0]
    alike = all(other == text for _, other in found)
    return f"{len(found)} of {total} slides{'' if alike else f', such as {slide_id}'}: {text}"
