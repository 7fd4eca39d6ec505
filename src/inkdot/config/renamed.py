"""Keys and values of earlier config files, and their names of today."""

from collections.abc import Iterator, Mapping
from typing import Final, cast

RENAMED_KEYS: Final[Mapping[str, str]] = {
    "heads.answers": "labels",
    "images.near_identical": "near_duplicates",
    "labelling.min_place_fraction": "min_region_fraction",
    "model.views": "tta_views",
    "morphometry.ruler_cells": "reference_cells",
    "training.accumulate": "gradient_accumulation",
    "training.average_decay": "ema_decay",
    "training.keep": "checkpoint",
    "training.keep_together": "group_by",
    "training.mil.sure_above": "pseudo_label_quantile",
    "training.patience": "early_stopping_patience",
    "training.slide_labels": "mil",
    "training.wanted_error": "target_selective_risk",
    "training.wanted_sensitivity": "target_sensitivity",
    "training.watch": "monitor",
}
"""Old key to new key, within the same section; the section goes by its name of today."""

RENAMED_VALUES: Final[Mapping[tuple[str, str], str]] = {("training.mil.start", "answers"): "labels"}
"""Key of today and old value to new value."""


def renames(data: Mapping[str, object]) -> list[tuple[str, str]]:
    """Every old name in a config with its name of today, in the order of the file; each once.

    Args:
        data: The config as YAML gives it; nothing about it is assumed to be valid.
    """
    return list(dict.fromkeys(_renames(data, "", "")))


def _renames(section: Mapping[str, object], written: str, today: str) -> Iterator[tuple[str, str]]:
    """Old names of a section and its subsections.

    Args:
        section: Keys and values.
        written: The section's path as the file has it, empty or with a dot at its end.
        today: The same in names of today, without the marks of lists.
    """
    for key, value in section.items():
        new = RENAMED_KEYS.get(f"{today}{key}", key)
        if new != key:
            yield f"{written}{key}", f"{_in_names_of_today(written, today)}{new}"
        items = cast("list[object]", value) if isinstance(value, list) else [value]
        mark = "[]" if isinstance(value, list) else ""
        for item in items:
            if isinstance(item, dict):
                inner = cast("dict[str, object]", item)
                yield from _renames(inner, f"{written}{key}{mark}.", f"{today}{new}.")
            elif isinstance(item, str) and (renamed := RENAMED_VALUES.get((f"{today}{new}", item))):
                yield f"{written}{key}: {item}", f"{_in_names_of_today(written, today)}{new}: {renamed}"


def _in_names_of_today(written: str, today: str) -> str:
    """The new path, with the marks of lists that the written one has."""
    marks = ["[]" if part.endswith("[]") else "" for part in written.split(".")]
    return ".".join(part + mark for part, mark in zip(today.split("."), marks, strict=True))
