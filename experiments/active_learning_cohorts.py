"""Slides of `active_learning_rounds.py`: made, labelled by a reader who knows the truth, and scored."""
# pyright: basic

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from inkdot.config import Config, config_from_mapping
from inkdot.errors import InkdotError
from inkdot.evaluation.slide_results import score_for_evaluation
from inkdot.labels import DEFAULT_HEADS
from inkdot.manifest import read_slides
from inkdot.metrics.classification import roc_auc
from inkdot.pipeline.scoring.score_slide import ScoringModel
from inkdot.pipeline.tile_slide import tile_slide
from inkdot.records import SlideEntry
from inkdot.review.results.read_results import read_slide_results
from inkdot.stages import synth
from inkdot.storage.layout import RunLayout
from inkdot.storage.output_layouts import CohortLayout
from inkdot.storage.tables.labels_table import read_labels

TEST_SEED = 9000
START = {"lm-typical": 2, "normal": 1, "ventricular": 1}
VALIDATION = {"lm-minimal": 1, "lm-typical": 1, "normal": 1, "ventricular": 1}
POOL = {"lm-minimal": 12, "lm-typical": 6, "normal": 6, "pleocytosis": 6, "ventricular": 6}
TEST = {"lm-minimal": 20, "lm-typical": 10, "normal": 10, "pleocytosis": 10, "ventricular": 10}
MIN_OVERLAP = 0.3
"""A region contains a truth outline where they share at least this fraction of the smaller of the two."""


def settings(seed: int, epochs: int) -> Config:
    """Coarse tiles of 64 µm around clusters and a small network: seconds on one core."""
    return config_from_mapping(
        {
            "tiling": {"side_px": 64, "mpp": 1.0, "stride_px": 64, "mode": "clusters", "max_tiles": 400},
            "heads": [{"name": "malignancy", "classes": ["benign", "malignant"], "flag_class": "malignant"}],
            "model": {"backbone": "mobilenetv3_small_050"},
            "training": {
                "epochs": epochs,
                "seed": seed,
                "accelerator": "cpu",
                "mil": {"use": "never"},  # the pool's slides have no labels
            },
        }
    )


def cohort(folder: Path, slides_of: Mapping[str, int], seed: int) -> list[SlideEntry]:
    """Synthetic slides of several presets, with their true labels of malignancy."""
    entries: list[SlideEntry] = []
    for kind, slides in slides_of.items():
        layout = CohortLayout(folder / kind)
        synth.run(kind, slides, seed, layout.root, spot_mm=1.0, mpp=0.5, workers=1)
        header, *lines = layout.labels_csv.read_text(encoding="utf-8").splitlines()
        labels = layout.root / "malignancy.csv"
        kept = [line for line in lines if ",malignancy," in line]
        labels.write_text("\n".join([header, *kept]) + "\n", encoding="utf-8")
        entries += [
            replace(
                entry,
                annotation=labels,
                on_slide={"malignancy": entry.on_slide["malignancy"]},
                of_patient={},
            )
            for entry in read_slides(layout.slides_csv, DEFAULT_HEADS)
        ]
    return entries


class PerfectReader:
    """Gives verdicts on regions from the truth of their slides.

    Args:
        entries: The slides.
    """

    def __init__(self, entries: Sequence[SlideEntry]) -> None:
        heads = settings(0, 1).head_records
        tables = sorted({entry.annotation for entry in entries if entry.annotation})
        regions: dict[str, list[shapely.Polygon]] = {entry.slide_id: [] for entry in entries}
        for label in (label for table in tables for label in read_labels(table, heads)):
            if label.label == "malignant" and isinstance(label.geometry, shapely.Polygon):
                regions[label.slide_id].append(label.geometry)
        self._malignant = {slide_id: shapely.STRtree(found) for slide_id, found in regions.items()}

    def verdict(self, slide_id: str, region: shapely.geometry.base.BaseGeometry) -> str:
        """Malignant where a malignant outline lies in the region, or the region in it."""
        tree = self._malignant[slide_id]
        for index in tree.query(region):
            outline: Any = tree.geometries[index]
            if outline.intersection(region).area >= MIN_OVERLAP * min(outline.area, region.area):
                return "malignant"
        return "benign"


@dataclass(frozen=True)
class Cohorts:
    """The slides of one seed: labelled ones, and the pool of unlabelled ones."""

    labelled: list[SlideEntry]
    pool: list[SlideEntry]
    reader: PerfectReader

    @classmethod
    def made(cls, folder: Path, seed: int) -> "Cohorts":
        start = [replace(e, extra={"split": "train"}) for e in cohort(folder / "start", START, seed)]
        # Other seeds: with the same seed a larger cohort begins with the slides of a smaller one.
        kept = cohort(folder / "validation", VALIDATION, seed + 1000)
        validation = [replace(e, extra={"split": "validation"}) for e in kept]
        pool = cohort(folder / "pool", POOL, seed + 2000)
        blank = [replace(e, annotation=None, on_slide={}, extra={"split": "train"}) for e in pool]
        return cls([*start, *validation], blank, PerfectReader(pool))


@dataclass(frozen=True)
class Predicted:
    """Scores and truth of all test clusters and of their slides; patients by number."""

    truth: np.ndarray
    scores: np.ndarray
    patient: np.ndarray
    slide: np.ndarray
    slide_truth: np.ndarray

    def cluster_auc(self, weights: np.ndarray) -> float:
        """AUC of malignant against other clusters, with the weight of each patient."""
        order = np.argsort(self.scores, kind="stable")
        return roc_auc(self.truth[order], self.scores[order], weights[self.patient[order]])

    def slide_auc(self, weights: np.ndarray) -> float:
        """AUC of slides with tumour against others, each with the score of its highest cluster."""
        names, first, slide = np.unique(self.slide, return_index=True, return_inverse=True)
        highest = np.full(len(names), -np.inf)
        np.maximum.at(highest, slide, self.scores)
        order = np.argsort(highest, kind="stable")
        own = weights[self.patient[first]]
        return roc_auc(self.slide_truth[first][order], highest[order], own[order])


class Test:
    """The test slides of every model, tiled once."""

    def __init__(self, entries: Sequence[SlideEntry], layout: RunLayout) -> None:
        self._entries, self._layout = entries, layout
        self._patients = sorted({entry.patient_id for entry in entries})
        self._reader = PerfectReader(entries)

    @classmethod
    def made(cls, work: Path) -> "Test":
        layout, config = RunLayout(work / "test-run"), settings(0, 1)
        kept: list[SlideEntry] = []
        for entry in cohort(work / "test", TEST, TEST_SEED):
            try:
                tile_slide(replace(entry, annotation=None, on_slide={}), config, layout)
            except InkdotError:  # an empty slide has no clusters
                continue
            kept.append(entry)
        return cls(kept, layout)

    @property
    def patients(self) -> int:
        """Number of patients."""
        return len(self._patients)

    def predict(self, model: Path, kept: Path) -> Predicted:
        """Score all test clusters; the scores are kept in a file, for reruns."""
        if not kept.exists():
            scoring = ScoringModel.load(model, allow_synthetic_model=False)
            rows: list[tuple[bool, float, int, int, bool]] = []
            for number, entry in enumerate(self._entries):
                blank = replace(entry, annotation=None, on_slide={})
                score_for_evaluation(blank, self._layout, scoring)
                clusters = read_slide_results(self._layout, entry.slide_id, entry.slide_id).clusters
                assert clusters is not None
                patient = self._patients.index(entry.patient_id)
                positive = entry.on_slide["malignancy"] == "malignant"
                outlines = clusters.table.column("geometry").to_pylist()
                for row in clusters.with_cards:
                    outline = shapely.convex_hull(shapely.from_wkt(outlines[row]))
                    truth = self._reader.verdict(entry.slide_id, outline) == "malignant"
                    rows.append((truth, float(clusters.flag_scores[row]), patient, number, positive))
            names = ("truth", "scores", "patient", "slide", "slide_truth")
            columns = {
                name: np.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)
            }
            np.savez(kept, allow_pickle=False, **columns)
        with np.load(kept) as found:
            return Predicted(**{name: found[name] for name in found.files})
