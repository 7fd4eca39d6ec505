"""Several processes train as one: the same batches, the same losses."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from inkdot.config import config_from_mapping
from inkdot.datasets.tile_set import EpochDraws
from inkdot.errors import UserError
from inkdot.training.batch_size_check import check_shares
from inkdot.training.distributed.process_group import ProcessGroup, company
from inkdot.training.fit.objective import TileData, TileObjective
from inkdot.training.fit.vicreg import PairLesson

RunScript = Callable[..., None]
BESIDE = Path(__file__).parent

_TOGETHER = """
import importlib.util, io, sys
from pathlib import Path

from rich.console import Console

from inkdot.storage.layout import RunLayout
from inkdot.config import config_from_mapping
from inkdot.training.fit.checkpoint import manual_seed
from inkdot.training.fit.objective import TileData
from inkdot.training.fit.trainer import fit
from inkdot.model.network import NetworkSpec, TileNetwork

spec = importlib.util.spec_from_file_location("painting", sys.argv[1])
painting = importlib.util.module_from_spec(spec)
spec.loader.exec_module(painting)
backbone, epochs, accumulate = sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
config = config_from_mapping(
    {
        "tiling": {"side_px": 32, "mpp": 0.5, "stride_px": 32},
        "model": {"backbone": backbone, "dropout": 0.2},
        "training": {
            "epochs": epochs, "batch_size": 16, "learning_rate": 0.003, "accelerator": "cpu", "gradient_accumulation": accumulate,
        },
    }
)
manual_seed(0, 0)
network = TileNetwork(NetworkSpec(backbone, 0.2, config.head_records, 32))
data = TileData(
    painting.painted_set(8, 12, seed=1), painting.painted_set(8, 5, seed=2), "selftest_", "same"
)
fit(network, data, config, RunLayout(Path(sys.argv[2])), Console(file=io.StringIO()))
"""


_SLIDES_TOGETHER = """
import importlib.util, io, sys
from pathlib import Path

from rich.console import Console

spec = importlib.util.spec_from_file_location("bags", sys.argv[1])
bags = importlib.util.module_from_spec(spec)
spec.loader.exec_module(bags)
data = bags.BagData(bags.painted_bags(24, 1)[0], bags.painted_bags(12, 2)[0], "selftest_", "same")
slide_labels = {"bag_tiles": 4, "hidden": 8}
config = bags.config_with(epochs=3, batch_size=16, learning_rate=0.001, slide_labels=slide_labels)
bags.learnt(Path(sys.argv[2]), data, config, Console(file=io.StringIO()))
"""


def curves(folder: Path) -> dict[str, list[float]]:
    rows = list(csv.DictReader((folder / "metrics.csv").read_text(encoding="utf-8").splitlines()))
    names = [name for name in rows[0] if name.startswith("train_loss") or name == "selftest_loss"]
    return {name: [float(row[name]) for row in rows] for name in names}


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "together.py"
    path.write_text(_TOGETHER)
    return path


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("backbone", "parts_of_one", "bound"),
    # Batch normalisation makes small differences larger, and each part of a step has statistics of its own.
    [("test_convnext", 1, 1e-4), ("test_efficientnet", 2, 1e-3)],
)
def test_two_processes_give_the_loss_curve_of_one(
    script: Path, tmp_path: Path, run_script: RunScript, backbone: str, parts_of_one: int, bound: float
):
    painting = BESIDE / "conftest.py"
    run_script(1, script, painting, tmp_path / "one", backbone, 3, parts_of_one)
    run_script(2, script, painting, tmp_path / "two", backbone, 3, 2)
    one, two = curves(tmp_path / "one"), curves(tmp_path / "two")
    assert {"train_loss.malignancy", "train_loss.morphology", "selftest_loss"} <= set(one)
    for name, losses in one.items():
        assert len(losses) == len(two[name]) == 3
        np.testing.assert_allclose(two[name], losses, rtol=bound, err_msg=name)
    assert one["train_loss"][2] < 0.7 * one["train_loss"][0]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_processes_give_the_loss_curve_of_one_on_slides_as_wholes(tmp_path: Path, run_script: RunScript):
    script = tmp_path / "slides.py"
    script.write_text(_SLIDES_TOGETHER)
    for name, processes in (("one", 1), ("two", 2)):
        run_script(processes, script, BESIDE / "test_bag_lesson.py", tmp_path / name)
    one, two = curves(tmp_path / "one"), curves(tmp_path / "two")
    assert {"train_loss.slides.malignancy", "train_loss.tiles.malignancy", "selftest_loss"} <= set(one)
    for name, losses in one.items():
        assert len(losses) == len(two[name]) == 3
        np.testing.assert_allclose(two[name], losses, rtol=1e-3, atol=1e-6, err_msg=name)


def test_shares_of_a_batch_make_the_batch():
    weights = np.full(40, 1 / 40)
    whole = [list(batch) for batch in EpochDraws(weights, 8, seed=3)]
    shares = [list(EpochDraws(weights, 8, seed=3, rank=rank, size=2)) for rank in range(2)]
    assert len(whole) == len(shares[0]) == len(shares[1]) == 5
    for batch, first, second in zip(whole, *shares, strict=True):
        assert len(first) == len(second) == 4
        assert sorted(batch) == sorted([*first, *second])


def test_torchrun_says_who_one_is(monkeypatch):
    assert company() == ProcessGroup(rank=0, size=1, here=1)
    for name, value in {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    assert company() == ProcessGroup(rank=5, size=8, here=4)
    assert not company().first


def test_a_batch_that_cannot_be_dealt_out_evenly_is_refused(
    monkeypatch, tiny_config, training_tiles, validation_tiles
):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(
        UserError, match=r"multiple of 3 tiles in a batch for 3 processes.*found 16.*one process"
    ):
        TileObjective(TileData(training_tiles, validation_tiles, "", "x"), tiny_config)
    with pytest.raises(UserError, match=r"multiple of 3 tiles in a batch for 3 processes.*found 8,"):
        PairLesson(training_tiles, validation_tiles, tiny_config, "", "x")


@pytest.mark.parametrize(
    ("batch_size", "bag_tiles", "accumulate", "start", "wanted"),
    [
        (64, 16, 1, "labels", None),  # four slides
        (40, 16, 1, "labels", None),  # two
        (48, 16, 1, "labels", "a multiple of 32 .*found 48; set it to 64"),  # three
        (64, 16, 3, "labels", "a multiple of 96 .*found 64; set it to 96"),
        (4, 3, 1, "self-supervised", None),  # two pairs, two slides
        (10, 5, 1, "self-supervised", "a multiple of 20 .*found 10; set it to 20"),  # five pairs
        (10, 5, 1, "labels", None),
    ],
)
def test_slides_of_a_step_must_go_round(monkeypatch, batch_size, bag_tiles, accumulate, start, wanted):
    labels = {"bag_tiles": bag_tiles, "start": start}
    training = {"batch_size": batch_size, "gradient_accumulation": accumulate, "mil": labels}
    config = config_from_mapping({"training": training})
    check_shares(config, slides=True)  # one process takes any
    monkeypatch.setenv("WORLD_SIZE", "2")
    if wanted is None:
        check_shares(config, slides=True)
        return
    with pytest.raises(UserError, match=f"training.batch_size: expected {wanted}"):
        check_shares(config, slides=True)
    following = int(wanted.rsplit(maxsplit=1)[1])
    check_shares(config_from_mapping({"training": training | {"batch_size": following}}), slides=True)
