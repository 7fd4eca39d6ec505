"""The operating point on scores given by hand, counted on slides."""

import numpy as np
import pytest
from scipy import stats

from inkdot.datasets.tile_set import TileSet
from inkdot.labels import flag_column
from inkdot.storage.models.model_files import ModelFile
from inkdot.training.release.calibrate import FlagScores, best_tiles, lock, lock_on

NAN = np.nan


def tile_set(rows):
    """Rows of (slide, patient, target of malignant)."""
    slides, patients, malignant = zip(*rows, strict=True)
    targets = np.full((len(rows), 4), NAN, np.float32)
    targets[:, 1] = malignant
    targets[:, 0] = 1 - targets[:, 1]
    nothing = np.zeros(len(rows), int)
    return TileSet([], nothing, nothing, targets, np.array(patients), np.array(slides))


def locked(rows, scores, config):
    malignant = np.array(scores, np.float32)
    table = np.stack([1 - malignant, malignant, malignant, malignant], axis=1)
    tiles = tile_set(rows)
    slides = best_tiles(table, tiles, flag_column(config.head_records))
    return lock(slides, table, tiles, config).operating_points["malignancy"]


def test_the_preliminary_point_flags_every_positive_slide_by_a_truly_positive_tile(tiny_config):
    rows = [
        ("a", "p1", 1), ("a", "p1", 1), ("a", "p1", 0),
        ("b", "p2", 1), ("b", "p2", 0),
        ("c", "p3", 0), ("c", "p3", 0),
        ("d", "p4", 0),
        ("e", "p5", NAN),
    ]  # fmt: skip
    # The benign tiles of a and b score higher than their malignant ones: they must not stand in for them.
    point = locked(rows, [0.2, 0.8, 0.95, 0.6, 0.9, 0.7, 0.1, 0.5, 0.99], tiny_config)
    middle = 1 / (1 + np.exp(-0.5 * np.log(0.6 / 0.4)))  # in logits, between d at 0.5 and b at 0.6
    assert point.threshold == pytest.approx(middle, abs=1.01e-4)
    assert (point.evaluated_on, point.scored_from) == ("slides", "labelled_tiles")
    assert point.sensitivity.value == 1.0
    assert point.specificity.value == 0.5  # c has a tile at 0.7, d has none above 0.5


def many(positives, negatives):
    """Patients with one slide each: positives at 0.005, 0.01 …, negatives as given."""
    rows = [(f"s{i:03d}", f"p{i:03d}", 1) for i in range(positives)]
    rows += [(f"n{i:03d}", f"q{i:03d}", 0) for i in range(len(negatives))]
    return rows, [*(0.005 * (i + 1) for i in range(positives)), *negatives]


@pytest.mark.parametrize(
    ("positives", "threshold", "is_locked"), [(44, 0.01, False), (45, 0.005, True), (77, 0.01, True)]
)
def test_a_point_is_locked_from_45_positive_patients_on_and_may_miss_one_of_77(
    tiny_config, positives, threshold, is_locked
):
    # A negative right below each positive: the gap is narrow, and the threshold is where the rank says.
    point = locked(*many(positives, [0.0049, 0.0099, 0.0149]), tiny_config)
    assert point.threshold == pytest.approx(threshold, abs=1.01e-4)
    own = point.guarantee
    assert (own.locked, own.patients, own.needed, own.confidence) == (is_locked, positives, 45, 0.9)
    missed = round((1 - point.sensitivity.value) * positives)
    exact = stats.binomtest(positives - missed, positives).proportion_ci(0.8, "exact").low  # one-sided: 0.9
    assert own.bound == pytest.approx(exact)
    assert (own.bound >= 0.95) == is_locked
    assert bool(point.lock_note) != is_locked
    if not is_locked:
        assert "44 positives; with 45 one could promise a sensitivity of 0.95" in point.lock_note


def test_two_slides_of_a_patient_count_as_one_patient_with_the_higher_score(tiny_config):
    rows = [("a1", "p", 1), ("a2", "p", 1), ("b", "q", 1), ("c", "r", 0)]
    point = locked(rows, [0.01, 0.9, 0.8, 0.3], tiny_config)
    assert point.guarantee.patients == 2
    assert point.lock_note.startswith("not enough patients to lock: 2 positives; with 45")
    one = locked(rows[:1] + rows[3:], [0.9, 0.3], tiny_config)
    assert one.lock_note.startswith("not enough patients to lock: 1 positive; with 45")
    assert 0.3 < point.threshold < 0.8
    assert point.sensitivity.value == pytest.approx(2 / 3)  # of slides


def test_of_separated_classes_the_threshold_is_in_the_gap_and_the_band_is_no_point(tiny_config):
    rows, _ = many(30, [0.0] * 30)
    scores = np.array([*np.linspace(0.99999, 1.0, 30), *np.linspace(1e-5, 0.02, 30)], np.float32)
    tiles = tile_set(rows)
    table = np.stack([1 - scores, scores, scores, scores], axis=1)
    found = lock(best_tiles(table, tiles, flag_column(tiny_config.head_records)), table, tiles, tiny_config)
    threshold = found.operating_points["malignancy"].threshold
    assert 0.02 < threshold < 0.9999
    band = found.abstention["malignancy"]
    assert band.low < threshold < band.high < 1.0
    assert band.guarantee.locked is False


def test_half_targets_are_neither_side(tiny_config):
    point = locked([("a", "p", 0.5), ("b", "q", 1), ("c", "r", 0)], [0.99, 0.4, 0.3], tiny_config)
    assert 0.3 < point.threshold < 0.4
    assert point.specificity.value == 1.0


def test_the_threshold_is_rounded_down_so_that_another_runtime_flags_the_same_slides(tiny_config):
    point = locked([("a", "p", 1), ("b", "q", 0)], [0.123456, 0.9], tiny_config)
    assert point.threshold == 0.1234


def whole_slides(truth, **changes):
    """Whole slides of one patient each, the positive ones from 0.6 on."""
    positive = np.array(truth, bool)
    names = np.array([f"p{k}" for k in range(len(truth))])
    scores = np.where(positive, np.linspace(0.6, 0.9, len(truth)), np.linspace(0.1, 0.4, len(truth)))
    return FlagScores(positive, scores.astype(np.float32), names, "slides", **changes)


def preliminary(config):
    """A model's points and bands from labelled tiles."""
    rows = [*many(5, [0.001, 0.5, 0.6])[0]]
    malignant = np.array([0.7, 0.8, 0.9, 0.95, 0.97, 0.001, 0.5, 0.6], np.float32)
    tiles = tile_set(rows)
    tiles.targets[:5, 2], tiles.targets[:5, 3] = 1, 0
    table = np.stack([1 - malignant, malignant, malignant, 1 - malignant], axis=1)
    found = lock(best_tiles(table, tiles, flag_column(config.head_records)), table, tiles, config)
    return ModelFile.model_construct(operating_points=found.operating_points, abstention=found.abstention)


def test_whole_slides_replace_the_preliminary_point_and_leave_what_is_of_tiles(tiny_config):
    model = preliminary(tiny_config)
    before = model.operating_points["malignancy"]
    assert "morphology" in model.abstention
    assert before.reliability
    found = lock_on(whole_slides([1] * 6 + [0] * 6), model, tiny_config, 0.0)
    point = found.operating_points["malignancy"]
    assert point.scored_from == "all_tiles"
    assert point.guarantee.patients == 6
    assert point.reliability == before.reliability
    assert 0.4 < point.threshold < 0.6
    assert found.abstention["morphology"] == model.abstention["morphology"]
    assert found.abstention.get("malignancy") != model.abstention.get("malignancy")
    assert lock_on(whole_slides([0] * 6), model, tiny_config, 0.0) is model


def test_the_threshold_is_lowered_by_the_error_of_scores_and_says_whose_they_are(tiny_config):
    model = preliminary(tiny_config)
    slides = whole_slides([1] * 6 + [0] * 6, origin="out_of_fold")
    exact = lock_on(slides, model, tiny_config, 0.0)
    lowered = lock_on(slides, model, tiny_config, 0.3).operating_points["malignancy"].threshold
    assert lowered == pytest.approx(0.3, abs=1e-4)  # the lowest positive slide is at 0.6
    assert lowered < exact.operating_points["malignancy"].threshold
    assert exact.operating_points["malignancy"].guarantee.scores == "out_of_fold"


def test_images_are_called_one_by_one_and_slides_by_patient():
    truth = np.array([True, True, False])
    values, names = np.array([0.2, 0.9, 0.4], np.float32), np.array(["a", "a", "b"])
    by_patient = FlagScores(truth, values, names, "slides")
    assert by_patient.units(0).scores.tolist() == pytest.approx([0.9, 0.4])
    drawn = {tuple(by_patient._replace(unit="images").units(seed).scores.round(1)) for seed in range(10)}
    assert drawn == {(0.2, 0.4), (0.9, 0.4)}


def test_a_slide_has_the_score_of_its_best_truly_positive_tile_else_of_its_highest(tiny_config):
    tiles = tile_set([("a", "p", 1), ("a", "p", 0), ("b", "q", 0), ("b", "q", NAN)])
    own = np.array([0.2, 0.9, 0.3, 0.8], np.float32)
    table = np.stack([1 - own, own, own, own], axis=1)
    found = best_tiles(table, tiles, flag_column(tiny_config.head_records))
    assert found.patients.tolist() == ["p", "q"]
    assert (found.truth.tolist(), found.unit) == ([True, False], "patients")
    assert found.scores.tolist() == pytest.approx([0.2, 0.3])
    assert best_tiles(table, tiles, flag_column(tiny_config.head_records), images=True).unit == "images"
