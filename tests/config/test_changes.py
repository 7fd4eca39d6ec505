"""``--set key=value``: single values of a config that the command line replaces."""

from pathlib import Path

import pytest

from inkdot.config import load_config
from inkdot.config.changes import with_changes
from inkdot.errors import ConfigError

FILE = {"tiling": {"mpp": 0.5}, "heads": [{"name": "a"}, {"name": "b"}]}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("tiling.mpp=0.25", {"tiling": {"mpp": 0.25}}),
        ("tiling.mpp = 1e-1", {"tiling": {"mpp": 0.1}}),
        ("tiling.fields=true", {"tiling": {"mpp": 0.5, "fields": True}}),
        ("training.epochs=3", {"training": {"epochs": 3}}),
        ("heads.1.name=c", {"heads": [{"name": "a"}, {"name": "c"}]}),
        ("annotations.classes={tumor: malignant}", {"annotations": {"classes": {"tumor": "malignant"}}}),
        ("model.weights=a=b.pth", {"model": {"weights": "a=b.pth"}}),
        ("training.checkpoint=", {"training": {"checkpoint": None}}),
    ],
)
def test_a_change_replaces_one_value(change: str, expected: dict[str, object]) -> None:
    assert with_changes(FILE, [change]) == FILE | expected
    assert FILE["tiling"] == {"mpp": 0.5}  # the config that was given is left alone


def test_later_changes_win() -> None:
    assert with_changes({}, ["a.b=1", "a.c=2", "a.b=3"]) == {"a": {"b": 3, "c": 2}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("tiling", "--set: expected key=value, such as tiling.mpp=0.5, found 'tiling'"),
        ("=3", "expected key=value"),
        ("a..b=3", "expected key=value"),
        ("tiling.mpp.x=3", "expected keys in tiling.mpp, found 0.5"),
        ("tiling.mpp.x.y=3", "expected keys above tiling.mpp.x, found 0.5"),
        ("heads.2.name=c", "expected a number from 0 to 1, found '2'"),
        ("heads.first.name=c", "expected a number from 0 to 1, found 'first'"),
        ("a=[1", "--set a: expected a value in YAML"),
        ("a={b: 1, b: 2}", "--set a: expected a value in YAML"),
    ],
)
def test_a_wrong_change_is_named_in_one_line(change: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_changes(FILE, [change])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_changed_config_is_as_strict_as_a_file(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("preparation: thinprep\ntiling: {side_px: 64, stride_px: 64}\n")
    changed = load_config(path, ["tiling.mpp=0.5", "preparation=section"])
    assert (changed.tiling.side_px, changed.tiling.mpp, changed.tiling.mode) == (64, 0.5, "grid")
    for change, message in [
        ("tiling.side_pxx=3", "--set: tiling.side_pxx: unknown key; did you mean 'side_px'?"),
        ("epochs=3", "--set: epochs: unknown key; did you mean 'training.epochs'?"),
        ("tiling.side_px=big", "--set: tiling.side_px: expected a valid integer, found 'big'"),
    ]:
        with pytest.raises(ConfigError) as caught:
            load_config(path, [change])
        assert str(caught.value) == message
    path.write_text("tilling: {}\n")  # an error of the file is not one of the change
    with pytest.raises(ConfigError, match=r"config\.yaml: tilling: unknown key"):
        load_config(path, ["tiling.mpp=0.5"])
