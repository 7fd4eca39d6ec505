"""Decodes GeoJSON feature by feature, so that the objects of a large file are not in memory all at once.

ijson was measured and not used, see docs/explanation/decisions/0131.
"""

import json
from collections.abc import Iterator

from inkdot.bounded_json import bounded_int
from inkdot.errors import AnnotationError

_SPACE = " \t\r\n"


def top_level_items(text: str, source: str) -> Iterator[object]:
    """Yield the features of a collection or list; any other value is the only item.

    Args:
        text: Content of the file.
        source: Name of the file, for messages.

    Raises:
        AnnotationError: The text is not JSON.
    """
    reader = _Reader(text)
    try:
        start = reader.skip()
        if text[start : start + 1] == "[":
            yield from reader.array()
        elif text[start : start + 1] == "{" and '"features"' in text:
            yield from reader.features()
        else:
            yield reader.value()
        if reader.skip() < len(text):
            raise ValueError(f"more text after the end, at character {reader.at}")
    except json.JSONDecodeError as error:
        raise AnnotationError(
            f"{source}: expected GeoJSON, found an error in line {error.lineno}, column {error.colno}: {error.msg}; "
            "export the annotations again"
        ) from None
    except RecursionError:
        raise AnnotationError(
            f"{source}: expected GeoJSON, found values nested too deeply to be annotations"
        ) from None
    except ValueError as error:
        raise AnnotationError(f"{source}: expected GeoJSON: {error}; export the annotations again") from None


class _Reader:
    """A position in the text that moves on value by value."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self._decoder = json.JSONDecoder(parse_int=bounded_int)

    def skip(self) -> int:
        """Skip white space and return the position."""
        while self.at < len(self.text) and self.text[self.at] in _SPACE:
            self.at += 1
        return self.at

    def value(self) -> object:
        value, self.at = self._decoder.raw_decode(self.text, self.skip())
        return value

    def symbol(self, symbols: str) -> str:
        found = self.text[self.skip() : self.at + 1]
        if not found or found not in symbols:
            raise json.JSONDecodeError(f"expected {' or '.join(symbols)}", self.text, self.at)
        self.at += 1
        return found

    def array(self) -> Iterator[object]:
        self.symbol("[")
        if self.text[self.skip() : self.at + 1] == "]":
            self.at += 1
            return
        while True:
            yield self.value()
            if self.symbol(",]") == "]":
                return

    def features(self) -> Iterator[object]:
        """The items of the member ``features`` of an object; all of the object where it has none."""
        begin = self.at
        seen = False
        self.symbol("{")
        while self.text[self.skip() : self.at + 1] != "}":
            key = self.value()
            self.symbol(":")
            if key == "features" and self.text[self.skip() : self.at + 1] == "[":
                seen = True
                yield from self.array()
            else:
                self.value()
            if self.symbol(",}") == "}":
                break
        else:
            self.at += 1
        if not seen:
            self.at = begin
            yield self.value()
