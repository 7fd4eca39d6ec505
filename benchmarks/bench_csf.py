"""Real cerebrospinal fluid: which cells are found, how large their nuclei measure, CPU time and memory.

    python benchmarks/bench_csf.py [--data DIR] [--slides NAME ...] [--cell-finder FOLDER] [--sheets DIR]

Tiles each slide of ``slides.csv`` in a process of its own, and compares the nuclear objects with
``labels_by_eye.csv`` and the measured diameters with ``sizes_by_eye.csv`` (boxes, and their top left corners, in
level-0 px). The labels were made by eye by one observer who is no pathologist: they show what is found, not how well
anything is diagnosed.

A labelled box is found where a nuclear object has the centre of its outline in it, or covers at least a quarter of it.
Shares have Clopper-Pearson intervals of 95 %. On the two sparse slides, the labels are a sample of strata of
very different size: the precision weighs each label by its stratum (without interval) beside the raw share. A slide takes
about 20 seconds. ``--sheets`` writes a JPEG per slide: nucleated boxes that were missed, and what was found and has no
nucleus. The last line is JSON.
"""
# pyright: basic

import argparse
import json
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parent.parent
STRATUM_SIZES = {
    "csf-lobular-pap2": {"A": 412, "B": 1375, "C1": 195, "C2": 1527},
    "csf-lobular-mgg2": {"A": 319, "B": 1792, "C1": 55, "C2": 5094},
}
INTACT = ("malignant_like", "mononuclear_large", "mononuclear_small", "neutrophil")
SHEET_PX, SHEET_COLUMNS, SHEET_ROWS = 120, 8, 4
COVERED = 0.25  # of a labelled box
WINDOW_UM = 64.0  # round a cell of sizes_by_eye
NEAR_UM = 3.0  # from the middle of such a cell to a measured nucleus


def main() -> int:
    parser = argparse.ArgumentParser(description="Real CSF: cells found, nuclear diameters, seconds, memory.")
    shared = os.environ.get("INKDOT_SHARED_DATA", REPOSITORY.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(shared) / "csf", help="folder with slides.csv")
    parser.add_argument("--slides", nargs="*", help="names of slides; default: all")
    parser.add_argument("--cell-finder", default="shipped", help="as tiling.cell_finder; default: shipped")
    parser.add_argument("--sheets", type=Path, help="folder for images of what was missed or wrongly found")
    arguments = parser.parse_args()
    if not (arguments.data / "slides.csv").exists():
        parser.error(f"expected slides.csv in {arguments.data}, found none; name its folder with --data")
    from inkdot.config import default_config
    from inkdot.manifest import read_slides

    metrics: dict[str, Any] = {}
    context = multiprocessing.get_context("spawn")
    for entry in read_slides(arguments.data / "slides.csv", default_config("thinprep").head_records):
        if arguments.slides and entry.slide_id not in arguments.slides:
            continue
        with ProcessPoolExecutor(1, context) as pool:
            found = pool.submit(
                inspect, entry, arguments.data, arguments.cell_finder, arguments.sheets
            ).result()
        metrics[entry.slide_id] = found
        for line in lines(entry.slide_id, found):
            print(line, flush=True)
    print(json.dumps(metrics, sort_keys=True))
    return 0


def inspect(
    entry: Any, data: Path, cell_finder: str = "shipped", sheets: Path | None = None
) -> dict[str, Any]:
    """Metrics of one slide, in this process."""
    import resource
    from contextlib import closing

    import pandas as pd

    from inkdot.config import default_config
    from inkdot.slides import open_slide
    from inkdot.tiling.adequacy import count_nuclei
    from inkdot.tiling.clusters.detect import cell_finder_for, detect_nuclei
    from inkdot.tiling.clusters.group_objects import find_clusters
    from inkdot.tiling.clusters.place_tiles import place_tiles
    from inkdot.tiling.foreground.find_foreground import find_foreground

    tiling = default_config("thinprep").tiling
    tiling = tiling.model_copy(update={"mode": "clusters", "cell_finder": cell_finder})
    with closing(open_slide(entry)) as slide:
        start, cpu_start = time.perf_counter(), time.process_time()
        foreground = find_foreground(slide, tiling)
        detected = detect_nuclei(slide, foreground, tiling, entry.stain)
        clusters = find_clusters(detected.objects, tiling)
        placed = place_tiles(slide.info, tiling, clusters)
        cpu_s, seconds = time.process_time() - cpu_start, time.perf_counter() - start
        found: dict[str, Any] = {
            "cpu_s": round(cpu_s, 1),
            "seconds": round(seconds, 1),
            "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            "objects": len(detected.objects),
            "nuclei_in_focus": count_nuclei(clusters, foreground).in_focus,
            "largest_cluster_nuclei": max((cluster.nuclei for cluster in clusters), default=0),
            "clusters": len(clusters),
            "clusters_with_tile": len(set(placed.cluster.tolist())),
        }
        labels = pd.read_csv(data / "labels_by_eye.csv")
        labels = labels[labels.slide_id == entry.slide_id]
        if len(labels):
            labels = labels.assign(found=are_found(labels, detected.objects, slide.info.mpp.x))
            found |= judge_labels(entry.slide_id, labels)
            if sheets:
                write_sheet(slide, labels, sheets / f"{entry.slide_id}.jpg")
        finder = cell_finder_for(tiling.cell_finder, entry.stain)
        found |= judge_sizes(slide, entry.slide_id, data / "sizes_by_eye.csv", finder)
    return found


def are_found(labels: Any, objects: list[Any], mpp: float) -> list[bool]:
    """Which labelled boxes hold a nuclear object."""
    import shapely

    outlines = [
        shapely.make_valid(shapely.Polygon(thing.outline_um))
        for thing in objects
        if len(thing.outline_um) > 3
    ]
    tree = shapely.STRtree(outlines)
    hits: list[bool] = []
    for row in labels.to_dict("records"):
        x, y = row["x_l0_px"] * mpp, row["y_l0_px"] * mpp
        box = shapely.box(x, y, x + row["width_l0_px"] * mpp, y + row["height_l0_px"] * mpp)
        near = [outlines[index] for index in tree.query(box, predicate="intersects")]
        covered = sum(outline.intersection(box).area for outline in near) >= COVERED * box.area
        hits.append(covered or any(box.contains(outline.centroid) for outline in near))
    return hits


def judge_labels(slide_id: str, labels: Any) -> dict[str, Any]:
    """Recall by label, and precision of what is called nuclear."""
    kinds: dict[Any, Any] = dict(iter(labels.groupby("label")))
    groups = kinds | {"intact nucleated": labels[labels.label.isin(INTACT)]}
    sizes = STRATUM_SIZES.get(slide_id, {})
    weights = labels.stratum.map(lambda name: sizes.get(name, 1) / max(1, (labels.stratum == name).sum()))
    sure = labels[labels.found & (labels.label != "unsure")]
    weight = weights[sure.index]
    return {
        "found": {name: [int(rows.found.sum()), len(rows)] for name, rows in groups.items()},
        "nucleated_of_found": [int((sure.nucleated == "yes").sum()), len(sure)],
        "nucleated_of_found_weighted": round(float(weight[sure.nucleated == "yes"].sum() / weight.sum()), 3),
    }


def write_sheet(slide: Any, labels: Any, path: Path) -> None:
    """Nucleated boxes that were missed above, found boxes without a nucleus below, 61 µm wide each."""
    import cv2

    from inkdot.geometry import plan_rectangle

    rows: list[Any] = []
    labels = labels[labels.label != "unsure"]
    wrong = (
        labels[~labels.found & (labels.nucleated == "yes")],
        labels[labels.found & (labels.nucleated == "no")],
    )
    for title, kind in zip(("missed", "no nucleus"), wrong, strict=True):
        tiles: list[Any] = []
        for row in kind.head(SHEET_COLUMNS * SHEET_ROWS).to_dict("records"):
            x, y = (
                row[f"{axis}_l0_px"] + row[f"{side}_l0_px"] // 2
                for axis, side in (("x", "width"), ("y", "height"))
            )
            plan = plan_rectangle(slide.info, 0, x - SHEET_PX, y - SHEET_PX, 2 * SHEET_PX, 2 * SHEET_PX)
            tile = cv2.resize(slide.read(plan), (SHEET_PX, SHEET_PX), interpolation=cv2.INTER_AREA)
            text = f"{title}: {row['label']}".replace("_", " ")
            tiles.append(
                cv2.putText(tile, text[:28], (3, 10), cv2.FONT_HERSHEY_SIMPLEX, 0.27, (160, 0, 0), 1)
            )
        while len(tiles) % SHEET_COLUMNS:
            tiles.append(np.full((SHEET_PX, SHEET_PX, 3), 255, np.uint8))
        rows += [np.hstack(tiles[k : k + SHEET_COLUMNS]) for k in range(0, len(tiles), SHEET_COLUMNS)]
    if rows:
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.vstack(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])


def judge_sizes(slide: Any, slide_id: str, path: Path, finder: Any) -> dict[str, Any]:
    """Measured over seen diameter of the nuclei of ``sizes_by_eye.csv``: quartiles, and how many are within 10 % of it."""
    import pandas as pd

    from inkdot.geometry import level_for, plan_rectangle
    from inkdot.morphometry import segment_nuclei
    from inkdot.morphometry.priors import WORKING_MPP
    from inkdot.records import Mpp
    from inkdot.tiling.foreground.glass import find_glass

    sizes = pd.read_csv(path).query("slide_id == @slide_id")
    if sizes.empty:
        return {}
    info = slide.info
    level = level_for(info, WORKING_MPP)
    glass = find_glass(slide, level)
    side = round(WINDOW_UM / info.mpp.x)
    ratios: list[float] = []
    for row in sizes.to_dict("records"):
        # The points are the corners of the cells' boxes.
        shift = round(row["cell_um"] / 2 / info.mpp.x) - side // 2
        plan = plan_rectangle(info, level, row["x_l0_px"] + shift, row["y_l0_px"] + shift, side, side)
        rgb = slide.read(plan)
        mpp = WINDOW_UM / rgb.shape[1]
        if finder is None:
            labels = segment_nuclei(rgb, Mpp.square(mpp), glass.rgb).labels
        else:
            labels = finder.segment(rgb, Mpp.square(mpp), glass.od_table())
        y, x = np.indices(labels.shape)
        away = np.hypot(x - labels.shape[1] / 2, y - labels.shape[0] / 2) * mpp
        away[labels == 0] = np.inf
        if away.min() <= NEAR_UM:
            area = float((labels == labels.flat[away.argmin()]).sum()) * mpp**2
            ratios.append(2.0 * float(np.sqrt(area / np.pi)) / row["nucleus_um"])
    quartiles = np.quantile(ratios, [0.25, 0.5, 0.75]) if ratios else []
    return {
        "diameter_ratio": [round(float(value), 3) for value in quartiles],
        "diameters_within_10_percent": [sum(abs(ratio - 1) <= 0.1 for ratio in ratios), len(sizes)],
    }


def lines(slide_id: str, found: dict[str, Any]) -> list[str]:
    """What people read."""
    from inkdot.metrics.intervals.confidence_intervals import clopper_pearson

    def share(hits: int, total: int) -> str:
        low, high = clopper_pearson(hits, total)
        return f"{hits} of {total}, {hits / total:.2f} ({low:.2f} to {high:.2f})"

    lines = [
        f"{slide_id}: {found['seconds']} s, {found['cpu_s']} CPU s, {found['peak_mb']} MB; {found['objects']} objects, "
        f"{found['nuclei_in_focus']} nuclei in focus, largest cluster {found['largest_cluster_nuclei']} nuclei; "
        f"{found['clusters_with_tile']} of {found['clusters']} clusters have a tile of their own"
    ]
    lines += [
        f"  found {name}: {share(*counts)}" for name, counts in found.get("found", {}).items() if counts[1]
    ]
    if "nucleated_of_found" in found:
        lines.append(
            f"  nucleated of what is found: {share(*found['nucleated_of_found'])}, weighted by stratum "
            f"{found['nucleated_of_found_weighted']:.2f}"
        )
    if found.get("diameter_ratio"):
        low, middle, high = found["diameter_ratio"]
        within = share(*found["diameters_within_10_percent"])
        lines.append(
            f"  nuclear diameter over that by eye: {middle} (quartiles {low}, {high}); within 10 %: {within}"
        )
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
