"""Train models/demo on synthetic spots, for a first `inkdot predict` and for the tests.

python scripts/make_demo_model.py [--slides 120] [--work FOLDER] [--out models/demo]

The same version of Inkdot, configs/demo.yaml and options make the same model on the same machine. It is trained on
synthetic cells only and refuses real slides.
"""

import argparse
import shutil
import sys
from pathlib import Path

from inkdot.config import load_config
from inkdot.stages import synth, train
from inkdot.storage.layout import ModelLayout, RunLayout
from inkdot.storage.output_layouts import CohortLayout

REPOSITORY = Path(__file__).resolve().parents[1]
SEED = 20260213
LARGEST_BYTES = 16_000_000


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--slides", type=int, default=120)
    parser.add_argument("--work", type=Path, default=REPOSITORY / "demo-model-work")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "models" / "demo")
    options = parser.parse_args()
    cohort, run = CohortLayout(options.work / "cohort"), RunLayout(options.work / "run")
    config = load_config(REPOSITORY / "configs" / "demo.yaml")
    for step in (
        lambda: synth.run("demo-training", options.slides, SEED, cohort.root),
        lambda: train.run(config, cohort.slides_csv, run.root, workers=2),
    ):
        if code := step():
            return code
    made, shipped = ModelLayout(run.model), ModelLayout(options.out)
    size = made.weights.stat().st_size
    if size > LARGEST_BYTES:
        print(f"expected weights of at most {LARGEST_BYTES} bytes, found {size}; choose a smaller backbone")
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    for name in ("weights", "description", "card", "reference"):
        shutil.copyfile(getattr(made, name), getattr(shipped, name))
    print(f"{options.out}: {size / 1e6:.1f} MB of weights")
    return 0


if __name__ == "__main__":
    sys.exit(main())
