"""Wrong input is one clear line on stderr and exit code 2: no traceback, nothing left behind."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from inkdot.cli.app import app
from inkdot.cli.options import RENAMED_OPTIONS

Inkdot = Callable[..., None]
DEMO = Path(__file__).parents[2] / "models" / "demo"


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_a_missing_config_names_inkdot_init(
    tmp_path: Path, inkdot: Inkdot, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "slides.csv").write_text("slide_id,path\na,a.svs\n")
    inkdot(
        "tile", tmp_path / "slides.csv", "--config", tmp_path / "none.yaml", "--out", tmp_path / "run", code=2
    )
    line = one_line(capsys)
    assert "none.yaml" in line
    assert "inkdot init" in line
    assert not (tmp_path / "run").exists()


def test_unknown_key_is_named(tmp_path: Path, inkdot: Inkdot, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "slides.csv").write_text("slide_id,path\na,a.svs\n")
    (tmp_path / "c.yaml").write_text("tiling: {sidepx: 64}\n")
    inkdot(
        "tile", tmp_path / "slides.csv", "--config", tmp_path / "c.yaml", "--out", tmp_path / "run", code=2
    )
    assert "tiling.sidepx" in one_line(capsys)


def test_a_folder_that_is_no_model_is_named(
    tmp_path: Path, inkdot: Inkdot, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "slides.csv").write_text("slide_id,path\na,a.svs\n")
    inkdot("predict", tmp_path / "slides.csv", "--model", tmp_path, "--out", tmp_path / "results", code=2)
    line = one_line(capsys)
    assert "model.json" in line
    assert "inkdot train" in line
    assert not (tmp_path / "results").exists()


def test_a_file_name_with_control_characters_stays_one_line(
    tmp_path: Path, inkdot: Inkdot, capsys: pytest.CaptureFixture[str]
) -> None:
    inkdot("doctor", tmp_path / "a\nb\x1b[2J.tif", code=2)
    # A line break in a message becomes a space, whoever wrote it; other control characters are escaped.
    assert r"a b\x1b[2J.tif" in one_line(capsys)


def test_a_model_without_a_field_is_named_by_it(
    tmp_path: Path, inkdot: Inkdot, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "slides.csv").write_text("slide_id,path\na,a.svs\n")
    shutil.copytree(DEMO, tmp_path / "model")
    description = json.loads((DEMO / "model.json").read_text(encoding="utf-8"))
    del description["temperatures"]
    (tmp_path / "model" / "model.json").write_text(json.dumps(description))
    inkdot("predict", tmp_path / "slides.csv", "--model", tmp_path / "model", "--out", tmp_path / "r", code=2)
    line = one_line(capsys)
    assert "temperatures: Field required; copy the whole model folder again" in line
    assert "pydantic" not in line


def test_ctrl_c_ends_with_130_and_one_line(
    tmp_path: Path, inkdot: Inkdot, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("inkdot.stages.init.run", interrupted)
    inkdot("init", "--out", tmp_path / "c.yaml", code=130)
    assert one_line(capsys) == "inkdot: stopped; run the same command to resume"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("predict", "a.svs", "--no-pictures"),
            "predict: --no-pictures was renamed to --no-slide-images; use the new name",
        ),
        (
            ("review", "serve", "--answers=x"),
            "review serve: --answers was renamed to --verdicts; use the new name",
        ),
    ],
)
def test_an_option_of_an_earlier_version_is_named_with_its_new_name(
    words: tuple[str, ...], message: str, inkdot: Inkdot, capsys: pytest.CaptureFixture[str]
) -> None:
    inkdot(*words, code=2)
    assert one_line(capsys) == f"inkdot {message}"


def test_every_renamed_option_is_gone_and_its_new_name_is_there() -> None:
    def option_names(words: list[str]) -> set[str]:
        command: Any = typer.main.get_command(app)
        for word in words:
            command = command.commands[word]
        return {name for option in command.params for name in (*option.opts, *option.secondary_opts)}

    for command, renames in RENAMED_OPTIONS.items():
        assert set(renames.values()) <= option_names(command.split())
        assert option_names(command.split()).isdisjoint(renames)


def test_missing_results_are_named(
    tmp_path: Path, inkdot: Inkdot, capsys: pytest.CaptureFixture[str]
) -> None:
    inkdot("review", "export", "--results", tmp_path / "nothing", "--out", tmp_path / "review", code=2)
    assert "nothing" in one_line(capsys)
    assert not (tmp_path / "review").exists()
