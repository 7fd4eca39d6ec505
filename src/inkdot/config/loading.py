"""Reads YAML configs; errors name the file and the key."""

import difflib
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import cast, get_args

import yaml
from pydantic import BaseModel, ValidationError

from inkdot.config.presets import default_config
from inkdot.config.renamed import renames
from inkdot.config.schema import Config
from inkdot.errors import ConfigError, renamed_message
from inkdot.records import Preparation

_MOST_VALUES = 100_000
_LONGEST_SHOWN = 60
# YAML 1.1 reads 1e-3 as text; Python and people read a number.
_EXPONENT = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+\Z")


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML loader that refuses duplicate keys (YAML keeps the last) and reads 1e-3 as a number."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)  # pyright: ignore[reportUnknownMemberType]
            if isinstance(key, Hashable):
                if key in seen:
                    raise yaml.MarkedYAMLError(None, None, f"key {key!r} is given twice", key_node.start_mark)
                seen.add(key)
        return cast("dict[Hashable, object]", super().construct_mapping(node, deep))


_StrictLoader.add_implicit_resolver(  # pyright: ignore[reportUnknownMemberType]
    "tag:yaml.org,2002:float", _EXPONENT, list("-+0123456789.")
)


def load_config(path: Path) -> Config:
    """Read a config file; keys of ``tiling`` that are not written have the preparation's default.

    Raises:
        ConfigError: The file is missing, is not YAML in UTF-8, or has an unknown or mistyped key.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: expected a config file, found nothing there; `inkdot init --out {path}` writes one"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(
            f"{path}: expected YAML in UTF-8, found another encoding; save it as UTF-8"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{path}: expected a config file that can be read, found: {error.strerror}"
        ) from None
    return config_from_mapping(_mapping(path, text), source=str(path))


def _mapping(path: Path, text: str) -> Mapping[str, object]:
    try:
        data = _constructed(text)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ConfigError(
            f"{path}: {line}expected YAML, found an error: {error.problem}; correct it"
        ) from None
    except RecursionError:
        raise ConfigError(f"{path}: expected YAML, found values nested too deeply; correct it") from None
    except (yaml.YAMLError, ValueError) as error:  # a number of thousands of digits is a ValueError
        raise ConfigError(
            f"{path}: expected YAML, found: {' '.join(str(error).split())}; correct it"
        ) from None
    if data is None:
        data = {}
    keys: list[object] = list(cast("dict[object, object]", data)) if isinstance(data, dict) else [None]
    if not all(isinstance(key, str) for key in keys):
        shown = _shown(cast(object, data))
        raise ConfigError(f"{path}: expected keys and values such as `preparation: thinprep`, found {shown}")
    return cast("Mapping[str, object]", data)


def _constructed(text: str) -> object:
    """The value of a YAML document whose aliases, written out, have at most :data:`_MOST_VALUES` values."""
    loader = _StrictLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        stack, count = [root], 0
        while stack:
            node, count = stack.pop(), count + 1
            if count > _MOST_VALUES:
                raise yaml.YAMLError(f"more than {_MOST_VALUES:,} values, by aliases of aliases")
            if isinstance(node, yaml.MappingNode):
                stack.extend(inner for pair in node.value for inner in pair)
            elif isinstance(node, yaml.SequenceNode):
                stack.extend(node.value)
        return cast(object, loader.construct_document(root))  # pyright: ignore[reportUnknownMemberType]
    finally:
        loader.dispose()


def config_from_mapping(data: Mapping[str, object], source: str = "config") -> Config:
    """Validate keys and values.

    Raises:
        ConfigError: A key of an earlier version, or an unknown or mistyped one; the message names every one.
    """
    if old := renames(data):
        raise ConfigError(f"{source}: {renamed_message(old)}")
    try:
        return Config.model_validate(_with_preset(data))
    except ValidationError as error:
        errors = [_error_line(dict(item)) for item in error.errors(include_url=False)]
        raise ConfigError(f"{source}: " + "; ".join(errors)) from None


def _with_preset(data: Mapping[str, object]) -> dict[str, object]:
    """Fill in missing keys of ``tiling``, whose defaults depend on the preparation."""
    preparation = data.get("preparation", "thinprep")
    tiling = data.get("tiling", {})
    if preparation not in get_args(Preparation) or not isinstance(tiling, Mapping):
        return dict(data)  # the validation names the error
    preset = default_config(cast(Preparation, preparation)).tiling.model_dump()
    return {**data, "tiling": {**preset, **cast("Mapping[str, object]", tiling)}}


def _error_line(item: dict[str, object]) -> str:
    """One line for one error of pydantic."""
    location = cast("tuple[str | int, ...]", item["loc"])
    key = ".".join(str(part) for part in location) or "(top level)"
    kind, message = str(item["type"]), str(item["msg"])
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(location[-1]), _keys_beside(location), n=1)
        return f"{key}: unknown key; " + (f"did you mean {near[0]!r}?" if near else "remove it or correct it")
    if kind == "missing":
        return f"{key}: expected a value, found none; add it"
    if kind == "value_error":
        message = message.removeprefix("Value error, ")
        return f"{key}: {message}" if location else message
    if kind in {"model_type", "model_attributes_type", "dict_type"}:
        message = "Input should be keys and values"
    return f"{key}: {message.replace('Input should be', 'expected')}, found {_shown(item['input'])}"


def _keys_beside(location: tuple[str | int, ...]) -> list[str]:
    model: type[BaseModel] = Config
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        if field is None:
            continue  # an index into a list
        inner = [t for t in (field.annotation, *get_args(field.annotation)) if isinstance(t, type)]
        model = next((t for t in inner if issubclass(t, BaseModel)), model)
    return list(model.model_fields)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
