"""A model is trained from whatever labels there are: heads without labels are left out, before anything is tiled."""

import json
from pathlib import Path

import numpy as np
import pytest
from fixtures.slides_with_labels import SLIDES, config, make_cohort

from inkdot.config import Config, config_from_mapping
from inkdot.errors import UserError
from inkdot.stages import evaluate, predict, train
from inkdot.stages.model import export as model_export
from inkdot.storage.layout import ModelLayout, RunLayout


def both_heads(**training: object) -> Config:
    """Malignancy and morphology, the default heads."""
    heads = [head.model_dump(mode="json") for head in Config().heads]
    settings = config(**training).model_dump(mode="json")
    return config_from_mapping(settings | {"heads": heads})


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


def add_column(manifest: Path, name: str, cells: list[str]) -> Path:
    header, *rows = manifest.read_text().splitlines()
    lines = [f"{header},{name}", *(f"{row},{cell}" for row, cell in zip(rows, cells, strict=True))]
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


def model_heads(layout: RunLayout) -> list[str]:
    description = json.loads((layout.model / "model.json").read_text(encoding="utf-8"))
    return [head["name"] for head in description["heads"]]


@pytest.mark.slow
def test_labels_of_malignancy_alone_make_a_model_of_one_head_that_all_commands_take(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, settings = make_cohort(tmp_path / "cohort", annotated=SLIDES), both_heads()
    layout = RunLayout(tmp_path / "run")
    assert train.run(settings, manifest, layout.root) == 0
    assert "head morphology: no slide or region has a label of it: it is left out" in said(capsys)
    assert model_heads(layout) == ["malignancy"]
    assert "head morphology: no slide or region" in ModelLayout(layout.model).card.read_text(encoding="utf-8")
    # The table may hold labels that the model does not know: of another head, or of another wording.
    labels = manifest.parent / "labels.csv"
    region = '"POLYGON ((9 9, 30 9, 30 30, 9 30, 9 9))"'
    labels.write_text(labels.read_text() + f"s01,{region},morphology,small_cell,r1,annotation\n")
    assert evaluate.run(layout.model, manifest, tmp_path / "eval", config=settings) == 0
    manifest.write_text(manifest.read_text().replace(",benign\n", ",reactive\n"))
    assert predict.run([manifest], layout.model, tmp_path / "results") == 0
    assert model_export.run(layout.model, "onnx", tmp_path / "export") == 0


@pytest.mark.parametrize("whose", ["slides", "images"])
def test_a_table_without_any_label_is_refused_before_any_work(
    tmp_path: Path, whose: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cohort = make_cohort(tmp_path / "cohort")
    rows = [line.rsplit(",", 2)[0] for line in cohort.read_text().splitlines()]
    cohort.write_text("\n".join([rows[0] + ",malignancy", *(f"{row}," for row in rows[1:])]) + "\n")
    if whose == "slides":
        with pytest.raises(
            UserError, match=r"slides\.csv: expected labels to train on, found none of any head"
        ):
            train.run(both_heads(), cohort, tmp_path / "run")
    else:
        with pytest.raises(UserError, match="expected labels of head 'malignancy', found none"):
            train.run_images(
                both_heads().model_copy(
                    update={"images": both_heads().images.model_copy(update={"mpp_of_all": "unknown"})}
                ),
                cohort,
                tmp_path / "run",
            )
    assert not (tmp_path / "run").exists()


def test_a_class_of_one_patient_cannot_be_trained_and_validated(tmp_path: Path) -> None:
    manifest = make_cohort(tmp_path / "cohort")
    one = manifest.read_text().replace(",malignant\n", ",\n")
    manifest.write_text(one.replace(",p1,pap,,", ",p1,pap,,malignant"))
    expected = r"at least 2 patients with each class, .* found 6 with benign and 1 with malignant"
    with pytest.raises(UserError, match=expected):
        train.run(both_heads(), manifest, tmp_path / "run")
    with pytest.raises(UserError, match="at least 3 patients with each class"):
        train.run(both_heads(), manifest, tmp_path / "run", folds=3)
    assert not (tmp_path / "run").exists()


def test_a_dry_run_names_the_head_that_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = [("", "small_cell")[index % 2] for index in range(SLIDES)]
    manifest = add_column(make_cohort(tmp_path / "cohort", annotated=SLIDES), "morphology", kinds)
    assert train.run(both_heads(), manifest, tmp_path / "run", dry_run=True) == 0
    assert "head morphology: no slide or region has a label of class large_cell" in said(capsys)


@pytest.mark.slow
def test_a_head_whose_patients_are_all_in_validation_is_left_out_after_the_split(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = make_cohort(tmp_path / "cohort")
    kinds = [("", "small_cell", "", "large_cell")[index % 4] if index < 4 else "" for index in range(SLIDES)]
    add_column(manifest, "morphology", kinds)
    add_column(manifest, "split", ["validation" if index < 4 else "train" for index in range(SLIDES)])
    layout = RunLayout(tmp_path / "run")
    assert train.run(both_heads(), manifest, layout.root) == 0
    text = said(capsys)
    assert "head morphology: only one of the patients has a label of class small_cell" in text
    assert (
        "head morphology: no tile for training has a label of small_cell or large_cell: it is left out"
        in text
    )
    assert model_heads(layout) == ["malignancy"]


@pytest.mark.slow
def test_images_without_labels_of_a_head_train_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import cv2

    lines = ["path,malignancy,patient_id"]
    for index in range(24):
        rgb = np.random.default_rng(index).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        (tmp_path / f"{index}.png").write_bytes(cv2.imencode(".png", rgb)[1].tobytes())
        lines.append(f"{index}.png,{('benign', 'malignant')[index % 2]},p{index}")
    (tmp_path / "images.csv").write_text("\n".join(lines) + "\n")
    settings = both_heads()
    images = settings.images.model_copy(update={"mpp_of_all": "unknown"})
    layout = RunLayout(tmp_path / "run")
    assert (
        train.run_images(settings.model_copy(update={"images": images}), tmp_path / "images.csv", layout.root)
        == 0
    )
    assert "head morphology: no image has a label of it" in said(capsys)
    assert model_heads(layout) == ["malignancy"]
