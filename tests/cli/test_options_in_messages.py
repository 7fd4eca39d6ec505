"""An option that a message names exists in the command that prints the message.

Static, since nobody can provoke every message: every string of the code is searched for ``--word``.

- In backticks with a command (```inkdot predict --embeddings```), the command must have it; elsewhere in a message that names
  commands in backticks, one of them.
- In a stage, every command that imports the stage must have it.
- Elsewhere, some command that reaches the module by imports must have it: a module that many commands share may be asked by
  those that have the option alone, which no import shows.
"""

import ast
import inspect
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from inkdot.cli.app import app
from inkdot.cli.options import RENAMED_OPTIONS

SOURCES = Path(__file__).parents[2] / "src" / "inkdot"
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
SEVERAL_STAGES = ("demo", "run")  # they give stages what asks for no option
IMPORT = re.compile(r"from (inkdot[\w.]*) import (\([^)]*\)|[^\n]*)")
RENAMES = "inkdot.cli.options"
QUOTED = re.compile(r"`([^`]*)`")
OF_EARLIER_VERSIONS = {old for renames in RENAMED_OPTIONS.values() for old in renames}
OF_OTHER_PROGRAMS = {"--array", "--head", "--nproc-per-node"}  # SLURM, `ray start`, torchrun


def commands() -> dict[str, Any]:
    """Every command by its words."""

    def walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        for name, child in getattr(command, "commands", {}).items():
            yield from walk(child, (*words, name))
        if not hasattr(command, "commands"):
            yield " ".join(words), command

    return dict(walk(typer.main.get_command(app), ()))


def options_of(command: Any) -> set[str]:
    """Long options, and those that every command has."""
    found = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return found | {"--help", "--version"}


@dataclass(frozen=True)
class Message:
    """A string of the code that names options."""

    module: str
    line: int
    text: str


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCES.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def messages_of(module: str, tree: ast.Module) -> Iterator[Message]:
    """Strings without docstrings, an f-string as one."""
    joined = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    passed = {id(child) for node in joined for child in ast.walk(node) if child is not node}
    passed |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in passed:
            continue
        if isinstance(node, ast.JoinedStr):
            text = "".join(
                str(piece.value) if isinstance(piece, ast.Constant) else "{}" for piece in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        if OPTION.search(text):
            yield Message(module, node.lineno, text)


def imported(text: str, modules: Collection[str]) -> set[str]:
    """Modules of this program that a text imports, at its top or in a function."""
    found: set[str] = set()
    for module, names in IMPORT.findall(text):
        for name in re.findall(r"\w+", re.sub(r"\bas \w+", "", names)):
            full = f"{module}.{name}"
            found.add(full if full in modules else module)
    return found & set(modules)


def modules_of_commands(texts: Mapping[str, str]) -> dict[str, set[str]]:
    """By command: the modules that its function imports, and all that these import."""
    edges = {module: imported(text, texts) for module, text in texts.items()}
    found: dict[str, set[str]] = {}
    for words, command in commands().items():
        function = inspect.unwrap(command.callback)
        text = texts[function.__module__]
        bodies = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
        names, waiting = set[str](), [function.__name__]
        direct = set[str]()
        while waiting:  # the functions of the same file that it calls, too
            name = waiting.pop()
            if name in names or name not in bodies:
                continue
            names.add(name)
            direct |= imported(ast.get_source_segment(text, bodies[name]) or "", texts)
            waiting += [node.id for node in ast.walk(bodies[name]) if isinstance(node, ast.Name)]
        reached, further = set[str](), [*direct, RENAMES]
        while further:
            module = further.pop()
            if module not in reached:
                reached.add(module)
                further += edges[module]
        found[words] = reached
    return found


def commands_in(quoted: str, options: Mapping[str, set[str]]) -> list[str]:
    """The commands of a quotation such as ``inkdot review export --top 3``; the longest names alone."""
    named = [words for words in options if re.match(rf"(inkdot )?{re.escape(words)}(\s|$)", quoted)]
    return [words for words in named if not any(other.startswith(f"{words} ") for other in named)]


def problems(
    message: Message, options: Mapping[str, set[str]], modules: Mapping[str, set[str]]
) -> Iterator[str]:
    where = f"{message.module}:{message.line}: {message.text[:120]!r}"
    reaching = [words for words in options if message.module in modules[words]]
    mentioned = {words for quoted in QUOTED.findall(message.text) for words in commands_in(quoted, options)}
    for quoted in QUOTED.findall(message.text):
        for option in OPTION.findall(quoted):
            for words in commands_in(quoted, options):
                if option not in options[words]:
                    yield f"{where}: `inkdot {words}` has no {option}"
    for option in OPTION.findall(QUOTED.sub(" ", message.text)):
        if option in OF_OTHER_PROGRAMS or (option in OF_EARLIER_VERSIONS and message.module == RENAMES):
            continue
        if any(option in options[words] for words in mentioned):
            continue
        if message.module.startswith("inkdot.stages."):
            for words in (words for words in reaching if words not in SEVERAL_STAGES):
                if option not in options[words]:
                    yield f"{where}: `inkdot {words}` has no {option}"
        elif not any(option in options[words] for words in reaching):
            yield f"{where}: {option} is no option of {', '.join(reaching) or 'any command'}"


def test_every_option_in_a_message_exists_in_its_command() -> None:
    options = {words: options_of(command) for words, command in commands().items()}
    texts = {module_name(path): path.read_text(encoding="utf-8") for path in sorted(SOURCES.rglob("*.py"))}
    modules = modules_of_commands(texts)
    messages = [
        message
        for module, text in texts.items()
        if OPTION.search(text) and (not module.startswith("inkdot.cli.") or module == RENAMES)
        for message in messages_of(module, ast.parse(text))
        if module != "inkdot.api.python_words"  # turns options into arguments of Python
    ]
    assert len(messages) > 50  # the search finds what it is for
    assert "inkdot.slides.mpp" in modules["predict"]
    found = [line for message in messages for line in problems(message, options, modules)]
    assert found == [], "\n".join(found)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("use --top 3", 0),
        ("use --mpp 0.5", 1),
        ("run `inkdot predict --mpp 0.5` again", 0),
        ("run `inkdot review export --mpp 0.5` again", 1),
        ("name the --mpp of `inkdot predict`", 0),
    ],
)
def test_the_check_finds_an_option_of_another_command(text: str, lines: int) -> None:
    options = {"review export": {"--top"}, "predict": {"--mpp"}}
    modules = {"review export": {"inkdot.stages.review.export"}, "predict": {"inkdot.stages.predict"}}
    message = Message("inkdot.stages.review.export", 1, text)
    assert len(list(problems(message, options, modules))) == lines
