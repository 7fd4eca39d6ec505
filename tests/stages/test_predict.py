"""Scoring slides: nothing is lost, nothing is done twice, and a synthetic model keeps to synthetic slides."""

import csv
import json
import shutil
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from fixtures.predict_run import run

from inkdot import __version__
from inkdot.config import Config, config_from_mapping
from inkdot.errors import ManifestError, StorageError, SyntheticModelError, UserError
from inkdot.model.model_folder import load_model, save_model
from inkdot.model.network import NetworkSpec, TileNetwork
from inkdot.model.predictor import Predictor
from inkdot.pipeline.scoring.score_slide import ScoringModel, score_slide
from inkdot.records import Mpp, SlideEntry
from inkdot.review.results.read_results import read_slide_results
from inkdot.slides import open_slide
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.storage.embeddings.slide_embeddings import read_embeddings
from inkdot.storage.hashing import file_sha256
from inkdot.storage.layout import RunLayout
from inkdot.storage.ledger import read as read_ledger
from inkdot.storage.models.model_files import ModelFile, model_sha256
from inkdot.storage.models.model_records import OperatingPoint, TrainedOn
from inkdot.storage.tables.predictions import read_predictions
from inkdot.storage.tables.scores import read_scores
from inkdot.tiling.tile_pixels import read_tile, read_tiles

SIDE = 64
SYNTHETIC = json.dumps({"synthetic": True})


@pytest.fixture(scope="module")
def config() -> Config:
    return config_from_mapping(
        {
            "tiling": {
                "mode": "grid",
                "side_px": SIDE,
                "mpp": 0.5,
                "stride_px": SIDE,
                "adequacy": {"min_nuclei": 0},
            },
            "model": {"backbone": "test_resnet"},
        }
    )


def make_model(
    folder: Path, config: Config, *, synthetic: bool, threshold: float = 0.5, seed: int = 0
) -> Path:
    """An untrained network with a real description: what it says does not matter here."""
    torch.manual_seed(seed)
    network = TileNetwork(NetworkSpec("test_resnet", 0.0, config.head_records, SIDE))
    description = ModelFile(
        inkdot=__version__,
        backbone="test_resnet",
        dropout=0.0,
        preparation="thinprep",
        heads=config.heads,
        tiling=config.tiling,
        normalisation_mean=list(network.spec.normalisation_mean),
        normalisation_std=list(network.spec.normalisation_std),
        temperatures={"malignancy": 1.5, "morphology": 1.0},
        operating_points={
            "malignancy": OperatingPoint(
                class_name="malignant",
                threshold=threshold,
                target_sensitivity=0.95,
                sensitivity=None,
                specificity=None,
            )
        },
        validation_metrics={},
        trained_on=TrainedOn(
            synthetic=synthetic,
            slides=2,
            patients=2,
            tiles_per_class={},
            preparations=["thinprep"],
            stains=["pap"],
            sites=1,
            scanners=1,
        ),
        config_sha256="0" * 64,
        weights_sha256="",
    )
    save_model(folder, network, description)
    return folder


def make_slide(
    path: Path, seed: int, *, description: str = SYNTHETIC, cells: int = 40, mpp: float | None = 0.5
) -> Path:
    generator = np.random.default_rng(seed)
    image = np.full((600, 700, 3), 245, np.uint8)
    for _ in range(cells):
        centre = tuple(int(value) for value in generator.integers(20, 580, 2))
        cv2.circle(
            image,
            centre,
            int(generator.integers(6, 14)),
            tuple(int(v) for v in generator.integers(30, 150, 3)),
            -1,
        )
    path.parent.mkdir(exist_ok=True)
    write_array_pyramid(path, image, mpp=Mpp.square(mpp) if mpp else None, description=description)
    return path


@pytest.fixture
def model(tmp_path: Path, config: Config) -> Path:
    return make_model(tmp_path / "model", config, synthetic=True)


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    for seed in range(3):
        make_slide(tmp_path / "slides" / f"s{seed}.tif", seed)
    return tmp_path / "slides"


def data_files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in {"ledger.jsonl", ".inkdot.lock"}
    }


def test_every_slide_gets_its_line_and_its_scores(
    slides: Path, model: Path, config: Config, tmp_path: Path
) -> None:
    out = tmp_path / "results"
    assert run([slides], model, out, stain="pap", preparation="thinprep") == 0
    rows = read_predictions(out / "predictions.csv")
    assert [row["slide_id"] for row in rows] == ["s0", "s1", "s2"]
    for row in rows:
        scores = read_scores(RunLayout(out).scores(row["slide_id"]))
        best = int(np.argmax(scores.flag_scores))
        assert float(row["score"]) == pytest.approx(float(scores.flag_scores.max()), abs=1e-4)
        assert int(row["top_x_l0_px"]) == scores.table.column("x_l0_px")[best].as_py()
        assert int(row["flagged_tiles"]) == int((scores.flag_scores >= 0.5).sum())
        assert row["call"] == ("flagged" if scores.flag_scores.max() >= 0.5 else "nothing flagged")
        assert row["warnings"] == "synthetic model on a synthetic slide"


def test_scores_are_the_networks_on_the_tiles_pixels(
    slides: Path, model: Path, config: Config, tmp_path: Path
) -> None:
    """Against the network called by hand, tile by tile: no mix-up of rows, heads or temperatures."""
    out = tmp_path / "results"
    run([slides / "s0.tif"], model, out)
    scores = read_scores(RunLayout(out).scores("s0"))
    _, network = load_model(model)
    slide = open_slide(SlideEntry("s0", slides / "s0.tif"))
    for row in (0, len(scores.flag_scores) // 2, len(scores.flag_scores) - 1):
        x, y = (scores.table.column(name)[row].as_py() for name in ("x_l0_px", "y_l0_px"))
        tile = torch.from_numpy(read_tile(slide, config.tiling.spec, x, y).copy()).permute(2, 0, 1)[None]
        with torch.inference_mode():
            logits = network(tile)[0]
        expected = torch.softmax(logits[:2] / 1.5, 0)[1]
        assert scores.flag_scores[row] == pytest.approx(float(expected), abs=2e-5)
    slide.close()


def test_one_bad_slide_stops_no_other(slides: Path, model: Path, tmp_path: Path) -> None:
    whole = (slides / "s1.tif").read_bytes()
    (slides / "truncated.tif").write_bytes(whole[: len(whole) // 3])
    (slides / "empty.tif").write_bytes(b"")
    (slides / "words.svs").write_text("no slide")
    make_slide(slides / "blank.tif", 9, cells=0)
    make_slide(slides / "unscaled.tif", 9, mpp=None)
    out = tmp_path / "results"
    assert run([slides], model, out) == 1
    rows = {row["slide_id"]: row for row in read_predictions(out / "predictions.csv")}
    assert {name for name, row in rows.items() if row["outcome"] == "done"} == {"s0", "s1", "s2", "blank"}
    assert set(rows) == {"s0", "s1", "s2", "truncated", "empty", "words", "blank", "unscaled"}
    assert (rows["blank"]["call"], rows["blank"]["tiles"]) == ("inadequate", "0")
    assert rows["blank"]["reason"] == "no cells were found"
    assert rows["words"]["call"] == ""
    assert "--mpp" in rows["unscaled"]["reason"]
    assert all(row["reason"] for row in rows.values() if row["outcome"] == "failed")
    failed = {line.slide_id for line in read_ledger(out / "ledger.jsonl") if line.outcome == "failed"}
    assert failed == {"truncated", "empty", "words", "unscaled"}


def test_a_second_run_does_nothing_again(slides: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    run([slides], model, out)
    before = data_files(out)
    stamps = {path: path.stat().st_mtime_ns for path in (out / "scores").iterdir()}
    assert run([slides], model, out) == 0
    assert {path: path.stat().st_mtime_ns for path in (out / "scores").iterdir()} == stamps
    assert data_files(out) == before
    lines = [line for line in read_ledger(out / "ledger.jsonl") if line.stage == "predict"]
    assert [line.outcome for line in lines] == ["done"] * 3 + ["reused"] * 3


@pytest.mark.slow
def test_the_same_input_gives_the_same_bytes(slides: Path, model: Path, tmp_path: Path) -> None:
    run([slides], model, tmp_path / "one", workers=1)
    run([slides], model, tmp_path / "two", workers=2)
    one, two = data_files(tmp_path / "one"), data_files(tmp_path / "two")
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []


@pytest.mark.slow
@pytest.mark.parametrize("change", ["model", "slide", "damage"])
def test_what_no_longer_fits_is_scored_again(
    change: str, slides: Path, model: Path, config: Config, tmp_path: Path
) -> None:
    out = tmp_path / "results"
    run([slides], model, out)
    scores = RunLayout(out).scores("s0")
    before = scores.read_bytes()
    if change == "model":
        shutil.rmtree(model)
        make_model(model, config, synthetic=True, seed=1)
    elif change == "slide":
        make_slide(slides / "s0.tif", 77)
    else:
        scores.write_bytes(before[:100])
    assert run([slides], model, out) == 0
    outcomes = {
        line.slide_id: line.outcome for line in read_ledger(out / "ledger.jsonl") if line.stage == "predict"
    }
    others = "done" if change == "model" else "reused"
    assert outcomes == {"s0": "done", "s1": others, "s2": others}
    assert (scores.read_bytes() == before) == (change == "damage")


def test_a_synthetic_model_refuses_a_real_slide(slides: Path, model: Path, tmp_path: Path) -> None:
    make_slide(slides / "scanned.tif", 5, description="")
    out = tmp_path / "results"
    with pytest.raises(SyntheticModelError, match=r"scanned.*--allow-synthetic-model"):
        run([slides], model, out)
    assert not out.exists()


def test_allowed_it_says_so_in_every_output(slides: Path, model: Path, tmp_path: Path) -> None:
    make_slide(slides / "scanned.tif", 5, description="")
    out = tmp_path / "results"
    assert run([slides], model, out, allow_synthetic_model=True) == 0
    rows = {row["slide_id"]: row for row in read_predictions(out / "predictions.csv")}
    assert "synthetic specimens only" in rows["scanned"]["warnings"]
    scores = read_scores(RunLayout(out).scores("scanned"))
    assert scores.synthetic_model
    assert any("synthetic specimens only" in text for text in scores.warnings)


def test_stain_and_preparation_never_seen_are_said(slides: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    run([slides / "s0.tif"], model, out, stain="mgg")
    (row,) = read_predictions(out / "predictions.csv")
    assert "stain 'mgg' was never seen in training" in row["warnings"]
    assert "preparation not stated" in row["warnings"]


@pytest.mark.slow
def test_a_slide_of_an_unseen_stain_is_called_only_where_asked(
    slides: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "results"
    description = json.loads((model / "model.json").read_text(encoding="utf-8"))
    share = {"value": 0.98, "low": 0.9, "high": 1.0, "method": "by hand"}
    description["operating_points"]["malignancy"]["reliability"] = [
        {"low": 0.0, "high": 1.0, "regions": 50, "positive": share}
    ]
    (model / "model.json").write_text(json.dumps(description), encoding="utf-8")

    def called(**settings: bool) -> tuple[str, str]:
        assert run([slides / "s0.tif"], model, out, stain="mgg", **settings) == 0
        (row,) = read_predictions(out / "predictions.csv")
        assert "never seen in training" in row["warnings"]
        return row["call"], row["score"]

    withheld, kept = called(), called(keep_ood_calls=True)
    assert (withheld[0], kept[0]) in {("indeterminate", "flagged"), ("indeterminate", "nothing flagged")}
    assert withheld[1] == kept[1]  # the network did not run again, and the score is shown all the same
    assert called() == withheld
    # Finished slides are kept by a retry, but not with another rule for calls.
    assert called(keep_ood_calls=True, retry_failed=True) == kept
    assert called(retry_failed=True) == withheld
    # No card may show a share that was measured on other stains.
    assert read_slide_results(RunLayout(out), "s0", "s0").slide.facts.reliability == ()
    assert run([slides / "s0.tif"], model, out, stain="pap") == 0
    (row,) = read_predictions(out / "predictions.csv")
    assert row["call"] == kept[0]
    assert len(read_slide_results(RunLayout(out), "s0", "s0").slide.facts.reliability) == 1


def test_names_are_text_not_formulas(slides: Path, model: Path, tmp_path: Path) -> None:
    table = tmp_path / "slides.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([["slide_id", "path"], ["=cmd()", slides / "s0.tif"]])
    run([table], model, tmp_path / "results")
    assert "\n'=cmd()," in (tmp_path / "results" / "predictions.csv").read_text()


def test_two_slides_of_one_name_are_refused(slides: Path, model: Path, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="s0"):
        run([slides, slides / "s0.tif"], model, tmp_path / "results")


def test_weights_that_are_not_the_models_are_refused(slides: Path, model: Path, tmp_path: Path) -> None:
    weights = model / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    with pytest.raises(StorageError, match="weights"):
        run([slides], model, tmp_path / "results")


def test_a_folder_in_use_is_refused(slides: Path, model: Path, tmp_path: Path) -> None:
    from inkdot.storage.locking import locked

    out = tmp_path / "results"
    with locked(RunLayout(out).lock), pytest.raises(UserError, match="another inkdot"):
        run([slides], model, out)


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(
    slides: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (slides / "empty.tif").write_bytes(b"")
    out = tmp_path / "results"
    assert run([slides], model, out, dry_run=True) == 1
    assert not out.exists()
    shown = capsys.readouterr().out
    assert shown.count("tile and score") == 3
    assert "4 slides, 1 would fail" in shown
    run([slides], model, out)
    capsys.readouterr()
    before = data_files(out)
    make_slide(slides / "s0.tif", 77)
    run([slides], model, out, dry_run=True)
    shown = capsys.readouterr().out
    assert shown.count("nothing: scores are current") == 2
    assert shown.count("tile and score") == 1
    assert data_files(out) == before


def test_a_slide_with_too_few_cells_is_inadequate_never_negative(config: Config, tmp_path: Path) -> None:
    few, many = tmp_path / "slides" / "few.tif", tmp_path / "slides" / "many.tif"
    rng = np.random.default_rng(0)
    for path, cells in ((few, 5), (many, 60)):
        image = np.full((600, 700, 3), 245, np.uint8)
        for _ in range(cells):
            centre = tuple(int(value) for value in rng.integers(20, 580, 2))
            cv2.circle(image, centre, 9, (110, 80, 160), -1)
        path.parent.mkdir(exist_ok=True)
        write_array_pyramid(path, image, mpp=Mpp.square(0.5), description=SYNTHETIC)
    adequacy = config.tiling.adequacy.model_copy(update={"min_nuclei": 20})
    strict = config.model_copy(update={"tiling": config.tiling.model_copy(update={"adequacy": adequacy})})
    out = tmp_path / "results"
    for threshold, otherwise in ((0.999, "nothing flagged"), (0.001, "flagged")):
        model = make_model(tmp_path / f"model{threshold}", strict, synthetic=True, threshold=threshold)
        assert run([few.parent], model, out) == 0
        rows = {row["slide_id"]: row for row in read_predictions(out / "predictions.csv")}
        assert rows["few"]["call"] == "inadequate"
        assert "nucleated cells in focus, 20 are needed" in rows["few"]["reason"]
        assert ("flagged all the same" in rows["few"]["reason"]) == (otherwise == "flagged")
        assert int(rows["few"]["nuclei_in_focus"]) == 5
        assert rows["many"]["call"] == otherwise
        assert rows["many"]["reason"] == ""
    with (out / "assessment.csv").open(encoding="utf-8", newline="") as file:
        assessed = {row["slide_id"]: row for row in csv.DictReader(file)}
    assert (assessed["few"]["call"], assessed["many"]["call"]) == ("inadequate", "adequate")
    assert float(assessed["many"]["foreground_mm2"]) > float(assessed["few"]["foreground_mm2"]) > 0.0


@pytest.mark.slow
def test_embeddings_are_the_networks_features_row_by_row(
    slides: Path, model: Path, config: Config, tmp_path: Path
) -> None:
    plain, out = RunLayout(tmp_path / "plain"), RunLayout(tmp_path / "results")
    run([slides / "s0.tif"], model, plain.root)
    assert not (plain.root / "embeddings").exists()
    run([slides / "s0.tif"], model, out.root, embeddings=True)
    assert out.scores("s0").read_bytes() == plain.scores("s0").read_bytes()
    found, scores = read_embeddings(out, "s0"), read_scores(out.scores("s0"))
    assert (found.row, len(found.values)) == ("tile", len(scores.flag_scores))
    assert found.metadata["tiles_sha256"] == file_sha256(out.tiles("s0"))
    _, network = load_model(model)
    regions = [scores.table.column(name).to_pylist() for name in ("x_l0_px", "y_l0_px")]
    with closing(open_slide(SlideEntry("s0", slides / "s0.tif"))) as slide, torch.inference_mode():
        tiles = np.stack(list(read_tiles(slide, config.tiling.spec, *regions)))
        expected = network.features(torch.from_numpy(tiles).permute(0, 3, 1, 2)).numpy()
    np.testing.assert_allclose(found.values, expected, rtol=1e-3, atol=1e-4)
    assert np.abs(expected - np.roll(expected, 1, axis=0)).max() > 1e-2  # else rows could be mixed up unseen


@pytest.mark.slow
def test_embeddings_are_made_once_and_again_when_they_are_damaged_or_of_others(
    slides: Path, model: Path, config: Config, tmp_path: Path
) -> None:
    out = RunLayout(tmp_path / "results")

    def outcome(folder: Path = model, *, retry_failed: bool = False) -> str:
        options = {"embeddings": True, "retry_failed": retry_failed}
        assert run([slides / "s0.tif"], folder, out.root, **options) == 0
        return [line.outcome for line in read_ledger(out.ledger) if line.stage == "predict"][-1]

    run([slides / "s0.tif"], model, out.root)
    assert outcome(retry_failed=True) == "done"
    before = out.embeddings("s0").read_bytes()
    assert outcome() == "reused"
    out.embeddings("s0").write_bytes(before[:-2])
    assert outcome() == "done"
    assert out.embeddings("s0").read_bytes() == before
    assert outcome(make_model(tmp_path / "other", config, synthetic=True, seed=1)) == "done"
    assert out.embeddings("s0").read_bytes() != before


def test_each_tiles_distance_is_what_the_model_makes_of_its_embedding(
    slides: Path, model: Path, tmp_path: Path
) -> None:
    out = RunLayout(tmp_path / "results")
    run([slides / "s0.tif"], model, out.root, embeddings=True)
    assert read_scores(out.scores("s0")).table.column("ood_distance").null_count > 0
    predictor = Predictor(model)
    predictor.ood_distance = lambda features: features[:, 0].astype(np.float32)
    out.scores("s0").unlink()
    entry = SlideEntry("s0", slides / "s0.tif")
    assert (
        score_slide(entry, out, ScoringModel(predictor, model_sha256(model), allow_synthetic_model=False))
        == "done"
    )
    found = read_scores(out.scores("s0")).table.column("ood_distance").to_numpy()
    np.testing.assert_allclose(found, read_embeddings(out, "s0").values[:, 0], rtol=1e-3, atol=1e-4)
