"""Tiles that get their slide's labels, against rules written out tile by tile."""

import numpy as np
import pytest
import torch

from inkdot.datasets.bags import BagSet
from inkdot.datasets.tile_set import TileSet
from inkdot.labels import DEFAULT_HEADS, flagging_head
from inkdot.model.attention import flag_margin
from inkdot.training.mil.pseudo_labels import flag_margins, labelled_bag_tiles, pseudo_labelled_tiles

HEADS = DEFAULT_HEADS
CLASSES = sum(len(head.classes) for head in HEADS)
BENIGN = [1.0, 0.0]
MALIGNANT = [0.0, 1.0]
UNKNOWN = [np.nan] * (CLASSES - 2)
SMALL = [1.0] + [0.0] * (CLASSES - 3)


@pytest.fixture
def bags() -> BagSet:
    """Two negative slides of 50 tiles, two positive ones of 10, all without labels of their own."""
    sizes = [50, 50, 10, 10]
    count = sum(sizes)
    tiles = TileSet(
        arrays=[np.zeros((count, 2, 2, 3), np.uint8)],
        array_of_row=np.zeros(count, np.int64),
        index_in_array=np.arange(count),
        targets=np.full((count, CLASSES), np.nan, np.float32),
        patients=np.repeat(np.array(["p1", "p2", "p3", "p4"]), sizes),
        slides=np.repeat(np.array(["a", "b", "c", "d"]), sizes),
    )
    labels = [[*BENIGN, *UNKNOWN]] * 2 + [[*MALIGNANT, *SMALL], [*MALIGNANT, *UNKNOWN]]
    return BagSet(tiles, np.array(["a", "b", "c", "d"]), np.array(labels, np.float32))


def test_every_tile_gets_its_slides_labels(bags: BagSet) -> None:
    targets = labelled_bag_tiles(bags, HEADS).targets
    np.testing.assert_array_equal(targets, bags.targets[bags.owners])


def test_a_tile_keeps_its_own_label_and_a_benign_one_has_no_morphology(bags: BagSet) -> None:
    bags.tiles.targets[100, :2] = BENIGN  # labelled itself, on a malignant slide
    targets = labelled_bag_tiles(bags, HEADS).targets
    assert targets[100, :2].tolist() == BENIGN
    assert np.isnan(targets[100, 2:]).all()
    assert targets[101].tolist() == [*MALIGNANT, *SMALL]


def test_of_positive_slides_only_tiles_above_the_negative_ones_are_labelled(bags: BagSet) -> None:
    margins = np.concatenate([np.arange(100.0), np.arange(90.0, 100.0), np.arange(-10.0, 0.0)])
    pseudo = pseudo_labelled_tiles(bags, margins, HEADS, quantile=0.95)
    # 95 % of 0 to 99 lie below 94.05: of 90 to 99 the last five are above; of the last slide its highest stays.
    expected = bags.targets[bags.owners].copy()
    expected[100:105] = np.nan
    expected[110:119] = np.nan
    np.testing.assert_array_equal(pseudo.targets, expected)
    assert np.isnan(bags.tiles.targets).all()  # the input is unchanged


def test_a_slide_without_a_clear_label_labels_no_tile(bags: BagSet) -> None:
    bags.targets[3, :2] = 0.5  # readers disagree
    pseudo = pseudo_labelled_tiles(bags, np.arange(120.0), HEADS, quantile=0.9)
    assert np.isnan(pseudo.targets[110:]).all()
    assert (pseudo.targets[100:110, 1] == 1.0).all()


def test_the_margin_is_the_log_odds_of_the_flag_class() -> None:
    logits = np.random.default_rng(0).normal(size=(7, CLASSES)).astype(np.float32) * 5
    assert flagging_head(HEADS).name == HEADS[0].name
    odds = np.exp(logits[:, 1].astype(np.float64)) / np.exp(logits[:, 0].astype(np.float64))
    np.testing.assert_allclose(flag_margins(logits, HEADS), np.log(odds), rtol=1e-6)
    in_torch = flag_margin(torch.from_numpy(logits), HEADS)[:, 0].numpy()
    np.testing.assert_allclose(in_torch, np.log(odds), rtol=1e-4)
