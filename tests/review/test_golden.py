"""The form of the output: a change here breaks other people's spreadsheets, QuPath projects and labels."""

from collections.abc import Callable
from pathlib import Path

import pytest

from inkdot.review.gallery.slide_review import SlideReview
from inkdot.review.gallery.worklist import worklist_text
from inkdot.review.qupath_export import write_geojson
from inkdot.review.results.merged_regions import rank_merged_regions
from inkdot.review.results.read_results import SlideResults
from inkdot.review.results.scored_slide import ScoredSlide
from inkdot.review.verdicts import verdict_table as verdicts

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def slide(make_slide: Callable[..., ScoredSlide]) -> ScoredSlide:
    return make_slide(
        [(1300, 1450), (2500, 1450), (3700, 1450)], [0.875, 0.75, 0.125], bounds=(1000, 1400, 5000, 5000)
    )


def test_the_form_of_the_worklist(slide: ScoredSlide) -> None:
    ranking = rank_merged_regions(slide, 2, 0.75)
    review = SlideReview("S1", "flagged", 0.875, warnings=("a", "b"), facts=slide.facts, ranking=ranking)
    assert worklist_text([review]) == (GOLDEN / "worklist.csv").read_text(encoding="utf-8")


def test_the_form_of_the_file_for_qupath(slide: ScoredSlide, tmp_path: Path) -> None:
    write_geojson(tmp_path / "s.geojson", SlideResults(slide, None), rank_merged_regions(slide, 2, 0.75))
    assert (tmp_path / "s.geojson").read_text(encoding="utf-8") == (GOLDEN / "slide.geojson").read_text(
        encoding="utf-8"
    )


def test_the_columns_of_verdicts() -> None:
    assert ",".join(verdicts.COLUMNS) == (GOLDEN / "verdicts_columns.txt").read_text(encoding="utf-8").strip()
