"""``inkdot doctor`` says beforehand what would fail later, and why."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fixtures.founding_case import FOUNDING, write_cases
from fixtures.red_cell_slides import red_cell_pixels
from PIL import Image

from inkdot.config import Config, config_from_mapping, default_config
from inkdot.errors import ManifestError
from inkdot.pipeline.batch_settings import SlideOverrides
from inkdot.records import Mpp, RgbArray, SlideEntry
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.stages import doctor

CONFIG: Config = config_from_mapping({"tiling": {"side_px": 64, "mpp": 0.5, "stride_px": 64}})


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")


def cells(seed: int = 0) -> RgbArray:
    """Glass with some dark blue cells."""
    rgb = np.full((900, 1100, 3), 238, np.uint8)
    y, x = np.mgrid[:900, :1100]
    for cx, cy in np.random.default_rng(seed).integers(100, 800, (12, 2)):
        rgb[(x - cx) ** 2 + (y - cy) ** 2 < 18**2] = (70, 60, 130)
    return rgb


def cohort(folder: Path) -> Path:
    """Slides of every fate, and a manifest of them."""
    quarter = Mpp.square(0.25)
    write_array_pyramid(folder / "good.tif", cells(), mpp=quarter, downsamples=(1, 4))
    write_array_pyramid(folder / "nompp.tif", cells(1), mpp=None, downsamples=(1, 4))
    write_array_pyramid(folder / "coarse.tif", cells(2), mpp=Mpp.square(0.9), downsamples=(1, 4))
    write_array_pyramid(
        folder / "empty.tif", np.full((900, 1100, 3), 240, np.uint8), mpp=quarter, downsamples=(1, 4)
    )
    (folder / "text.svs").write_text("not a slide")
    (folder / "labels.csv").write_text(
        "slide_id,geometry,head,label,reader,source\n"
        'good,"POLYGON ((0 0, 50 0, 50 50, 0 50, 0 0))",malignancy,malignant,r,a\n'
        'good,"POLYGON ((2000 0, 2050 0, 2050 50, 2000 50, 2000 0))",malignancy,benign,r,a\n'
    )
    (folder / "slides.csv").write_text(
        "slide_id,path,patient_id,stain,preparation,annotation,patient_malignancy\n"
        "good,good.tif,P1,pap,thinprep,labels.csv,malignant\n"
        "nompp,nompp.tif,P2,pap,section,,benign\n"
        "coarse,coarse.tif,P2,,,,benign\n"
        "empty,empty.tif,,,,,\n"
        "text,text.svs,P3,[red]pap[/red],,,\n"
        "gone,gone.svs,P3,,,,\n"
    )
    return folder / "slides.csv"


class EndsItsProcess(type(Path())):  # as a fault in a decoder does
    def __reduce__(self) -> tuple[object, ...]:
        return os._exit, (1,)


class WithFault(SlideOverrides):
    """The slide named ``bad`` ends the process that is to read it."""

    def apply(self, entries: Sequence[SlideEntry]) -> list[SlideEntry]:
        return [
            replace(entry, path=EndsItsProcess(entry.path)) if entry.slide_id == "bad" else entry
            for entry in entries
        ]


@pytest.mark.slow
def test_a_slide_whose_process_dies_is_named_and_the_others_are_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("bad", "good"):
        write_array_pyramid(tmp_path / f"{name}.tif", cells(), mpp=Mpp.square(0.25))
    assert doctor.run(tmp_path, CONFIG, WithFault(), slide_timeout_s=60.0) == 1
    shown = capsys.readouterr().out
    assert lines_with(shown, "bad", "fails", "its process died twice")
    assert "1 of 2 slides can be used; 1 cannot" in shown


def lines_with(text: str, *words: str) -> list[str]:
    return [line for line in text.splitlines() if all(word in line for word in words)]


def test_every_fate_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = cohort(tmp_path)
    listing = sorted(tmp_path.iterdir())
    assert doctor.run(before, CONFIG) == 1
    said = capsys.readouterr().out
    assert "2 of 6 slides can be used; 4 cannot" in said
    assert lines_with(said, "nompp", "fails", "expected micrometres per pixel", "column `mpp`")
    assert lines_with(said, "coarse", "fails", "found 0.9 µm/px", "tiling.mpp")
    assert lines_with(said, "empty", "warning", "inadequate: no tile has")
    assert lines_with(said, "text", "fails", "a kind that no reader opens")
    assert lines_with(said, "gone", "fails", "found nothing there")
    assert lines_with(said, "good", "warning", "1 of 2 labelled regions reach beyond the slide")
    assert lines_with(
        said, "nompp", "warning", "expected preparation thinprep as in the config, found section"
    )
    assert "[red]pap[/red]" in said  # a manifest's text is not markup
    assert "1 of 6 slides have no patient_id" in said
    assert sorted(tmp_path.iterdir()) == listing  # nothing is written


def test_patients_are_counted_per_label(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    doctor.run(cohort(tmp_path), CONFIG)
    said = capsys.readouterr().out
    (malignant,) = lines_with(said, "malignancy", "│ malignant ")
    assert malignant.split("│")[3:5] == [" 1        ", " 1      "]
    (benign,) = lines_with(said, "malignancy", "│ benign ")
    assert [cell.strip() for cell in benign.split("│")[3:5]] == ["2", "3"]  # P1's region, P2's two slides


def test_what_would_stop_training_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    doctor.run(cohort(tmp_path), CONFIG)
    said = capsys.readouterr().out
    # P2's slides are labelled by patient alone, which training does not use.
    assert lines_with(
        said,
        "malignancy: expected at least 2 patients with each class",
        "found 1 with benign and 1 with malignant",
        "columns patient_ are for evaluation",
    )


def test_a_head_that_training_would_leave_out_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_array_pyramid(tmp_path / "a.tif", cells(), mpp=Mpp.square(0.25), downsamples=(1, 4))
    rows = ["slide_id,path,patient_id,malignancy,morphology"]
    for index, (label, kind) in enumerate([("benign", "")] * 2 + [("malignant", "small_cell")] * 2):
        (tmp_path / f"s{index}.tif").write_bytes((tmp_path / "a.tif").read_bytes() + bytes(index))
        rows.append(f"s{index},s{index}.tif,p{index},{label},{kind}")
    (tmp_path / "slides.csv").write_text("\n".join(rows) + "\n")
    doctor.run(tmp_path / "slides.csv", CONFIG)
    said = capsys.readouterr().out
    assert lines_with(said, "head morphology: no slide or region has a label of class large_cell", "left out")
    assert not lines_with(said, "training would stop")


def test_columns_that_mean_nothing_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt head must not pass for a label."""
    write_array_pyramid(tmp_path / "a.tif", cells(), mpp=Mpp.square(0.25), downsamples=(1, 4))
    (tmp_path / "slides.csv").write_text("slide_id,path,split,patient_ploidy,lesion\na,a.tif,train,x,HSIL\n")
    assert doctor.run(tmp_path / "slides.csv", CONFIG) == 0
    said = capsys.readouterr().out
    assert lines_with(
        said, "columns that are neither used nor copied, not even as labels: lesion, patient_ploidy"
    )
    assert lines_with(said, "no labels: enough to tile and predict")


def test_the_cases_beside_the_slides_are_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_array_pyramid(tmp_path / "a.tif", cells(), mpp=Mpp.square(0.25), downsamples=(1, 4))
    slides, cases = tmp_path / "slides.csv", tmp_path / "cases.csv"
    slides.write_text("slide_id,path,patient_id\na,a.tif,P-009\n")
    assert doctor.run(slides, CONFIG) == 0
    assert "cases" not in capsys.readouterr().out
    write_cases(cases, [{**FOUNDING, "csf_protein_g_per_l": "75"}])
    assert doctor.run(slides, CONFIG) == 1
    text = capsys.readouterr().out
    assert "cases.csv: 1 row, 1 to correct" in text
    assert "is it in mg/dL (0.75 g/L)?" in text
    assert "cases: patient 'P-001' of cases.csv: no slide of this patient_id in slides.csv" in text
    assert "1 of 1 slides can be used" in text
    cases.write_text("patient\nP-001\n")  # found by itself: the slides are still checked
    assert doctor.run(slides, CONFIG) == 1
    assert "expected columns patient_id, found patient" in capsys.readouterr().out
    with pytest.raises(
        ManifestError, match="expected a table, found nothing there; correct the path of the cases"
    ):
        doctor.run(slides, CONFIG, cases=tmp_path / "missing.csv")
    good = write_cases(tmp_path / "good.csv", [{**FOUNDING, "patient_id": "P-009"}])
    assert doctor.run(slides, CONFIG, cases=good) == 0
    assert "good.csv: 1 row, 0 to correct" in capsys.readouterr().out


def test_too_little_disk_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(total=10**9, used=10**9 - 9, free=9))
    write_array_pyramid(tmp_path / "a.tif", cells(), mpp=Mpp.square(0.25), downsamples=(1, 4))
    doctor.run(tmp_path / "a.tif", CONFIG)
    assert lines_with(capsys.readouterr().out, "disk: expected", "free for", "found 9 B")


def test_tiles_on_clusters_are_counted_at_most(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_array_pyramid(tmp_path / "a.tif", cells(), mpp=Mpp.square(0.25), downsamples=(1, 4))
    tiling = CONFIG.tiling.model_copy(update={"mode": "clusters", "max_tiles": 77})
    assert doctor.run(tmp_path / "a.tif", CONFIG.model_copy(update={"tiling": tiling})) == 0
    assert lines_with(capsys.readouterr().out, "at most 77 tiles")


def test_the_machine_is_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_array_pyramid(tmp_path / "good.tif", cells(), mpp=Mpp.square(0.25), downsamples=(1, 4))
    assert doctor.run(tmp_path / "good.tif", CONFIG, SlideOverrides(stain="pap")) == 0
    said = capsys.readouterr().out
    for name in ("cores", "memory", "GPU", "torch", "openvino", "free disk here", "disk for tables"):
        assert lines_with(said, name), name
    assert "1 of 1 slides can be used" in said


def test_a_wrong_labels_table_is_named_and_the_rest_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = cohort(tmp_path)
    labels = tmp_path / "labels.csv"
    labels.write_text(labels.read_text().replace("malignant", "maybe"))
    assert doctor.run(manifest, CONFIG) == 1
    said = capsys.readouterr().out
    assert lines_with(said, "good", "fails", "labels.csv: line 2: column label", "found 'maybe'")
    assert "1 of 6 slides can be used" in said


def test_one_file_under_two_names_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_array_pyramid(tmp_path / "a.tif", cells(), mpp=Mpp.square(0.25), downsamples=(1, 4))
    shutil.copyfile(tmp_path / "a.tif", tmp_path / "b.tif")
    doctor.run(tmp_path, CONFIG)
    assert "a, b: the same file under several names" in capsys.readouterr().out


def test_a_truncated_slide_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    rgb = np.clip(cells().astype(int) + rng.integers(-9, 9, (900, 1100, 1)), 0, 255).astype(np.uint8)
    Image.fromarray(rgb).save(tmp_path / "whole.png")
    data = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "whole.png").write_bytes(data[: len(data) // 2])
    assert doctor.run(tmp_path / "whole.png", CONFIG, SlideOverrides(mpp=0.25)) == 1
    assert lines_with(capsys.readouterr().out, "whole", "fails", "found a damaged one")


def test_red_cells_are_measured_doubted_or_offered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # so that the length of the folder's name does not break the line elsewhere
    for name, mpp in (("right", Mpp.square(0.5)), ("wrong", Mpp.square(0.25)), ("none", None)):
        write_array_pyramid(tmp_path / f"{name}.tif", red_cell_pixels(0.5), mpp=mpp, downsamples=(1, 4))
    assert doctor.run(Path(), CONFIG) == 1
    said = capsys.readouterr().out
    assert lines_with(said, "red cells measure 7.", " cells)")
    assert not lines_with(said, "right", "warning")
    assert lines_with(
        said, "wrong", "warning", "red cells measure 3.", "at the stated 0.25 µm/px", "check the µm/px"
    )
    assert lines_with(said, "none", "fails", "µm/px (0.3", "an estimate, not used")


def test_a_wrong_manifest_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "slides.csv").write_text("slide_id;path\n")
    with pytest.raises(ManifestError, match="semicolons"):
        doctor.run(tmp_path / "slides.csv", CONFIG)


@pytest.mark.real_data
def test_real_slides_in_one_batch(
    real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = real_data / "slides"
    config = default_config("section")
    assert doctor.run(folder, config) == 1
    said = capsys.readouterr().out
    assert "1 of 6 slides can be used; 5 cannot" in said
    assert lines_with(said, "TCGA-CR-7395", "fails", "column `mpp`")
    assert lines_with(said, "oral-scc", "fails", "column `mpp`")
    assert lines_with(said, "gcp-jpeg", "fails", "found 16.78 x 16.78")
    assert lines_with(said, "hamamatsu", "warning", "fluorescence")
    assert lines_with(said, "small_dicom", "fails", "expected readable pixels")
    rows = [f"{path.stem},{path},0.25" for path in sorted(folder.iterdir()) if "CMU" not in path.name]
    (tmp_path / "slides.csv").write_text("slide_id,path,mpp\n" + "\n".join(rows) + "\n")
    doctor.run(tmp_path / "slides.csv", config)
    said = capsys.readouterr().out
    for name in ("TCGA-CR-7395", "oral-scc", "gcp-jpeg"):
        assert not lines_with(said, name, "fails"), name
