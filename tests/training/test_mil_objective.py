"""MIL: painted bags in which one unlabelled tile in six is malignant."""

import csv
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from fixtures.painted_tiles import run_context

from inkdot.config import config_from_mapping
from inkdot.datasets.bags import bag_set, labelled_subset
from inkdot.datasets.tile_set import TileSet
from inkdot.metrics.classification import roc_auc
from inkdot.model.network import NetworkSpec, TileNetwork
from inkdot.model.runtimes.torch_backend import predict_logits
from inkdot.training.distributed.fabric import launched_fabric
from inkdot.training.fit import trainer
from inkdot.training.fit.checkpoint import manual_seed
from inkdot.training.fit.objective import TrainingData
from inkdot.training.mil.attention_heads import with_attention
from inkdot.training.mil.bag_sampler import BagSampler
from inkdot.training.mil.mil_objective import MilObjective, pooled_bags, slide_logits

SIDE, TILES = 32, 6
BACKBONE = "test_efficientnet"


def painted_tile(malignant, large, generator):
    """A blue blob is benign, a dark red one malignant."""
    tile = np.full((SIDE, SIDE, 3), 240, np.uint8)
    colour = (120, 20, 60) if malignant else (60, 90, 200)
    cv2.circle(tile, generator.integers(10, 22, 2).tolist(), 8 if large else 4, colour, -1)
    return np.clip(tile + generator.normal(0, 6, tile.shape), 0, 255).astype(np.uint8)


def painted_bags(slides, seed):
    """Every second slide has one malignant tile, at a random position; its tiles have no labels."""
    generator = np.random.default_rng(seed)
    arrays, targets, names, of_slide, truth = [], [], [], {}, []
    for slide in range(slides):
        positive, large = slide % 2 == 1, slide % 4 == 3
        where = generator.integers(TILES) if positive else -1
        arrays.append(np.stack([painted_tile(k == where, large, generator) for k in range(TILES)]))
        targets += [[np.nan] * 4 if positive else [1, 0, np.nan, np.nan]] * TILES
        names += [f"s{seed}-{slide:02d}"] * TILES
        of_slide[names[-1]] = np.array(
            [0, 1, 1 - large, large] if positive else [1, 0, np.nan, np.nan], np.float32
        )
        truth += [k == where for k in range(TILES)]
    rows = slides * TILES
    tiles = TileSet(
        arrays=arrays,
        array_of_row=np.arange(rows) // TILES,
        index_in_array=np.arange(rows) % TILES,
        targets=np.array(targets, np.float32),
        patients=np.array(names),
        slides=np.array(names),
    )
    return bag_set(tiles, of_slide), np.array(truth)


@pytest.fixture(scope="module")
def data():
    return TrainingData(painted_bags(24, 1)[0], painted_bags(12, 2)[0], "selftest_slide_", "run-1")


def config_with(**training):
    return config_from_mapping(
        {
            "tiling": {"side_px": SIDE, "mpp": 0.5, "stride_px": SIDE},
            "model": {"backbone": BACKBONE},
            "training": {
                "epochs": 2,
                "batch_size": 24,
                "learning_rate": 0.003,
                "accelerator": "cpu",
                "mil": {"bag_tiles": 6, "hidden": 8},
            }
            | training,
        }
    )


def trained(folder, data, config, console):
    manual_seed(0, 0)
    network = TileNetwork(NetworkSpec(BACKBONE, 0.2, config.head_records, SIDE, attention_hidden=8))
    context = run_context(folder, config, console)
    state = trainer.fit(network, MilObjective(data, config, context.fabric), context)
    return network, state


def objective_of(data, config):
    with launched_fabric(config.training) as fabric:
        return MilObjective(data, config, fabric)


@pytest.mark.slow
def test_training_from_slide_labels_finds_the_malignant_tiles(tmp_path, data, quiet):
    config = config_with(epochs=14)
    network, _ = trained(tmp_path, data, config, quiet)
    bags, truth = painted_bags(20, 3)
    logits = predict_logits(network, bags.tiles.tiles(), device=torch.device("cpu"), batch_size=24)
    pooled = pooled_bags(logits, bags, config.head_records)
    positive = bags.targets[:, 1] > 0.5
    assert roc_auc(positive, pooled[:, 1] - pooled[:, 0]) > 0.9
    assert roc_auc(truth, logits[:, 1] - logits[:, 0]) > 0.9  # of unlabelled tiles
    attention = logits[:, 4].reshape(-1, TILES)[positive]
    found = attention.argmax(axis=1) == truth.reshape(-1, TILES)[positive].argmax(axis=1)
    assert found.mean() > 0.7
    rows = list(csv.DictReader((tmp_path / "metrics.csv").read_text(encoding="utf-8").splitlines()))
    assert {"train_loss.slides.malignancy", "train_loss.tiles.malignancy"} <= set(rows[0])
    assert "selftest_slide_auc.malignancy.malignant.low" in rows[0]


def test_a_run_interrupted_between_epochs_resumes_to_the_same_bytes(tmp_path, data, quiet, monkeypatch):
    whole, _ = trained(tmp_path / "whole", data, config_with(), quiet)
    write, writes = trainer.write_checkpoint, 0

    def interrupted(*arguments):
        nonlocal writes
        writes += 1
        if writes == 3:  # best and last of the first epoch are written
            raise KeyboardInterrupt
        write(*arguments)

    monkeypatch.setattr(trainer, "write_checkpoint", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", data, config_with(), quiet)
    monkeypatch.undo()
    resumed, _ = trained(tmp_path / "cut", data, config_with(), quiet)
    assert "resuming after epoch 1" in quiet.file.getvalue()
    assert all(
        torch.equal(a, b)
        for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
    )
    for name in ("metrics.csv", "checkpoints/last.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()


def test_a_step_has_slides_of_both_classes_and_tiles_with_most_attention(data):
    bags = data.training
    classes = np.argmax(bags.targets[:, :2], axis=1)
    draws = BagSampler(bags, classes, batch_size=16, bag_size=4, seed=0)
    attention = np.zeros(len(bags.tiles))
    attention[::TILES] = 1.0  # the first tile of every slide
    draws.epoch, draws.attention = 3, attention
    batches = list(draws)
    assert len(batches) == len(draws) == round(24 * TILES / 16)
    assert [len(batch) for batch in batches] == [16] * len(batches)
    drawn = np.concatenate(draws.drawn)
    assert abs((classes[drawn] == 1).mean() - 0.5) < 0.1
    for batch, slides in zip(batches, draws.drawn, strict=True):
        rows = np.array([draw.row for draw in batch]).reshape(4, 4)
        assert (bags.owners[rows] == slides[:, None]).all()
        assert (rows[:, 0] == slides * TILES).all()
        assert all(len(set(row)) == 4 for row in rows.tolist())
    assert list(draws) == batches
    draws.epoch = 4
    assert list(draws) != batches


def test_processes_share_the_slides_of_a_step_each_with_all_its_tiles(data):
    bags, classes = data.training, np.argmax(data.training.targets[:, :2], axis=1)
    one = BagSampler(bags, classes, 16, 4, seed=0)
    two = [BagSampler(bags, classes, 16, 4, seed=0, rank=rank, size=2) for rank in range(2)]
    shares = [list(draws) for draws in two]
    for step, batch in enumerate(one):
        by_slide = [batch[start : start + 4] for start in range(0, 16, 4)]
        for rank, draws in enumerate(two):
            assert shares[rank][step] == [draw for slide in by_slide[rank::2] for draw in slide]
            assert (draws.drawn[step] == one.drawn[step][rank::2]).all()


def test_a_slide_with_few_tiles_is_drawn_with_all_of_them(data):
    draws = BagSampler(data.training, np.zeros(24, np.int64), batch_size=32, bag_size=16, seed=0)
    for batch, slides in zip(draws, draws.drawn, strict=False):
        for rows, slide in zip(np.array([draw.row for draw in batch]).reshape(-1, 16), slides, strict=True):
            assert set(rows.tolist()) == set(data.training.rows(int(slide)).tolist())


def test_the_loss_is_that_of_slides_and_of_labelled_tiles_together(data):
    """Against cross-entropies written out in NumPy."""
    config = config_with(mil={"bag_tiles": 6, "hidden": 8, "tile_weight": 0.5})
    objective = objective_of(data, config)
    rows = np.array([draw.row for draw in next(iter(objective.sampler))])
    outputs = torch.from_numpy(np.random.default_rng(4).normal(size=(len(rows), 6)))
    targets = data.training.tiles.targets[rows]
    (loss,) = objective.training_step(
        lambda _: outputs, (torch.zeros(len(rows)), torch.from_numpy(targets)), 0
    )

    def entropy(logits, target):
        return -(target * (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))).sum(axis=1)

    logits, expected = outputs.numpy(), 0.0
    owners, bags = np.arange(len(rows)) // 6, objective.sampler.drawn[0]
    pooled = slide_logits(outputs, torch.from_numpy(owners), len(bags), config.head_records).numpy()
    for own in (slice(0, 2), slice(2, 4)):
        target = data.training.targets[bags][:, own]
        known = ~np.isnan(target[:, 0])
        expected += entropy(pooled[known][:, own], target[known]).mean()
    known = ~np.isnan(targets[:, 0])  # all benign, hence alike in weight
    expected += 0.5 * entropy(logits[known][:, :2], targets[known][:, :2]).mean()
    assert float(loss.total) == pytest.approx(expected, rel=1e-5)


def test_a_patient_has_the_score_of_the_highest_of_the_slides(data):
    bags = data.validation
    pairs = {name: f"p{index // 3}" for index, name in enumerate(bags.slides.tolist())}
    tiles = replace(bags.tiles, patients=np.array([pairs[name] for name in bags.tiles.slides.tolist()]))
    # Every second slide is positive: with three slides each, all patients would be; so say that of the first six only.
    targets = bags.targets.copy()
    targets[6:, :2] = [1, 0]
    config = config_with(monitor="patient_auc")
    objective = objective_of(replace(data, validation=replace(bags, tiles=tiles, targets=targets)), config)
    manual_seed(0, 0)
    network = TileNetwork(NetworkSpec(BACKBONE, 0.2, config.head_records, SIDE, attention_hidden=8)).eval()
    row = objective.validate(network, torch.device("cpu"))
    logits = predict_logits(network, bags.tiles.tiles(), device=torch.device("cpu"), batch_size=24)
    pooled = pooled_bags(logits, bags, config.head_records)
    best = (pooled[:, 1] - pooled[:, 0]).reshape(4, 3).max(axis=1)
    assert row["patient_auc"] == pytest.approx(roc_auc(np.array([True, True, False, False]), best))
    assert 0 <= row["patient_auc.low"] <= row["patient_auc"] <= row["patient_auc.high"] <= 1
    assert row["auc.malignancy.malignant"] != row["patient_auc"]  # that of slides


def test_attention_starts_from_the_margin_of_each_tile(data):
    """Against a softmax of log-odds in NumPy; what a network without attention gives stays as it was."""
    config = config_with()
    manual_seed(0, 0)
    plain = TileNetwork(NetworkSpec(BACKBONE, 0.2, config.head_records, SIDE)).eval()
    attentive = with_attention(plain, config.training).eval()
    tiles = torch.from_numpy(data.training.tiles.arrays[1]).permute(0, 3, 1, 2)
    with torch.inference_mode():
        before, logits = plain(tiles).numpy(), attentive(tiles)
    np.testing.assert_array_equal(logits[:, :4].numpy(), before)
    pooled = slide_logits(logits, torch.zeros(len(tiles), dtype=torch.long), 1, config.head_records).numpy()
    weights = np.exp(before[:, 1] - before[:, 0])
    np.testing.assert_allclose(pooled[0], (weights / weights.sum()) @ before, rtol=1e-4, atol=1e-6)
    objective = objective_of(data, config)
    objective.on_epoch_start(attentive)
    assert objective.sampler.attention is not None


def test_slides_without_labels_are_left_out():
    bags, _ = painted_bags(4, 5)
    unknown = {name: np.full(4, np.nan, np.float32) for name in bags.slides.tolist()[:2]}
    known = {name: bags.targets[k] for k, name in enumerate(bags.slides.tolist()) if k >= 2}
    kept = bag_set(bags.tiles, unknown | known)
    assert kept.slides.tolist() == bags.slides.tolist()[2:]
    assert kept.owners.tolist() == [0] * TILES + [1] * TILES
    assert kept.patients.tolist() == kept.slides.tolist()
    assert len(labelled_subset(kept.tiles)) == TILES
