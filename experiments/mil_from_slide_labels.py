"""Does multiple-instance learning (MIL) beat giving every tile the label of its slide? On synthetic spots.

    python experiments/mil_from_slide_labels.py [--slides 144] [--test-slides 240] [--seeds 3] [--work FOLDER]

One to five malignant clusters lie on each positive spot of 1 mm; the rest of it is like the negative spots. The same network
is trained three times per seed, on fresh patients each: on labelled tiles; by MIL on slides with one label each, as the
program does; and naively, on tiles that all have the label of their slide, for as many epochs as one phase of MIL takes
(--longer: for as many as all phases, too). All are evaluated on the same test slides; models of tiles score a slide by its
highest cluster. Differences are paired: the same bootstrap draw of test patients for both sides, averaged over the seeds.
Results are kept in the folder; a rerun resumes there. The same options give the same metrics.
docs/explanation/experiments/slide-labels.md has the results.
"""
# pyright: basic

import argparse
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from achievable_auc import simulated_bounds
from paired_bootstrap import Statistic, difference, mean_of

from inkdot.config import Config, config_from_mapping
from inkdot.evaluation.slide_results import score_for_evaluation, slide_result
from inkdot.labels import DEFAULT_HEADS
from inkdot.manifest import manifest_text, read_slides
from inkdot.metrics.classification import roc_auc
from inkdot.metrics.intervals.confidence_intervals import bootstrap_estimate
from inkdot.metrics.slides.slide_level import NO_HIT, NO_KNOWN_REGION
from inkdot.pipeline.scoring.score_slide import ScoringModel
from inkdot.pipeline.tile_slide import tile_slide
from inkdot.records import SlideEntry
from inkdot.stages import synth, train
from inkdot.storage.layout import RunLayout
from inkdot.storage.output_layouts import CohortLayout

ARMS, LONGER = ("tiles", "slides", "naive"), "naive_longer"
SHARES = {"lm-minimal": 6, "mild-pleocytosis": 6}
"""Slides of each preset among twelve. Both have the same background: otherwise every training tells slides apart by their
background and finds no tumour."""

TEST_SEED = 9000
PHASES = 3.5
"""Steps of MIL relative to one round over all tiles, rounded up: two such rounds, and three over half of the tiles."""
WHOLE_SLIDE_PX = 1_000_000
HITS_AT = (30, 10)

Predicted = dict[str, np.ndarray]
"""Columns of the test slides that have a score: ``patients``, ``truth``, ``scores`` and ``ranks``."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--slides", type=int, default=144, help="Slides for training and validation, per seed."
    )
    parser.add_argument("--test-slides", type=int, default=240)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument(
        "--longer",
        action="store_true",
        help="train naively for as many epochs as all phases of MIL, too",
    )
    parser.add_argument("--work", type=Path, default=Path("slide-labels-experiment"))
    options = parser.parse_args()
    config = settings(options.epochs)
    test = cohort(options.work / "test", options.test_slides, TEST_SEED)
    arms = (*ARMS, LONGER) if options.longer else ARMS
    predicted: dict[str, list[Predicted]] = {arm: [] for arm in arms}
    for seed in range(options.seeds):
        training = cohort(options.work / f"training-{seed}", options.slides, seed + 1)
        for arm in arms:
            predicted[arm].append(predicted_arm(arm, seed, training, test, config, options.work))
            print(f"seed {seed}, {arm}: done", flush=True)
    report(predicted)
    return 0


def predicted_arm(
    arm: str,
    seed: int,
    training: Sequence[SlideEntry],
    test: Sequence[SlideEntry],
    config: Config,
    work: Path,
) -> Predicted:
    """Train one arm on one cohort and score the test slides, unless that was done before."""
    run = RunLayout(work / f"run-{seed}-{arm}")
    kept = run.root / "predicted.json"
    if not kept.exists():
        manifest = write_arm(arm, training, work / f"training-{seed}" / arm)
        if code := train.run(for_arm(config, arm, seed), manifest, run.root):
            sys.exit(code)
        predict_test(test, run, RunLayout(work / "test-run"), config, kept)
    return read_predicted(kept)


def read_predicted(kept: Path) -> Predicted:
    """Columns of the file of :func:`predict_test`."""
    rows = json.loads(kept.read_text(encoding="utf-8"))
    # An inadequate slide has no score by any model.
    _, patients, truth, scores, ranks = zip(*(row for row in rows if row[3] is not None), strict=True)
    return {
        "patients": np.array(patients),
        "truth": np.array(truth, np.bool_),
        "scores": np.array(scores, np.float64),
        "ranks": np.array(ranks),
    }


def settings(epochs: int) -> Config:
    """Coarse tiles of 64 µm around clusters and a small network: minutes on one core."""
    return config_from_mapping(
        {
            "tiling": {"side_px": 64, "mpp": 1.0, "stride_px": 64, "mode": "clusters", "max_tiles": 400},
            # One head: morphology would need labels of its own on slides.
            "heads": [{"name": "malignancy", "classes": ["benign", "malignant"], "flag_class": "malignant"}],
            "model": {"backbone": "mobilenetv3_small_050"},
            "training": {"epochs": epochs, "accelerator": "cpu", "max_tiles_per_slide": 400},
        }
    )


def for_arm(config: Config, arm: str, seed: int) -> Config:
    # A slide whose tumour lies in no tile has its own label alone: the other arms must not be trained on it by attention.
    use = config.training.mil.model_copy(update={"use": "always" if arm == "slides" else "never"})
    epochs = round(config.training.epochs * (PHASES if arm == LONGER else 1))
    training = config.training.model_copy(update={"seed": seed, "mil": use, "epochs": epochs})
    return config.model_copy(update={"training": training})


def cohort(folder: Path, slides: int, seed: int) -> list[SlideEntry]:
    """Synthetic slides of both presets, with their true labels of malignancy."""
    entries: list[SlideEntry] = []
    for kind, share in SHARES.items():
        layout = CohortLayout(folder / kind)
        synth.run(kind, slides * share // 12, seed, layout.root, spot_mm=1.0, mpp=0.5, workers=1)
        entries += [
            replace(entry, annotation=malignancy_only(layout))
            for entry in read_slides(layout.slides_csv, DEFAULT_HEADS)
        ]
    return entries


def malignancy_only(layout: CohortLayout) -> Path:
    """The labels of the one head of this experiment."""
    path = layout.root / "malignancy.csv"
    header, *lines = layout.labels_csv.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if ",malignancy," in line]
    path.write_text("\n".join([header, *kept]) + "\n", encoding="utf-8")
    return path


def write_arm(arm: str, entries: Sequence[SlideEntry], folder: Path) -> Path:
    """Write the manifest of one arm; all arms have the same slides and slide labels."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest, labels = folder / "slides.csv", folder / "labels.csv"
    if arm == "slides":
        entries = [replace(entry, annotation=None) for entry in entries]
    if arm.startswith("naive"):
        side = WHOLE_SLIDE_PX
        region = f'"POLYGON ((0 0, {side} 0, {side} {side}, 0 {side}, 0 0))"'
        rows = [
            f"{e.slide_id},{region},malignancy,{e.on_slide['malignancy']},naive,annotation" for e in entries
        ]
        labels.write_text(
            "\n".join(["slide_id,geometry,head,label,reader,source", *rows]) + "\n", encoding="utf-8"
        )
        entries = [replace(entry, annotation=labels) for entry in entries]
    heads = settings(1).head_records
    text = manifest_text(
        [replace(e, on_slide=malignancy_of(e), of_patient={}) for e in entries], heads, folder
    )
    manifest.write_text(text, encoding="utf-8")
    return manifest


def malignancy_of(entry: SlideEntry) -> dict[str, str]:
    return {"malignancy": entry.on_slide["malignancy"]}


def predict_test(
    test: Sequence[SlideEntry], run: RunLayout, layout: RunLayout, config: Config, kept: Path
) -> None:
    """Write score, truth, patient and hit of each test slide."""
    scoring, rows = ScoringModel.load(run.model, allow_synthetic_model=False), list[list[object]]()
    for entry in test:
        tile_slide(entry, config, layout)
        score_for_evaluation(entry, layout, scoring)
        found = slide_result(entry, layout)
        rows.append([entry.slide_id, found.patient, found.truth, found.score, found.hit_rank])
    kept.write_text(json.dumps(rows), encoding="utf-8")


def report(predicted: Mapping[str, Sequence[Predicted]]) -> None:
    first = predicted["tiles"][0]
    print_cohort(first)
    with_region = first["ranks"] != NO_KNOWN_REGION
    pairs = (("slides", "naive"), ("slides", LONGER), ("tiles", "slides"), ("tiles", "naive"))
    print_metric("slide_auc", predicted, auc, pairs, [first["truth"], ~first["truth"]])
    for k in HITS_AT:
        print_metric(f"slide_hit@{k}", predicted, partial(hits, k=k), pairs, [with_region])
    bound = simulated_bounds()[1]
    print(f"selftest_best_auc of clusters, {bound.head}: {bound.selftest_best_auc:.3f}")


def print_cohort(own: Predicted) -> None:
    truth, patients = own["truth"], own["patients"]
    print(f"{len(truth)} test slides of {len(np.unique(patients))} patients, {int(truth.sum())} positive")


def print_metric(
    name: str,
    predicted: Mapping[str, Sequence[Predicted]],
    metric: Callable[[Predicted], Statistic],
    pairs: Sequence[tuple[str, str]],
    sides: Sequence[np.ndarray],
) -> None:
    """Print the mean over the runs of each arm with its interval, and paired differences.

    Args:
        name: Name of the metric without ``selftest_``.
        predicted: The runs of each arm, all on the same test slides.
        metric: Computes it for one run.
        pairs: Arms to compare, where both were run.
        sides: Test slides that must come from enough patients each. Where every draw gives the same metric, as where all
            slides are hits, its interval is exact for as many observations as the smallest side has patients.
    """
    patients = next(iter(predicted.values()))[0]["patients"]
    means = {arm: mean_of([metric(own) for own in runs]) for arm, runs in predicted.items()}
    for arm, mean in means.items():
        found = bootstrap_estimate(mean, patients, sides=sides)
        print(f"selftest_{name} {arm}: {found} ({found.method})" if found else f"selftest_{name} {arm}: none")
        print(
            "  by run: " + ", ".join(f"{metric(own)(np.ones(len(patients))):.3f}" for own in predicted[arm])
        )
    for one, other in ((one, other) for one, other in pairs if {one, other} <= means.keys()):
        print(f"selftest_{name} {one} less {other}: {difference(means[one], means[other], patients)}")


def auc(own: Predicted) -> Statistic:
    order = np.argsort(own["scores"], kind="stable")
    truth, scores = own["truth"][order], own["scores"][order]
    return lambda weights: roc_auc(truth, scores, weights[order])


def hits(own: Predicted, k: int) -> Statistic:
    with_region = own["ranks"] != NO_KNOWN_REGION
    hit = with_region & (own["ranks"] != NO_HIT) & (own["ranks"] <= k)

    def share(weights: np.ndarray) -> float:
        total = weights[with_region].sum()
        return float(weights[hit].sum() / total) if total else math.nan

    return share


if __name__ == "__main__":
    sys.exit(main())
