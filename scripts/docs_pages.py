"""Reference pages made from the code when the site is built, so that they cannot go out of date.

mkdocs.yml names this file under `hooks`. It adds `reference/cli.md` (from the Typer application),
`reference/config.md` (from the pydantic models) and `reference/api.md` (directives for mkdocstrings).
`python scripts/docs_pages.py` prints the three;
`python scripts/docs_pages.py decisions` writes the table in the index of decisions anew,
`python scripts/docs_pages.py encoders` the page of encoders.
"""

import ast
import inspect
import json
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import inkdot
from inkdot.cli.app import app
from inkdot.cli.options import RENAMED_OPTIONS
from inkdot.config import Config, default_config
from inkdot.config.renamed import RENAMED_KEYS, RENAMED_VALUES
from inkdot.model.encoders.recipes import EncoderRecipe, encoder_recipes
from inkdot.records import Preparation
from inkdot.stages.encoders import fact_lines, table_rows

ENCODERS = Path(__file__).resolve().parents[1] / "docs" / "reference" / "encoders.md"
DECISIONS = Path(__file__).resolve().parents[1] / "docs" / "explanation" / "decisions"
# The theme loads its search worker from another host; the site must not.
WORKER = re.compile(r"https://[^/\s\"]+/iframe-worker/shim")
ROLE = re.compile(r":(?:func|class|meth|mod|attr|data|exc):(?=`|<code)")
BOUNDS = {
    "ge": "≥ {}",
    "gt": "> {}",
    "le": "≤ {}",
    "lt": "< {}",
    "min_length": "length ≥ {}",
    "pattern": "matches `{}`",
}


def cell(text: str) -> str:
    """Text for a cell of a Markdown table; signs of HTML and of attribute lists stay as they are in code."""
    text = ROLE.sub("", " ".join(text.split())).replace("``", "`").replace("|", "\\|")
    parts = text.split("`")
    parts[::2] = [part.replace("<", "&lt;").replace("{", "&#123;") for part in parts[::2]]
    return "`".join(parts)


# Command line


def commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    if children := getattr(command, "commands", None):
        for name, child in children.items():
            if not child.hidden:
                yield from commands(child, (*path, name))


def option_row(parameter: Any, hints: dict[str, Any]) -> str:
    names = [*parameter.opts, *parameter.secondary_opts]
    if parameter.param_type_name == "argument":
        names = [parameter.metavar or parameter.name.upper()]
    hint = hints.get(parameter.name, str)
    kind = "flag" if hint is bool else type_name(hint).removesuffix(" or null")
    default = "required" if parameter.required else ""
    if isinstance(parameter.default, str | int | float | Path) and parameter.default is not False:
        default = f"`{parameter.default}`"
    shown = ", ".join(f"`{name}`" for name in names)
    return f"| {shown} | {cell(kind)} | {cell(default)} | {cell(parameter.help or '')} |"


def cli_page() -> str:
    lines = [
        "# Command line",
        "",
        "Every command and option, generated from the program. `inkdot COMMAND --help` prints the same in a terminal.",
        "",
        "Exit codes: 0 all done; 1 some slides failed and are listed; 2 the input is wrong, and one line says what to change.",
    ]
    for path, command in commands(typer.main.get_command(app), ("inkdot",)):
        rows = [item for item in command.params if not item.hidden]
        lines += ["", f"{'#' * max(2, len(path))} `{' '.join(path)}` {{ #{'-'.join(path)} }}", ""]
        lines += [inspect.cleandoc(command.help or ""), ""]
        if children := getattr(command, "commands", None):
            lines += [
                f"- [`{' '.join((*path, name))}`](#{'-'.join((*path, name))}): {cell(child.get_short_help_str(200))}"
                for name, child in children.items()
            ]
        if rows:
            lines += ["", "| option | value | default | meaning |", "|---|---|---|---|"]
            hints = get_type_hints(command.callback)
            lines += [option_row(row, hints) for row in rows]
    return "\n".join(lines) + "\n"


# Config


def models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in models_in(inner)]


def type_name(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_name(inner[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(type_name(item) for item in inner)
    if origin is list:
        return f"list of {type_name(inner[0])}"
    if origin is dict:
        return f"mapping of {type_name(inner[0])} to {type_name(inner[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    return {
        "str": "text",
        "int": "integer",
        "float": "number",
        "bool": "true or false",
        "NoneType": "null",
        "Path": "path",
    }.get(getattr(annotation, "__name__", ""), str(annotation))


def bounds(metadata: Any, annotation: Any) -> str:
    """Bounds of a key, or of the items of a list."""
    found = []
    for rule in metadata:
        for item in [rule, *getattr(rule, "metadata", [])]:
            found += [
                form.format(value)
                for name, form in BOUNDS.items()
                if (value := getattr(item, name, None)) is not None
            ]
    if get_origin(annotation) is Annotated:
        found += [text for text in [bounds(get_args(annotation)[1:], get_args(annotation)[0])] if text]
    elif get_origin(annotation) is not Literal:
        found += [text for inner in get_args(annotation) if (text := bounds((), inner))]
    return ", ".join(dict.fromkeys(found))


def default_of(field: FieldInfo, value: Any = PydanticUndefined) -> str:
    """The default, or the value of an example config."""
    if value is PydanticUndefined:
        value = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, list) and any(isinstance(item, BaseModel) for item in value):
        return ", ".join(f"`{item.name}`" for item in value)
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def presets() -> Iterator[str]:
    """Keys of `tiling` whose defaults differ between preparations."""
    names = get_args(Preparation)
    dumps = [default_config(name).tiling.model_dump() for name in names]
    yield "\nDefaults that depend on `preparation`:\n"
    yield f"| key | {' | '.join(names)} |\n|---{'|---' * len(names)}|"
    for key in dumps[0]:
        values = [json.dumps(dump[key]) for dump in dumps]
        if len(set(values)) > 1:
            yield f"| `{key}` | {' | '.join(f'`{value}`' for value in values)} |"


def config_sections(model: type[BaseModel], path: str, example: Any = None) -> Iterator[str]:
    yield f"\n## {f'`{path}`' if path else 'Top level'}\n"
    yield inspect.cleandoc(model.__doc__ or "").split("\n\n")[0]
    yield "\n| key | type | default | bounds | meaning |\n|---|---|---|---|---|"
    inner: list[tuple[type[BaseModel], str, Any]] = []
    for name, field in model.model_fields.items():
        models = models_in(field.annotation)
        if models:
            marked = f"{path}.{name}" if path else name
            marked += "[]" if get_origin(field.annotation) is list else ""
            value = getattr(example, name, None)
            inner.append((models[0], marked, value if isinstance(value, BaseModel) else None))
            anchor = "".join(c for c in marked if c.isalnum() or c in "_-")
            default = "" if get_origin(field.annotation) is not list else default_of(field)
            kind = f"[{'list of sections' if '[]' in marked else 'section'}](#{anchor})"
            text = field.description or inspect.cleandoc(models[0].__doc__ or "").split("\n")[0]
            yield f"| `{name}` | {kind} | {cell(default)} | | {cell(text)} |"
        else:
            limits = bounds(field.metadata, field.annotation)
            default = default_of(field, getattr(example, name, PydanticUndefined))
            row = [
                f"`{name}`",
                *map(cell, (type_name(field.annotation), default, limits, field.description or "")),
            ]
            yield f"| {' | '.join(row)} |"
    if path == "tiling":
        yield from presets()
    for child, marked, value in inner:
        yield from config_sections(child, marked, value)


def config_page() -> str:
    lines = [
        "# Configuration",
        "",
        "Every key of a `configs/*.yaml`, generated from the program.",
        "`inkdot init` writes a file with all of them and their defaults.",
        "",
        "A key that is left out has its default; an unknown key is an error.",
        "Names end in their unit: `_px` pixels, `_um` micrometres, `_fraction` 0 to 1. `mpp` is micrometres per pixel.",
        "",
        "Defaults of `tiling` depend on `preparation`: those of `thinprep` are shown.",
    ]
    return "\n".join([*lines, *config_sections(Config, "", default_config("thinprep"))]) + "\n"


# Python


def public_names() -> dict[str, str]:
    """What the stub of the package imports, with its full path: functions first, then modules and classes."""
    stub = Path(inkdot.__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    imports = [node for node in ast.parse(stub).body if isinstance(node, ast.ImportFrom)]
    paths = {
        alias.asname or alias.name: f"{node.module}.{alias.name}" for node in imports for alias in node.names
    }
    return {name: paths[name] for name in sorted(paths, key=lambda name: (name[0].isupper(), name == "plot"))}


def summary_line(path: str) -> str:
    """First line of the docstring of a module, function or class, read without importing it."""
    root = Path(inkdot.__file__).parent.parent
    file = root.joinpath(*path.split(".")).with_suffix(".py")
    if file.exists():
        doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    else:
        module, _, name = path.rpartition(".")
        tree = ast.parse(root.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8"))
        found = [
            node
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name
        ]
        doc = ast.get_docstring(found[0]) if found else None
    return (doc or "").split("\n\n")[0]


def api_page() -> str:
    lines = [
        "# Python API",
        "",
        "`import inkdot` gives these names. Each is loaded when it is first used: `import inkdot` itself loads no torch.",
        "",
        "| name | what it is |",
        "|---|---|",
    ]
    names = public_names()
    lines += [f"| [`inkdot.{name}`](#{path}) | {cell(summary_line(path))} |" for name, path in names.items()]
    for name, path in names.items():
        lines += [
            "",
            f"::: {path}",
            "    options:",
            f"      heading: inkdot.{name}",
            f"      toc_label: {name}",
        ]
        lines += ["      show_root_heading: true", "      heading_level: 2"]
    return "\n".join(lines) + "\n"


# Names of earlier versions


def renamed_keys() -> str:
    rows = [f"| `{old}` | {f'`{new}`' if new else 'removed'} |" for old, new in RENAMED_KEYS.items()]
    rows += [
        f"| `{key}: {old}` | {f'`{key}: {new}`' if new else 'removed'} |"
        for (key, old), new in RENAMED_VALUES.items()
    ]
    note = "A new key without a section stays in the section of the old one."
    return "\n".join([note, "", "| old | new |", "|---|---|", *rows])


def renamed_options() -> str:
    rows = [
        f"| `inkdot {command}` | `{old}` | `{new}` |"
        for command, options in RENAMED_OPTIONS.items()
        for old, new in options.items()
    ]
    return "\n".join(["| command | old | new |", "|---|---|---|", *rows])


# Decisions


def decision_rows() -> Iterator[str]:
    """Number, title, status and date of every decision, from its first lines."""
    for file in sorted(DECISIONS.glob("[0-9]*.md")):
        text = file.read_text(encoding="utf-8")
        title = re.match(r"# 0*(\d+)\.? +(.+)", text)
        status, date = (
            re.search(rf"^-? ?\**{key}:\** *(.+)$", text, re.MULTILINE) for key in ("Status", "Date")
        )
        if not (title and status and date):
            raise ValueError(f"{file}: expected '# NUMBER. TITLE', '- Status: …' and '- Date: …'")
        yield f"| {title[1]} | [{title[2]}]({file.name}) | {status[1]} | {date[1]} |"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Hook of MkDocs: fill generated tables, and keep of a fence `sh no-run: REASON` its language."""
    markdown = re.sub(r"^(```\w+) no-run:.*$", r"\1", markdown, flags=re.MULTILINE)
    for marker, make in TABLES.items():
        if marker in markdown:
            markdown = markdown.replace(marker, make())
    return markdown


def decisions_table() -> str:
    return "\n".join(["| | decision | status | date |", "|---|---|---|---|", *decision_rows()])


# Encoders


def encoders_page() -> str:
    """The page of encoders: the table, then what each was taken from."""
    kept = ENCODERS.read_text(encoding="utf-8").split("<!-- encoders -->")
    header = ["| name | domain | side px | µm/px | width | licence |", "|---|---|---|---|---|---|"]
    rows = [
        f"| [{row[0]}](#{row[0].replace('.', '')}) | {' | '.join(map(cell, row[1:]))} |"
        for row in table_rows()
    ]
    facts = [line for recipe in encoder_recipes().values() for line in encoder_facts(recipe)]
    return "\n".join(
        [f"{kept[0]}<!-- encoders -->", "", *header, *rows, "", *facts, f"<!-- encoders -->{kept[-1]}"]
    )


def encoder_facts(recipe: EncoderRecipe) -> Iterator[str]:
    """All facts of an encoder in Markdown."""
    title, _, *lines = fact_lines(recipe)
    stop = lines.index("")
    yield from (f"### {recipe.name}", "", title + ".", "", "| | |", "|---|---|")
    for line in lines[:stop]:
        yield f"| {line[:15].strip()} | {cell(line[15:])} |"
    yield ""


TABLES = {
    "<!-- renamed config keys -->": renamed_keys,
    "<!-- renamed options -->": renamed_options,
}
PAGES = {"reference/cli.md": cli_page, "reference/config.md": config_page, "reference/api.md": api_page}


def on_files(files: Any, config: Any) -> Any:
    """Hook of MkDocs: add the generated pages to those of the folder."""
    from mkdocs.structure.files import File

    for path, make in PAGES.items():
        files.append(File.generated(config, path, content=make()))
    return files


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Hook of MkDocs: search works from disk, and roles of docstrings such as `:func:` are not shown.

    The theme's one script from elsewhere is replaced by ours.
    """
    up = "../" * page.file.dest_uri.count("/")
    return WORKER.sub(f"{up}javascripts/file_worker.js", ROLE.sub("", output))


def on_post_template(output_content: str, template_name: str, **_: Any) -> str:
    """Hook of MkDocs: the same for pages that are no documents, such as 404.html."""
    return WORKER.sub("javascripts/file_worker.js", output_content)


if __name__ == "__main__":
    if sys.argv[1:] == ["decisions"]:
        index = DECISIONS / "index.md"
        kept = index.read_text(encoding="utf-8").split("<!-- decisions -->")
        index.write_text(
            f"{kept[0]}<!-- decisions -->\n\n{decisions_table()}\n\n<!-- decisions -->{kept[-1]}",
            encoding="utf-8",
        )
    elif sys.argv[1:] == ["encoders"]:
        ENCODERS.write_text(encoders_page(), encoding="utf-8")
    else:
        sys.stdout.write("\n".join(make() for make in PAGES.values()))
