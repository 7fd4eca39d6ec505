"""Training on slides with nothing but a label each: one dark blob among nine makes a slide malignant."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fixtures.slides_with_labels import SLIDES, config, make_cohort

from inkdot.config import Config, config_from_mapping
from inkdot.errors import UserError
from inkdot.metrics.slides.attention_pooling import attention_pool
from inkdot.stages import predict, train
from inkdot.storage.layout import RunLayout
from inkdot.storage.models.model_files import read_model_file
from inkdot.storage.tables.scores import read_scores


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cohort(tmp_path_factory.mktemp("slides") / "cohort")


@pytest.fixture(scope="module")
def trained(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    layout = RunLayout(tmp_path_factory.mktemp("slides") / "run")
    assert train.run(config(), cohort, layout.root) == 0
    return layout


@pytest.mark.slow
def test_training_from_slide_labels_makes_a_model_with_attention(trained: RunLayout) -> None:
    model = read_model_file(trained.model)
    assert model.version == "inkdot.model/5"
    assert model.attention is not None
    assert model.attention.start == "pseudo-labels"
    assert model.attention.follows
    assert model.attention.slides_per_class == {"malignancy.benign": 4.0, "malignancy.malignant": 4.0}
    assert model.operating_points["malignancy"].evaluated_on == "attention"
    assert "validation_slide_auc.malignancy.malignant" in model.validation_metrics
    phases = {"weak_labels", "pseudo_labels_1", "pseudo_labels_2", "pseudo_labels_3"}
    assert {path.name for path in trained.root.iterdir()} >= {*phases, "model"}
    split = list(csv.DictReader(trained.split_csv.read_text(encoding="utf-8").splitlines()))
    assert len(split) == SLIDES
    # A benign slide labels its tiles, a malignant one does not.
    assert {int(row["labelled_tiles"]) > 0 for row in split if int(row["slide_id"][1:]) % 2 == 0} == {True}
    assert {int(row["labelled_tiles"]) for row in split if int(row["slide_id"][1:]) % 2 == 1} == {0}
    card = (trained.model / "card.md").read_text(encoding="utf-8")
    assert "attention-weighted mean" in card
    assert "with pseudo-labels" in card


@pytest.mark.slow
def test_predict_writes_attention_and_scores_slides_by_it(
    trained: RunLayout, cohort: Path, tmp_path: Path
) -> None:
    assert predict.run([cohort], trained.model, tmp_path, predict.PredictSettings(runtime="torch")) == 0
    point = read_model_file(trained.model).operating_points["malignancy"]
    lines = list(csv.DictReader((tmp_path / "predictions.csv").read_text(encoding="utf-8").splitlines()))
    called: list[str] = []
    for line in lines:
        scores = read_scores(RunLayout(tmp_path).scores(line["slide_id"]))
        weights = scores.table.column("attention").to_numpy()
        assert weights.min() >= 0.0
        assert weights.sum() == pytest.approx(1.0, abs=1e-5)
        both = [scores.probabilities("malignancy", name) for name in ("benign", "malignant")]
        expected = np.float32(attention_pool(np.stack(both, axis=1), weights)[1])
        assert float(line["score"]) == pytest.approx(expected, abs=1e-4)
        assert float(line["score"]) <= scores.flag_scores.max() + 1e-4
        called.append("flagged" if expected >= np.float32(point.threshold) else "nothing flagged")
    assert [line["call"] for line in lines] == called
    # The threshold was locked so that every positive validation slide is flagged, in these very scores.
    split = {
        row["slide_id"]: row["split"] for row in csv.DictReader(trained.split_csv.read_text().splitlines())
    }
    positive = [
        row for row in lines if split[row["slide_id"]] == "validation" and int(row["slide_id"][1:]) % 2
    ]
    assert positive
    assert {row["call"] for row in positive} == {"flagged"}


@pytest.mark.slow
def test_a_dry_run_counts_the_steps_of_all_phases(
    trained: RunLayout, cohort: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.run(config(), cohort, trained.root, dry_run=True) == 0
    output = " ".join(capsys.readouterr().err.split())
    tiles = int(re.findall(r"Training: (\d+) tiles", output)[0])
    # Batches of 16 tiles, or of four slides with four: weak labels, three rounds of pseudo-labels, slides.
    assert f"Steps: at most {5 * round(tiles / 16)}, in all phases of training from slides." in output


@pytest.mark.slow
def test_twice_gives_the_same_bytes(trained: RunLayout, cohort: Path) -> None:
    again = RunLayout(trained.root.parent / "again")
    assert train.run(config(), cohort, again.root) == 0
    for name in ("weights.safetensors", "model.json"):
        assert (again.model / name).read_bytes() == (trained.model / name).read_bytes()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_run_killed_in_each_phase_resumes_to_the_same_bytes(
    trained: RunLayout, cohort: Path, tmp_path: Path
) -> None:
    """A real process, killed as soon as each phase has written its metrics.

    It kills itself at the next file that it opens, since a watcher from outside might come too late.
    """
    path, cut = tmp_path / "config.json", RunLayout(tmp_path / "cut")
    path.write_text(json.dumps(config().model_dump(mode="json")))
    code = (
        "import os, signal, sys; from pathlib import Path; from inkdot.config import load_config\n"
        "from inkdot.stages import train\n"
        "*files, written = map(Path, sys.argv[1:])\n"
        "def watch(event, arguments):\n"
        "    if event == 'open' and written.exists(): os.kill(os.getpid(), signal.SIGKILL)\n"
        "sys.addaudithook(watch)\n"
        "train.run(load_config(files[0]), *files[1:])"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(path), str(cohort), str(cut.root)]
    for phase in ("weak_labels", "pseudo_labels_1", "pseudo_labels_2", "pseudo_labels_3", "mil"):
        ended = subprocess.run([*command, str(cut.phase(phase).metrics_csv)], stderr=subprocess.DEVNULL)
        assert ended.returncode == -signal.SIGKILL
        assert not (cut.model / "model.json").exists()
    assert train.run(config(), cohort, cut.root) == 0
    for name in ("model/weights.safetensors", "model/model.json", "mil/metrics.csv"):
        assert (cut.root / name).read_bytes() == (trained.root / name).read_bytes()


@pytest.mark.slow
def test_attention_can_be_trained_without_pseudo_labels(cohort: Path, tmp_path: Path) -> None:
    settings = config(mil={"bag_tiles": 4, "hidden": 4, "start": "none"})
    assert train.run(settings, cohort, tmp_path) == 0
    found = read_model_file(RunLayout(tmp_path).model).attention
    assert found is not None
    assert found.start == "scratch"
    phases = {"weak_labels", "pseudo_labels_1", "pseudo_labels_2", "pseudo_labels_3"}
    assert not {path.name for path in tmp_path.iterdir()} & phases


@pytest.mark.slow
@pytest.mark.parametrize("aggregator", ["clam_sb", "mean", "max"])
def test_the_whole_network_trains_by_each_aggregator(cohort: Path, tmp_path: Path, aggregator: str) -> None:
    layout = RunLayout(tmp_path / "run")
    settings = config(mil={"bag_tiles": 4, "hidden": 4, "aggregator": aggregator})
    assert train.run(settings, cohort, layout.root) == 0
    attention = read_model_file(layout.model).attention
    assert attention is not None
    assert (attention.aggregator, attention.hidden) == (aggregator, 4 if aggregator == "clam_sb" else 0)
    header = (layout.root / "mil" / "metrics.csv").read_text(encoding="utf-8").splitlines()[0]
    assert ("train_loss.instances" in header.split(",")) == (aggregator == "clam_sb")
    out = RunLayout(tmp_path / "predicted")
    of_predict = predict.PredictSettings(runtime="torch", slide_images=False)
    assert predict.run([cohort], layout.model, out.root, of_predict) == 0
    lines = csv.DictReader((out.root / "predictions.csv").read_text(encoding="utf-8").splitlines())
    scored = {line["slide_id"]: float(line["score"]) for line in lines}
    for name, score in scored.items():
        scores = read_scores(out.scores(name))
        odds = [np.log(scores.probabilities("malignancy", own)) for own in ("malignant", "benign")]
        margins = (odds[0] - odds[1]).astype(np.float64)
        if aggregator != "clam_sb":
            margin = margins.mean() if aggregator == "mean" else margins.max()
            assert score == pytest.approx(1 / (1 + np.exp(-margin)), abs=1e-3)
    positive = [score for name, score in scored.items() if int(name[1:]) % 2]
    assert min(positive) > max(score for name, score in scored.items() if int(name[1:]) % 2 == 0)


@pytest.mark.slow
def test_labels_of_tiles_and_of_slides_are_used_together(tmp_path: Path) -> None:
    mixed = make_cohort(tmp_path / "cohort", annotated=8)
    layout = RunLayout(tmp_path / "run")
    assert train.run(config(), mixed, layout.root) == 0
    model = read_model_file(layout.model)
    assert model.attention is not None
    assert model.attention.start == "tiles"
    assert model.trained_on.tiles_per_class["malignancy.malignant"] > 0
    header = (layout.root / "mil" / "metrics.csv").read_text(encoding="utf-8").splitlines()[0]
    assert {"train_loss.slides.malignancy", "train_loss.tiles.malignancy"} <= set(header.split(","))


@pytest.mark.slow
def test_a_second_head_is_trained_from_slide_labels_too(tmp_path: Path) -> None:
    manifest = make_cohort(tmp_path / "cohort")
    header, *rows = manifest.read_text().splitlines()
    kinds = [",", ",small_cell", ",", ",large_cell"] * (SLIDES // 4)
    manifest.write_text(
        "\n".join([f"{header},morphology", *(row + kind for row, kind in zip(rows, kinds, strict=True))])
    )
    heads = [head.model_dump() for head in Config().heads]
    both = config().model_dump(mode="json") | {"heads": heads}
    layout = RunLayout(tmp_path / "run")
    assert train.run(config_from_mapping(both), manifest, layout.root) == 0
    model = read_model_file(layout.model)
    assert model.attention is not None
    counts = model.attention.slides_per_class
    assert counts["morphology.small_cell"] + counts["morphology.large_cell"] == 4.0
    for phase in ("weak_labels", "pseudo_labels_2"):
        columns = layout.phase(phase).metrics_csv.read_text(encoding="utf-8").splitlines()[0].split(",")
        assert "train_loss.morphology" in columns


@pytest.mark.slow
def test_slide_labels_can_be_left_unused(cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="found 6 with benign and 0 with malignant"):
        train.run(config(mil={"use": "never"}), cohort, tmp_path)


@pytest.mark.slow
def test_labelled_tiles_everywhere_need_no_attention(tmp_path: Path) -> None:
    labelled = make_cohort(tmp_path / "cohort", annotated=SLIDES)
    assert train.run(config(), labelled, tmp_path / "run") == 0
    description = json.loads((tmp_path / "run" / "model" / "model.json").read_text(encoding="utf-8"))
    assert description["version"] == "inkdot.model/5"
    assert "attention" not in description
