"""Do answers to the questions of `inkdot review next` teach more than answers about regions drawn at random? On synthetic spots.

    python scripts/asking_rounds.py [--seeds 3] [--rounds 3] [--asked 100] [--work FOLDER] [--image FILE]

A small model is trained on four labelled spots of 1 mm. Round after round a reader who knows the truth is asked about 100
regions of 36 spots that nobody labelled: those that `review next` lists, or as many drawn at random from the same candidates.
The answers come back through `review import` and the model is trained anew, either way with as many steps. Each model
is judged on the same test slides. Differences are paired: the same bootstrap draw of test patients for both sides,
averaged over the seeds. What is done is kept in the folder; a rerun goes on there. Same options, same metrics.
"""

import argparse
import csv
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import shapely
from paired import difference, mean_of
from rounds_image import Point, image
from rounds_slides import Cohorts, PerfectReader, Predicted, Test, settings

from inkdot.datasets.tile_cache import labelled_tiles
from inkdot.errors import InkdotError
from inkdot.evaluation.slide_results import score_for_evaluation
from inkdot.manifest import manifest_text
from inkdot.metrics.confidence_intervals import bootstrap_estimate
from inkdot.pipeline.score_slide import Scoring
from inkdot.pipeline.slide_prediction import call_slide
from inkdot.pipeline.tile_slide import tile_slide
from inkdot.review.verdicts.verdict_table import COLUMNS, VERDICTS_VERSION
from inkdot.stages import review_import, review_next, train
from inkdot.storage.layout import RunLayout
from inkdot.storage.tables.cluster_scores import read_cluster_scores
from inkdot.storage.tables.labels_table import read_labels
from inkdot.storage.tables.predictions import write_predictions
from inkdot.storage.tables.scores import read_scores

ARMS = ("next", "random")
STEPS = 100
"""Of every training, whatever it learns from."""

METRICS = {"cluster_auc": "AUC of clusters", "slide_auc": "AUC of slides, by their highest cluster"}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--asked", type=int, default=100, help="Regions per round.")
    parser.add_argument("--work", type=Path, default=Path("asking-rounds"))
    parser.add_argument("--image", type=Path, help="Where to draw the metrics.")
    options = parser.parse_args()
    test = Test.made(options.work)
    judged: dict[tuple[str, int], list[Predicted]] = {}
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        cohorts = Cohorts.made(options.work / f"seed-{seed}", seed)
        for arm in ARMS:
            way = Way(arm, seed, options.work / f"seed-{seed}", cohorts, options.asked)
            for number in range(options.rounds + 1):
                judged.setdefault((arm, number), []).append(way.judged(number, test))
                value = judged[arm, number][-1].cluster_auc(np.ones(test.patients))
                print(f"seed {seed}, {arm}, round {number}: {value:.3f}", flush=True)
    report(judged, ARMS, options)
    return 0


class Way:
    """One way of choosing what to ask, walked for one seed."""

    def __init__(self, arm: str, seed: int, folder: Path, cohorts: Cohorts, asked: int) -> None:
        self._arm, self._seed, self._asked = arm, seed, asked
        self._folder, self._cohorts = folder / arm, cohorts
        self._start = folder / "start-model"

    def _round(self, number: int) -> Path:
        return self._folder / f"round-{number}" if number else self._start

    def judged(self, number: int, test: Test) -> Predicted:
        """The model after so many rounds, trained where that was not done before."""
        folder = self._round(number)
        folder.mkdir(parents=True, exist_ok=True)
        kept = folder / "judged.npz"
        if not kept.exists():
            answered = [self._round(done) / "verdicts.csv" for done in range(1, number + 1)]
            if number and not answered[-1].exists():
                self._ask(self._round(number - 1) / "model", answered[:-1], folder)
            self._train(answered, folder)
        return test.judge(folder / "model", kept)

    def _train(self, answered: Sequence[Path], folder: Path) -> None:
        config, layout = settings(self._seed, 1), RunLayout(self._folder / "run")
        entries = list(self._cohorts.labelled)
        if answered:
            labels = folder / "labels.csv"
            review_import.run(answered, labels, heads=config.head_records)
            of = {label.slide_id for label in read_labels(labels, config.head_records)}
            entries += [replace(e, annotation=labels) for e in self._cohorts.pool if e.slide_id in of]
        learning = 0
        for entry in entries:
            tile_slide(entry, config, layout)
            if entry.extra["split"] == "train":
                learning += len(labelled_tiles(entry, config, layout).targets)
        batches = max(1, round(learning / config.training.batch_size))
        epochs = max(1, round(STEPS / batches))
        print(f"{learning} tiles, {epochs} epochs, {epochs * batches} steps", flush=True)
        manifest = folder / "slides.csv"
        manifest.write_text(manifest_text(entries, config.head_records, folder), encoding="utf-8")
        if code := train.run(settings(self._seed, epochs), manifest, layout.root):
            raise SystemExit(code)
        shutil.rmtree(folder / "model", ignore_errors=True)
        shutil.copytree(layout.model, folder / "model")

    def _ask(self, model: Path, answered: Sequence[Path], folder: Path) -> None:
        """Choose the regions, and write down the reader's answers as the gallery saves them."""
        # What may be asked does not depend on the model, so other arms ask of what the first one found.
        first = not answered or self._arm == "random"
        results = RunLayout(self._start.parent / "first-results" if first else self._folder / "results")
        if not first or not results.predictions_csv.exists():
            self._predict(model, results)
        listed = folder / "next.csv"
        # The whole list holds every candidate; its head is what a shorter list would be.
        review_next.run(results.root, listed, count=1_000_000, answered=answered)
        with listed.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        if self._arm == "random":
            order = np.random.default_rng([self._seed, len(answered)]).permutation(len(rows))
        else:
            order = np.arange(len(rows))
        chosen = [rows[index] for index in order[: self._asked]]
        write_verdicts(folder / "verdicts.csv", chosen, self._cohorts.reader)

    def _predict(self, model: Path, results: RunLayout) -> None:
        """What `inkdot predict` gives, less the measuring of nuclei, which takes the longest."""
        scoring = Scoring.load(model, allow_synthetic_model=False, embeddings=True)
        config = settings(0, 1)
        predictions = []
        for entry in self._cohorts.pool:
            try:
                tile_slide(entry, config, results)
            except InkdotError:  # nothing on the glass, nothing to ask
                continue
            score_for_evaluation(entry, results, scoring)
            clusters = read_cluster_scores(results.cluster_scores(entry.slide_id))
            predictions.append(
                call_slide(entry.slide_id, read_scores(results.scores(entry.slide_id)), clusters)
            )
        write_predictions(results.predictions_csv, predictions)


def write_verdicts(path: Path, queries: Sequence[Mapping[str, str]], reader: PerfectReader) -> None:
    """A table of verdicts with the perfect reader's answers."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        for candidate_query in queries:
            region = shapely.from_wkt(candidate_query["region"])
            writer.writerow(
                {
                    "slide_id": candidate_query["slide_id"],
                    "region": candidate_query["region"],
                    "head": "malignancy",
                    "answer": reader.says(candidate_query["slide_id"], region),
                    "reader": "truth",
                    "time": "2000-01-01T00:00:00.000Z",
                    "shown": "scores",
                    "model_sha256": candidate_query["model_sha256"],
                    "schema": VERDICTS_VERSION,
                }
            )


def report(
    judged: Mapping[tuple[str, int], Sequence[Predicted]], arms: Sequence[str], options: argparse.Namespace
) -> None:
    """Print the metrics with their intervals and draw them."""
    first = judged[arms[0], 0][0]
    patients = np.arange(int(first.patient.max()) + 1).astype(np.str_)
    print(
        f"{len(first.truth)} test clusters, {int(first.truth.sum())} malignant, of {len(np.unique(first.slide))} slides and "
        f"{len(patients)} patients; {options.seeds} seeds"
    )
    panels: dict[str, dict[str, list[Point]]] = {}
    for name, title in METRICS.items():
        means = {key: mean_of([getattr(one, name) for one in runs]) for key, runs in judged.items()}
        lines = panels[title] = {arm: list[Point]() for arm in arms}
        for (arm, number), statistic in means.items():
            found = bootstrap_estimate(statistic, patients)
            print(f"selftest_{name} {arm}, {number * options.asked} answers: {found}")
            if found is not None:
                lines[arm].append(Point(number * options.asked, found.value, found.low, found.high))
        for other in arms[1:]:
            for number in range(1, options.rounds + 1):
                gained = difference(means[arms[0], number], means[other, number], patients)
                print(f"selftest_{name} {arms[0]} less {other}, {number * options.asked} answers: {gained}")
            last = mean_of([means[arms[0], number] for number in range(1, options.rounds + 1)])
            rest = mean_of([means[other, number] for number in range(1, options.rounds + 1)])
            print(
                f"selftest_{name} {arms[0]} less {other}, mean of rounds: {difference(last, rest, patients)}"
            )
    if options.image is not None:
        note = f"Synthetic spots, mean of {options.seeds} seeds, 95 % intervals over patients. No claim about real slides."
        options.image.write_text(image(panels, note), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
