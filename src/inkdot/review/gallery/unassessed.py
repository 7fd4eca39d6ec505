"""A slide on which nothing could be judged: what lies on it instead, and what a pathologist can do about it."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, cast

_LEAST_SHARE: Final = 0.001
"""Smaller areas are not listed."""


class Remedy(NamedTuple):
    """What a kind of area is called on the page, and what can be done where it is large; empty where nothing can."""

    words: str
    advice: str


_REMOUNT: Final = "Mount the slide again (new coverslip), then scan it again."
_RESCAN: Final = "Scan the slide again, with more focus points or another focus plane."

_REMEDIES: Final[Mapping[str, Remedy]] = {
    "foreground": Remedy("cells or tissue", ""),
    "glass": Remedy("empty glass", "If the fluid was sent with more material, make a further slide from it."),
    "blur": Remedy("out of focus", _RESCAN),
    "clot": Remedy("protein clot", "Cells may lie in the clot: look at it under the microscope."),
    "speck": Remedy("dust", "Clean the slide, then scan it again."),
    "red_cell": Remedy("red cells", "A bloody specimen: make a further slide after lysis of the red cells."),
    "precipitate": Remedy("stain precipitate", "Stain a further slide with filtered stain."),
    "ring": Remedy("edge of the cell spot", ""),
    "outside": Remedy("outside of the cell spot", ""),
    "fibre": Remedy("fibres", "Look at the glass: cells may lie under fibres."),
    "fold": Remedy("folds", "Cut a further section."),
    "coverslip": Remedy("edge of the coverslip", _REMOUNT),
    "bubble": Remedy("edges of air bubbles", _REMOUNT),
    "in_bubble": Remedy("under air bubbles", _REMOUNT),
    "grey": Remedy("grey, without stain", "Check that the slide is stained and that the scan is in colour."),
    "pen": Remedy("pen marks", "Wipe the pen off the glass, then scan the slide again."),
    "no_pixels": Remedy("missing in the file", "The scan is incomplete: scan the slide again."),
}

_NEVER_ADVISED_BELOW: Final = 0.02
"""Share of the slide from which an area is worth an action."""

_ALWAYS: Final = "Look at the glass slide under the microscope. An inadequate slide excludes nothing."


def unassessed_facts(assessment: Mapping[str, object]) -> dict[str, object] | None:
    """Areas by kind, largest first, and advice in plain words; None where nothing was assessed.

    Args:
        assessment: As it stands in the footer of the scores: ``areas_mm2`` by kind, ``nuclei``, ``nuclei_in_focus``.
    """
    found = assessment.get("areas_mm2")
    if not isinstance(found, Mapping):
        return None
    areas = {
        name: float(area)
        for name, area in cast("Mapping[str, object]", found).items()
        if isinstance(area, int | float) and name in _REMEDIES and name != "outside"
    }
    total = sum(areas.values())
    if total <= 0.0:
        return None
    listed = sorted(
        ((name, area) for name, area in areas.items() if area / total >= _LEAST_SHARE),
        key=lambda item: (-item[1], item[0]),
    )
    return {
        "areas": [
            {"words": _REMEDIES[name].words, "mm2": round(area, 3), "share": round(area / total, 4)}
            for name, area in listed
        ],
        "advice": _advice(listed, total),
    }


def _advice(listed: Sequence[tuple[str, float]], total: float) -> list[str]:
    """What can be done, each once, what concerns the largest area first; empty glass last."""
    worth = [name for name, area in listed if area / total >= _NEVER_ADVISED_BELOW]
    ordered = sorted(worth, key=lambda name: name == "glass")
    given = [_REMEDIES[name].advice for name in ordered if _REMEDIES[name].advice]
    return list(dict.fromkeys((_ALWAYS, *given)))
