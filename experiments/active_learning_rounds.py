"""Active learning: do verdicts on queried regions improve a model more than on random ones?

    python experiments/active_learning_rounds.py [--seeds 3] [--rounds 3] [--queries 100] [--work FOLDER] [--plot FILE]

A small model is trained on four labelled synthetic spots of 1 mm. In every round a reader who knows the truth gives verdicts
on 100 regions of 36 unlabelled spots: those that `inkdot review next` lists, or as many drawn at random from the same
candidates. The verdicts are imported by `review import`, and the model is trained anew with the same number of steps. All
models are evaluated on the same test slides. Differences are paired: the same bootstrap draw of test patients for both
sides, averaged over the seeds. Results are kept in the folder; a rerun resumes there. The same options give the same metrics.
docs/explanation/experiments/query-rounds.md has the results.
"""
# pyright: basic

import argparse
import csv
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import shapely
from active_learning_cohorts import Cohorts, PerfectReader, Predicted, Test, settings
from active_learning_plot import METRICS, STRATEGIES, Point, plot, write_points
from paired_bootstrap import difference, mean_of

from inkdot.datasets.tile_cache import labelled_tiles
from inkdot.errors import InkdotError
from inkdot.evaluation.slide_results import score_for_evaluation
from inkdot.manifest import manifest_text
from inkdot.metrics.intervals.confidence_intervals import bootstrap_estimate
from inkdot.pipeline.results.slide_prediction import slide_prediction
from inkdot.pipeline.scoring.score_slide import ScoringModel
from inkdot.pipeline.tile_slide import tile_slide
from inkdot.review.verdicts.verdict_table import COLUMNS, VERDICTS_VERSION
from inkdot.stages import train
from inkdot.stages.review import import_verdicts as review_import
from inkdot.stages.review import next_regions as review_next
from inkdot.storage.layout import RunLayout
from inkdot.storage.tables.cluster_scores import read_cluster_scores
from inkdot.storage.tables.labels_table import read_labels
from inkdot.storage.tables.predictions import write_predictions
from inkdot.storage.tables.scores import read_scores

STEPS = 100
"""Of every training, whatever the number of tiles."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--queries", type=int, default=100, help="regions per round")
    parser.add_argument("--work", type=Path, default=Path("active-learning-rounds"))
    parser.add_argument("--plot", type=Path, help="SVG to draw; its points are written beside it as CSV")
    options = parser.parse_args()
    test = Test.made(options.work)
    predicted: dict[tuple[str, int], list[Predicted]] = {}
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        cohorts = Cohorts.made(options.work / f"seed-{seed}", seed)
        for strategy in STRATEGIES:
            rounds = Rounds(strategy, seed, options.work / f"seed-{seed}", cohorts, options.queries)
            for number in range(options.rounds + 1):
                predicted.setdefault((strategy, number), []).append(rounds.predicted(number, test))
                value = predicted[strategy, number][-1].cluster_auc(np.ones(test.patients))
                print(f"seed {seed}, {strategy}, round {number}: {value:.3f}", flush=True)
    report(predicted, list(STRATEGIES), options)
    return 0


class Rounds:
    """The rounds of one query strategy for one seed."""

    def __init__(self, strategy: str, seed: int, folder: Path, cohorts: Cohorts, queries: int) -> None:
        self._strategy, self._seed, self._queries = strategy, seed, queries
        self._folder, self._cohorts = folder / strategy, cohorts
        self._start = folder / "start-model"

    def _round(self, number: int) -> Path:
        return self._folder / f"round-{number}" if number else self._start

    def predicted(self, number: int, test: Test) -> Predicted:
        """Test predictions of the model after a number of rounds, which is trained where it is missing."""
        folder = self._round(number)
        folder.mkdir(parents=True, exist_ok=True)
        kept = folder / "predicted.npz"
        if not kept.exists():
            verdicts = [self._round(done) / "verdicts.csv" for done in range(1, number + 1)]
            if number and not verdicts[-1].exists():
                self._query(self._round(number - 1) / "model", verdicts[:-1], folder)
            self._train(verdicts, folder)
        return test.predict(folder / "model", kept)

    def _train(self, verdicts: Sequence[Path], folder: Path) -> None:
        config, layout = settings(self._seed, 1), RunLayout(self._folder / "run")
        entries = list(self._cohorts.labelled)
        if verdicts:
            labels = folder / "labels.csv"
            review_import.run(verdicts, labels, heads=config.head_records)
            of = {label.slide_id for label in read_labels(labels, config.head_records)}
            entries += [replace(e, annotation=labels) for e in self._cohorts.pool if e.slide_id in of]
        tiles = 0
        for entry in entries:
            tile_slide(entry, config, layout)
            if entry.extra["split"] == "train":
                tiles += len(labelled_tiles(entry, config, layout).targets)
        batches = max(1, round(tiles / config.training.batch_size))
        epochs = max(1, round(STEPS / batches))
        print(f"{tiles} tiles, {epochs} epochs, {epochs * batches} steps", flush=True)
        manifest = folder / "slides.csv"
        manifest.write_text(manifest_text(entries, config.head_records, folder), encoding="utf-8")
        if code := train.run(settings(self._seed, epochs), manifest, layout.root):
            raise SystemExit(code)
        shutil.rmtree(folder / "model", ignore_errors=True)
        shutil.copytree(layout.model, folder / "model")

    def _query(self, model: Path, verdicts: Sequence[Path], folder: Path) -> None:
        """Choose regions, and write the reader's verdicts as the gallery saves them."""
        # The candidates do not depend on the model: the strategies share those of the first round.
        first = not verdicts or self._strategy == "random"
        results = RunLayout(self._start.parent / "first-results" if first else self._folder / "results")
        if not first or not results.predictions_csv.exists():
            self._predict(model, results)
        listed = folder / "next.csv"
        # The whole list holds every candidate; its first rows are a shorter list.
        review_next.run(results.root, listed, count=1_000_000, reviewed=verdicts)
        with listed.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        if self._strategy == "random":
            order = np.random.default_rng([self._seed, len(verdicts)]).permutation(len(rows))
        else:
            order = np.arange(len(rows))
        chosen = [rows[index] for index in order[: self._queries]]
        write_verdicts(folder / "verdicts.csv", chosen, self._cohorts.reader)

    def _predict(self, model: Path, results: RunLayout) -> None:
        """The results of `inkdot predict` without measurements of nuclei, which take the longest."""
        scoring = ScoringModel.load(model, allow_synthetic_model=False, embeddings=True)
        config = settings(0, 1)
        predictions = []
        for entry in self._cohorts.pool:
            try:
                tile_slide(entry, config, results)
            except InkdotError:  # an empty slide has no candidates
                continue
            score_for_evaluation(entry, results, scoring)
            clusters = read_cluster_scores(results.cluster_scores(entry.slide_id))
            predictions.append(
                slide_prediction(entry.slide_id, read_scores(results.scores(entry.slide_id)), clusters)
            )
        write_predictions(results.predictions_csv, predictions)


def write_verdicts(path: Path, queries: Sequence[Mapping[str, str]], reader: PerfectReader) -> None:
    """Write the verdicts of the perfect reader on the queried regions."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        for query in queries:
            region = shapely.from_wkt(query["geometry"])
            writer.writerow(
                {
                    "slide_id": query["slide_id"],
                    "geometry": query["geometry"],
                    "head": "malignancy",
                    "verdict": reader.verdict(query["slide_id"], region),
                    "reader": "truth",
                    "time": "2000-01-01T00:00:00.000Z",
                    "shown": "scores",
                    "model_sha256": query["model_sha256"],
                    "schema": VERDICTS_VERSION,
                }
            )


def report(
    predicted: Mapping[tuple[str, int], Sequence[Predicted]],
    strategies: Sequence[str],
    options: argparse.Namespace,
) -> None:
    """Print the metrics with their intervals and draw them."""
    first = predicted[strategies[0], 0][0]
    patients = np.arange(int(first.patient.max()) + 1).astype(np.str_)
    print(
        f"{len(first.truth)} test clusters, {int(first.truth.sum())} malignant, of {len(np.unique(first.slide))} slides and "
        f"{len(patients)} patients; {options.seeds} seeds"
    )
    points: list[Point] = []
    for name in METRICS:
        attribute = name.removeprefix("selftest_")
        means = {key: mean_of([getattr(one, attribute) for one in runs]) for key, runs in predicted.items()}
        for (strategy, number), statistic in means.items():
            found = bootstrap_estimate(statistic, patients)
            verdicts = number * options.queries
            print(f"{name} {strategy}, {verdicts} verdicts: {found}")
            if found is not None:
                points.append(
                    Point(name, strategy, verdicts, found.value, found.low, found.high, options.seeds)
                )
        for other in strategies[1:]:
            for number in range(1, options.rounds + 1):
                gained = difference(means[strategies[0], number], means[other, number], patients)
                print(f"{name} {strategies[0]} less {other}, {number * options.queries} verdicts: {gained}")
            last = mean_of([means[strategies[0], number] for number in range(1, options.rounds + 1)])
            rest = mean_of([means[other, number] for number in range(1, options.rounds + 1)])
            print(f"{name} {strategies[0]} less {other}, mean of rounds: {difference(last, rest, patients)}")
    if options.plot is not None:
        options.plot.write_text(plot(points), encoding="utf-8")
        write_points(options.plot.with_suffix(".csv"), points)


if __name__ == "__main__":
    sys.exit(main())
