"""Maps annotation classes to labels of heads by the config."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from inkdot.annotations.drawing import UNCLASSIFIED, DrawnArea, Notes
from inkdot.config import AnnotationConfig
from inkdot.errors import AnnotationError
from inkdot.labels import Head

SEPARATOR = ": "
"""QuPath writes derived classes as ``Tumor: large_cell``; nested groups of other programs are joined in the same way."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Meaning of an annotation class.

    Attributes:
        kind: ``labels``, ``cut`` (the area is cut out of all others) or ``ignore``.
        labels: Label by head, where kind is ``labels``.
    """

    kind: Literal["labels", "cut", "ignore"]
    labels: Mapping[str, str]


def rule_for(
    area: DrawnArea, config: AnnotationConfig, heads: Sequence[Head], notes: Notes, source: str
) -> Rule:
    """Find the rule for the first name of an area that the config has.

    All names are searched before their parent classes: ``Tumor: large_cell`` falls back to ``Tumor`` with a note.

    Raises:
        AnnotationError: The config has none of the names, or a rule has an unknown head or label.
    """
    names = area.names or (UNCLASSIFIED,)
    for name in names:
        if rule := _exact(name, config):
            return _checked(name, rule, heads, source)
    for name in names:
        parts = name.split(SEPARATOR)
        for length in range(len(parts) - 1, 0, -1):
            parent = SEPARATOR.join(parts[:length])
            if rule := _exact(parent, config):
                notes.add(
                    f"class {name!r} is not in the config and was read as its parent {parent!r}", area.where
                )
                return _checked(parent, rule, heads, source)
    written = " or ".join(repr(name) for name in names)
    known = ", ".join(repr(name) for name in (*config.classes, *config.cut_out, *config.ignore)) or "none"
    example = next(
        ((head.name, label) for head in heads for label in head.labels), ("malignancy", "malignant")
    )
    raise AnnotationError(
        f"{source}: {area.where}: expected a class in the config ({known}), found {written}; "
        f"add it to annotations.classes, e.g. {names[0]!r}: {{{example[0]}: {example[1]}}}, or to annotations.ignore"
    )


def _exact(name: str, config: AnnotationConfig) -> Rule | None:
    if name in config.classes:
        return Rule("labels", config.classes[name])
    if name in config.cut_out:
        return Rule("cut", {})
    return Rule("ignore", {}) if name in config.ignore else None


def _checked(name: str, rule: Rule, heads: Sequence[Head], source: str) -> Rule:
    known = {head.name: head for head in heads}
    for head, label in rule.labels.items():
        if head not in known:
            raise AnnotationError(
                f"{source}: annotations.classes, {name!r}: expected a head ({', '.join(known)}), found {head!r}"
            )
        if label not in known[head].labels:
            raise AnnotationError(
                f"{source}: annotations.classes, {name!r}: expected a label of {head} "
                f"({', '.join(known[head].labels)}), found {label!r}"
            )
    return rule
