"""``inkdot init`` writes what the program reads."""

from pathlib import Path

import pytest

from inkdot.config import default_config, load_config
from inkdot.errors import UserError
from inkdot.stages import init


def test_the_file_is_the_default_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new folder" / "config.yaml"
    assert init.run(out, preparation="section") == 0
    assert load_config(out) == default_config("section")
    said = capsys.readouterr()
    assert said.out == ""
    assert str(out) in said.err


def test_a_file_that_somebody_wrote_is_never_replaced(tmp_path: Path) -> None:
    out = tmp_path / "config.yaml"
    out.write_text("mine")
    with pytest.raises(UserError, match="expected no file there, found one"):
        init.run(out)
    assert out.read_text() == "mine"
