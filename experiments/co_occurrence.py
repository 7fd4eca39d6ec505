"""Which aggregators learn that two kinds of tile come together on a slide? On made-up embeddings, without images.

    python experiments/co_occurrence.py [--slides 160] [--test-slides 400] [--runs 3] [--steps 200]

A slide is 12 tiles of 6 numbers: noise, and four tiles that stand out in one of two ways. On a positive slide two stand out in
each way, on a negative one all four in the same way, half of the slides in one, half in the other. The mean over tiles is then
the same for both; the highest tile tells positive slides from half of the negative ones at best.
Networks are those of training, from slide labels alone, with its loss, AdamW at 0.01 and 16 slides a step. All runs are evaluated
on the same test slides; intervals are bootstraps over these. docs/explanation/experiments/slide-labels.md has the results.
"""
# pyright: basic

import argparse
import sys
from typing import get_args

import numpy as np
import torch
from mil_from_slide_labels import Predicted, auc, print_metric

from inkdot.config import Aggregator, config_from_mapping
from inkdot.labels import DEFAULT_HEADS
from inkdot.model.attention import GatedAttention
from inkdot.model.network import NetworkSpec, TileNetwork
from inkdot.training.frozen.head_network import HeadNetwork
from inkdot.training.mil.attention_heads import with_attention
from inkdot.training.mil.instance_loss import instance_losses
from inkdot.training.mil.mil_objective import slide_logits

TILES, WIDTH, BATCH = 12, 6, 16
TEST_SEED = 9000
PAIRS = (("transmil", "gated_attention"),)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--slides", type=int, default=160)
    parser.add_argument("--test-slides", type=int, default=400)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    test, truth = slides(options.test_slides, TEST_SEED)
    predicted: dict[str, list[Predicted]] = {name: [] for name in get_args(Aggregator)}
    for name, runs in predicted.items():
        for run in range(options.runs):
            network = trained(name, *slides(options.slides, run), steps=options.steps, seed=run)
            runs.append({
                "patients": np.arange(len(truth)).astype(np.str_),
                "truth": truth,
                "scores": margins(network, test),
                "ranks": np.zeros(len(truth)),
            })  # fmt: skip
        print(f"{name}: done", flush=True)
    print_metric("slide_auc", predicted, auc, PAIRS, [truth, ~truth])
    return 0


def slides(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings, float32 [count, tiles, width], and whether each slide is positive."""
    generator = np.random.default_rng(seed)
    features, truth = generator.normal(size=(count, TILES, WIDTH)) * 0.5, np.arange(count) % 2 == 1
    for slide in range(count):
        kinds = [0, 0, 1, 1] if truth[slide] else [slide // 2 % 2] * 4
        features[slide, np.arange(4), kinds] += 4
    return features.astype(np.float32), truth


def network_of(aggregator: str, seed: int) -> HeadNetwork:
    """Heads and aggregator on six numbers, as training makes them."""
    model = {"weights": "pretrained", "freeze_backbone": True}
    mil = {"hidden": 16, "aggregator": aggregator}
    config = config_from_mapping({"model": model, "training": {"seed": seed, "mil": mil}})
    torch.manual_seed(seed)
    plain = TileNetwork(NetworkSpec("test_efficientnet", 0.0, DEFAULT_HEADS, 32))
    made = with_attention(plain, config.training)
    torch.manual_seed(seed)
    for head in DEFAULT_HEADS:
        made.heads[head.name] = torch.nn.Linear(WIDTH, len(head.classes))
        if aggregator in ("gated_attention", "clam_sb"):
            made.attention[head.name] = GatedAttention(WIDTH, 16)
    if made.slide_tokens is not None:
        made.slide_tokens = type(made.slide_tokens)(WIDTH, 16)
    return HeadNetwork(made)


def trained(
    aggregator: str, features: np.ndarray, truth: np.ndarray, *, steps: int, seed: int
) -> HeadNetwork:
    network, generator = network_of(aggregator, seed).train(), np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    targets = torch.full((len(truth), 4), torch.nan)
    targets[:, :2] = torch.from_numpy(np.stack([~truth, truth], axis=1)).float()
    for _ in range(steps):
        rows = generator.choice(len(truth), BATCH, replace=False)
        outputs, pooled = outputs_of(network, features[rows])
        loss = torch.nn.functional.cross_entropy(pooled[:, :2], targets[rows, :2])
        if aggregator == "clam_sb":
            owners = torch.arange(BATCH).repeat_interleave(TILES)
            total, count = instance_losses(outputs, outputs[:, 4], owners, targets[rows], DEFAULT_HEADS, 4)
            loss = loss + 0.43 * total / count.clamp_min(1.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


def outputs_of(network: HeadNetwork, features: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs of tiles, and logits of slides."""
    count = len(features)
    owners = torch.arange(count).repeat_interleave(TILES)
    outputs = network(torch.from_numpy(features.reshape(-1, WIDTH)), owners)
    return (
        outputs
        if isinstance(outputs, tuple)
        else (outputs, slide_logits(outputs, owners, count, DEFAULT_HEADS))
    )


def margins(network: HeadNetwork, features: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        pooled = outputs_of(network, features)[1]
    return (pooled[:, 1] - pooled[:, 0]).double().numpy()


if __name__ == "__main__":
    sys.exit(main())
