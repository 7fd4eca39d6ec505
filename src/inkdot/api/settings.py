"""Settings from a file, with changes by name."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from inkdot import config as settings
from inkdot.config import Config


def load_config(path: str | os.PathLike[str] | None = None, **sections: object) -> Config:
    """Read a config file and change some of its keys.

    Args:
        path: A YAML file as `inkdot init` writes it; the default settings where None.
        **sections: Values of top-level keys. A mapping changes the keys that it names and keeps the others of its section.

    Raises:
        ConfigError: The file is missing, or a key is unknown or mistyped; the message names it.

    Examples:
        >>> config = inkdot.load_config("configs/demo.yaml", training={"epochs": 3})
        >>> config.training.epochs
        3
    """
    if path is None:
        return settings.config_from_mapping(sections, "load_config")
    values = cast("dict[str, object]", settings.load_config(Path(path)).model_dump(mode="json"))
    return settings.config_from_mapping(_merged(values, sections), str(path))


def as_config(config: Config | str | os.PathLike[str]) -> Config:
    """Settings as they are, or read from a file; see :func:`load_config`."""
    return config if isinstance(config, Config) else load_config(config)


def _merged(values: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    merged = dict(values)
    for name, value in changes.items():
        known = values.get(name)
        if isinstance(value, Mapping) and isinstance(known, Mapping):
            merged[name] = _merged(cast("Mapping[str, object]", known), cast("Mapping[str, object]", value))
        else:
            merged[name] = value
    return merged
