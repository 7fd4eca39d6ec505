"""A page holds the list of slides; the cards of a slide are fetched when it is opened."""

import json
from collections.abc import Callable
from typing import Any

import pytest


def test_a_page_holds_the_keys_of_regions_only(shared_server: Any) -> None:
    client = shared_server.client(shared_server.readers[0])
    slides: Any = shared_server.shown.facts["slides"]
    cards = shared_server.cards()
    assert [card["key"] for card in cards] == slides[0]["region_keys"]
    assert len(cards) == 4
    for page in ("/", "/review"):
        text = client.get(page).text
        assert (cards[0]["key"] in text) == (page == "/review")
        assert cards[0]["polygon"] not in text
        assert cards[0]["tile"] not in text
    sent = client.get(f"/slides/{slides[0]['view']['slide']}/regions")
    assert sent.json() == cards
    assert sent.headers["content-type"] == "application/json"


def test_the_list_counts_flagged_regions(shared_server: Any) -> None:
    slides: Any = shared_server.shown.facts["slides"]
    flagged = [sum(card["flagged"] for card in shared_server.cards(index)) for index in range(len(slides))]
    assert [slide["flagged_regions"] for slide in slides] == flagged
    assert flagged[0] == 2


def test_a_blinded_review_holds_no_model_output(serve: Callable[..., Any]) -> None:
    served = serve(blinded_seed=7)
    client = served.client(served.readers[0])
    text = client.get(f"/slides/{next(iter(served.shown.slides))}/regions").text
    assert json.loads(text)
    for word in ("score", "flagged", "reliability", "calls", "cluster"):
        assert f'"{word}"' not in text
    assert "flagged_regions" not in client.get("/").text


def listed(text: str) -> list[Any]:
    """The slides of the page with the list, as its data block holds them."""
    block = text.partition('id="facts">')[2].partition("</script>")[0]
    return json.loads(block)["slides"]


def test_the_list_shows_a_reader_s_progress(served: Any) -> None:
    first, second = (served.client(reader) for reader in served.readers)
    keys = served.regions()
    served.verdict(first, keys[0], {"malignancy": "benign"})
    served.verdict(first, keys[1], {}, "a note alone is no verdict")
    slides = listed(first.get("/").text)
    assert [(slide["reviewed"], slide["regions"]) for slide in slides] == [(1, 4), (0, 0), (0, 0), (0, 2)]
    assert [slide["reviewed"] for slide in listed(second.get("/").text)] == [0, 0, 0, 0]
    assert slides[0]["thumbnail"].startswith("images/")


@pytest.mark.parametrize("key", ["x", "..%2f..", "0" * 24])
def test_regions_of_an_unknown_slide_are_not_found(shared_server: Any, key: str) -> None:
    assert shared_server.client(shared_server.readers[0]).get(f"/slides/{key}/regions").status_code == 404
