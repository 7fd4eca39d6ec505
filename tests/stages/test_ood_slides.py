"""Slides that are unlike those of training get a warning with every output; a fresh one of the same kind does not."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from inkdot.config import config_from_mapping
from inkdot.errors import StorageError
from inkdot.model.predictor import Predictor
from inkdot.pipeline.scoring.unlike_training import scale_warnings
from inkdot.records import Mpp
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.stages import predict, train
from inkdot.storage.layout import RunLayout
from inkdot.storage.models.model_files import read_model_file
from inkdot.storage.tables.cluster_scores import read_cluster_scores
from inkdot.storage.tables.scores import read_scores

SLIDES = 24
WARNING = "out of distribution (OOD): expected a median OOD distance"


def painted(seed: int) -> np.ndarray:
    """192 µm of glass with twenty-five cells; stain and light differ a little from slide to slide. Odd ones are malignant."""
    generator = np.random.default_rng(seed)
    rgb = np.full((384, 384, 3), 240.0) + generator.normal(0, 2, 3)
    colour = np.array((150, 40, 70) if seed % 2 else (70, 90, 190)) + generator.normal(0, 8, 3)
    for cell in range(25):
        x, y = (int(76 * k + 40 + generator.integers(-12, 12)) for k in divmod(cell, 5))
        cv2.circle(rgb, (x, y), int(generator.integers(11, 17)), colour.tolist(), cv2.FILLED)
    rgb = cv2.GaussianBlur(rgb, (0, 0), 1.0) + generator.normal(0, 5, rgb.shape)
    return np.clip(rgb, 0, 255).astype(np.uint8)


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "fresh": lambda rgb: rgb,
    "fresh_too": lambda rgb: rgb,
    "other_lab_too": lambda rgb: np.clip(rgb[..., [1, 0, 2]] * [0.8, 0.75, 0.55], 0, 255).astype(np.uint8),
    "other_lab": lambda rgb: np.clip(rgb[..., [1, 0, 2]] * [0.8, 0.75, 0.55], 0, 255).astype(np.uint8),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("familiar")
    lines = ["slide_id,path,patient_id,stain,preparation,malignancy"]
    labels = ["slide_id,geometry,head,label,reader,source"]
    for index in range(SLIDES):
        write_array_pyramid(folder / f"s{index}.tif", painted(index), mpp=Mpp.square(0.5), description="")
        label = "malignant" if index % 2 else "benign"
        lines.append(f"s{index},s{index}.tif,p{index},pap,thinprep,{label}")
        region = '"POLYGON ((0 0, 384 0, 384 384, 0 384, 0 0))"'
        labels.append(f"s{index},{region},malignancy,{label},r,annotation")
    lines = [lines[0] + ",annotation", *(line + ",labels.csv" for line in lines[1:])]
    (folder / "slides.csv").write_text("\n".join(lines) + "\n")
    (folder / "labels.csv").write_text("\n".join(labels) + "\n")
    heads = [
        {"name": "malignancy", "classes": ["benign", "malignant"], "calls": {}, "flag_class": "malignant"}
    ]
    config = config_from_mapping(
        {
            "tiling": {
                "mode": "grid",
                "side_px": 32,
                "mpp": 1.0,
                "stride_px": 32,
                "min_foreground_fraction": 0.01,
                "adequacy": {"min_nuclei": 0},
                "artefacts": {
                    "largest_edge_um": 0.0
                },  # what is blurred would be dropped before the network sees it
            },
            "heads": heads,
            "model": {"backbone": "test_efficientnet"},
            "training": {"epochs": 4, "batch_size": 32, "learning_rate": 0.003, "accelerator": "cpu"},
        }
    )
    assert train.run(config, folder / "slides.csv", folder / "run") == 0
    return folder / "run" / "model"


@pytest.mark.slow
def test_the_warning_is_for_what_is_unlike_and_travels_everywhere(model: Path, tmp_path: Path) -> None:
    lines = ["slide_id,path,stain,preparation"]
    for index, (name, change) in enumerate(CHANGES.items()):
        rgb = change(painted(100 + index))
        write_array_pyramid(tmp_path / f"{name}.tif", rgb, mpp=Mpp.square(0.5), description="")
        lines.append(f"{name},{name}.tif,pap,thinprep")
    (tmp_path / "slides.csv").write_text("\n".join(lines) + "\n")
    out = RunLayout(tmp_path / "results")
    assert (
        predict.run([tmp_path / "slides.csv"], model, out.root, predict.PredictSettings(runtime="torch")) == 0
    )
    rows = {
        row["slide_id"]: row
        for row in csv.DictReader(out.predictions_csv.read_text(encoding="utf-8").splitlines())
    }
    said = {name: WARNING in row["warnings"] for name, row in rows.items()}
    assert said == {name: not name.startswith("fresh") for name in CHANGES}, rows
    withheld = {name: "out of distribution" in row["reason"] for name, row in rows.items()}
    assert withheld == said
    assert all(row["call"] == "indeterminate" for name, row in rows.items() if said[name])
    ood = read_model_file(model).ood
    assert ood is not None
    for name in rows:
        scores = read_scores(out.scores(name))
        distances = scores.table.column("ood_distance").to_numpy()
        assert (np.median(distances) > ood.limit) == said[name]
        assert any(WARNING in line for line in scores.warnings) == said[name]
        if out.cluster_scores(name).exists():
            assert (
                any(WARNING in w for w in read_cluster_scores(out.cluster_scores(name)).warnings)
                == said[name]
            )
    # The same again is known as done, warning or not.
    before = out.predictions_csv.read_bytes()
    assert (
        predict.run([tmp_path / "slides.csv"], model, out.root, predict.PredictSettings(runtime="torch")) == 0
    )
    assert out.predictions_csv.read_bytes() == before


@pytest.mark.slow
def test_a_model_with_another_ood_reference_is_refused(model: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn"
    shutil.copytree(model, torn)
    (torn / "reference.safetensors").write_bytes(b"other")
    with pytest.raises(StorageError, match=r"OOD reference that model\.json names, found others"):
        Predictor(torn)
    (torn / "reference.safetensors").unlink()
    with pytest.raises(StorageError, match="found none"):
        Predictor(torn)
    # One that says nothing of it, such as those made before, judges as ever and warns of nothing.
    description = json.loads((torn / "model.json").read_text(encoding="utf-8"))
    del description["ood"]
    (torn / "model.json").write_text(json.dumps(description), encoding="utf-8")
    assert Predictor(torn).ood_distance is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mpp", "warned"), [((0.5, 0.5), False), ((0.42, 0.42), False), ((0.25, 0.25), True), ((0.5, 0.61), True)]
)
def test_a_scale_of_another_magnification_is_said(
    model: Path, mpp: tuple[float, float], warned: bool
) -> None:
    said = scale_warnings(mpp, read_model_file(model))
    assert [
        line.startswith(f"mpp {mpp[0]:g} is outside the trained range of 0.5 to 0.5") for line in said
    ] == [True] * warned
