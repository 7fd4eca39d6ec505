"""Slides on a cluster of several nodes, one of which is killed: the same bytes, nothing lost, nothing done twice."""

import threading
import time
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from inkdot.config import config_from_mapping
from inkdot.errors import NotBrightFieldError, UserError
from inkdot.execution.backends import ExecutionSettings
from inkdot.execution.ray_pool import RayPool
from inkdot.execution.ray_settings import RaySettings
from inkdot.execution.runner import run_slides
from inkdot.pipeline.batch_settings import BatchSettings
from inkdot.records import Mpp, SlideEntry
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.stages import predict, tile
from inkdot.storage import ledger
from inkdot.storage.atomic import write_text
from inkdot.storage.layout import RunLayout

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster as RayCluster

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def nodes() -> "Generator[RayCluster]":
    """A head and one more node, a core each; the tests' own folder is where the tasks find this module."""
    import ray
    from ray.cluster_utils import Cluster as RayCluster

    small = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = RayCluster(initialize_head=True, head_node_args=small)
    cluster.add_node(**small)
    ray.init(
        address=cluster.address,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}},
    )
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@dataclass(frozen=True)
class Task:
    """Writes a file per slide, or keeps an existing one, and leaves a file per start."""

    folder: Path
    seconds: float = 1.0

    def __call__(self, entry: SlideEntry) -> str:
        name = entry.slide_id
        result = self.folder / f"{name}.txt"
        if result.exists():
            return "reused"
        (self.folder / f"{name}.begun.{time.time_ns()}").touch()
        time.sleep(self.seconds)
        if name == "empty":
            raise NotBrightFieldError("expected cells,\nfound none")
        if name == "hangs":
            time.sleep(600)
        write_text(result, f"what {name} holds\n")
        return "done"

    def begun(self, name: str) -> int:
        return len(list(self.folder.glob(f"{name}.begun.*")))


def killed_after(cluster: Any, book: Path, lines: int) -> threading.Thread:
    """Kill the last node, and all that runs on it, once the ledger has so many lines; add another afterwards."""

    def kill() -> None:
        while len(list(ledger.read(book))) < lines:
            time.sleep(0.05)
        victim = next(node for node in cluster.list_all_nodes() if node is not cluster.head_node)
        cluster.remove_node(victim, allow_graceful=False)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


def test_a_slide_that_fails_hangs_or_is_fine(nodes: "RayCluster", tmp_path: Path) -> None:
    task = Task(tmp_path, 0.1)
    entries = [SlideEntry(name, Path(f"{name}.svs")) for name in ("a", "empty", "hangs", "z")]
    layout = RunLayout(tmp_path)
    executor = RayPool(RaySettings(nodes.address), 0.0, slide_timeout_s=5.0)
    summary = run_slides("tile", entries, task, layout, executor=executor)
    assert summary.done == ("a", "z")
    assert summary.failed["empty"] == "expected cells, found none"
    assert "found no progress for 5 s" in summary.failed["hangs"]
    assert Counter(line.slide_id for line in ledger.read(layout.ledger)) == dict.fromkeys(
        ["a", "empty", "hangs", "z"], 1
    )
    assert task.begun("empty") == 1  # a failure with a reason is not retried


def test_resources_that_no_machine_has_fail_at_once(nodes: "RayCluster", tmp_path: Path) -> None:
    executor = RayPool(RaySettings(nodes.address, gpus_per_slide=1), 1.0, None)
    with pytest.raises(
        UserError, match=r"expected a machine with 1 CPUs and 1 GPUs .* found 1 CPUs and 0 GPUs"
    ):
        list(executor.run([SlideEntry("a", Path("a.svs"))], Task(tmp_path)))


def test_few_slides_are_in_flight(nodes: "RayCluster", tmp_path: Path) -> None:
    """Ten thousand slides must not all become tasks at once."""
    entries = [SlideEntry(f"s{index}", Path("x")) for index in range(12)]
    results = RayPool(RaySettings(nodes.address), 0.0, None).run(entries, Task(tmp_path, 0.05))
    next(results)
    time.sleep(3.0)
    begun = len(list(tmp_path.glob("*.begun.*")))
    assert 1 <= begun <= 4  # two cores, two slides each
    assert len(list(results)) == 11


def test_a_node_killed_in_the_middle_costs_nothing(nodes: "RayCluster", tmp_path: Path) -> None:
    """Its slides are done elsewhere; what was finished is not done again."""
    task, layout = Task(tmp_path), RunLayout(tmp_path)
    entries = [SlideEntry(f"s{index:02}", Path("x")) for index in range(10)]
    killer = killed_after(nodes, layout.ledger, 3)
    summary = run_slides(
        "tile", entries, task, layout, executor=RayPool(RaySettings(nodes.address), 0.0, 60.0)
    )
    killer.join()
    assert summary.failed == {}
    assert sorted([*summary.done, *summary.reused]) == [entry.slide_id for entry in entries]
    assert Counter(line.slide_id for line in ledger.read(layout.ledger)) == {
        entry.slide_id: 1 for entry in entries
    }
    again = [entry.slide_id for entry in entries if task.begun(entry.slide_id) > 1]
    assert len(again) <= 1  # what the dead node was working on: one slide on one core
    for entry in entries:
        assert (tmp_path / f"{entry.slide_id}.txt").read_text() == f"what {entry.slide_id} holds\n"
    assert list(tmp_path.glob(".*.partial*")) == []
    nodes.add_node(num_cpus=1, object_store_memory=80 * 2**20)


def test_tiles_are_the_same_bytes_as_on_one_machine(nodes: "RayCluster", tmp_path: Path) -> None:
    config = config_from_mapping({"tiling": {"side_px": 64, "mpp": 0.5, "stride_px": 64}})
    (tmp_path / "slides").mkdir()
    for seed in range(6):
        generator = np.random.default_rng(seed)
        image = np.full((1200, 1400, 3), 245, np.uint8)
        for x, y in generator.integers(20, 1180, (60, 2)).tolist():
            cv2.circle(image, (x, y), 10, (90, 60, 120), -1)
        write_array_pyramid(tmp_path / "slides" / f"s{seed}.tif", image, mpp=Mpp.square(0.5))
    (tmp_path / "slides" / "damaged.tif").write_bytes(b"no slide")
    assert tile.run(tmp_path / "slides", config, tmp_path / "here") == 1
    killer = killed_after(nodes, tmp_path / "there" / "ledger.jsonl", 2)
    assert (
        tile.run(
            tmp_path / "slides",
            config,
            tmp_path / "there",
            BatchSettings(execution=ExecutionSettings(ray=RaySettings(nodes.address))),
        )
        == 1
    )
    killer.join()
    here, there = contents(tmp_path / "here"), contents(tmp_path / "there")
    assert here.keys() == there.keys()
    assert [name for name in here if here[name] != there[name]] == []
    lines = [(line.slide_id, line.outcome) for line in ledger.read(tmp_path / "there" / "ledger.jsonl")]
    assert sorted(slide_id for slide_id, _ in lines) == ["damaged", *(f"s{seed}" for seed in range(6))]


@pytest.mark.timeout(1200)
def test_predictions_are_the_same_bytes_as_on_one_machine_though_a_node_dies_while_it_scores(
    nodes: "RayCluster", repository: Path, tmp_path: Path
) -> None:
    """All four stages with the shipped model; the node goes when two of six slides are scored."""
    if len(nodes.list_all_nodes()) < 2:
        nodes.add_node(num_cpus=1, object_store_memory=80 * 2**20)
    (tmp_path / "slides").mkdir()
    for seed in range(6):
        image = np.full((700, 700, 3), 245, np.uint8)
        for x, y in np.random.default_rng(seed).integers(30, 670, (30, 2)).tolist():
            cv2.circle(image, (x, y), 11, (90, 60, 130), -1)
        path = tmp_path / "slides" / f"s{seed}.tif"
        write_array_pyramid(path, image, mpp=Mpp.square(0.5), description='{"synthetic": true}')
    model, out = repository / "models" / "demo", tmp_path / "there"
    assert predict.run([tmp_path / "slides"], model, tmp_path / "here") == 0
    killer = killed_after(nodes, out / "ledger.jsonl", 8)
    assert (
        predict.run(
            [tmp_path / "slides"],
            model,
            out,
            batch=BatchSettings(execution=ExecutionSettings(ray=RaySettings(nodes.address))),
        )
        == 0
    )
    killer.join()
    here, there = contents(tmp_path / "here"), contents(out)
    assert here.keys() == there.keys()
    assert [name for name in here if here[name] != there[name]] == []
    lines = Counter((line.stage, line.slide_id) for line in ledger.read(out / "ledger.jsonl"))
    stages = ("tile", "predict", "clusters", "images")
    assert lines == {(stage, f"s{seed}"): 1 for stage in stages for seed in range(6)}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in {"ledger.jsonl", ".inkdot.lock"}
    }
