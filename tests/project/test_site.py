"""The docs site: generated pages are complete, and what is built needs nothing from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from inkdot.cli.app import app
from inkdot.config import commented_yaml, default_config

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "scripts"))

import docs_pages  # noqa: E402


def test_the_page_of_the_command_line_has_every_command() -> None:
    import typer

    page = docs_pages.cli_page()
    for path, command in docs_pages.commands(typer.main.get_command(app), ("inkdot",)):
        assert f"`{' '.join(path)}` {{ #" in page
        assert all(
            option in page for item in command.params for option in item.opts if option.startswith("--")
        )


def test_the_page_of_the_config_has_every_key() -> None:
    page = docs_pages.config_page()
    keys = set(
        re.findall(r"^ *(?:- )?([a-z_0-9]+):", commented_yaml(default_config("thinprep")), flags=re.MULTILINE)
    )
    free = {"benign", "malignant", "atypical", "unsure", "small_cell", "large_cell", "mixed", "indeterminate"}
    assert len(keys) > 80
    assert {key for key in keys - free if f"`{key}`" not in page} == set()


def test_the_page_of_encoders_is_current() -> None:
    page = docs_pages.ENCODERS.read_text(encoding="utf-8")
    assert page == docs_pages.encoders_page(), "run: python scripts/docs_pages.py encoders"


def test_the_index_of_decisions_lists_every_decision() -> None:
    index = (docs_pages.DECISIONS / "index.md").read_text(encoding="utf-8")
    missing = [row for row in docs_pages.decision_rows() if row not in index]
    assert missing == [], "run: python scripts/docs_pages.py decisions"


@pytest.mark.slow
def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    site = tmp_path / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(site)]
    built = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    pages = list(site.rglob("*.html"))
    assert len(pages) > 60
    for page in pages:
        html = page.read_text(encoding="utf-8")
        assert re.findall(r'src="(?:https?:)?//[^"]*"', html) == [], page
        assert (
            re.findall(r'<link[^>]*rel="(?:stylesheet|preconnect|icon)"[^>]*href="(?:https?:)?//[^"]*"', html)
            == []
        ), page
