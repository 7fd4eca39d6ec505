"""``inkdot synth`` on small spots: what is written, that it is synthetic and says so, that it repeats."""

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import openslide
import pyarrow.parquet as pq
import pytest
import shapely

from inkdot.errors import UserError
from inkdot.labels import DEFAULT_HEADS
from inkdot.manifest import read_slides
from inkdot.stages import synth
from inkdot.storage.output_layouts import CohortLayout
from inkdot.storage.tables.labels_table import read_labels


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> CohortLayout:
    layout = CohortLayout(tmp_path_factory.mktemp("cohort"))
    assert synth.run("demo-training", 4, 5, layout.root, spot_mm=0.6, mpp=0.5, workers=1) == 0
    return layout


def digests(layout: CohortLayout) -> dict[str, str]:
    files = [
        path for path in sorted(layout.root.rglob("*")) if path.is_file() and path.name != layout.lock.name
    ]
    return {
        str(path.relative_to(layout.root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def test_manifest_and_labels_are_read_back(cohort: CohortLayout) -> None:
    entries = read_slides(cohort.slides_csv, DEFAULT_HEADS)
    assert len(entries) == 4
    assert len({entry.patient_id for entry in entries}) == 3  # the first patient has two slides
    assert {entry.preparation for entry in entries} == {"thinprep"}
    assert {entry.on_slide["malignancy"] for entry in entries} == {"malignant", "benign"}
    labels = read_labels(cohort.labels_csv, DEFAULT_HEADS)
    assert {label.slide_id for label in labels} == {entry.slide_id for entry in entries}
    assert {label.source for label in labels} == {"synthetic-truth"}
    assert {label.label for label in labels} >= {"malignant", "benign", "small_cell"}


def test_every_slide_says_that_it_is_synthetic(cohort: CohortLayout) -> None:
    for entry in read_slides(cohort.slides_csv, DEFAULT_HEADS):
        assert entry.path.name.startswith("synthetic_")
        assert entry.extra["synthetic"] == "true"
        with openslide.OpenSlide(entry.path) as slide:
            facts = json.loads(slide.properties["tiff.ImageDescription"])
            assert facts["synthetic"] is True
            assert facts["seed"] == 5
            assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.5)
            low = np.asarray(slide.get_thumbnail((400, 400)).convert("L")).astype(float)
        # The written word: a band at the foot of the slide, between a tenth and a half of it grey.
        foot = low[
            int(0.90 * low.shape[0]) : int(0.97 * low.shape[0]), low.shape[1] // 8 : -low.shape[1] // 8
        ]
        assert 0.10 < np.mean(foot < np.median(low) - 15) < 0.50


def test_truth_lies_where_the_image_is_dark(cohort: CohortLayout) -> None:
    entry = read_slides(cohort.slides_csv, DEFAULT_HEADS)[0]
    truth = pq.read_table(cohort.truth(entry.slide_id)).to_pylist()
    with openslide.OpenSlide(entry.path) as slide:
        image = np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("L")).astype(float)
    glass = np.median(image)
    for row in truth:
        if row["class"] in {"lymphocyte", "small_nec", "large_nec"}:
            near = image[row["y_l0_px"] - 2 : row["y_l0_px"] + 3, row["x_l0_px"] - 2 : row["x_l0_px"] + 3]
            assert near.mean() < glass - 40
            outline = shapely.from_wkt(row["outline_l0_px"])
            assert outline.distance(shapely.Point(row["x_l0_px"], row["y_l0_px"])) < 2


def test_geojson_holds_every_object(cohort: CohortLayout) -> None:
    entry = read_slides(cohort.slides_csv, DEFAULT_HEADS)[0]
    shapes = json.loads(cohort.truth_geojson(entry.slide_id).read_text())
    assert shapes["synthetic"] is True
    assert len(shapes["features"]) == pq.read_metadata(cohort.truth(entry.slide_id)).num_rows


@pytest.mark.slow
def test_same_seed_same_bytes_and_prefix_of_a_longer_cohort(cohort: CohortLayout, tmp_path: Path) -> None:
    other = CohortLayout(tmp_path / "again")
    synth.run("demo-training", 2, 5, other.root, spot_mm=0.6, mpp=0.5, workers=2)
    first = digests(cohort)
    for name, digest in digests(other).items():
        if name.startswith(("slides/", "truth/")):
            assert first[name] == digest
    different = CohortLayout(tmp_path / "other seed")
    synth.run("demo-training", 1, 6, different.root, spot_mm=0.6, mpp=0.5, workers=1)
    other_seed = digests(different)["slides/synthetic_demo-training_s6_0000.tif"]
    assert other_seed != first["slides/synthetic_demo-training_s5_0000.tif"]


def test_finished_slides_are_kept_and_broken_ones_made_again(tmp_path: Path) -> None:
    layout = CohortLayout(tmp_path)
    synth.run("normal", 2, 1, tmp_path, spot_mm=0.4, mpp=0.5, workers=1)
    before = digests(layout)
    kept, broken = layout.slide("synthetic_normal_s1_0000"), layout.slide("synthetic_normal_s1_0001")
    stamp = kept.stat().st_mtime_ns
    broken.write_bytes(b"half a slide")
    synth.run("normal", 2, 1, tmp_path, spot_mm=0.4, mpp=0.5, workers=1)
    assert digests(layout) == before
    assert kept.stat().st_mtime_ns == stamp
    synth.run("normal", 2, 1, tmp_path, spot_mm=0.5, mpp=0.5, workers=1)
    assert digests(layout) != before


def test_slides_of_two_cohorts_do_not_mix_in_one_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"spot_mm": 0.3, "mpp": 1.0, "workers": 1}
    synth.run("normal", 2, 1, tmp_path, **settings)  # pyright: ignore[reportArgumentType]
    before = digests(CohortLayout(tmp_path))
    for preset, seed in (("normal", 2), ("lm-typical", 1)):
        with pytest.raises(
            UserError, match=r"found 2 of another, such as synthetic_normal_s1_0000\.tif; choose"
        ) as caught:
            synth.run(preset, 1, seed, tmp_path, **settings)  # pyright: ignore[reportArgumentType]
        assert "\n" not in str(caught.value)
    assert digests(CohortLayout(tmp_path)) == before
    capsys.readouterr()
    synth.run("normal", 1, 1, tmp_path, **settings)  # pyright: ignore[reportArgumentType]
    assert "also holds 1 slide of a longer run, which slides.csv does not list" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "lm-typcal"}, "lm-typical"),
        ({"slides": 0}, "--slides: expected at least 1"),
        ({"spot_mm": 40.0}, "--spot-mm: expected 0.2 to 25, found 40"),
        ({"mpp": 0.0}, "--mpp: expected 0.1 to 2.0"),
    ],
)
def test_wrong_input_is_one_clear_line(tmp_path: Path, arguments: dict[str, object], message: str) -> None:
    settings: dict[str, object] = {"preset": "normal", "slides": 1, "seed": 0, "out": tmp_path} | arguments
    with pytest.raises(UserError, match=message) as caught:
        synth.run(**settings)  # pyright: ignore[reportArgumentType]
    assert "\n" not in str(caught.value)


def test_a_missed_tumour_is_the_patients_not_the_slides(tmp_path: Path) -> None:
    layout = CohortLayout(tmp_path)
    synth.run("lm-missed", 1, 1, tmp_path, spot_mm=0.4, mpp=0.5, workers=1)
    with layout.slides_csv.open(encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    assert row["malignancy"] == "benign"
    assert row["patient_malignancy"] == "malignant"
    assert row["patient_morphology"] in {"small_cell", "large_cell", "mixed"}


def test_files_may_state_a_wrong_mpp_or_none(tmp_path: Path) -> None:
    layout = CohortLayout(tmp_path)
    synth.run("faulty-mpp", 4, 1, tmp_path, spot_mm=0.2, mpp=0.5, workers=1)
    stated: dict[str, tuple[str | None, str | None]] = {}
    with layout.slides_csv.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            with openslide.OpenSlide(tmp_path / row["path"]) as slide:
                properties = slide.properties
                stated[row["mpp_fault"]] = (
                    properties.get("openslide.mpp-x"),
                    properties.get("openslide.mpp-y"),
                )
                assert json.loads(properties["tiff.ImageDescription"])["true_mpp"] == 0.5
    assert stated["missing"] == (None, None)
    assert float(stated["doubled"][0] or 0) == pytest.approx(1.0)
    assert float(stated["implausible"][0] or 0) == pytest.approx(20.0)
    assert float(stated["anisotropic"][1] or 0) == pytest.approx(0.6)


def test_planes_are_files_of_their_own_and_focus_elsewhere(tmp_path: Path) -> None:
    layout = CohortLayout(tmp_path)
    synth.run("normal", 1, 1, tmp_path, spot_mm=0.3, mpp=0.5, planes=3, workers=1)
    names = sorted(path.name for path in (tmp_path / "planes").iterdir())
    stem = "synthetic_normal_s1_0000"
    assert names == [f"{stem}_edf.tif", f"{stem}_z+1.5um.tif", f"{stem}_z-1.5um.tif"]
    images: list[bytes] = []
    for path in (layout.slide("synthetic_normal_s1_0000"), *(tmp_path / "planes" / name for name in names)):
        with openslide.OpenSlide(path) as slide:
            images.append(slide.read_region((0, 0), 0, slide.dimensions).tobytes())
            facts = json.loads(slide.properties["tiff.ImageDescription"])
            assert facts["synthetic"] is True
            assert path.name.startswith("synthetic_")
    assert len(set(images)) == 4
    with pytest.raises(UserError, match="--planes: expected an odd number"):
        synth.run("normal", 1, 1, tmp_path, planes=2)


def test_a_section_is_labelled_by_fields(tmp_path: Path) -> None:
    layout = CohortLayout(tmp_path)
    synth.run("combined-section", 1, 1, tmp_path, spot_mm=0.6, mpp=1.0, workers=1)
    with layout.slides_csv.open(encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    assert (row["preparation"], row["stain"]) == ("section", "he")
    assert (row["malignancy"], row["morphology"]) == ("malignant", "mixed")
    labels = read_labels(layout.labels_csv, DEFAULT_HEADS)
    assert len(labels) < 100  # fields, not thousands of cells
    malignant = [label.geometry for label in labels if label.label == "malignant"]
    benign = [label.geometry for label in labels if label.label == "benign"]
    assert malignant
    assert benign
    shared = shapely.union_all(malignant).intersection(shapely.union_all(benign)).area
    assert shared < 0.05 * shapely.union_all(malignant).area
