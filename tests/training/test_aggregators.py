"""How tiles make a slide: mean, maximum, and CLAM's clustering loss, against NumPy."""

import numpy as np
import pytest
import torch
from fixtures.painted_tiles import run_context

from inkdot.config import config_from_mapping
from inkdot.datasets.bags import bag_set
from inkdot.datasets.tile_set import TileSet
from inkdot.metrics.calibration import softmax
from inkdot.metrics.classification import roc_auc
from inkdot.metrics.slides.attention_pooling import attention_pool
from inkdot.model.network import NetworkSpec, TileNetwork
from inkdot.model.predictor import slide_attention
from inkdot.model.runtimes.openvino_backend import OpenVinoNetwork
from inkdot.model.runtimes.torch_backend import predict_logits
from inkdot.training.distributed.fabric import launched_fabric
from inkdot.training.fit.objective import TrainingData
from inkdot.training.fit.trainer import fit
from inkdot.training.frozen.head_network import HeadNetwork
from inkdot.training.mil import bag_sampler
from inkdot.training.mil.attention_heads import with_attention
from inkdot.training.mil.bag_sampler import BagSampler
from inkdot.training.mil.instance_loss import instance_losses, smooth_svm
from inkdot.training.mil.mil_objective import MilObjective, pooled_bags, slide_logits

WIDTH = 6
AGGREGATORS = ("gated_attention", "clam_sb", "mean", "max")


def config_with(aggregator, **mil):
    return config_from_mapping(
        {
            "tiling": {"side_px": 32, "mpp": 0.5, "stride_px": 32},
            "model": {"backbone": "test_efficientnet", "weights": "pretrained", "freeze_backbone": True},
            "training": {
                "epochs": 8,
                "batch_size": 16,
                "learning_rate": 0.01,
                "accelerator": "cpu",
                "mil": {"bag_tiles": 4, "hidden": 8, "aggregator": aggregator, **mil},
            },
        }
    )


def embedded_bags(slides, seed):
    """Slides of 3 to 9 tiles as embeddings; in every second, one tile in three lies elsewhere in feature 0."""
    generator = np.random.default_rng(seed)
    arrays, names, of_slide = [], [], {}
    for slide in range(slides):
        count, name = 3 * int(generator.integers(1, 4)), f"s{slide:02d}"
        features = generator.normal(size=(count, WIDTH))
        if slide % 2:
            features[: count // 3, 0] += 4
        arrays.append(features.astype(np.float16))
        names += [name] * count
        of_slide[name] = np.array([0, 1, np.nan, np.nan] if slide % 2 else [1, 0, np.nan, np.nan], np.float32)
    counts = [len(own) for own in arrays]
    targets = np.full((len(names), 4), np.nan, np.float32)
    benign = np.array([int(name[1:]) % 2 == 0 for name in names])
    targets[benign, :2] = [1, 0]
    tiles = TileSet(
        arrays=arrays,
        array_of_row=np.repeat(np.arange(slides), counts),
        index_in_array=np.concatenate([np.arange(count) for count in counts]),
        targets=targets,
        patients=np.array(names),
        slides=np.array(names),
    )
    return bag_set(tiles, of_slide)


def heads_for(config):
    torch.manual_seed(1)
    whole = TileNetwork(NetworkSpec("test_efficientnet", 0.2, config.head_records, 32))
    whole.feature_count = WIDTH
    for head in config.head_records:
        whole.heads[head.name] = torch.nn.Linear(WIDTH, len(head.classes))
    return whole


def attentive_heads(config, monkeypatch):
    """A network of heads on six features, as `with_attention` makes it."""
    monkeypatch.setattr("inkdot.model.network.embedding_width", lambda _: WIDTH)
    return HeadNetwork(with_attention(heads_for(config), config.training))


@pytest.mark.parametrize("aggregator", ["mean", "max"])
def test_slides_are_the_mean_or_the_highest_of_their_tiles(aggregator, monkeypatch):
    config, bags = config_with(aggregator), embedded_bags(6, 0)
    network = attentive_heads(config, monkeypatch).eval()
    assert not list(network.attention.parameters())
    logits = predict_logits(network, bags.tiles.tiles(), device=torch.device("cpu"), batch_size=8)
    pooled = pooled_bags(logits, bags, config.head_records)
    for bag in range(6):
        own = logits[bags.rows(bag), :4].astype(np.float64)
        margins = own[:, 1] - own[:, 0]
        expected = own.mean(axis=0) if aggregator == "mean" else own[margins.argmax()]
        assert pooled[bag] == pytest.approx(expected, abs=1e-5)
        # As `predict` pools its tables.
        weights = slide_attention(logits[bags.rows(bag)], config.head_records, config.head_records[0])
        found = attention_pool(softmax(own[:, :2]), weights)
        assert found == pytest.approx(softmax(expected[None, :2])[0], abs=1e-5)


@pytest.mark.parametrize(
    "aggregator", [AGGREGATORS[0], *(pytest.param(name, marks=pytest.mark.slow) for name in AGGREGATORS[1:])]
)
def test_openvino_pools_slides_as_pytorch_does(aggregator):
    config = config_with(aggregator)
    torch.manual_seed(2)
    plain = TileNetwork(NetworkSpec("test_efficientnet", 0.2, config.head_records, 32))
    network = with_attention(plain, config.training).eval()
    tiles = np.random.default_rng(8).integers(0, 255, size=(12, 32, 32, 3), dtype=np.uint8)
    pixels = torch.from_numpy(tiles).permute(0, 3, 1, 2)
    with torch.inference_mode():
        expected = network(pixels).numpy()
    found = OpenVinoNetwork(lambda: network, 32, None, 4).logits(tiles)
    owners, heads = torch.zeros(12, dtype=torch.long), config.head_records
    slides = [slide_logits(torch.from_numpy(own), owners, 1, heads).numpy() for own in (found, expected)]
    assert slides[0] == pytest.approx(slides[1], abs=1e-3)


@pytest.mark.parametrize("aggregator", AGGREGATORS)
def test_every_aggregator_learns_from_whole_bags_of_embeddings(tmp_path, quiet, aggregator, monkeypatch):
    config = config_with(aggregator)
    data = TrainingData(embedded_bags(40, 1), embedded_bags(16, 2), "selftest_slide_", "run")
    network, context = attentive_heads(config, monkeypatch), run_context(tmp_path, config, quiet)
    fit(network, MilObjective(data, config, context.fabric), context)
    test = embedded_bags(120, 3)
    logits = predict_logits(network, test.tiles.tiles(), device=torch.device("cpu"), batch_size=8)
    pooled = pooled_bags(logits, test, config.head_records)
    # The mean drowns a few malignant tiles among benign ones.
    assert roc_auc(np.arange(120) % 2 == 1, pooled[:, 1] - pooled[:, 0]) > (
        0.75 if aggregator == "mean" else 0.85
    )


def test_a_step_on_embeddings_has_all_tiles_of_its_slides_up_to_the_limit(monkeypatch):
    bags = embedded_bags(12, 4)
    sampler = BagSampler(bags, np.arange(12) % 2, batch_size=16, bag_size=4, seed=0, whole=True)
    assert len(sampler) == 3
    for step, batch in enumerate(sampler):
        drawn, counts = sampler.drawn[step], sampler.counts(step)
        rows = np.array([draw.row for draw in batch])
        assert rows.tolist() == np.concatenate([bags.rows(int(bag)) for bag in drawn]).tolist()
        assert counts.tolist() == [len(bags.rows(int(bag))) for bag in drawn]
    monkeypatch.setattr(bag_sampler, "WHOLE_BAG_TILES", 4)
    sampler.attention = np.arange(len(bags.tiles), dtype=np.float64)
    for step, batch in enumerate(sampler):
        rows = np.split(np.array([draw.row for draw in batch]), np.cumsum(sampler.counts(step))[:-1])
        for own, bag in zip(rows, sampler.drawn[step], strict=True):
            assert len(set(own.tolist())) == len(own) <= 4
            if len(own) == 4:  # half of them those with most attention
                assert set(bags.rows(int(bag))[-2:].tolist()) <= set(own.tolist())


def test_the_smooth_svm_loss_is_that_of_its_definition():
    # Berrada et al. 2018, equation 6 with k = 1: log of the sum over classes j of exp(s_j + [j is not y]), less s_y.
    scores = np.random.default_rng(0).normal(size=(20, 2)) * 3
    expected = np.log(np.exp(scores + np.array([0, 1])).sum(axis=1)) - scores[:, 0]
    found = smooth_svm(torch.from_numpy(scores[:, 0] - scores[:, 1]))
    assert found.numpy() == pytest.approx(expected)


def test_the_clustering_loss_takes_the_ends_of_positive_and_the_top_of_negative_slides():
    config = config_with("clam_sb")
    generator = np.random.default_rng(5)
    logits = generator.normal(size=(23, 6)).astype(np.float32)
    owners = np.repeat([0, 1, 2, 3, 4], [8, 7, 5, 2, 1])
    targets = np.full((5, 4), np.nan, np.float32)
    targets[:, :2] = [[0, 1], [1, 0], [np.nan, np.nan], [0, 1], [0, 1]]  # the last has a single tile: no half
    attention = generator.normal(size=23).astype(np.float32)
    arguments = [torch.from_numpy(own) for own in (logits, attention, owners, targets)]
    total, count = instance_losses(*arguments, config.head_records, 3)

    def loss(margins):
        return np.log1p(np.exp(1 - margins)).mean()

    margins, expected = logits[:, 1] - logits[:, 0], 0.0
    for slide, tiles in ((0, 3), (1, 3), (3, 1)):
        rows = np.flatnonzero(owners == slide)
        order = rows[np.argsort(-attention[rows])]
        most, least = margins[order[:tiles]], margins[order[-tiles:]]
        expected += loss(-most) if slide == 1 else loss(np.concatenate([most, -least]))
    assert float(count) == 3
    assert float(total) == pytest.approx(expected, rel=1e-5)


def test_a_step_of_clam_adds_the_clustering_loss_to_that_of_gated_attention():
    bags = embedded_bags(12, 6)
    data = TrainingData(bags, bags, "", "run")
    totals = {}
    for aggregator, weight in (("gated_attention", 1.0), ("clam_sb", 0.5)):
        config = config_with(aggregator, instance_weight=weight, instance_tiles=2)
        with launched_fabric(config.training) as fabric:
            objective = MilObjective(data, config, fabric)
        rows = np.array([draw.row for draw in next(iter(objective.sampler))])
        outputs = torch.from_numpy(np.random.default_rng(7).normal(size=(len(rows), 6)).astype(np.float32))
        own = torch.from_numpy(bags.tiles.targets[rows])
        (loss,) = objective.training_step(lambda _, given=outputs: given, (torch.zeros(len(rows)), own), 0)
        totals[aggregator] = loss
    instances = totals["clam_sb"].per_head["instances"]
    assert float(instances) > 0
    assert float(totals["clam_sb"].total - totals["gated_attention"].total) == pytest.approx(
        0.5 * float(instances), rel=1e-5
    )
