"""Fine-tuning the cell finder on real cerebrospinal fluid: what a review would correct, and what changes on other slides.

    python experiments/cell_finder_fine_tuning.py --data DIR --base FOLDER --corrections TABLES
    inkdot cell-finder fine-tune TABLES/csf-lobular-*.csv --slides DIR/slides.csv --base FOLDER --out TUNED
    python experiments/cell_finder_fine_tuning.py --data DIR --base FOLDER --tuned TUNED --slides NAME ... [--sheet FILE]

The first line finds the nuclei of each slide of ``labels_by_eye.csv`` with a cell finder that has seen none of them
(``scripts/train_cell_finder.py --leave-out`` all four), and writes a table per slide: the labelled boxes that it finds, as a
reader would answer them. The last line compares both cell finders on such boxes, by label, and on 64 fields per slide that
have no label; ``--sheet`` writes a JPEG of the cells that were lost, 61 µm wide each. The labels are by eye, by one
observer who is no pathologist.
"""
# pyright: basic

import argparse
from collections import Counter
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import shapely

from inkdot.cell_finder import load_cell_finder
from inkdot.config import default_config
from inkdot.labels import CELL, NOT_A_CELL
from inkdot.manifest import read_slides
from inkdot.slides import open_slide
from inkdot.storage.tables.finder_corrections import FinderCorrection, write_finder_corrections
from inkdot.tiling.clusters.detect import detect_nuclei
from inkdot.tiling.foreground.find_foreground import find_foreground
from inkdot.training.cell_finder.held_out import Share, change_of
from inkdot.training.cell_finder.places import AnsweredRegion, SlidePlaces, nuclei_in, nuclei_of

FIELDS = 64
TILE_PX = 122  # 61 µm at 0.5 µm per pixel


def answers_of(labels: pd.DataFrame, slide_id: str) -> list[tuple[str, FinderCorrection]]:
    """Label and correction of each box of a slide; unsure ones are left out."""
    found = []
    of_slide = labels.loc[(labels.slide_id == slide_id) & (labels.label != "unsure")]
    for _, row in of_slide.iterrows():
        x, y = row["x_l0_px"], row["y_l0_px"]
        box = shapely.box(x, y, x + row["width_l0_px"], y + row["height_l0_px"])
        answer = CELL if row["nucleated"] == "yes" else NOT_A_CELL
        found.append((row["label"], FinderCorrection(slide_id, box, answer, "by eye")))
    return found


def found_boxes(entry, base: Path, labels: pd.DataFrame) -> list[FinderCorrection]:
    """The boxes that hold the middle of a nucleus, or are covered by nuclei to a quarter, as benchmarks/bench_csf.py has it."""
    tiling = default_config("thinprep").tiling.model_copy(update={"cell_finder": str(base)})
    with closing(open_slide(entry)) as slide:
        detected = detect_nuclei(slide, find_foreground(slide, tiling), tiling, entry.stain)
        mpp = slide.info.mpp
    outlines = [
        shapely.make_valid(shapely.Polygon(thing.outline_um / (mpp.x, mpp.y)))
        for thing in detected.objects
        if len(thing.outline_um) > 3
    ]
    tree = shapely.STRtree(outlines)
    kept = []
    for _, one in answers_of(labels, entry.slide_id):
        box = one.geometry
        near = [outlines[index] for index in tree.query(box, predicate="intersects")]
        covered = sum(outline.intersection(box).area for outline in near) >= 0.25 * box.area
        if covered or any(box.contains(outline.centroid) for outline in near):
            kept.append(one)
    return kept


def compare(entry, before, after, labels: pd.DataFrame) -> list[np.ndarray]:
    """Print what changes on a slide; images of the cells that are no longer found."""
    boxes = answers_of(labels, entry.slide_id)
    regions = [AnsweredRegion(entry.slide_id, one.geometry, one.answer, (one.reader,)) for _, one in boxes]
    with closing(open_slide(entry)) as slide:
        reader = SlidePlaces(slide, entry.slide_id, before)
        places, fields = reader.answered(regions), reader.fields(FIELDS, np.random.default_rng(0))
    total, had, has = Counter(), Counter(), Counter()
    lost = []
    for (label, _), place in zip(boxes, places, strict=True):
        assert place.region is not None  # an answered one has its region
        now = nuclei_in(place.region, nuclei_of(after, place.rgb, place.glass)) > 0
        total[label] += 1
        had[label] += place.nuclei > 0
        has[label] += now
        if place.answer == CELL and place.nuclei > 0 and not now:
            middle, half = place.rgb.shape[0] // 2, TILE_PX // 2
            tile = np.ascontiguousarray(
                place.rgb[middle - half : middle + half, middle - half : middle + half]
            )
            lost.append(cv2.putText(tile, label[:20], (3, 10), cv2.FONT_HERSHEY_SIMPLEX, 0.3, (160, 0, 0), 1))
    for label in sorted(total):
        print(
            f"{entry.slide_id} {label}: {Share(had[label], total[label])} -> {Share(has[label], total[label])}"
        )
    seen = [place for place in places if place.nuclei > 0]
    change = change_of(before, after, [*seen, *fields])
    for answer, share in change.after.items():
        print(f"{entry.slide_id} boxes found before ({answer}), still found: {share}")
    print(
        f"{entry.slide_id} nuclei of {len(fields)} fields still found: {change.kept}; found now and before: {change.found}"
    )
    return lost


def main() -> int:
    parser = argparse.ArgumentParser(description="Fine-tuning the cell finder on real CSF.")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with slides.csv and labels_by_eye.csv"
    )
    parser.add_argument("--base", type=Path, required=True, help="cell finder that has not seen the slides")
    parser.add_argument("--slides", nargs="*", help="names of slides; default: all with labels")
    parser.add_argument("--corrections", type=Path, help="folder for the tables to write")
    parser.add_argument("--tuned", type=Path, help="fine-tuned cell finder to compare")
    parser.add_argument("--sheet", type=Path, help="JPEG of the cells that are no longer found")
    arguments = parser.parse_args()
    labels = pd.read_csv(arguments.data / "labels_by_eye.csv")
    lost = []
    for entry in read_slides(arguments.data / "slides.csv", heads=()):
        if entry.slide_id not in (arguments.slides or set(labels.slide_id)):
            continue
        if arguments.corrections:
            boxes = found_boxes(entry, arguments.base, labels)
            write_finder_corrections(arguments.corrections / f"{entry.slide_id}.csv", boxes)
            print(entry.slide_id, Counter(one.answer for one in boxes), flush=True)
        if arguments.tuned:
            finders = (load_cell_finder(arguments.base), load_cell_finder(arguments.tuned))
            lost += compare(entry, *finders, labels)
    if arguments.sheet and lost:
        blank = np.full((TILE_PX, TILE_PX, 3), 255, np.uint8)
        rows = [lost[k : k + 8] for k in range(0, len(lost), 8)]
        sheet = np.vstack([np.hstack(row + [blank] * (8 - len(row))) for row in rows])
        cv2.imwrite(str(arguments.sheet), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
