"""The demo's settings stand twice: in the package, where the demo finds them, and in configs/ for people."""

from pathlib import Path

from inkdot.config import load_config


def test_the_two_are_one(repository: Path) -> None:
    packaged = repository / "src/inkdot/cli/demo.yaml"
    assert packaged.read_bytes() == (repository / "configs/demo.yaml").read_bytes()
    assert load_config(packaged).tiling.side_px == 128
