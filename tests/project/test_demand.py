"""The test configuration: reasons for skips, and skips that CI refuses."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = """
import pytest

@pytest.mark.real_data
def test_reads_a_slide(real_data):
    assert real_data.is_dir()

@pytest.mark.real_data
def test_gives_up_by_itself():
    pytest.skip("that slide is missing")

@pytest.mark.real_data
@pytest.mark.xfail(strict=True)
def test_is_known_to_fail():
    assert False

def test_needs_nothing():
    pass
"""


def run_suite(folder: Path, repository: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    tests = folder / "checkout" / "tests"
    tests.mkdir(parents=True)
    shutil.copy(repository / "tests" / "conftest.py", tests)
    (tests / "test_suite.py").write_text(SUITE, encoding="utf-8")
    (tests.parent / "pytest.ini").write_text("[pytest]\nmarkers = real_data\n", encoding="utf-8")
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("INKDOT_", "PYTEST_"))
    }
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rsf", "-p", "no:cacheprovider", str(tests)],
        cwd=tests.parent,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_missing_slides_are_a_skip_with_a_reason(tmp_path: Path, repository: Path) -> None:
    ended = run_suite(tmp_path, repository)
    assert ended.returncode == 0, ended.stdout
    assert "1 passed, 3 skipped" in ended.stdout
    assert f"no real slides: {tmp_path / 'shared' / 'data'} is missing" in ended.stdout


def test_a_skip_fails_where_its_marker_is_demanded(tmp_path: Path, repository: Path) -> None:
    ended = run_suite(tmp_path, repository, INKDOT_DEMAND="browser,real_data")
    assert ended.returncode == 1
    assert "1 passed, 3 errors" in ended.stdout
    assert "INKDOT_DEMAND demands the tests marked real_data, but: Skipped: no real slides" in ended.stdout


def test_present_slides_are_read(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "slides").mkdir()
    ended = run_suite(
        tmp_path, repository, INKDOT_SHARED_DATA=str(tmp_path / "slides"), INKDOT_DEMAND="real_data"
    )
    assert "1 failed, 2 passed, 1 xfailed" in ended.stdout
    assert "but: Skipped: that slide is missing" in ended.stdout


def test_an_unknown_demand_is_named(tmp_path: Path, repository: Path) -> None:
    ended = run_suite(tmp_path, repository, INKDOT_DEMAND="real-data")
    assert ended.returncode != 0
    assert (
        "INKDOT_DEMAND names ['real-data']; expected some of slow, browser, ray, real_data." in ended.stderr
    )


@pytest.mark.parametrize(
    ("results", "status", "line"),
    [
        (['<testsuite tests="5" failures="0" errors="0" skipped="2"/>'], 0, "3 passed, 0 failed, 2 skipped"),
        (
            [
                '<testsuite tests="5" failures="1" errors="1" skipped="0"/>',
                '<testsuite tests="2" failures="0" errors="0" skipped="0"/>',
            ],
            1,
            "5 passed, 2 failed, 0 skipped",
        ),
        (['<testsuite tests="0" failures="0" errors="0" skipped="0"/>'], 1, "0 passed, 0 failed, 0 skipped"),
    ],
)
def test_counts_add_up(tmp_path: Path, repository: Path, results: list[str], status: int, line: str) -> None:
    paths = [tmp_path / f"{number}.xml" for number in range(len(results))]
    for path, result in zip(paths, results, strict=True):
        path.write_text(f"<testsuites>{result}</testsuites>", encoding="utf-8")
    script = repository / "scripts" / "count_tests.py"
    ended = subprocess.run([sys.executable, script, *paths], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout.strip()) == (status, line)


@pytest.mark.skipif(shutil.which("make") is None, reason="no make here")
@pytest.mark.parametrize(
    ("script", "message"),
    [(None, "found no"), ('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.9.1\nexit 1\n', "is Python 3.9.1.")],
)
def test_install_names_the_python_it_needs(
    tmp_path: Path, repository: Path, script: str | None, message: str
) -> None:
    python = tmp_path / "python"
    if script is not None:
        python.write_text(script, encoding="utf-8")
        python.chmod(0o755)
    ended = subprocess.run(
        ["make", "install", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert f"Inkdot needs Python 3.11 or newer; {message}" in ended.stderr.replace(f"'{python}' ", "")
    assert not (tmp_path / "venv").exists()
