"""Rules that no other tool checks: what may lie in the repository, sizes, names, addresses."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = sorted((REPOSITORY / "src" / "inkdot").rglob("*.py"))
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 80
BANNED_MODULES = ("utils", "util", "helpers", "helper", "manager", "managers", "misc", "common")
BANNED_PREFIXES = ("get_", "process_", "handle_")
MAKE_TARGETS = {"install", "demo", "test", "test-all", "check", "docs", "bench", "ci", "help"}
# XML names its vocabularies by address, a formula cites its source by DOI, servers in tests are local, and names that end
# in .example belong to nobody (RFC 2606).
HARMLESS_HOSTS = ("www.w3.org", "doi.org", "localhost", "127.0.0.1")
ADDRESS = re.compile(r"https?://([^/\s\"'`)>\]:]+)")
MACHINE_PATH = re.compile(r"(?<![\w.$}/-])/(?:root|home|Users|work)/\w")


@pytest.fixture(scope="module")
def tracked(repository: Path) -> list[Path]:
    git = shutil.which("git")
    if git is None or not (repository / ".git").exists():
        pytest.skip("no git checkout here: nothing is tracked")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=repository, check=True, capture_output=True)
    paths = (repository / name for name in listed.stdout.decode().split("\0") if name)
    return [path for path in paths if path.is_file()]


def texts(paths: list[Path]) -> dict[str, str]:
    """Return what can be read as text, by path relative to the repository."""
    found: dict[str, str] = {}
    for path in paths:
        try:
            found[path.relative_to(REPOSITORY).as_posix()] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return found


def relative(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def distribution(requirement: str) -> str:
    """Return the distribution that a requirement names, spelled one way."""
    return re.split(r"[\[<>=!~;@ ]", requirement)[0].lower().replace("_", "-")


def imported_modules(tree: ast.AST) -> set[str]:
    """Return the top-level modules that a source file imports anywhere."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            found.add(node.module.partition(".")[0])
    return found


def test_no_slide_and_no_big_file_is_tracked(repository: Path, tracked: list[Path]) -> None:
    assert tracked
    ended = subprocess.run(
        [sys.executable, repository / "scripts" / "refuse_slide_files.py"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_constraints_are_exact_versions_without_addresses(repository: Path) -> None:
    lines = (repository / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    unexpected = [line for line in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line)]
    assert unexpected == []
    assert pins == sorted(pins, key=str.lower)


def test_constraints_pin_every_requirement(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    requirements = [
        *project["project"]["dependencies"],
        *project["dependency-groups"]["dev"],
        *project["build-system"]["requires"],
    ]
    for extra in project["project"].get("optional-dependencies", {}).values():
        requirements += extra
    names = {distribution(requirement) for requirement in requirements}
    lines = (repository / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    assert sorted(names - pinned - {"inkdot"}) == []


def test_no_lock_file_is_tracked(tracked: list[Path]) -> None:
    locks = {"poetry.lock", "uv.lock", "pdm.lock", "Pipfile.lock", "package-lock.json", "conda-lock.yml"}
    assert [relative(path) for path in tracked if path.name in locks] == []


def test_no_address_outside_prose(tracked: list[Path]) -> None:
    """What runs asks no host; documents, licences and the sources in the table of encoders may cite.

    Programs of others are shipped as they came: there the pages' policy sees to it that they ask this machine alone
    (tests/serve).
    """
    programs = [
        path
        for path in tracked
        if path.suffix != ".md"
        and path.name not in {"LICENSE", "recipes.yaml"}
        and path.parent.name != "vendor"
    ]
    found = {
        (name, host)
        for name, text in texts(programs).items()
        for host in ADDRESS.findall(text)
        if host not in HARMLESS_HOSTS
        and not host.endswith(".example")
        and "\\" not in host
        and "[" not in host
        and "{" not in host
    }
    assert found == set()


def test_no_path_of_one_machine(tracked: list[Path]) -> None:
    found = [
        f"{name}: {match[0]}"
        for name, text in texts(tracked).items()
        for match in MACHINE_PATH.finditer(text)
    ]
    assert found == []


def test_makefile_has_the_ci_jobs(repository: Path) -> None:
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, flags=re.MULTILINE))
    assert targets >= MAKE_TARGETS
    phony = re.search(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) == targets


@pytest.mark.skipif(os.name == "nt", reason="Windows has no executable bit")
def test_ci_runs_the_make_targets(repository: Path) -> None:
    script = repository / ".ci" / "run"
    assert os.access(script, os.X_OK)
    text = script.read_text(encoding="utf-8")
    for target in ("install", "check", "test", "test-all", "docs"):
        assert re.search(rf"make --no-print-directory {target} ", text), (
            f".ci/run does not call make {target}"
        )
    assert "demo --quick" in text


def test_the_workflow_runs_the_make_targets_on_every_supported_python(repository: Path) -> None:
    workflow = yaml.safe_load((repository / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    fast, slow = workflow["jobs"]["fast"], workflow["jobs"]["slow"]
    assert fast["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    runs = [step["run"] for step in fast["steps"] if "run" in step]
    assert runs == ["make install", "make check", "make test", "make docs"]
    assert "make test-all REST=1" in [step.get("run") for step in slow["steps"]]


def test_hooks_are_local(repository: Path) -> None:
    config = yaml.safe_load((repository / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert {hook["language"] for hook in hooks} == {"system"}
    assert any("scripts/refuse_slide_files.py" in hook["entry"] for hook in hooks)


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_source_file_is_short_and_well_named(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    length = len(text.splitlines())
    assert length <= MAX_FILE_LINES, (
        f"{relative(path)} has {length} lines, at most {MAX_FILE_LINES}: split it by subject"
    )
    assert path.stem not in BANNED_MODULES, f"{relative(path)}: name a module after what it knows"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            long = (node.end_lineno or node.lineno) - node.lineno + 1
            assert long <= MAX_FUNCTION_LINES, (
                f"{relative(path)}: {node.name} has {long} lines, at most {MAX_FUNCTION_LINES}"
            )
            assert not node.name.lstrip("_").startswith(BANNED_PREFIXES), (
                f"{relative(path)}: {node.name}: say what it returns or does, not that it gets or handles"
            )


def test_every_import_is_a_declared_requirement(repository: Path) -> None:
    """What only the tests install, or what comes along with another package, is not there for users."""
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [one for extra in project.get("optional-dependencies", {}).values() for one in extra]
    declared = {distribution(requirement) for requirement in [*project["dependencies"], *extras]}
    providers = packages_distributions()
    undeclared = {
        f"{relative(path)}: {module}"
        for path in SOURCES
        for module in imported_modules(ast.parse(path.read_text(encoding="utf-8")))
        if module != "inkdot" and module not in sys.stdlib_module_names
        if declared.isdisjoint(distribution(name) for name in providers.get(module, [module]))
    }
    assert sorted(undeclared) == []


def test_package_is_typed_and_licensed(repository: Path) -> None:
    assert (repository / "src" / "inkdot" / "py.typed").exists()
    licence = (repository / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in licence
    assert "Version 2.0, January 2004" in licence
