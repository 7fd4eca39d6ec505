"""Images per second of a large encoder on a GPU, and the share of time that it waits for tiles.

    python benchmarks/bench_gpu.py [SLIDE] [--backbone uni2-h] [--tiles 8192] [--rounds 3] [--threads 1 8]

Without SLIDE the synthetic one of bench_reading.py is taken (20,000 px a side at 0.25 µm/px, JPEG Q80), at its own scale.
Weights are random: speed does not depend on them.

- network: the encoder in bfloat16 on a batch that lies on the GPU already: the floor.
- memory: `FrozenEncoder.features` on tiles in this machine's memory: stacking, copying, results.
- embed_N: what `inkdot embed` does with a slide whose tiles are placed, read by N threads, the HDF5 file with its hash.
- reader_N: the tiles alone, read by N threads and dropped.

They run in turns. Metrics are medians of wall-clock tiles per second; `waiting_N` is the share of the time of embed_N in
which the GPU has nothing of this encoder to compute: 1 - embed_N / network. The last line is JSON. docs/how-to/speed.md
has the results.
"""
# pyright: basic

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench_embed import SIDE_PX, entry, spec, tiles, write_tile_table
from bench_reading import synthetic_slide, warm


def main() -> int:
    parser = argparse.ArgumentParser(description="Speed of an encoder on a GPU.")
    parser.add_argument("slide", nargs="?", type=Path)
    parser.add_argument("--backbone", default="uni2-h")
    parser.add_argument("--tiles", type=int, default=8192)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "inkdot" / "bench")
    arguments = parser.parse_args()
    slide = arguments.slide or synthetic_slide(arguments.cache)
    warm(slide)
    job = {"slide": str(slide), "tiles": arguments.tiles}
    encoder, network = random_encoder(arguments)
    pixels = list(tiles({**job, "tiles": min(2048, arguments.tiles)}))
    with tempfile.TemporaryDirectory() as scratch:
        ways: dict[str, tuple[int, Callable[[], object]]] = {
            "network": resident(network, pixels[: arguments.batch], arguments),
            "memory": (len(pixels), lambda: [len(batch) for batch in encoder.features(pixels)]),
        }
        for threads in arguments.threads:
            ways[f"embed_{threads}"] = arguments.tiles, embedding(job, encoder, threads, Path(scratch))
            ways[f"reader_{threads}"] = arguments.tiles, reading(job, threads)
        for count, run in ways.values():  # kernels are chosen, files are in memory
            run() if count < arguments.tiles else None
        found: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(arguments.rounds):
            for name, (count, run) in ways.items():
                start = time.perf_counter()
                run()
                found[name].append(count / (time.perf_counter() - start))
    speeds = {name: statistics.median(values) for name, values in found.items()}
    line: dict[str, Any] = {
        "script": "bench_gpu", "backbone": arguments.backbone, "tiles": arguments.tiles, "side_px": SIDE_PX,
        "batch": arguments.batch, "precision": encoder.precision, "processors": os.cpu_count(), "device": device_name(),
        "tiles_per_second": {name: round(value, 1) for name, value in speeds.items()},
        "waiting": {n: round(1 - speeds[f"embed_{n}"] / speeds["network"], 3) for n in arguments.threads},
        "all_rounds": {name: [round(value, 1) for value in values] for name, values in found.items()},
    }  # fmt: skip
    print(json.dumps(line))
    return 0


def random_encoder(arguments: argparse.Namespace) -> tuple[Any, Any]:
    import torch

    from inkdot.model.encoders.resolve import resolve_backbone
    from inkdot.model.frozen_encoder import EncoderSource, FrozenEncoder
    from inkdot.model.network import TileNetwork, resolved_spec

    resolved = resolve_backbone(arguments.backbone, SIDE_PX)
    with torch.device(arguments.device):  # random numbers for 700 million weights take a CPU minutes
        network = TileNetwork(resolved_spec(resolved, resolved.normalisation, tta_views=1, licence=""))
    source = EncoderSource(arguments.backbone, "", SIDE_PX)
    made = FrozenEncoder(
        source, device=arguments.device, runtime="torch", batch_size=arguments.batch, network=network
    )
    return made, network


def resident(
    network: Any, pixels: list[Any], arguments: argparse.Namespace
) -> tuple[int, Callable[[], object]]:
    """Forward passes of one batch, uint8 on the GPU already; as many as there are tiles."""
    import torch

    from inkdot.model.runtimes.torch_backend import as_batch

    device, times = torch.device(arguments.device), max(1, min(2048, arguments.tiles) // len(pixels))
    batch = as_batch(pixels).to(device)

    def run() -> None:
        with (
            torch.inference_mode(),
            torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"),
        ):
            outputs = [network.forward_with_features(batch)[1].float() for _ in range(times)]
        outputs[-1].sum().item()

    return times * len(pixels), run


def embedding(job: dict[str, Any], encoder: Any, threads: int, scratch: Path) -> Callable[[], object]:
    from inkdot.pipeline.scoring.embed_slide import embed_slide
    from inkdot.storage.layout import RunLayout

    layout = RunLayout(scratch / str(threads))
    write_tile_table(job, layout)

    def run() -> None:
        encoder.reading_threads = threads
        for stored in layout.root.glob("embeddings/*.h5"):
            stored.unlink()
        if embed_slide(entry(job), layout, encoder) != "done":
            sys.exit("expected a slide to embed, found that it was embedded already")

    return run


def reading(job: dict[str, Any], threads: int) -> Callable[[], object]:
    import pyarrow as pa
    from bench_embed import corners

    from inkdot.pipeline.scoring.infer_tiles import tiles_ahead
    from inkdot.slides import open_slide

    xs, ys = zip(*corners(job), strict=True)
    table = pa.table({"x_l0_px": xs, "y_l0_px": ys})
    spec_ = spec(open_slide(entry(job)))

    def run() -> int:
        with tiles_ahead(entry(job), table, spec_, None, dct_scaling=False, threads=threads) as read:
            return sum(1 for _ in read)

    return run


def device_name() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


if __name__ == "__main__":
    sys.exit(main())
