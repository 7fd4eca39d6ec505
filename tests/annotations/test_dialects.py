"""Files in the forms that QuPath, ASAP and ImageScope write, against areas computed by hand."""

import math
from collections.abc import Callable

import pytest
from shapely.geometry import Polygon, box

from inkdot.annotations import Annotation
from inkdot.config import AnnotationConfig
from inkdot.records import SlideInfo

Read = Callable[..., Annotation]
Info = Callable[..., SlideInfo]
SQUARE_WITH_HOLE = Polygon(
    [(1000, 1000), (1400, 1000), (1400, 1400), (1000, 1400)],
    [[(1100, 1100), (1200, 1100), (1200, 1200), (1100, 1200)]],
)


def label_pairs(annotation: Annotation) -> list[tuple[str, str]]:
    return [(label.head, label.label) for label in annotation.labels]


def test_qupath_present_form(read: Read) -> None:
    annotation = read("qupath_0.5.geojson")
    assert annotation.dialect == "geojson"
    assert label_pairs(annotation) == [
        ("malignancy", "malignant"),
        ("morphology", "large_cell"),
        ("malignancy", "malignant"),  # "Tumor: Positive", read as its parent
    ]
    assert all(label.slide_id == "A" and label.reader == "r1" for label in annotation.labels)
    assert annotation.labels[0].geometry.equals(SQUARE_WITH_HOLE)
    assert annotation.labels[0].geometry.equals(annotation.labels[1].geometry)
    for words in ("'Tumor: Positive' is not in the config", "LineString", "type 'detection'"):
        assert any(words in warning for warning in annotation.warnings), words
    assert len(annotation.warnings) == 3


def test_qupath_of_old_and_an_outline_that_crosses_itself(read: Read) -> None:
    annotation = read("qupath_0.2.json")
    assert label_pairs(annotation) == [("malignancy", "malignant"), ("morphology", "small_cell")]
    region = annotation.labels[0].geometry
    assert region.is_valid
    assert region.area == 20_000  # two triangles of a bow tie
    assert any("Self-intersection" in warning for warning in annotation.warnings)
    assert any("'cell'" in warning for warning in annotation.warnings)


def test_qupath_counts_from_the_scanned_bounds(read: Read, slide_info: Info) -> None:
    cropped = slide_info(bounds=(500, 700, 3400, 2200))
    moved = read("qupath_0.5.geojson", info=cropped).labels[0].geometry
    assert moved.bounds == (1500, 1700, 1900, 2100)
    asap = read("asap.xml", info=cropped).labels[0].geometry
    assert asap.bounds[:2] == (1000, 1000), "ASAP counts from the corner of level 0"


def test_qupath_coordinates_from_the_corner_of_the_whole_slide(
    read: Read, slide_info: Info, config: AnnotationConfig
) -> None:
    config = config.model_copy(update={"qupath_origin": "slide"})
    region = (
        read("qupath_0.5.geojson", info=slide_info(bounds=(500, 700, 3400, 2200)), config=config)
        .labels[0]
        .geometry
    )
    assert region.bounds == (1000, 1000, 1400, 1400)


def test_asap(read: Read) -> None:
    annotation = read("asap.xml")
    assert annotation.dialect == "asap"
    assert label_pairs(annotation) == [
        ("malignancy", "malignant"),
        ("morphology", "large_cell"),
        ("malignancy", "benign"),
    ]
    tumour = annotation.labels[0].geometry
    assert tumour.area == 400 * 400.5 - 100 * 100  # points in the order of Order, the Exclusion cut out
    assert annotation.labels[2].geometry.equals(box(200.5, 200, 300.5, 260))  # decimal commas
    assert any("type Dot" in warning for warning in annotation.warnings)


def test_imagescope(read: Read) -> None:
    annotation = read("imagescope.xml")
    assert annotation.dialect == "imagescope"
    assert label_pairs(annotation) == [
        ("malignancy", "malignant"),  # the layer's attribute
        ("malignancy", "benign"),  # the layer's name
        ("malignancy", "malignant"),  # the region's text counts before the layer's name
        ("morphology", "mixed"),
    ]
    assert annotation.labels[0].geometry.equals(SQUARE_WITH_HOLE)
    ellipse = annotation.labels[1].geometry
    assert ellipse.area == pytest.approx(math.pi * 50 * 50, rel=0.002)
    assert ellipse.bounds == pytest.approx((200, 200, 300, 300))
    assert annotation.labels[2].geometry.equals(box(400, 400, 500, 450))
    assert any("arrows" in warning for warning in annotation.warnings)


def test_imagescope_of_another_scan_is_warned_of(read: Read, slide_info: Info) -> None:
    annotation = read("imagescope.xml", info=slide_info(mpp=0.5))
    assert any("0.25 µm/px and the slide 0.5" in warning for warning in annotation.warnings)


def test_boxes_of_one_slide(read: Read) -> None:
    annotation = read("boxes.csv")
    assert annotation.dialect == "boxes"
    assert label_pairs(annotation) == [("malignancy", "malignant"), ("malignancy", "benign")]
    assert annotation.labels[0].geometry.equals(box(10, 20, 40, 60))


def test_a_labels_table(read: Read) -> None:
    annotation = read("labels.csv")
    assert annotation.dialect == "labels"
    assert [(label.slide_id, label.reader, label.source) for label in annotation.labels] == [
        ("A", "r1", "review")
    ]


def test_same_file_same_labels(read: Read) -> None:
    for name in ("qupath_0.5.geojson", "asap.xml", "imagescope.xml", "boxes.csv"):
        assert read(name) == read(name)
