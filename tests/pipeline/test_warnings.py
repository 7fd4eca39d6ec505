"""What a batch says of its slides before it ends."""

from inkdot.pipeline.warnings import warning_lines
from inkdot.storage.tables.predictions import Prediction


def done(slide_id: str, *warnings: str, reason: str = "") -> Prediction:
    return Prediction(slide_id, "done", "flagged", warnings=" | ".join(warnings), reason=reason)


def test_warnings_are_counted_over_slides_the_commonest_first():
    said = [done("a", "rare"), done("b", "common"), done("c", "common"), done("d")]
    assert warning_lines(said) == ["2 of 4 slides: common", "1 of 4 slides: rare"]


def test_those_that_differ_in_their_numbers_only_are_one_kind():
    said = [
        done(f"s{count}", f"lymphocyte reference unavailable: {count} lymphocytes, 20 needed")
        for count in (14, 3)
    ]
    assert warning_lines(said) == [
        "2 of 2 slides, such as s14: lymphocyte reference unavailable: 14 lymphocytes, 20 needed"
    ]


def test_why_a_slide_is_inadequate_is_said_and_why_one_failed_is_not_said_twice():
    failed = Prediction("b", "failed", "", reason="b.svs: expected a slide, found nothing")
    assert warning_lines([done("a", reason="7 cells, 20 are needed"), failed]) == [
        "1 of 2 slides: 7 cells, 20 are needed"
    ]


def test_a_limit_is_stated():
    said = [done("a", *(f"kind {chr(97 + index)}" for index in range(15)))]
    lines = warning_lines(said)
    assert len(lines) == 13
    assert lines[-1] == "and 3 further kinds: see the column warnings"


def test_nothing_to_say():
    assert warning_lines([done("a")]) == []
