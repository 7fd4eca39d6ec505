"""A model evaluated on new slides, with metrics recomputed from the tables that were written."""

import base64
import csv
import io
import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest

from inkdot.config import config_from_mapping
from inkdot.errors import UserError
from inkdot.records import Mpp
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.stages import evaluate, predict, train
from inkdot.storage.layout import RunLayout
from inkdot.storage.schemas import SCORES_VERSION, TILES_VERSION
from inkdot.storage.tables.parquet_tables import read_table
from inkdot.storage.tables.scores import read_scores

HEAD = {
    "name": "malignancy",
    "classes": ["benign", "malignant"],
    "labels": {"benign": {"benign": 1.0}, "malignant": {"malignant": 1.0}},
    "flag_class": "malignant",
}


def paint(path: Path, malignant: bool, seed: int) -> list[str]:
    generator = np.random.default_rng(seed)
    rgb = np.full((256, 256, 3), 242, np.uint8)
    rows: list[str] = []
    for index in range(4):
        x, y = 96 + 128 * (index % 2), 96 + 128 * (index // 2)  # centres of tiles
        bad = malignant and index == 0
        cv2.circle(rgb, (x, y), 16, (150, 40, 70) if bad else (70, 90, 190), cv2.FILLED)
        region = f'"POLYGON (({x - 9} {y - 9}, {x + 9} {y - 9}, {x + 9} {y + 9}, {x - 9} {y + 9}, {x - 9} {y - 9}))"'
        rows.append(f"{path.stem},{region},malignancy,{'malignant' if bad else 'benign'},r,annotation")
    rgb = np.clip(rgb + generator.normal(0, 8, rgb.shape), 0, 255).astype(np.uint8)
    write_array_pyramid(path, rgb, mpp=Mpp.square(0.5))
    return rows


def make_cohort(folder: Path, first: int, patients: int) -> Path:
    folder.mkdir(parents=True)
    labels = ["slide_id,geometry,head,label,reader,source"]
    slides = ["slide_id,path,patient_id,site,annotation,malignancy,split"]
    for index in range(first, first + patients):
        malignant = index % 2 == 1
        labels += paint(folder / f"s{index}.tif", malignant, index)
        label = "malignant" if malignant else "benign"
        slides.append(f"s{index},s{index}.tif,p{index},lab-{index % 3},labels.csv,{label},")
    (folder / "labels.csv").write_text("\n".join(labels) + "\n")
    (folder / "slides.csv").write_text("\n".join(slides) + "\n")
    return folder / "slides.csv"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    config = config_from_mapping(
        {
            "tiling": {
                "mode": "grid",
                "side_px": 32,
                "mpp": 1.0,
                "stride_px": 32,
                "min_foreground_fraction": 0.01,
                "adequacy": {"min_nuclei": 0},  # these slides hold four cells
            },
            "heads": [HEAD],
            "model": {"backbone": "test_efficientnet"},
            "training": {"epochs": 6, "batch_size": 16, "learning_rate": 0.003, "accelerator": "cpu"},
        }
    )
    assert train.run(config, make_cohort(folder / "cohort", 0, 12), folder / "run") == 0
    return folder / "run" / "model"


@pytest.fixture(scope="module")
def evaluated(model: Path, tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    folder = tmp_path_factory.mktemp("evaluated")
    slides = make_cohort(folder / "cohort", 100, 10)
    assert evaluate.run(model, slides, folder / "out") == 0
    return RunLayout(folder / "out")


def test_metrics_agree_with_the_tables_written(evaluated: RunLayout, model: Path):
    report = json.loads(evaluated.evaluation_json.read_text(encoding="utf-8"))
    threshold = json.loads((model / "model.json").read_text())["operating_points"]["malignancy"]["threshold"]
    best: dict[int, float] = {}
    tile_scores: list[float] = []
    tile_truth: list[float] = []
    for index in range(100, 110):
        scores, _ = read_table(evaluated.scores(f"s{index}"), SCORES_VERSION)
        tiles, _ = read_table(evaluated.tiles(f"s{index}"), TILES_VERSION)
        own = scores.column("p.malignancy.malignant").to_pylist()
        best[index] = max(own)
        truth = tiles.column("target.malignancy.malignant").to_pylist()
        tile_scores += [s for s, t in zip(own, truth, strict=True) if t is not None]
        tile_truth += [t for t in truth if t is not None]
    positive = [best[i] for i in range(101, 110, 2)]
    negative = [best[i] for i in range(100, 110, 2)]
    auc = np.mean([(p > n) + 0.5 * (p == n) for p in positive for n in negative])
    assert report["metrics"]["slides"]["auc"]["value"] == pytest.approx(auc)
    assert report["metrics"]["patients"]["auc"]["value"] == pytest.approx(auc)  # one slide each
    sensitivity = np.mean([score >= threshold for score in positive])
    assert report["metrics"]["slides"]["sensitivity"]["value"] == pytest.approx(sensitivity)
    calls = report["calls"]
    assert calls.get("positive, flagged", 0) == round(5 * sensitivity)
    assert sum(calls.values()) == 10
    wins = [
        (p > n) + 0.5 * (p == n)
        for p, t in zip(tile_scores, tile_truth, strict=True)
        if t == 1
        for n, u in zip(tile_scores, tile_truth, strict=True)
        if u == 0
    ]
    assert report["metrics"]["tiles"]["auc"]["value"] == pytest.approx(np.mean(wins))
    assert report["metrics"]["tiles"]["auc"]["value"] > 0.9  # it was trained
    assert 0 <= report["metrics"]["slides"]["hit@10"]["value"] <= 1
    # Every marked region lies whole in one tile, and every tile is shown: what is found is what scores high enough.
    malignant = [s for s, t in zip(tile_scores, tile_truth, strict=True) if t == 1]
    benign_slides = [
        value
        for index in range(100, 110, 2)
        for value in read_table(evaluated.scores(f"s{index}"), SCORES_VERSION)[0]
        .column("p.malignancy.malignant")
        .to_pylist()
    ]
    reached = [
        np.mean([score >= t for score in malignant])
        for t in sorted({*malignant, *benign_slides}, reverse=True)
        if sum(score >= t for score in benign_slides) / 5 <= 1.0
    ]
    assert report["metrics"]["regions"]["sensitivity@1"]["value"] == pytest.approx(max(reached, default=0.0))
    risks = report["curves"]["risk_coverage"]
    assert risks[-1]["coverage"] == 1.0
    called_right = sum((best[index] >= threshold) == (index % 2 == 1) for index in range(100, 110))
    assert risks[-1]["risk"] == pytest.approx(1 - called_right / 10)
    assert sum(row["count"] for row in report["reliability"]) == len(tile_scores)
    assert set(report["subgroups"]["site"]) == {"lab-0", "lab-1", "lab-2"}
    fates = report["misses"]["regions"]
    assert fates["found"]["count"] == sum(score >= threshold for score in malignant)
    assert fates["scored_low"]["count"] == sum(score < threshold for score in malignant)
    assert fates["no_tile_was_cut"]["count"] == 0
    assert report["misses"]["slides"]["found"]["value"] <= sensitivity
    assert len(report["misses"]["missed"]) >= sum(score < threshold for score in malignant)
    assert report["cell_count"]["unit"] == "tiles"
    # Every slide holds four tiles: their number tells nothing.
    assert report["cell_count"]["auc_of_count"]["value"] == 0.5
    assert report["operating_point"]["threshold"] == threshold


def test_an_inadequate_slide_is_never_a_true_negative(evaluated: RunLayout, model: Path, tmp_path: Path):
    """The same slides and model, which now needs more cells than the slides hold."""
    strict = tmp_path / "strict"
    shutil.copytree(model, strict)
    description = json.loads((strict / "model.json").read_text(encoding="utf-8"))
    description["tiling"]["adequacy"]["min_nuclei"] = 20
    (strict / "model.json").write_text(json.dumps(description), encoding="utf-8")
    slides = evaluated.root.parent / "cohort" / "slides.csv"
    assert evaluate.run(strict, slides, tmp_path / "out") == 0
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert report["calls"] == {"positive, inadequate": 5, "negative, inadequate": 5}
    assert report["metrics"]["slides"]["sensitivity"]["value"] == 0.0
    assert "specificity" not in report["metrics"]["slides"]
    assert "auc" not in report["metrics"]["slides"]


@pytest.mark.slow
def test_the_worst_errors_are_shown_with_their_highest_tile(
    evaluated: RunLayout, model: Path, tmp_path: Path
):
    """With every slide's label swapped, all calls are wrong: the worst first, each with its own highest tile."""
    slides = evaluated.root.parent / "cohort" / "slides.csv"
    turned = slides.with_name("turned.csv")
    text = slides.read_text().replace(",malignant,", ",?,").replace(",benign,", ",malignant,")
    turned.write_text(text.replace(",?,", ",benign,").replace("labels.csv", ""))
    best = {index: read_scores(evaluated.scores(f"s{index}")) for index in range(100, 110)}
    highest = {f"s{index}": float(own.flag_scores.max()) for index, own in best.items()}
    middle = float(np.mean(sorted(highest.values())[4:6]))
    flagged = {name for name, score in highest.items() if score >= middle}
    assert {int(name[1:]) % 2 for name in flagged} == {1}
    changed = tmp_path / "changed"  # the same model with a threshold between the two kinds
    shutil.copytree(model, changed)
    description = json.loads((changed / "model.json").read_text(encoding="utf-8"))
    description["operating_points"]["malignancy"]["threshold"] = middle
    (changed / "model.json").write_text(json.dumps(description), encoding="utf-8")
    assert evaluate.run(changed, turned, tmp_path / "out") == 0
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    missed = sorted((s for n, s in highest.items() if int(n[1:]) % 2 == 0 and n not in flagged))
    false_positives = sorted(
        (s for n, s in highest.items() if int(n[1:]) % 2 == 1 and n in flagged), reverse=True
    )
    shown = {
        kind: [e for e in report["worst_errors"] if e["kind"] == kind]
        for kind in ("missed", "false positive")
    }
    assert [e["score"] for e in shown["missed"]] == pytest.approx(missed)
    assert [e["score"] for e in shown["false positive"]] == pytest.approx(false_positives)
    assert (len(missed), len(false_positives)) == (5, 5)
    assert all(highest[e["name"]] == pytest.approx(e["score"]) for e in report["worst_errors"])
    shown_page = (tmp_path / "out" / "evaluation.html").read_text(encoding="utf-8")
    images = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', shown_page)
    assert len(images) == len(report["worst_errors"])
    assert len(shown_page) < 300_000
    # The image of a slide is its highest tile: red cells of malignant slides, blue ones of the others.
    reds = [np.asarray(Image.open(io.BytesIO(base64.b64decode(data))), float) for data in images]
    dark = [pixels[pixels.sum(axis=2) < 500].mean(axis=0) for pixels in reds]
    is_red = [bool(colour[0] > colour[2]) for colour in dark]
    assert is_red == [e["kind"] == "false positive" for e in report["worst_errors"]]


@pytest.mark.slow
def test_slides_without_a_call_are_neither_right_nor_wrong(evaluated: RunLayout, model: Path, tmp_path: Path):
    """The same slides and model, which now abstains on three of them."""
    best = {
        index: max(
            read_table(evaluated.scores(f"s{index}"), SCORES_VERSION)[0]
            .column("p.malignancy.malignant")
            .to_pylist()
        )
        for index in range(100, 110)
    }
    inside = sorted(best.values())[4:7]
    careful = tmp_path / "careful"
    shutil.copytree(model, careful)
    description = json.loads((careful / "model.json").read_text(encoding="utf-8"))
    threshold = description["operating_points"]["malignancy"]["threshold"]
    low, high = min(inside) - 1e-5, max(inside) + 1e-5
    metric = {"value": 0.0, "low": 0.0, "high": 1.0, "method": "by hand"}
    band = {
        "low": low,
        "high": high,
        "target_selective_risk": 0.05,
        "selective_risk": metric,
        "coverage": metric,
    }
    description["abstention"] = {"malignancy": band | {"evaluated_on": "slides"}}
    (careful / "model.json").write_text(json.dumps(description), encoding="utf-8")
    slides = evaluated.root.parent / "cohort" / "slides.csv"
    assert evaluate.run(careful, slides, tmp_path / "out") == 0
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    calls = report["calls"]
    assert sum(count for name, count in calls.items() if name.endswith("indeterminate")) == 3
    metrics = report["metrics"]["slides"]
    assert metrics["coverage"]["value"] == pytest.approx(0.7)
    labels = {index: score for index, score in best.items() if not low < score < high}
    wrong = [(score >= threshold) != (index % 2 == 1) for index, score in labels.items()]
    assert metrics["selective_risk"]["value"] == pytest.approx(np.mean(wrong))
    assert metrics["selective_risk"]["low"] <= metrics["selective_risk"]["value"]
    text = (tmp_path / "out" / "evaluation.html").read_text(encoding="utf-8")
    assert "The model abstains (indeterminate) on scores between" in text
    assert "the ring is the model&#39;s own abstention band" in text
    assert "the ring is the model" not in evaluated.evaluation_html.read_text(encoding="utf-8")
    assert "coverage" not in json.loads(evaluated.evaluation_json.read_text())["metrics"]["slides"]
    # The calls of `predict` are those that were evaluated.
    assert predict.run([slides], careful, tmp_path / "results") == 0
    lines = csv.DictReader((tmp_path / "results" / "predictions.csv").read_text().splitlines())
    assert sum(line["call"] == "indeterminate" for line in lines) == 3


def test_names_are_explained_and_subgroups_are_counted(evaluated: RunLayout):
    text = evaluated.evaluation_html.read_text(encoding="utf-8")
    assert "share of the marked regions that are found" in text
    assert "Patients: 5 positive, 5 negative. Slides: 5 positive, 5 negative." in text
    assert "4 patients: 2 positive, 2 negative slides" in text  # lab-1: 100, 103, 106, 109


def test_every_reliability_bin_has_an_interval(evaluated: RunLayout):
    rows = json.loads(evaluated.evaluation_json.read_text(encoding="utf-8"))["reliability"]
    assert rows
    for row in rows:
        assert 0 <= row["low"] <= row["fraction_positive"] <= row["high"] <= 1
        assert row["high"] - row["low"] > 0.01


def test_the_page_loads_nothing_and_states_intervals(evaluated: RunLayout):
    text = evaluated.evaluation_html.read_text(encoding="utf-8")
    assert "For Research Use Only. Not for use in diagnostic procedures." in text
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")
    assert "ROC of patients; the ring is the locked threshold" in text
    assert "FROC of the regions shown" in text
    assert "95 % interval" in text


@pytest.mark.slow
def test_a_second_run_gives_the_same_bytes(evaluated: RunLayout, model: Path):
    before = evaluated.evaluation_json.read_bytes(), evaluated.evaluation_html.read_bytes()
    assert evaluate.run(model, evaluated.root.parent / "cohort" / "slides.csv", evaluated.root) == 0
    assert (evaluated.evaluation_json.read_bytes(), evaluated.evaluation_html.read_bytes()) == before


def test_with_a_split_only_test_slides_are_evaluated(model: Path, tmp_path: Path):
    slides = make_cohort(tmp_path / "cohort", 200, 4)
    text = slides.read_text().splitlines()
    split = ["train", "test", "test", "validation"]
    slides.write_text(
        "\n".join([text[0], *(line + part for line, part in zip(text[1:], split, strict=True))])
    )
    assert evaluate.run(model, slides, tmp_path / "out") == 0
    assert sorted(path.stem for path in (tmp_path / "out" / "scores").iterdir()) == ["s201", "s202"]
    slides.write_text(slides.read_text().replace("test", "train"))
    with pytest.raises(UserError, match="split = test, found none"):
        evaluate.run(model, slides, tmp_path / "out2")


def test_bad_slides_are_listed_escaped_and_in_no_metric(model: Path, tmp_path: Path):
    slides = make_cohort(tmp_path / "cohort", 300, 2)
    (tmp_path / "cohort" / "torn.tif").write_bytes(b"II*\0 torn")
    slides.write_text(slides.read_text() + "<b>torn,torn.tif,p9,,,malignant,\n".replace("<b>", "[b]&"))
    assert evaluate.run(model, slides, tmp_path / "out") == 1
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert list(report["failed"]) == ["[b]&torn"]
    assert sum(report["calls"].values()) == 2
    assert "[b]&amp;torn" in (tmp_path / "out" / "evaluation.html").read_text()


def test_an_empty_slide_is_inadequate_and_no_failure(model: Path, tmp_path: Path):
    slides = make_cohort(tmp_path / "cohort", 300, 4)
    blank = np.full((256, 256, 3), 242, np.uint8)
    write_array_pyramid(tmp_path / "cohort" / "bare.tif", blank, mpp=Mpp.square(0.5))
    slides.write_text(slides.read_text() + "bare,bare.tif,p9,,,malignant,\n")
    assert evaluate.run(model, slides, tmp_path / "out") == 0
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert report["failed"] == {}
    assert report["calls"]["positive, inadequate"] == 1
    # The positive slide without cells counts as missed: an interval of so many among three, not among two.
    flagged = report["calls"].get("positive, flagged", 0)
    interval = binomtest(flagged, 3).proportion_ci(method="exact")
    sensitivity = report["metrics"]["slides"]["sensitivity"]
    assert [sensitivity[name] for name in ("value", "low", "high")] == pytest.approx([flagged / 3, *interval])


def test_slides_without_any_label_cannot_be_evaluated(model: Path, tmp_path: Path):
    slides = make_cohort(tmp_path / "cohort", 400, 1)
    slides.write_text("slide_id,path\ns400,s400.tif\n")
    with pytest.raises(UserError, match="slides or patients whose labels are known, found none among 1"):
        evaluate.run(model, slides, tmp_path / "out")


def with_columns(evaluated: RunLayout, folder: Path, change: dict[str, str]) -> Path:
    """The evaluated slides in another table, with other values in some columns."""
    cohort = evaluated.root.parent / "cohort"
    rows = list(csv.DictReader((cohort / "slides.csv").read_text().splitlines()))
    named = [row | {"path": str(cohort / row["path"])} for row in rows]
    changed = [row | {key: value.format(**row) for key, value in change.items()} for row in named]
    folder.mkdir()
    with (folder / "slides.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(changed[0]))
        writer.writeheader()
        writer.writerows(changed)
    return folder / "slides.csv"


def test_where_only_patients_labels_are_known_patients_are_evaluated(
    evaluated: RunLayout, model: Path, tmp_path: Path
):
    slides = with_columns(
        evaluated,
        tmp_path / "cohort",
        {"annotation": "", "malignancy": "", "patient_malignancy": "{malignancy}"},
    )
    assert evaluate.run(model, slides, tmp_path / "out") == 0
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    before = json.loads(evaluated.evaluation_json.read_text(encoding="utf-8"))
    assert report["metrics"]["patients"] == before["metrics"]["patients"]
    assert report["metrics"]["slides"] == {}
    assert "Nothing can be computed" in (tmp_path / "out" / "evaluation.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_slides_out_of_the_training_distribution_are_on_the_page(
    evaluated: RunLayout, model: Path, tmp_path: Path
):
    slides = with_columns(evaluated, tmp_path / "cohort", {"annotation": "", "stain": "mgg", "mpp": "0.3"})
    assert evaluate.run(model, slides, tmp_path / "out") == 0
    warnings = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))["warnings"]
    assert any(
        line.startswith("10 of 10 slides") and "stain 'mgg' was never seen" in line for line in warnings
    )
    assert sum("mpp 0.3 is outside the trained range" in line for line in warnings) == 1
    assert not any(
        "mpp" in line
        for line in json.loads(evaluated.evaluation_json.read_text(encoding="utf-8"))["warnings"]
    )


def test_where_every_slide_fails_the_message_names_no_column(
    evaluated: RunLayout, model: Path, tmp_path: Path
):
    slides = with_columns(evaluated, tmp_path / "cohort", {"annotation": "", "path": "gone-{slide_id}.tif"})
    with pytest.raises(UserError, match="expected slides that can be scored, found none") as raised:
        evaluate.run(model, slides, tmp_path / "out")
    assert "column" not in str(raised.value)


def test_training_slides_are_counted_in_a_warning(evaluated: RunLayout, model: Path, tmp_path: Path):
    run = RunLayout(model.parent)
    with run.split_csv.open(encoding="utf-8", newline="") as file:
        trained = sum(row["split"] == "train" for row in csv.DictReader(file))
    assert 0 < trained < 12
    assert evaluate.run(model, model.parent.parent / "cohort" / "slides.csv", tmp_path / "out") == 0
    warning = f"The model was trained on {trained} of these 12 slides: the metrics are too good."
    assert warning in str(json.loads(RunLayout(tmp_path / "out").evaluation_json.read_text())["warnings"])
    assert "metrics are too good" not in evaluated.evaluation_json.read_text()
