"""Keys and values of earlier config files, and their current names."""

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
    "training.mil.self_supervised_epochs": "",
    "training.mil.sure_above": "pseudo_label_quantile",
    "training.patience": "early_stopping_patience",
    "training.slide_labels": "mil",
    "training.wanted_error": "target_selective_risk",
    "training.wanted_sensitivity": "target_sensitivity",
    "training.watch": "monitor",
}
"""Old key to new key within the same section, which goes by its current name; empty for a key that was removed."""

RENAMED_VALUES: Final[Mapping[tuple[str, str], str]] = {
    ("training.mil.start", "answers"): "pseudo-labels",
    ("training.mil.start", "self-supervised"): "",
}
"""Current key and old value to new value; empty for a value that was removed."""


def renames(data: Mapping[str, object]) -> list[tuple[str, str]]:
    """Every old name in a config with its current name, in the order of the file; each once.

    The current name is empty where something was removed.

    Args:
        data: The config as YAML gives it; nothing about it is assumed to be valid.
    """
    return list(dict.fromkeys(_renames(data, "", "")))


def _renames(section: Mapping[str, object], written: str, today: str) -> Iterator[tuple[str, str]]:
    """Old names of a section and its subsections.

    Args:
        section: Keys and values.
        written: The section's path as the file has it, empty or with a dot at its end.
        today: The same path with current names, without the ``[]`` of lists.
    """
    for key, value in section.items():
        new = RENAMED_KEYS.get(f"{today}{key}", key)
        if new != key:
            yield f"{written}{key}", f"{_current(written, today)}{new}" if new else ""
        items = cast("list[object]", value) if isinstance(value, list) else [value]
        mark = "[]" if isinstance(value, list) else ""
        for item in items:
            if isinstance(item, dict):
                inner = cast("dict[str, object]", item)
                yield from _renames(inner, f"{written}{key}{mark}.", f"{today}{new}.")
            elif isinstance(item, str):
                renamed = RENAMED_VALUES.get((f"{today}{new}", item), item)
                if renamed != item:
                    yield (
                        f"{written}{key}: {item}",
                        f"{_current(written, today)}{new}: {renamed}" if renamed else "",
                    )


def _current(written: str, today: str) -> str:
    """The current path, with ``[]`` after lists as in the written one."""
    marks = ["[]" if part.endswith("[]") else "" for part in written.split(".")]
    return ".".join(part + mark for part, mark in zip(today.split("."), marks, strict=True))
