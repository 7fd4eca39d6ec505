"""What all commands share: ``-h``, ``--set`` beside ``--config``, ``--json`` as pure JSON, and shell completion."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from inkdot.cli.app import app
from inkdot.records import Mpp
from inkdot.slides.pyramid import write_array_pyramid

Inkdot = Callable[..., None]
MODEL = Path(__file__).parents[2] / "models" / "demo"


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    def walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        yield words, command
        for name, child in getattr(command, "commands", {}).items():
            yield from walk(child, (*words, name))

    return walk(typer.main.get_command(app), ())


@pytest.mark.parametrize("words", [words for words, _ in commands()], ids=" ".join)
def test_h_is_help(words: tuple[str, ...]) -> None:
    short, long = (CliRunner().invoke(app, [*words, option]) for option in ("-h", "--help"))
    assert short.exit_code == 0
    assert short.output == long.output
    assert "Usage:" in short.output


def test_every_command_with_a_config_takes_changes() -> None:
    options = {words: {name for own in command.params for name in own.opts} for words, command in commands()}
    with_config = {words for words, names in options.items() if "--config" in names}
    assert {("tile",), ("train",), ("doctor",), ("review", "import")} <= with_config
    assert with_config == {words for words, names in options.items() if "--set" in names}


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    path = tmp_path / "a.tif"
    rgb = np.full((900, 1100, 3), 238, np.uint8)
    rgb[100:140, 100:140] = (70, 60, 130)
    write_array_pyramid(path, rgb, mpp=Mpp.square(0.5), downsamples=(1, 4))
    return path


@pytest.mark.slow  # starts worker processes
def test_changes_are_recorded_in_the_run(slide: Path, tmp_path: Path, inkdot: Inkdot) -> None:
    config, out = tmp_path / "config.yaml", tmp_path / "run"
    config.write_text("tiling: {mode: grid, side_px: 64, stride_px: 64}\n")
    changes = ("--set", "tiling.mpp=0.5", "--set", "tiling.side_px=96")
    inkdot("tile", slide, "--config", config, *changes, "--out", out, "--workers", 1)
    recorded = json.loads((out / "config.json").read_text(encoding="utf-8"))["tiling"]
    assert (recorded["mpp"], recorded["side_px"], recorded["stride_px"]) == (0.5, 96, 64)


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", "--model", MODEL, "--slides", "s.csv", "--out", "o"),
        ("predict", "--images", "i.csv", "--model", MODEL, "--out", "o"),
        ("stress", MODEL, "--images", "i.csv", "--out", "o"),
        ("embed", "s.csv", "--out", "o"),
        ("review", "agreement", "v.csv"),
    ],
    ids=lambda words: str(words[0]),
)
def test_changes_need_a_config(
    command: tuple[object, ...], inkdot: Inkdot, capsys: pytest.CaptureFixture[str]
) -> None:
    inkdot(*command, "--set", "tiling.mpp=0.5", code=2)
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "--set: expected --config" in line


def said(capsys: pytest.CaptureFixture[str]) -> Any:
    """The JSON on standard output, which must hold nothing else."""
    return json.loads(capsys.readouterr().out)


def test_doctor_prints_json(slide: Path, inkdot: Inkdot, capsys: pytest.CaptureFixture[str]) -> None:
    inkdot("doctor", slide.parent, "--slide-timeout", 0, "--json", code=1)
    found = said(capsys)
    assert (found["version"], found["usable"], found["failed"]) == ("inkdot.doctor/1", 0, 1)
    assert found["config"] == {
        "source": "none given: the default settings of thinprep are assumed",
        "preparation": "thinprep",
        "mode": "clusters",
        "side_px": 256,
        "mpp": 0.25,
    }
    (own,) = found["slides"]
    assert (own["slide_id"], own["usable"], own["mpp_x"], own["width_l0_px"]) == ("a", False, 0.5, 1100)
    assert "found 0.5 µm/px" in own["problem"]
    assert any(
        note.startswith("scale: 1 of 1 slide at 0.5 µm/px, as of a 20x scan") for note in found["notes"]
    )
    inkdot("doctor", slide.parent, "--slide-timeout", 0, "--json", "--set", "tiling.mpp=0.5")
    found = said(capsys)
    assert found["usable"] == 1
    assert found["config"]["source"].endswith("changed by tiling.mpp=0.5")
    assert not [note for note in found["notes"] if note.startswith("scale:")]


def test_doctor_says_which_config_it_assumed(
    slide: Path, tmp_path: Path, inkdot: Inkdot, capsys: pytest.CaptureFixture[str]
) -> None:
    inkdot("doctor", slide, "--slide-timeout", 0, code=1)
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(
        "config: none given: the default settings of thinprep are assumed (preparation thinprep; "
    )
    assert "at 0.25 µm/px, as of a 40x scan" in first
    (tmp_path / "c.yaml").write_text("tiling: {mpp: 0.5}\n")
    inkdot("doctor", slide, "--slide-timeout", 0, "--config", tmp_path / "c.yaml")
    assert capsys.readouterr().out.startswith(f"config: {tmp_path / 'c.yaml'} (")


def test_model_show_encoders_and_plan_print_json(inkdot: Inkdot, capsys: pytest.CaptureFixture[str]) -> None:
    inkdot("model", "show", MODEL, "--json")
    model = said(capsys)
    assert model["trained_on"]["synthetic"] is True
    assert len(model["model_sha256"]) == 64
    inkdot("encoders", "--json")
    assert any(recipe["name"] == "uni" for recipe in said(capsys))
    inkdot("plan", "lock", "--sensitivity", 0.9, "--json")
    assert said(capsys)


def completed(command: list[str], **variables: str) -> str:
    ended = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=True
    )
    return ended.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_printed(shell: str, inkdot_command: list[str]) -> None:
    script = completed(inkdot_command, _INKDOT_COMPLETE=f"source_{shell}")
    assert "_INKDOT_COMPLETE=complete_" + shell in script
    assert "inkdot" in script


def test_commands_and_options_are_completed(inkdot_command: list[str]) -> None:
    def found(words: str, at: int) -> list[str]:
        variables = {"COMP_WORDS": words, "COMP_CWORD": str(at), "_INKDOT_COMPLETE": "complete_bash"}
        return completed(inkdot_command, **variables).split()

    assert found("inkdot pre", 1) == ["predict"]
    assert "--model" in found("inkdot run --mo", 2)
