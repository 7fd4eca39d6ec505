"""`inkdot predict --embeddings-from`: the scores of pixels, without reading the tiles again."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from fixtures.predict_run import run

from inkdot.errors import UserError
from inkdot.model.model_folder import load_model, save_model
from inkdot.pipeline.scoring import infer_tiles
from inkdot.stages import embed
from inkdot.storage.layout import RunLayout
from inkdot.storage.ledger import read as read_ledger
from inkdot.storage.tables.predictions import read_predictions
from inkdot.storage.tables.scores import read_scores


@dataclass(frozen=True)
class Embedded:
    """Slides, a model, and a run folder with embeddings by the model's encoder."""

    slides: Path
    model: Path
    run: Path


@pytest.fixture(scope="module")
def embedded(
    untrained_model: Callable[..., Path],
    dotted_slide: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Embedded:
    root = tmp_path_factory.mktemp("embedded")
    model = untrained_model(root / "model", mode="clusters", adequacy={"min_nuclei": 0})
    for seed in (0, 1):
        dotted_slide(root / "slides" / f"s{seed}.tif", seed=seed)
    settings = embed.EmbedSettings(model=model, runtime="torch")
    assert embed.run(root / "slides", root / "run", settings) == 0
    return Embedded(root / "slides", model, root / "run")


def scores_of(layout: RunLayout, slide_id: str) -> np.ndarray:
    table = read_scores(layout.scores(slide_id)).table
    return np.stack([table.column(name).to_numpy() for name in table.column_names if name.startswith("p.")])


def test_scores_equal_those_of_pixels_within_float16(
    embedded: Embedded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels, given = RunLayout(tmp_path / "pixels"), RunLayout(tmp_path / "given")
    assert run([embedded.slides], embedded.model, pixels.root, runtime="torch") == 0

    def no_pixels(*_: object, **__: object) -> None:
        raise AssertionError("tiles were read")

    monkeypatch.setattr(infer_tiles, "read_tiles", no_pixels)
    options = {"runtime": "torch", "embeddings_from": embedded.run}
    assert run([embedded.slides], embedded.model, given.root, **options) == 0
    for slide_id in ("s0", "s1"):
        expected, found = scores_of(pixels, slide_id), scores_of(given, slide_id)
        assert expected.std() > 1e-4  # else any row would do
        np.testing.assert_allclose(found, expected, atol=1e-3)
        assert given.tiles(slide_id).read_bytes() == embedded_tiles(embedded, slide_id)
    calls = [[row["call"] for row in read_predictions(at.predictions_csv)] for at in (pixels, given)]
    assert calls[0] == calls[1]
    outcomes = {line.stage: line.outcome for line in read_ledger(given.ledger)}
    assert outcomes["tile"] == "reused"  # its tables were copied
    assert run([embedded.slides], embedded.model, given.root, **options) == 0
    assert [line.outcome for line in read_ledger(given.ledger) if line.stage == "predict"][-1] == "reused"


def embedded_tiles(embedded: Embedded, slide_id: str) -> bytes:
    return RunLayout(embedded.run).tiles(slide_id).read_bytes()


def test_predicting_into_the_folder_of_the_embeddings_is_possible(embedded: Embedded) -> None:
    options = {"embeddings_from": embedded.run, "runtime": "torch", "slide_images": False}
    assert run([embedded.slides], embedded.model, embedded.run, **options) == 0
    assert RunLayout(embedded.run).scores("s0").exists()


@pytest.mark.parametrize("changed", ["encoder", "tiles", "slide", "missing"])
def test_what_does_not_belong_together_is_refused_by_name(
    embedded: Embedded,
    untrained_model: Callable[..., Path],
    dotted_slide: Callable[..., Path],
    tmp_path: Path,
    changed: str,
) -> None:
    model, slides = embedded.model, embedded.slides
    expected = {
        "encoder": r"s0\.h5: expected embeddings of the model's encoder test_resnet \(\w{12}\), found those of test_resnet",
        "tiles": r"s0\.h5: expected embeddings of the \d+ tiles that the model's settings place, found \d+ others",
        "slide": r"s0\.h5: expected embeddings of .*s0\.tif, found those of another slide file",
        "missing": r"s9\.h5: expected embeddings .*, found nothing there",
    }
    if changed == "encoder":
        description, network = load_model(model)
        with torch.no_grad():
            next(network.backbone.parameters()).add_(0.5)
        model = tmp_path / "other"
        save_model(model, network, description)
    elif changed == "tiles":
        model = untrained_model(tmp_path / "grid", mode="grid", adequacy={"min_nuclei": 0})
    else:
        name = "s0" if changed == "slide" else "s9"
        slides = dotted_slide(tmp_path / "slides" / f"{name}.tif", seed=7)
    out = RunLayout(tmp_path / "results")
    assert run([slides], model, out.root, runtime="torch", embeddings_from=embedded.run) == 1
    reasons = [row["reason"] for row in read_predictions(out.predictions_csv)]
    import re

    assert re.search(expected[changed], reasons[0]), reasons


def test_a_model_with_other_heads_on_the_same_encoder_predicts(embedded: Embedded, tmp_path: Path) -> None:
    description, network = load_model(embedded.model)
    with torch.no_grad():
        network.heads["malignancy"].bias.add_(torch.tensor([0.0, 3.0]))  # pyright: ignore
    save_model(tmp_path / "model", network, description)
    out = RunLayout(tmp_path / "results")
    options = {"embeddings_from": embedded.run, "runtime": "torch", "slide_images": False}
    assert run([embedded.slides], tmp_path / "model", out.root, **options) == 0
    assert scores_of(out, "s0").max() > 0.9


def test_options_that_contradict_are_refused(embedded: Embedded, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected either --embeddings or --embeddings-from"):
        run([embedded.slides], embedded.model, tmp_path, embeddings=True, embeddings_from=embedded.run)
    with pytest.raises(UserError, match="--embeddings-from: expected a folder that `inkdot embed` made"):
        run([embedded.slides], embedded.model, tmp_path, embeddings_from=embedded.slides)


def test_a_truncated_file_fails_its_slide_alone(embedded: Embedded, tmp_path: Path) -> None:
    damaged = RunLayout(tmp_path / "run")
    for slide_id in ("s0", "s1"):
        path = damaged.embeddings(slide_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            RunLayout(embedded.run).embeddings(slide_id).read_bytes()[: -50 if slide_id == "s0" else None]
        )
    out = RunLayout(tmp_path / "results")
    options = {"embeddings_from": damaged.root, "runtime": "torch", "slide_images": False}
    assert run([embedded.slides], embedded.model, out.root, **options) == 1
    outcomes = {row["slide_id"]: row["outcome"] for row in read_predictions(out.predictions_csv)}
    assert outcomes == {"s0": "failed", "s1": "done"}
    with h5py.File(damaged.embeddings("s1"), "r") as file:
        assert len(file["features"]) == len(read_scores(out.scores("s1")).flag_scores)
