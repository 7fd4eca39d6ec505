"""Which epoch is the best one: the last, that of the lowest loss, or that of the highest AUC over patients? On synthetic spots.

    python scripts/epoch_choice_experiment.py [--way tiles|slides] [--slides 80] [--test-slides 100] [--runs 4] [--work FOLDER]

The same network is trained on fresh patients per run, on labelled tiles or on slides with nothing but an label about each
(from a start by these labels, without the rounds of surest tiles). All epochs of a run are the same whatever chooses among
them; each choice is judged on one set of test slides. Differences are paired: the same bootstrap draw of test patients for both
sides, averaged over the runs. --patience stops early; the last epoch is then the one where the loss stopped. What is done is
kept in the folder; a rerun goes on there. Same options, same metrics. Decision 94 has what it gave.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from slide_labels_experiment import (
    TEST_SEED,
    Predicted,
    auc,
    cohort,
    for_arm,
    judge_all,
    read_judged,
    say_cohort,
    say_metric,
    settings,
    write_arm,
)

from inkdot.config import Config
from inkdot.model.model_folder import load_model, save_model
from inkdot.records import SlideEntry
from inkdot.stages import train
from inkdot.storage.layout import RunLayout
from inkdot.training.fit.checkpoint import restore_ema

WATCHED = {"loss": "calibrated_loss", "patients": "patient_auc"}
LAST = "last"
PAIRS = (("patients", "loss"), ("patients", LAST), ("loss", LAST))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--way", choices=("tiles", "slides"), default="tiles", help="What teaches.")
    parser.add_argument("--slides", type=int, default=80, help="Slides for training and validation, per run.")
    parser.add_argument("--test-slides", type=int, default=100)
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument(
        "--patience", type=int, default=None, help="Stop after so many epochs without a better one."
    )
    parser.add_argument("--work", type=Path, default=Path("epoch-choice-experiment"))
    options = parser.parse_args()
    config = settings(options.epochs)
    test = cohort(options.work / "test", options.test_slides, TEST_SEED)
    judged: dict[str, list[Predicted]] = {choice: [] for choice in (*WATCHED, LAST)}
    for seed in range(options.runs):
        learn = cohort(options.work / f"learn-{seed}", options.slides, seed + 1)
        manifest = write_arm(options.way, learn, options.work / f"learn-{seed}" / options.way)
        for choice, runs in judged.items():
            chosen = choosing(config, options.way, choice, seed, options.patience)
            runs.append(judged_choice(options.way, choice, seed, chosen, manifest, test, options.work))
            print(f"run {seed}, {choice}: done", flush=True)
    first = judged[LAST][0]
    say_cohort(first)
    say_metric("slide_auc", judged, auc, PAIRS, [first["truth"], ~first["truth"]])
    return 0


def choosing(config: Config, way: str, choice: str, seed: int, patience: int | None) -> Config:
    """The config of one run. The last epoch is looked for in the run that the loss watches."""
    own = for_arm(config, way, seed)
    labels = own.training.mil.model_copy(update={"pseudo_label_quantile": []})
    update: dict[str, object] = {"mil": labels, "monitor": WATCHED.get(choice, WATCHED["loss"])}
    if way == "tiles":
        update |= {
            "checkpoint": "best",
            "early_stopping_patience": patience,
        }  # slides always keep their best epoch
    return own.model_copy(update={"training": own.training.model_copy(update=update)})


def judged_choice(
    way: str,
    choice: str,
    seed: int,
    config: Config,
    manifest: Path,
    test: Sequence[SlideEntry],
    work: Path,
) -> Predicted:
    """Train, or take the last epoch of the run that is there, and judge the test slides, unless that was done before."""
    run = RunLayout(work / f"run-{seed}-{way}-{choice}")
    kept = run.root / "judged.json"
    if not kept.exists():
        if choice == LAST:
            keep_last(RunLayout(work / f"run-{seed}-{way}-loss"), way, run)
        elif code := train.run(config, manifest, run.root):
            sys.exit(code)
        judge_all(test, run, RunLayout(work / "judged"), config, kept)
    return read_judged(kept)


def keep_last(source: RunLayout, way: str, run: RunLayout) -> None:
    """The model of a run with the weights after its last epoch; ranks of slides do not depend on its temperature."""
    description, network = load_model(source.model)
    phase = source.phase("mil") if way == "slides" else source
    restore_ema(phase.last_checkpoint, network)
    save_model(run.model, network, description)


if __name__ == "__main__":
    sys.exit(main())
