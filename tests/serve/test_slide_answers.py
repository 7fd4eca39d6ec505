"""Answers about slides, and regions marked as missed, through the server."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inkdot.config import SlideCategory
from inkdot.labels import DEFAULT_HEADS
from inkdot.review.verdicts.answers import Answers, read_answers
from inkdot.storage.layout import RunLayout

SQUARE = "POLYGON ((500 500, 700 500, 700 700, 500 700, 500 500))"
WORDS = [SlideCategory(name="NFM", means="negative"), SlideCategory(name="MAL", means="malignant")]


def slide_id(served: Any, index: int = 0) -> str:
    return served.shown.facts["slides"][index]["id"]


def key(name: str, *parts: str) -> str:
    """As JSON.stringify writes it."""
    return json.dumps([name, *parts], ensure_ascii=False, separators=(",", ":"))


def answers(served: Any, results: RunLayout) -> Answers:
    return read_answers([results.reviews_sqlite], DEFAULT_HEADS)


def test_an_answer_for_a_slide_is_stored_with_what_it_means(
    serve: Callable[..., Any], results: RunLayout, tmp_path: Path
) -> None:
    served = serve(categories=WORDS)
    assert served.shown.facts["slide_categories"] == [
        {"name": "NFM", "means": "negative"}, {"name": "MAL", "means": "malignant"},
    ]  # fmt: skip
    client = served.client(served.readers[0])
    name = slide_id(served)
    given = {"adequacy": "adequate", "category": "MAL"}
    assert served.verdict(client, key(name, "slide"), given, "thick").status_code == 200
    (slide,) = answers(served, results).slides
    assert (slide.slide_id, slide.reader, slide.adequate) == (name, "dr-a", True)
    assert (slide.category, slide.means, slide.note) == ("MAL", "malignant", "thick")
    # The reader's own copy, and the page that is opened again.
    table = tmp_path / "verdicts.csv"
    table.write_bytes(client.get("/verdicts.csv").content)
    assert read_answers([table], DEFAULT_HEADS) == answers(served, results)
    assert json.dumps("thick") in client.get("/review").text
    assert served.client(served.readers[1]).get("/review").text.count("thick") == 0
    assert '"answer":{"adequacy":"adequate","category":"MAL"}' in client.get("/").text


def test_a_missed_region_is_stored_and_taken_back(served: Any, results: RunLayout) -> None:
    client = served.client(served.readers[0])
    name = slide_id(served)
    where = key(name, "missed", SQUARE)
    assert served.verdict(client, where, {"missed": "malignant"}).status_code == 200
    (missed,) = answers(served, results).missed
    assert (missed.verdict, missed.geometry.bounds) == ("malignant", (500, 500, 700, 700))
    assert served.verdict(client, where, {}, undo=True).status_code == 200
    assert answers(served, results).missed == ()


@pytest.mark.parametrize(
    ("parts", "given", "message"),
    [
        (("slide",), {"category": "SFM"}, "a category that this review offers"),
        (("slide",), {"adequacy": "perhaps"}, "adequate or inadequate"),
        (
            ("slide",),
            {"adequacy": "inadequate", "category": "negative"},
            "an inadequate slide or a negative one",
        ),
        (("slide",), {"malignancy": "benign"}, "answers about adequacy and category"),
        (("missed", SQUARE), {"missed": "benign"}, "expected malignant, other, look_again"),
        (("missed", SQUARE), {"malignancy": "malignant"}, "expected malignant, other, look_again"),
        (("missed", "POLYGON ((9000 0, 9001 0, 9001 1, 9000 0))"), {}, "that lies on the slide"),
        (("missed", "POLYGON ((0 0, 10 10, 10 0, 0 10, 0 0))"), {}, "does not cross itself"),
        (("missed", "POINT (1 1)"), {}, "expected a POLYGON"),
        (("missed", "POLYGON ((0 0, 1 nan, 1 1, 0 0))"), {}, "expected a POLYGON"),
        (("missed", f"POLYGON (({'0 0, 5 5, 5 6, ' * 300}0 0))"), {}, "expected"),
        (("patient",), {}, "a region or slide of this review"),
        ((), {}, "a region or slide of this review"),
    ],
)
def test_a_wrong_answer_is_refused_with_a_message(
    served: Any, results: RunLayout, parts: tuple[str, ...], given: dict[str, str], message: str
) -> None:
    client = served.client(served.readers[0])
    response = served.verdict(client, key(slide_id(served), *parts), given)
    assert response.status_code == 422
    assert message in response.text
    assert served.store.latest() == []


def test_a_slide_of_another_name_and_a_key_that_is_no_key_are_refused(served: Any) -> None:
    client = served.client(served.readers[0])
    for wrong in (key("other", "slide"), '["', '["a"', "[" * 5000, key("S1", "missed")):
        assert served.verdict(client, wrong, {}).status_code == 422


def test_a_slide_that_cannot_be_viewed_can_be_answered_but_not_marked(
    served: Any, results: RunLayout
) -> None:
    client = served.client(served.readers[0])
    assert served.verdict(client, key("S3 broken", "slide"), {"adequacy": "inadequate"}).status_code == 200
    assert served.verdict(client, key("S3 broken", "missed", SQUARE), {"missed": "other"}).status_code == 422
    assert [slide.adequate for slide in answers(served, results).slides] == [False]


def test_a_category_of_earlier_words_stays_until_it_is_changed(
    serve: Callable[..., Any], results: RunLayout
) -> None:
    before = serve(categories=WORDS)
    client = before.client(before.readers[0])
    where = key(slide_id(before), "slide")
    before.verdict(client, where, {"category": "MAL"})
    after = serve()
    client = after.client(after.readers[0])
    assert after.verdict(client, where, {"category": "MAL"}, "noted").status_code == 200
    (slide,) = answers(after, results).slides
    assert (slide.category, slide.means, slide.note) == ("MAL", "malignant", "noted")
    assert after.verdict(client, where, {"category": "suspicious"}).status_code == 200
    assert after.verdict(client, where, {"category": "MAL"}).status_code == 422


def test_answers_about_slides_come_back_to_the_page_with_their_steps(served: Any) -> None:
    client = served.client(served.readers[0])
    where = key(slide_id(served), "slide")
    served.verdict(client, where, {"category": "atypical"})
    page = client.get("/review").text
    state = json.loads(page.split('id="facts">')[1].split("</script>")[0])["served"]
    assert state["entries"][where]["verdicts"]["category"]["verdict"] == "atypical"
    assert state["entries"][where]["verdicts"]["category"]["means"] == "atypical"
    assert state["steps"] == [{"key": where, "before": {"verdicts": {}, "note": None}}]


@pytest.mark.parametrize("blinded_seed", [None, 4])
def test_a_failed_slide_whose_file_opens_is_viewed_and_marked(
    serve: Callable[..., Any], results: RunLayout, slide_file: Path, blinded_seed: int | None
) -> None:
    (results.root.parent / "the folder of slides" / "broken.tif").hardlink_to(slide_file)
    served = serve(blinded_seed=blinded_seed)
    client = served.client(served.readers[0])
    facts = next(one for one in served.shown.facts["slides"] if one["id"] == "S3 broken")
    view = facts["view"]
    assert (view["width"], view["height"], view["layers"]) == (2400, 1800, ())
    assert client.get(facts["overview"]["src"]).status_code == 200
    assert client.get(f"/slides/{view['slide']}/tiles/{view['finest_level']}/1_1.jpg").status_code == 200
    assert client.get(f"/slides/{view['slide']}/regions").json() == []
    assert client.get(f"/slides/{view['slide']}/layers/scores").status_code == 404
    assert (
        served.verdict(client, key("S3 broken", "missed", SQUARE), {"missed": "malignant"}).status_code == 200
    )
    assert [one.slide_id for one in answers(served, results).missed] == ["S3 broken"]
    assert "S3 broken" in served.shown.problems
