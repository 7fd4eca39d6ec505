"""The stage as the command line calls it, on small painted slides: a red blob is malignant, its size tells the type."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from inkdot.config import Config, config_from_mapping
from inkdot.errors import LeakageError, ManifestError, UserError
from inkdot.model.predictor import Predictor
from inkdot.pipeline.scoring.infer_tiles import infer_tiles
from inkdot.pipeline.scoring.unlike_training import scale_warnings
from inkdot.records import Mpp, SlideEntry
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.stages import train
from inkdot.storage import ledger
from inkdot.storage.hashing import slide_fingerprint
from inkdot.storage.layout import RunLayout
from inkdot.storage.models.model_files import read_model_file
from inkdot.storage.schemas import TILES_VERSION
from inkdot.storage.tables.parquet_tables import read_table

KINDS = ("benign", "small_cell", "benign", "large_cell")
PATIENTS = 12
HEADER = ("slide_id", "path", "patient_id", "stain", "annotation")


def config(**training: object) -> Config:
    settings = {"epochs": 3, "batch_size": 16, "learning_rate": 0.003, "accelerator": "cpu"}
    return config_from_mapping(
        {
            "tiling": {
                "mode": "grid",
                "side_px": 32,
                "mpp": 1.0,
                "stride_px": 32,
                "min_foreground_fraction": 0.01,
            },
            "model": {"backbone": "test_efficientnet"},
            "training": settings | training,
        }
    )


def paint(path: Path, kind: str, seed: int, *, synthetic: bool) -> list[str]:
    """One slide of 192 µm with nine blobs; the labels of their regions as rows of a labels table."""
    generator = np.random.default_rng(seed)
    rgb = np.full((384, 384, 3), 242, np.uint8)
    colour = (70, 90, 190) if kind == "benign" else (150, 40, 70)
    radius = 20 if kind == "large_cell" else 11
    rows: list[str] = []
    for row in range(3):
        for column in range(3):
            x, y = (int(128 * cell + 64 + generator.integers(-20, 20)) for cell in (column, row))
            cv2.circle(rgb, (x, y), radius, colour, cv2.FILLED)
            region = f'"POLYGON (({x - 9} {y - 9}, {x + 9} {y - 9}, {x + 9} {y + 9}, {x - 9} {y + 9}, {x - 9} {y - 9}))"'
            labels = (
                {"malignancy": "benign"}
                if kind == "benign"
                else {"malignancy": "malignant", "morphology": kind}
            )
            rows += [f"{path.stem},{region},{head},{label},r1,annotation" for head, label in labels.items()]
    description = json.dumps({"synthetic": True, "generator": "test"}) if synthetic else ""
    write_array_pyramid(path, rgb, mpp=Mpp.square(0.5), description=description)
    return rows


def make_cohort(folder: Path, *, patients: int = PATIENTS, synthetic: bool = False, first: int = 0) -> Path:
    folder.mkdir(parents=True)
    labels = ["slide_id,geometry,head,label,reader,source"]
    slides: list[tuple[str, ...]] = []
    for index in range(first, first + patients):
        name = f"s{index:02d}"
        labels += paint(folder / f"{name}.tif", KINDS[index % 4], index, synthetic=synthetic)
        slides.append((name, f"{name}.tif", f"patient-{index}", "pap", "labels.csv"))
    (folder / "labels.csv").write_text("\n".join(labels) + "\n")
    return write_manifest(folder, slides)


def write_manifest(folder: Path, rows: list[tuple[str, ...]], extra: str = "") -> Path:
    header = ",".join((*HEADER, extra)) if extra else ",".join(HEADER)
    (folder / "slides.csv").write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n")
    return folder / "slides.csv"


def records(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def manifest_rows(path: Path) -> list[tuple[str, ...]]:
    return [tuple(row.values()) for row in records(path)]


def data_files(root: Path) -> dict[str, bytes]:
    """Every file but the ledger, which holds time stamps, and the lock."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name not in {"ledger.jsonl", ".inkdot.lock", "slides.csv"}
    }


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cohort(tmp_path_factory.mktemp("train") / "cohort")


@pytest.fixture(scope="module")
def trained(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    layout = RunLayout(tmp_path_factory.mktemp("train") / "run")
    assert train.run(config(epochs=6), cohort, layout.root) == 0
    return layout


def parts(layout: RunLayout) -> dict[str, str]:
    return {row["slide_id"]: row["split"] for row in records(layout.split_csv)}


def test_a_model_comes_out_with_all_that_is_promised_of_it(trained: RunLayout):
    model = read_model_file(trained.model)
    assert model.backbone == "test_efficientnet"
    assert model.trained_on.patients == model.trained_on.slides == PATIENTS
    assert not model.trained_on.synthetic
    assert model.trained_on.stains == ["pap"]
    assert set(model.temperatures) == {"malignancy", "morphology"}
    tiles = {"validation_auc.malignancy.malignant", "validation_auc.morphology.large_cell"}
    whole = {"auc", "average_precision", "sensitivity", "specificity", "balanced_accuracy"}
    assert set(model.validation_metrics) <= tiles | {f"validation_whole_slide_{name}" for name in whole}
    metric = model.validation_metrics["validation_auc.malignancy.malignant"]
    assert metric.low <= metric.value <= metric.high
    assert metric.value > 0.9
    assert {path.name for path in trained.model.iterdir()} == {"weights.safetensors", "model.json", "card.md"}
    assert model.trained_on.mpp_range == (0.5, 0.5)
    assert (
        sorted(path.name for path in trained.root.rglob("*") if path.suffix in {".pkl", ".pt", ".ckpt"}) == []
    )


def test_the_card_says_what_it_is_for_and_what_it_saw(trained: RunLayout):
    card = (trained.model / "card.md").read_text(encoding="utf-8")
    assert "For Research Use Only. Not for use in diagnostic procedures." in card
    assert "12 slides of 12 patients" in card
    assert "validation_auc.malignancy.malignant" in card
    assert "SYNTHETIC" not in card
    assert "selftest" not in card
    assert "patient-" not in card  # no identifiers


def test_the_run_folder_says_with_what_it_was_made(trained: RunLayout):
    made = json.loads((trained.root / "environment.json").read_text(encoding="utf-8"))
    assert made["packages"]["torch"] == version("torch")
    assert made["threads"] == torch.get_num_threads()
    assert made["seed"] == 0
    assert os.uname().nodename not in json.dumps({**made, "system": ""})
    model = json.loads((trained.model / "model.json").read_text(encoding="utf-8"))
    assert made["hashes"]["config"] == model["config_sha256"]
    assert made["hashes"]["data"][:16] in (trained.model / "card.md").read_text(encoding="utf-8")
    row = records(trained.split_csv)[0]
    slide = next(trained.root.parent.parent.glob(f"*/cohort/{row['slide_id']}.tif"))
    assert row["file_sha256"] == slide_fingerprint(slide)


def test_the_split_keeps_patients_apart_and_both_classes_on_both_sides(trained: RunLayout):
    found = parts(trained)
    kinds = {name: KINDS[int(name[1:]) % 4] for name in found}
    for part in ("train", "validation"):
        assert {"benign"} < {kinds[name] for name in found if found[name] == part}
    assert sum(part == "validation" for part in found.values()) == 4  # 2 of 6 malignant, 2 of 6 benign


def test_the_locked_threshold_flags_the_wanted_share_of_positive_slides_in_the_scores_of_the_stored_model(
    trained: RunLayout,
):
    model = read_model_file(trained.model)
    point = model.operating_points["malignancy"]
    predictor = Predictor(trained.model)
    best: dict[str, float] = {}
    for name, part in parts(trained).items():
        if part == "validation":
            table, footer = read_table(trained.tiles(name), TILES_VERSION)
            entry = SlideEntry(
                slide_id=name, path=next(trained.root.parent.parent.glob(f"*/cohort/{name}.tif"))
            )
            predicted = infer_tiles(entry, table, predictor, str(footer["slide_fingerprint"])).predicted
            best[name] = float(predicted.scores[:, 1].max())  # of all tiles, labelled or not
    positive = [score for name, score in best.items() if KINDS[int(name[1:]) % 4] != "benign"]
    negative = [score for name, score in best.items() if KINDS[int(name[1:]) % 4] == "benign"]
    assert len(positive) == len(negative) == 2
    # Two are too few to promise anything: both are flagged, from the gap between them and the next benign slide on.
    below = max((score for score in negative if score < min(positive)), default=min(positive))
    assert below - 2e-4 < point.threshold <= min(positive)
    assert point.guarantee is not None
    assert (point.guarantee.locked, point.guarantee.patients) == (False, 2)
    assert point.sensitivity is not None
    assert point.specificity is not None
    assert point.sensitivity.value == 1.0
    assert point.sensitivity.low < 0.5  # two patients prove little
    assert point.specificity.value == np.mean([score < point.threshold for score in negative])


def test_metrics_are_kept_per_epoch_without_time_stamps(trained: RunLayout):
    rows = records(trained.metrics_csv)
    assert len(rows) == 6
    assert {
        "epoch",
        "train_loss.morphology",
        "validation_loss",
        "validation_auc.malignancy.malignant.low",
        "validation_patient_auc.low",
        "validation_patient_average_precision.high",
    } <= set(rows[0])
    assert {(line.stage, line.outcome) for line in ledger.read(trained.ledger)} == {
        ("tile", "done"),
        ("cache", "done"),
    }


@pytest.mark.slow
def test_twice_gives_the_same_bytes_with_more_processes_too(cohort: Path, tmp_path: Path):
    assert train.run(config(), cohort, tmp_path / "a") == 0
    assert train.run(config(), cohort, tmp_path / "b", workers=2) == 0
    first, second = data_files(tmp_path / "a"), data_files(tmp_path / "b")
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


@pytest.mark.slow
def test_a_rerun_reuses_tiles_pixels_and_epochs(
    trained: RunLayout, cohort: Path, capsys: pytest.CaptureFixture[str]
):
    before = data_files(trained.root)
    assert train.run(config(epochs=6), cohort, trained.root) == 0
    assert "resuming after epoch 6" in capsys.readouterr().err
    assert data_files(trained.root) == before
    assert [line.outcome for line in ledger.read(trained.ledger)][-2 * PATIENTS :] == ["reused"] * (
        2 * PATIENTS
    )


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(cohort: Path, tmp_path: Path):
    """A real process, really killed: at the first table of metrics, and again a moment later."""
    settings = config(epochs=6)
    assert train.run(settings, cohort, tmp_path / "whole") == 0
    cut = tmp_path / "cut"
    path = tmp_path / "config.json"
    path.write_text(json.dumps(settings.model_dump(mode="json")))
    code = (
        "import sys; from pathlib import Path; from inkdot.config import load_config; from inkdot.stages import train\n"
        "train.run(load_config(Path(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3]))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(path), str(cohort), str(cut)]
    for rows_first in (1, 3):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            if (cut / "metrics.csv").exists() and len(records(cut / "metrics.csv")) >= rows_first:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.005)
        assert process.wait() == -signal.SIGKILL, "it ended before it could be killed: give it more epochs"
        assert not (cut / "model" / "model.json").exists()
    assert train.run(settings, cohort, cut) == 0
    first, second = data_files(tmp_path / "whole"), data_files(cut)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


@pytest.mark.slow
def test_synthetic_slides_make_a_model_that_says_so(tmp_path: Path):
    cohort = make_cohort(tmp_path / "cohort", patients=8, synthetic=True)
    assert train.run(config(epochs=1), cohort, tmp_path / "run") == 0
    model = read_model_file(tmp_path / "run" / "model")
    assert model.trained_on.synthetic
    assert all(name.startswith("selftest_") for name in model.validation_metrics)
    card = (tmp_path / "run" / "model" / "card.md").read_text(encoding="utf-8")
    assert "**SYNTHETIC.**" in card
    assert "validation_" not in card
    assert "selftest_loss" in (tmp_path / "run" / "metrics.csv").read_text()


def test_synthetic_and_real_slides_are_never_mixed(cohort: Path, tmp_path: Path):
    other = make_cohort(tmp_path / "other", patients=1, synthetic=True, first=40)
    rows = [
        (*row[:1], str(cohort.parent / row[1]), *row[2:4], str(cohort.parent / row[4]))
        for row in manifest_rows(cohort)
    ]
    path = write_manifest(tmp_path / "other", rows + manifest_rows(other))
    with pytest.raises(
        LeakageError, match=r"1 synthetic ones such as 's40' among 12 real ones such as 's00'"
    ):
        train.run(config(), path, tmp_path / "run")
    assert not (tmp_path / "run" / "model").exists()


def with_split(cohort: Path, folder: Path, wanted: dict[str, str], default: str = "train") -> Path:
    folder.mkdir()
    rows = [
        (
            row[0],
            str(cohort.parent / row[1]),
            *row[2:4],
            str(cohort.parent / row[4]),
            wanted.get(row[0], default),
        )
        for row in manifest_rows(cohort)
    ]
    return write_manifest(folder, rows, extra="split")


@pytest.mark.slow
def test_a_given_split_is_respected_and_test_slides_stay_out(cohort: Path, tmp_path: Path):
    wanted = {"s00": "validation", "s01": "validation", "s02": "test", "s03": "test"}
    path = with_split(cohort, tmp_path / "split", wanted)
    assert train.run(config(epochs=1), path, tmp_path / "run") == 0
    layout = RunLayout(tmp_path / "run")
    assert parts(layout) == {f"s{i:02d}": wanted.get(f"s{i:02d}", "train") for i in range(12)}
    assert read_model_file(layout.model).trained_on.slides == 10
    assert not layout.cached_tiles("s02").exists()
    assert " tiles of 2 slides of 2 patients." in (layout.model / "card.md").read_text(encoding="utf-8")


def test_a_patient_in_two_splits_is_named(cohort: Path, tmp_path: Path):
    path = with_split(cohort, tmp_path / "split", {"s01": "validation"})
    path.write_text(path.read_text().replace("patient-1,", "patient-5,"))
    with pytest.raises(ManifestError, match="column split: expected one value for patient 'patient-5'"):
        train.run(config(), path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_validation_patients_that_are_all_positive_cannot_choose_the_epoch(cohort: Path, tmp_path: Path):
    path = with_split(cohort, tmp_path / "split", {"s00": "validation", "s01": "validation"})
    path.write_text(
        path.read_text().replace("patient-1,", "patient-0,")
    )  # one patient, with both kinds of slide
    settings = config(epochs=1, checkpoint="best", monitor="patient_auc")
    said = r"training\.monitor patient_auc: .* found 1 positive and 0 negative ones among 1"
    with pytest.raises(UserError, match=said):
        train.run(settings, path, tmp_path / "run")
    assert not (tmp_path / "run" / "cache").exists()  # before any pixel is read
    assert train.run(config(epochs=1, checkpoint="best"), path, tmp_path / "other") == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"s01": "validation"}, "head malignancy: expected validation tiles of class 'benign'"),
        (
            {f"s{i:02d}": "validation" for i in range(1, 12, 2)},
            "head malignancy: expected training tiles of class 'malignant'",
        ),
    ],
)
def test_a_class_that_nobody_labelled_is_named(
    cohort: Path, tmp_path: Path, wanted: dict[str, str], words: str
):
    path = with_split(cohort, tmp_path / "split", wanted)
    with pytest.raises(UserError, match=words):
        train.run(config(), path, tmp_path / "run")


def test_where_slides_could_teach_alone_but_must_not_that_is_said(cohort: Path, tmp_path: Path):
    labels = cohort.parent / "labels.csv"
    bare = tmp_path / "cohort" / "slides.csv"
    shutil.copytree(cohort.parent, bare.parent)
    header, *rows = labels.read_text(encoding="utf-8").splitlines()
    kept = [header, *(row for row in rows if ",benign," in row)]
    (bare.parent / "labels.csv").write_text("\n".join(kept) + "\n", encoding="utf-8")
    settings = config()
    never = settings.training.mil.model_copy(update={"use": "never"})
    told = settings.model_copy(update={"training": settings.training.model_copy(update={"mil": never})})
    with pytest.raises(UserError, match=r"training\.mil\.use: needed"):
        train.run(told, bare, tmp_path / "run")


@pytest.mark.slow
def test_bad_and_unlabelled_slides_are_said_and_the_rest_trains(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    rows = [
        (row[0], str(cohort.parent / row[1]), *row[2:4], str(cohort.parent / row[4]))
        for row in manifest_rows(cohort)
    ]
    folder = tmp_path / "more"
    folder.mkdir()
    paint(folder / "quiet.tif", "benign", 90, synthetic=False)
    (folder / "torn.tif").write_bytes((folder / "quiet.tif").read_bytes()[:2000])
    write_array_pyramid(folder / "bare.tif", np.full((384, 384, 3), 242, np.uint8), mpp=Mpp.square(0.5))
    more = [(name, f"{name}.tif", "", "", "") for name in ("quiet", "torn", "bare")]
    path = write_manifest(folder, [*rows, *more])
    assert train.run(config(epochs=1), path, tmp_path / "run") == 1
    said = capsys.readouterr().err
    assert "2 slides have no labelled tile" in said
    assert "On 1 of these slides nothing was found to cut tiles around (bare)." in said
    assert (
        f"{PATIENTS + 2} of {PATIENTS + 2} slides are inadequate (bare, quiet, s00, …); areas by reason in"
        in said
    )
    assert f"! 1 of {PATIENTS + 2} slides (bare): no tile has 0.01 of foreground" in said
    card = (tmp_path / "run" / "model" / "card.md").read_text(encoding="utf-8")
    assert "1 slide without a tile is in no metric" in card
    assert "torn" in said
    assert "bare  " not in said  # not in the table of failed slides
    assert "torn  " in said
    assert read_model_file(tmp_path / "run" / "model").trained_on.slides == PATIENTS


@pytest.mark.slow
def test_slides_without_patients_are_their_own_and_that_is_said(cohort: Path, tmp_path: Path):
    rows = [
        (row[0], str(cohort.parent / row[1]), "", row[3], str(cohort.parent / row[4]))
        for row in manifest_rows(cohort)
    ]
    (tmp_path / "c").mkdir()
    assert train.run(config(epochs=1), write_manifest(tmp_path / "c", rows), tmp_path / "run") == 0
    card = (tmp_path / "run" / "model" / "card.md").read_text(encoding="utf-8")
    assert "12 slides have no patient_id" in card
    assert "metrics are too good" in card


@pytest.mark.slow
def test_tiles_beyond_the_limit_are_left_out_and_counted(cohort: Path, tmp_path: Path):
    layout = RunLayout(tmp_path / "run")
    assert train.run(config(epochs=1, max_tiles_per_slide=4), cohort, layout.root) == 0
    assert all(len(np.load(layout.cached_tiles(name))) == 4 for name in parts(layout))
    left_out = sum(int(row["tiles_left_out"]) for row in records(layout.split_csv))
    assert left_out > 0
    assert f"{left_out} labelled tiles were left out" in (layout.model / "card.md").read_text(
        encoding="utf-8"
    )


def test_no_usable_slide_at_all_is_the_users_error(tmp_path: Path):
    (tmp_path / "c").mkdir()
    rows: list[tuple[str, ...]] = []
    for index, label in enumerate(["benign", "malignant"] * 2):
        (tmp_path / "c" / f"torn{index}.tif").write_bytes(b"II*\0" + bytes(index))
        rows.append((f"torn{index}", f"torn{index}.tif", "", "", "", label))
    path = write_manifest(tmp_path / "c", rows, "malignancy")
    with pytest.raises(UserError, match="found none that can be used; torn0: "):
        train.run(config(), path, tmp_path / "run")


def test_labels_in_annotations_that_cannot_be_read_are_not_called_missing(tmp_path: Path):
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "torn.tif").write_bytes(b"II*\0")
    (tmp_path / "c" / "torn.geojson").write_text("[]")
    path = write_manifest(tmp_path / "c", [("torn", "torn.tif", "", "", "torn.geojson")])
    with pytest.raises(
        UserError, match=r"found none of any head .*1 annotation could not be read, the first: torn: "
    ):
        train.run(config(), path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_unknown_backbone_is_said_before_any_slide_is_read(cohort: Path, tmp_path: Path):
    values = config().model_dump(mode="json")
    values["model"]["backbone"] = "test_efficientnett"
    with pytest.raises(UserError, match="similar ones are test_efficientnet"):
        train.run(config_from_mapping(values), cohort, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_card_has_what_reporting_checklists_ask_and_says_what_it_does_not_know(trained: RunLayout):
    card = (trained.model / "card.md").read_text(encoding="utf-8")
    model = read_model_file(trained.model)
    for words in (
        "Readers: 1, never two of the same region; their agreement is not known.",
        "parameters, starting weights scratch",
        "Split: drawn, a share of 0.25 for validation, by patient",
        "bootstrap over patients",
        "Subgroups: none; site, scanner, stain and preparation are the same on all validation slides, or not stated.",
        "Scanned at 0.5 µm/px.",
        "Intended use, users and clinical role, and what happens to a slide that is flagged, or not: *not recorded*.",
        "Head malignancy: no abstention band",
    ):
        assert words in card, words
    metric = model.validation_metrics["validation_whole_slide_sensitivity"]
    assert f"| validation_whole_slide_sensitivity | {metric.value:.3f} |" in card
    # Two patients of a kind bear no interval: that is said, instead of one from 0 to 1.
    assert "| not known | too few patients for an interval |" in card


@pytest.mark.parametrize(
    ("mpp", "warned"), [((0.5, 0.5), False), ((0.42, 0.42), False), ((0.25, 0.25), True), ((0.5, 0.61), True)]
)
def test_a_scan_of_another_magnification_is_said(trained: RunLayout, mpp: tuple[float, float], warned: bool):
    said = scale_warnings(mpp, read_model_file(trained.model))
    assert len(said) == warned
    assert all(line.startswith(f"mpp {mpp[0]:g} is outside the trained range of 0.5 to 0.5") for line in said)


def warm_config(trained: RunLayout, **training: object) -> Config:
    values = config(**training).model_dump(mode="json")
    values["model"]["weights"] = str(trained.model / "weights.safetensors")
    return config_from_mapping(values)


def test_a_warm_start_from_a_model_that_saw_the_validation_slides_is_refused(
    cohort: Path, trained: RunLayout, tmp_path: Path
):
    parts_of = parts(trained)
    seen = read_model_file(trained.model).trained_on.training_files
    files = {row["slide_id"]: row["file_sha256"][:16] for row in records(trained.split_csv)}
    assert seen == sorted(files[name] for name, part in parts_of.items() if part == "train")
    # The two parts change places: every validation slide was a training slide of the source.
    swapped = [
        (*row, "validation" if parts_of[row[0]] == "train" else "train") for row in manifest_rows(cohort)
    ]
    other = make_cohort(tmp_path / "cohort")
    write_manifest(other.parent, swapped, "split")
    with pytest.raises(
        LeakageError, match=f"found {len(seen)} of {len(seen)} among its training files, such as 's"
    ):
        train.run(warm_config(trained), other, tmp_path / "run")
    with pytest.raises(LeakageError, match="among its training files"):
        train.run(warm_config(trained), other, tmp_path / "folds", folds=2)


@pytest.mark.slow
def test_a_warm_start_on_the_same_split_remembers_the_files_of_its_source(
    cohort: Path, trained: RunLayout, tmp_path: Path
):
    extended = make_cohort(tmp_path / "cohort")
    fresh = make_cohort(tmp_path / "fresh", patients=2, first=PATIENTS)
    (extended.parent / "s12.tif").write_bytes((fresh.parent / "s12.tif").read_bytes())
    labels = (fresh.parent / "labels.csv").read_text().splitlines()[1:]
    with (extended.parent / "labels.csv").open("a") as file:
        file.write("\n".join(line for line in labels if line.startswith("s12")) + "\n")
    parts_of = parts(trained)
    kept = [(*row, parts_of[row[0]]) for row in manifest_rows(cohort)]
    first = next(row for row in kept if row[-1] == "train")
    # One training slide of the source is no longer listed; the new model knows it all the same.
    rows = [row for row in kept if row != first] + [
        ("s12", "s12.tif", "patient-12", "pap", "labels.csv", "train")
    ]
    write_manifest(extended.parent, rows, "split")
    assert train.run(warm_config(trained, epochs=1), extended, tmp_path / "run") == 0
    source, model = (read_model_file(run.model).trained_on for run in (trained, RunLayout(tmp_path / "run")))
    assert set(model.training_files) > set(source.training_files)
    assert len(model.training_files) == len(source.training_files) + 1
    card = (RunLayout(tmp_path / "run").model / "card.md").read_text(encoding="utf-8")
    assert "its training files were compared with those of the validation" in card
