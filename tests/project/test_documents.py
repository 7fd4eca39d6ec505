"""Commands in the documents are run, or say why not.

In README.md and docs/**/*.md a fenced block that holds commands is marked

- ```` ```sh ````: run in order, one scratch folder per document (`make TARGET` must name a target of the
  Makefile, as the targets are run by `.ci/run`; `inkdot demo` must have known options, for the same reason);
- ```` ```console ````: the same for the lines that begin with `$ `; the rest shows what they print;
- ```` ```sh no-run: REASON ````: not run; but the options of its `inkdot` lines must exist.
"""

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
COMMANDS = ("inkdot", "make")
SHELL_SIGNS = ("|", ">", "<", "&", "$", "`", ";", "*", "~")
HARMLESS = ("cd",)  # the scratch folder stays where it is
GENERATED = {
    REPOSITORY / "docs/reference" / name for name in ("cli.md", "config.md", "api.md")
}  # scripts/docs_pages.py


class DocumentError(Exception):
    """A document holds a command in a form that cannot be checked."""


@dataclass(frozen=True)
class Command:
    """One command line of a document; `run` is False in a block that says why it is not run."""

    words: tuple[str, ...]
    line_number: int
    run: bool

    @property
    def program(self) -> str:
        return Path(self.words[0]).name


@dataclass(frozen=True)
class Block:
    """A fenced block: what stands behind the fence, the number of its first line, and its lines."""

    info: str
    line_number: int
    lines: tuple[str, ...]


def fenced_blocks(text: str) -> list[Block]:
    blocks: list[Block] = []
    fence, info, start, lines = "", "", 0, list[str]()
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not fence:
            if match := re.match(r"^(`{3,}|~{3,})\s*(.*)$", stripped):
                fence, info, start, lines = match[1], match[2], number + 1, []
        elif stripped.startswith(fence) and not stripped.strip(fence[0]):
            blocks.append(Block(info, start, tuple(lines)))
            fence = ""
        else:
            lines.append(line)
    if fence:
        raise DocumentError(f"line {start - 1}: expected the end of the block, found the end of the document")
    return blocks


def joined_lines(block: Block, prompt: str) -> list[tuple[int, str]]:
    """Return the command lines of a block, those that end in a backslash joined with the next."""
    commands: list[tuple[int, str]] = []
    continued = False
    for number, line in enumerate(block.lines, start=block.line_number):
        stripped = line.strip()
        if continued:
            first, so_far = commands[-1]
            commands[-1] = (first, f"{so_far} {stripped.removesuffix(chr(92)).strip()}")
        elif not stripped or stripped.startswith("#") or not stripped.startswith(prompt):
            continue
        else:
            commands.append((number, stripped.removeprefix(prompt).removesuffix(chr(92)).strip()))
        continued = stripped.endswith("\\")
    return commands


def looks_like_command(line: str) -> bool:
    return line.strip().removeprefix("$ ").split(" ")[0] in COMMANDS


def commands_of(text: str) -> list[Command]:
    """Collect the commands of a document.

    Raises:
        DocumentError: a block that could not be checked, with its line and what to change.
    """
    commands: list[Command] = []
    for block in fenced_blocks(text):
        language, _, rest = block.info.partition(" ")
        if language not in ("sh", "console"):
            if any(looks_like_command(line) for line in block.lines):
                raise DocumentError(
                    f"line {block.line_number}: these are commands: mark the block 'sh', not '{block.info}'"
                )
            continue
        reason = re.fullmatch(r"no-run:\s*(\S.*)", rest.strip())
        if rest.strip() and reason is None:
            raise DocumentError(
                f"line {block.line_number}: expected 'no-run: REASON' behind the fence, found '{rest}'"
            )
        for number, line in joined_lines(block, "$ " if language == "console" else ""):
            commands += checked_command(line, number, run=reason is None)
    return commands


def checked_command(line: str, number: int, *, run: bool) -> list[Command]:
    words = tuple(shlex.split(line, comments=True))
    command = Command(words, number, run)
    if command.program in HARMLESS:
        return []
    if run and command.program not in COMMANDS:
        raise DocumentError(
            f"line {number}: '{words[0]}' cannot be run here; mark the block 'sh no-run: REASON'"
        )
    if run and (signs := [sign for sign in SHELL_SIGNS if any(sign in word for word in words)]):
        raise DocumentError(f"line {number}: no shell reads these lines, found {' '.join(signs)}")
    return [command] if command.program in COMMANDS else []


def make_targets(makefile: str) -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", makefile, flags=re.MULTILINE))


def documents() -> list[Path]:
    return [
        path
        for path in [
            REPOSITORY / "README.md",
            REPOSITORY / "CONTRIBUTING.md",
            *sorted((REPOSITORY / "docs").rglob("*.md")),
        ]
        if path.exists()
    ]


def options_known(words: tuple[str, ...], inkdot_command: list[str]) -> subprocess.CompletedProcess[str]:
    """Let the program read the words, but print its help in place of doing the work."""
    return subprocess.run(
        [*inkdot_command, *words[1:], "--help"], capture_output=True, text=True, check=False
    )


each_document = pytest.mark.parametrize(
    "document", documents(), ids=lambda path: path.relative_to(REPOSITORY).as_posix()
)


@each_document
def test_commands_are_known(document: Path, inkdot_command: list[str]) -> None:
    targets = make_targets((REPOSITORY / "Makefile").read_text(encoding="utf-8"))
    for command in commands_of(document.read_text(encoding="utf-8")):
        where = f"{document.name}, line {command.line_number}: {shlex.join(command.words)}"
        if command.program == "make":
            named = {word for word in command.words[1:] if "=" not in word and not word.startswith("-")}
            assert named <= targets, (
                f"{where}\nthe Makefile has no target {', '.join(sorted(named - targets))}"
            )
        else:
            shown = options_known(command.words, inkdot_command)
            assert shown.returncode == 0, f"{where}\n{shown.stderr}"


@pytest.mark.slow
@pytest.mark.timeout(900)
@each_document
def test_commands_run(document: Path, inkdot_command: list[str], tmp_path: Path) -> None:
    # People run these lines in the checkout, where the example configs and the demo model lie.
    shutil.copytree(REPOSITORY / "configs", tmp_path / "configs")
    shutil.copytree(REPOSITORY / "models/demo", tmp_path / "models/demo")
    for command in commands_of(document.read_text(encoding="utf-8")):
        if not command.run or command.program != "inkdot" or command.words[1:2] == ("demo",):
            continue
        finished = subprocess.run(
            [*inkdot_command, *command.words[1:]],
            cwd=tmp_path,
            env={**os.environ, "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        where = f"{document.name}, line {command.line_number}: {shlex.join(command.words)}"
        assert finished.returncode == 0, f"{where}\n{finished.stdout[-2000:]}\n{finished.stderr[-2000:]}"


@each_document
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)\s#]+)[^)]*\)", document.read_text(encoding="utf-8"))
    local = [link for link in links if not re.match(r"[a-z]+:", link)]
    targets = {link: Path(os.path.normpath(document.parent / link)) for link in local}
    assert [link for link, target in targets.items() if not target.exists() and target not in GENERATED] == []


@each_document
def test_files_of_the_repository_exist(document: Path) -> None:
    if document.name == "upgrade.md":  # lists old names
        return
    named = set(re.findall(r"`([^`\s]+)`", document.read_text(encoding="utf-8")))
    folders = r"(?:src|tests|scripts|benchmarks|experiments|configs|docs|models)/[\w./-]+"
    paths = {name for name in named if re.fullmatch(folders, name)}
    assert [path for path in sorted(paths) if not (REPOSITORY / path).exists()] == []
    tests = {name for name in named if re.fullmatch(r"test_\w+\.py", name)}
    assert [name for name in sorted(tests) if not list((REPOSITORY / "tests").rglob(name))] == []


def test_collects_commands_in_order() -> None:
    text = "\n".join(
        [
            "# Title",
            "```sh",
            "# make the environment",
            "make demo",
            "inkdot synth --preset tiny \\",
            "  --slides 2   # two are enough",
            "```",
            "```console",
            "$ inkdot tile slides.csv",
            "2 slides tiled",
            "```",
            "```sh no-run: needs your slides",
            "inkdot predict yours/ | tee log",
            "scp yours there:",
            "```",
            "```yaml",
            "key: value",
            "```",
        ]
    )
    assert [(command.words, command.line_number, command.run) for command in commands_of(text)] == [
        (("make", "demo"), 4, True),
        (("inkdot", "synth", "--preset", "tiny", "--slides", "2"), 5, True),
        (("inkdot", "tile", "slides.csv"), 9, True),
        (("inkdot", "predict", "yours/", "|", "tee", "log"), 13, False),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```\ninkdot demo\n```", "mark the block 'sh'"),
        ("```bash\nmake test\n```", "mark the block 'sh'"),
        ("```sh no-run\ninkdot demo\n```", "expected 'no-run: REASON'"),
        ("```sh no-run:   \ninkdot demo\n```", "expected 'no-run: REASON'"),
        ("```sh\ncurl there\n```", "'curl' cannot be run here"),
        ("```sh\ninkdot demo > log\n```", "no shell reads these lines"),
        ("```sh\ninkdot demo\n", "expected the end of the block"),
    ],
)
def test_refuses_what_it_cannot_check(text: str, message: str) -> None:
    with pytest.raises(DocumentError, match=re.escape(message)):
        commands_of(text)
