"""Optical densities of nuclei, cytoplasm, red cells and protein on the real CSF slides, the reference for the cytospin stains.

python experiments/csf_colours.py FOLDER > tests/fixtures/csf_optical_density.csv

FOLDER holds the slides and ``labels_by_eye.csv``. Only medians per slide and part leave the script, no pixels.
"""

import argparse
import csv
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import openslide

Od = npt.NDArray[np.float64]
"""Optical density relative to the glass around, [..., (R, G, B)]."""

CROP_UM = 40.0
STAINED = 0.07
"""Smallest mean optical density of an object."""

PARTS = {
    "malignant_like": ("tumour_nucleus", "tumour_cytoplasm"),
    "neutrophil": ("neutrophil_nucleus", "neutrophil_cytoplasm"),
    "mononuclear_small": ("lymphocyte_nucleus", "lymphocyte_cytoplasm"),
    "red_cell": ("red_cell",),
    "coagulum_protein": ("protein",),
    "fibre_or_debris": ("fibre_or_debris",),
}
"""Parts measured for each label."""


def optical_density(rgb: npt.NDArray[np.uint8], white: Od) -> Od:
    """Optical density of pixels, [..., 3], relative to the colour of empty glass."""
    return -np.log10(np.maximum(rgb.astype(np.float64), 1.0) / white)


def white_of(rgb: npt.NDArray[np.uint8]) -> Od:
    """Colour of empty glass: the median of the brightest half of the pixels."""
    pixels = rgb.reshape(-1, 3).astype(np.float64)
    bright = pixels[pixels.mean(axis=1) >= np.median(pixels.mean(axis=1))]
    return np.median(bright, axis=0)


def parts_of(od: Od, parts: Sequence[str]) -> Iterator[tuple[str, Od]]:
    """Median optical density of each part of the object in the middle of a crop.

    Args:
        od: Crop, [height, width, 3].
        parts: One name for the whole object, or two: its darker and its lighter part, told apart by Otsu's threshold on green.

    Yields:
        (name, [3]); nothing where the middle of the crop is empty.
    """
    grey = np.asarray(cv2.GaussianBlur(od.mean(axis=2), (0, 0), 1.0), np.float64)
    # Whole sheets of protein are paler than any cell.
    mask = grey > (0.02 if parts == ("protein",) else STAINED)
    labels = np.asarray(cv2.connectedComponents(mask.astype(np.uint8))[1], np.intp)
    height, width = grey.shape
    middle = labels[3 * height // 8 : 5 * height // 8, 3 * width // 8 : 5 * width // 8]
    inside = middle[middle > 0]
    if inside.size == 0:
        return
    pixels = od[labels == np.bincount(inside).argmax()]
    if len(parts) == 1:
        yield parts[0], np.median(pixels, axis=0)
        return
    green = np.clip(pixels[:, 1] * 150.0, 0.0, 255.0).astype(np.uint8)
    threshold, _ = cv2.threshold(green.reshape(-1, 1), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    dark = green > threshold
    if dark.all():
        return
    yield parts[0], np.median(pixels[dark], axis=0)
    yield parts[1], np.median(pixels[~dark], axis=0)


def measure(folder: Path) -> dict[tuple[str, str], list[Od]]:
    """Optical densities by slide and part, one entry per labelled object."""
    with (folder / "labels_by_eye.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] in PARTS and row["n_cells"] in {"0", "1"}]
    found: dict[tuple[str, str], list[Od]] = defaultdict(list)
    for name in sorted({row["slide_id"] for row in rows}):
        with openslide.OpenSlide(folder / f"{name}.tif") as slide:
            white = white_of(np.asarray(slide.get_thumbnail((1500, 1500)).convert("RGB")))
            side = round(CROP_UM / float(slide.properties["openslide.mpp-x"]))
            for row in (row for row in rows if row["slide_id"] == name):
                x, y, w, h = (int(row[f"{k}_l0_px"]) for k in ("x", "y", "width", "height"))
                corner = (x + w // 2 - side // 2, y + h // 2 - side // 2)
                rgb = np.asarray(slide.read_region(corner, 0, (side, side)).convert("RGB"))
                for part, od in parts_of(optical_density(rgb, white), PARTS[row["label"]]):
                    found[name, part].append(od)
    return found


def main(folder: Path) -> None:
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["slide_id", "part", "objects", "red", "green", "blue", "green_q25", "green_q75"])
    for (name, part), ods in sorted(measure(folder).items()):
        all_od = np.array(ods)
        low, high = np.quantile(all_od[:, 1], (0.25, 0.75))
        values = [f"{v:.3f}" for v in (*np.median(all_od, axis=0), low, high)]
        table.writerow([name, part, len(ods), *values])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure optical densities on real CSF slides.")
    parser.add_argument("folder", type=Path)
    main(parser.parse_args().folder)
