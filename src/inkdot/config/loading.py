"""Reads YAML configs; errors name the file and the key."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast, get_args

from inkdot.config.changes import with_changes
from inkdot.config.presets import default_config
from inkdot.config.renamed import renames
from inkdot.config.schema import Config
from inkdot.config.strict_yaml import read_mapping, validated
from inkdot.errors import ConfigError, renamed_message
from inkdot.records import Preparation


def load_config(path: Path, changes: Sequence[str] = ()) -> Config:
    """Read a config file; keys of ``tiling`` that are not written have the preparation's default.

    Args:
        path: The file.
        changes: ``key=value`` each, which replace what the file says; see :func:`inkdot.config.changes.with_changes`.

    Raises:
        ConfigError: The file is missing, is not YAML in UTF-8, or has an unknown or mistyped key; or a change is wrong.
    """
    data = read_mapping(path, "a config file", f"`inkdot init --out {path}` writes one")
    read = config_from_mapping(
        data, source=str(path)
    )  # an error of the file is not named as one of the changes
    return config_from_mapping(with_changes(data, changes), source="--set") if changes else read


def config_from_mapping(data: Mapping[str, object], source: str = "config") -> Config:
    """Validate keys and values.

    Raises:
        ConfigError: A key of an earlier version, or an unknown or mistyped one; the message names every one.
    """
    if old := renames(data):
        raise ConfigError(f"{source}: {renamed_message(old)}")
    return validated(Config, _with_preset(data), source)


def _with_preset(data: Mapping[str, object]) -> dict[str, object]:
    """Fill in missing keys of ``tiling``, whose defaults depend on the preparation."""
    preparation = data.get("preparation", "thinprep")
    tiling = data.get("tiling", {})
    if preparation not in get_args(Preparation) or not isinstance(tiling, Mapping):
        return dict(data)  # the validation names the error
    preset = default_config(cast(Preparation, preparation)).tiling.model_dump()
    return {**data, "tiling": {**preset, **cast("Mapping[str, object]", tiling)}}
