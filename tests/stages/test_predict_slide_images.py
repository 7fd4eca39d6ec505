"""The images that `predict` draws of each slide: bound to its scores, drawn once, and never the price of a result."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fixtures.predict_run import run
from PIL import Image

from inkdot.review.slide_images.score_colours import shade_rows, shades
from inkdot.storage.layout import RunLayout
from inkdot.storage.ledger import read as read_ledger
from inkdot.storage.tables.predictions import read_predictions
from inkdot.storage.tables.scores import read_scores

SIDE = 64
GRID = {"mode": "grid", "synthetic": True, "adequacy": {"min_nuclei": 0}}
MakeFile = Callable[..., Path]


@pytest.fixture
def model(untrained_model: MakeFile, tmp_path: Path) -> Path:
    return untrained_model(tmp_path / "model", **GRID)


@pytest.fixture
def slides(dotted_slide: MakeFile, tmp_path: Path) -> Path:
    for seed in range(2):
        dotted_slide(tmp_path / "slides" / f"s{seed}.tif", seed, description=json.dumps({"synthetic": True}))
    return tmp_path / "slides"


def images(layout: RunLayout) -> dict[str, bytes]:
    paths = [*(layout.root / "overview").glob("*"), *(layout.root / "heatmap").glob("*")]
    return {path.relative_to(layout.root).as_posix(): path.read_bytes() for path in paths}


def outcomes(layout: RunLayout, stage: str) -> list[str]:
    return [line.outcome for line in read_ledger(layout.ledger) if line.stage == stage]


def test_every_slide_has_its_images_in_the_colours_of_its_scores(
    slides: Path, model: Path, tmp_path: Path
) -> None:
    results = RunLayout(tmp_path / "results")
    assert run([slides], model, results.root) == 0
    assert set(images(results)) == {
        "overview/s0.jpg", "overview/s1.jpg", "heatmap/s0.png", "heatmap/s1.png"
    }  # fmt: skip
    scores = read_scores(results.scores("s0"))
    x, y = (np.array(scores.table[name].to_pylist()) for name in ("x_l0_px", "y_l0_px"))
    colours = shades()[shade_rows(scores.flag_scores.astype(float), scores.flagged, 0.5)]
    drawn = np.array(Image.open(results.heat_map("s0")).convert("RGB"))
    overview = np.array(Image.open(results.overview("s0")))
    band = int(np.argmin((drawn[:, 500:690] == 255).all(axis=(1, 2))))  # SYNTHETIC stands above
    for px, py in zip(x + SIDE // 2, y + SIDE // 2, strict=True):
        here = np.flatnonzero((x <= px) & (px < x + SIDE) & (y <= py) & (py < y + SIDE))
        highest = here[np.argmax(scores.flag_scores[here])]
        assert drawn[band + py, px].tolist() == colours[highest].tolist()
    assert drawn.shape[1] == overview.shape[1] == 760


@pytest.mark.slow
def test_a_second_run_draws_nothing_and_a_lost_or_cut_image_comes_back(
    slides: Path, model: Path, tmp_path: Path
) -> None:
    results = RunLayout(tmp_path / "results")
    run([slides], model, results.root)
    before = images(results)
    stamp = results.overview("s1").stat().st_mtime_ns
    results.heat_map("s0").write_bytes(results.heat_map("s0").read_bytes()[:-500])
    assert run([slides], model, results.root) == 0
    assert images(results) == before
    assert results.overview("s1").stat().st_mtime_ns == stamp
    results.overview("s0").unlink()
    assert run([slides], model, results.root) == 0
    assert images(results) == before
    assert sorted(outcomes(results, "images")) == ["done"] * 4 + ["reused"] * 2


@pytest.mark.slow
def test_other_scores_are_other_images(
    slides: Path, model: Path, untrained_model: MakeFile, tmp_path: Path
) -> None:
    results = RunLayout(tmp_path / "results")
    run([slides], model, results.root)
    before = images(results)
    other = untrained_model(tmp_path / "other", seed=1, **GRID)
    assert run([slides], other, results.root, slide_images=False) == 0
    assert images(results) == {}  # no image may show scores that are no longer there
    assert run([slides], other, results.root) == 0
    after = images(results)
    assert set(after) == set(before)
    assert all(after[name] != before[name] for name in before)


@pytest.mark.slow
def test_without_images_none_are_drawn_and_those_that_fit_stay(
    slides: Path, model: Path, tmp_path: Path
) -> None:
    without = RunLayout(tmp_path / "without")
    assert run([slides], model, without.root, slide_images=False) == 0
    assert images(without) == {}
    assert outcomes(without, "images") == []
    assert run([slides], model, without.root, slide_images=True, retry_failed=True) == 0
    drawn = images(without)
    assert len(drawn) == 4
    assert run([slides], model, without.root, slide_images=False) == 0
    assert images(without) == drawn


@pytest.mark.slow
def test_a_image_that_cannot_be_drawn_costs_no_scores(slides: Path, model: Path, tmp_path: Path) -> None:
    results = RunLayout(tmp_path / "results")
    results.heat_map("s1").mkdir(parents=True)  # nothing can be renamed over a folder
    assert run([slides], model, results.root) == 1
    rows = {row["slide_id"]: row for row in read_predictions(results.predictions_csv)}
    assert {row["outcome"] for row in rows.values()} == {"done"}
    assert rows["s1"]["score"]
    assert outcomes(results, "images").count("failed") == 1
    results.heat_map("s1").rmdir()
    assert run([slides], model, results.root, retry_failed=True) == 0
    assert outcomes(results, "predict")[2:] == ["reused"]
    whole = RunLayout(tmp_path / "whole")
    run([slides], model, whole.root)
    assert images(results) == images(whole)
    assert results.predictions_csv.read_bytes() == whole.predictions_csv.read_bytes()


@pytest.mark.slow
def test_a_slide_that_fails_now_keeps_no_earlier_image(slides: Path, model: Path, tmp_path: Path) -> None:
    results = RunLayout(tmp_path / "results")
    run([slides], model, results.root)
    (slides / "s1.tif").write_bytes(b"no slide")
    assert run([slides], model, results.root) == 1
    assert set(images(results)) == {"overview/s0.jpg", "heatmap/s0.png"}


@pytest.mark.slow
def test_processes_change_no_byte(slides: Path, model: Path, tmp_path: Path) -> None:
    run([slides], model, tmp_path / "one", workers=1)
    run([slides], model, tmp_path / "two", workers=2)
    assert images(RunLayout(tmp_path / "one")) == images(RunLayout(tmp_path / "two"))


@pytest.mark.slow
def test_a_dry_run_says_what_would_be_drawn(
    slides: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = RunLayout(tmp_path / "results")
    run([slides], model, results.root)
    results.overview("s1").unlink()
    capsys.readouterr()
    assert run([slides], model, results.root, dry_run=True) == 0
    shown = capsys.readouterr().out
    assert "draw" in shown.split("s1")[1]
    assert "nothing: scores are current" in shown.split("s1")[0]
    assert not results.overview("s1").exists()
