"""Reads YAML (and so JSON) files of users into strict models: whatever the text holds, one line names the file, line and key."""

import difflib
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TypeVar, cast, get_args

import yaml
from pydantic import BaseModel, ValidationError

from inkdot.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)
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


def read_model(path: Path, model: type[Model], what: str, missing_hint: str) -> Model:
    """Read a file as a strict model.

    Args:
        path: The file: YAML or JSON in UTF-8.
        model: The model.
        what: What the file is, for messages, such as ``a config file``.
        missing_hint: What to do where there is none.

    Raises:
        ConfigError: The file is missing, is not YAML in UTF-8, or has an unknown, missing or mistyped key.
    """
    return validated(model, read_mapping(path, what, missing_hint), str(path))


def read_mapping(path: Path, what: str, missing_hint: str) -> Mapping[str, object]:
    """Keys and values of a file; see :func:`read_model`.

    Raises:
        ConfigError: The file is missing, or is not YAML in UTF-8 with keys and values.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: expected {what}, found nothing there; {missing_hint}") from None
    except UnicodeDecodeError:
        raise ConfigError(
            f"{path}: expected YAML in UTF-8, found another encoding; save it as UTF-8"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: expected {what} that can be read, found: {error.strerror}") from None
    return _mapping(path, text)


def validated(model: type[Model], data: Mapping[str, object], source: str) -> Model:
    """Validate keys and values.

    Args:
        model: The model.
        data: Keys and values.
        source: Name of the file, for messages.

    Raises:
        ConfigError: A key is unknown, missing or mistyped; the message names every one.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        errors = [_error_line(dict(item), model) for item in error.errors(include_url=False)]
        raise ConfigError(f"{source}: " + "; ".join(errors)) from None


def _mapping(path: Path, text: str) -> Mapping[str, object]:
    try:
        data = read_yaml(text)
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
        raise ConfigError(f"{path}: expected keys and values such as `name: value`, found {shown}")
    return cast("Mapping[str, object]", data)


def read_yaml(text: str) -> object:
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


def _error_line(item: dict[str, object], root: type[BaseModel]) -> str:
    """One line for one error of pydantic."""
    location = cast("tuple[str | int, ...]", item["loc"])
    key = ".".join(str(part) for part in location) or "(top level)"
    kind, message = str(item["type"]), str(item["msg"])
    if kind == "extra_forbidden":
        name = str(location[-1])
        near = difflib.get_close_matches(name, _keys_beside(location, root), n=1) or [
            full for full in _dotted_keys(root) if full.endswith(f".{name}")
        ]
        return f"{key}: unknown key; " + (f"did you mean {near[0]!r}?" if near else "remove it or correct it")
    if kind == "missing":
        return f"{key}: expected a value, found none; add it"
    if kind == "value_error":
        message = message.removeprefix("Value error, ")
        return f"{key}: {message}" if location else message
    if kind in {"model_type", "model_attributes_type", "dict_type"}:
        message = "Input should be keys and values"
    return f"{key}: {message.replace('Input should be', 'expected')}, found {_shown(item['input'])}"


def _keys_beside(location: tuple[str | int, ...], root: type[BaseModel]) -> list[str]:
    model = root
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        if field is None:
            continue  # an index into a list
        inner = [t for t in (field.annotation, *get_args(field.annotation)) if isinstance(t, type)]
        model = next((t for t in inner if issubclass(t, BaseModel)), model)
    return list(model.model_fields)


def _dotted_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    """All keys that have a section, such as ``training.epochs``."""
    found: list[str] = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        found.append(prefix + name)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found += _dotted_keys(inner, f"{prefix}{name}.")
    return found


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
