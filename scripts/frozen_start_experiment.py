"""Does it pay to begin with a backbone that learnt elsewhere, and to hold it first? On synthetic spots.

    python scripts/frozen_start_experiment.py [--from-slides 105] [--few 12 48] [--test-slides 200] [--draws 4] [--work FOLDER]

A small network learns on the labelled tiles of one cohort. Then few slides of other patients teach: from scratch, and from that
backbone with a new last layer, held for no, one and three epochs. All are judged by their best cluster on one set of test
slides. Differences are paired: the same bootstrap draw of test patients for both sides, averaged over the draws of the few
slides. What is done is kept in the folder; a rerun goes on there. Same options, same metrics. Decision 95 has what it gave.
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
from inkdot.records import SlideEntry
from inkdot.stages import train
from inkdot.storage.layout import ModelLayout, RunLayout

SCRATCH, HELD = "scratch", {"not held": 0, "held for one": 1, "held for three": 3}
PAIRS = ((SCRATCH, "not held"), ("held for one", "not held"), ("held for three", "not held"))
ELSEWHERE_SEED = 8000


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--from-slides", type=int, default=105, help="Slides that the backbone learns on.")
    parser.add_argument("--few", type=int, nargs="+", default=[12, 48], help="Slides that teach afterwards.")
    parser.add_argument("--test-slides", type=int, default=200)
    parser.add_argument("--draws", type=int, default=4, help="Cohorts of few slides, each of fresh patients.")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--work", type=Path, default=Path("frozen-start-experiment"))
    options = parser.parse_args()
    work, config = options.work, settings(options.epochs)
    test = cohort(work / "test", options.test_slides, TEST_SEED)
    elsewhere = cohort(work / "elsewhere", options.from_slides, ELSEWHERE_SEED)
    source = RunLayout(work / "run-elsewhere")
    trained(source, for_arm(config, "tiles", 0), elsewhere, work / "elsewhere" / "tiles")
    for few in options.few:
        judged: dict[str, list[Predicted]] = {way: [] for way in (SCRATCH, *HELD)}
        for draw in range(options.draws):
            learn = cohort(work / f"few-{few}-{draw}", few, few * 100 + draw)
            for way, runs in judged.items():
                run = RunLayout(work / f"run-{few}-{draw}-{way.replace(' ', '-')}")
                kept = run.root / "judged.json"
                if not kept.exists():
                    own = starting(config, way, draw, ModelLayout(source.model).weights)
                    trained(run, own, learn, work / f"few-{few}-{draw}" / "tiles")
                    judge_all(test, run, RunLayout(work / "judged"), own, kept)
                runs.append(read_judged(kept))
                print(f"{few} slides, draw {draw}, {way}: done", flush=True)
        first = judged[SCRATCH][0]
        say_cohort(first)
        say_metric(f"slide_auc of {few}", judged, auc, PAIRS, [first["truth"], ~first["truth"]])
    return 0


def starting(config: Config, way: str, seed: int, weights: Path) -> Config:
    """The config of one way to begin."""
    own = for_arm(config, "tiles", seed)
    if way == SCRATCH:
        return own
    training = own.training.model_copy(update={"freeze_epochs": HELD[way]})
    model = own.model.model_copy(update={"weights": str(weights)})
    return own.model_copy(update={"training": training, "model": model})


def trained(run: RunLayout, config: Config, slides: Sequence[SlideEntry], folder: Path) -> None:
    """Train on labelled tiles; a rerun goes on where it stopped."""
    if code := train.run(config, write_arm("tiles", slides, folder), run.root):
        sys.exit(code)


if __name__ == "__main__":
    sys.exit(main())
