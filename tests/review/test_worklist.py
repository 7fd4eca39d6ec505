import csv
import io
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inkdot.review.gallery.slide_review import SlideReview, slide_order
from inkdot.review.gallery.worklist import COLUMNS, worklist_text
from inkdot.review.results.merged_regions import rank_merged_regions
from inkdot.review.results.scored_slide import ScoredSlide
from inkdot.review.verdicts.csv_cells import plain_text, safe_cell
from inkdot.review.wording import score_text

MakeSlide = Callable[..., ScoredSlide]


def rows(*reviews: SlideReview) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(worklist_text(reviews))))


def test_slides_without_usable_scores_come_before_those_with_nothing_flagged() -> None:
    reviews = [
        SlideReview("clean", "nothing flagged", 0.3),
        SlideReview("broken", "not analysed", None, problem="truncated file"),
        SlideReview("empty", "inadequate", None),
        SlideReview("low", "flagged", 0.7),
        SlideReview("high", "flagged", 0.9),
        SlideReview("between", "indeterminate", 0.5),
    ]
    names = [review.slide_id for review in slide_order(reviews)]
    assert names == ["high", "low", "between", "empty", "broken", "clean"]


@pytest.mark.parametrize(
    ("score", "cell"), [(1.0, "0.9999"), (0.99999, "0.9999"), (0.0, "0.0001"), (0.5, "0.5000")]
)
def test_no_score_is_written_as_certain(make_slide: MakeSlide, score: float, cell: str) -> None:
    slide = make_slide([(0, 0)], [score])
    [row] = rows(
        SlideReview("S1", "flagged", score, facts=slide.facts, ranking=rank_merged_regions(slide, 5, 0.5))
    )
    assert row["score"] == cell
    assert f"({score_text(score)})" in row["top_regions_l0_px"]


def test_a_row_holds_counts_regions_and_the_limits_of_use(make_slide: MakeSlide) -> None:
    slide = make_slide([(0, 0), (500, 20), (900, 40)], [0.91, 0.7, 0.1])
    review = SlideReview(
        "S1",
        "flagged",
        0.91,
        warnings=("a", "b"),
        facts=slide.facts,
        ranking=rank_merged_regions(slide, 2, 0.75),
    )
    (row,) = rows(review)
    assert tuple(row) == COLUMNS
    assert (row["rank"], row["slide_id"], row["call"], row["score"]) == ("1", "S1", "flagged", "0.9100")
    assert (row["flagged_tiles"], row["tiles"]) == ("2", "3")
    assert (row["flagged_regions_shown"], row["regions_shown"]) == ("2", "2")
    assert row["top_regions_l0_px"] == "1: 0 0 (0.910) | 2: 500 20 (0.700)"
    assert row["warnings"] == "a | b"
    assert "does not exclude malignancy" in row["use"]


def test_a_synthetic_model_is_marked_in_its_rows(make_slide: MakeSlide) -> None:
    slide = make_slide([(0, 0)], [0.9], synthetic_model=True)
    (row,) = rows(
        SlideReview("S", "flagged", 0.9, facts=slide.facts, ranking=rank_merged_regions(slide, 5, 0.75))
    )
    assert "trained on synthetic specimens" in row["warnings"]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "'=1"])
def test_no_cell_can_run_as_a_formula(name: str) -> None:
    (row,) = rows(SlideReview(name, "not analysed", None, problem=name))
    for column in ("slide_id", "problem"):
        assert row[column] == "'" + name
        assert plain_text(row[column]) == name


@settings(deadline=None)  # a busy machine is no fault
@given(st.text(alphabet="'=+-@\t\rab ", max_size=6))
def test_escaped_cells_are_restored(text: str) -> None:
    assert plain_text(safe_cell(text)) == text
    assert not safe_cell(text).startswith(("=", "+", "-", "@", "\t", "\r"))
