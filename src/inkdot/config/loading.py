"""YAML to config, with errors that name the file and the key."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import yaml
from pydantic import ValidationError

from inkdot.config.models import Config
from inkdot.errors import ConfigError


def load_config(path: Path) -> Config:
    """Read a config file.

    Raises:
        ConfigError: The file is missing, is not YAML in UTF-8, or has an unknown or mistyped key.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: expected a config file, found nothing there; `inkdot init --out {path}` writes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected a readable YAML file in UTF-8: {error}") from None
    try:
        data: object = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: expected YAML: {' '.join(str(error).split())}") from None
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected keys and values, found {type(data).__name__}")
    return config_from_mapping(cast(Mapping[str, object], data), source=str(path))


def config_from_mapping(data: Mapping[str, object], source: str = "config") -> Config:
    """Validate keys and values.

    Raises:
        ConfigError: An unknown or mistyped key; the message names every one.
    """
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError("; ".join(_sentence(source, dict(item)) for item in error.errors(include_url=False))) from None


def _sentence(source: str, item: dict[str, object]) -> str:
    location = cast(tuple[str | int, ...], item["loc"])
    key = ".".join(str(part) for part in location) or "(top level)"
    if item["type"] == "extra_forbidden":
        return f"{source}: unknown key {key!r}; remove it or correct its spelling"
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "value_error":
        return f"{source}: {key}: {message}"
    return f"{source}: {key}: {message}, found {item['input']!r}"
