"""Accuracy of nucleus segmentation: FOLDER holds NAME.png with NAME_labels.png (an instance label per pixel, 0 for none).

The images' scale is unknown, so the nuclear diameter is estimated per image, as for any photograph. Prints a
line per image with --verbose, writes overlays with --overlays DIR (green: annotated, yellow: found), and ends
with one JSON line. Intervals are 95 % percentile bootstrap intervals over images.
docs/explanation/morphometry.md has the results.
"""
# pyright: basic

import argparse
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.cell_finder import CellFinder, load_cell_finder
from inkdot.morphometry import estimate_nuclear_diameter_px, segment_at_unknown_scale
from inkdot.morphometry.stain_planes import nuclear_stain
from inkdot.records import Mpp
from inkdot.tiling.foreground.glass import Glass

Labels = npt.NDArray[np.int32]
RESAMPLES = 2000
NOMINAL_UM = 11.0


@dataclass(frozen=True)
class Score:
    name: str
    matched: int
    found: int
    annotated: int
    overlap_px: int
    found_px: int
    annotated_px: int
    diameter_error: float


def compare(name: str, annotated: Labels, found: Labels) -> Score:
    """Count nuclei whose intersection over union is above 0.5; such pairs are unique."""
    _, of_annotated = np.unique(annotated, return_inverse=True)
    _, of_found = np.unique(found, return_inverse=True)
    # unique() numbers from 0, and 0 is the background only where there is some.
    a = of_annotated.reshape(annotated.shape) + (0 if (annotated == 0).any() else 1)
    f = of_found.reshape(found.shape) + (0 if (found == 0).any() else 1)
    shape = (int(a.max()) + 1, int(f.max()) + 1)
    both = np.bincount((a * shape[1] + f).ravel(), minlength=shape[0] * shape[1]).reshape(shape).astype(float)
    union = both.sum(1)[:, None] + both.sum(0)[None] - both
    matched = int(((both / np.maximum(union, 1.0))[1:, 1:] > 0.5).sum())
    return Score(
        name, matched, shape[1] - 1, shape[0] - 1, int(((a > 0) & (f > 0)).sum()), int((f > 0).sum()), int((a > 0).sum()),
        median_diameter(f) / median_diameter(a) - 1,
    )  # fmt: skip


def median_diameter(labels: npt.NDArray[np.integer]) -> float:
    areas = np.bincount(labels.ravel())[1:]
    areas = areas[areas > 0]
    return float(np.median(np.sqrt(4 * areas / math.pi))) if areas.size else math.nan


def found_by(finder: CellFinder, rgb: npt.NDArray[np.uint8]) -> Labels:
    """Nuclei by a cell finder; the scale is unknown, so the median diameter found is taken for 11 µm, from an estimate on."""
    bright = np.quantile(rgb.min(axis=2), 0.98)
    level = [245.0] * 3 if bright <= 200 else np.median(rgb[rgb.min(axis=2) >= 0.9 * bright], axis=0)
    od_table = Glass((float(level[0]), float(level[1]), float(level[2])), 0.0, True).od_table()
    diameter = estimate_nuclear_diameter_px(nuclear_stain(rgb, None))
    labels = np.zeros(rgb.shape[:2], np.int32)
    for _ in range(3):
        labels = finder.segment(rgb, Mpp.square(NOMINAL_UM / diameter), od_table)
        areas = np.bincount(labels.ravel())[1:]
        found = float(np.median(np.sqrt(4.0 / math.pi * areas))) if areas.size >= 3 else diameter
        if 0.85 < found / diameter < 1.18:
            break
        diameter = found
    return labels


def metrics(scores: list[Score]) -> dict[str, float]:
    def f1(matched: float, found: float, annotated: float) -> float:
        return 2 * matched / (found + annotated) if found + annotated else 1.0

    total = {key: sum(getattr(one, key) for one in scores) for key in ("matched", "found", "annotated")}
    overlap = sum(one.overlap_px for one in scores)
    area = sum(one.found_px + one.annotated_px for one in scores)
    errors = np.array([one.diameter_error for one in scores])
    errors = errors[np.isfinite(errors)]
    return {
        "dice_pooled": 2 * overlap / area,
        "dice_mean": float(
            np.mean([2 * one.overlap_px / (one.found_px + one.annotated_px) for one in scores])
        ),
        "f1_pooled": f1(total["matched"], total["found"], total["annotated"]),
        "f1_mean": float(np.mean([f1(one.matched, one.found, one.annotated) for one in scores])),
        "diameter_abs_error_mean": float(np.abs(errors).mean()),
        "diameter_abs_error_median": float(np.median(np.abs(errors))),
        "diameter_error_mean": float(errors.mean()),
    }


def intervals(scores: list[Score]) -> dict[str, list[float]]:
    generator = np.random.default_rng(0)
    drawn = [
        metrics([scores[i] for i in generator.integers(0, len(scores), len(scores))])
        for _ in range(RESAMPLES)
    ]
    return {
        key: [round(float(np.percentile([one[key] for one in drawn], percent)), 4) for percent in (2.5, 97.5)]
        for key in drawn[0]
    }


def overlay(image: npt.NDArray[np.uint8], annotated: Labels, found: Labels) -> npt.NDArray[np.uint8]:
    large = cv2.resize(image, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    for labels, colour in ((annotated, (0, 255, 0)), (found, (0, 255, 255))):
        wide = cv2.resize(labels.astype(np.float32), None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST)
        edge = cv2.dilate(wide, np.ones((3, 3))) != cv2.erode(wide, np.ones((3, 3)))
        large[edge & (wide > 0)] = colour
    return np.asarray(large, dtype=np.uint8)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "nuclei"
    parser.add_argument("folder", type=Path, nargs="?", default=default)
    parser.add_argument("--overlays", type=Path, help="folder for images with both outlines")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument(
        "--part", choices=["all", "even", "odd"], default="all", help="every second image by name"
    )
    parser.add_argument(
        "--fold", type=int, choices=range(4), help="every fourth image by name, from this one"
    )
    parser.add_argument(
        "--cell-finder", type=Path, help="folder of a cell finder; default: by stain and shape"
    )
    options = parser.parse_args()
    images = sorted(path for path in options.folder.glob("*.png") if not path.stem.endswith("_labels"))
    images = {"all": images, "even": images[::2], "odd": images[1::2]}[options.part]
    images = images if options.fold is None else images[options.fold :: 4]
    finder = load_cell_finder(options.cell_finder) if options.cell_finder else None
    if not images:
        print(f"{options.folder}: expected NAME.png with NAME_labels.png, found none; name another folder")
        return 2
    cv2.setNumThreads(1)
    scores: list[Score] = []
    begin = time.perf_counter()
    for path in images:
        image = np.asarray(cv2.imread(str(path)), dtype=np.uint8)
        annotated = np.asarray(
            cv2.imread(str(path.with_name(f"{path.stem}_labels.png")), cv2.IMREAD_UNCHANGED), dtype=np.int32
        )
        rgb = np.ascontiguousarray(image[..., ::-1])
        labels = segment_at_unknown_scale(rgb).labels if finder is None else found_by(finder, rgb)
        scores.append(compare(path.stem, annotated, labels))
        if options.overlays:
            options.overlays.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(options.overlays / f"nuclei_{path.stem}.png"), overlay(image, annotated, labels))
        if options.verbose:
            one = metrics(scores[-1:])
            print(
                f"{path.stem}  dice {one['dice_pooled']:.3f}  f1 {one['f1_pooled']:.3f}  found {scores[-1].found} of "
                f"{scores[-1].annotated}  median diameter {scores[-1].diameter_error:+.3f}"
            )
    seconds = time.perf_counter() - begin
    result = {key: round(value, 4) for key, value in metrics(scores).items()}
    line = {"images": len(scores), "nuclei": sum(one.annotated for one in scores)} | result
    print(json.dumps(line | {"intervals_95": intervals(scores), "seconds": round(seconds, 1)}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
