"""Files that are damaged, dangerous or of something else: one clear line each."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from shapely.geometry import Polygon

from inkdot.annotations import Annotation, read_annotation
from inkdot.annotations.drawing import Notes
from inkdot.annotations.rings import area_of
from inkdot.config import AnnotationConfig
from inkdot.errors import AnnotationError, InkdotError
from inkdot.labels import DEFAULT_HEADS
from inkdot.records import SlideInfo

Read = Callable[..., Annotation]
Info = Callable[..., SlideInfo]


def feature(coordinates: object, kind: str = "Polygon", name: str | None = "Tumor") -> str:
    properties = {"objectType": "annotation"} | ({"classification": {"name": name}} if name else {})
    return json.dumps(
        {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": properties}
    )


SQUARE = [[[10, 10], [20, 10], [20, 20], [10, 20], [10, 10]]]
BOMB = '<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;">]>'
THIEF = '<!DOCTYPE a [<!ENTITY file SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "an empty file"),
        ("PK\x03\x04 and then some more bytes of a packed file", "unpack it first"),
        ("hello, this is no annotation file of any kind", "expected GeoJSON"),
        ("a,b,c\n1,2,3\nmore text so that it is no file name\n", "expected GeoJSON"),
        (feature(SQUARE)[:-20], "error in line 1"),
        (feature(SQUARE) + " and more text", "more text after the end"),
        ('{"type": "FeatureCollection", "features": [' + feature(SQUARE) + ",]}", "error in line 1"),
        ("[" * 100_000, "nested too deeply"),
        ('{"type": "Topology", "objects": {}, "arcs": [], "more": "text"}', "found type 'Topology'"),
        (feature([[["a", 1], [2, 2], [3, 3]]]), "expected points as [x, y]"),
        (feature([[[float("nan"), 1], [20, 10], [20, 20]]]), "finite coordinates"),
        (feature(SQUARE, "Circle"), "geometry type 'Circle'"),
        (feature(SQUARE, name="Tumour"), "found 'Tumour'"),
        (
            feature(SQUARE)[:-1].rpartition('"properties"')[0] + '"properties": "Tumor"}',
            "properties: expected",
        ),
        (feature(SQUARE, name=None), "found '(unclassified)'"),
        (feature([[[9000, 10], [9100, 10], [9100, 90]]]), "expected a region on the slide"),
        ("<html><body>this is a page of the web, not an annotation</body></html>", "found 'html'"),
        (f'<?xml version="1.0"?>{BOMB}<ASAP_Annotations>&lol2;</ASAP_Annotations>', "document type"),
        (f'<?xml version="1.0"?>{THIEF}<Annotations>&file;</Annotations>', "document type"),
        ("<ASAP_Annotations><Annotations></ASAP_Annotations>", "well-formed XML"),
        (
            '<ASAP_Annotations><Annotations><Annotation Type="Blob" PartOfGroup="Tumor"/></Annotations></ASAP_Annotations>',
            "found 'Blob'",
        ),
        (
            '<Annotations><Annotation Name="Tumor"><Regions><Region Type="0"><Vertices><Vertex X="1"/></Vertices></Region>'
            "</Regions></Annotation></Annotations>",
            "expected a number in Y",
        ),
        ("slide_id,x,y,w,h,class\nA,1,2,0,4,Tumor\n# so that it is long", "expected w and h above 0"),
        ("slide_id,x,y,w,h,class\nA,1,2,x,4,Tumor\n# so that it is long", "column w"),
    ],
)
def test_a_bad_file_gives_one_line_that_names_the_problem(
    read: Read, config: AnnotationConfig, text: str, words: str
) -> None:
    config = config.model_copy(update={"ignore": []})
    with pytest.raises(AnnotationError) as caught:
        read(text, config=config)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


def test_a_missing_file(tmp_path: Path, slide_info: Info, config: AnnotationConfig) -> None:
    with pytest.raises(AnnotationError, match="found nothing there"):
        read_annotation(tmp_path / "none.xml", slide_info(), config, DEFAULT_HEADS)


def test_the_suffix_does_not_decide(tmp_path: Path, slide_info: Info, config: AnnotationConfig) -> None:
    path = tmp_path / "annotation.xml"
    path.write_text(feature(SQUARE), encoding="utf-8-sig")
    assert read_annotation(path, slide_info(), config, DEFAULT_HEADS).dialect == "geojson"


def test_utf_16(tmp_path: Path, slide_info: Info, config: AnnotationConfig) -> None:
    for text, dialect in (
        (feature(SQUARE), "geojson"),
        ("slide_id\tx\ty\tw\th\tclass\nA\t1\t2\t3\t4\tTumor\n", "boxes"),
    ):
        path = tmp_path / "annotation.txt"
        path.write_text(text, encoding="utf-16")
        annotation = read_annotation(path, slide_info(), config, DEFAULT_HEADS)
        assert (annotation.dialect, len(annotation.labels)) == (dialect, 1)


def test_an_unknown_class_says_what_to_write(read: Read) -> None:
    with pytest.raises(
        AnnotationError,
        match=re.escape("add it to annotations.classes, e.g. 'Tumour': {malignancy: malignant}"),
    ):
        read(feature(SQUARE, name="Tumour"))


def test_a_head_that_is_not_asked_is_named(read: Read) -> None:
    config = AnnotationConfig(classes={"Tumor": {"grade": "high"}})
    with pytest.raises(AnnotationError, match="found 'grade'"):
        read(feature(SQUARE), config=config)


def test_winding_repeats_and_open_rings_change_nothing(read: Read) -> None:
    ring = SQUARE[0]
    for same in (ring[::-1], ring[:-1], [*ring[:2], ring[1], *ring[2:]], [[x, y, 0.0] for x, y in ring]):
        annotation = read(feature([same]))
        assert annotation.labels[0].geometry.area == 100
        assert annotation.warnings == ()


def test_lines_that_pose_as_areas_are_passed_over(read: Read) -> None:
    for flat in ([[10, 10], [20, 20]], [[10, 10], [20, 20], [30, 30], [10, 10]], []):
        annotation = read(feature([flat] if flat else []))
        assert annotation.labels == ()
        assert len([line for line in annotation.warnings if "without area" in line]) == 1


def test_a_hole_that_reaches_out_is_cut_off(read: Read) -> None:
    region = read(feature([*SQUARE, [[15, 15], [30, 15], [30, 18], [15, 18]]])).labels[0].geometry
    assert region.is_valid
    assert region.area == 100 - 5 * 3


def test_a_million_points_in_moderate_time(read: Read) -> None:
    one = feature([[[10 + index % 7, 10 + index] for index in range(500)] + [[300, 10]]])
    annotation = read('{"type": "FeatureCollection", "features": [' + ",".join([one] * 400) + "]}")
    assert len(annotation.labels) == 400


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300) | st.binary(max_size=300))
def test_nothing_but_named_errors(
    tmp_path_factory: pytest.TempPathFactory, slide_info: Info, config: AnnotationConfig, content: str | bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "annotation"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", errors="replace"))
    with pytest.raises(InkdotError):
        read_annotation(path, slide_info(), config, DEFAULT_HEADS)


coordinates = st.tuples(st.integers(0, 40), st.integers(0, 40)).map(
    lambda point: (float(point[0]), float(point[1]))
)


@settings(max_examples=200, deadline=None)
@given(st.lists(coordinates, max_size=12), st.lists(st.lists(coordinates, max_size=6), max_size=3))
@example(  # a hole as large as the ring: slivers are left, and their union is empty
    [(0.0, 0.0), (6.0, 27.0), (12.0, 22.0), (28.0, 0.0)],
    [[(0.0, 0.0), (1.0, 15.0), (34.0, 34.0)], [(0.0, 0.0), (6.0, 27.0), (12.0, 22.0), (28.0, 0.0)]],
)
def test_any_ring_becomes_a_valid_area_or_none(
    ring: list[tuple[float, float]], holes: list[list[tuple[float, float]]]
) -> None:
    region = area_of(ring, holes, Notes(), "here")
    if region is not None:
        assert region.is_valid
        assert region.geom_type in {"Polygon", "MultiPolygon"}
        assert 0 < region.area <= Polygon([(0, 0), (40, 0), (40, 40), (0, 40)]).area


def scribble(corners: int) -> list[tuple[float, float]]:
    """A line to random places of the slide and back, as no outline is drawn."""
    return [(float(x), float(y)) for x, y in np.random.default_rng(0).uniform(10, 2900, (corners, 2))]


def test_an_outline_that_crosses_itself_now_and_then_is_repaired(read: Read) -> None:
    star = [(2000 + 900 * np.cos(turn), 1500 + 900 * np.sin(turn)) for turn in 4 * np.pi / 5 * np.arange(5)]
    found = read(feature([star]))
    assert any("repaired" in text for text in found.warnings)
    assert area_of(scribble(100), [], Notes(), "here") is not None


@pytest.mark.parametrize("corners", [800, 3000])
@pytest.mark.timeout(20)
def test_a_scribble_is_refused_in_moderate_time(read: Read, corners: int) -> None:
    with pytest.raises(
        AnnotationError, match=r"feature 1: expected the outline of an area, found a line that crosses itself"
    ):
        read(feature([scribble(corners)]))


@pytest.mark.parametrize(
    "text",
    [
        feature([[[10**400, 1], [5, 5], [9, 1]]]),
        feature([[[1, 1], [5, 5], [9, 1]]]).replace("Tumor", "T" * 100_000),
        '{"type": "Feature", "geometry": null, "properties": {"childObjects": [' * 470 + "]}}" * 470,
        '{"a":' * 100_000,
    ],
)
def test_odd_json_is_one_line(read: Read, text: str) -> None:
    with pytest.raises(AnnotationError) as error:
        read(text)
    assert "\n" not in str(error.value)
