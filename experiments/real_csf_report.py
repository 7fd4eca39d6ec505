"""Metrics and contact sheets of ``real_csf_loop.py``."""
# pyright: basic

import csv
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from real_csf_places import (
    MALIGNANT,
    Place,
    caption,
    crop,
    framed,
    mosaic,
    nearest_rows,
    read_labels_of_places,
    shuffled,
)

from inkdot.metrics.classification import roc_auc
from inkdot.metrics.intervals.confidence_intervals import clopper_pearson
from inkdot.records import SlideEntry
from inkdot.slides import open_slide

Labelled = list[tuple[Place, str, str]]
"""Places by score, each with its kind by boxes and by places; empty where unknown."""

FIRST = (10, 30)
REPLICATES = 2000
FIELD_UM, SHEET_PX, SHEET_COLUMNS, FRAME_PX = 44.0, 104, 10, 5
LABEL_PX, LABEL_COLUMNS, LABEL_ROWS = 208, 7, 5
LARGEST_JPEG = 200_000
LEGEND = (
    "Frame, by eye: red malignant-looking, blue other nucleated, violet degenerate nucleus, green no nucleus, grey unsure, "
    "white not labelled."
)


def metrics_of(slide_id: str, places: Labelled) -> dict[str, Any]:
    """Metrics of one slide and model: of its places by score."""
    found: dict[str, Any] = {"places": len(places)}
    for k in FIRST:
        own = [place_kind for _, _, place_kind in places[:k]]
        boxes = [box for _, box, _ in places[:k] if box]
        found[f"first {k}"] = {
            "by place": [own.count(MALIGNANT), sum(bool(kind) for kind in own)],
            "by box": [boxes.count(MALIGNANT), len(boxes)],
            "other kinds": dict(Counter(kind or "unlabelled" for kind in own if kind != MALIGNANT)),
        }
    rows = [row for row in read_labels_of_places("training", "evaluation") if row["slide_id"] == slide_id]
    of_all, of_auc = [row for row in rows if row["use"] == "training"], places
    if any(row["drawn"] for row in rows):  # a dense slide, of which not every place is labelled
        of_all = [row for row in rows if "any" in row["drawn"].split()]
        about = nearest_rows([place for place, _, _ in places], rows)
        of_auc = [
            each for each, row in zip(places, about, strict=True) if row and "lone" in row["drawn"].split()
        ]
    found["malignant-looking of all"] = [sum(row["label"] == MALIGNANT for row in of_all), len(of_all)]
    found["auc"] = auc([(place.score, kind) for place, _, kind in of_auc])
    return found


def auc(scored: list[tuple[float, str]]) -> dict[str, Any] | None:
    """AUC of malignant-looking against all other kinds, with a bootstrap over places; None where a side is missing."""
    sure = [(score, kind == MALIGNANT) for score, kind in scored if kind not in ("", "unsure")]
    scores, truth = np.array([score for score, _ in sure]), np.array([own for _, own in sure], np.bool_)
    if not truth.any() or truth.all():
        return None
    generator = np.random.default_rng(0)
    draws: list[float] = []
    while len(draws) < REPLICATES:
        rows = generator.integers(len(truth), size=len(truth))
        if truth[rows].any() and not truth[rows].all():
            draws.append(float(roc_auc(truth[rows], scores[rows]) or 0.0))
    low, high = np.quantile(draws, [0.025, 0.975])
    value = float(roc_auc(truth, scores) or 0.0)
    return {
        "value": round(value, 3),
        "low": round(float(low), 3),
        "high": round(float(high), 3),
        "malignant-looking": int(truth.sum()),
        "others": int((~truth).sum()),
    }


def lines(metrics: dict[str, Any]) -> list[str]:
    """What people read."""
    shown: list[str] = []
    for slide_id, models in metrics.items():
        for model, found in models.items():
            share = _share(found["malignant-looking of all"])
            shown.append(f"{slide_id}, {model}: {found['places']} places, malignant-looking of all {share}")
            for k in FIRST:
                first = found[f"first {k}"]
                others = ", ".join(f"{count} {kind}" for kind, count in sorted(first["other kinds"].items()))
                shown.append(
                    f"  hit@{k} by place {_share(first['by place'])}, by box {_share(first['by box'])}; {others or 'no others'}"
                )
            own = found["auc"]
            if own:
                shown.append(
                    f"  AUC {own['value']} ({own['low']} to {own['high']}; {own['malignant-looking']} and {own['others']})"
                )
            shown += [f"  ! {warning}" for warning in found["warnings"] if warning]
    return shown


def _share(counts: list[int]) -> str:
    hits, total = counts
    if not total:
        return "none labelled"
    low, high = clopper_pearson(hits, total)
    return f"{hits} of {total} ({low:.2f} to {high:.2f})"


def write_sheets(folder: Path, results: dict[str, dict[str, Labelled]], slides: dict[str, Any]) -> None:
    """A JPEG per slide: the first 30 places of the untrained model, and of one that started from its weights."""
    folder.mkdir(parents=True, exist_ok=True)
    for slide_id, models in results.items():
        chosen = [name for name in models if name == "untrained" or "shipped weights" in name][:2]
        parts: list[Any] = []
        width = SHEET_PX * SHEET_COLUMNS
        with closing(open_slide(_entry(slides[slide_id]))) as slide:
            for name in chosen:
                text = name if name == "untrained" else f"trained from {name}"
                first = models[name][:30]
                tiles = [
                    framed(crop(slide, place, FIELD_UM, SHEET_PX), kind, FRAME_PX) for place, _, kind in first
                ]
                title = caption(f"{slide_id}: first {len(first)} places, {text}", width)
                parts += [title, mosaic(tiles, SHEET_COLUMNS)]
        _write_jpeg(
            folder / f"loop-{slide_id.removeprefix('csf-')}.jpg", np.vstack([*parts, caption(LEGEND, width)])
        )


def write_sheets_to_label(
    folder: Path, results: dict[str, dict[str, Labelled]], slides: dict[str, Any]
) -> None:
    """Numbered PNG sheets of places without a label: the first 30 of each model; and ``key.csv``."""
    import cv2

    folder.mkdir(parents=True, exist_ok=True)
    key: list[tuple[object, ...]] = [("slide_id", "number", "x_l0_px", "y_l0_px")]
    for slide_id, models in results.items():
        if not slide_id.startswith("csf"):
            continue
        wanted = {place.wkt: place for places in models.values() for place, _, _ in places[:30]}
        known = {place.wkt for places in models.values() for place, _, kind in places if kind}
        chosen = shuffled([place for wkt, place in wanted.items() if wkt not in known], f"label {slide_id}")
        per_sheet = LABEL_COLUMNS * LABEL_ROWS
        with closing(open_slide(_entry(slides[slide_id]))) as slide:
            for start in range(0, len(chosen), per_sheet):
                tiles: list[Any] = []
                for number, place in enumerate(chosen[start : start + per_sheet], start=start + 1):
                    tile = np.ascontiguousarray(crop(slide, place, FIELD_UM, LABEL_PX))
                    cv2.putText(tile, str(number), (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1)
                    tiles.append(framed(tile, "unsure", 1))
                    key.append((slide_id, number, place.x, place.y))
                sheet = mosaic(tiles, LABEL_COLUMNS)[..., ::-1]
                cv2.imwrite(str(folder / f"{slide_id}-{start // per_sheet + 1}.png"), sheet)
    with (folder / "key.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(key)


def _entry(row: dict[str, str]) -> SlideEntry:
    return SlideEntry(slide_id=row["slide_id"], path=Path(row["path"]))


def _write_jpeg(path: Path, rgb: Any) -> None:
    """As good as 200 kB allow."""
    import cv2

    for quality in range(85, 30, -5):
        _, data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        if data.nbytes <= LARGEST_JPEG:
            break
    path.write_bytes(data.tobytes())
