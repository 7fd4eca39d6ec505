"""Upgrades model descriptions of earlier versions, whose keys had other names.

Versions 1 and 2 differ from version 3 in names alone: no number and no weight changes. Version 4 adds how the operating point
was locked; an older model has none of it, and its threshold was chosen on labelled tiles. Version 5 adds reference scores; an
older model has none.
"""

from collections.abc import Mapping
from typing import Final, cast

from inkdot.storage.schemas import MODEL_VERSION

UPGRADABLE_VERSIONS: Final = ("inkdot.model/1", "inkdot.model/2", "inkdot.model/3", "inkdot.model/4")

_TOP: Final = {"views": "tta_views", "validation_figures": "validation_metrics", "familiarity": "ood"}
_HEAD: Final = {"answers": "labels"}
_OPERATING_POINT: Final = {"wanted_sensitivity": "target_sensitivity", "judged_on": "evaluated_on"}
_RELIABILITY: Final = {"places": "regions"}
_BAND: Final = {
    "wanted_error": "target_selective_risk",
    "answered": "coverage",
    "error": "selective_risk",
    "judged_on": "evaluated_on",
}
_IMAGES: Final = {"near_identical": "near_duplicates"}
_TRAINED_ON: Final = {"pictures": "images"}

Values = dict[str, object]


def upgraded(old: Mapping[str, object]) -> Values:
    """Convert a description of an earlier version to today's; values of an unexpected type are left to the validation.

    Args:
        old: The JSON value of ``model.json``; not changed.
    """
    new = _renamed(old, _TOP)
    new["version"] = MODEL_VERSION
    new["heads"] = _each(new.get("heads"), _HEAD)
    new["trained_on"] = _part(new.get("trained_on"), _TRAINED_ON)
    if "images" in new:
        new["images"] = _part(new["images"], _IMAGES)
    points = _each(new.get("operating_points"), _OPERATING_POINT)
    if isinstance(points, dict):
        for point in cast("dict[str, object]", points).values():
            if isinstance(point, dict) and "reliability" in point:
                part = cast("Values", point)
                part["reliability"] = _each(part["reliability"], _RELIABILITY)
    new["operating_points"] = points
    if "abstention" in new:
        new["abstention"] = _each(new["abstention"], _BAND)
    attention = new.get("attention")
    if isinstance(attention, dict) and cast("Values", attention).get("start") == "answers":
        new["attention"] = {**cast("Values", attention), "start": "pseudo-labels"}
    return new


def _renamed(values: Mapping[str, object], names: Mapping[str, str]) -> Values:
    return {names.get(name, name): value for name, value in values.items()}


def _part(value: object, names: Mapping[str, str]) -> object:
    return _renamed(cast("Values", value), names) if isinstance(value, dict) else value


def _each(value: object, names: Mapping[str, str]) -> object:
    if isinstance(value, list):
        return [_part(item, names) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        return {name: _part(item, names) for name, item in cast("Values", value).items()}
    return value
