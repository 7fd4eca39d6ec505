"""A GeoJSON file feature by feature: a file of a million outlines is never held as objects all at once."""

import json
from collections.abc import Iterator

from inkdot.errors import AnnotationError

_SPACE = " \t\r\n"


def top_level_items(text: str, source: str) -> Iterator[object]:
    """The features of a collection or list, one after the other; any other value as the only item.

    Args:
        text: The whole file.
        source: The file's name, for messages.

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
            f"{source}: expected GeoJSON, found a fault in line {error.lineno}, column {error.colno}: {error.msg}; "
            "export the annotations again"
        ) from None
    except RecursionError:
        raise AnnotationError(
            f"{source}: expected GeoJSON, found values nested too deeply to be annotations"
        ) from None
    except ValueError as error:
        raise AnnotationError(f"{source}: expected GeoJSON: {error}; export the annotations again") from None


class _Reader:
    """A region in the text that moves on value by value."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self._decoder = json.JSONDecoder()

    def skip(self) -> int:
        """Move to the next character that is not white space, and return its region."""
        while self.at < len(self.text) and self.text[self.at] in _SPACE:
            self.at += 1
        return self.at

    def value(self) -> object:
        value, self.at = self._decoder.raw_decode(self.text, self.skip())
        return value

    def symbol(self, wanted: str) -> str:
        found = self.text[self.skip() : self.at + 1]
        if not found or found not in wanted:
            raise json.JSONDecodeError(f"expected {' or '.join(wanted)}", self.text, self.at)
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
