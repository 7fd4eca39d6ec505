"""`inkdot compare` on tables of scores, against scikit-learn and against what it must refuse."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, balanced_accuracy_score, brier_score_loss, roc_auc_score
from sklearn.metrics import log_loss as reference_log_loss

from inkdot.errors import UserError
from inkdot.metrics.intervals.delong import delong_test
from inkdot.stages import compare
from inkdot.storage.layout import RunLayout
from inkdot.storage.output_layouts import ComparisonLayout

CLASSES = ("low", "middle", "high")
ROWS = 180


def head(classes: tuple[str, ...]) -> dict[str, Any]:
    return {
        "name": "grade",
        "classes": list(classes),
        "labels": {name: {name: 1.0} for name in classes},
        "flag_class": classes[-1],
    }


def cohort(classes: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(1)
    return {
        "truth": generator.integers(0, classes, ROWS),
        "names": np.array([f"i{row}" for row in range(ROWS)]),
        "groups": np.array([f"g{row // 2}" for row in range(ROWS)]),
        "folds": np.arange(ROWS) // 2 % 5 + 1,
    }


def scores_of(truth: np.ndarray, classes: int, seed: int, noise: float) -> np.ndarray:
    logits = 1.5 * np.eye(classes)[truth] + noise * np.random.default_rng(seed).normal(size=(ROWS, classes))
    powers = np.exp(logits)
    return np.round(powers / powers.sum(axis=1, keepdims=True), 6)


def write_run(
    folder: Path, scores: np.ndarray, rows: dict[str, np.ndarray], classes: tuple[str, ...] = CLASSES[1:]
) -> Path:
    """A run folder of ``train --images --folds``, as far as `compare` reads it."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"heads": [head(classes)], "later": 1}))
    columns = [f"target.grade.{name}" for name in classes] + [f"p.grade.{name}" for name in classes]
    with RunLayout(folder).out_of_fold_csv.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["name", "group", "fold", *columns, "flagged"])
        for row, own in enumerate(scores.tolist()):
            place = [rows["names"][row], rows["groups"][row], rows["folds"][row]]
            targets = np.eye(len(classes))[rows["truth"][row]].tolist()
            writer.writerow([*place, *targets, *own, int(own[-1] >= 0.4)])
    return folder


def facts_of(out: Path) -> dict[str, Any]:
    return json.loads(ComparisonLayout(out).json.read_text(encoding="utf-8"))


def test_values_and_differences_are_those_of_scikit_learn(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rows = cohort(2)
    truth = rows["truth"] == 1
    both = [scores_of(rows["truth"], 2, seed, noise) for seed, noise in ((2, 1.0), (3, 2.0))]
    folders = [
        write_run(tmp_path / name, own, rows) for name, own in zip(("old", "new|er"), both, strict=True)
    ]
    assert compare.run(folders, tmp_path / "out", replicates=200) == 0
    facts = facts_of(tmp_path / "out")
    expected = {
        "auc.grade.high": [roc_auc_score(truth, own[:, 1]) for own in both],
        "average_precision.grade.high": [average_precision_score(truth, own[:, 1]) for own in both],
        "brier_score.grade.high": [brier_score_loss(truth, own[:, 1]) for own in both],
        "log_loss.grade": [reference_log_loss(truth, own) for own in both],
        "balanced_accuracy.grade": [balanced_accuracy_score(truth, own[:, 1] > 0.5) for own in both],
        "balanced_accuracy_at_threshold.grade.high": [
            balanced_accuracy_score(truth, own[:, 1] >= 0.4) for own in both
        ],
        "sensitivity.grade.high": [(own[truth, 1] >= 0.4).mean() for own in both],
        "specificity.grade.high": [(own[~truth, 1] < 0.4).mean() for own in both],
    }
    assert set(facts["metrics"]) == set(expected)
    for name, values in expected.items():
        metric = facts["metrics"][name]
        found = [metric["values"][model] for model in ("old", "new|er")]
        assert [own["value"] for own in found] == pytest.approx(values, abs=1e-6), name
        assert all(own["low"] < own["value"] < own["high"] for own in found), name
        change = metric["differences"]["new|er"]
        assert change["value"] == pytest.approx(values[1] - values[0], abs=1e-6), name
        assert change["low"] < change["value"] < change["high"], name
        assert metric["lower_is_better"] == name.startswith(("brier", "log_loss"))
    test = delong_test(truth, both[1][:, 1], both[0][:, 1], rows["groups"])
    assert test is not None
    delong = facts["delong"]["new|er"]
    assert (delong["value"], delong["p"], delong["p_holm"]) == pytest.approx((test.value, test.p, test.p))
    assert "Obuchowski" in delong["method"]
    page = ComparisonLayout(tmp_path / "out").markdown.read_text(encoding="utf-8")
    assert "180 images of 90 patients, in 5 folds" in page
    assert "new\\|er" in page
    assert ComparisonLayout(tmp_path / "out").plot.read_text(encoding="utf-8").startswith("<svg")
    printed = capsys.readouterr().err
    assert "auc" in printed
    assert "balanced_accuracy_at_threshold" in printed  # not cut within a word, at 80 columns
    assert "grade.high" in printed
    assert "significant" not in printed + page
    for name in expected:  # numbers are not folded at 80 columns, and stand in lines of their own
        other = facts["metrics"][name]["values"]["new|er"]
        assert f"{other['value']:.3f} ({other['low']:.3f} to {other['high']:.3f})" in printed
        assert any(line.startswith(name) for line in printed.splitlines()), name
    change = facts["delong"]["new|er"]
    assert f"{change['value']:+.3f} ({change['low']:+.3f} to {change['high']:+.3f})" in printed


def test_a_folder_that_holds_a_run_is_not_written_into(tmp_path: Path):
    rows = cohort(2)
    folders = [write_run(tmp_path / name, scores_of(rows["truth"], 2, 2, 1.0), rows) for name in ("a", "b")]
    before = {path.name for path in folders[0].iterdir()}
    with pytest.raises(
        UserError, match=r"expected a new folder, or one of `inkdot compare`, found a run \(config"
    ):
        compare.run(folders, folders[0], replicates=10)
    assert {path.name for path in folders[0].iterdir()} == before
    for _ in range(2):  # its own folder may be written again
        assert compare.run(folders, tmp_path / "out", replicates=10) == 0


def test_three_models_of_three_classes(tmp_path: Path):
    rows = cohort(3)
    probabilities = [
        scores_of(rows["truth"], 3, seed, noise) for seed, noise in ((2, 1.0), (3, 1.0), (4, 4.0))
    ]
    folders = [write_run(tmp_path / f"m{k}", own, rows, CLASSES) for k, own in enumerate(probabilities)]
    assert compare.run(folders, tmp_path / "out", replicates=200) == 0
    facts = facts_of(tmp_path / "out")
    mean_aucs = [
        roc_auc_score(rows["truth"], own / own.sum(axis=1, keepdims=True), multi_class="ovr")
        for own in probabilities
    ]
    found = facts["metrics"]["mean_auc.grade"]
    assert [found["values"][f"m{k}"]["value"] for k in range(3)] == pytest.approx(mean_aucs, abs=1e-6)
    assert set(found["differences"]) == {"m1", "m2"}
    p, adjusted = ([facts["delong"][f"m{k}"][key] for k in (1, 2)] for key in ("p", "p_holm"))
    assert p[1] < p[0]  # the third model is much worse
    assert adjusted == pytest.approx([p[0], 2 * p[1]])


def test_a_model_compared_with_its_copy_has_no_difference_and_no_test(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    rows = cohort(2)
    own = scores_of(rows["truth"], 2, 2, 1.0)
    folders = [write_run(tmp_path / name, own, rows) for name in ("a", "b")]
    assert compare.run(folders, tmp_path / "out", replicates=200) == 0
    facts = facts_of(tmp_path / "out")
    assert facts["delong"] == {"b": None}
    change = facts["metrics"]["auc.grade.high"]["differences"]["b"]
    assert (change["value"], change["low"], change["high"]) == (0.0, None, None)
    page = ComparisonLayout(tmp_path / "out").markdown.read_text(encoding="utf-8")
    assert "no test: the difference has no variance" in page
    assert "The test needs two patients of each class" in page
    assert "Obuchowski" not in page
    printed = capsys.readouterr().err
    assert "patients gives the same" in re.sub(r"\s+", " ", printed)  # words are folded, not cut
    rows_of_models = [line.split()[0] for line in printed.splitlines() if re.match(r" [ab] +\d", line)]
    assert (
        rows_of_models.count("a") == rows_of_models.count("b") == len(facts_of(tmp_path / "out")["metrics"])
    )


def test_only_common_images_are_compared_where_asked(tmp_path: Path):
    rows = cohort(2)
    own = scores_of(rows["truth"], 2, 2, 1.0)
    fewer = {name: values[3:] for name, values in rows.items()}
    first = write_run(tmp_path / "a", own, rows)
    second = write_run(tmp_path / "b", own[3:] ** 1.1, fewer)
    with pytest.raises(UserError, match=r"found 3 only in a \(i0, i1, i2\); use --common to compare the 177"):
        compare.run([first, second], tmp_path / "out")
    assert compare.run([first, second], tmp_path / "out", common=True, replicates=200) == 0
    assert facts_of(tmp_path / "out")["rows"] == 177


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("groups", r"expected the patient of .*, found another for 1 images, such as 'i5' \(g2 and other\)"),
        ("truth", r"expected the truth of .*, found another for 1 images, such as 'i5'"),
        (
            "folds",
            r"expected the fold of .*, found another for 1 images, such as 'i5' \(3 and 1\); run both with",
        ),
    ],
)
def test_other_patients_truths_or_folds_are_refused(tmp_path: Path, column: str, message: str):
    rows = cohort(2)
    own = scores_of(rows["truth"], 2, 2, 1.0)
    changed = {name: values.copy() for name, values in rows.items()}
    changed["groups"] = changed["groups"].astype(object)
    changed[column][5] = {"groups": "other", "truth": 1 - rows["truth"][5], "folds": 1}[column]
    folders = [write_run(tmp_path / "a", own, rows), write_run(tmp_path / "b", own, changed)]
    with pytest.raises(UserError, match=message):
        compare.run(folders, tmp_path / "out")


def test_other_classes_one_folder_twice_and_no_results_are_refused(tmp_path: Path):
    two, three = cohort(2), cohort(3)
    first = write_run(tmp_path / "a", scores_of(two["truth"], 2, 2, 1.0), two)
    other = write_run(tmp_path / "b", scores_of(three["truth"], 3, 2, 1.0), three, CLASSES)
    with pytest.raises(UserError, match="compare models of the same heads"):
        compare.run([first, other], tmp_path / "out")
    with pytest.raises(UserError, match="the same folder twice"):
        compare.run([first, first], tmp_path / "out")
    with pytest.raises(UserError, match="at least two"):
        compare.run([first], tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="results of `inkdot predict` need --labels"):
        compare.run([first, tmp_path / "empty"], tmp_path / "out")


def test_a_table_of_an_earlier_version_is_compared_without_the_threshold(tmp_path: Path):
    rows = cohort(2)
    folders = [
        write_run(tmp_path / name, scores_of(rows["truth"], 2, seed, 1.0), rows)
        for seed, name in enumerate("ab")
    ]
    table = RunLayout(folders[1]).out_of_fold_csv
    lines = table.read_text().splitlines()
    table.write_text("\n".join(line.rpartition(",")[0] for line in lines) + "\n")
    assert compare.run(folders, tmp_path / "out", replicates=200) == 0
    facts = facts_of(tmp_path / "out")
    assert not [name for name in facts["metrics"] if "sensitivity" in name]
    assert facts["notes"] == [
        "No sensitivity and specificity: b does not tell what was flagged (made by an earlier version)."
    ]


def test_inadequate_slides_are_missed_not_left_out(tmp_path: Path):
    truth = ["positive"] * 6 + ["negative"] * 6 + ["unknown"]
    folders = []
    for name in "ab":
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"heads": [head(("low", "high"))]}))
        lines = ["slide_id,patient_id,fold,truth,score,flagged,call"]
        for row, own in enumerate(truth):
            missing = name == "b" and row in (0, 6)
            score = "" if missing else f"{0.9 - 0.05 * row - (0.2 if name == 'b' and row == 3 else 0):.6f}"
            flagged = int(own == "positive" and not missing)
            lines.append(f"s{row},p{row},{row % 3 + 1},{own},{score},{flagged},x")
        RunLayout(folder).out_of_fold_slides_csv.write_text("\n".join(lines) + "\n")
        folders.append(folder)
    assert compare.run(folders, tmp_path / "out", replicates=200) == 0
    facts = facts_of(tmp_path / "out")
    assert facts["unit"] == "slide"
    metrics = facts["metrics"]
    assert metrics["sensitivity.grade.high"]["rows"] == 6
    assert metrics["sensitivity.grade.high"]["values"]["b"]["value"] == pytest.approx(5 / 6)
    assert metrics["specificity.grade.high"]["rows"] == 5
    assert metrics["auc.grade.high"]["rows"] == 10
    assert facts["notes"][0].startswith("2 slides have no score in at least one result")


@pytest.mark.parametrize(("column", "text"), [("p.grade.high", "nan"), ("p.grade.high", "inf"), ("fold", "")])
def test_what_is_no_number_is_refused(tmp_path: Path, column: str, text: str):
    rows = cohort(2)
    folders = [write_run(tmp_path / name, scores_of(rows["truth"], 2, 2, 1.0), rows) for name in ("a", "b")]
    path = RunLayout(folders[1]).out_of_fold_csv
    header, first, *others = path.read_text().splitlines()
    cells = dict(zip(header.split(","), first.split(","), strict=True)) | {column: text}
    path.write_text("\n".join([header, ",".join(cells.values()), *others]))
    with pytest.raises(UserError, match=f"number in {column}, found {text!r}; correct it"):
        compare.run(folders, tmp_path / "out", replicates=10)
