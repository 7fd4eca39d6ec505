"""``model.json``: read back whole, and bound to the weights beside it."""

import json
import re
from pathlib import Path

import pytest

from inkdot.config import HeadConfig, TilingConfig
from inkdot.errors import StorageError
from inkdot.labels import DEFAULT_HEADS
from inkdot.storage.hashing import file_sha256
from inkdot.storage.layout import ModelLayout
from inkdot.storage.models.model_files import (
    Interval,
    ModelFile,
    OperatingPoint,
    TrainedOn,
    model_sha256,
    read_model_file,
    write_model_file,
)
from inkdot.storage.models.model_upgrade import upgraded

GOLDEN = Path(__file__).parent / "golden" / "model.json"
WEIGHTS = b"weights"
METRIC = Interval(value=0.95, low=0.9, high=1.0, method="Clopper-Pearson")


def description() -> ModelFile:
    return ModelFile(
        inkdot="0.1.0",
        backbone="mobilenetv3_small_100",
        dropout=0.2,
        preparation="thinprep",
        heads=[HeadConfig.from_head(head) for head in DEFAULT_HEADS],
        # As the golden file states it, so that a changed default changes nothing here.
        tiling=TilingConfig.model_validate(json.loads(GOLDEN.read_text(encoding="utf-8"))["tiling"]),
        normalisation_mean=[0.5, 0.25, 0.125],
        normalisation_std=[0.5, 0.5, 0.5],
        temperatures={"malignancy": 1.5, "morphology": 1.0},
        operating_points={
            "malignancy": OperatingPoint(
                class_name="malignant", threshold=0.375, target_sensitivity=0.95, sensitivity=METRIC, specificity=None
            )
        },
        validation_metrics={"selftest_auc_malignancy": METRIC},
        trained_on=TrainedOn(
            synthetic=True,
            slides=4,
            patients=2,
            tiles_per_class={"malignancy.malignant": 10.5},
            preparations=["thinprep"],
            stains=["pap"],
            sites=1,
            scanners=1,
        ),
        config_sha256="c" * 64,
        weights_sha256="54d6dc4b82f2b27ddc6b1e9e9d79d66f9b8a8a7e3c3b7b0f0c7f1f1a0a0a0a0a",
    )  # fmt: skip


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    layout = ModelLayout(folder)
    folder.mkdir()
    layout.weights.write_bytes(WEIGHTS)
    write_model_file(folder, description().model_copy(update={"weights_sha256": file_sha256(layout.weights)}))
    return folder


def edit(model: Path, change: dict[str, object]) -> None:
    path = ModelLayout(model).description
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8")


def test_the_form_of_the_file(tmp_path: Path) -> None:
    write_model_file(tmp_path, description())
    assert (tmp_path / "model.json").read_bytes() == GOLDEN.read_bytes()


@pytest.mark.parametrize(
    "name", ["model.json", "model_v3.json", "model_v1.json", "model_before_assessing.json"]
)
def test_models_of_earlier_versions_stay_readable(tmp_path: Path, name: str) -> None:
    """Settings that came later have their defaults, but clusters are found as they were when the model was trained."""
    (tmp_path / "model.json").write_bytes((GOLDEN.parent / name).read_bytes())
    (tmp_path / "weights.safetensors").write_bytes(WEIGHTS)
    edit(tmp_path, {"weights_sha256": file_sha256(tmp_path / "weights.safetensors")})
    read = read_model_file(tmp_path)
    now = description()
    earlier = {"cell_finder": "classical", "fields": name in ("model.json", "model_v3.json")}
    expected = now.model_copy(update={"tiling": now.tiling.model_copy(update=earlier)})
    assert read.model_dump(exclude={"weights_sha256"}) == expected.model_dump(exclude={"weights_sha256"})
    assert read.head_records == DEFAULT_HEADS


def leaves(value: object) -> list[str]:
    """Every number, text and flag in a JSON value, sorted; the version and renamed words are left out."""
    if isinstance(value, dict):
        return sorted(leaf for item in value.values() for leaf in leaves(item))
    if isinstance(value, list):
        return sorted(leaf for item in value for leaf in leaves(item))
    text = json.dumps(value)
    return [] if "inkdot.model/" in text or text in ('"answers"', '"pseudo-labels"') else [text]


@pytest.mark.parametrize("name", ["model_v1_demo", "model_v1_images", "model_v2_attention"])
def test_an_upgrade_changes_names_and_nothing_else(name: str) -> None:
    old = json.loads((GOLDEN.parent / f"{name}.json").read_text(encoding="utf-8"))
    new = upgraded(old)
    assert leaves(new) == leaves(old)
    read = ModelFile.model_validate(new)
    assert read.operating_points["malignancy"].reliability
    assert read.abstention["malignancy"].target_selective_risk == 0.05
    assert [head.name for head in read.head_records] == ["malignancy", "morphology"]


def test_an_upgrade_keeps_what_images_and_slide_labels_added() -> None:
    images, attention, demo = (
        ModelFile.model_validate(upgraded(json.loads((GOLDEN.parent / name).read_text(encoding="utf-8"))))
        for name in ("model_v1_images.json", "model_v2_attention.json", "model_v1_demo.json")
    )
    assert images.images is not None
    assert (images.images.near_duplicates, images.images.crop_px) == ("join", 288)
    assert (images.trained_on.images, images.tta_views, images.precision) == (True, 8, "bfloat16")
    assert attention.attention is not None
    assert (attention.attention.start, attention.attention.follows) == ("pseudo-labels", True)
    assert demo.ood is not None
    assert demo.ood.tiles == 512


def test_the_models_hash_follows_description_and_weights(model: Path) -> None:
    before = model_sha256(model)
    edit(model, {"dropout": 0.3})
    assert model_sha256(model) != before


def test_weights_of_another_model_are_refused(model: Path) -> None:
    ModelLayout(model).weights.write_bytes(WEIGHTS + b"!")
    with pytest.raises(
        StorageError, match=r"expected the weights that model\.json describes, found others; copy"
    ):
        read_model_file(model)


@pytest.mark.parametrize("version", ["inkdot.model/0", "inkdot.model/6", None])
def test_other_versions_are_refused_by_name(model: Path, version: str | None) -> None:
    edit(model, {"version": version})
    with pytest.raises(
        StorageError, match=f"expected version inkdot.model/5, found {version}; run `inkdot train` again"
    ):
        read_model_file(model)


def test_attention_is_stored_and_read_back(model: Path) -> None:
    part = {"hidden": 64, "slides_per_class": {"malignancy.malignant": 3.0}, "start": "pseudo-labels"}
    assert "attention" not in json.loads(ModelLayout(model).description.read_text(encoding="utf-8"))
    edit(model, {"attention": part})
    read = read_model_file(model)
    assert read.attention is not None
    assert read.attention.start == "pseudo-labels"
    before = ModelLayout(model).description.read_bytes()
    write_model_file(model, read)
    assert json.loads(ModelLayout(model).description.read_bytes()) == json.loads(before)
    edit(model, {"version": "inkdot.model/2", "attention": part | {"start": "answers"}})
    assert read_model_file(model) == read


@pytest.mark.parametrize("missing", ["model.json", "weights.safetensors"])
def test_a_missing_file_is_named(model: Path, missing: str) -> None:
    (model / missing).unlink()
    with pytest.raises(StorageError, match=f"expected a model folder with {re.escape(missing)}, found none"):
        read_model_file(model)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"version": "inkdot.model/1"}', "\ufeff{}"])
def test_a_damaged_description_is_one_line(model: Path, text: str) -> None:
    ModelLayout(model).description.write_text(text, encoding="utf-8")
    with pytest.raises(StorageError, match=r"model\.json: expected") as caught:
        read_model_file(model)
    assert "\n" not in str(caught.value)


def test_unknown_keys_and_impossible_thresholds_are_refused(model: Path) -> None:
    edit(model, {"surprise": 1})
    with pytest.raises(StorageError, match="surprise"):
        read_model_file(model)


@pytest.mark.parametrize("name", ["model_v1_demo.json", "model_before_assessing.json"])
def test_a_model_from_before_the_cell_finder_and_fields_finds_clusters_as_it_was_trained(model, name):
    text = (GOLDEN.parent / name).read_text(encoding="utf-8")
    edit(model, {"tiling": json.loads(text)["tiling"]})
    assert not {"cell_finder", "fields"} & set(json.loads(text)["tiling"])
    tiling = read_model_file(model).tiling
    assert (tiling.cell_finder, tiling.fields) == ("classical", False)
