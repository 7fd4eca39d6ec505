"""Reads JSON of files and requests: whatever the text holds, the only error is ValueError.

The decoder of Python raises RecursionError where values are nested deeply, and gives integers of any size, at which NumPy, Arrow
and ``float`` fail later.
"""

import json
from collections.abc import Iterable
from typing import Any, Final, cast

DEEPEST: Final = 100
"""Levels of lists and objects within each other. No file of Inkdot has more than ten."""

LARGEST_INT: Final = 2**63 - 1
"""What fits into 64 bits."""


def parse_json(text: str | bytes) -> Any:
    """Decode a JSON text.

    Raises:
        ValueError: It is not JSON (``json.JSONDecodeError``) or not UTF-8, nests more than :data:`DEEPEST` levels, or has an
            integer beyond :data:`LARGEST_INT`. The message is one line.
    """
    try:
        value = cast(object, json.loads(text, parse_int=bounded_int))
    except RecursionError:
        raise _too_deep() from None
    _check_depth(value)
    return value


def bounded_int(digits: str) -> int:
    """An integer of a JSON text.

    Raises:
        ValueError: It is beyond :data:`LARGEST_INT`.
    """
    count = len(digits.removeprefix("-"))
    if count > len(str(LARGEST_INT)) or abs(int(digits)) > LARGEST_INT:
        raise ValueError(f"an integer of {count} digits, more than 64 bits hold")
    return int(digits)


def _check_depth(value: object) -> None:
    level: list[object] = [value]
    for _ in range(DEEPEST + 1):
        level = [item for item in level if isinstance(item, dict | list)]
        if not level:
            return
        level = [item for held in level for item in _items(held)]
    raise _too_deep()


def _items(held: object) -> Iterable[object]:
    if isinstance(held, dict):
        return cast("Iterable[object]", held.values())
    return cast("Iterable[object]", held)


def _too_deep() -> ValueError:
    return ValueError(f"values nested more than {DEEPEST} levels deep")
