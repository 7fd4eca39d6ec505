"""A machine without a connection is told so in one line and within seconds; the hub itself would retry each file for 23 s."""

import socket
import time

import pytest
from huggingface_hub import constants

from inkdot.errors import UserError
from inkdot.model.encoders.backbone_spec import BackboneSpec
from inkdot.model.encoders.build import build_backbone
from inkdot.model.encoders.hub import hub_access, hub_config, hub_weights


@pytest.fixture
def port(monkeypatch):
    """A port of this machine that is free, named as the hub's; no proxy is set."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found = free.getsockname()[1]
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{found}")
    return found


def test_without_a_connection_weights_end_in_one_line_within_seconds(port, monkeypatch, tmp_path, capfd):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    wanted = {
        "model.backbone": lambda: hub_config("timm/resnet18.a1_in1k"),
        "model.weights": lambda: hub_weights("bioptimus/H0-mini"),
        "expected timm's pretrained weights of resnet18.a1_in1k": lambda: build_backbone(
            BackboneSpec("resnet18.a1_in1k", 64), pretrained=True
        ),
    }
    for start, ask in wanted.items():
        started = time.monotonic()
        with pytest.raises(UserError, match=r"no connection to 127\.0\.0\.1") as raised:
            ask()
        assert time.monotonic() - started < 10  # 3 s of them to build a network where many tests run at once
        assert start in str(raised.value)
        assert "\n" not in str(raised.value)
    assert capfd.readouterr() == ("", "")
    assert constants.HF_HUB_OFFLINE is False


def test_a_hub_that_answers_and_a_user_who_is_offline_are_left_alone(port, monkeypatch):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", port))
        listening.listen()
        with hub_access() as missing:
            assert (missing, constants.HF_HUB_OFFLINE) == ("", False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with hub_access() as missing:
        assert (missing, constants.HF_HUB_OFFLINE) == ("", True)
    assert constants.HF_HUB_OFFLINE is True


def test_where_a_proxy_is_set_it_is_the_proxy_that_must_answer(port, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://hub.example")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
    with hub_access() as missing:
        assert missing == "no connection to 127.0.0.1"
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", port))
        listening.listen()
        with hub_access() as missing:
            assert missing == ""
