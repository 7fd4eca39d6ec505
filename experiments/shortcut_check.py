"""Shortcut learning: does a small network exceed the highest achievable AUC on single synthetic clusters?

    python experiments/shortcut_check.py [--clusters 1500] [--epochs 12]

Every cluster has a patient, a laboratory and a scanner of its own, and is shown alone, 64 µm wide at 0.5 µm per pixel. A
network above the bound uses a shortcut: something in the image that gives the class away and that no slide would show. A
network far below the bound is undertrained. The exit code is 1 where a network is above it.
docs/explanation/synthetic.md has the results.
"""
# pyright: basic

import argparse
import sys
from dataclasses import replace

import numpy as np
import torch
from achievable_auc import simulated_bounds
from torch import nn

from inkdot.metrics.intervals.confidence_intervals import Estimate, auc_estimate
from inkdot.synthetic.cells.scene import Scene
from inkdot.synthetic.cohort.patients import MIMICS, draw_patient
from inkdot.synthetic.cytology.groups import draw_group
from inkdot.synthetic.rendering.scanner import scanner_number
from inkdot.synthetic.rendering.scene_source import SceneSource, whole_image
from inkdot.synthetic.rendering.stains import laboratory_stain

MPP, SIDE_PX = 0.5, 128
SIDE_UM = MPP * SIDE_PX
MARGIN = 0.01  # of AUC: sampling error of a test set of this size


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare a small network with the highest achievable AUC.")
    parser.add_argument("--clusters", type=int, default=1500, help="clusters per class")
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args()
    torch.manual_seed(0)
    rng = np.random.default_rng(0xC44)
    kinds = ["small_nec", "large_nec"] * options.clusters
    kinds += [str(rng.choice(MIMICS, p=[0.5, 0.35, 0.1, 0.05])) for _ in kinds]
    order = rng.permutation(len(kinds))
    names = [kinds[k] for k in order]
    images = torch.from_numpy(np.stack([cluster_image(name, rng) for name in names]))
    small, large = (np.array([name == kind for name in names]) for kind in ("small_nec", "large_nec"))
    bounds = simulated_bounds(1000)
    above = False
    for bound, known, positive in (
        (bounds[0], small | large, large),
        (bounds[1], small | ~small, small | large),
    ):
        auc = network_auc(images[torch.from_numpy(known)], positive[known], options.epochs)
        over = auc.value > bound.selftest_best_auc + MARGIN
        above |= over
        print(
            f"{bound.head}: selftest_network_auc {auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f}), "
            f"bound {bound.selftest_best_auc:.3f}: {'above it: there is a shortcut' if over else 'at or below'}"
        )
    return int(above)


def cluster_image(kind: str, rng: np.random.Generator) -> np.ndarray:
    """One cluster alone on glass, uint8 [3, 128, 128]."""
    group = draw_group(kind, draw_patient("", rng), rng)
    middle = SIDE_UM / 2.0
    cells = tuple(replace(cell, x_um=cell.x_um + middle, y_um=cell.y_um + middle) for cell in group.cells)
    stain = laboratory_stain("pap", np.random.default_rng(int(rng.integers(1 << 31))))
    scanner = scanner_number(int(rng.integers(8)))
    source = SceneSource(Scene(SIDE_UM, SIDE_UM, cells), MPP, stain, scanner, seed=int(rng.integers(1 << 20)))
    return np.ascontiguousarray(whole_image(source).transpose(2, 0, 1))


def network_auc(images: torch.Tensor, positive: np.ndarray, epochs: int) -> Estimate:
    """AUC on the last quarter of the clusters of a network trained on the others; every cluster has its own patient."""
    trained_on = len(positive) * 3 // 4
    truth = torch.from_numpy(positive.astype(np.float32))
    network = nn.Sequential(
        *block(3, 24, 2), *block(24, 48, 2), *block(48, 64, 2), *block(64, 96, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(96, 1),
    )  # fmt: skip
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-2)
    steps = epochs * (trained_on // 32)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    for _ in range(epochs):
        for batch in torch.randperm(trained_on)[: trained_on // 32 * 32].split(32):
            x = normalised(images[batch])
            if torch.rand(()) < 0.5:
                x = x.flip(3)
            x = torch.rot90(x, int(torch.randint(4, ())), (2, 3))
            loss = nn.functional.binary_cross_entropy_with_logits(network(x)[:, 0], truth[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    network.eval()
    with torch.inference_mode():
        scores = torch.cat([network(normalised(part))[:, 0] for part in images[trained_on:].split(64)])
    patients = np.arange(trained_on, len(positive)).astype(np.str_)
    auc = auc_estimate(positive[trained_on:], scores.numpy(), patients)
    if auc is None:
        raise SystemExit("expected test clusters of both classes, found one class; raise --clusters")
    return auc


def block(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]


def normalised(images: torch.Tensor) -> torch.Tensor:
    return images.float() / 127.5 - 1.0


if __name__ == "__main__":
    sys.exit(main())
