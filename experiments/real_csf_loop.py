"""The whole loop on real cerebrospinal fluid: find, review, label by eye, train on one patient, predict the other.

    python experiments/real_csf_loop.py --data FOLDER --work FOLDER [--sheets FOLDER] [--to-label FOLDER]

FOLDER of ``--data`` holds ``slides.csv`` and ``labels_by_eye.csv`` of two patients, each in Pap and in May-Grünwald-Giemsa.
Both directions: train on one patient, from scratch and from the weights of ``models/demo``, and predict the other patient's
slides. The smears of other tumours in ``slides.csv`` are predicted by the untrained model alone. Every step is a command of
``inkdot`` and is printed; a finished one is not run again. All models find the same places, since they use the same tiling:
that of ``models/demo`` with the shipped cell finder and lone nuclei from 5 µm.

The labels of places are those of ``real_csf_places.py``: by eye, by an observer who is no pathologist. The other patient
also serves as the validation slides that `inkdot train` asks for: they set the temperature and the threshold, neither of
which changes an order of places, and the weights are those of the last epoch.

``--to-label`` writes numbered PNG sheets of places that have no label yet, in an order that says nothing about scores, and a
``key.csv``. ``--sheets`` writes the contact sheets of the documents. The last line is JSON. About ten CPU minutes.
"""
# pyright: basic

import argparse
import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from real_csf_places import (
    MALIGNANT,
    Place,
    labels_by_place,
    labels_of_boxes,
    read_labels_of_places,
    read_places,
)
from real_csf_report import lines, metrics_of, write_sheets, write_sheets_to_label

from inkdot.storage.tables.predictions import read_predictions

REPOSITORY = Path(__file__).resolve().parent.parent
SHIPPED = REPOSITORY / "models" / "demo"
PATIENTS = {"lobular": "breast", "breast": "lobular"}
STARTS = {"scratch": 1e-3, "shipped weights": 3e-4}  # with the peak learning rate of each
EPOCHS = 40
READERS = ("boxes", "places")
TIME = "2026-11-29T09:00:00Z"
TILING = {
    "side_px": 128,
    "mpp": 0.5,
    "stride_px": 64,
    "mode": "clusters",
    "cell_finder": "shipped",
    "lone_nucleus_um": 5.0,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    shared = os.environ.get("INKDOT_SHARED_DATA", REPOSITORY.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(shared) / "csf", help="folder with slides.csv")
    parser.add_argument("--work", type=Path, required=True, help="folder for everything that is made")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0], help="one training of each kind per seed"
    )
    parser.add_argument("--sheets", type=Path, help="folder for contact sheets of the first places")
    parser.add_argument("--to-label", type=Path, help="folder for sheets of places without a label")
    options = parser.parse_args()
    if not (options.data / "slides.csv").exists():
        parser.error(f"expected slides.csv in {options.data}, found none; name its folder with --data")
    loop = Loop(options.data, options.work, options.seeds)
    loop.predict_untrained()
    loop.review()
    for seed in options.seeds:
        for patient in PATIENTS:
            for start in STARTS:
                loop.train_and_predict(patient, start, seed)
    metrics = loop.report()
    if options.to_label:
        write_sheets_to_label(options.to_label, loop.results(), loop.slides)
    if options.sheets:
        write_sheets(options.sheets, loop.results(), loop.slides)
    for line in lines(metrics):
        print(line)
    print(json.dumps(metrics, sort_keys=True))
    return 0


class Loop:
    """The steps, in one folder."""

    def __init__(self, data: Path, work: Path, seeds: list[int]) -> None:
        self.data, self.work, self.seeds = data.resolve(), work.resolve(), seeds
        with (self.data / "slides.csv").open(encoding="utf-8", newline="") as file:
            self.slides = {
                row["slide_id"]: row | {"path": str(self.data / row["path"])} for row in csv.DictReader(file)
            }
        self.model = self.work / "shipped-model"
        self.tiled: dict[str, Path] = {}  # the first folder of each kind of command
        self.smears = [name for name, row in self.slides.items() if row["patient_id"] not in PATIENTS]
        self.work.mkdir(parents=True, exist_ok=True)

    def of_patient(self, patient: str) -> list[str]:
        """The slides of a patient."""
        return [name for name, row in self.slides.items() if row["patient_id"] == patient]

    def predict_untrained(self) -> None:
        """The shipped model on all slides, as it is but for how nuclei are found."""
        self.model.mkdir(exist_ok=True)
        for path in SHIPPED.iterdir():
            (self.model / path.name).write_bytes(path.read_bytes())
        # `predict` has no option for another cell finder than the model's: the description is changed, not the weights.
        description = json.loads((SHIPPED / "model.json").read_text(encoding="utf-8"))
        description["tiling"] |= TILING
        (self.model / "model.json").write_text(json.dumps(description, indent=2, sort_keys=True) + "\n")
        for group in (*PATIENTS, "smears"):
            names = self.smears if group == "smears" else self.of_patient(group)
            table = self.table(f"{group}.csv", names)
            self.predict(table, self.model, f"untrained-{group}", "--allow-synthetic-model")

    def predict(self, table: Path, model: Path, results: str, *more: str) -> None:
        """`inkdot predict` and `inkdot review export`."""
        out = self.work / results
        self.share_tiles(f"predict {table.stem} {model == self.model}", out)
        self.run(
            "predict",
            table,
            "--model",
            model,
            "--out",
            out,
            "--workers",
            1,
            *more,
            reads=[table, model / "model.json"],
        )
        page = self.work / f"review-{results}"
        self.run("review", "export", "--results", out, "--out", page, reads=[out / "predictions.csv"])

    def review(self) -> None:
        """What is known by eye, as the verdicts of two readers of the untrained model's places; their agreement; the labels."""
        for patient in PATIENTS:
            tables: list[Path] = []
            for reader in READERS:
                verdicts = [
                    self.verdict(place, kind, reader)
                    for slide_id in self.of_patient(patient)
                    for place, kind in self.labelled(
                        slide_id, self.work / f"untrained-{patient}", reader, "training"
                    )
                    if kind
                ]
                tables.append(self.work / f"verdicts-{patient}-{reader}.csv")
                write_rows(tables[-1], verdicts)
            heads = self.work / "config.yaml"
            heads.write_text(json.dumps(config_of("scratch", 0), indent=2), encoding="utf-8")  # JSON is YAML
            self.run("review", "agreement", *tables, "--config", heads, reads=tables)
            labels = self.work / f"labels-{patient}.csv"
            self.run("review", "import", *tables, "--out", labels, "--config", heads, reads=tables)

    def labelled(self, slide_id: str, results: Path, reader: str, *uses: str) -> list[tuple[Place, str]]:
        """The places of a slide with what one source says about them; ``uses`` as for :func:`read_labels_of_places`."""
        places = read_places(results, slide_id)
        if reader == "boxes":
            return list(zip(places, labels_of_boxes(places, self.data / "labels_by_eye.csv"), strict=True))
        rows = read_labels_of_places(*uses)
        return list(zip(places, labels_by_place(places, rows), strict=True))

    def verdict(self, place: Place, kind: str, reader: str) -> dict[str, object]:
        """A row of ``verdicts.csv``. The review has no verdict for what is no cell: it is benign there."""
        verdict = {MALIGNANT: "malignant", "unsure": "unsure"}.get(kind, "benign")
        return {
            "slide_id": place.slide_id,
            "geometry": place.wkt,
            "head": "malignancy",
            "verdict": verdict,
            "reader": reader,
            "time": TIME,
            "shown": "scores",
            "rank": place.rank,
            "score": place.score,
            "note": kind,
            "model_sha256": place.model_sha256,
            "order_seed": "",
            "schema": "inkdot.verdicts/2",
        }

    def train_and_predict(self, patient: str, start: str, seed: int) -> None:
        """Train on one patient and predict the other's slides."""
        name = name_of(patient, start, seed)
        other, config = PATIENTS[patient], self.work / f"{name}.yaml"
        config.write_text(json.dumps(config_of(start, seed), indent=2), encoding="utf-8")
        parts = {patient: "train", other: "validation"}
        rows = [
            self.slides[slide_id] | {"split": part, "annotation": str(self.work / f"labels-{own}.csv")}
            for own, part in parts.items()
            for slide_id in self.of_patient(own)
        ]
        table, run = self.work / f"{name}.csv", self.work / f"run-{name}"
        write_rows(table, rows)
        labels = [self.work / f"labels-{own}.csv" for own in parts]
        self.share_tiles("train", run)
        self.run(
            "train",
            "--config",
            config,
            "--slides",
            table,
            "--out",
            run,
            "--workers",
            1,
            reads=[config, table, *labels],
        )
        self.predict(self.work / f"{other}.csv", run / "model", f"trained-{name}")

    def share_tiles(self, kind: str, out: Path) -> None:
        """Start with the tiles of an earlier command of the same kind; inkdot checks that they are what it would make."""
        first = self.tiled.setdefault(kind, out)
        for name in ("tiles", "clusters", "masks"):
            if first != out and (first / name).exists() and not (out / name).exists():
                shutil.copytree(first / name, out / name)

    def results(self) -> dict[str, dict[str, list[tuple[Place, str, str]]]]:
        """By held-out slide and model: its places by score, each with what boxes and places say."""
        found: dict[str, dict[str, list[tuple[Place, str, str]]]] = {}
        for slide_id, patient in ((name, row["patient_id"]) for name, row in self.slides.items()):
            for model, results in self.results_of(patient).items():
                boxes = self.labelled(slide_id, results, "boxes")
                places = self.labelled(slide_id, results, "places", "training", "evaluation")
                found.setdefault(slide_id, {})[model] = [
                    (place, box, own) for (place, box), (_, own) in zip(boxes, places, strict=True)
                ]
        return found

    def results_of(self, patient: str) -> dict[str, Path]:
        """Results folders of a patient's slides by model: trained on the other patient; for the smears the untrained one."""
        group = patient if patient in PATIENTS else "smears"
        found = {"untrained": self.work / f"untrained-{group}"}
        for own, other in PATIENTS.items():
            for start in STARTS:
                for seed in self.seeds:
                    folder = self.work / f"trained-{name_of(own, start, seed)}"
                    if other == patient:
                        found[f"{start}, seed {seed}"] = folder
        return found

    def report(self) -> dict[str, Any]:
        """Metrics by slide and model, with warnings of `inkdot predict` as they stand."""
        metrics: dict[str, Any] = {}
        for slide_id, models in self.results().items():
            folders = self.results_of(self.slides[slide_id]["patient_id"])
            for model, places in models.items():
                rows = {row["slide_id"]: row for row in read_predictions(folders[model] / "predictions.csv")}
                found = metrics_of(slide_id, places)
                found["warnings"] = rows[slide_id]["warnings"].split(" | ")
                found["call"] = rows[slide_id]["call"]
                metrics.setdefault(slide_id, {})[model] = found
        return metrics

    def table(self, name: str, slide_ids: list[str]) -> Path:
        """A ``slides.csv`` without labels."""
        path = self.work / name
        write_rows(
            path,
            [{key: value for key, value in self.slides[s].items() if key != "malignancy"} for s in slide_ids],
        )
        return path

    def run(self, *words: object, reads: list[Path]) -> None:
        """A command of inkdot, unless it ended well before with the same words and the same content of what it reads."""
        text = [str(word) for word in words]
        state = "\n".join([*text, *(hashlib.sha256(path.read_bytes()).hexdigest() for path in reads)])
        done = self.work / "done" / hashlib.sha256(state.encode()).hexdigest()[:16]
        print("inkdot", *text, "(done before)" if done.exists() else "", file=sys.stderr, flush=True)
        if not done.exists():
            subprocess.run([sys.executable, "-m", "inkdot", *text], check=True)
            done.parent.mkdir(exist_ok=True)
            done.write_text(state, encoding="utf-8")


def name_of(patient: str, start: str, seed: int) -> str:
    """Name of a training in files."""
    return f"{patient}-{start.replace(' ', '-')}-{seed}"


def config_of(start: str, seed: int) -> dict[str, Any]:
    """The config of a training: what differs from the defaults."""
    malignancy = {
        "name": "malignancy",
        "classes": ["benign", "malignant"],
        "labels": {"malignant": {"malignant": 1.0}, "benign": {"benign": 1.0}, "unsure": {}},
        "flag_class": "malignant",
    }
    weights = "scratch" if start == "scratch" else str(SHIPPED / "weights.safetensors")
    return {
        "preparation": "cytospin",
        "tiling": TILING,
        "heads": [malignancy],
        "model": {"backbone": "mobilenetv3_small_050", "weights": weights, "precision": "float32"},
        "morphometry": {"clusters": 0},
        "training": {
            "epochs": EPOCHS,
            "batch_size": 32,
            "learning_rate": STARTS[start],
            "max_tiles_per_slide": 200,
            "mil": {"use": "never"},
            "accelerator": "cpu",
            "seed": seed,
        },
    }


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """A table, unchanged where it would be the same, so that its time stays."""
    lines = [list(rows[0]), *([row[name] for name in rows[0]] for row in rows)]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)


if __name__ == "__main__":
    raise SystemExit(main())
