"""Does augmentation, or stain normalisation, help on images of another laboratory, stain or scanner?

    python experiments/augmentation_shift.py --images lbc/images.csv --csf data/csf --out FOLDER

A linear probe (logistic regression on frozen EfficientNet-Lite0 features of 96 px) is trained on four views of each image,
one of them as it is, by each setting of `augmentation`, and tested on

- Pap images of other originals, as they are and under each shift of `datasets.augmentation.corruptions` (high grade or not), and
- cells and debris of two cerebrospinal fluid slides, trained on one stain and tested on its other places and on the other
  stain (nucleated or not; labels by eye, not a pathologist's; one patient).

Stain normalisation (Reinhard 2001) moves mean and spread in LAB of a test set's stained pixels to those of training.
AUC with 95 % intervals by resampling originals or places; differences to no augmentation by the same draws. Seeded. Takes
some minutes of one core.
"""
# pyright: basic

import argparse
import csv
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import timm
import torch
from plain_timm_loop import as_input
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from inkdot import plotting
from inkdot.config import LITE0_BACKBONE, AugmentationConfig
from inkdot.datasets.augmentation.corruptions import corrupted, named_levels
from inkdot.datasets.augmentation.stain import LabStatistics, lab_statistics, rand_stain_na
from inkdot.datasets.augmentation.transforms import Augmentation
from inkdot.model.encoders.imagenet_lite0 import load_imagenet_lite0
from inkdot.records import Mpp, ReadPlan, SlideEntry
from inkdot.slides import open_slide
from inkdot.units import Level0Px, LevelPx

SIDE, VIEWS, DRAWS = 96, 4, 500
OFF = {"geometry": False, "colour": 0.0, "focus": 0.0, "jpeg": 0.0}
STRONG = {"hed_jitter": 0.2, "exposure": 0.5, "white_balance": 0.25, "scale": 0.25, "jpeg_quality": 20}
ARMS = {
    "none": OFF,
    "turns, flips, scale ±8 %": OFF | {"geometry": True},
    "defaults": {},
    "HED jitter 0.05": OFF | {"hed_jitter": 0.05},
    "HED jitter 0.2": OFF | {"hed_jitter": 0.2},
    "HED jitter 0.5": OFF | {"hed_jitter": 0.5},
    "RandStainNA 1": OFF | {"rand_stain_na": 1.0},
    "exposure 0.5, white balance 0.25": OFF | {"exposure": 0.5, "white_balance": 0.25},
    "scale 0.25": OFF | {"scale": 0.25},
    "blur, JPEG from 20": OFF | {"focus": 0.5, "jpeg": 0.5, "jpeg_quality": 20},
    "all": STRONG,
}


@dataclass(frozen=True)
class Set:
    """Images, whether they are positive, and what to resample as a whole."""

    images: list[np.ndarray]
    truth: np.ndarray
    groups: np.ndarray

    def part(self, rows: np.ndarray) -> "Set":
        return Set([self.images[row] for row in rows], self.truth[rows], self.groups[rows])


class Encoder:
    """Frozen features."""

    def __init__(self) -> None:
        network = timm.create_model(LITE0_BACKBONE, num_classes=0).eval()
        load_imagenet_lite0(network)
        self._network = network.to(memory_format=torch.channels_last)

    def __call__(self, images: list[np.ndarray]) -> np.ndarray:
        pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        with torch.inference_mode():
            return torch.cat([self._network(as_input(part, 0.5)) for part in pixels.split(64)]).numpy()


def pap(table: Path, per_class: int) -> tuple[Set, Set]:
    """Training and test images of different originals: so many originals of each grade for each, one image of each."""
    with table.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    generator, parts = np.random.default_rng(0), ([], [])
    for label in ("NL", "LSIL", "HSIL", "SCC"):
        own: dict[str, str] = {}
        for row in rows:
            if row["label"] == label:
                own.setdefault(row["original_image"], row["path"])
        drawn = generator.permutation(sorted(own))[: 2 * per_class]
        for part, names in zip(parts, np.array_split(drawn, 2), strict=True):
            part += [(own[name], label in ("HSIL", "SCC"), name) for name in names]
    return tuple(
        Set(
            [pap_image(table.parent / path) for path, _, _ in part],
            np.array([truth for _, truth, _ in part]),
            np.array([group for _, _, group in part]),
        )
        for part in parts
    )  # type: ignore[return-value]


def pap_image(path: Path) -> np.ndarray:
    """The centre 288 px, since copies have streaks at their borders."""
    read = cv2.imread(str(path))
    assert read is not None, path
    image = cv2.cvtColor(read, cv2.COLOR_BGR2RGB)
    y, x = (max(0, (size - 288) // 2) for size in image.shape[:2])
    return cv2.resize(image[y : y + 288, x : x + 288], (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def csf(folder: Path, slide_id: str) -> Set:
    """Crops of 24 µm around the places that were labelled by eye."""
    slide = open_slide(SlideEntry("s", folder / f"{slide_id}.tif", mpp=Mpp.square(0.2528)))
    images, truth, groups = [], [], []
    with (folder / "labels_by_eye.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if row["slide_id"] != slide_id or row["nucleated"] not in ("yes", "no"):
                continue
            x, y, width, height = (int(row[f"{name}_l0_px"]) for name in ("x", "y", "width", "height"))
            left, top = x + width // 2 - SIDE // 2, y + height // 2 - SIDE // 2
            images.append(
                slide.read(ReadPlan(0, Level0Px(left), Level0Px(top), LevelPx(SIDE), LevelPx(SIDE)))
            )
            truth.append(row["nucleated"] == "yes")
            groups.append(f"{slide_id} {x} {y}")
    slide.close()
    return Set(images, np.array(truth), np.array(groups))


def colours(images: list[np.ndarray], *, together: bool) -> LabStatistics:
    found = lab_statistics(("all" if together else str(index), own) for index, own in enumerate(images))
    assert found is not None
    return found


def normalised(images: list[np.ndarray], training: list[np.ndarray]) -> list[np.ndarray]:
    """Reinhard: the set's colours moved to those of training, both as a whole."""
    own, target = colours(images, together=True), colours(training, together=True)
    both = LabStatistics(own.by_slide, target.centre, np.zeros((2, 3)))
    return [rand_stain_na(image, "all", both, 0.0, np.random.default_rng(0)) for image in images]


def auc(truth: np.ndarray, scores: np.ndarray) -> float:
    n = truth.sum()
    return float((rankdata(scores)[truth].sum() - n * (n + 1) / 2) / (n * (len(truth) - n)))


def views(images: list[np.ndarray], settings: dict[str, object]) -> list[np.ndarray]:
    """Each image as it is and three times augmented."""
    config = AugmentationConfig(**settings)  # type: ignore[arg-type]
    vary = Augmentation(config, colours=colours(images, together=False) if config.rand_stain_na else None)
    return [
        image if view == 0 else vary(image, view * 100_003 + index, str(index))
        for view in range(VIEWS)
        for index, image in enumerate(images)
    ]


def measure(
    train: Set, tests: dict[str, Set], arms: list[str], encode: Encoder
) -> dict[str, dict[str, dict[str, list[float]]]]:
    """AUC of each test set by each arm, with its interval and that of the difference to no augmentation."""
    embedded = {name: encode(own.images) for name, own in tests.items()}
    scores: dict[str, dict[str, np.ndarray]] = {}
    for arm in arms:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
        count = VIEWS if ARMS[arm] != OFF else 1
        images = views(train.images, ARMS[arm]) if count > 1 else train.images
        weight = np.full(count * len(train.truth), 1 / count)  # as much against the penalty as without views
        model.fit(encode(images), np.tile(train.truth, count), logisticregression__sample_weight=weight)
        scores[arm] = {name: model.decision_function(own) for name, own in embedded.items()}
        if arm == "none":
            scores["none, normalised"] = {
                name: model.decision_function(encode(normalised(own.images, train.images)))
                for name, own in tests.items()
            }
        print(
            arm,
            {name: round(auc(tests[name].truth, own), 3) for name, own in scores[arm].items()},
            flush=True,
        )
    found = {
        name: {arm: intervals(own, [scores[arm][name]], [scores["none"][name]]) for arm in scores}
        for name, own in tests.items()
    }
    first, *shifts = tests
    if len(shifts) > 1:  # the same images in each
        found[f"mean of {len(shifts)} shifts"] = {
            arm: intervals(tests[first], [own[n] for n in shifts], [scores["none"][n] for n in shifts])
            for arm, own in scores.items()
        }
    return found


def intervals(own: Set, scores: list[np.ndarray], base: list[np.ndarray]) -> dict[str, list[float]]:
    """Mean AUC of scores of the same images, and its difference to `base`, each with its interval."""

    def means(rows: np.ndarray) -> tuple[float, float]:
        first, second = (
            np.mean([auc(own.truth[rows], part[rows]) for part in side]) for side in (scores, base)
        )
        return float(first), float(first - second)

    draw = np.random.default_rng(0)
    found = []
    while len(found) < DRAWS:
        rows = draw.integers(0, len(own.truth), len(own.truth))  # one image of each group
        if 0 < own.truth[rows].sum() < len(rows):
            found.append(means(rows))
    low, high = np.percentile(found, [2.5, 97.5], axis=0)
    value, difference = means(np.arange(len(own.truth)))
    return {
        "auc": [value, float(low[0]), float(high[0])],
        "difference": [difference, float(low[1]), float(high[1])],
        "images": [len(own.truth), int(own.truth.sum())],
    }


def shifts_of_pap(test: Set) -> dict[str, Set]:
    found = {"Pap, as it is": test}
    for corruption, level, name in named_levels(mpp_known=False):
        images = [corrupted(image, corruption, level, 1.0) for image in test.images]
        found[f"Pap, {name}"] = Set(images, test.truth, test.groups)
    return found


def plot(found: dict[str, dict[str, dict[str, list[float]]]], path: Path) -> None:
    """Differences of AUC to no augmentation, with intervals: one panel per test set."""
    names = [name for name in found if not name.startswith("Pap, ")] + ["Pap, as it is"]
    names = [name for name in names if name in found]
    arms = [arm for arm in max(found.values(), key=len) if arm != "none"][::-1]
    with plotting.style():
        figure, axes = plotting.subplots(1, len(names), width=2.4, height=3.4)
        for index, (name, axis) in enumerate(zip(names, axes, strict=True)):
            for at, arm in enumerate(arms):
                if arm in found[name]:
                    value, low, high = found[name][arm]["difference"]
                    axis.hlines(at, low, high, color=plotting.COLOURS[0], linewidth=1.2)
                    axis.plot(value, at, "o", color=plotting.COLOURS[0])
            axis.axvline(0, color=plotting.GREY, linestyle=":")
            axis.set_yticks(range(len(arms)), arms if index == 0 else [""] * len(arms))
            axis.set(title=name, xlabel="difference in AUC", ylim=(-0.6, len(arms) - 0.4))
        path.write_text(plotting.svg(figure) + "\n", encoding="utf-8")


def contact_sheet(images: list[np.ndarray], path: Path) -> None:
    """Each setting on each image: as it is, then two draws."""
    rows = []
    for arm in (name for name in ARMS if name not in ("none", "RandStainNA 1")):
        vary = Augmentation(AugmentationConfig(**ARMS[arm]))  # type: ignore[arg-type]
        label = np.full((SIDE, 260, 3), 255, np.uint8)
        cv2.putText(label, arm, (4, SIDE // 2), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
        rows.append(
            np.hstack([label, *(own for image in images for own in (image, vary(image, 6), vary(image, 7)))])
        )
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, help="table of Pap images: path, label, original_image")
    parser.add_argument("--csf", type=Path, help="folder with the two slides and labels_by_eye.csv")
    parser.add_argument(
        "--per-class", type=int, default=50, help="originals of each grade, for training and test"
    )
    parser.add_argument(
        "--arms", nargs="+", default=list(ARMS), help="results of others that are in --out are kept"
    )
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    encode, found = Encoder(), {}
    if given.csf:
        slides = {stain: csf(given.csf, f"csf-lobular-{stain}2") for stain in ("pap", "mgg")}
        cells = [
            own.images[np.flatnonzero(own.truth)[1 - index]] for index, own in enumerate(slides.values())
        ]
        contact_sheet(cells, given.out / "augmentation.jpg")
        arms = [arm for arm in given.arms if "RandStainNA" not in arm]  # of one slide: nothing varies
        for stain, other in (("pap", "mgg"), ("mgg", "pap")):
            order = np.random.default_rng(0).permutation(len(slides[stain].truth))
            train, test = (slides[stain].part(part) for part in np.array_split(order, 2))
            tests = {f"CSF, {stain} to {stain}": test, f"CSF, {stain} to {other}": slides[other]}
            found |= measure(train, tests, arms, encode)
    if given.images:
        train, test = pap(given.images, given.per_class)
        found |= measure(train, shifts_of_pap(test), given.arms, encode)
    path = given.out / "augmentation_shift.json"
    earlier = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    order = ["none", "none, normalised", *ARMS]
    for name, row in earlier.items():
        both = row | found.get(name, {})
        found[name] = {arm: both[arm] for arm in dict.fromkeys(order) if arm in both}
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    plot(found, given.out / "augmentation_shift.svg")
    for name, row in found.items():
        print(f"\n{name}, {row['none']['images'][0]} images, {row['none']['images'][1]} positive")
        for arm, own in row.items():
            cells = [
                "{:.3f} ({:.3f} to {:.3f})".format(*own["auc"]),
                "{:+.3f} ({:+.3f} to {:+.3f})".format(*own["difference"]),
            ]
            print(f"| {arm} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
