"""CPU time per tile of `inkdot embed`, against the encoder alone on tiles that lie in memory.

    python benchmarks/bench_embed.py [SLIDE] [--backbone NAME ...] [--precision P ...] [--tiles N] [--rounds R]

Without SLIDE the synthetic one of bench_reading.py is taken (20,000 px a side at 0.25 µm/px, JPEG Q80), at its own scale.

- network: the encoder in OpenVINO on tiles in memory: the floor.
- embed: what the command does with a slide whose tiles are placed: opening, native reading in a thread of its own, the
  encoder, the HDF5 file with its hash.
- reader: the tiles alone, read and dropped.

They run in turns in one process per encoder, on the same tiles and the same random weights (speed does not depend on
them); imports, and loading and converting the encoder, are not counted. Metrics are medians of CPU milliseconds per tile
over all threads, which depend least on other programs. `share_of_the_floor` is network / embed. `tiles_per_cpu_second` of embed
is what one hardware thread does. The last line is JSON. docs/how-to/speed.md has the results.
"""
# pyright: basic

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from bench_predict import precisions_here
from bench_reading import synthetic_slide, warm

METHODS = ("network", "embed", "reader")
BACKBONES = ("vit_small_patch16_224", "resnet18", "tf_efficientnet_lite0")
SIDE_PX = 224


def main() -> int:
    parser = argparse.ArgumentParser(description="CPU time per tile of inkdot embed.")
    parser.add_argument("slide", nargs="?", type=Path)
    parser.add_argument("--backbone", nargs="+", default=list(BACKBONES))
    parser.add_argument("--precision", nargs="+", choices=("float32", "bfloat16"))
    parser.add_argument("--tiles", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "inkdot" / "bench")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(metrics(json.load(sys.stdin))))
        return 0
    slide = arguments.slide or synthetic_slide(arguments.cache)
    warm(slide)
    line: dict[str, Any] = {
        "script": "bench_embed",
        "tiles": arguments.tiles,
        "side_px": SIDE_PX,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_average_before": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "backbones": {},
    }
    for backbone in arguments.backbone:
        line["backbones"][backbone] = {}
        for precision in arguments.precision or precisions_here():
            job = {
                "slide": str(slide), "backbone": backbone, "precision": precision, "tiles": arguments.tiles,
                "rounds": arguments.rounds,
            }  # fmt: skip
            line["backbones"][backbone][precision] = in_own_process(job)
    print(json.dumps(line))
    return 0


def in_own_process(job: dict[str, Any]) -> dict[str, float]:
    command = [sys.executable, __file__, "--one"]
    ended = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, check=False)
    if ended.returncode:
        sys.exit(f"{job['backbone']}: {ended.stderr[-2000:]}")
    return json.loads(ended.stdout.splitlines()[-1])


def metrics(job: dict[str, Any]) -> dict[str, float]:
    """All methods in this process, in turns; everything is loaded, and the encoder has run once, before the clock starts."""
    encoder, pixels = random_encoder(job), list(tiles(job))
    list(encoder.features(pixels[:16]))
    found: dict[str, list[tuple[float, float]]] = {method: [] for method in METHODS}
    for _ in range(job["rounds"]):
        found["network"].append(timed(job, lambda: [len(batch) for batch in encoder.features(pixels)]))
        with tempfile.TemporaryDirectory() as scratch:
            found["embed"].append(timed(job, embedding(job, encoder, Path(scratch))))
        found["reader"].append(timed(job, lambda: sum(1 for _ in tiles(job))))
    cpu = {method: statistics.median(one for one, _ in found[method]) for method in METHODS}
    wall = {method: statistics.median(one for _, one in found[method]) for method in METHODS}
    return {
        **{f"{method}_cpu_ms_a_tile": round(cpu[method], 2) for method in METHODS},
        "share_of_the_floor": round(cpu["network"] / cpu["embed"], 3),
        "tiles_per_cpu_second": round(1000 / cpu["embed"], 1),
        "network_tiles_per_second": round(1000 / wall["network"], 1),
        "embed_tiles_per_second": round(1000 / wall["embed"], 1),
    }


def timed(job: dict[str, Any], run: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds per tile of CPU over all threads, and of wall clock."""
    start, cpu = time.perf_counter(), time.process_time()
    run()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - start
    return 1000 * cpu / job["tiles"], 1000 * wall / job["tiles"]


def embedding(job: dict[str, Any], encoder: Any, scratch: Path) -> Callable[[], object]:
    from inkdot.pipeline.scoring.embed_slide import embed_slide
    from inkdot.storage.layout import RunLayout

    layout = RunLayout(scratch)
    write_tile_table(job, layout)
    return lambda: embed_slide(entry(job), layout, encoder)


def random_encoder(job: dict[str, Any]) -> Any:
    import torch

    from inkdot.model.frozen_encoder import EncoderSource, FrozenEncoder
    from inkdot.model.network import NetworkSpec, TileNetwork

    torch.manual_seed(1)
    source = EncoderSource(job["backbone"], "", SIDE_PX, precision=job["precision"])
    made = TileNetwork(NetworkSpec(job["backbone"], 0.0, (), SIDE_PX))
    return FrozenEncoder(source, device="cpu", runtime="openvino", network=made)


def entry(job: dict[str, Any]) -> Any:
    from inkdot.records import SlideEntry

    return SlideEntry("bench", Path(job["slide"]))


def corners(job: dict[str, Any]) -> list[tuple[int, int]]:
    """Top left corners in level-0 pixels, row by row, from the middle of the slide."""
    return [(2000 + SIDE_PX * (i % 64), 8000 + SIDE_PX * (i // 64)) for i in range(job["tiles"])]


def tiles(job: dict[str, Any]) -> Iterator[Any]:
    from inkdot.slides import open_slide
    from inkdot.tiling.tile_pixels import read_tiles

    with closing(open_slide(entry(job))) as slide:
        yield from read_tiles(slide, spec(slide), *zip(*corners(job), strict=True))


def spec(slide: Any) -> Any:
    from inkdot.records import TileSpec
    from inkdot.units import TilePx

    return TileSpec(TilePx(SIDE_PX), slide.info.mpp.x, TilePx(SIDE_PX))


def write_tile_table(job: dict[str, Any], layout: Any) -> None:
    import pyarrow as pa

    from inkdot.slides import open_slide
    from inkdot.storage.hashing import slide_fingerprint
    from inkdot.storage.record_json import slide_info_json, tile_spec_json
    from inkdot.storage.schemas import TILES_VERSION, tiles_schema
    from inkdot.storage.tables.parquet_tables import write_table

    xs, ys = zip(*corners(job), strict=True)
    rows = {
        "x_l0_px": xs,
        "y_l0_px": ys,
        "cluster_id": [None] * len(xs),
        "foreground_fraction": [1.0] * len(xs),
    }
    with closing(open_slide(entry(job))) as slide:
        facts = {
            "slide": slide_info_json(slide.info),
            "tile_spec": tile_spec_json(spec(slide)),
            "slide_fingerprint": slide_fingerprint(Path(job["slide"])),
        }
    table = pa.Table.from_pydict({**rows, "edge_um": [None] * len(xs)}, schema=tiles_schema([]))
    write_table(layout.tiles("bench"), table, TILES_VERSION, facts)


if __name__ == "__main__":
    sys.exit(main())
