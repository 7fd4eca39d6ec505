"""What a batch takes of memory: no more for many slides, hardly more for large ones; one that is too large fails alone."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from inkdot.records import Mpp
from inkdot.slides.pyramid import write_pyramid
from inkdot.storage import ledger

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and limits address space as Linux does"),
    pytest.mark.slow,
    pytest.mark.timeout(900),
]

MakeFile = Callable[..., Path]


@pytest.fixture
def model(untrained_model: MakeFile, tmp_path: Path) -> Path:
    return untrained_model(tmp_path / "model")


# It notes what it holds itself, with each line of the ledger: who looks from outside may be kept waiting too long.
SCORED_APART = """
import os, sys
from pathlib import Path
from inkdot.stages import predict

slides, model, out = (Path(word) for word in sys.argv[1:])

def note(event, arguments):
    if event == "open" and arguments[0] == str(out / "ledger.jsonl") and (arguments[1] or "").startswith("a"):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        print(pages * os.sysconf("SC_PAGE_SIZE"), file=held)

with out.with_suffix(".held").open("w") as held:
    sys.addaudithook(note)
    code = predict.run([slides], model, out)
    held.flush()
    os._exit(code)
"""


def scored_apart(slides: Path, model: Path, out: Path) -> subprocess.Popen[bytes]:
    """All stages of `predict` in one process of its own."""
    command = [sys.executable, "-c", SCORED_APART, str(slides), str(model), str(out)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def resident_bytes(process: subprocess.Popen[bytes]) -> int:
    """0 where it has gone."""
    try:
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_memory_does_not_grow_with_the_number_of_slides(
    model: Path, dotted_slide: MakeFile, tmp_path: Path
) -> None:
    """What a process holds while it works on slides 20 to 40 of 200, and on the last twenty, in every stage."""
    count = 200
    first = dotted_slide(tmp_path / "one.tif", 1, side_px=300, dots=12)
    (tmp_path / "many").mkdir()
    for index in range(count):
        os.link(first, tmp_path / "many" / f"s{index:03}.tif")
    out = tmp_path / "out"
    process = scored_apart(tmp_path / "many", model, out)
    assert process.wait() == 0
    stages = [line.stage for line in ledger.read(out / "ledger.jsonl")]
    assert stages == [stage for stage in ("tile", "predict", "clusters", "images") for _ in range(count)]
    sizes = [int(size) for size in out.with_suffix(".held").read_text().split()]
    assert len(sizes) == len(stages)
    for number, stage in enumerate(("tile", "predict", "clusters", "images")):
        start = number * count
        early, late = max(sizes[start + 20 : start + 40]), max(sizes[start + 180 : start + count])
        assert late - early < 12 * 2**20, f"{stage}: {early / 2**20:.0f} MiB, later {late / 2**20:.0f} MiB"


class Glass:
    """A slide of empty glass with forty cells in one tile."""

    def __init__(self, side_px: int) -> None:
        self.size_px = (side_px, side_px)
        cells = np.full((256, 256, 3), 245, np.uint8)
        for x, y in np.random.default_rng(0).integers(20, 236, (40, 2)).tolist():
            cv2.circle(cells, (x, y), 9, (90, 60, 120), -1)
        self.pool = [np.full((256, 256, 3), 245, np.uint8), cells]

    def tile(self, column: int, row: int) -> int:
        return int(column == row == 1)


def test_memory_hardly_grows_with_the_size_of_a_slide(model: Path, tmp_path: Path) -> None:
    """Slides of one level, which must be read whole for everything: 48 MB of pixels, and 768 MB."""
    peaks: list[int] = []
    for side_px in (4_000, 16_000):
        path = tmp_path / f"{side_px}.tif"
        write_pyramid(path, Glass(side_px), mpp=Mpp.square(0.5), description="", downsamples=(1,))
        process = scored_apart(path, model, tmp_path / f"out{side_px}")
        peak = 0
        while process.poll() is None:
            peak = max(peak, resident_bytes(process))
            time.sleep(0.005)
        assert process.wait() == 0
        assert (tmp_path / f"out{side_px}" / "heatmap" / f"{side_px}.png").exists()
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 250 * 2**20, [f"{peak / 2**20:.0f} MiB" for peak in peaks]


TILED = """
import resource, sys, time
from pathlib import Path
from inkdot.config import config_from_mapping
from inkdot.pipeline.batch_settings import BatchSettings, SlideOverrides
from inkdot.stages import tile

slides, out, limit = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
if limit:
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
config = config_from_mapping({"tiling": {"side_px": 64, "mpp": 0.5, "stride_px": 64}})
code = tile.run(slides, config, out, BatchSettings(overrides=SlideOverrides(mpp=0.5)))
print(Path("/proc/self/status").read_text())
sys.exit(code)
"""


def test_a_slide_that_does_not_fit_into_memory_fails_alone(dotted_slide: MakeFile, tmp_path: Path) -> None:
    """There is half of the memory that its pixels take, beyond what the program takes for the others."""
    slides = tmp_path / "slides"
    for seed in range(2):
        dotted_slide(slides / f"s{seed}.tif", seed)

    def tiled(out: Path, limit: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", TILED, str(slides), str(out), str(limit)]
        return subprocess.run(command, capture_output=True, text=True, timeout=600)

    usual = tiled(tmp_path / "first", 0)
    assert usual.returncode == 0
    large = np.full((12_000, 12_000, 3), 245, np.uint8)
    cv2.circle(large, (6000, 6000), 40, (90, 60, 120), -1)
    cv2.imwrite(str(slides / "large.png"), large, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    peak_bytes = 1024 * int(usual.stdout.split("VmPeak:")[1].split()[0])
    short = tiled(tmp_path / "run", peak_bytes + large.nbytes // 2)
    assert short.returncode == 1, short.stderr
    lines = {line.slide_id: line for line in ledger.read(tmp_path / "run" / "ledger.jsonl")}
    assert {name: line.outcome for name, line in lines.items()} == {
        "s0": "done",
        "s1": "done",
        "large": "failed",
    }
    assert "memory" in lines["large"].reason
    assert "large" in short.stderr
    for name in ("s0", "s1"):
        table = Path("tiles") / f"{name}.parquet"
        assert (tmp_path / "run" / table).read_bytes() == (tmp_path / "first" / table).read_bytes()
