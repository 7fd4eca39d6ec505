"""Encoders on cervical cytology (Pap): Inkdot from several starts, each against a plain timm loop from the same start.

    python experiments/lbc_encoders.py images.csv --work FOLDER [--arms scratch lite0 linear ensemble] [--epochs 4]

The table has the columns path, label, original_image; all copies of one original are one group. Five folds, drawn by Inkdot,
are the same for all arms. `--choose` compares settings on an inner split of the training images of the first fold, and
trains nothing else. Both loops draw every training image once per epoch; Inkdot leaves out a tenth of them for its
threshold and temperatures, so the comparison favours the plain loop. Finished folds are kept; a rerun resumes. Prints
95 % intervals by resampling groups, the same draws for both sides of a difference.
"""
# pyright: basic

import argparse
import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import timm
import torch
import yaml
from plain_timm_loop import Loop, as_input, compare, metrics_of, predict_fold
from rich.console import Console
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from inkdot.config import IMAGENET_LITE0, LITE0_BACKBONE, Config, config_from_mapping
from inkdot.datasets.cohort import Fold, split_cohort
from inkdot.datasets.image_cache import cache_images
from inkdot.datasets.image_tables import read_image_table
from inkdot.datasets.splits.near_duplicates import group_near_duplicates
from inkdot.labels import head_slices
from inkdot.model.encoders.imagenet_lite0 import imagenet_lite0_tensors, load_imagenet_lite0
from inkdot.model.predictor import Predictor
from inkdot.stages import train
from inkdot.storage.layout import RunLayout

FOLDS, HEAD = 5, "grade"
BASE = Path(__file__).parents[1] / "configs" / "cervical_images.yaml"

# Compared by --choose on the inner split; the first of each start is what the five folds use.
PLAIN_RATES = {"scratch": [1e-3], "lite0": [1e-3, 3e-4, 1e-4]}
# Learning rate, layer decay and batch size of Inkdot.
OURS = [
    (1e-3, 1.0, 64), (1e-3, 0.9, 64), (1e-3, 0.8, 64), (3e-3, 0.8, 64), (3e-4, 1.0, 64), (1e-3, 0.9, 32),
    (1e-3, 0.95, 32), (2e-3, 0.95, 64), (3e-3, 1.0, 64), (3e-3, 0.9, 64),
]  # fmt: skip


@dataclass(frozen=True)
class Images:
    """All images."""

    table: Path
    names: list[str]
    pixels: np.ndarray
    truth: np.ndarray
    groups: np.ndarray
    folds: np.ndarray


def config_of(side_px: int, epochs: int, start: str, **training: object) -> Config:
    """Inkdot's default settings for these images: only the length and what the images need is set."""
    values = yaml.safe_load(BASE.read_text(encoding="utf-8"))
    values["tiling"] |= {"side_px": side_px, "stride_px": side_px}
    values["model"] = {
        "backbone": LITE0_BACKBONE,
        "weights": IMAGENET_LITE0 if start == "lite0" else "scratch",
    }
    values["augmentation"] = training.pop("augmentation", {})
    values["training"] = {
        "epochs": epochs, "validation_fraction": 0.1, "balance_by": HEAD, "accelerator": "cpu"
    } | training  # fmt: skip
    return config_from_mapping(values)


def read_images(table: Path, config: Config, work: Path) -> Images:
    """Pixels as Inkdot scales them, and the folds that it draws."""
    heads, console = config.head_records, Console(stderr=True, quiet=True)
    cached = cache_images(read_image_table(table, heads, config.images), config, RunLayout(work), console)
    tiles, _ = group_near_duplicates(cached, config.images.near_duplicates)
    fold_of = {
        name: number
        for number in range(FOLDS)
        for name, part in split_cohort(tiles, config, images=True, fold=Fold(number, FOLDS)).parts.items()
        if part == "test"
    }
    columns = head_slices(heads)[HEAD]
    return Images(
        table,
        [own.entry.slide_id for own in tiles],
        np.stack([cached.pixels[int(own.selection.rows[0])] for own in tiles]),
        np.array([int(np.argmax(own.targets[0, columns])) for own in tiles]),
        np.array([own.entry.patient_id for own in tiles]),
        np.array([fold_of[own.entry.slide_id] for own in tiles]),
    )


def ours_fold(images: Images, config: Config, rows: np.ndarray, test: np.ndarray, out: Path) -> np.ndarray:
    """Train by `inkdot train` on `rows`, a part of which validates; the probabilities of `test`."""
    out.mkdir(parents=True, exist_ok=True)
    with images.table.open(encoding="utf-8", newline="") as stream:
        given = list(csv.DictReader(stream))
    used = {images.names[row] for row in rows}
    own = [row | {"path": str(images.table.parent / row["path"])} for row in given if row["path"] in used]
    with (out / "images.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(given[0]))
        writer.writeheader()
        writer.writerows(own)
    if code := train.run_images(config, out / "images.csv", out / "run"):
        raise SystemExit(code)
    scores = Predictor(RunLayout(out / "run").model).predict_proba(images.pixels[test])
    return np.asarray(scores)[:, head_slices(config.head_records)[HEAD]]


def plain_fold(images: Images, loop: Loop, rows: np.ndarray, test: np.ndarray) -> np.ndarray:
    pixels, truth = torch.from_numpy(images.pixels.transpose(0, 3, 1, 2)), torch.from_numpy(images.truth)
    return predict_fold(pixels, truth, torch.from_numpy(rows), torch.from_numpy(test), loop)


def plain_loop(start: str, epochs: int, learning_rate: float) -> Loop:
    if start == "scratch":
        return Loop(LITE0_BACKBONE, epochs, learning_rate, single=True)
    tensors = {n: own for n, own in imagenet_lite0_tensors().items() if not n.startswith("classifier.")}
    return Loop(LITE0_BACKBONE, epochs, learning_rate, std=0.5, single=True, start=tensors)


def lite0_features(images: Images, work: Path) -> np.ndarray:
    """Features of the frozen backbone, float [n, 1280]."""
    path = work / "features.npy"
    if not path.exists():
        network = timm.create_model(LITE0_BACKBONE, num_classes=0).eval()
        load_imagenet_lite0(network)
        network.to(memory_format=torch.channels_last)
        pixels = torch.from_numpy(images.pixels).permute(0, 3, 1, 2)
        with torch.inference_mode():
            parts = [network(as_input(part, 0.5)) for part in pixels.split(64)]
        np.save(path, torch.cat(parts).numpy(), allow_pickle=False)
    return np.load(path, allow_pickle=False)


def linear(images: Images, options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """The frozen backbone: scikit-learn's logistic regression on standardised features, and Inkdot's linear probe."""
    features, config = lite0_features(images, options.work), config_of(options.side_px, 1, "lite0")
    config = config.model_copy(update={"model": config.model.model_copy(update={"freeze_backbone": True})})

    def predict(rows: np.ndarray, test: np.ndarray, _: Path) -> np.ndarray:
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        return model.fit(features[rows], images.truth[rows]).predict_proba(features[test])

    return out_of_fold(images, "plain-linear", options.work, predict), out_of_fold(
        images,
        "ours-linear",
        options.work,
        lambda rows, test, out: ours_fold(images, config, rows, test, out),
    )


def out_of_fold(
    images: Images, name: str, work: Path, predict: Callable[[np.ndarray, np.ndarray, Path], np.ndarray]
) -> np.ndarray:
    """Probabilities of every image by the model of its fold; finished folds are read back."""
    scores = np.empty((len(images.truth), int(images.truth.max()) + 1))
    for fold in range(FOLDS):
        path = work / name / f"fold-{fold + 1}.npy"
        test = np.flatnonzero(images.folds == fold)
        if not path.exists():
            print(f"{name}, fold {fold + 1} of {FOLDS}", flush=True)
            rows = np.flatnonzero(images.folds != fold)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, predict(rows, test, path.with_suffix("")), allow_pickle=False)
        scores[test] = np.load(path, allow_pickle=False)
    return scores / scores.sum(axis=1, keepdims=True)


def fine_tuned(
    images: Images, start: str, seed: int, options: argparse.Namespace
) -> tuple[np.ndarray, np.ndarray]:
    """Out-of-fold probabilities of the plain loop and of Inkdot, from one start."""
    loop = replace(plain_loop(start, options.epochs, PLAIN_RATES[start][0]), seed=seed)
    config, name = config_of(options.side_px, options.epochs, start, seed=seed), f"{start}-{seed}"
    plain = out_of_fold(
        images, f"plain-{name}", options.work, lambda rows, test, _: plain_fold(images, loop, rows, test)
    )
    return plain, out_of_fold(
        images,
        f"ours-{name}",
        options.work,
        lambda rows, test, out: ours_fold(images, config, rows, test, out),
    )


def arms(images: Images, options: argparse.Namespace) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By arm: out-of-fold probabilities of the plain loop and of Inkdot."""
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for arm in options.arms:
        if arm == "linear":
            found[arm] = linear(images, options)
        elif arm == "ensemble":
            members = [fine_tuned(images, "lite0", seed, options) for seed in range(options.members)]
            plain, ours = zip(*members, strict=True)
            found[arm] = np.mean(plain, axis=0), np.mean(ours, axis=0)
        else:
            found[arm] = fine_tuned(images, arm, 0, options)
    return found


def choose(images: Images, options: argparse.Namespace) -> None:
    """Compare settings on an inner split of the training images of the first fold; prints one line each."""
    rows = np.flatnonzero(images.folds != 0)
    split = GroupShuffleSplit(1, test_size=0.25, random_state=0)
    inner, held_out = (rows[part] for part in next(split.split(rows, groups=images.groups[rows])))
    if options.few is not None:
        inner = few_groups(images, inner, options.few)
    candidates: dict[str, Callable[[Path], np.ndarray]] = {}
    for start, rates in PLAIN_RATES.items():
        for rate in rates:
            loop = plain_loop(start, options.epochs, rate)
            candidates[f"plain {start} {rate:g}"] = lambda _, own=loop: plain_fold(
                images, own, inner, held_out
            )
    for rate, decay, batch in OURS:
        values = {"learning_rate": rate, "layer_decay": decay, "batch_size": batch}
        config = config_of(options.side_px, options.epochs, "lite0", **values)
        name = f"ours lite0 {rate:g}" + (f" decay {decay:g}" if decay < 1 else "")
        candidates[name + (f" batch {batch}" if batch != 64 else "")] = lambda out, own=config: ours_fold(
            images, own, inner, held_out, out
        )
    print(f"{len(inner)} images train, {len(held_out)} are held out")
    for name, predict in candidates.items():
        if not name.startswith(tuple(options.choose or [""])):
            continue
        folder = f"choose-{options.epochs}-epochs" + (f"-{options.few}-groups" if options.few else "")
        out = options.work / folder / name.replace(" ", "-")
        path = out.parent / f"{out.name}.npy"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, predict(out), allow_pickle=False)
        scores, truth = np.load(path, allow_pickle=False), images.truth[held_out]
        accuracy, auc, *_ = metrics_of(truth, scores, np.zeros(len(truth)))
        likelihood = -np.log(np.clip(scores[np.arange(len(truth)), truth], 1e-6, 1)).mean()
        shown = f"balanced accuracy {accuracy:.3f}, mean AUC {auc:.4f}, log-loss {likelihood:.3f}"
        print(f"{name}: {shown}", flush=True)


def few_groups(images: Images, rows: np.ndarray, count: int) -> np.ndarray:
    """The images of `count` groups of each class, drawn at random."""
    generator, drawn = np.random.default_rng(0), []
    for which in np.unique(images.truth):
        drawn += list(
            generator.permutation(np.unique(images.groups[rows[images.truth[rows] == which]]))[:count]
        )
    return rows[np.isin(images.groups[rows], drawn)]


def report(images: Images, found: dict[str, tuple[np.ndarray, np.ndarray]], work: Path) -> None:
    """The table, and all figures as results.json."""
    results: dict[str, object] = {}
    print(
        "| start | loop | balanced accuracy | mean AUC | mean AUC, mean of folds |\n| --- | --- | --- | --- | --- |"
    )
    columns = ("balanced_accuracy", "mean_auc", "mean_auc_mean_of_folds")
    for start, (plain, ours) in found.items():
        compared = compare(images.truth, ours, plain, images.folds, images.groups)
        results[start] = compared
        for side in ("ours", "plain", "difference"):
            sign = "+" if side == "difference" else ""
            cells = [compared[side][name] for name in columns]
            shown = [f"{value:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})" for value, low, high in cells]
            print(f"| {start} | {side} | {' | '.join(shown)} |", flush=True)
    (work / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("images", type=Path, help="the table of images")
    parser.add_argument("--work", type=Path, default=Path("lbc-encoders"))
    parser.add_argument("--arms", nargs="+", default=["scratch", "lite0", "linear", "ensemble"])
    parser.add_argument("--members", type=int, default=2, help="networks of the ensemble, from seeds 0, 1, …")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--side-px", type=int, default=96)
    parser.add_argument(
        "--choose", nargs="*", help="candidates whose names start so; nothing else is trained"
    )
    parser.add_argument("--few", type=int, help="with --choose: train on so many groups of each class")
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = config_of(options.side_px, 1, "scratch")
    images = read_images(options.images.resolve(), config, options.work / "images")
    if options.choose is not None:
        choose(images, options)
    else:
        report(images, arms(images, options), options.work)


if __name__ == "__main__":
    main()
