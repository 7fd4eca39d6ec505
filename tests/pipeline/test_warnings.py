"""What a batch says of its slides before it ends."""

from pathlib import Path

from inkdot.morphometry.red_cell_reference import RedCellReference
from inkdot.pipeline.results.warnings import warning_lines
from inkdot.pipeline.scoring.unlike_training import scale_warnings
from inkdot.storage.models.model_files import read_model_file
from inkdot.storage.tables.predictions import Prediction


def done(slide_id: str, *warnings: str, reason: str = "") -> Prediction:
    return Prediction(slide_id, "done", "flagged", warnings=" | ".join(warnings), reason=reason)


def test_warnings_are_counted_over_slides_the_commonest_first():
    said = [done("a", "rare"), done("b", "common"), done("c", "common"), done("d")]
    assert warning_lines(said) == ["2 of 4 slides (b, c): common", "1 of 4 slides (a): rare"]


def test_those_that_differ_in_their_numbers_only_are_one_kind():
    said = [
        done(f"s{count}", f"lymphocyte reference unavailable: {count} lymphocytes, 20 needed")
        for count in (14, 3)
    ]
    assert warning_lines(said) == [
        "2 of 2 slides (s14, s3), here of the first: lymphocyte reference unavailable: 14 lymphocytes, 20 needed"
    ]


def test_opposite_warnings_are_two_kinds_each_with_its_slides():
    too_large, too_small = (
        RedCellReference(90, size, (0.99 * size, 1.01 * size)).warning(0.5) for size in (40.0, 6.0)
    )
    demo = read_model_file(Path(__file__).parents[2] / "models" / "demo")  # trained at 0.5 µm/px
    finer, coarser = (scale_warnings((mpp, mpp), demo) for mpp in (0.25, 1.0))
    assert set(warning_lines([done("a", too_large, *coarser), done("b", too_small, *finer)])) == {
        f"1 of 2 slides (a): {coarser[0]}",
        f"1 of 2 slides (b): {finer[0]}",
        f"1 of 2 slides (a): {too_large}",
        f"1 of 2 slides (b): {too_small}",
    }
    assert "too large" in too_large
    assert "too small" in too_small


def test_many_slides_are_named_by_the_first_three_and_all_by_none():
    said = [done(f"s{index}", "everywhere", *(["here"] if index < 4 else [])) for index in range(5)]
    assert warning_lines(said) == ["5 of 5 slides: everywhere", "4 of 5 slides (s0, s1, s2, …): here"]


def test_why_a_slide_is_inadequate_is_said_and_why_one_failed_is_not_said_twice():
    failed = Prediction("b", "failed", "", reason="b.svs: expected a slide, found nothing")
    assert warning_lines([done("a", reason="7 cells, 20 are needed"), failed]) == [
        "1 of 2 slides (a): 7 cells, 20 are needed"
    ]


def test_a_limit_is_stated():
    said = [done("a", *(f"kind {chr(97 + index)}" for index in range(15)))]
    lines = warning_lines(said)
    assert len(lines) == 13
    assert lines[-1] == "and 3 further kinds: see the column warnings"


def test_nothing_to_say():
    assert warning_lines([done("a")]) == []
