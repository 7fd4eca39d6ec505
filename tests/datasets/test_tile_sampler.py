import numpy as np
import pytest

from inkdot.datasets.tile_sampler import (
    UNKNOWN,
    draw_rows,
    draw_weights,
    epoch_tiles,
    select_rows,
    steps_per_epoch,
    strata,
)
from inkdot.model.targets import known_rows

NAN = np.nan
TARGETS = np.array(
    [[1, 0, NAN, NAN], [0, 1, 1, 0], [NAN, NAN, NAN, NAN], [0.5, 0.5, NAN, NAN], [NAN, NAN, 0, 1]], np.float32
)


def test_rows_known_to_any_head_are_known():
    assert known_rows(TARGETS).tolist() == [True, True, False, True, True]
    assert strata(TARGETS, slice(0, 2)).tolist() == [0, 1, UNKNOWN, 0, UNKNOWN]


class TestSelectRows:
    """Which rows of a slide are used."""

    def targets(self, benign, malignant, unknown):
        return np.array([[1, 0]] * benign + [[0, 1]] * malignant + [[NAN, NAN]] * unknown, np.float32)

    def test_small_slides_are_used_whole(self):
        found = select_rows(self.targets(3, 2, 4), slice(0, 2), 10, 0, "s")
        assert found.rows.tolist() == [0, 1, 2, 3, 4]
        assert found.left_out == 0

    def test_the_limit_holds_per_class_and_the_rest_is_counted(self):
        found = select_rows(self.targets(100, 5, 50), slice(0, 2), 20, 0, "s")
        assert (found.rows < 100).sum() == 20
        assert (found.rows >= 100).sum() == 5
        assert found.left_out == 80
        assert (np.diff(found.rows) > 0).all()

    def test_the_same_seed_and_slide_give_the_same_rows(self):
        targets = self.targets(100, 0, 0)
        rows = select_rows(targets, slice(0, 2), 20, 1, "s").rows.tolist()
        assert select_rows(targets, slice(0, 2), 20, 1, "s").rows.tolist() == rows
        assert select_rows(targets, slice(0, 2), 20, 2, "s").rows.tolist() != rows
        assert select_rows(targets, slice(0, 2), 20, 1, "t").rows.tolist() != rows

    def test_a_slide_without_labels_gives_no_rows(self):
        assert select_rows(self.targets(0, 0, 7), slice(0, 2), 20, 0, "s").rows.tolist() == []


class TestDrawWeights:
    """How often each tile is drawn."""

    def test_classes_get_equal_shares(self):
        classes = np.array([0] * 90 + [1] * 10)
        weights = draw_weights(classes, np.array(["a"] * 100), np.array(["s"] * 100))
        assert weights.sum() == pytest.approx(1)
        assert weights[classes == 1].sum() == pytest.approx(0.5)
        assert np.ptp(weights[classes == 0]) < 1e-15

    def test_patients_and_slides_get_shares_by_the_square_root_of_their_tiles(self):
        patients = np.array(["a"] * 64 + ["b"] * 16 + ["b"] * 20)
        slides = np.array(["a1"] * 64 + ["b1"] * 16 + ["b2"] * 20)
        weights = draw_weights(np.zeros(100, int), patients, slides)
        assert weights[patients == "a"].sum() / weights[patients == "b"].sum() == pytest.approx(8 / 6)
        assert weights[slides == "b1"].sum() / weights[slides == "b2"].sum() == pytest.approx(
            (16 / 20) ** 0.5
        )

    def test_a_slide_name_shared_by_two_patients_is_two_slides(self):
        weights = draw_weights(np.zeros(4, int), np.array(list("aabb")), np.array(["s"] * 4))
        np.testing.assert_allclose(weights, 0.25)


@pytest.mark.parametrize("seed", range(5))
def test_every_row_is_drawn_its_expected_number_of_times_to_within_one(seed):
    generator = np.random.default_rng(seed)
    weights = generator.random(50)
    weights /= weights.sum()
    counts = np.bincount(draw_rows(weights, 400, generator), minlength=50)
    assert counts.sum() == 400
    assert np.abs(counts - 400 * weights).max() < 1 + 1e-9


class TestEpochLength:
    """An epoch follows the rare labels."""

    def test_ten_marked_clusters_on_each_of_22_slides_are_drawn_ten_times_an_epoch(self):
        classes = np.array([0] * 90_020 + [1] * 220)
        assert 20 * steps_per_epoch(len(classes), 64) == 28_200
        assert 20 * epoch_tiles(classes, None) / 2 / 220 == pytest.approx(4_102, abs=0.5)
        tiles = epoch_tiles(classes, 10.0)
        assert (tiles, tiles / 2 / 220) == (4_400, 10.0)
        assert 20 * steps_per_epoch(tiles, 64) == 1_380

    @pytest.mark.parametrize(
        ("counts", "draws", "expected"),
        [
            ([5_000, 500], 10.0, 5_500),  # 10 × 500 × 2 are more than there are
            ([50_000, 500], 10.0, 10_000),
            ([50_000, 500], 4.0, 4_000),
            ([50_000, 500], None, 50_500),
            ([50_000, 40_000, 500], 10.0, 15_000),
            ([50_000, 3], 10.0, 2_048),  # not 60, which would leave the others untrained
            ([900, 3], 10.0, 903),
        ],
    )
    def test_the_rarest_class_sets_the_length(self, counts, draws, expected):
        assert epoch_tiles(np.repeat(np.arange(len(counts)), counts), draws) == expected

    def test_rows_without_a_label_have_a_share_but_are_no_class(self):
        classes = np.array([UNKNOWN] * 5 + [0] * 20_000 + [1] * 400)
        assert epoch_tiles(classes, 10.0) == 12_000
        assert epoch_tiles(np.full(70, UNKNOWN), 10.0) == 70
