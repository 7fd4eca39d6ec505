"""The contracts of pyproject.toml bite: a toy house with one wrong import is refused."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest


def build_house(folder: Path, repository: Path) -> Path:
    """Make an empty package with every floor of the contract, under the contract itself."""
    config = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    floors = next(one for one in config["tool"]["importlinter"]["contracts"] if one["id"] == "floors")
    shutil.copy(repository / "pyproject.toml", folder)
    package = folder / "inkdot"
    for room in [name.strip() for floor in floors["layers"] for name in floor.split("|")]:
        if not room.startswith("("):
            (package / room).mkdir(parents=True)
            (package / room / "__init__.py").touch()
    (package / "__init__.py").touch()
    for verb in ("tile", "train"):
        (package / "stages" / f"{verb}.py").touch()
    (package / "work" / "tile_slide.py").touch()
    (package / "work" / "score_slide.py").write_text("import torch\n", encoding="utf-8")
    (package / "model" / "network.py").write_text("import timm\nimport torch\n", encoding="utf-8")
    (package / "slides" / "pyramid.py").write_text("import tifffile\n", encoding="utf-8")
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


def test_an_orderly_house_passes(tmp_path: Path, repository: Path) -> None:
    build_house(tmp_path, repository)
    answer = lint(tmp_path)
    assert answer.returncode == 0, answer.stdout
    assert "0 broken" in answer.stdout


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("slides/__init__.py", "import inkdot.work", "Imports run downhill"),
        ("tiling/__init__.py", "import inkdot.slides", "Imports run downhill"),
        ("loft.py", "", "Imports run downhill"),
        ("stages/train.py", "import inkdot.stages.tile", "No stage imports another stage"),
        ("cli/__init__.py", "import torch", "Network libraries"),
        ("work/tile_slide.py", "import torch", "Network libraries"),
        ("review/__init__.py", "from albumentations import Compose", "Network libraries"),
        ("synthetic/__init__.py", "import tifffile", "Slide files"),
        ("stages/tile.py", "def late():\n    import openslide", "Slide files"),
        ("work/__init__.py", "import ray", "Ray"),
        ("evaluation/__init__.py", "import scipy.stats", "Evaluation"),
    ],
)
def test_one_wrong_import_is_refused(
    tmp_path: Path, repository: Path, file: str, line: str, contract: str
) -> None:
    package = build_house(tmp_path, repository)
    (package / file).write_text(f"{line}\n", encoding="utf-8")
    answer = lint(tmp_path)
    assert answer.returncode == 1, answer.stdout
    broken = [said for said in answer.stdout.splitlines() if "BROKEN" in said]
    assert len(broken) == 1, answer.stdout
    assert broken[0].startswith(contract)
