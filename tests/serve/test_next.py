"""`inkdot review next` on results, and its list on the server."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import entropy

from inkdot.errors import ManifestError
from inkdot.review.active_learning.query_list import read_query_list
from inkdot.stages.review import next_regions as review_next
from inkdot.storage.layout import RunLayout


def listed(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def test_the_most_uncertain_region_comes_first_and_the_list_is_reproducible(
    results: RunLayout, tmp_path: Path, truth: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "next.csv"
    review_next.run(results.root, out, count=4)
    rows = listed(out)
    assert [row["order"] for row in rows] == ["1", "2", "3", "4"]
    assert (rows[0]["slide_id"], rows[0]["score"], rows[0]["distance"]) == ("S2 clean", "0.4000", "")
    assert rows[0]["geometry"] == "POLYGON ((1200 800, 1400 800, 1400 1000, 1200 1000, 1200 800))"
    flags = np.array([0.95, 0.9, 0.2, 0.1, 0.3, 0.4])

    def where_frequent(share: float) -> np.ndarray:
        return flags * share / (flags * share + (1 - flags) * (1 - share))

    # The share that scores at that share have on average: Bayes' rule asks for it.
    malignant = where_frequent(brentq(lambda share: where_frequent(share).mean() - share, 0.05, 0.95))[-1]
    expected = entropy([malignant, 1 - malignant], base=2) + malignant * entropy([0.4, 0.6], base=2)
    assert float(rows[0]["entropy_bits"]) == pytest.approx(expected, abs=0.001)
    assert "selected from 6 by scores and measurements" in capsys.readouterr().err
    before = out.read_bytes()
    review_next.run(results.root, out, count=4)
    assert out.read_bytes() == before


def test_reviewed_regions_are_not_listed_again(
    serve: Callable[..., Any], results: RunLayout, tmp_path: Path
) -> None:
    served = serve()
    client = served.client(served.readers[0])
    slides: Any = served.shown.facts["slides"]
    clean = next(index for index, slide in enumerate(slides) if slide["id"] == "S2 clean")
    for key in served.regions(clean):
        served.verdict(client, key, {"malignancy": "benign"})
    served.verdict(client, served.regions(0)[0], {}, "a note alone is no verdict")
    out = tmp_path / "next.csv"
    review_next.run(results.root, out, count=10, reviewed=[results.reviews_sqlite])
    rows = listed(out)
    assert len(rows) == 4
    assert {row["slide_id"] for row in rows}.isdisjoint({"S2 clean"})
    assert all(row["distance"] for row in rows)  # from what was reviewed


def test_the_server_shows_the_list_in_its_order(
    serve: Callable[..., Any], results: RunLayout, tmp_path: Path
) -> None:
    out = tmp_path / "next.csv"
    review_next.run(results.root, out, count=3)
    served = serve(query_list=out)
    shown: Any = served.shown.facts["slides"]
    cards = [served.cards(index) for index in range(len(shown))]
    found = [(slide["id"], card["polygon"]) for slide, own in zip(shown, cards, strict=True) for card in own]
    assert sorted(found) == sorted(read_query_list(out))
    for slide, own in zip(shown, cards, strict=True):
        listed_there = [region for name, region in read_query_list(out) if name == slide["id"]]
        assert [card["polygon"] for card in own] == listed_there
        assert [card["rank"] for card in own] == list(range(1, len(listed_there) + 1))
    client = served.client(served.readers[0])
    assert served.verdict(client, served.regions(0)[0], {"malignancy": "unsure"}).status_code == 200


def test_another_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "next.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ManifestError, match="no column 'slide_id'"):
        read_query_list(path)
    path.write_text("slide_id,geometry,schema\nx,y,inkdot.questions/9\n", encoding="utf-8")
    with pytest.raises(ManifestError, match=r"found 'inkdot\.questions/9'"):
        read_query_list(path)
