"""Shards: processes side by side on parts of one list give the folder of one process, whatever is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from inkdot.config import config_from_mapping
from inkdot.errors import StorageError, UserError
from inkdot.pipeline.batch_settings import BatchSettings
from inkdot.pipeline.shards import Shard, latest_shards
from inkdot.records import Mpp, SlideEntry
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.stages import predict, status, tile
from inkdot.storage import ledger
from inkdot.storage.layout import RunLayout
from inkdot.storage.locking import locked
from inkdot.storage.tables.predictions import read_predictions

MakeModel = Callable[..., Path]
SIDE = 64
CONFIG = config_from_mapping({"tiling": {"side_px": SIDE, "mpp": 0.5, "stride_px": SIDE}})
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
WITHOUT_LOCKS = """import errno, fcntl
def flock(*_):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = flock
"""


def make_slides(folder: Path, count: int, *, cells: int = 40, side_px: int = 600) -> Path:
    folder.mkdir(exist_ok=True)
    for seed in range(count):
        generator = np.random.default_rng(seed)
        image = np.full((side_px, side_px, 3), 245, np.uint8)
        for _ in range(cells):
            x, y = generator.integers(20, side_px - 20, 2).tolist()
            cv2.circle(
                image, (x, y), int(generator.integers(6, 14)), generator.integers(30, 150, 3).tolist(), -1
            )
        write_array_pyramid(folder / f"s{seed}.tif", image, mpp=Mpp.square(0.5))
    return folder


def part(text: str, *, retry_failed: bool = False) -> BatchSettings:
    return BatchSettings(shard=Shard.parse(text), retry_failed=retry_failed)


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "shards" not in path.parts and path.name not in {"ledger.jsonl", ".inkdot.lock"}
    }


def started(
    *words: object, environment: dict[str, str] | None = None, before: str = ""
) -> subprocess.Popen[str]:
    code = f"{before}from inkdot.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *(str(word) for word in words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
    )


# ---- which slides


def entries(count: int) -> list[SlideEntry]:
    return [
        SlideEntry(f"s{number}", Path(f"s{number}.tif"), patient_id=f"p{number}") for number in range(count)
    ]


@pytest.mark.parametrize(("slides", "count"), [(10, 3), (3, 8), (0, 2), (7, 7), (100, 9)])
def test_every_slide_is_in_one_shard_and_their_sizes_differ_by_one_at_most(slides: int, count: int) -> None:
    parts = [Shard(index, count).entries(entries(slides)) for index in range(1, count + 1)]
    assert Counter(entry.slide_id for own in parts for entry in own) == Counter(
        f"s{n}" for n in range(slides)
    )
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/0", "-1/3", "1/3/5", "1.5/3", ""])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="expected i/n"):
        Shard.parse(text)


def test_one_of_one_is_the_whole_list() -> None:
    assert Shard.parse("1/1") is None


def job_array(own: int, low: int, high: int, count: int) -> dict[str, str]:
    return {
        "SLURM_ARRAY_TASK_ID": str(own),
        "SLURM_ARRAY_TASK_MIN": str(low),
        "SLURM_ARRAY_TASK_MAX": str(high),
        "SLURM_ARRAY_TASK_COUNT": str(count),
    }


@pytest.mark.parametrize(
    ("ids", "shard"),
    [
        ((0, 0, 7, 8), "1-of-8"),
        ((7, 0, 7, 8), "8-of-8"),
        ((5, 1, 8, 8), "5-of-8"),
        ((30, 0, 70, 8), "4-of-8"),
    ],
)
def test_tasks_of_a_job_array_take_their_shards(ids: tuple[int, int, int, int], shard: str) -> None:
    found = Shard.of_job_array(job_array(*ids))
    assert found is not None
    assert found.name == shard


def test_outside_of_an_array_and_in_one_of_a_single_task_there_is_no_shard() -> None:
    assert Shard.of_job_array({}) is None
    assert Shard.of_job_array(job_array(4, 4, 4, 1)) is None


def test_an_array_with_gaps_is_refused_since_its_tasks_have_no_places() -> None:
    with pytest.raises(UserError, match="evenly spaced"):
        Shard.of_job_array(job_array(2, 1, 9, 3))  # --array=1,2,9
    with pytest.raises(UserError, match="evenly spaced"):
        Shard.of_job_array(job_array(1, 1, 4, 3))  # --array=1,2,4


# ---- the tables


def test_the_last_shard_writes_the_tables_and_each_slide_is_there_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slides, out = make_slides(tmp_path / "slides", 5), tmp_path / "sharded"
    assert tile.run(slides, CONFIG, out, part("2/3")) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "shard 2/3: 2 of 5 slides" in told
    assert "shard 2/3 has ended; shards 1, 3 of 3 not yet" in told
    assert not (out / "assessment.csv").exists()
    assert tile.run(slides, CONFIG, out, part("1/3")) == 0
    assert tile.run(slides, CONFIG, out, part("3/3")) == 0
    assert tile.run(slides, CONFIG, tmp_path / "whole") == 0
    assert files(out) == files(tmp_path / "whole")
    lines = [line.slide_id for line in ledger.read_all(RunLayout(out))]
    assert Counter(lines) == Counter(f"s{number}" for number in range(5))


@pytest.mark.slow
def test_a_failed_slide_keeps_its_reason_and_is_tried_again_alone(
    tmp_path: Path, untrained_model: MakeModel
) -> None:
    slides, out = make_slides(tmp_path / "slides", 4), tmp_path / "sharded"
    model = untrained_model(tmp_path / "model", mode="grid")
    good = (slides / "s2.tif").read_bytes()
    (slides / "s2.tif").write_bytes(good[: len(good) // 2])
    assert predict.run([slides], model, out, batch=part("1/2")) == 1
    assert predict.run([slides], model, out, batch=part("2/2")) == 0
    rows = {row["slide_id"]: row for row in read_predictions(out / "predictions.csv")}
    assert sorted(rows) == ["s0", "s1", "s2", "s3"]
    assert rows["s2"]["outcome"] == "failed"
    assert rows["s2"]["reason"]
    assert status.run(out) == 1
    (slides / "s2.tif").write_bytes(good)
    before = len(ledger.read_all(RunLayout(out)))
    assert predict.run([slides], model, out, batch=part("1/2", retry_failed=True)) == 0
    assert {line.slide_id for line in ledger.read_all(RunLayout(out))[before:]} == {"s2"}
    assert predict.run([slides], model, tmp_path / "whole") == 0
    assert files(out) == files(tmp_path / "whole")
    assert status.run(out) == 0


def test_a_run_without_shards_knows_what_the_shards_have_done(tmp_path: Path) -> None:
    slides, out = make_slides(tmp_path / "slides", 4), tmp_path / "run"
    assert tile.run(slides, CONFIG, out, part("1/2")) == 0
    assert tile.run(slides, CONFIG, out, BatchSettings(retry_failed=True)) == 0
    assert sorted(line.slide_id for line in ledger.read(out / "ledger.jsonl")) == ["s1", "s3"]


def test_more_shards_than_slides(tmp_path: Path) -> None:
    slides, out = make_slides(tmp_path / "slides", 1), tmp_path / "run"
    for index in (1, 2, 3):
        assert tile.run(slides, CONFIG, out, part(f"{index}/3")) == 0
    assert len((out / "assessment.csv").read_text().splitlines()) == 2


# ---- mixed up


def test_shards_of_different_lists_or_settings_never_make_one_table(tmp_path: Path) -> None:
    slides, out = make_slides(tmp_path / "slides", 3), tmp_path / "run"
    layout = RunLayout(out)
    tile.run(slides, CONFIG, out, part("1/2"))
    # As if it had been stopped: its list still counts.
    record = out / "shards" / "1-of-2" / "shard.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"ended": None}))
    make_slides(tmp_path / "slides", 4)
    with pytest.raises(UserError, match="expected the same slides in every shard"):
        tile.run(slides, CONFIG, out, part("2/2"))
    (slides / "s3.tif").unlink()
    other = config_from_mapping({"tiling": {"side_px": 2 * SIDE, "mpp": 0.5, "stride_px": 2 * SIDE}})
    with pytest.raises(UserError, match="expected the same settings in every shard"):
        tile.run(slides, other, out, part("2/2"))
    tile.run(slides, CONFIG, out, part("1/2"))
    make_slides(tmp_path / "slides", 4)
    tile.run(slides, CONFIG, out, part("2/2"))  # shard 1 had ended: a new list begins
    assert [record.shard for record in latest_shards(layout)] == [2]
    assert not layout.assessment_csv.exists()
    with pytest.raises(UserError, match="found shard 1 not ended"):
        status.run_merge(out)


@pytest.mark.slow
def test_a_shard_that_is_at_work_is_not_started_twice_nor_beside_a_run_of_the_whole_list(
    tmp_path: Path,
) -> None:
    slides, out = make_slides(tmp_path / "slides", 2), tmp_path / "run"
    layout = RunLayout(out, "1-of-2")
    with locked(layout.lock):
        for batch in (part("1/2"), BatchSettings()):
            process = started(
                "tile", slides, "--config", written_config(tmp_path), "--out", out, *words(batch)
            )
            told = process.communicate(timeout=120)[1]
            assert process.returncode == 2
            assert "found another inkdot working in it" in told
    with locked(RunLayout(out).lock):
        process = started(
            "tile", slides, "--config", written_config(tmp_path), "--out", out, "--shard", "2/2"
        )
        process.communicate(timeout=120)
    assert process.returncode == 2
    assert tile.run(slides, CONFIG, out, part("1/2")) == 0


def written_config(folder: Path) -> Path:
    path = folder / "config.yaml"
    path.write_text(f"tiling: {{side_px: {SIDE}, mpp: 0.5, stride_px: {SIDE}}}\n")
    return path


def words(batch: BatchSettings) -> Sequence[str]:
    return ("--shard", f"{batch.shard.index}/{batch.shard.count}") if batch.shard else ()


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    slides, out = make_slides(tmp_path / "slides", 2), tmp_path / "run"
    tile.run(slides, CONFIG, out, part("1/2"))
    path = out / "shards" / "1-of-2" / "shard.json"
    endless = json.dumps(json.loads(path.read_text()) | {"shards": 10**18})  # whose list no memory holds
    for damaged in ('{"version": ', endless):
        path.write_text(damaged)
        with pytest.raises(
            StorageError, match=r"1-of-2/shard\.json: expected the record of a shard.*run this shard again"
        ):
            tile.run(slides, CONFIG, out, part("2/2"))
    assert tile.run(slides, CONFIG, out, part("1/2")) == 0
    assert tile.run(slides, CONFIG, out, part("2/2")) == 0


# ---- status


def test_the_status_counts_what_the_ledgers_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slides, out = make_slides(tmp_path / "slides", 4), tmp_path / "run"
    (slides / "s1.tif").write_bytes(b"")
    tile.run(slides, CONFIG, out, part("2/3"))
    tile.run(slides, CONFIG, out, part("1/3"))
    capsys.readouterr()
    assert status.run(out, as_json=True) == 1
    found = json.loads(capsys.readouterr().out)
    assert [
        (row["shard"], row["state"], row["slides"], row["done"], row["failed"]) for row in found["shards"]
    ] == [
        ("1/3", "ended", 2, 2, 0),
        ("2/3", "ended", 1, 0, 1),
        ("3/3", "not begun", None, 0, 0),
    ]
    assert (found["slides"], found["done"], found["failed"], found["complete"]) == (4, 2, 1, False)
    assert [failure["slide_id"] for failure in found["failures"]] == ["s1"]


def test_the_status_of_a_folder_without_shards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slides, out = make_slides(tmp_path / "slides", 2), tmp_path / "run"
    with pytest.raises(StorageError, match="expected the --out folder"):
        status.run(out)
    tile.run(slides, CONFIG, out)
    capsys.readouterr()
    assert status.run(out) == 0
    assert "tile: 2 of 2 slides done, 0 failed, 0 to do" in capsys.readouterr().out


# ---- killed, and without locks


@POSIX
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("before", ["", WITHOUT_LOCKS], ids=["locks", "no locks"])
def test_shards_that_are_killed_and_resumed_give_the_folder_of_one_process(
    before: str, tmp_path: Path, untrained_model: MakeModel
) -> None:
    count = 4
    slides, out = make_slides(tmp_path / "slides", 9), tmp_path / "sharded"
    (slides / "s4.tif").write_bytes(b"no slide")
    model = untrained_model(tmp_path / "model", mode="grid")
    predict.run([slides], model, tmp_path / "whole")

    def start(index: int) -> subprocess.Popen[str]:
        task = job_array(index, 1, count, count)
        return started(
            "predict", slides, "--model", model, "--out", out, "--workers", 1, environment=task, before=before
        )

    chance = np.random.default_rng(7)
    for _ in range(3):  # three times all are started, and all are killed
        running = [start(index) for index in range(1, count + 1)]
        until = len(files(out)) + int(chance.integers(4, 12))
        limit = time.monotonic() + 120
        while len(files_listed(out)) < until and time.monotonic() < limit:
            if all(process.poll() is not None for process in running):
                break
            time.sleep(0.02)
        for process in running:
            process.send_signal(signal.SIGKILL)
        for process in running:
            process.communicate()
    codes = {index: start(index) for index in range(1, count + 1)}
    for process in codes.values():
        process.communicate(timeout=400)
    # s4 is in shard 1 (places 0, 4, 8), whose exit code says that it failed.
    assert {index: process.returncode for index, process in codes.items()} == {1: 1, 2: 0, 3: 0, 4: 0}
    assert files(out) == files(tmp_path / "whole")


def files_listed(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and "shards" not in path.parts]
