"""Predictions made in Python are those of `inkdot predict`, and are refused where it refuses."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import inkdot
from inkdot.errors import MissingMppError, StorageError, SyntheticModelError, UserError
from inkdot.storage.layout import RunLayout
from inkdot.storage.tables.predictions import read_predictions

pytestmark = pytest.mark.slow  # each compares with a run of the commands


def line_of(results: RunLayout, slide_id: str) -> dict[str, str]:
    return next(row for row in read_predictions(results.predictions_csv) if row["slide_id"] == slide_id)


def test_the_call_is_that_of_the_command(
    prediction: inkdot.SlidePrediction, command_results: RunLayout
) -> None:
    line = line_of(command_results, prediction.slide_id)
    assert prediction.call == line["call"]
    assert prediction.score == float(line["score"])
    assert " | ".join(prediction.warnings) == line["warnings"]
    assert prediction.further_calls == line["further_calls"]
    assert {name: str(value) for name, value in _fields(prediction).items()} == line


def _fields(prediction: inkdot.SlidePrediction) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(prediction.record)


def test_the_tables_are_those_of_the_command(
    prediction: inkdot.SlidePrediction, command_results: RunLayout
) -> None:
    name = prediction.slide_id
    tiles = pq.read_table(command_results.scores(name), partitioning=None)
    assert prediction.tiles_arrow().to_pydict() == tiles.to_pydict()
    clusters = prediction.clusters_arrow()
    for path in (command_results.clusters(name), command_results.cluster_scores(name)):
        written = pq.read_table(path, partitioning=None)
        assert clusters.select(written.column_names).to_pydict() == written.to_pydict()


def test_tiles_read_by_position_get_the_scores_of_the_table(
    demo_model: inkdot.Model, prediction: inkdot.SlidePrediction, synthetic_slide: Path
) -> None:
    table = prediction.tiles().head(20)
    side_um = demo_model.tile_size_px * demo_model.mpp
    with inkdot.open_slide(synthetic_slide) as slide:
        mpp = slide.mpp
        assert mpp is not None
        tiles = np.stack(
            [
                slide.read_region(
                    row.x_l0_px * mpp[0], row.y_l0_px * mpp[1], side_um, side_um, mpp=demo_model.mpp
                )
                for row in table.itertuples()
            ]
        )
    found = demo_model.predict_tiles(tiles)
    scores = [f"p.{head.name}.{name}" for head in demo_model.heads for name in head.classes]
    assert list(found) == [*scores, "ood_distance"]
    for column in found:
        np.testing.assert_allclose(found[column], table[column], atol=2e-5)
    for head in demo_model.heads:
        total = found[[f"p.{head.name}.{name}" for name in head.classes]].sum(axis=1)
        np.testing.assert_allclose(total, 1.0, atol=1e-5)
    features = demo_model.features(tiles)
    assert features.shape[0] == 20
    assert features.dtype == np.float32


def test_an_empty_array_gives_an_empty_frame(demo_model: inkdot.Model) -> None:
    side = demo_model.tile_size_px
    none = np.zeros((0, side, side, 3), np.uint8)
    for nothing in (none, []):
        assert len(demo_model.predict_tiles(nothing)) == 0
    assert demo_model.features(none).shape[0] == 0


@pytest.mark.parametrize(
    ("shape", "kind"), [((2, 64, 64, 3), np.uint8), ((128, 128, 3), np.uint8), ((2, 128, 128, 3), np.float32)]
)
def test_other_arrays_are_refused(demo_model: inkdot.Model, shape: tuple[int, ...], kind: type) -> None:
    with pytest.raises(UserError, match=r"expected tiles as uint8 RGB \[n, 128, 128, 3\] at 0\.5 µm/px"):
        demo_model.predict_tiles(np.zeros(shape, kind))


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    """An image that nothing says is synthetic: dots as large as nuclei."""
    generator = np.random.default_rng(1)
    rgb = np.full((400, 400, 3), 240, np.uint8)
    y, x = np.mgrid[:400, :400]
    for cx, cy in generator.integers(40, 360, (8, 2)):
        rgb[(x - cx) ** 2 + (y - cy) ** 2 < 11**2] = (90, 50, 120)
    path = tmp_path / "photograph.png"
    Image.fromarray(rgb).save(path)
    return path


def test_a_synthetic_model_refuses_a_real_slide_unless_told(
    demo_model: inkdot.Model, photograph: Path
) -> None:
    with pytest.raises(SyntheticModelError, match="pass allow_synthetic_model=True"):
        demo_model.predict_slide(photograph, mpp=0.5)
    allowed = demo_model.predict_slide(photograph, mpp=0.5, allow_synthetic_model=True, stain="silver")
    warnings = " ".join(allowed.warnings)
    assert "synthetic specimens only" in warnings
    assert "stain 'silver'" in warnings
    assert allowed.call in ("flagged", "nothing flagged", "indeterminate", "inadequate")


def test_an_open_slide_keeps_what_was_stated_of_it(demo_model: inkdot.Model, photograph: Path) -> None:
    with inkdot.open_slide(photograph, mpp=0.5, stain="silver", preparation="smear") as slide:
        found = demo_model.predict_slide(slide, allow_synthetic_model=True)
    assert "stain 'silver'" in " ".join(found.warnings)
    assert "preparation 'smear'" in " ".join(found.warnings)


def test_a_slide_without_scale_is_refused_and_one_without_cells_inadequate(
    demo_model: inkdot.Model, photograph: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        MissingMppError, match=r"or with mpp=; no estimate from red cells: 0 found, 20 needed$"
    ):
        demo_model.predict_slide(photograph, allow_synthetic_model=True)
    empty = tmp_path / "empty.png"
    Image.new("RGB", (600, 600), (240, 240, 240)).save(empty)
    found = demo_model.predict_slide(empty, mpp=0.5, allow_synthetic_model=True)
    assert (found.call, found.reason) == ("inadequate", "no nucleated cell was found")
    assert len(found.clusters()) == 0


def test_the_temporary_tables_go_with_the_prediction(demo_model: inkdot.Model, photograph: Path) -> None:
    prediction = demo_model.predict_slide(photograph, mpp=0.5, allow_synthetic_model=True)
    folder = prediction._layout.root  # pyright: ignore[reportPrivateUsage]
    assert folder.is_dir()
    del prediction
    assert not folder.exists()


def test_the_model_describes_itself(demo_model: inkdot.Model) -> None:
    assert demo_model.synthetic
    assert (demo_model.tile_size_px, demo_model.mpp) == (128, 0.5)
    assert [head.name for head in demo_model.heads] == ["malignancy", "morphology"]
    assert "SYNTHETIC" in demo_model.card
    assert "SYNTHETIC" in repr(demo_model)
    metrics = demo_model.metrics()
    assert len(metrics) > 0
    assert (metrics["low"] <= metrics["value"]).all()
    assert (metrics["value"] <= metrics["high"]).all()
    assert metrics.index.str.startswith("selftest_").all()


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="expected a model folder"):
        inkdot.load_model(tmp_path)


def test_many_slides_make_a_results_folder(
    demo_model: inkdot.Model, photograph: Path, tmp_path: Path
) -> None:
    out = tmp_path / "results"
    results = demo_model.predict_slides([photograph], out, mpp=0.5, allow_synthetic_model=True, images=False)
    assert list(results) == ["photograph"]
    alone = demo_model.predict_slide(photograph, mpp=0.5, allow_synthetic_model=True)
    assert results["photograph"].record == alone.record
    with pytest.raises(SyntheticModelError, match="allow_synthetic_model=True"):
        demo_model.predict_slides(photograph, tmp_path / "refused", mpp=0.5)
