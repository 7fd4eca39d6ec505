"""Single values of a config that the command line replaces: ``--set key=value``."""

import copy
from collections.abc import Mapping, Sequence
from typing import cast

import yaml

from inkdot.config.strict_yaml import read_yaml
from inkdot.errors import ConfigError


def with_changes(data: Mapping[str, object], changes: Sequence[str]) -> dict[str, object]:
    """Replace values of a config; later changes win.

    Args:
        data: The config as it was written.
        changes: ``key=value`` each: the key with dots, such as ``tiling.mpp`` or ``heads.0.name`` (the first of a list), the
            value in YAML, so ``true`` and ``[1, 2]`` are what they are in a file.

    Returns:
        The config with the values; it is not validated.

    Raises:
        ConfigError: A change has no ``=``, no key, a value that is not YAML, or a key below a value that has none.
    """
    changed = copy.deepcopy(dict(data))
    for change in changes:
        key, equals, text = change.partition("=")
        key = key.strip()
        if not equals or not all(key.split(".")):
            raise ConfigError(f"--set: expected key=value, such as tiling.mpp=0.5, found {change!r}")
        _put(changed, key, _value(key, text))
    return changed


def _value(key: str, text: str) -> object:
    try:
        return read_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ConfigError(
            f"--set {key}: expected a value in YAML, found {text!r}; quote it for the shell and, where it is text, for YAML"
        ) from None


def _put(data: dict[str, object], key: str, value: object) -> None:
    *parents, last = key.split(".")
    here: object = data
    walked: list[str] = []
    for part in parents:
        walked.append(part)
        here = _child(here, part, key, ".".join(walked))
    if isinstance(here, list):
        items = cast("list[object]", here)
        items[_index(items, last, key)] = value
    elif isinstance(here, dict):
        cast("dict[str, object]", here)[last] = value
    else:
        raise ConfigError(f"--set {key}: expected keys in {'.'.join(parents)}, found {here!r}")


def _child(here: object, part: str, key: str, walked: str) -> object:
    if isinstance(here, list):
        items = cast("list[object]", here)
        return items[_index(items, part, key)]
    if not isinstance(here, dict):
        raise ConfigError(f"--set {key}: expected keys above {walked}, found {here!r}")
    found = cast("dict[str, object]", here)
    if found.get(part) is None:
        found[part] = {}
    return found[part]


def _index(items: Sequence[object], part: str, key: str) -> int:
    if not part.isdecimal() or int(part) >= len(items):
        raise ConfigError(
            f"--set {key}: expected a number from 0 to {len(items) - 1}, found {part!r}; set the whole list"
        )
    return int(part)
