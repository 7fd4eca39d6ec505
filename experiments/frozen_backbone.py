"""Is it better to start from a backbone trained on other patients, and to freeze it first? On synthetic spots.

    python experiments/frozen_backbone.py [--from-slides 105] [--few 12 48] [--test-slides 200] [--draws 4] [--work FOLDER]

A small network is trained on the labelled tiles of one cohort. Then networks are trained on few slides of other patients:
from scratch, and from that backbone with a new last layer, frozen for no, one and three epochs. All score the same test
slides by their highest cluster. Differences are paired: the same bootstrap draw of test patients for both sides, averaged
over the draws of the few slides. Results are kept in the folder; a rerun resumes there. The same options give the same
metrics. Decision 95 has the results.
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
from inkdot.records import SlideEntry
from inkdot.stages import train
from inkdot.storage.layout import ModelLayout, RunLayout

SCRATCH, FROZEN = "scratch", {"not frozen": 0, "frozen for one": 1, "frozen for three": 3}
PAIRS = ((SCRATCH, "not frozen"), ("frozen for one", "not frozen"), ("frozen for three", "not frozen"))
SOURCE_SEED = 8000


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--from-slides", type=int, default=105, help="slides that the backbone is trained on")
    parser.add_argument("--few", type=int, nargs="+", default=[12, 48], help="slides to train on afterwards")
    parser.add_argument("--test-slides", type=int, default=200)
    parser.add_argument("--draws", type=int, default=4, help="cohorts of few slides, each of fresh patients")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--work", type=Path, default=Path("frozen-backbone"))
    options = parser.parse_args()
    work, config = options.work, settings(options.epochs)
    test = cohort(work / "test", options.test_slides, TEST_SEED)
    source_slides = cohort(work / "source", options.from_slides, SOURCE_SEED)
    source = RunLayout(work / "run-source")
    trained(source, for_arm(config, "tiles", 0), source_slides, work / "source" / "tiles")
    for few in options.few:
        predicted: dict[str, list[Predicted]] = {start: [] for start in (SCRATCH, *FROZEN)}
        for draw in range(options.draws):
            training_slides = cohort(work / f"few-{few}-{draw}", few, few * 100 + draw)
            for start, runs in predicted.items():
                run = RunLayout(work / f"run-{few}-{draw}-{start.replace(' ', '-')}")
                kept = run.root / "predicted.json"
                if not kept.exists():
                    own = config_of(config, start, draw, ModelLayout(source.model).weights)
                    trained(run, own, training_slides, work / f"few-{few}-{draw}" / "tiles")
                    predict_test(test, run, RunLayout(work / "test-run"), own, kept)
                runs.append(read_predicted(kept))
                print(f"{few} slides, draw {draw}, {start}: done", flush=True)
        first = predicted[SCRATCH][0]
        print_cohort(first)
        print_metric(f"slide_auc of {few}", predicted, auc, PAIRS, [first["truth"], ~first["truth"]])
    return 0


def config_of(config: Config, start: str, seed: int, weights: Path) -> Config:
    """The config of one start."""
    own = for_arm(config, "tiles", seed)
    if start == SCRATCH:
        return own
    training = own.training.model_copy(update={"freeze_epochs": FROZEN[start]})
    model = own.model.model_copy(update={"weights": str(weights)})
    return own.model_copy(update={"training": training, "model": model})


def trained(run: RunLayout, config: Config, slides: Sequence[SlideEntry], folder: Path) -> None:
    """Train on labelled tiles; a rerun resumes."""
    if code := train.run(config, write_arm("tiles", slides, folder), run.root):
        sys.exit(code)


if __name__ == "__main__":
    sys.exit(main())
