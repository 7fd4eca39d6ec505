"""CPU time per tile of prediction: Inkdot, a plain PyTorch loop over OpenSlide tiles, and a lower bound.

    python benchmarks/bench_predict.py [SLIDE] [--backbone NAME ...] [--precision P ...] [--tile-mpp M] [--tiles N] [--rounds R]

Without SLIDE the synthetic one of bench_reading.py is taken (20,000 px a side at 0.25 µm/px, JPEG Q80), at its own scale.

- inkdot: what `predict` does with the tiles of a slide: native reading in a thread of its own, the network in OpenVINO,
  calibrated scores. In float32, and in bfloat16 where the processor has it.
- plain: a loop as other tools have it: OpenSlide's read_region, PIL, PyTorch eager in float32, batches of 32.
- floor: the network in OpenVINO on tiles in memory, plus the reader alone.

Each runs alone in a process of its own, in turns, on the same tiles and the same (random) weights; imports, opening, and the
conversion of the network, which is kept beside the model, are not counted. Metrics are medians of CPU milliseconds per
tile over all threads, which depend least on other programs; wall-clock metrics are printed as well. PyTorch gets one
thread: more threads cost it more CPU. Start-up is the time of `inkdot predict` on one small slide, with a cached
conversion (warm) and without (cold). The last line is JSON.
docs/how-to/speed.md has the results.
"""
# pyright: basic

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from bench_reading import synthetic_slide, warm

METHODS = ("inkdot", "plain", "network in memory", "reader")
BACKBONES = ("resnet18", "mobilenetv3_small_100")  # what peers are measured with, and the shipped default
SIDE_PX = 256
PLAIN_BATCH = 32


def main() -> int:
    parser = argparse.ArgumentParser(description="CPU time per tile of prediction.")
    parser.add_argument("slide", nargs="?", type=Path)
    parser.add_argument("--backbone", nargs="+", default=list(BACKBONES))
    parser.add_argument(
        "--precision",
        nargs="+",
        choices=("float32", "bfloat16"),
        help="what this processor has where not given",
    )
    parser.add_argument("--tile-mpp", type=float, default=0.25, help="µm per tile pixel")
    parser.add_argument("--tiles", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-start-up", action="store_true", help="leave out the timing of whole commands")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "inkdot" / "bench")
    parser.add_argument("--one", choices=METHODS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, json.load(sys.stdin))))
        return 0
    slide = arguments.slide or synthetic_slide(arguments.cache)
    warm(slide)
    line: dict[str, Any] = {
        "script": "bench_predict",
        "tiles": arguments.tiles,
        "side_px": SIDE_PX,
        "tile_mpp": arguments.tile_mpp,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "bf16_on_this_cpu": bf16_here(),
        "load_average_before": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "backbones": {},
    }
    with tempfile.TemporaryDirectory() as scratch:
        for backbone in arguments.backbone:
            line["backbones"][backbone] = {}
            for precision in arguments.precision or precisions_here():
                folder = Path(scratch) / f"{backbone}-{precision}"
                model = random_model(folder, backbone, arguments.tile_mpp, precision)
                job = {"slide": str(slide), "model": str(model), "tiles": arguments.tiles}
                line["backbones"][backbone][precision] = metrics(job, arguments.rounds)
        if not arguments.no_start_up:
            line["start_up"] = start_up(Path(scratch))
    print(json.dumps(line))
    return 0


def metrics(job: dict[str, Any], rounds: int) -> dict[str, float]:
    found: dict[str, list[dict[str, float]]] = {method: [] for method in METHODS}
    for _ in range(rounds):
        for method in METHODS:
            command = [sys.executable, __file__, "--one", method]
            ended = subprocess.run(
                command, input=json.dumps(job), capture_output=True, text=True, env=environment(method), check=False
            )  # fmt: skip
            if ended.returncode:
                sys.exit(f"{method}: {ended.stderr[-2000:]}")
            found[method].append(json.loads(ended.stdout.splitlines()[-1]))
    cpu = {method: statistics.median(one["cpu_ms"] for one in found[method]) for method in METHODS}
    wall = {method: statistics.median(one["wall_ms"] for one in found[method]) for method in METHODS}
    floor = cpu["network in memory"] + cpu["reader"]
    scores = [found[method][0]["first_score"] for method in ("inkdot", "plain")]
    return {
        "inkdot_cpu_ms_a_tile": round(cpu["inkdot"], 2),
        "plain_cpu_ms_a_tile": round(cpu["plain"], 2),
        "floor_cpu_ms_a_tile": round(floor, 2),
        "network_cpu_ms_a_tile": round(cpu["network in memory"], 2),
        "reader_cpu_ms_a_tile": round(cpu["reader"], 2),
        "times_the_plain_loop": round(cpu["plain"] / cpu["inkdot"], 2),
        "share_of_the_floor": round(floor / cpu["inkdot"], 3),
        "inkdot_wall_ms_a_tile": round(wall["inkdot"], 2),
        "plain_wall_ms_a_tile": round(wall["plain"], 2),
        "largest_peak_mb": round(max(one["peak_mb"] for one in found["inkdot"])),
        "first_score_apart": round(abs(scores[0] - scores[1]), 4),
    }


def environment(method: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    return own | {"OMP_NUM_THREADS": "1"} if method == "plain" else own


def measure(method: str, job: dict[str, Any]) -> dict[str, float]:
    """One method in this process; everything is loaded and run on one batch before the clock starts."""
    run = {"inkdot": inkdot, "plain": plain, "network in memory": in_memory, "reader": reader}[method](job)
    start, cpu = time.perf_counter(), time.process_time()
    first = run()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    count = job["tiles"]
    return {
        "cpu_ms": 1000 * cpu / count,
        "wall_ms": 1000 * wall / count,
        "first_score": first,
        "peak_mb": peak,
    }


def inkdot(job: dict[str, Any]) -> Callable[[], float]:
    from inkdot.execution.prefetch import prefetch
    from inkdot.model.predictor import Predictor
    from inkdot.pipeline.scoring.infer_tiles import PREFETCH_TILES

    predictor = Predictor(Path(job["model"]), device="cpu", runtime="openvino")
    predictor.predict_proba(islice(tiles(job), 1))

    def score() -> float:
        with prefetch(tiles(job), PREFETCH_TILES) as pixels:
            return float(predictor.predict_proba(pixels)[0, 1])

    return score


def in_memory(job: dict[str, Any]) -> Callable[[], float]:
    from inkdot.model.predictor import Predictor

    predictor = Predictor(Path(job["model"]), device="cpu", runtime="openvino")
    pixels = list(tiles(job))
    predictor.predict_proba(pixels[:1])
    return lambda: float(predictor.predict_proba(pixels)[0, 1])


def reader(job: dict[str, Any]) -> Callable[[], float]:
    next(tiles(job))

    def drain() -> float:
        for _ in tiles(job):
            pass
        return 0.0

    return drain


def plain(job: dict[str, Any]) -> Callable[[], float]:
    import openslide
    import torch
    from PIL import Image

    from inkdot.model.model_folder import load_model

    description, network = load_model(Path(job["model"]))
    mean, std = (
        torch.tensor(v).reshape(3, 1, 1)
        for v in (network.spec.normalisation_mean, network.spec.normalisation_std)
    )
    slide = openslide.OpenSlide(job["slide"])
    own_mpp = float(slide.properties["openslide.mpp-x"])
    side = round(SIDE_PX * description.tiling.mpp / own_mpp)

    def batches() -> Iterator[list[torch.Tensor]]:
        read: list[torch.Tensor] = []
        for x, y in corners(job):
            image = slide.read_region((x, y), 0, (side, side)).convert("RGB")
            if side != SIDE_PX:
                image = image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR)
            pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).reshape(
                SIDE_PX, SIDE_PX, 3
            )
            read.append((pixels.permute(2, 0, 1).float() / 255 - mean) / std)
            if len(read) == PLAIN_BATCH:
                yield read
                read = []
        if read:
            yield read

    head = network.heads["malignancy"]

    def score(limit: int | None = None) -> float:
        scores: list[torch.Tensor] = []
        with torch.inference_mode():
            for batch in islice(batches(), limit):
                logits = head(network.backbone(torch.stack(batch)))
                scores.append(torch.softmax(logits, 1))
        return float(scores[0][0, 1])

    score(1)
    return score


def corners(job: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """Top left corners in level-0 pixels, row by row from the slide's middle, the same for every method."""
    side = job["side_l0_px"] if "side_l0_px" in job else side_l0(job)
    a_row = 64
    return ((2000 + side * (i % a_row), 8000 + side * (i // a_row)) for i in range(job["tiles"]))


def side_l0(job: dict[str, Any]) -> int:
    from inkdot.records import SlideEntry
    from inkdot.slides import open_slide
    from inkdot.storage.models.model_files import read_model_file

    spec = read_model_file(Path(job["model"])).tiling.spec
    with closing(open_slide(SlideEntry("bench", Path(job["slide"])))) as slide:
        job["side_l0_px"] = round(spec.side_um / slide.info.mpp.x)
    return job["side_l0_px"]


def tiles(job: dict[str, Any]) -> Iterator[Any]:
    from inkdot.records import SlideEntry
    from inkdot.slides import open_slide
    from inkdot.storage.models.model_files import read_model_file
    from inkdot.tiling.tile_pixels import read_tiles

    tiling = read_model_file(Path(job["model"])).tiling
    regions = list(corners(job))
    with closing(
        open_slide(SlideEntry("bench", Path(job["slide"])), dct_scaling=tiling.dct_scaling)
    ) as slide:
        yield from read_tiles(slide, tiling.spec, [x for x, _ in regions], [y for _, y in regions])


def random_model(folder: Path, backbone: str, tile_mpp: float, precision: Any) -> Path:
    import torch

    from inkdot import __version__
    from inkdot.config import config_from_mapping
    from inkdot.model.model_folder import save_model
    from inkdot.model.network import NetworkSpec, TileNetwork
    from inkdot.storage.models.model_files import ModelFile
    from inkdot.storage.models.model_records import TrainedOn

    tiling = {"side_px": SIDE_PX, "mpp": tile_mpp, "stride_px": SIDE_PX, "mode": "grid"}
    config = config_from_mapping({"tiling": tiling, "model": {"backbone": backbone}})
    torch.manual_seed(1)
    network = TileNetwork(NetworkSpec(backbone, 0.0, config.head_records, SIDE_PX))
    trained_on = TrainedOn(
        synthetic=True, slides=0, patients=0, tiles_per_class={}, preparations=[], stains=[], sites=0, scanners=0
    )  # fmt: skip
    description = ModelFile(
        inkdot=__version__, backbone=backbone, dropout=0.0, precision=precision,
        preparation="thinprep", heads=config.heads, tiling=config.tiling,
        normalisation_mean=list(network.spec.normalisation_mean), normalisation_std=list(network.spec.normalisation_std),
        temperatures={}, operating_points={}, validation_metrics={}, trained_on=trained_on, config_sha256="0", weights_sha256="",
    )  # fmt: skip
    save_model(folder, network, description)
    return folder


def start_up(scratch: Path) -> dict[str, float]:
    """Seconds of wall clock and of CPU of `inkdot predict` on one small slide, with the shipped demo model."""
    model = scratch / "demo"
    shutil.copytree(Path(__file__).parent.parent / "models" / "demo", model, ignore=lambda *_: {"openvino"})
    program = [sys.executable, "-m", "inkdot"]
    cohort = ["--preset", "demo-training", "--slides", "1", "--seed", "3", "--out", str(scratch / "cohort")]
    subprocess.run([*program, "synth", *cohort], check=True, capture_output=True)
    (slide,) = (scratch / "cohort" / "slides").iterdir()
    found: dict[str, float] = {}
    for name in ("cold", "warm"):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        command = [*program, "predict", str(slide), "--model", str(model), "--out", str(scratch / name)]
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found[f"{name}_s"] = round(time.perf_counter() - start, 1)
        found[f"{name}_cpu_s"] = round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1)
    return found


def precisions_here() -> list[str]:
    from inkdot.model.runtimes.openvino_backend import cpu_has_bfloat16

    return ["float32", "bfloat16"] if cpu_has_bfloat16() else ["float32"]


def bf16_here() -> bool | None:
    try:
        return "avx512_bf16" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return None


if __name__ == "__main__":
    sys.exit(main())
