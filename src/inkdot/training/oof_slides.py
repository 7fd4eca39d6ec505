"""Out-of-fold (OOF) predictions of whole slides: each by the model of the fold that held out its patient."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from inkdot.datasets.cohort import Cohort
from inkdot.datasets.tile_set import TileSet
from inkdot.evaluation.oof_metrics import OofPredictions
from inkdot.evaluation.selective_prediction import call_name
from inkdot.metrics.intervals.confidence_intervals import Estimate
from inkdot.metrics.slides.slide_level import SlidePredictions, as_patients, slide_metrics
from inkdot.model.predictor import Predictor
from inkdot.storage.layout import RunLayout
from inkdot.training.run_context import RunContext
from inkdot.training.validation import WholeSlide, predict_whole_slides, slide_results


class OofSlides(NamedTuple):
    """Slides of one fold, or of all.

    Attributes:
        slides: Slides with the scores of all their tiles.
        folds: Fold of each, from 0.
        abstained: Whether its score lies in the abstention band of the fold's model.
        results: The same, as the metrics take them; flagged at the operating point of the fold's model.
    """

    slides: list[WholeSlide]
    folds: list[int]
    abstained: list[bool]
    results: SlidePredictions


def predict_held_out(cohort: Cohort, fold: int, context: RunContext, tables: RunLayout) -> OofSlides:
    """Predict the held-out slides of a fold.

    Args:
        cohort: As the fold split it.
        fold: Its number, from 0.
        context: The run of the fold, whose folder holds its model.
        tables: Where the slides are tiled.
    """
    predictor = Predictor(context.layout.model, runtime="torch")
    slides = list(predict_whole_slides(cohort.of("test"), tables, predictor, context))
    model = predictor.description
    band = next((own for own in model.abstention.values() if own.low is not None), None)
    abstained = [band is not None and band.holds(slide.score) for slide in slides]
    return OofSlides(slides, [fold] * len(slides), abstained, slide_results(slides, model))


def join_folds(parts: Sequence[OofSlides]) -> OofSlides:
    """The slides of all folds."""
    results = [part.results for part in parts]
    return OofSlides(
        slides=[slide for part in parts for slide in part.slides],
        folds=[fold for part in parts for fold in part.folds],
        abstained=[abstained for part in parts for abstained in part.abstained],
        results=SlidePredictions(
            patients=np.concatenate([own.patients for own in results]),
            truth=np.concatenate([own.truth for own in results]),
            scores=np.concatenate([own.scores for own in results]),
            flagged=np.concatenate([own.flagged for own in results]),
            hit_ranks=np.concatenate([own.hit_ranks for own in results]),
            groups={},
        ),
    )


def labelled_rows(predicted: OofPredictions) -> TileSet:
    """Out-of-fold tiles or images as a set without pixels: their targets, patients and slides."""
    nothing = np.zeros(len(predicted.names), np.int64)
    return TileSet([], nothing, nothing, predicted.targets, predicted.patients, predicted.names)


def pooled_slide_metrics(oof: OofSlides, seed: int) -> dict[str, Estimate]:
    """Metrics of slides and of patients, by name; scores of all folds are pooled without recalibration."""
    patients = as_patients(oof.results, {})
    levels = {"patient": patients, "slide": oof.results}
    return {
        f"{level}_{name}": estimate
        for level, results in levels.items()
        for name, estimate in slide_metrics(results, ks=(), seed=seed).items()
    }


def slide_calls(oof: OofSlides) -> dict[tuple[str, str], int]:
    """Number of slides by truth and call."""
    return dict(Counter(zip(_truths(oof), _calls(oof), strict=True)))


def slides_csv(oof: OofSlides) -> str:
    """CSV text with the truth, score and call of every slide."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["slide_id", "patient_id", "fold", "truth", "score", "flagged", "call"])
    rows = zip(oof.slides, oof.folds, _truths(oof), oof.results.flagged.tolist(), _calls(oof), strict=True)
    for slide, fold, truth, flagged, call in rows:
        entry = slide.tiles.entry
        score = "" if np.isnan(slide.score) else f"{slide.score:.6f}"
        writer.writerow([entry.slide_id, entry.patient_id, fold + 1, truth, score, int(flagged), call])
    return buffer.getvalue()


def _truths(oof: OofSlides) -> list[str]:
    return [
        "unknown" if np.isnan(truth) else "positive" if truth > 0.5 else "negative"
        for truth in oof.results.truth.tolist()
    ]


def _calls(oof: OofSlides) -> list[str]:
    return [
        "inadequate" if np.isnan(slide.score) else call_name(bool(flagged), abstained)
        for slide, flagged, abstained in zip(oof.slides, oof.results.flagged, oof.abstained, strict=True)
    ]
