"""Places of real CSF that Inkdot found, with what two sources by eye say about each, and their contact sheets.

Used by ``real_csf_loop.py``. A place is a cluster or a lone cell, as a review card shows it. The sources:

- ``boxes``: ``labels_by_eye.csv`` beside the slides. A place has the label of a box whose centre lies in its outline, or
  that it covers by a quarter, or that holds its middle. A malignant-looking box decides; other boxes only where the place
  has at most two nuclei.
- ``places``: ``real_csf_places.csv`` beside this file, labels of whole places, by eye, by an observer who is no pathologist.
  Its column ``drawn`` marks places of the dense slides that were drawn at random: ``any`` of all but the first 30 of the
  untrained model, ``lone`` of single cells.
"""
# pyright: basic

import csv
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from inkdot.geometry import level_for, plan_rectangle
from inkdot.review.results.read_results import read_slide_results
from inkdot.storage.layout import RunLayout

PLACES_CSV = Path(__file__).with_name("real_csf_places.csv")
SOURCE = "by eye, by an observer who is no pathologist"
MALIGNANT = "malignant_like"
KINDS = (
    MALIGNANT,
    "benign_nucleated",
    "degenerate_nucleus",
    "red_cell",
    "fibre",
    "clot",
    "debris",
    "unsure",
)
KIND_OF_BOX = {
    MALIGNANT: MALIGNANT,
    "mononuclear_large": "benign_nucleated",
    "mononuclear_small": "benign_nucleated",
    "neutrophil": "benign_nucleated",
    "nucleated_degenerate": "degenerate_nucleus",
    "red_cell": "red_cell",
    "fibre_or_debris": "debris",  # the boxes do not tell fibres from debris
    "coagulum_protein": "clot",
    "out_of_focus_unclassifiable": "unsure",
    "pen_or_edge": "debris",
    "unsure": "unsure",
}
FRAMES = {
    MALIGNANT: (200, 0, 30),
    "benign_nucleated": (20, 110, 220),
    "degenerate_nucleus": (120, 60, 190),
    "unsure": (140, 140, 140),
    "": (255, 255, 255),
}
OTHER_FRAME = (20, 150, 60)  # no nucleus
SAME_PLACE_UM = 3.0
COVERED = 0.25  # of a box
FEW_NUCLEI = 2  # of a place that a box without malignant-looking cells may label


@dataclass(frozen=True, slots=True)
class Place:
    """A cluster or lone cell of a slide.

    Attributes:
        slide_id: The slide.
        rank: 1 for the highest score of the slide.
        x: Middle of its box in level-0 pixels.
        y: Middle of its box in level-0 pixels.
        side: Longer side of its box in level-0 pixels.
        score: Of the flag class, 0 to 1.
        nuclei: How many were found in it.
        wkt: Outline in level-0 pixels, as verdicts name it.
        mpp: Micrometres per level-0 pixel.
        model_sha256: The model whose scores these are.
    """

    slide_id: str
    rank: int
    x: int
    y: int
    side: float
    score: float
    nuclei: int
    wkt: str
    mpp: float
    model_sha256: str


def read_places(results: Path, slide_id: str) -> list[Place]:
    """All places of a slide that have a card, by score."""
    found = read_slide_results(RunLayout(results), slide_id, slide_id)
    regions = found.ranking(10**6, 0.75).regions
    return [
        Place(
            slide_id=slide_id,
            rank=region.rank,
            x=round(region.x_l0_px + region.width_l0_px / 2),
            y=round(region.y_l0_px + region.height_l0_px / 2),
            side=max(region.width_l0_px, region.height_l0_px),
            score=region.score,
            nuclei=region.cluster.nuclei if region.cluster else 0,
            wkt=region.wkt,
            mpp=found.slide.facts.frame.mpp.x,
            model_sha256=found.slide.facts.model_sha256,
        )
        for region in regions
    ]


def labels_of_boxes(places: list[Place], path: Path) -> list[str]:
    """The kind of each place of one slide by ``labels_by_eye.csv``; empty where no box says it."""
    if not places:
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["slide_id"] == places[0].slide_id]
    boxes = [_box(row) for row in rows]
    tree = shapely.STRtree(boxes)
    return [_kind_by_boxes(place, boxes, rows, tree) for place in places]


def _box(row: dict[str, str]) -> Any:
    x, y, width, height = (int(row[f"{name}_l0_px"]) for name in ("x", "y", "width", "height"))
    return shapely.box(x, y, x + width, y + height)


def _kind_by_boxes(place: Place, boxes: list[Any], rows: list[dict[str, str]], tree: Any) -> str:
    outline, middle = shapely.from_wkt(place.wkt), shapely.Point(place.x, place.y)
    kinds = [
        KIND_OF_BOX[rows[index]["label"]]
        for index in sorted(tree.query(outline, predicate="intersects").tolist())
        if boxes[index].contains(middle)
        or outline.contains(boxes[index].centroid)
        or outline.intersection(boxes[index]).area >= COVERED * boxes[index].area
    ]
    if MALIGNANT in kinds:
        return MALIGNANT
    return kinds[0] if kinds and place.nuclei <= FEW_NUCLEI else ""


def read_labels_of_places(*uses: str) -> list[dict[str, str]]:
    """Labels of whole places.

    Args:
        uses: ``training``: given before any training; ``evaluation``: given afterwards to places that a trained model put
            first, never trained on; ``again``: given a second time, in another order.
    """
    with PLACES_CSV.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["label"] not in KINDS:
            raise SystemExit(f"{PLACES_CSV}: expected a label of {', '.join(KINDS)}, found {row['label']!r}")
    return [row for row in rows if row["use"] in uses]


def labels_by_place(places: list[Place], rows: list[dict[str, str]]) -> list[str]:
    """The kind of each place of one slide by labels of whole places; empty where none lies within 3 µm of its middle."""
    return [row["label"] if row else "" for row in nearest_rows(places, rows)]


def nearest_rows(places: list[Place], rows: list[dict[str, str]]) -> list[dict[str, str] | None]:
    """For each place of one slide the row about it; None where none lies within 3 µm of its middle."""
    own = [row for row in rows if places and row["slide_id"] == places[0].slide_id]
    if not own:
        return [None] * len(places)
    at = np.array([[float(row["x_l0_px"]), float(row["y_l0_px"])] for row in own])
    found: list[dict[str, str] | None] = []
    for place in places:
        away = np.hypot(*(at - (place.x, place.y)).T) * place.mpp
        nearest = int(away.argmin())
        found.append(own[nearest] if away[nearest] <= SAME_PLACE_UM else None)
    return found


def shuffled(places: list[Place], seed: str) -> list[Place]:
    """In an order that says nothing about scores."""
    ordered = sorted(places, key=lambda place: (place.y, place.x))
    random.Random(seed).shuffle(ordered)
    return ordered


def crop(slide: Any, place: Place, field_um: float, side_px: int) -> Any:
    """The field round a place, uint8 [side_px, side_px, 3]: at least ``field_um`` wide, and as wide as the place needs."""
    import cv2

    mpp = slide.info.mpp.x
    side_um = max(field_um, place.side * mpp + 8.0)
    level = level_for(slide.info, side_um / side_px)
    side = round(side_um / mpp)
    plan = plan_rectangle(slide.info, level, place.x - side // 2, place.y - side // 2, side, side)
    return cv2.resize(slide.read(plan), (side_px, side_px), interpolation=cv2.INTER_AREA)


def framed(tile: Any, kind: str, width: int) -> Any:
    """The tile with the colour of its label as a frame."""
    colour = FRAMES.get(kind, OTHER_FRAME)
    inner = tile.copy()
    for edge in (
        np.s_[:width],
        np.s_[-width:],
        np.s_[:, :width],
        np.s_[:, -width:],
    ):
        inner[edge] = colour
    return inner


def mosaic(tiles: list[Any], columns: int) -> Any:
    """Tiles of one size in rows, white where the last row ends early."""
    blank = np.full_like(tiles[0], 255)
    tiles = tiles + [blank] * (-len(tiles) % columns)
    return np.vstack([np.hstack(tiles[k : k + columns]) for k in range(0, len(tiles), columns)])


def caption(text: str, width: int, height: int = 22) -> Any:
    """A white strip with a line of text, uint8 [height, width, 3]."""
    import cv2

    strip = np.full((height, width, 3), 255, np.uint8)
    return cv2.putText(
        strip, text, (4, height - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA
    )
