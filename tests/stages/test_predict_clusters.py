"""Scoring slides cut around clusters: one label per cluster, bound to its tiles, with the nuclei of the best measured."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from fixtures.predict_run import run

from inkdot.errors import StorageError
from inkdot.records import Mpp
from inkdot.review.results.read_results import read_slide_results
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.storage.layout import RunLayout
from inkdot.storage.ledger import read as read_ledger
from inkdot.storage.schemas import CLUSTERS_VERSION, SCORES_VERSION, TILES_VERSION
from inkdot.storage.tables.cluster_scores import read_cluster_scores
from inkdot.storage.tables.nuclei import read_nuclei
from inkdot.storage.tables.parquet_tables import read_table
from inkdot.storage.tables.predictions import read_predictions
from inkdot.storage.tables.scores import read_scores

MPP = 0.5
STAIN = np.array([0.651, 0.701, 0.290])


MakeModel = Callable[..., Path]


@pytest.fixture
def model(untrained_model: MakeModel) -> Callable[[Path, str, float], Path]:
    """Makes an untrained network of synthetic slides: what it says does not matter here.

    Without fields, so that the chain is one cluster of several tiles.
    """
    return lambda folder, mode, threshold: untrained_model(
        folder, mode=mode, threshold=threshold, synthetic=True, fields=False
    )


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    """Thirty small nuclei, three groups of large ones, and a chain that needs several tiles."""
    amount = np.zeros((700, 800), np.float32)
    small = [(x, y) for y in range(30, 300, 50) for x in range(30, 280, 50)]
    groups = [
        (x + dx, y + dy) for x, y in ((450, 60), (600, 200), (450, 350)) for dx in (0, 26) for dy in (0, 26)
    ]
    chain = [(60 + 22 * step, 600) for step in range(12)]
    for regions, diameter_um in ((small, 7.0), (groups, 13.0), (chain, 12.0)):
        for x, y in regions:
            cv2.circle(amount, (x, y), round(diameter_um / 2 / MPP), 1.0, -1)
    amount = cv2.GaussianBlur(amount, (0, 0), 0.6)
    noise = np.random.default_rng(0).normal(0.0, 1.5, (*amount.shape, 3))
    rgb = 243.0 * 10.0 ** (-amount[..., None] * STAIN) + noise
    path = tmp_path / "s.tif"
    pixels = np.clip(np.rint(rgb), 0, 255).astype(np.uint8)
    write_array_pyramid(path, pixels, mpp=Mpp.square(MPP), description=json.dumps({"synthetic": True}))
    return path


def digests(layout: RunLayout) -> dict[str, str]:
    paths = [
        layout.predictions_csv,
        *(layout.root / "clusters").glob("*"),
        *(layout.root / "cluster_scores").glob("*"),
        *(layout.root / "nuclei").glob("*"),
    ]
    return {
        str(path.relative_to(layout.root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths
    }


def test_every_cluster_is_scored_by_its_own_tiles_and_the_slide_by_its_highest(
    model, slide: Path, tmp_path: Path
) -> None:
    results = RunLayout(tmp_path / "results")
    assert run([slide], model(tmp_path / "model", "clusters", 0.0), results.root) == 0
    clusters, footer = read_table(results.clusters("s"), CLUSTERS_VERSION)
    scored, tiles = read_cluster_scores(results.cluster_scores("s")), read_scores(results.scores("s"))
    assert len(scored.table) == len(clusters)
    owners = np.array(tiles.table.column("cluster_id").to_pylist())
    for cluster in np.unique(owners):
        assert scored.flag_scores[cluster] == tiles.flag_scores[owners == cluster].max()
    several = [int(cluster) for cluster in np.unique(owners) if (owners == cluster).sum() > 1]
    assert several, "the chain is longer than a tile"
    (row,) = read_predictions(results.predictions_csv)
    assert float(row["score"]) == pytest.approx(np.nanmax(scored.flag_scores), abs=1e-4)
    assert int(row["clusters"]) == len(clusters)
    # The groups' nuclei were measured, and by the small ones.
    measured = [
        row for row in clusters.to_pylist() if (row["measured_nuclei"] or 0) >= 3 and row["nuclei"] == 4
    ]
    assert len(measured) == 3
    assert [row["diameter_ratio"] for row in measured] == pytest.approx([13 / 7] * 3, rel=0.08)
    outlines = read_nuclei(results.nuclei("s"), scored.clusters_sha256)
    assert outlines is not None
    for row in clusters.to_pylist():
        assert len(outlines[row["cluster_id"]].measured if row["measured_nuclei"] else ()) == (
            row["measured_nuclei"] or 0
        )
    assert footer["lymphocyte_reference"]["lymphocytes"] >= 20  # type: ignore[index]
    regions = read_slide_results(results, "s", "s").ranking(len(clusters), 0.75).regions
    assert sorted(region.cluster.cluster_id for region in regions if region.cluster) == sorted(
        np.unique(owners)
    )


def test_another_cell_finder_than_the_models_is_used_said_and_never_mixed(
    model, slide: Path, tmp_path: Path
) -> None:
    results, network = RunLayout(tmp_path / "results"), model(tmp_path / "model", "clusters", 0.5)
    assert run([slide], network, results.root) == 0
    own = digests(results)
    (row,) = read_predictions(results.predictions_csv)
    assert "cell finder" not in row["warnings"]
    assert run([slide], network, results.root, cell_finder="classical", retry_failed=True) == 0
    _, tiles = read_table(results.tiles("s"), TILES_VERSION)
    assert (tiles["cell_finder"], tiles["cell_finder_name"]) == (None, "classical")
    (row,) = read_predictions(results.predictions_csv)
    said = "cells were found by 'classical', in training by 'shipped': the threshold was not chosen on such clusters"
    assert said in row["warnings"].split(" | ")
    _, scores = read_table(results.scores("s"), SCORES_VERSION)
    assert scores["cell_finder_name"] == "classical"
    assert digests(results) != own
    assert run([slide], network, results.root, retry_failed=True) == 0
    assert digests(results) == own
    with pytest.raises(StorageError, match=r"no finder\.json; set .*`predict --cell-finder`"):
        run([slide], network, tmp_path / "other", cell_finder=str(tmp_path))
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_a_second_run_and_one_after_a_stop_give_the_same_bytes(model, slide: Path, tmp_path: Path) -> None:
    results, network = RunLayout(tmp_path / "results"), model(tmp_path / "model", "clusters", 0.5)
    assert run([slide], network, results.root) == 0
    before = digests(results)
    assert run([slide], network, results.root) == 0
    assert digests(results) == before
    assert [line.outcome for line in read_ledger(results.ledger) if line.stage == "clusters"] == [
        "done",
        "reused",
    ]
    for lost in (
        results.cluster_scores("s"),
        results.nuclei("s"),
    ):  # as if stopped between the tables, and an earlier version's
        lost.unlink()
        assert run([slide], network, results.root) == 0
        assert digests(results) == before


@pytest.mark.slow
def test_processes_and_threads_change_no_byte(model, slide: Path, tmp_path: Path) -> None:
    network = model(tmp_path / "model", "clusters", 0.5)
    alone, together = RunLayout(tmp_path / "one"), RunLayout(tmp_path / "two")
    (tmp_path / "slides").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "slides" / f"{name}.tif").write_bytes(slide.read_bytes())
    assert run([tmp_path / "slides"], network, alone.root, workers=1) == 0
    assert run([tmp_path / "slides"], network, together.root, workers=2) == 0
    assert digests(alone) == digests(together)


@pytest.mark.slow
def test_a_model_of_the_grid_leaves_no_clusters_behind(model, slide: Path, tmp_path: Path) -> None:
    results = RunLayout(tmp_path / "results")
    assert run([slide], model(tmp_path / "by clusters", "clusters", 0.5), results.root) == 0
    assert run([slide], model(tmp_path / "by grid", "grid", 0.5), results.root) == 0
    assert not results.clusters("s").exists()
    assert not results.cluster_scores("s").exists()
    assert not results.nuclei("s").exists()
    (row,) = read_predictions(results.predictions_csv)
    assert row["clusters"] == ""
