"""Areas by kind, and advice, of a slide on which nothing could be judged."""

import pytest

from inkdot.review.gallery.unassessed import unassessed_facts
from inkdot.storage.tables.assessments import REASONS
from inkdot.tiling.foreground.foreground_classes import ForegroundClass


def test_areas_are_listed_by_size_with_their_share_of_what_was_scanned() -> None:
    areas = {"glass": 60.0, "blur": 30.0, "pen": 9.95, "speck": 0.05, "outside": 900.0}
    found = unassessed_facts({"areas_mm2": areas})
    assert found is not None
    assert found["areas"] == [
        {"words": "empty glass", "mm2": 60.0, "share": 0.6},
        {"words": "out of focus", "mm2": 30.0, "share": 0.3},
        {"words": "pen marks", "mm2": 9.95, "share": pytest.approx(0.0995)},
    ]
    advice = found["advice"]
    assert isinstance(advice, list)
    assert "excludes nothing" in advice[0]
    assert [line.split(",")[0].split(" (")[0] for line in advice[1:3]] == [
        "Scan the slide again",
        "Wipe the pen off the glass",
    ]
    assert "further slide" in advice[3]  # empty glass comes last
    assert not any("_" in line or "config" in line for line in advice)


@pytest.mark.parametrize(
    "assessment", [{}, {"areas_mm2": {}}, {"areas_mm2": {"outside": 3.0}}, {"areas_mm2": "x"}]
)
def test_without_areas_there_is_no_list(assessment: dict[str, object]) -> None:
    assert unassessed_facts(assessment) is None


def test_every_kind_of_area_has_plain_words() -> None:
    for kind in ForegroundClass:
        assert kind.column in REASONS
        found = unassessed_facts({"areas_mm2": {"glass": 1.0, kind.column: 1.0}})
        assert found is not None or kind.column == "outside"
        if found and kind.column not in {"glass", "outside"}:
            areas = found["areas"]
            assert isinstance(areas, list)
            assert len(areas) == 2
