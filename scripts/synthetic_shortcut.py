"""Can a network tell synthetic clusters apart better than anybody could? Then it found a shortcut in the pictures.

python scripts/synthetic_shortcut.py [--slides 160] [--epochs 12] [--work FOLDER]

Makes spots of many patients, cuts one picture around every cluster, trains a small network on some patients and judges
it on others; prints its area under the ROC curve with an interval beside the simulated bound, as one JSON line.
"""

import argparse
import json
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console

from inkdot.artefacts.layout import CohortLayout, RunLayout
from inkdot.config import Config, config_from_mapping
from inkdot.evaluation.intervals import auc_estimate
from inkdot.manifest import read_slides
from inkdot.model.data import TileSet
from inkdot.model.loop import TrainingData, fit
from inkdot.model.network import NetworkSpec, TileNetwork
from inkdot.model.predicting import choose_device, predict_logits
from inkdot.records import RgbArray, SlideEntry
from inkdot.slides import open_slide
from inkdot.stages import synth
from inkdot.synthetic.overlap import simulated_bounds
from inkdot.tiling.pixels import read_tile

SEED = 77
FEWEST_NUCLEI = 3
SETTINGS = {
    "tiling": {"side_px": 128, "mpp": 0.5, "stride_px": 128},
    "model": {"backbone": "mobilenetv3_small_050"},
    "training": {"learning_rate": 0.002},
}


def clusters_of(
    entry: SlideEntry, cohort: CohortLayout, config: Config
) -> list[tuple[RgbArray, list[float]]]:
    """A picture around the middle of every cluster of a slide, and its targets."""
    table = pq.read_table(cohort.truth(entry.slide_id), partitioning=None)
    table = table.filter(pc.is_valid(table["cluster_id"]))
    spec, found = config.tiling.spec, list[tuple[RgbArray, list[float]]]()
    with closing(open_slide(entry)) as slide:
        half = spec.side_um / slide.info.mpp.x / 2
        for cluster in pc.unique(table["cluster_id"]).to_pylist():
            members = table.filter(pc.equal(table["cluster_id"], cluster))
            if members.num_rows < FEWEST_NUCLEI:
                continue
            x, y = (float(np.mean(members[name].to_numpy())) for name in ("x_l0_px", "y_l0_px"))
            picture = read_tile(slide, spec, round(x - half), round(y - half))
            malignant = bool(np.mean(members["malignant"].to_numpy(zero_copy_only=False)) > 0.5)
            morphology = entry.on_slide.get("morphology") if malignant else None
            sizes = {"small_cell": [1.0, 0.0], "large_cell": [0.0, 1.0]}.get(
                morphology or "", [np.nan, np.nan]
            )
            found.append((picture, [float(not malignant), float(malignant), *sizes]))
    return found


def tile_set(entries: list[SlideEntry], cohort: CohortLayout, config: Config) -> TileSet:
    """All clusters of some slides."""
    rows = [
        (entry, picture, target)
        for entry in entries
        for picture, target in clusters_of(entry, cohort, config)
    ]
    return TileSet(
        arrays=[np.stack([picture for _, picture, _ in rows])],
        array_of_row=np.zeros(len(rows), np.int64),
        place_of_row=np.arange(len(rows)),
        targets=np.array([target for *_, target in rows], np.float32),
        patients=np.array([entry.patient_id for entry, *_ in rows]),
        slides=np.array([entry.slide_id for entry, *_ in rows]),
    )


def figures(slides: int, epochs: int, work: Path) -> dict[str, object]:
    """Train, judge, and stand beside the bound."""
    config = config_from_mapping(SETTINGS | {"training": {**SETTINGS["training"], "epochs": epochs}})
    cohort = CohortLayout(work / "cohort")
    synth.run("demo-training", slides, SEED, cohort.root)
    entries = read_slides(cohort.slides_csv, config.head_records)
    # Shuffled: the preset deals its compositions out to patients in turn.
    patients = list(np.random.default_rng(SEED).permutation(sorted({entry.patient_id for entry in entries})))
    parts = [
        tile_set([entry for entry in entries if patients.index(entry.patient_id) % 4 in rest], cohort, config)
        for rest in ((0, 1), (2,), (3,))
    ]
    network = TileNetwork(NetworkSpec(config.model.backbone, config.model.dropout, config.head_records, 128))
    fit(
        network,
        TrainingData(parts[0], parts[1], "selftest_", "shortcut"),
        config,
        RunLayout(work / "run"),
        Console(stderr=True),
    )
    test = parts[2]
    logits = predict_logits(network, test.tiles(), device=choose_device("cpu"), batch_size=64)
    result: dict[str, object] = {
        "slides": slides,
        "test_patients": len(set(test.patients)),
        "test_clusters": len(test),
    }
    size, tumour = simulated_bounds(600)
    for bound, column in ((tumour, 1), (size, 3)):
        known = np.isin(test.targets[:, column], (0.0, 1.0))
        auc = auc_estimate(
            test.targets[known, column] == 1.0,
            (logits[:, column] - logits[:, column - 1])[known],
            test.patients[known],
            replicates=1000,
            seed=0,
        )
        if auc is None:
            raise SystemExit(
                f"{bound.question}: expected clusters of both classes in the test patients; make more --slides"
            )
        result[bound.question] = {
            "selftest_network_auc": round(auc.value, 3),
            "low": round(auc.low, 3),
            "high": round(auc.high, 3),
            "selftest_bound_auc": round(bound.selftest_best_auc, 3),
            "selftest_diameter_auc": round(bound.selftest_diameter_auc, 3),
        }
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--slides", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        print(json.dumps(figures(options.slides, options.epochs, options.work or Path(temporary))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
