"""OpenVINO gives the scores that PyTorch gives, in the same order, and keeps its conversion."""

import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from inkdot.model.calibrated_scores import calibrated_scores
from inkdot.model.network import NetworkSpec, TileNetwork
from inkdot.model.runtimes.openvino_backend import OpenVinoNetwork
from inkdot.model.runtimes.torch_backend import infer_batches, predict_logits

SIDE, BATCH = 32, 8
BOUND = 1e-3


@pytest.fixture(scope="module")
def network() -> TileNetwork:
    from inkdot.labels import DEFAULT_HEADS

    torch.manual_seed(3)
    network = TileNetwork(NetworkSpec("test_efficientnet", 0.0, DEFAULT_HEADS, SIDE)).eval()
    with torch.no_grad():
        for head in network.heads.values():
            head.weight.mul_(200)  # scores all over 0 to 1, as a trained network gives them
    return network


@pytest.fixture(scope="module")
def tiles() -> list[np.ndarray]:
    generator = np.random.default_rng(5)
    return list(generator.integers(0, 256, (3 * BATCH + 3, SIDE, SIDE, 3), np.uint8))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of one test: these networks are called alike and differ."""
    monkeypatch.setenv("INKDOT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "networks"


def compiled(network: TileNetwork) -> OpenVinoNetwork:
    return OpenVinoNetwork(lambda: network, SIDE, "a" * 64, BATCH)


def test_scores_agree_with_pytorch(network: TileNetwork, tiles: list[np.ndarray]) -> None:
    heads = network.spec.heads
    expected = calibrated_scores(
        predict_logits(network, tiles, device=torch.device("cpu"), batch_size=BATCH), heads, {}
    )
    found = calibrated_scores(compiled(network).logits(iter(tiles)), heads, {})
    assert np.ptp(expected[:, 1]) > 0.2  # else agreement would say nothing
    assert np.abs(found - expected).max() < BOUND


def test_the_same_tiles_give_the_same_bytes(network: TileNetwork, tiles: list[np.ndarray]) -> None:
    runtime = compiled(network)
    first, second = runtime.logits(tiles), runtime.logits(tiles)
    assert first.tobytes() == second.tobytes()
    assert runtime.logits(tiles[:5]).tobytes() == first[:5].tobytes()


def test_no_tiles_no_logits(network: TileNetwork) -> None:
    assert compiled(network).logits([]).shape == (0, 4)


def test_the_conversion_is_kept_and_used_again(network: TileNetwork, tiles: list[np.ndarray]) -> None:
    expected = compiled(network).logits(tiles)

    def not_again() -> TileNetwork:
        raise AssertionError("converted again")

    again = OpenVinoNetwork(not_again, SIDE, "a" * 64, BATCH)
    assert again.logits(tiles).tobytes() == expected.tobytes()
    with pytest.raises(AssertionError, match="converted again"):
        OpenVinoNetwork(not_again, SIDE, "b" * 64, BATCH)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["network.bin", "network.xml", "network.json"])
@pytest.mark.parametrize("damage", ["truncated", "one byte", "gone"])
def test_a_kept_conversion_that_was_damaged_is_made_again(
    network: TileNetwork, tiles: list[np.ndarray], cache: Path, name: str, damage: str
) -> None:
    expected = compiled(network).logits(tiles).tobytes()
    (kept,) = cache.glob(f"*/{name}")
    whole = kept.read_bytes()
    middle = len(whole) // 2
    if damage == "gone":
        kept.unlink()
    else:
        changed = bytes([whole[middle] ^ 64]) + whole[middle + 1 :] if damage == "one byte" else b""
        kept.write_bytes(whole[:middle] + changed)
    assert compiled(network).logits(tiles).tobytes() == expected
    assert kept.stat().st_size == pytest.approx(len(whole), rel=0.1)  # whole again for the next


def test_nothing_is_reported_to_anyone() -> None:
    code = (
        "from inkdot.model.runtimes.openvino_backend import import_openvino; import_openvino();"
        "import openvino.tools.ovc.telemetry_utils as t; print(t.tm.__name__)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "stub" in shown


def test_both_runtimes_give_the_features_that_the_logits_were_made_from(
    network: TileNetwork, tiles: list[np.ndarray]
) -> None:
    runtime = compiled(network)
    in_openvino = list(runtime.infer(tiles))
    in_torch = list(infer_batches(network, tiles, device=torch.device("cpu"), batch_size=BATCH))
    assert [len(seen.features) for seen in in_openvino] == [BATCH, BATCH, BATCH, 3]
    assert runtime.feature_count == network.feature_count == in_openvino[0].features.shape[1]
    for ours, theirs in zip(in_openvino, in_torch, strict=True):
        np.testing.assert_allclose(ours.features, theirs.features, atol=1e-4)
        heads = network.heads.values()
        linear = [
            ours.features @ head.weight.detach().numpy().T + head.bias.detach().numpy() for head in heads
        ]
        np.testing.assert_allclose(np.hstack(linear), ours.logits, atol=1e-3)


def test_who_stops_early_leaves_the_network_ready(network: TileNetwork, tiles: list[np.ndarray]) -> None:
    runtime = compiled(network)
    expected = runtime.logits(tiles)
    for _ in runtime.infer(tiles):
        break
    assert runtime.logits(tiles).tobytes() == expected.tobytes()


def test_it_keeps_to_the_threads_it_is_allowed_and_gives_the_same_bytes(
    network: TileNetwork, tiles: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    for allowed in ("1", "", "many"):
        monkeypatch.setenv("OMP_NUM_THREADS", allowed)
        runtime = compiled(network)
        assert runtime.threads == 1 or allowed != "1"
        found[allowed] = runtime.logits(tiles).tobytes()
    assert len(set(found.values())) == 1


def test_no_more_tiles_are_held_than_are_in_work(network: TileNetwork) -> None:
    runtime = compiled(network)
    alive = 0

    def gone() -> None:
        nonlocal alive
        alive -= 1

    def stream() -> Iterator[np.ndarray]:
        nonlocal alive
        for _ in range(20 * BATCH):
            tile = np.zeros((SIDE, SIDE, 3), np.uint8)
            weakref.finalize(tile, gone)
            alive += 1
            yield tile

    held = [alive for _ in runtime.infer(stream())]
    assert len(held) == 20
    assert max(held) <= 4 * BATCH


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of children are not there")
def test_networks_that_come_and_go_in_turns_leave_signals_alone(tmp_path: Path) -> None:
    """Seen as a crash: the plugin of the second put back a stack for signals that the first had freed."""
    code = """
import os, signal, subprocess, sys
import torch
from inkdot.labels import DEFAULT_HEADS
from inkdot.model.network import NetworkSpec, TileNetwork
from inkdot.model.runtimes.openvino_backend import OpenVinoNetwork
os.environ["INKDOT_CACHE_DIR"] = sys.argv[1]
signal.signal(signal.SIGCHLD, lambda *_: None)
network = TileNetwork(NetworkSpec("test_efficientnet", 0.0, DEFAULT_HEADS, 32)).eval()
make = lambda: OpenVinoNetwork(lambda: network, 32, "a" * 64, 2)
first = make()
second = make()
del first
del second
for _ in range(3):
    subprocess.run([sys.executable, "-c", ""], check=True)
print("alive")
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "alive\n"), ended.stderr
