"""Settings and training in Python."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import inkdot
from inkdot.errors import ConfigError
from inkdot.storage.layout import RunLayout

pytestmark = pytest.mark.slow  # each compares with a run of the commands


def test_settings_change_by_name_and_others_stay(repository: Path) -> None:
    path = repository / "configs" / "demo.yaml"
    config = inkdot.load_config(path, training={"epochs": 3})
    assert config.training.epochs == 3
    assert config.model_copy(update={"training": None}) == inkdot.load_config(path).model_copy(
        update={"training": None}
    )
    assert config.training.max_tiles_per_slide == 100
    assert config.training.mil.use == "never"
    assert inkdot.load_config(preparation="section").tiling.mpp == 0.5
    with pytest.raises(ConfigError, match="did you mean 'epochs'"):
        inkdot.load_config(path, training={"epoch": 3})


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight patients with three images each, benign ones blue, malignant ones red."""
    folder, generator = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    lines = ["path,patient_id,malignancy,mpp"]
    for patient in range(8):
        label, colour = ("malignant", (200, 60, 60)) if patient % 2 else ("benign", (60, 60, 200))
        for number in range(3):
            rgb = np.clip(np.array(colour) + generator.normal(0, 25, (32, 32, 3)), 0, 255).astype(np.uint8)
            name = f"p{patient}_{number}.png"
            Image.fromarray(rgb).save(folder / name)
            lines.append(f"{name},p{patient},{label},0.5")
    path = folder / "images.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def settings() -> dict[str, object]:
    return {
        "tiling": {"side_px": 32, "mpp": 0.5, "stride_px": 32},
        "heads": [{"name": "malignancy", "classes": ["benign", "malignant"], "flag_class": "malignant"}],
        "model": {"backbone": "test_efficientnet"},
        "images": {"near_duplicates": "warn"},
        "training": {"epochs": 1, "batch_size": 8, "learning_rate": 0.003, "accelerator": "cpu"},
    }


def test_a_model_of_synthetic_images_says_so(images: Path, settings: dict[str, object]) -> None:
    """Named as synthetic slides are: it must not be taken for a model of real cells."""
    from inkdot.datasets.image_cache import listed_images
    from inkdot.datasets.image_tables import read_image_table

    config = inkdot.load_config(**settings)
    entries = read_image_table(images, config.head_records, config.images)
    made = [replace(entry, path=entry.path.with_name(f"synthetic_{entry.path.name}")) for entry in entries]
    for listed, synthetic in ((entries, False), (made, True)):
        hashes = {entry.name: "0" * 64 for entry in listed}
        assert {own.synthetic for own in listed_images(listed, config.head_records, hashes, {})} == {
            synthetic
        }


def test_training_on_images_gives_a_model_with_metrics(
    images: Path, settings: dict[str, object], tmp_path: Path
) -> None:
    config = inkdot.load_config(**settings)
    run = inkdot.train_images(images, config, tmp_path / "python")
    assert run.complete
    history = run.history()
    with RunLayout(run.folder).metrics_csv.open(encoding="utf-8", newline="") as file:
        written = list(csv.DictReader(file))
    assert list(history) == list(written[0])
    assert history["train_loss"].tolist() == [float(row["train_loss"]) for row in written]
    assert history["train_loss"].dtype == float
    assert len(run.split()) == 24
    metrics = run.model.metrics()
    assert (metrics["low"] <= metrics["high"]).all()
    tiles = np.stack([np.asarray(Image.open(images.parent / f"p{patient}_0.png")) for patient in range(8)])
    found = run.model.predict_tiles(tiles)
    assert list(found)[:2] == ["p.malignancy.benign", "p.malignancy.malignant"]
    assert len(found) == 8
