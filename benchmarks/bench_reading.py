"""Speed of reading tiles: Inkdot, a plain OpenSlide loop, and the JPEG decoder alone on the same native tiles.

    python benchmarks/bench_reading.py [SLIDE] [--mpp M]

Without SLIDE a synthetic one is made once and kept: 20,000 px a side at 0.25 µm/px, levels 1/4/16, JPEG Q80 4:2:0.
Every reader runs alone in a process of its own, in turns, with the slide in the page cache and one thread; times are
medians of CPU seconds, which do not depend on other programs. Opening is timed separately.
The last line is JSON. Its four main metrics are those of the default reader; "without_dct_scaling" has the others.
Decision 10 has the results.
"""
# pyright: basic

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

READERS = (
    "inkdot",
    "inkdot without DCT scaling",
    "plain OpenSlide loop",
    "decoder",
    "decoder without DCT scaling",
)
SIDE_PX = 256
SYNTHETIC_SIDE_PX = 20_000
SYNTHETIC_MPP = 0.25

Job = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description="Speed of reading tiles.")
    parser.add_argument("slide", nargs="?", type=Path)
    parser.add_argument("--mpp", type=float, help="µm per level-0 pixel, where the slide states none")
    parser.add_argument("--tile-mpp", type=float, default=0.5, help="µm per tile pixel (default 0.5)")
    parser.add_argument("--tiles", type=int, default=600, help="at most so many tiles, from the middle rows")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "inkdot" / "bench")
    parser.add_argument("--one", choices=READERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, json.load(sys.stdin))))
        return 0
    path = arguments.slide or synthetic_slide(arguments.cache)
    if not path.is_file():
        parser.error(f"expected a slide file, found nothing at {path}")
    from inkdot.errors import InkdotError

    try:
        job = plan(path, arguments.mpp, arguments.tile_mpp, arguments.tiles)
    except InkdotError as error:
        parser.error(str(error))
    warm(path)
    results: dict[str, list[Job]] = {reader: [] for reader in READERS}
    for _ in range(arguments.rounds):
        for reader in READERS:
            results[reader].append(run(reader, job))
    report(results, job)
    return 0


def plan(path: Path, mpp: float | None, tile_mpp: float, most: int) -> Job:
    """Neighbouring tiles of the regular grid, whole rows from the middle of the slide."""
    from inkdot.geometry import grid_positions
    from inkdot.slides import open_slide

    with closing(open_slide(entry(path, mpp))) as slide:
        info, kind = slide.info, type(slide).__name__
        at = list(grid_positions(info, spec(tile_mpp)))
    rows = sorted({y for _, y in at})
    per_row = len(at) // len(rows)
    needed = max(1, min(len(rows), most // per_row))
    first = (len(rows) - needed) // 2
    chosen = set(rows[first : first + needed])
    kept = [(x, y) for x, y in at if y in chosen]
    print(
        f"{path.name}: {info.size_l0_px[0]} x {info.size_l0_px[1]} px at {info.mpp.x:g} µm/px, read by {kind}; "
        f"{len(kept)} tiles of {SIDE_PX} px at {tile_mpp:g} µm/px"
    )
    return {
        "path": str(path),
        "mpp": mpp,
        "tile_mpp": tile_mpp,
        "xs": [int(x) for x, _ in kept],
        "ys": [int(y) for _, y in kept],
    }


def run(reader: str, job: Job) -> Job:
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OPENCV_FOR_THREADS_NUM": "1",
    }
    done = subprocess.run(
        [sys.executable, __file__, "--one", reader],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{reader}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def measure(reader: str, job: Job) -> Job:
    """One reader, once: imports before the clock, opening and reading on it."""
    prepare: Callable[[Job], tuple[float, Iterable[object] | None]] = {
        "inkdot": lambda job: by_inkdot(job, dct_scaling=True),
        "inkdot without DCT scaling": lambda job: by_inkdot(job, dct_scaling=False),
        "plain OpenSlide loop": by_openslide,
        "decoder": lambda job: by_decoder(job, dct_scaling=True),
        "decoder without DCT scaling": lambda job: by_decoder(job, dct_scaling=False),
    }[reader]
    open_s, tiles = prepare(job)
    if tiles is None:
        return {"count": 0, "cpu_s": None, "wall_s": None, "open_s": 0.0, "peak_mb": None}
    wall, cpu = time.perf_counter(), time.process_time()
    count = sum(1 for _ in tiles)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"count": count, "cpu_s": cpu, "wall_s": wall, "open_s": open_s, "peak_mb": peak_mb()}


def by_inkdot(job: Job, *, dct_scaling: bool) -> tuple[float, Iterable[object]]:
    import cv2

    from inkdot.slides import open_slide
    from inkdot.tiling.tile_pixels import read_tiles

    cv2.setNumThreads(1)
    start = time.process_time()
    slide = open_slide(entry(Path(job["path"]), job["mpp"]), dct_scaling=dct_scaling)
    opened = time.process_time() - start
    return opened, read_tiles(slide, spec(job["tile_mpp"]), job["xs"], job["ys"])


def by_openslide(job: Job) -> tuple[float, Iterable[object]]:
    """The plain loop: read_region, three channels, area mean."""
    import cv2
    import numpy as np
    import openslide

    from inkdot.geometry import plan_read
    from inkdot.slides.openslide_backend import OpenSlideSlide

    cv2.setNumThreads(1)
    with closing(OpenSlideSlide(entry(Path(job["path"]), job["mpp"]))) as slide:
        info = slide.info
    start = time.process_time()
    handle = openslide.OpenSlide(job["path"])
    opened = time.process_time() - start
    plans = [plan_read(info, spec(job["tile_mpp"]), x, y) for x, y in zip(job["xs"], job["ys"], strict=True)]

    def tiles() -> Iterable[object]:
        for p in plans:
            region = handle.read_region(
                (p.x_l0_px, p.y_l0_px), p.level, (p.width_level_px, p.height_level_px)
            )
            yield cv2.resize(np.asarray(region)[..., :3], (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)

    return opened, tiles()


def by_decoder(job: Job, *, dct_scaling: bool) -> tuple[float, Iterable[object] | None]:
    """Decode each native tile under the tiles once, from memory."""
    import numpy as np

    from inkdot.geometry import plan_read
    from inkdot.slides import open_slide
    from inkdot.slides.native_slide import ENOUGH_FRACTION, NativeSlide
    from inkdot.slides.structure.native_jpeg import FACTORS, decode
    from inkdot.slides.structure.native_structure import find_native_levels

    path = Path(job["path"])
    with closing(open_slide(entry(path, job["mpp"]))) as slide:
        info = slide.info
        levels = find_native_levels(path, info.level_sizes_px) if isinstance(slide, NativeSlide) else None
    if levels is None:
        return 0.0, None
    plans = [plan_read(info, spec(job["tile_mpp"]), x, y) for x, y in zip(job["xs"], job["ys"], strict=True)]
    level, downsample = levels[plans[0].level], info.level_downsamples[plans[0].level]
    width, height = level.tile_size_px
    needed: set[int] = set()
    for p in plans:
        x, y = int(p.x_l0_px / downsample), int(p.y_l0_px / downsample)
        for row in range(y // height, min(level.rows - 1, (y + p.height_level_px - 1) // height) + 1):
            for column in range(x // width, min(level.columns - 1, (x + p.width_level_px - 1) // width) + 1):
                needed.add(row * level.columns + column)
    room = plans[0].width_level_px / SIDE_PX
    factor = next((f for f in FACTORS if dct_scaling and room / f >= ENOUGH_FRACTION), 1)
    streams: list[bytes] = []
    with path.open("rb") as file:
        for index in sorted(needed):
            file.seek(int(level.offsets[index]))
            streams.append(file.read(int(level.lengths[index])))
    into = np.empty((height // factor, width // factor, 3), np.uint8)
    return 0.0, (decode(level.head, stream, into, factor) for stream in streams)


def report(results: dict[str, list[Job]], job: Job) -> None:
    count = len(job["xs"])

    def median(reader: str, key: str) -> float | None:
        values = [result[key] for result in results[reader] if result[key] is not None]
        return statistics.median(values) if values else None

    print(
        f"{'':30} {'tiles/s':>9} {'CPU ms/tile':>12} {'wall ms/tile':>13} {'open ms':>8} {'peak MB':>8}  CPU s per round"
    )
    for reader in READERS:
        cpu, wall, peak = (median(reader, key) for key in ("cpu_s", "wall_s", "peak_mb"))
        if cpu is None or wall is None or peak is None:
            print(f"{reader:30} the slide is not read by its native tiles")
            continue
        rounds = " ".join(f"{result['cpu_s']:.2f}" for result in results[reader])
        opened = 1e3 * (median(reader, "open_s") or 0.0)
        print(
            f"{reader:30} {count / cpu:9.0f} {1e3 * cpu / count:12.2f} {1e3 * wall / count:13.2f} "
            f"{opened:8.1f} {peak:8.0f}  {rounds}"
        )

    def metrics(reader: str, floor: str) -> Job:
        own, slow, bare = (median(name, "cpu_s") for name in (reader, "plain OpenSlide loop", floor))
        assert own is not None
        assert slow is not None
        return {
            "tiles_per_s": round(count / own, 1),
            "ratio_to_openslide": round(slow / own, 2),
            "ratio_to_floor": None if bare is None else round(bare / own, 3),
            "peak_mb": round(median(reader, "peak_mb") or 0.0, 1),
        }

    line = metrics("inkdot", "decoder")
    line["without_dct_scaling"] = metrics("inkdot without DCT scaling", "decoder without DCT scaling")
    line["openslide_tiles_per_s"] = round(count / (median("plain OpenSlide loop", "cpu_s") or 1.0), 1)
    line["tiles"] = count
    print(json.dumps(line))


def peak_mb() -> float:
    """Most memory this process ever held. On Linux not from getrusage, which inherits the parent's."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    try:
        import resource
    except ImportError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 1024)


def entry(path: Path, mpp: float | None) -> Any:
    from inkdot.records import Mpp, SlideEntry

    return SlideEntry(path.stem, path, mpp=None if mpp is None else Mpp.square(mpp))


def spec(tile_mpp: float) -> Any:
    from inkdot.records import TileSpec
    from inkdot.units import MicrometresPerPixel, TilePx

    return TileSpec(TilePx(SIDE_PX), MicrometresPerPixel(tile_mpp), TilePx(SIDE_PX))


def warm(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        while file.read(2**24):
            pass


def synthetic_slide(cache: Path) -> Path:
    """A slide of tissue-like texture from edge to edge, every native tile different; made once."""
    path = cache / "bench_reading_20000_q80_420.tif"
    if path.is_file():
        return path
    from inkdot.records import Mpp
    from inkdot.slides.pyramid import write_pyramid

    cache.mkdir(parents=True, exist_ok=True)
    print(f"making {path} once, about half a minute")
    write_pyramid(
        path,
        Texture(),
        mpp=Mpp.square(SYNTHETIC_MPP),
        description='{"synthetic": true}',
        downsamples=(1, 4, 16),
        quality=80,
        subsampling="420",
    )
    return path


class Texture:
    """Tiles cut at random positions from one image with stroma, nuclei and grain."""

    def __init__(self) -> None:
        import cv2
        import numpy as np

        self.size_px = (SYNTHETIC_SIDE_PX, SYNTHETIC_SIDE_PX)
        self.pool: Sequence[Any] = []
        self._rng = rng = np.random.default_rng(20)
        side = 3072
        image = np.full((side, side, 3), (226, 186, 208), np.float32)
        for scale, strength in ((96, 16.0), (24, 12.0), (6, 8.0), (2, 5.0)):
            noise = rng.standard_normal((side // scale + 1, side // scale + 1, 3)).astype(np.float32)
            image += strength * cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)
        for _ in range(side * side // 3500):
            x, y, long, short, angle = rng.integers((0, 0, 11, 9, 0), (side, side, 19, 15, 180)).tolist()
            colour = [float(c) for c in rng.normal((98, 62, 142), 14)]
            cv2.ellipse(image, (x, y), (long, short), angle, 0, 360, colour, -1, cv2.LINE_AA)
        image += 4.0 * rng.standard_normal((side, side, 3)).astype(np.float32)
        self._image = np.clip(image, 0, 255).astype(np.uint8)

    def tile(self, column: int, row: int) -> Any:
        x, y = self._rng.integers(0, self._image.shape[0] - 256, 2).tolist()
        return self._image[y : y + 256, x : x + 256].copy()


if __name__ == "__main__":
    raise SystemExit(main())
