"""Parses XML as a stream of elements and refuses document types.

Neither ASAP nor ImageScope writes a DOCTYPE, and attacks by external or exponentially growing entities need one. A file with
a DOCTYPE is refused before anything is expanded, which is what defusedxml does by the same handlers (see
docs/explanation/decisions/0131). Memory does not grow with the file.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from xml.parsers import expat

from inkdot.errors import AnnotationError

Start = Callable[[str, Mapping[str, str], str], None]
End = Callable[[str], None]

_BLOCK_BYTES = 1 << 20


def read_elements(path: Path, start: Start, end: End) -> None:
    """Call ``start(name, attributes, where)`` and ``end(name)`` for every element of a file, in its order.

    Raises:
        AnnotationError: The file is not well-formed XML, or has a document type.
    """
    parser = expat.ParserCreate()
    refused: list[str] = []

    def refuse(name: str, *_: object) -> None:
        refused.append(name)
        raise AnnotationError(
            f"{path}: expected annotations, found an XML document type ({name!r}), which may name other files; "
            "remove the DOCTYPE line or export the annotations again"
        )

    def on_start(name: str, attributes: dict[str, str]) -> None:
        start(name, attributes, f"line {parser.CurrentLineNumber}")

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = on_start
    parser.EndElementHandler = end
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                parser.Parse(block, False)
            parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise AnnotationError(
            f"{path}: expected well-formed XML, found an error in line {error.lineno}: "
            f"{expat.ErrorString(error.code)}; export the annotations again"
        ) from None


def number(attributes: Mapping[str, str], name: str, where: str) -> float:
    """Parse a coordinate in pixels; programs on German or French machines write a decimal comma.

    Raises:
        AnnotationError: The attribute is missing or not a number.
    """
    text = attributes.get(name, "")
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise AnnotationError(f"{where}: expected a number in {name}, found {text!r}") from None
