import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
import shapely

from inkdot.review.measurement_names import qupath_name
from inkdot.review.qupath_export import QUPATH_SCRIPT, write_geojson, write_qupath_script
from inkdot.review.results.merged_regions import rank_merged_regions
from inkdot.review.results.read_results import SlideResults
from inkdot.review.results.scored_slide import ScoredSlide
from inkdot.storage.output_layouts import ReviewLayout
from inkdot.storage.schemas import MEASURES

MakeSlide = Callable[..., ScoredSlide]


def written(tmp_path: Path, slide: ScoredSlide, top_n: int = 3, **cap: int) -> dict[str, Any]:
    path = tmp_path / "slide.geojson"
    summary = write_geojson(path, SlideResults(slide, None), rank_merged_regions(slide, top_n, 0.75), **cap)
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert summary.features == len(data["features"]) - len(slide.facts.warnings)
    assert summary.left_out == data["inkdot"]["left_out"]
    return data


def test_rings_are_closed_valid_right_handed_and_of_the_tile_s_size(
    tmp_path: Path, make_slide: MakeSlide
) -> None:
    slide = make_slide([(0, 0), (1000, 500)], [0.9, 0.2], mpp=(0.25, 0.5))
    data = written(tmp_path, slide)
    assert data["type"] == "FeatureCollection"
    for feature, (x, y) in zip(data["features"], [(0, 0), (1000, 500)], strict=True):
        ring = feature["geometry"]["coordinates"][0]
        assert ring[0] == ring[-1]
        polygon = shapely.from_geojson(json.dumps(feature["geometry"]))
        assert polygon.is_valid
        assert polygon.exterior.is_ccw  # RFC 7946: the outer ring counter-clockwise in x, y
        assert polygon.bounds == (x, y, x + 200, y + 100)


def test_regions_count_from_the_corner_of_the_scanned_bounds(tmp_path: Path, make_slide: MakeSlide) -> None:
    slide = make_slide([(1300, 1450)], [0.9], bounds=(1000, 1400, 5000, 5000))
    assert written(tmp_path, slide)["features"][0]["geometry"]["coordinates"][0][0] == [300, 50]


def test_features_are_annotations_that_qupath_reads(tmp_path: Path, make_slide: MakeSlide) -> None:
    feature = written(tmp_path, make_slide([(0, 0), (500, 0)], [0.9, 0.1]))["features"][0]
    assert feature["type"] == "Feature"
    properties = feature["properties"]
    assert properties["objectType"] == "annotation"
    assert properties["isLocked"] is False
    assert properties["name"] == "#1 0.900"
    assert properties["classification"]["name"] == "flagged"
    assert all(0 <= part <= 255 for part in properties["classification"]["color"])
    assert properties["measurements"]["Probability: malignancy malignant"] == 0.9
    assert properties["measurements"]["Rank"] == 1


def test_ids_are_the_same_in_every_export_and_differ_between_regions(
    tmp_path: Path, make_slide: MakeSlide
) -> None:
    first, second = (
        [feature["id"] for feature in written(tmp_path, make_slide([(0, 0), (500, 0)], scores))["features"]]
        for scores in ([0.9, 0.8], [0.8, 0.9])
    )
    assert first == second[::-1]
    assert len(set(first)) == 2
    assert all(UUID(name).version == 5 for name in first)


def test_all_flagged_tiles_are_in_the_file_even_those_not_shown(
    tmp_path: Path, make_slide: MakeSlide
) -> None:
    # The first two touch and are shown as one region; the last is neither shown nor flagged.
    slide = make_slide([(0, 0), (10, 0), (500, 0), (900, 0)], [0.9, 0.8, 0.7, 0.1])
    features = written(tmp_path, slide, top_n=1)["features"]
    rings = [np.array(feature["geometry"]["coordinates"][0]) for feature in features]
    assert [(ring[:, 0].min(), ring[:, 0].max()) for ring in rings] == [(0, 110), (500, 600)]


def test_a_slide_with_nothing_flagged_shows_its_regions_and_says_so(
    tmp_path: Path, make_slide: MakeSlide
) -> None:
    features = written(tmp_path, make_slide([(0, 0)], [0.1]))["features"]
    assert features[0]["properties"]["classification"]["name"] == "shown, not flagged"


def test_the_cap_is_stated(tmp_path: Path, make_slide: MakeSlide) -> None:
    slide = make_slide([(index * 500, 0) for index in range(9)], [0.9] * 9)
    data = written(tmp_path, slide, max_features=4)
    assert (len(data["features"]), data["inkdot"]["left_out"]) == (4, 5)


def test_a_synthetic_model_is_named_on_every_region(tmp_path: Path, make_slide: MakeSlide) -> None:
    data = written(tmp_path, make_slide([(0, 0)], [0.9], synthetic_model=True))
    assert "synthetic" in data["inkdot"]["warning"]
    assert "synthetic model" in data["features"][0]["properties"]["name"]


def test_an_empty_slide_gives_an_empty_collection(tmp_path: Path, make_slide: MakeSlide) -> None:
    assert written(tmp_path, make_slide([], []))["features"] == []


def test_qupath_shows_each_warning_as_an_annotation_on_the_slide(
    tmp_path: Path, make_slide: MakeSlide
) -> None:
    warnings = tuple(f"warning {index}" for index in range(80))  # more than fit side by side
    slide = make_slide([(1300, 1450)], [0.9], bounds=(1000, 1400, 5000, 5000), warnings=warnings)
    data = written(tmp_path, slide)
    region, notes = data["features"][-1], data["features"][:-1]
    assert region["properties"]["name"] == "#1 0.900"
    assert [note["properties"]["name"] for note in notes] == [f"! {text}" for text in warnings]
    assert {note["properties"]["classification"]["name"] for note in notes} == {"warning about the slide"}
    assert len({feature["id"] for feature in data["features"]}) == 81
    for note in notes:
        assert note["properties"]["isLocked"] is False
        polygon = shapely.from_geojson(json.dumps(note["geometry"]))
        assert polygon.is_valid
        assert polygon.exterior.is_ccw
        assert shapely.box(0, 0, 5000, 5000).covers(polygon)


def test_warnings_of_a_slide_without_regions_are_shown(tmp_path: Path, make_slide: MakeSlide) -> None:
    features = written(tmp_path, make_slide([], [], warnings=("too few cells",)))["features"]
    assert [feature["properties"]["name"] for feature in features] == ["! too few cells"]


def test_measurements_are_named_as_qupath_names_its_own() -> None:
    # QuPath: "Nucleus: Area µm^2", "Nucleus: Max diameter µm", "Nucleus/Cell area ratio".
    named = {column: qupath_name(column) for column in MEASURES}
    assert named["diameter_median_um"] == "Nucleus: median diameter µm"
    assert qupath_name("p.morphology.small_cell") == "Probability: morphology small cell"
    assert qupath_name("area_um2") == "Cluster: area µm^2"
    assert len(set(named.values())) == len(named)
    for column, name in named.items():
        thing, colon, words = name.partition(": ")
        assert colon
        assert thing in ("Nucleus", "Nucleus/Cell", "Cluster")
        assert "_" not in words
        assert column.endswith("_um") == name.endswith(" µm")


def test_the_file_is_ascii_since_qupath_reads_it_in_the_encoding_of_its_system(
    tmp_path: Path, make_slide: MakeSlide
) -> None:
    written(tmp_path, make_slide([(0, 0)], [0.9], warnings=("0.5 µm/px: größer",)))
    raw = (tmp_path / "slide.geojson").read_bytes()
    assert raw.isascii()
    data = json.loads(raw.decode("cp1252"))
    assert data["features"][0]["properties"]["name"] == "! 0.5 µm/px: größer"


@pytest.mark.parametrize(
    ("score", "words"),
    [(1.0, ">0.999"), (0.9996, ">0.999"), (0.999, "0.999"), (0.0, "<0.001"), (0.5, "0.500")],
)
def test_no_score_reads_as_certain(score: float, words: str, tmp_path: Path, make_slide: MakeSlide) -> None:
    (region,) = written(tmp_path, make_slide([(0, 0)], [score]))["features"]
    assert region["properties"]["name"] == f"#1 {words}"


def test_the_script_for_qupath_names_files_as_the_export_does(tmp_path: Path) -> None:
    write_qupath_script(tmp_path)
    script = (tmp_path / QUPATH_SCRIPT).read_text(encoding="utf-8")
    assert script.isascii()
    for opening, closing in ("()", "[]", "{}"):
        code = "\n".join(line for line in script.splitlines() if not line.lstrip().startswith("//"))
        assert code.count(opening) == code.count(closing)
    assert "'.geojson'" in script
    assert ReviewLayout(tmp_path).geojson("S").suffix == ".geojson"
