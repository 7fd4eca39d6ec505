"""Reads the immunohistochemical panel of a cell: ``Syn=positive; CgA=negative; Ki-67=90%; INSM1=not done``."""

import re
from collections.abc import Mapping
from typing import Final

from inkdot.cases.case_record import IhcResult, IhcStain
from inkdot.cases.unit_checks import CellError, shown

_MARKER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ()/_.+-]{0,29}", re.ASCII)
_PERCENT: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,2})?)\s*%", re.ASCII)
_STAINS: Final[Mapping[str, IhcStain]] = {
    "negative": "negative",
    "positive": "positive",
    "not done": "not_done",
    "not_done": "not_done",
}
_FORM: Final = "MARKER=RESULT, separated by semicolons, such as Syn=positive; CgA=negative; Ki-67=90%"
_MOST_MARKERS: Final = 60

_DECIMAL_COMMA: Final = re.compile(r"([0-9]),([0-9])")
# As word processors and reports write them: other hyphens, the minus sign, and spaces that do not break.
_TYPED: Final = str.maketrans(
    {**dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"), **dict.fromkeys("\u00a0\u2009\u202f", " ")}
)
_SIGNED: Final = re.compile(r"(.*[A-Za-z0-9])\s*([+-])")
_SHARE: Final = re.compile(r"(.*[A-Za-z0-9])[\s:]+([0-9]{1,3}(?:\.[0-9]{1,2})?)\s*%")
_WORD_AFTER: Final = re.compile(r"(.*[A-Za-z0-9])\s*:\s*(.+)")

# Spellings of one marker, so that it is found whatever it is called; the first is used.
_ALIASES: Final = (
    ("Syn", "synaptophysin", "SYP"),
    ("CgA", "chromogranin", "chromogranin A", "CHGA"),
    ("CD56", "NCAM", "NCAM1"),
    ("INSM1",),
    ("Ki-67", "Ki67", "MIB-1", "MIB1"),
    ("p16", "p16INK4a", "CDKN2A"),
    ("CK5/6", "CK5-6", "CK56"),
    ("TTF-1", "TTF1", "NKX2-1"),
    ("p40",),
    ("PD-L1", "PDL1"),
)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


KNOWN_MARKERS: Final = frozenset(names[0] for names in _ALIASES)
"""Markers with a usual short form; any other name is free text."""

_USUAL: Final = {_plain(name): names[0] for names in _ALIASES for name in names}


def usual_marker(name: str) -> str:
    """The usual short form of a marker; a name that is not known stays as it is."""
    return _USUAL.get(_plain(name), name)


def panel_in(text: str) -> dict[str, IhcResult]:
    """The panel of a cell, by marker.

    Args:
        text: The cell; blank for no panel.

    Raises:
        CellError: A part has not the form, a result is unknown, or a marker is given twice, also under two names.
    """
    panel: dict[str, IhcResult] = {}
    for part in (part.strip() for part in text.translate(_TYPED).split(";")):
        if not part:
            continue
        name, sign, result = (piece.strip() for piece in part.partition("="))
        if not sign or _MARKER.fullmatch(name) is None:
            raise CellError(f"expected {_FORM}, found {shown(part)}{_rewritten(part, sign)}")
        marker = usual_marker(name)
        if marker in panel:
            raise CellError(f"expected each marker once, found {marker} twice; remove one")
        panel[marker] = _result(marker, result)
    if len(panel) > _MOST_MARKERS:
        raise CellError(f"expected at most {_MOST_MARKERS} markers, found {len(panel)}; correct it")
    return panel


def _rewritten(part: str, sign: str) -> str:
    """How a part of another form is written, such as ``p16=positive`` for ``p16+``; nothing is guessed into the panel."""
    if sign:
        return "; write the marker in letters and digits of English, such as beta-catenin, of at most 30 characters"
    part = _DECIMAL_COMMA.sub(r"\1.\2", part)
    if "," in part:
        return "; separate the markers with semicolons"
    found = _SIGNED.fullmatch(part) or _SHARE.fullmatch(part) or _WORD_AFTER.fullmatch(part)
    if found is None:
        return "; correct it"
    result = {"+": "positive", "-": "negative"}.get(found[2], found[2])
    return f"; write {found[1]}={result}{'%' if found.re is _SHARE else ''}"


def _result(marker: str, text: str) -> IhcResult:
    stain = _STAINS.get(text.casefold())
    if stain is not None:
        return IhcResult(marker, stain)
    found = _PERCENT.fullmatch(text)
    if found is None or float(found[1]) > 100:
        hint = _meant(text)
        raise CellError(
            f"{marker}: expected negative, positive, a percentage such as 90% (0 to 100), or not done, found {shown(text)}{hint}"
        )
    return IhcResult(marker, "percent", float(found[1]))


def _meant(text: str) -> str:
    if text.casefold() in {"+", "-", "++", "+++", "pos", "neg"}:
        return "; write negative or positive"
    if "=" in text:
        return "; separate the markers with semicolons"
    if _DECIMAL_COMMA.search(text):
        return "; write a decimal point"
    return f"; write {text}%" if re.fullmatch(r"[0-9]{1,2}|100", text, re.ASCII) else "; correct it"
