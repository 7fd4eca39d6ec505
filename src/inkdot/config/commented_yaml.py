"""A config as YAML with a comment above every key, generated from the models."""

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from inkdot.config.schema import Config

_WIDTH = 110
_BOUND_WORDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_HEADING = (
    "Settings of Inkdot for the preparation {preparation}, written by `inkdot init`: all keys.",
    "A key that is left out has its default; an unknown key is an error. Names end in their unit: _px pixels, _um",
    "micrometres, _fraction 0 to 1; mpp is micrometres per pixel.",
)


def commented_yaml(config: Config) -> str:
    """The config as YAML, UTF-8 text, with a comment above each key; :func:`load_config` reads it back unchanged."""
    lines = [f"# {line}".format(preparation=config.preparation) for line in _HEADING] + [""]
    lines += _model_lines(config, indent=0, explained=True)
    return "\n".join(lines) + "\n"


def _model_lines(model: BaseModel, indent: int, *, explained: bool) -> Iterator[str]:
    for name, field in type(model).model_fields.items():
        value: object = getattr(model, name)
        space = " " * indent
        if isinstance(value, BaseModel):
            yield ""
            yield from _comment(_first_line(type(value).__doc__ or ""), indent)
            yield f"{space}{name}:"
            yield from _model_lines(value, indent + 2, explained=explained)
            continue
        models = _models_in(value)
        if models:
            yield ""
        if explained:
            yield from _comment(_explanation(field), indent)
        if models:
            yield f"{space}{name}:"
            yield from _list_lines(models, indent + 2)
        elif isinstance(value, Mapping) and value:
            yield f"{space}{name}:"
            for key, item in cast("Mapping[str, object]", value).items():
                yield f"{space}  {_inline(key)}: {_inline(item)}"
        else:
            yield f"{space}{name}: {_inline(cast(object, value))}"


def _models_in(value: object) -> list[BaseModel]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [item for item in items if isinstance(item, BaseModel)]


def _list_lines(models: Sequence[BaseModel], indent: int) -> Iterator[str]:
    """Items of a list; only the keys of the first one have comments."""
    for index, model in enumerate(models):
        started = False
        for line in _model_lines(model, indent + 2, explained=index == 0):
            if not started and line.strip() and not line.lstrip().startswith("#"):
                line = " " * indent + "- " + line[indent + 2 :]
                started = True
            yield line


def _comment(text: str, indent: int) -> Iterator[str]:
    for line in textwrap.wrap(text, _WIDTH - indent - 2):
        yield " " * indent + "# " + line


def _explanation(field: FieldInfo) -> str:
    """The description with the choices or the range of the value."""
    text = field.description or ""
    choices = _choices(field.annotation)
    if len(choices) > 1 and not all(str(choice) in text for choice in choices):
        text += f" One of {', '.join(str(choice) for choice in choices)}."
    bounds = _bounds(field)
    return f"{text} ({bounds})" if bounds and " to 1)" not in text else text


def _choices(annotation: object) -> tuple[object, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return ()


def _bounds(field: FieldInfo) -> str:
    words = [
        f"{word} {int(bound) if bound == int(bound) else bound}"
        for rule in cast("list[object]", field.metadata)
        for name, word in _BOUND_WORDS.items()
        if (bound := getattr(rule, name, None)) is not None
    ]
    return ", ".join(words)


def _inline(value: object) -> str:
    """One value on one line, as JSON, which is YAML; plain words need no quotes."""
    if isinstance(value, str) and value.isidentifier() and value.lower() not in _YAML_WORDS:
        return value
    if isinstance(value, Mapping):
        items = cast("Mapping[str, object]", value).items()
        return "{" + ", ".join(f"{_inline(key)}: {_inline(item)}" for key, item in items) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_inline(item) for item in cast("list[object]", value)) + "]"
    return json.dumps(value, ensure_ascii=False)


# Words that YAML 1.1 does not read as text.
_YAML_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})


def _first_line(doc: str) -> str:
    return doc.strip().splitlines()[0] if doc.strip() else ""
