"""Checkpoint selection: the last epoch, that of the lowest loss, or that of the highest patient AUC? On synthetic spots.

    python experiments/checkpoint_selection.py [--labels tiles|slides] [--slides 80] [--runs 4] [--work FOLDER]

The same network is trained on fresh patients per run, on labelled tiles or by MIL on slides with one label each (without the
rounds of pseudo-labels). The epochs of a run do not depend on the choice among them; each choice is evaluated on the same
test slides. Differences are paired: the same bootstrap draw of test patients for both sides, averaged over the runs.
--patience is early stopping; the last epoch is then the one where the loss stopped. Results are kept in the folder; a rerun
resumes there. The same options give the same metrics. Decision 94 has the results.
"""
# pyright: basic

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mil_from_slide_labels import (
    TEST_SEED,
    Predicted,
    auc,
    cohort,
    for_arm,
    predict_test,
    print_cohort,
    print_metric,
    read_predicted,
    settings,
    write_arm,
)

from inkdot.config import Config
from inkdot.model.model_folder import load_model, save_model
from inkdot.records import SlideEntry
from inkdot.stages import train
from inkdot.storage.layout import RunLayout
from inkdot.training.fit.checkpoint import restore_ema

MONITORS = {"loss": "calibrated_loss", "patients": "patient_auc"}
LAST = "last"
PAIRS = (("patients", "loss"), ("patients", LAST), ("loss", LAST))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--labels", choices=("tiles", "slides"), default="tiles", help="what is labelled")
    parser.add_argument("--slides", type=int, default=80, help="Slides for training and validation, per run.")
    parser.add_argument("--test-slides", type=int, default=100)
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument(
        "--patience", type=int, default=None, help="Stop after so many epochs without a better one."
    )
    parser.add_argument("--work", type=Path, default=Path("checkpoint-selection"))
    options = parser.parse_args()
    config = settings(options.epochs)
    test = cohort(options.work / "test", options.test_slides, TEST_SEED)
    predicted: dict[str, list[Predicted]] = {choice: [] for choice in (*MONITORS, LAST)}
    for seed in range(options.runs):
        training = cohort(options.work / f"training-{seed}", options.slides, seed + 1)
        manifest = write_arm(options.labels, training, options.work / f"training-{seed}" / options.labels)
        for choice, runs in predicted.items():
            chosen = config_of(config, options.labels, choice, seed, options.patience)
            runs.append(predicted_choice(options.labels, choice, seed, chosen, manifest, test, options.work))
            print(f"run {seed}, {choice}: done", flush=True)
    first = predicted[LAST][0]
    print_cohort(first)
    print_metric("slide_auc", predicted, auc, PAIRS, [first["truth"], ~first["truth"]])
    return 0


def config_of(config: Config, labels: str, choice: str, seed: int, patience: int | None) -> Config:
    """The config of one run. The last epoch is taken from the run that monitors the loss."""
    own = for_arm(config, labels, seed)
    mil = own.training.mil.model_copy(update={"pseudo_label_quantile": []})
    update: dict[str, object] = {"mil": mil, "monitor": MONITORS.get(choice, MONITORS["loss"])}
    if labels == "tiles":
        update |= {
            "checkpoint": "best",
            "early_stopping_patience": patience,
        }  # MIL always keeps its best epoch
    return own.model_copy(update={"training": own.training.model_copy(update=update)})


def predicted_choice(
    labels: str,
    choice: str,
    seed: int,
    config: Config,
    manifest: Path,
    test: Sequence[SlideEntry],
    work: Path,
) -> Predicted:
    """Train, or take the last epoch of the run that is there, and score the test slides, unless that was done before."""
    run = RunLayout(work / f"run-{seed}-{labels}-{choice}")
    kept = run.root / "predicted.json"
    if not kept.exists():
        if choice == LAST:
            keep_last(RunLayout(work / f"run-{seed}-{labels}-loss"), labels, run)
        elif code := train.run(config, manifest, run.root):
            sys.exit(code)
        predict_test(test, run, RunLayout(work / "test-run"), config, kept)
    return read_predicted(kept)


def keep_last(source: RunLayout, labels: str, run: RunLayout) -> None:
    """The model of a run with the weights after its last epoch; ranks of slides do not depend on its temperature."""
    description, network = load_model(source.model)
    phase = source.phase("mil") if labels == "slides" else source
    restore_ema(phase.last_checkpoint, network)
    save_model(run.model, network, description)


if __name__ == "__main__":
    sys.exit(main())
