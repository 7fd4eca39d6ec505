"""Training in several processes: the same batches, the same losses."""

import csv
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fixtures import painted_tiles

from inkdot.config import config_from_mapping
from inkdot.datasets.tile_set import EpochDraws
from inkdot.errors import UserError
from inkdot.model.network import NetworkSpec, TileNetwork
from inkdot.training.batch_size_check import check_batch_size
from inkdot.training.distributed.fabric import batch_norm_note, with_sync_batch_norm
from inkdot.training.fit.objective import TileObjective, TrainingData

RunScript = Callable[..., None]

_TILES = """
import importlib.util, io, sys
from pathlib import Path

from rich.console import Console

from inkdot.storage.layout import RunLayout
from inkdot.config import config_from_mapping
from inkdot.model.network import NetworkSpec, TileNetwork
from inkdot.training.distributed.fabric import launched_fabric
from inkdot.training.fit.checkpoint import manual_seed
from inkdot.training.fit.objective import TileObjective, TrainingData
from inkdot.training.fit.trainer import fit
from inkdot.training.run_context import RunContext

spec = importlib.util.spec_from_file_location("painted", sys.argv[1])
painted = importlib.util.module_from_spec(spec)
spec.loader.exec_module(painted)
backbone, parts = sys.argv[3], int(sys.argv[4])
training = {"epochs": 3, "batch_size": 16, "learning_rate": 0.003, "accelerator": "cpu", "gradient_accumulation": parts}
config = config_from_mapping({"tiling": {"side_px": 32, "mpp": 0.5, "stride_px": 32}, "training": training})
manual_seed(0, 0)
network = TileNetwork(NetworkSpec(backbone, 0.0, config.head_records, 32))
data = TrainingData(painted.painted_set(8, 12, seed=1), painted.painted_set(8, 5, seed=2), "selftest_", "same")
with launched_fabric(config.training) as fabric:
    context = RunContext(fabric, config, RunLayout(Path(sys.argv[2])), Console(file=io.StringIO()))
    fit(network, TileObjective(data, config, fabric), context)
"""


def curves(folder: Path) -> dict[str, list[float]]:
    rows = list(csv.DictReader((folder / "metrics.csv").read_text(encoding="utf-8").splitlines()))
    names = [name for name in rows[0] if name.startswith("train_loss") or name == "selftest_loss"]
    return {name: [float(row[name]) for row in rows] for name in names}


@pytest.fixture
def train(tmp_path: Path, run_script: RunScript) -> Callable[..., dict[str, list[float]]]:
    script = tmp_path / "together.py"
    script.write_text(_TILES)

    def run(name: str, processes: int, backbone: str, parts: int) -> dict[str, list[float]]:
        run_script(processes, script, painted_tiles.__file__, tmp_path / name, backbone, parts)
        return curves(tmp_path / name)

    return run


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("parts", [1, 2])
def test_two_processes_give_the_losses_of_one_without_batch_normalisation(
    train: Callable[..., dict[str, list[float]]], parts: int
):
    one, two = (train(str(processes), processes, "test_convnext", parts) for processes in (1, 2))
    assert {"train_loss.malignancy", "train_loss.morphology", "selftest_loss"} <= set(one)
    for name, losses in one.items():
        assert len(losses) == len(two[name]) == 3
        np.testing.assert_allclose(two[name], losses, rtol=1e-3, err_msg=name)
    assert one["train_loss"][2] < 0.7 * one["train_loss"][0]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_with_batch_normalisation_two_processes_learn_and_two_runs_are_the_same(
    train: Callable[..., dict[str, list[float]]], tmp_path: Path
):
    first, second = (train(name, 2, "test_efficientnet", 1) for name in ("first", "second"))
    assert first == second
    assert first["train_loss"][2] < 0.7 * first["train_loss"][0]
    checkpoints = [tmp_path / name / "checkpoints" / "last.safetensors" for name in ("first", "second")]
    assert checkpoints[0].read_bytes() == checkpoints[1].read_bytes()


def test_shares_of_a_batch_make_the_batch():
    weights = np.full(40, 1 / 40)
    whole = [list(batch) for batch in EpochDraws(weights, 8, seed=3)]
    shares = [list(EpochDraws(weights, 8, seed=3, rank=rank, size=2)) for rank in range(2)]
    assert len(whole) == len(shares[0]) == len(shares[1]) == 5
    for batch, first, second in zip(whole, *shares, strict=True):
        assert len(first) == len(second) == 4
        assert sorted(batch) == sorted([*first, *second])


def processes(size: int, device: str = "cpu") -> SimpleNamespace:
    """What is read of a Fabric of so many processes."""
    return SimpleNamespace(global_rank=0, world_size=size, device=torch.device(device))


def test_batch_normalisation_is_synchronised_on_cuda_only_and_names_stay():
    """timm's layers keep their activation, which PyTorch's own conversion would drop."""
    heads = config_from_mapping({}).head_records
    network = TileNetwork(NetworkSpec("test_efficientnet", 0.0, heads, 32)).eval()
    assert with_sync_batch_norm(network, processes(1, "cuda")) is network
    assert with_sync_batch_norm(network, processes(2)) is network
    assert batch_norm_note(network, processes(1)) == batch_norm_note(network, processes(2, "cuda")) == []
    (note,) = batch_norm_note(network, processes(2))
    assert "each of 2 processes" in note
    converted = with_sync_batch_norm(network, processes(2, "cuda"))
    assert any(isinstance(module, torch.nn.SyncBatchNorm) for module in converted.modules())
    assert not any(isinstance(module, torch.nn.SyncBatchNorm) for module in network.modules())
    assert list(converted.state_dict()) == list(network.state_dict())
    tiles = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        torch.testing.assert_close(converted(tiles), network(tiles))


def test_a_network_without_batch_normalisation_needs_no_note():
    heads = config_from_mapping({}).head_records
    assert batch_norm_note(TileNetwork(NetworkSpec("test_convnext", 0.0, heads, 32)), processes(2)) == []


def test_a_batch_of_all_tiles_that_cannot_be_shared_evenly_is_refused(
    tiny_config, training_tiles, validation_tiles
):
    data = TrainingData(training_tiles, validation_tiles, "", "x")
    with pytest.raises(
        UserError, match=r"multiple of 3 tiles in a batch for 3 processes.*found 16.*torchrun"
    ):
        TileObjective(data, tiny_config, processes(3))


@pytest.mark.parametrize(
    ("batch_size", "bag_tiles", "parts", "expected"),
    [
        (64, 16, 1, None),  # four slides
        (40, 16, 1, None),  # two
        (48, 16, 1, "a multiple of 32 .*found 48; set it to 64"),  # three
        (64, 16, 3, "a multiple of 96 .*found 64; set it to 96"),
        (10, 5, 1, None),
    ],
)
def test_a_batch_size_that_cannot_be_shared_evenly_is_refused_with_the_next_that_can(
    batch_size, bag_tiles, parts, expected
):
    training = {"batch_size": batch_size, "gradient_accumulation": parts, "mil": {"bag_tiles": bag_tiles}}
    settings = config_from_mapping({"training": training}).training
    check_batch_size(settings, 1, mil=True)
    if expected is None:
        check_batch_size(settings, 2, mil=True)
        return
    with pytest.raises(UserError, match=f"training.batch_size: expected {expected}"):
        check_batch_size(settings, 2, mil=True)
    following = int(expected.rsplit(maxsplit=1)[1])
    check_batch_size(settings.model_copy(update={"batch_size": following}), 2, mil=True)
