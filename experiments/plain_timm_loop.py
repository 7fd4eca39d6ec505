"""Compare Inkdot's training with a plain loop around a timm model, on the folds of a cross-validation.

    python experiments/plain_timm_loop.py FOLDS images.csv --head grade --crop-px 288 [--backbone resnet18]

FOLDS is the folder of `inkdot train --images images.csv --folds 5 --out FOLDS`. Each fold of its `out_of_fold.csv` is
predicted by a model from scratch (Adam, flips, 12 epochs, last epoch), trained on all images of the other folds. Inkdot
uses a tenth of those for validation, so the comparison favours the plain loop. Prints one JSON line: the metrics of both,
of all images together and as the mean of the folds, and their differences, with 95 % intervals by resampling groups, the
same draws for both.
"""
# pyright: basic

import argparse
import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import timm
import torch
from torch import nn

from inkdot.metrics.classification import balanced_accuracy, roc_auc

SIDE_PX = 128
RESAMPLES = 1000


def read_image_table(paths: list[Path], crop_px: int) -> torch.Tensor:
    """The centre squares of `crop_px`, shrunk to 128 px: uint8 [n, 3, 128, 128]."""
    images = np.empty((len(paths), SIDE_PX, SIDE_PX, 3), np.uint8)
    for index, path in enumerate(paths):
        read = cv2.imread(str(path))
        if read is None:
            raise SystemExit(f"{path}: expected an image, found none that OpenCV reads")
        image = cv2.cvtColor(read, cv2.COLOR_BGR2RGB)
        top, left = (image.shape[0] - crop_px) // 2, (image.shape[1] - crop_px) // 2
        square = image[top : top + crop_px, left : left + crop_px]
        images[index] = cv2.resize(square, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


@dataclass(frozen=True)
class Loop:
    """Settings of the plain loop; `start` holds pretrained tensors by timm's names, without a classifier's."""

    backbone: str = "resnet18"
    epochs: int = 12
    learning_rate: float = 1e-3
    std: float = 0.25
    seed: int = 0
    single: bool = False
    start: Mapping[str, torch.Tensor] | None = None


def as_input(images: torch.Tensor, std: float) -> torch.Tensor:
    return ((images.float() / 255 - 0.5) / std).to(memory_format=torch.channels_last)


def predict_fold(
    images: torch.Tensor, truth: torch.Tensor, train: torch.Tensor, test: torch.Tensor, loop: Loop
) -> np.ndarray:
    """Train on `train`, the probabilities of `test`: float [n, classes]."""
    torch.manual_seed(loop.seed)
    network = timm.create_model(loop.backbone, num_classes=int(truth.max()) + 1)
    if loop.start is not None:
        missing, unexpected = network.load_state_dict(loop.start, strict=False)
        if unexpected or len(missing) != 2:
            raise SystemExit(
                f"{loop.backbone}: expected weights of all but the classifier, missing {missing}"
            )
    network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=loop.learning_rate)
    for epoch in range(loop.epochs):
        network.train()
        for batch in train[torch.randperm(len(train))].split(32):
            x = as_input(images[batch], loop.std)
            for axis in (2, 3):
                if torch.rand(()) < 0.5:
                    x = x.flip(axis)
            with torch.autocast("cpu", torch.bfloat16, enabled=not loop.single):
                loss = nn.functional.cross_entropy(network(x).float(), truth[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}/{loop.epochs} loss {loss.item():.3f}", flush=True)
    network.eval()
    with torch.inference_mode():
        return (
            torch.cat([network(as_input(images[part], loop.std)).softmax(1) for part in test.split(64)])
            .double()
            .numpy()
        )


def metrics_of(truth: np.ndarray, scores: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Balanced accuracy and mean one-against-rest AUC, of all images and as the mean of the folds: float [4]."""

    def both(rows: np.ndarray) -> list[float]:
        return [
            balanced_accuracy(truth[rows], scores[rows].argmax(1)),
            float(
                np.mean(
                    [roc_auc(truth[rows] == which, scores[rows, which]) for which in range(scores.shape[1])]
                )
            ),
        ]

    parts = np.mean([both(fold == which) for which in np.unique(fold)], axis=0)
    return np.concatenate([both(np.ones(len(truth), bool)), parts])


def compare(
    truth: np.ndarray, ours: np.ndarray, plain: np.ndarray, fold: np.ndarray, group: np.ndarray
) -> dict[str, Any]:
    """Metrics of both and their paired differences, each as [value, low, high]."""
    names = ["balanced_accuracy", "mean_auc", "balanced_accuracy_mean_of_folds", "mean_auc_mean_of_folds"]
    groups, member = np.unique(group, return_inverse=True)
    rows_of = np.split(np.argsort(member, kind="stable"), np.cumsum(np.bincount(member))[:-1])
    generator = np.random.default_rng(0)
    drawn = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([rows_of[index] for index in generator.integers(len(groups), size=len(groups))])
        drawn.append([metrics_of(truth[rows], scores[rows], fold[rows]) for scores in (ours, plain)])
    draws = np.asarray(drawn)
    values = np.asarray([metrics_of(truth, scores, fold) for scores in (ours, plain)])

    def described(value: np.ndarray, samples: np.ndarray) -> dict[str, list[float]]:
        low, high = np.percentile(samples, [2.5, 97.5], axis=0)
        return {
            name: [round(float(x), 4) for x in (value[i], low[i], high[i])] for i, name in enumerate(names)
        }

    return {
        "images": len(truth),
        "groups": len(groups),
        "ours": described(values[0], draws[:, 0]),
        "plain": described(values[1], draws[:, 1]),
        "difference": described(values[0] - values[1], draws[:, 0] - draws[:, 1]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folds", type=Path, help="folder that inkdot train --folds wrote")
    parser.add_argument("images", type=Path, help="the table of images it was given")
    parser.add_argument("--head", default="grade")
    parser.add_argument("--crop-px", type=int, default=288)
    parser.add_argument("--backbone", default="resnet18", help="a timm model name")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--single",
        action="store_true",
        help="single precision instead of bfloat16, slower",
    )
    args = parser.parse_args()

    with (args.folds / "out_of_fold.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    columns = [name for name in rows[0] if name.startswith(f"p.{args.head}.")]
    ours = np.asarray([[float(row[name]) for name in columns] for row in rows])
    targets = np.asarray([[float(row[name.replace("p.", "target.", 1)]) for name in columns] for row in rows])
    truth, fold = targets.argmax(1), np.asarray([int(row["fold"]) for row in rows])
    group = np.asarray([row["group"] for row in rows])
    images = read_image_table([args.images.parent / row["name"] for row in rows], args.crop_px)

    plain = np.empty_like(ours)
    loop = Loop(args.backbone, args.epochs, seed=args.seed, single=args.single)
    for which in np.unique(fold):
        print(f"fold {which}", flush=True)
        train, test = (
            torch.from_numpy(np.flatnonzero(fold != which)),
            torch.from_numpy(np.flatnonzero(fold == which)),
        )
        plain[fold == which] = predict_fold(images, torch.from_numpy(truth), train, test, loop)
    ours = ours / ours.sum(1, keepdims=True)
    plain = plain / plain.sum(1, keepdims=True)
    print(json.dumps(compare(truth, ours, plain, fold, group)))


if __name__ == "__main__":
    main()
