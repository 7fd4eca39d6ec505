import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inkdot.errors import ManifestError
from inkdot.labels import DEFAULT_HEADS, Head
from inkdot.review.qupath_export import refuse_foreign_verdicts, write_geojson
from inkdot.review.results.merged_regions import rank_merged_regions
from inkdot.review.results.read_results import SlideResults
from inkdot.review.results.scored_slide import ScoredSlide
from inkdot.review.verdicts.qupath_import import read_qupath, verdicts_of_class

SIZE = (10_000, 10_000)
RING = [[0, 0], [100, 0], [100, 50], [0, 50], [0, 0]]


def feature(classification: Any, geometry: Any = None) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": geometry or {"type": "Polygon", "coordinates": [RING]},
        "properties": {"objectType": "annotation", "classification": classification},
    }


def saved(path: Path, data: Any) -> Path:
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "verdicts"),
    [
        ("malignant", [("malignancy", "malignant")]),
        ("Benign", [("malignancy", "benign")]),
        ("Small cell", [("malignancy", "malignant"), ("morphology", "small_cell")]),
        ("malignant: large-cell", [("malignancy", "malignant"), ("morphology", "large_cell")]),
        ("benign: small_cell", []),  # contradicts its own condition
        ("malignant: benign", []),
        ("Not a cell", [("cell_finder", "not_a_cell")]),
        ("benign: not a cell", []),
        ("flagged", []),
        ("malignant: Stroma", []),
        ("", []),
    ],
)
def test_a_class_name_gives_verdicts_or_none(name: str, verdicts: list[tuple[str, str]]) -> None:
    assert verdicts_of_class(name, DEFAULT_HEADS) == verdicts


def test_a_verdict_on_a_conditional_head_implies_its_condition() -> None:
    heads = (
        Head(
            "grade",
            ("low", "high"),
            {"HSIL": {"high": 1.0}, "ASC-H": {"high": 0.6, "low": 0.4}, "NILM": {"low": 1.0}},
        ),
        Head("kind", ("squamous", "glandular"), {"squamous": {"squamous": 1.0}}, condition=("grade", "high")),
    )
    assert verdicts_of_class("squamous", heads) == [("grade", "HSIL"), ("kind", "squamous")]
    assert verdicts_of_class("asc h: squamous", heads) == [("grade", "ASC-H"), ("kind", "squamous")]
    assert verdicts_of_class("NILM: squamous", heads) == []


def test_regions_are_moved_from_the_scanned_corner_to_level_0(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "s.geojson", {"type": "FeatureCollection", "features": [feature({"name": "benign"})]}
    )
    ((region, head, verdict),) = read_qupath(path, DEFAULT_HEADS, (1000, 400)).verdicts
    assert (region.bounds, head, verdict) == ((1000, 400, 1100, 450), "malignancy", "benign")


def test_regions_exported_and_classified_come_back_where_they_were(
    tmp_path: Path, make_slide: Callable[..., ScoredSlide]
) -> None:
    slide = make_slide([(1300, 1450)], [0.9], bounds=(1000, 1400, 5000, 5000))
    path = tmp_path / "slide.geojson"
    ranking = rank_merged_regions(slide, 30, 0.75)
    write_geojson(path, SlideResults(slide, None), ranking)
    assert read_qupath(path, DEFAULT_HEADS, (1000, 1400)).verdicts == ()  # "flagged" is nobody's verdict
    data = json.loads(path.read_text(encoding="utf-8"))
    data["features"][0]["properties"]["classification"]["name"] = "malignant"
    ((region, _, verdict),) = read_qupath(saved(path, data), DEFAULT_HEADS, (1000, 1400)).verdicts
    assert (region.bounds, verdict) == (ranking.regions[0].corners_l0_px, "malignant")


def test_files_of_earlier_versions_come_back_too(tmp_path: Path) -> None:
    data = json.loads((Path(__file__).parent / "golden" / "slide_v4.geojson").read_text(encoding="utf-8"))
    assert data["inkdot"]["version"] == "inkdot.geojson/4"
    path = saved(tmp_path / "S.geojson", data)
    refuse_foreign_verdicts([path])  # still known as ours, so that an export may replace it
    first, second = data["features"]
    first["properties"]["classification"] = {"names": ["malignant", "small cell"], "color": [1, 2, 3]}
    second["properties"]["classification"] = {"name": "benign", "colorRGB": -1}  # as up to 0.3
    path = saved(tmp_path / "edited.geojson", [first, second])
    found = read_qupath(path, DEFAULT_HEADS, (1000, 1400), SIZE)
    assert [(region.bounds, head, verdict) for region, head, verdict in found.verdicts] == [
        ((1300, 1450, 1400, 1550), "malignancy", "malignant"),
        ((1300, 1450, 1400, 1550), "morphology", "small_cell"),
        ((2500, 1450, 2600, 1550), "malignancy", "benign"),
    ]


def test_annotations_without_a_verdict_are_counted(tmp_path: Path) -> None:
    point = {"type": "Point", "coordinates": [1, 1]}
    features = [
        feature({"name": "flagged"}),
        feature({"name": "flagged"}),
        feature(None),
        feature({"name": "benign"}, point),
        feature({"names": ["malignant", "mixed"]}),
    ]
    found = read_qupath(saved(tmp_path / "s.geojson", features), DEFAULT_HEADS, (0, 0), SIZE)
    assert found.ignored == {"flagged": 2, "no class": 1}
    assert any("geometry Point have no area" in note for note in found.notes)
    assert [verdict for _, _, verdict in found.verdicts] == ["malignant", "mixed"]


def test_child_objects_are_read_and_one_without_outline_costs_no_other(tmp_path: Path) -> None:
    """QuPath saves hierarchies: the root has no outline, and answers lie inside of a region."""
    inner = [feature({"name": "malignant"}), feature({"name": "benign"})]
    lost = feature({"name": "benign"}) | {"geometry": None}
    root = {"type": "Feature", "geometry": None, "properties": {"objectType": "root"}}
    data = root | {"childObjects": [feature({"name": "Region"}) | {"childObjects": inner}, lost]}
    found = read_qupath(saved(tmp_path / "s.geojson", data), DEFAULT_HEADS, (0, 0), SIZE)
    assert [verdict for _, _, verdict in found.verdicts] == ["malignant", "benign"]
    assert found.ignored == {"Region": 1}
    assert [note for note in found.notes if "without geometry were skipped: 1" in note]


def test_detections_are_nobodys_verdicts(tmp_path: Path) -> None:
    cell = feature({"name": "malignant"})
    cell["properties"]["objectType"] = "detection"
    old = feature({"name": "malignant"}) | {"id": "PathCellObject"}
    del old["properties"]["objectType"]
    path = saved(tmp_path / "s.geojson", [cell, old, feature({"name": "benign"})])
    found = read_qupath(path, DEFAULT_HEADS, (0, 0), SIZE)
    assert [verdict for _, _, verdict in found.verdicts] == ["benign"]
    assert ["'detection'" in note or "'cell'" in note for note in found.notes] == [True, True]


def test_a_region_outside_of_the_slide_is_ignored(tmp_path: Path) -> None:
    beside = {"type": "Polygon", "coordinates": [[[-900, -90], [-800, -90], [-800, -80], [-900, -90]]]}
    edge = {"type": "Polygon", "coordinates": [[[-50, 0], [50, 0], [50, 100], [-50, 100], [-50, 0]]]}
    features = [feature({"name": "benign"}, beside), feature({"name": "malignant"}, edge)]
    found = read_qupath(saved(tmp_path / "s.geojson", features), DEFAULT_HEADS, (100, 60), SIZE)
    assert found.ignored == {"outside of the slide": 1}
    assert [verdict for _, _, verdict in found.verdicts] == ["malignant"]


def test_an_outline_that_crosses_itself_is_made_valid(tmp_path: Path) -> None:
    bow = {"type": "Polygon", "coordinates": [[[0, 0], [100, 100], [100, 0], [0, 100], [0, 0]]]}
    ((region, _, _),) = read_qupath(
        saved(tmp_path / "s.geojson", feature({"name": "benign"}, bow)), DEFAULT_HEADS, (0, 0), SIZE
    ).verdicts
    assert region.is_valid
    assert region.area == pytest.approx(5000)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1, 2]",
        '"text"',
        "{]",
        '{"features": 5}',
        '{"properties": "words", "geometry": null}',
        '[{"properties": {"classification": "benign"}, "geometry": null}]',
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "s.geojson"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError, match="GeoJSON"):
        read_qupath(path, DEFAULT_HEADS, (0, 0), SIZE)
    with pytest.raises(ManifestError, match="found nothing there"):
        read_qupath(tmp_path / "absent.geojson", DEFAULT_HEADS, (0, 0))


def test_a_broken_geometry_is_named_by_its_number(tmp_path: Path) -> None:
    path = saved(tmp_path / "s.geojson", [feature(None), feature({"name": "benign"}, {"type": "Polygon"})])
    with pytest.raises(ManifestError, match="feature 2"):
        read_qupath(path, DEFAULT_HEADS, (0, 0), SIZE)
