"""Out-of-distribution scores against real and made shifts: which one notices foreign images?

    python experiments/ood_shifts.py RUN/model train.csv test.csv --real NAME=SLIDE_OR_FOLDER ... --out FOLDER

Takes a model of images, embeds its training images (the reference) and the test images (of other patients or originals, as
in training), then the same test images under each corruption of `datasets.augmentation.corruptions`, and random crops of other
slides and folders. Each score is fitted on the training images alone; AUROC is of telling a foreign image from a test
image, with a 95 % interval by resampling groups of test images and foreign images. `batch` is the same for the median of
20 images at a time. Needs `pip install pytorch-ood scikit-learn`, whose implementations are compared. Seeded.
"""
# pyright: basic

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.stats import rankdata

from inkdot import plotting
from inkdot.config import ImagesConfig
from inkdot.datasets.augmentation.corruptions import CORRUPTIONS, corrupted, named_levels
from inkdot.datasets.image_cache import read_image
from inkdot.datasets.image_tables import read_image_table
from inkdot.labels import head_slices
from inkdot.metrics.ood_distance import fit_reference, ood_distances
from inkdot.model.model_folder import load_model
from inkdot.model.predictor import Predictor
from inkdot.records import Mpp, ReadPlan, SlideEntry
from inkdot.slides import open_slide
from inkdot.units import Level0Px, LevelPx

BATCH, DRAWS, CROPS, TEST = 20, 200, 100, 200
Scores = dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]


def detectors(
    features: np.ndarray, slides: np.ndarray, labels: np.ndarray, weight: np.ndarray, bias: np.ndarray
) -> Scores:
    """Each from features [n, f] and logits [n, c] to an outlier score [n]."""
    # Of the experiment alone: `pip install pytorch-ood`.
    from pytorch_ood.detector import (  # pyright: ignore[reportMissingImports]
        KNN,
        RMD,
        EnergyBased,
        Mahalanobis,
        MaxLogit,
        MaxSoftmax,
        ViM,
    )

    z, y = torch.from_numpy(features), torch.from_numpy(labels)
    w, b = torch.from_numpy(weight), torch.from_numpy(bias)
    found: Scores = {}
    rows = np.unique(np.linspace(0, len(features) - 1, 512).astype(int))
    lof = fit_reference(features[rows], slides[rows])
    assert lof is not None
    found["LOF-like (512)"] = lambda x, _: ood_distances(x, lof)
    whole = fit_reference(features, slides)
    assert whole is not None
    found["LOF-like (all)"] = lambda x, _: ood_distances(x, whole)
    for name, own in {
        "kNN k=3": KNN(None, k=3),
        "kNN k=10": KNN(None, k=10),
        "Mahalanobis": Mahalanobis(None),
        "relative Mahalanobis": RMD(None),
        "ViM": ViM(None, d=min(128, features.shape[1] // 2), w=w, b=b),
    }.items():
        own.fit_features(z, y)
        found[name] = lambda x, _, own=own: own.predict_features(torch.from_numpy(x)).numpy()
    knn512 = KNN(None, k=3)
    knn512.fit_features(z[rows], y[rows])
    found["kNN k=3 (512)"] = lambda x, _: knn512.predict_features(torch.from_numpy(x)).numpy()
    for dims in (32, 128):
        found[f"PCA Mahalanobis {dims}"] = pca_mahalanobis(features, dims)
    for name, score in (
        ("energy", EnergyBased.score),
        ("max logit", MaxLogit.score),
        ("max softmax", MaxSoftmax.score),
    ):
        found[name] = lambda _, logits, score=score: score(torch.from_numpy(logits)).numpy()
    return found


def pca_mahalanobis(features: np.ndarray, dims: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Distance to the mean by probabilistic principal components (Tipping and Bishop 1999): the rest has one variance."""
    mean = features.mean(axis=0)
    _, sigma, axes = np.linalg.svd(features - mean, full_matrices=False)
    variance = sigma**2 / (len(features) - 1)
    own, rest = variance[:dims], variance[dims:].sum() / (features.shape[1] - dims)

    def score(x: np.ndarray, _: np.ndarray) -> np.ndarray:
        centred = x - mean
        along = centred @ axes[:dims].T
        out = (centred**2).sum(axis=1) - (along**2).sum(axis=1)
        return (along**2 / own).sum(axis=1) + out / rest

    return score


def auroc(inside: np.ndarray, outside: np.ndarray) -> float:
    ranks = rankdata(np.concatenate([inside, outside]))
    n, m = len(outside), len(inside)
    return float((ranks[m:].sum() - n * (n + 1) / 2) / (n * m))


def interval(inside: np.ndarray, groups: np.ndarray, outside: np.ndarray, seed: int = 0) -> list[float]:
    """AUROC with its 95 % bootstrap interval: whole groups of test images, single foreign images."""
    draw = np.random.default_rng(seed)
    rows = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    found = []
    for _ in range(DRAWS):
        own = np.concatenate([rows[index] for index in draw.integers(0, len(rows), len(rows))])
        found.append(auroc(inside[own], draw.choice(outside, len(outside))))
    return [auroc(inside, outside), *np.percentile(found, [2.5, 97.5]).tolist()]


def batches(values: np.ndarray, seed: int = 0) -> np.ndarray:
    """Medians of random batches."""
    draw = np.random.default_rng(seed)
    return np.array([np.median(draw.choice(values, BATCH, replace=False)) for _ in range(200)])


def random_crops(source: Path, crop_px: int, seed: int = 0) -> list[np.ndarray]:
    """Crops with something on them, from a slide or from the images of a folder."""
    draw, found = np.random.default_rng(seed), []
    if source.is_dir():
        paths = sorted(path for path in source.glob("*.png") if not path.stem.endswith("_labels"))
        for path in paths:
            read = cv2.imread(str(path))
            if read is None:
                raise SystemExit(f"{path}: expected an image, found a file that OpenCV does not read")
            image = cv2.cvtColor(read, cv2.COLOR_BGR2RGB)
            h, w = image.shape[:2]
            side = min(crop_px, h, w)
            for _ in range(max(1, CROPS // len(paths))):
                x, y = draw.integers(0, w - side + 1), draw.integers(0, h - side + 1)
                found.append(image[y : y + side, x : x + side])
        return found[:CROPS]
    slide = open_slide(SlideEntry("s", source, mpp=Mpp.square(0.25)))  # nothing is measured by it
    width, height = slide.info.size_l0_px
    for _ in range(60 * CROPS):
        x, y = int(draw.integers(0, width - crop_px)), int(draw.integers(0, height - crop_px))
        rgb = slide.read(ReadPlan(0, Level0Px(x), Level0Px(y), LevelPx(crop_px), LevelPx(crop_px)))
        if cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).std() > 12:
            found.append(rgb)
        if len(found) == CROPS:
            break
    slide.close()
    return found


SHOWN = ("LOF-like (512)", "kNN k=3", "Mahalanobis", "ViM", "max softmax")


def plot(found: dict[str, dict[str, dict[str, list[float]]]], path: Path) -> None:
    """AUROC with intervals, one row per shift: real ones, then the made ones of the model card."""
    few = {f"{own.name}: {level:g}" for own, level, _ in named_levels(mpp_known=False)}
    names = [name for name in found if name.startswith("real") or name in few][::-1]
    with plotting.style():
        figure, (axes,) = plotting.subplots(width=7.5, height=0.36 * len(names) + 1)
        for index, method in enumerate(SHOWN):
            rows = [found[name][method]["single"] for name in names]
            at = np.arange(len(names)) + 0.3 - 0.15 * index
            colour = plotting.COLOURS[index]
            axes.hlines(at, [row[1] for row in rows], [row[2] for row in rows], color=colour, linewidth=1.2)
            axes.plot([row[0] for row in rows], at, "o", color=colour, label=method)
        axes.axvline(0.5, color=plotting.GREY, linestyle=":")
        axes.set_yticks(range(len(names)), names)
        axes.set(
            xlim=(0, 1.02),
            ylim=(-0.6, len(names) - 0.4),
            xlabel="AUROC of single images (bar: 95 % interval)",
        )
        axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.09), ncol=5)
        path.write_text(plotting.svg(figure) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--real", nargs="*", default=[])
    parser.add_argument("--few", action="store_true", help="only the levels of the model card")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    predictor = Predictor(given.model, runtime="torch")
    model = predictor.description
    images = model.images or ImagesConfig()
    side, heads = model.tiling.side_px, model.head_records

    def read(table: Path, part: str = "") -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        entries = [
            own
            for own in read_image_table(
                table, heads, images.model_copy(update={"split": "split" if part else None})
            )
            if not part or own.split == part
        ]
        if not part:
            entries = [entries[index] for index in np.random.default_rng(0).permutation(len(entries))[:TEST]]
        pixels = [read_image(own, model.tiling, images).rgb for own in entries]
        head = heads[-1]
        labels = np.array([int(np.argmax(head.target(own.labels[head.name]) or ())) for own in entries])
        return pixels, np.array([own.group for own in entries]), labels

    def embed(tiles: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        parts = list(predictor.infer(tiles))
        logits = np.concatenate([part.logits for part in parts])[:, head_slices(heads)[heads[-1].name]]
        return np.concatenate([part.features for part in parts]).astype(np.float32), logits.astype(np.float32)

    pixels, groups, labels = read(given.train, "train")
    features, _ = embed(pixels)
    layer = load_model(given.model)[1].heads[heads[-1].name]
    assert isinstance(layer, torch.nn.Linear)
    scores = detectors(features, groups, labels, layer.weight.detach().numpy(), layer.bias.detach().numpy())
    test, test_groups, _ = read(given.test)
    inside = embed(test)
    rng = np.random.default_rng(1)
    own = [test[index] for index in rng.permutation(len(test))[:CROPS]]
    sets: dict[str, list[np.ndarray]] = {}
    for name, source in (text.split("=", 1) for text in given.real):
        crops = random_crops(Path(source), images.crop_px or 3 * side)
        sets[f"real: {name}"] = [
            cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA) for crop in crops
        ]
    few = {(own.name, level) for own, level, _ in named_levels(mpp_known=False)}
    for corruption in CORRUPTIONS:
        for level in corruption.levels:
            if given.few and (corruption.name, level) not in few:
                continue
            # mpp 1: of unknown scale, so that blur is in pixels of the tile
            sets[f"{corruption.name}: {level:g}"] = [corrupted(tile, corruption, level, 1.0) for tile in own]
    given.out.mkdir(parents=True, exist_ok=True)
    base = {name: score(*inside) for name, score in scores.items()}
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for name, tiles in sets.items():
        outside = embed(tiles)
        found[name] = {}
        for method, score in scores.items():
            values = score(*outside)
            found[name][method] = {
                "single": interval(base[method], test_groups, values),
                "batch": [auroc(batches(base[method]), batches(values))],
                "images": [len(values)],
            }
    (given.out / "ood_shifts.json").write_text(json.dumps(found, indent=1))
    plot(found, given.out / "ood_shifts.svg")
    methods = list(scores)
    print("shift," + ",".join(methods))
    for name, row in found.items():
        print(name + "," + ",".join(f"{row[m]['single'][0]:.2f}" for m in methods))
    for kind in ("real", ""):
        rows = [row for name, row in found.items() if name.startswith("real") == bool(kind)]
        print(
            f"mean {kind or 'made'},"
            + ",".join(f"{np.mean([row[m]['single'][0] for row in rows]):.3f}" for m in methods)
        )


if __name__ == "__main__":
    main()
