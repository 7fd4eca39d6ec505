"""`inkdot review next` on what `inkdot predict --embeddings` wrote."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from inkdot.review.results.read_results import read_slide_results
from inkdot.stages import predict
from inkdot.stages.review import next_regions as review_next
from inkdot.storage.embeddings.slide_embeddings import read_embeddings, write_embeddings
from inkdot.storage.layout import RunLayout
from inkdot.storage.tables.scores import read_scores


@pytest.fixture(scope="module", params=["clusters", "grid"])
def results(
    request: pytest.FixtureRequest,
    untrained_model: Callable[..., Path],
    dotted_slide: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> RunLayout:
    """Two slides scored by an untrained network, with embeddings."""
    root = tmp_path_factory.mktemp(request.param)
    model = untrained_model(root / "model", mode=request.param, adequacy={"min_nuclei": 0})
    (root / "slides").mkdir()
    for seed in (0, 1):
        dotted_slide(root / "slides" / f"s{seed}.tif", seed=seed)
    assert (
        predict.run([root / "slides"], model, root / "results", predict.PredictSettings(embeddings=True)) == 0
    )
    return RunLayout(root / "results")


def listed(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def embeddings_by_region(results: RunLayout) -> dict[tuple[str, str], np.ndarray]:
    """Of every region that may be asked about, that of its best tile; each column with mean 0 and deviation 1."""
    found: dict[tuple[str, str], np.ndarray] = {}
    for slide_id in ("s0", "s1"):
        values = read_embeddings(results, slide_id).values
        flags = read_scores(results.scores(slide_id)).flag_scores
        for region in read_slide_results(results, slide_id, slide_id).ranking(2000, 0.75).regions:
            best = max(region.rows, key=lambda row: flags[row])
            found[slide_id, region.wkt] = np.asarray(values[best], np.float64)
    table = np.stack(list(found.values()))
    spread = table.std(axis=0)
    table = (table - table.mean(axis=0)) / np.where(spread > 0, spread, np.inf)
    return dict(zip(found, table, strict=True))


def test_embeddings_are_the_features_where_results_have_them(
    results: RunLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "next.csv"
    review_next.run(results.root, out, count=6)
    known = embeddings_by_region(results)
    assert f"selected from {len(known)} by embeddings" in capsys.readouterr().err
    rows = listed(out)
    assert len(rows) == 6
    chosen = [known[row["slide_id"], row["geometry"]] for row in rows]
    for index in range(1, 6):
        nearest = min(np.linalg.norm(chosen[index] - other) for other in chosen[:index])
        assert float(rows[index]["distance"]) == pytest.approx(nearest / np.sqrt(len(chosen[0])), abs=1e-3)


def test_embeddings_of_two_encoders_or_other_tiles_are_not_used(
    results: RunLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = read_embeddings(results, "s1")
    values, facts = np.array(kept.values), dict(kept.metadata)

    def features_with(change: dict[str, str]) -> str:
        write_embeddings(
            results, "s1", [values], coords=kept.coords, dims=values.shape[1], dtype="float16", row="tile",
            metadata=facts | change,
        )  # fmt: skip
        review_next.run(results.root, tmp_path / "next.csv", count=3)
        return capsys.readouterr().err

    assert "by scores and measurements" in features_with({"encoder_sha256": "0" * 64})
    assert "by scores and measurements" in features_with({"tiles_sha256": "0" * 64})
    # The heads of the model do not matter: the encoder's distances are the same.
    assert "by embeddings" in features_with({"model_sha256": "0" * 64})
