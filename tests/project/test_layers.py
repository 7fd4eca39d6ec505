"""The contracts of pyproject.toml bite: a toy package with one wrong import is refused."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest


def build_package(folder: Path, repository: Path) -> Path:
    """Make an empty package with every layer of every layers contract, under the contracts themselves."""
    config = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    shutil.copy(repository / "pyproject.toml", folder)
    package = folder / "inkdot"
    for contract in config["tool"]["importlinter"]["contracts"]:
        if contract["type"] != "layers":
            continue
        container = folder.joinpath(*contract["containers"][0].split("."))
        for name in [name.strip() for layer in contract["layers"] for name in layer.split("|")]:
            if not name.startswith("("):
                (container / name).mkdir(parents=True, exist_ok=True)
                (container / name / "__init__.py").touch()
    (package / "__init__.py").touch()
    for file, text in {
        "stages/tile.py": "",
        "stages/train.py": "",
        "execution/runner.py": "",
        "execution/backends.py": "import inkdot.execution.runner\n",
        "pipeline/tile_slide.py": "",
        "pipeline/scoring/score_slide.py": "import torch\n",
        "model/network.py": "import timm\nimport torch\n",
        "slides/pyramid.py": "import tifffile\n",
    }.items():
        path = package / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return package


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [command, "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_orderly_package_passes(tmp_path: Path, repository: Path) -> None:
    build_package(tmp_path, repository)
    ended = lint(tmp_path)
    assert ended.returncode == 0, ended.stdout
    assert "0 broken" in ended.stdout


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("slides/__init__.py", "import inkdot.pipeline", "Packages import only from lower layers"),
        ("slides/__init__.py", "import inkdot.morphometry", "Packages import only from lower layers"),
        ("elsewhere.py", "", "Packages import only from lower layers"),
        ("stages/train.py", "import inkdot.stages.tile", "No stage imports another stage"),
        ("cli/__init__.py", "import torch", "Network libraries"),
        ("pipeline/tile_slide.py", "import torch", "Network libraries"),
        ("review/__init__.py", "from albumentations import Compose", "Network libraries"),
        ("synthetic/__init__.py", "import tifffile", "Slide files"),
        ("stages/tile.py", "def late():\n    import openslide", "Slide files"),
        ("execution/__init__.py", "import ray", "Ray"),
        ("metrics/__init__.py", "import shapely", "Metrics"),
        ("training/fit/__init__.py", "import inkdot.training.release", "Inside training"),
        ("execution/runner.py", "import inkdot.execution.backends", "No two modules"),
    ],
)
def test_one_wrong_import_is_refused(
    tmp_path: Path, repository: Path, file: str, line: str, contract: str
) -> None:
    package = build_package(tmp_path, repository)
    (package / file).write_text(f"{line}\n", encoding="utf-8")
    ended = lint(tmp_path)
    assert ended.returncode == 1, ended.stdout
    broken = [line for line in ended.stdout.splitlines() if "BROKEN" in line]
    assert len(broken) == 1, ended.stdout
    assert broken[0].startswith(contract)
