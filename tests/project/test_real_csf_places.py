"""How the labels by eye of real CSF belong to the places that were found, for experiments/real_csf_loop.py."""

import csv
import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def places(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(repository / "experiments"))
    return importlib.import_module("real_csf_places")


@pytest.fixture
def place(places: ModuleType) -> Callable[..., Any]:
    """A square place round a point of slide s."""

    def make(x: int, y: int, side: int = 40, nuclei: int = 1) -> Any:
        left, top, right, bottom = x - side // 2, y - side // 2, x + side // 2, y + side // 2
        wkt = f"POLYGON (({left} {top}, {right} {top}, {right} {bottom}, {left} {bottom}, {left} {top}))"
        return places.Place("s", 1, x, y, float(side), 0.5, nuclei, wkt, 0.25, "m")

    return make


def write_boxes(path: Path, *boxes: tuple[object, ...]) -> Path:
    header = ("slide_id", "x_l0_px", "y_l0_px", "width_l0_px", "height_l0_px", "label")
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *boxes])
    return path


def test_a_malignant_box_decides_and_others_label_small_places_only(
    places: ModuleType, place: Callable[..., Any], tmp_path: Path
) -> None:
    boxes = write_boxes(
        tmp_path / "boxes.csv",
        ("s", 80, 80, 40, 40, "neutrophil"),
        ("s", 300, 80, 40, 40, "neutrophil"),
        ("s", 320, 80, 40, 40, "malignant_like"),
        ("s", 500, 80, 40, 40, "fibre_or_debris"),
        ("other", 700, 80, 40, 40, "malignant_like"),
    )
    asked = [place(100, 100), place(330, 100), place(520, 100, nuclei=3), place(720, 100)]
    assert places.labels_of_boxes(asked, boxes) == ["benign_nucleated", "malignant_like", "", ""]


def test_a_box_that_only_touches_a_place_does_not_label_it(
    places: ModuleType, place: Callable[..., Any], tmp_path: Path
) -> None:
    boxes = write_boxes(tmp_path / "boxes.csv", ("s", 118, 80, 40, 40, "malignant_like"))
    assert places.labels_of_boxes([place(100, 100)], boxes) == [""]
    assert places.labels_of_boxes([place(112, 100)], boxes) == ["malignant_like"]  # a quarter of the box


def test_labels_of_whole_places_belong_to_the_nearest_within_3_um(
    places: ModuleType, place: Callable[..., Any]
) -> None:
    rows = [
        {"slide_id": "s", "x_l0_px": "100", "y_l0_px": "100", "label": "clot"},
        {"slide_id": "s", "x_l0_px": "108", "y_l0_px": "100", "label": "fibre"},
    ]
    # 3 µm are 12 px here.
    assert places.labels_by_place([place(103, 100), place(119, 100), place(121, 100)], rows) == [
        "clot",
        "fibre",
        "",
    ]


def test_every_stored_label_is_known_and_every_repeated_place_was_labelled_before(places: ModuleType) -> None:
    first, again = (places.read_labels_of_places(*uses) for uses in (("training", "evaluation"), ("again",)))
    where = {(row["slide_id"], row["x_l0_px"], row["y_l0_px"]) for row in first}
    assert len(where) == len(first) > 800
    assert len(again) == 40
    assert all((row["slide_id"], row["x_l0_px"], row["y_l0_px"]) in where for row in again)
    assert {row["source"] for row in first + again} == {places.SOURCE}
