"""How should a slide's score depend on how many clusters were scored? On drawn scores, and on real images in bags.

    python experiments/slide_score_and_count.py [--fit 8 15 30] [--draws 20] [--lbc images.csv] [--work FOLDER]

Each rule is fitted on a few benign slides and measured on others, with 20 to 5,000 clusters per slide: specificity in thirds of
the count at the threshold of 90 % specificity overall, AUC for slides with 1 and with 5 malignant clusters, sensitivity for one
malignant cluster in each third, and the AUC of a scorer that knows nothing where malignant slides hold three times the clusters.
With --lbc the scores are those of a linear probe on frozen ImageNet features of squares cut from real images (columns path,
label, batch, original_image); slides are bags of squares, and training, fitting and measuring share no batch and no original
(`pip install 'inkdot[pretrained]'`, scikit-learn). Intervals are the 2.5 and 97.5 percentiles over draws.
docs/explanation/experiments/slide-score-and-count.md has the results.
"""
# pyright: basic

import argparse
import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy import optimize, stats
from sklearn.linear_model import LogisticRegression

from inkdot.metrics.slides.slide_score import tail_scale, top_slope
from inkdot.storage.models.slide_score_rule import logits
from inkdot.training.release.slide_score import fit_slide_score

LOWEST, HIGHEST = 20, 5000
FAMILIES = ("normal", "logistic", "exponential", "student", "easy", "mixed")
"""Distributions of benign logits. easy: what a larger slide has more of is clearly benign. mixed: half of the slides so."""
Slide = np.ndarray
Rule = Callable[[Slide], float]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fit", type=int, nargs="+", default=[8, 15, 30], help="benign slides to fit on")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--lbc", type=Path, help="table of real images")
    parser.add_argument("--work", type=Path, default=Path("slide-score"))
    options = parser.parse_args()
    for fitted in options.fit:
        for family in FAMILIES:
            draws = [
                drawn(family, fitted, np.random.default_rng([fitted, seed])) for seed in range(options.draws)
            ]
            report(f"{family}, fitted on {fitted} benign slides", draws)
    if options.lbc:
        images = LbcTiles(options.lbc, options.work)
        for fitted in options.fit:
            draws = [
                images.drawn(fitted, np.random.default_rng([fitted, seed])) for seed in range(options.draws)
            ]
            report(f"real images, fitted on {fitted} benign bags", draws)
    return 0


# --- rules -----------------------------------------------------------------------------------------------------------


def rules_of(benign: Sequence[Slide], malignant: Sequence[Slide]) -> dict[str, Rule]:
    """All rules, fitted on logits of validation slides."""

    def shifted(slope: float) -> Rule:
        return lambda slide: float(slide.max() - slope * np.log(len(slide)))

    log_survival = pooled_tail(benign)
    power = count_power(benign, log_survival)
    log_prior = np.log(1e-3)  # prevalence of malignant clusters
    learned = LogisticRegression().fit(
        [features(slide) for slide in (*benign, *malignant)], [0] * len(benign) + [1] * len(malignant)
    )
    return {
        "max": shifted(0.0),
        "noisy-or": lambda slide: float(np.log(np.logaddexp(0.0, slide).sum())),
        "noisy-or, prevalence": lambda slide: float(np.log(np.logaddexp(0.0, slide + log_prior).sum())),
        "p-value": lambda slide: float(-np.log(len(slide)) - log_survival(slide.max())),
        "p-value, n^a": lambda slide: float(-power * np.log(len(slide)) - log_survival(slide.max())),
        "logistic": lambda slide: float(learned.decision_function([features(slide)])[0]),
        "slope of tails": shifted(tail_scale(benign)),
        "slope of maxima": shifted(max(0.0, top_slope(benign, 1)[0])),
        "chosen": chosen(benign),
    }


def chosen(benign: Sequence[Slide]) -> Rule:
    """The rule that `inkdot train` fits."""
    names = np.array([str(row) for row in range(len(benign))])
    found, note = fit_slide_score(
        [probability(own) for own in benign], np.zeros(len(benign)), names, "validation"
    )
    if found is None:
        raise SystemExit(note)
    return lambda slide: float(logits(found.corrected(probability(slide.max()), len(slide))))


def probability(logit: np.ndarray | float) -> np.ndarray:
    return np.asarray(1.0 / (1.0 + np.exp(-np.asarray(logit))), np.float32)


def features(slide: Slide) -> list[float]:
    return [float(slide.max()), float(np.log(len(slide))), float(np.sort(slide)[-3:].mean())]


def pooled_tail(benign: Sequence[Slide]) -> Callable[[float], float]:
    """Log survival of benign clusters: empirical, with a generalised Pareto tail above the upper 2 %; slides count alike."""
    values = np.concatenate(list(benign))
    order = np.argsort(values)
    weights = np.concatenate([np.full(len(own), 1.0 / len(own) / len(benign)) for own in benign])
    ordered, survival = values[order], 1.0 - np.cumsum(weights[order])
    cut = float(ordered[np.searchsorted(-survival, -0.02)])
    shape, _, scale = stats.genpareto.fit(values[values > cut] - cut, floc=0)
    shape = float(np.clip(shape, -0.3, 0.3))

    def log_survival(value: float) -> float:
        if value <= cut:
            at = int(np.searchsorted(ordered, value))
            return float(np.log(survival[at - 1])) if at else 0.0
        end = cut + 0.999 * scale / max(-shape, 1e-9)  # a negative shape has an end
        return float(np.log(0.02) + stats.genpareto.logsf(min(value, end) - cut, shape, scale=scale))

    return log_survival


def count_power(benign: Sequence[Slide], log_survival: Callable[[float], float]) -> float:
    """a of the effective count n^a, by maximum likelihood on the maxima of benign slides."""
    surprise = np.array([-log_survival(own.max()) for own in benign])
    logs = np.log([len(own) for own in benign])

    def loss(values: np.ndarray) -> float:
        reduced = np.clip(values[0] + values[1] * logs - surprise, -50, 50)
        return float(-np.sum(reduced - np.exp(reduced)))

    return float(np.clip(optimize.minimize(loss, [0.0, 1.0], method="Nelder-Mead").x[1], 0.0, 1.0))


# --- slides ----------------------------------------------------------------------------------------------------------


def counts(rng: np.random.Generator, slides: int, factor: float = 1.0, highest: int = HIGHEST) -> list[int]:
    drawn_counts = factor * np.exp(rng.uniform(np.log(LOWEST), np.log(highest), slides))
    return np.clip(drawn_counts, LOWEST, 4 * highest).astype(int).tolist()


def benign_slide(family: str, count: int, rng: np.random.Generator) -> Slide:
    if family == "mixed":
        family = "easy" if rng.random() < 0.5 else "normal"
    level = -5.0 + 0.5 * rng.normal()  # slides differ
    if family == "logistic":
        return level + 0.8 * rng.logistic(size=count)
    if family == "exponential":
        return level - 1.0 + rng.exponential(size=count)
    if family == "student":
        return level + 1.2 * rng.standard_t(6, size=count)
    hard = count if family == "normal" else min(count, 20 + int(rng.poisson(20)))
    return np.concatenate([level + 1.6 * rng.normal(size=hard), level - 3.0 + rng.normal(size=count - hard)])


def malignant_slide(
    family: str, count: int, clusters: int, rng: np.random.Generator, mean: float = 3.0, std: float = 2.0
) -> Slide:
    slide = benign_slide(family, count, rng)
    slide[:clusters] = mean + std * rng.normal(size=clusters)
    return slide


def drawn(family: str, fitted: int, rng: np.random.Generator) -> dict[str, list[float]]:
    sizes, sizes_1 = counts(rng, 300), counts(rng, 150)
    benign = [benign_slide(family, own, rng) for own in sizes]
    one = [malignant_slide(family, own, 1, rng) for own in sizes_1]
    five = [malignant_slide(family, own, 5, rng) for own in sizes_1]
    clear = [malignant_slide(family, HIGHEST, 1, rng, 6.0, 1.0) for _ in range(50)]
    nothing = [benign_slide(family, own, rng) for own in counts(rng, 150, 3.0)]
    rules = rules_of(
        [benign_slide(family, own, rng) for own in counts(rng, fitted)],
        [
            malignant_slide(family, own, int(rng.integers(1, 20)), rng)
            for own in counts(rng, max(fitted // 2, 4))
        ],
    )
    return {name: measured(rule, benign, one, five, clear, nothing) for name, rule in rules.items()}


class LbcTiles:
    """Squares of 96 px from the middle 288 px of real images: nine of each normal one, the middle one of the others."""

    def __init__(self, table: Path, work: Path) -> None:
        with table.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        self.features = self._features(rows, table.parent, work)
        parts = [(row, part) for row in rows for part in (range(9) if row["label"] == "NL" else (4,))]
        self.positive = np.array([row["label"] != "NL" for row, _ in parts])
        self.units = np.array(
            [row["batch"] if row["label"] == "NL" else row["original_image"] for row, _ in parts]
        )

    @staticmethod
    def _features(rows: list[dict[str, str]], folder: Path, work: Path) -> np.ndarray:
        import timm
        import torch
        from PIL import Image

        from inkdot.config import LITE0_BACKBONE
        from inkdot.model.encoders.imagenet_lite0 import load_imagenet_lite0

        kept = work / "lbc-squares.npy"
        if kept.exists():
            return np.load(kept, allow_pickle=False)
        network = timm.create_model(LITE0_BACKBONE, num_classes=0).eval()
        load_imagenet_lite0(network)
        found = list[np.ndarray]()
        with torch.inference_mode():
            for row in rows:
                pixels = np.asarray(Image.open(folder / row["path"]).convert("RGB"))
                top, left = (pixels.shape[0] - 288) // 2, (pixels.shape[1] - 288) // 2
                middle = (
                    pixels[top : top + 288, left : left + 288]
                    .reshape(3, 96, 3, 96, 3)
                    .transpose(0, 2, 4, 1, 3)
                )
                squares = middle.reshape(9, 3, 96, 96) if row["label"] == "NL" else middle[1, 1][None]
                found.append(network(torch.from_numpy(squares.copy()).float() / 127.5 - 1.0).numpy())
        work.mkdir(parents=True, exist_ok=True)
        np.save(kept, np.concatenate(found), allow_pickle=False)
        return np.load(kept, allow_pickle=False)

    def drawn(self, fitted: int, rng: np.random.Generator) -> dict[str, list[float]]:
        """A third of the batches and originals trains the probe, a third fits the rules, a third measures them."""
        names = np.unique(self.units)
        part_of = dict(zip(names.tolist(), rng.integers(0, 3, len(names)).tolist(), strict=True))
        part = np.array([part_of[name] for name in self.units.tolist()])
        mean, std = self.features[part == 0].mean(axis=0), self.features[part == 0].std(axis=0) + 1e-3
        scaled = (self.features - mean) / std
        probe = LogisticRegression(C=1e-4, class_weight="balanced", max_iter=300)
        logits_of = probe.fit(scaled[part == 0], self.positive[part == 0]).decision_function(scaled)

        def bag(of: int, count: int, malignant: int = 0) -> Slide:
            """Squares of as few batches as hold them, so that those of a small bag are alike."""
            clean = np.flatnonzero((part == of) & ~self.positive)
            batches = rng.permutation(np.unique(self.units[clean]))
            sizes = np.cumsum([np.count_nonzero(self.units[clean] == name) for name in batches])
            used = batches[: int(np.searchsorted(sizes, count)) + 1]
            slide = logits_of[rng.permutation(clean[np.isin(self.units[clean], used)])[:count]].copy()
            slide[:malignant] = logits_of[rng.choice(np.flatnonzero((part == of) & self.positive), malignant)]
            return slide

        highest = min(int(np.count_nonzero((part == own) & ~self.positive)) for own in (1, 2)) // 4
        sizes, ones = counts(rng, 150, highest=highest), counts(rng, 100, highest=highest)
        rules = rules_of(
            [bag(1, own) for own in counts(rng, fitted, highest=highest)],
            [
                bag(1, own, int(rng.integers(1, 20)))
                for own in counts(rng, max(fitted // 2, 4), highest=highest)
            ],
        )
        benign, nothing = [bag(2, own) for own in sizes], [bag(2, min(3 * own, highest * 2)) for own in ones]
        one, five = [bag(2, own, 1) for own in ones], [bag(2, own, 5) for own in ones]
        best = np.flatnonzero((part == 2) & self.positive)
        best = best[logits_of[best] >= np.median(logits_of[best])]
        clear = [np.append(bag(2, highest), logits_of[rng.choice(best)]) for _ in range(50)]
        return {name: measured(rule, benign, one, five, clear, nothing) for name, rule in rules.items()}


# --- measures --------------------------------------------------------------------------------------------------------

MEASURES = (
    "spec, few", "spec, middle", "spec, many", "AUC, 1", "AUC, 5", "sens of 1, few", "middle", "many", "clear one among most",
    "AUC knowing nothing",
)  # fmt: skip


def measured(
    rule: Rule,
    benign: list[Slide],
    one: list[Slide],
    five: list[Slide],
    clear: list[Slide],
    nothing: list[Slide],
) -> list[float]:
    negative, single = np.array([rule(own) for own in benign]), np.array([rule(own) for own in one])
    edges = np.quantile([len(own) for own in benign], [1 / 3, 2 / 3])
    threshold = np.quantile(negative, 0.9)
    third, single_third = (np.digitize([len(own) for own in slides], edges) for slides in (benign, one))
    return [
        *(float(np.mean(negative[third == part] < threshold)) for part in range(3)),
        auc(single, negative),
        auc(np.array([rule(own) for own in five]), negative),
        *(float(np.mean(single[single_third == part] >= threshold)) for part in range(3)),
        float(np.mean([rule(own) >= threshold for own in clear])),
        auc(np.array([rule(own) for own in nothing]), negative),
    ]


def auc(positive: np.ndarray, negative: np.ndarray) -> float:
    return float(stats.mannwhitneyu(positive, negative).statistic / len(positive) / len(negative))


def report(title: str, draws: list[dict[str, list[float]]]) -> None:
    print(f"\n{title}: mean (2.5 to 97.5 percentile of {len(draws)} draws)\n")
    print("| rule | " + " | ".join(MEASURES) + " |")
    print("| --- |" + " --- |" * len(MEASURES))
    for name in draws[0]:
        values = np.array([own[name] for own in draws])
        low, high = np.percentile(values, [2.5, 97.5], axis=0)
        cells = [
            f"{m:.2f} ({a:.2f} to {b:.2f})" for m, a, b in zip(values.mean(axis=0), low, high, strict=True)
        ]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
