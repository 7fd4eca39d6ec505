"""``inkdot run``: doctor, predict and review export as one step."""

import json
import shutil
import webbrowser
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from inkdot.cli.run_steps import RunSummary, has_display, summary_lines
from inkdot.records import Mpp
from inkdot.slides.pyramid import write_array_pyramid

Inkdot = Callable[..., None]
MODEL = Path(__file__).parents[2] / "models" / "demo"


def cells(path: Path) -> None:
    """Glass with dark blue cells of 9 µm."""
    rgb = np.full((800, 800, 3), 238, np.uint8)
    y, x = np.mgrid[:800, :800]
    for cx, cy in np.random.default_rng(0).integers(60, 740, (30, 2)):
        rgb[(x - cx) ** 2 + (y - cy) ** 2 < 9**2] = (70, 60, 130)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_array_pyramid(path, rgb, mpp=Mpp.square(0.5), downsamples=(1, 4))


@pytest.mark.parametrize(
    ("source", "model", "out", "message"),
    [
        ("empty", MODEL, "out", "empty: expected slide files, found none"),
        ("nowhere", MODEL, "out", "found nothing there; correct the path"),
        ("slides", Path("slides"), "out", "expected a model folder with model.json"),
        ("slides", MODEL, "slides/a file", "expected a folder for the outputs, found a file"),
        ("slides", MODEL, "out", "a: expected a synthetic slide"),
    ],
    ids=["empty folder", "no folder", "no model", "out is a file", "real slide"],
)
def test_wrong_input_is_one_line_before_anything_is_written(
    source: str,
    model: Path,
    out: str,
    message: str,
    tmp_path: Path,
    inkdot: Inkdot,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    cells(tmp_path / "slides/a.tif")
    (tmp_path / "slides/a file").write_text("x")
    before = sorted(tmp_path.rglob("*"))
    inkdot("run", source, "--model", model, "--out", out, code=2)
    said = capsys.readouterr()
    (line,) = said.err.strip().splitlines()
    assert message in line
    assert said.out == ""
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_folder_is_scored_and_shown_and_a_rerun_resumes(
    tmp_path: Path, inkdot: Inkdot, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "my slïdes"
    cells(folder / "case 1/a b.tif")
    (folder / "brökén.svs").write_text("not a slide")
    out = folder / "the out"  # inside the folder that is searched
    command = ("run", folder, "--model", MODEL, "--allow-synthetic-model", "--out", out, "--workers", 1)

    inkdot(*command, code=1)
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0].startswith("1 of 2 slides scored: 1 ")
    assert lines[1].startswith("failed: brökén: ")
    assert lines[-1] == f"Review page: {(out / 'review/index.html').as_uri()}"
    assert (out / "review/index.html").is_file()
    assert "1 of 2 slides without a result can be used" in said.err
    assert opened == []  # nowhere to show it

    (folder / "brökén.svs").unlink()
    monkeypatch.setenv("DISPLAY", ":0")
    inkdot(*command, "--json")
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert (found["version"], found["slides"], found["scored"], found["failed"]) == ("inkdot.run/1", 1, 1, [])
    assert sum(found["calls"].values()) == 1
    assert found["exit_code"] == 0
    assert "all slides have a result of an earlier run" in said.err
    assert "predict: 1 reused" in said.err
    assert opened == []  # a program reads the answer

    shutil.rmtree(out / "review")
    inkdot(*command, "--no-open")
    assert opened == []
    inkdot(*command)
    assert opened == [(out / "review/index.html").as_uri()]


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {"SSH_CONNECTION": "1"}, False),
        ("linux", {"SSH_CONNECTION": "1", "DISPLAY": "localhost:10"}, True),
        ("darwin", {}, True),
        ("darwin", {"SSH_CONNECTION": "1"}, False),
        ("win32", {}, True),
    ],
)
def test_a_page_is_opened_only_where_it_can_be_seen(
    platform: str, variables: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("inkdot.cli.run_steps.sys.platform", platform)
    assert has_display() is expected


def test_the_summary_names_the_first_failures_and_where_the_others_are(tmp_path: Path) -> None:
    failed = {f"s{number:02}": "damaged" for number in range(12)}
    lines = summary_lines(
        RunSummary(tmp_path / "results", tmp_path / "index.html", {"flagged": 3}, failed, 1)
    )
    assert lines[0] == "3 of 15 slides scored: 3 flagged"
    assert lines[10] == "failed: s09: damaged"
    assert lines[11] == f"and 2 more that failed: see {tmp_path / 'results/predictions.csv'}"
    assert "tries again what failed" in lines[12]
