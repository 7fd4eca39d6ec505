"""Sparse cytology: recall of clusters on nearly empty spots, tiles sent to the network, CPU time and memory.

    python benchmarks/bench_sparse.py [--quick] [--cache DIR]

Makes synthetic ThinPrep spots of 20 mm (80,000 px a side; 4 mm with --quick) once and keeps them in the cache folder,
then tiles each in a process of its own with ``tiling.mode: clusters``. A planted cluster is assessable when at least
three of its nuclei are in focus and no pen covers it; it is found when tiles show nine tenths of its nuclei. The
last line is JSON; recalls are pooled over all spots. docs/explanation/clusters.md and decision 31 have the results.
"""
# pyright: basic

import argparse
import json
import math
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

TUMOUR = ("small_nec", "large_nec")
REMNANTS = ("apoptotic_body", "nuclear_streak")  # parts of a cluster, but no nuclei
FULL_MM, QUICK_MM = 20.0, 4.0
MIN_CLUSTERS = 300
MOST_SPOTS = {FULL_MM: 8, QUICK_MM: 24}
SEED = 7


@dataclass
class Pooled:
    found: Counter[str] = field(default_factory=Counter[str])
    planted: Counter[str] = field(default_factory=Counter[str])
    tiles: int = 0
    grid: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    measuring_cpu_s: float = 0.0
    measured_clusters: int = 0
    peak_mb: float = 0.0


def main() -> int:
    parser = argparse.ArgumentParser(description="Sparse cytology: recall, tiles sent, seconds, memory.")
    parser.add_argument("--quick", action="store_true", help="spots of 4 mm instead of 20")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "inkdot" / "bench_sparse")
    arguments = parser.parse_args()
    spot_mm = QUICK_MM if arguments.quick else FULL_MM
    pooled = Pooled()
    context = multiprocessing.get_context("spawn")
    for folder in spots(arguments.cache, spot_mm):
        # A new process for each, so that its peak memory is its own.
        with ProcessPoolExecutor(1, context) as pool:
            seconds, cpu_s, peak_mb = pool.submit(tile, folder).result()
            measuring_cpu_s, measured = pool.submit(measure, folder).result()
        pooled.seconds += seconds
        pooled.cpu_s += cpu_s
        pooled.measuring_cpu_s += measuring_cpu_s
        pooled.measured_clusters += measured
        pooled.peak_mb = max(pooled.peak_mb, peak_mb)
        for truth in sorted((folder / "truth").glob("*.parquet")):
            count(truth, folder / "run", pooled)
        found = ", ".join(
            f"{pooled.found[kind]} of {number} {kind}s" for kind, number in pooled.planted.items()
        )
        print(
            f"{folder.name}: so far {found}; {pooled.tiles} tiles; here {seconds:.0f} s, "
            f"{cpu_s:.0f} CPU s and {measuring_cpu_s:.0f} for {measured} measured clusters, {peak_mb:.0f} MB",
            flush=True,
        )
        if pooled.planted["cluster"] >= MIN_CLUSTERS:
            break
    print(json.dumps(report(pooled, spot_mm), sort_keys=True))
    return 0


def spots(cache: Path, spot_mm: float) -> Iterator[Path]:
    """Folders with one spot each, made when first needed."""
    from inkdot.stages import synth

    for index in range(MOST_SPOTS[spot_mm]):
        folder = cache / f"{spot_mm:g}mm_{SEED + index}"
        if not (folder / "slides.csv").exists():
            synth.run("lm-heavy", 1, SEED + index, folder, spot_mm=spot_mm)
        yield folder


def tile(folder: Path) -> tuple[float, float, float]:
    """Seconds, CPU seconds and peak memory (MB) of tiling the spot in this process, without measuring nuclei."""
    import resource

    from inkdot.config import default_config
    from inkdot.manifest import read_slides
    from inkdot.pipeline.tile_slide import tile_slide
    from inkdot.storage.layout import RunLayout

    config = default_config("thinprep")
    config = config.model_copy(update={"tiling": config.tiling.model_copy(update={"mode": "clusters"})})
    layout = RunLayout(folder / "run")
    start, cpu_start = time.perf_counter(), time.process_time()
    for entry in read_slides(folder / "slides.csv", config.head_records):
        layout.tiles(entry.slide_id).unlink(missing_ok=True)
        tile_slide(entry, config, layout)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return time.perf_counter() - start, time.process_time() - cpu_start, peak_mb


def measure(folder: Path) -> tuple[float, int]:
    """CPU seconds that outlining and measuring nuclei takes on top, within the default budget, and how many clusters."""
    from contextlib import closing

    from inkdot.config import MorphometryConfig, default_config
    from inkdot.manifest import read_slides
    from inkdot.pipeline.measure_slide import largest_first, measure_slide_clusters
    from inkdot.slides import open_slide
    from inkdot.storage.layout import RunLayout
    from inkdot.storage.schemas import CLUSTERS_VERSION
    from inkdot.storage.tables.parquet_tables import read_table

    start, measured = time.process_time(), 0
    for entry in read_slides(folder / "slides.csv", default_config("thinprep").head_records):
        clusters, _ = read_table(RunLayout(folder / "run").clusters(entry.slide_id), CLUSTERS_VERSION)
        with closing(open_slide(entry)) as slide:
            found = measure_slide_clusters(slide, clusters, largest_first(clusters), MorphometryConfig())
        measured += sum(bool(count) for count in found.table.column("measured_nuclei").to_pylist())
    return time.process_time() - start, measured


def count(truth_path: Path, run: Path, pooled: Pooled) -> None:
    """Add one spot's planted and found clusters and lone tumour cells."""
    import pyarrow.parquet as pq

    truth = pq.read_table(truth_path).to_pydict()
    table = pq.read_table(run / "tiles" / truth_path.name)
    facts = json.loads(table.schema.metadata[b"inkdot"])
    slide, spec = facts["slide"], facts["tile_spec"]
    width, height = (spec["side_px"] * spec["mpp"] / slide[f"mpp_{axis}"] for axis in "xy")
    x, y = (table.column(f"{axis}_l0_px").to_numpy() for axis in "xy")
    pooled.tiles += table.num_rows
    pooled.grid += math.ceil(slide["width_l0_px"] / width) * math.ceil(slide["height_l0_px"] / height)
    clusters: dict[int, list[int]] = {}
    for index, cluster in enumerate(truth["cluster_id"]):
        if cluster is not None and cluster >= 0 and truth["class"][index] not in REMNANTS:
            clusters.setdefault(cluster, []).append(index)

    def seen(index: int) -> bool:
        left, top = truth["x_l0_px"][index] - x, truth["y_l0_px"][index] - y
        return bool(((left >= 0) & (left < width) & (top >= 0) & (top < height)).any())

    covered = pens(truth)
    for members in clusters.values():
        if sum(truth["in_focus"][i] for i in members) < 3 or any(covered(truth, i) for i in members):
            continue
        kind = "cluster" if truth["malignant"][members[0]] else "benign cluster"
        pooled.planted[kind] += 1
        pooled.found[kind] += bool(np.mean([seen(i) for i in members]) >= 0.9)
    for index, name in enumerate(truth["class"]):
        alone = truth["cluster_id"][index] is None or truth["cluster_id"][index] < 0
        if name in TUMOUR and alone and truth["in_focus"][index] and not covered(truth, index):
            pooled.planted["single tumour cell"] += 1
            pooled.found["single tumour cell"] += seen(index)


def pens(truth: dict[str, list[Any]]) -> Any:
    """Whether an object lies under a pen mark of the slide."""
    import shapely

    marks = [
        shapely.from_wkt(truth["outline_l0_px"][i])
        for i, name in enumerate(truth["class"])
        if name == "pen_mark"
    ]
    ink = shapely.union_all(marks)
    return lambda table, i: ink.intersects(shapely.Point(table["x_l0_px"][i], table["y_l0_px"][i]))


def report(pooled: Pooled, spot_mm: float) -> dict[str, Any]:
    kinds = {
        "cluster": "clusters",
        "benign cluster": "benign_clusters",
        "single tumour cell": "single_tumour_cells",
    }
    metrics: dict[str, Any] = {
        "spot_mm": spot_mm,
        "tiles": pooled.tiles,
        "grid_tiles": pooled.grid,
        "tiles_fraction": round(pooled.tiles / max(1, pooled.grid), 5),
        "seconds": round(pooled.seconds, 1),
        "cpu_s": round(pooled.cpu_s, 1),
        "measuring_cpu_s": round(pooled.measuring_cpu_s, 1),
        "measured_clusters": pooled.measured_clusters,
        "peak_mb": round(pooled.peak_mb),
    }
    for kind, name in kinds.items():
        metrics[name] = pooled.planted[kind]
        if pooled.planted[kind]:
            metrics[f"selftest_recall_{name}"] = round(pooled.found[kind] / pooled.planted[kind], 4)
    return metrics


if __name__ == "__main__":
    raise SystemExit(main())
