"""Whole slides that no model learnt from, each judged by the model of the fold that kept its patient out."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from rich.console import Console

from inkdot.datasets.cohort import Cohort
from inkdot.evaluation.selective_prediction import call_word
from inkdot.metrics.confidence_intervals import Estimate
from inkdot.metrics.slide_level import SlideResults, as_patients, slide_metrics
from inkdot.model.predictor import Predictor
from inkdot.storage.layout import RunLayout
from inkdot.training.validation import WholeSlide, predict_whole_slides, slide_results


class OofSlides(NamedTuple):
    """Slides of one fold, or of all.

    Attributes:
        slides: Every tile of which was scored.
        folds: Fold of each, from 0.
        abstained: Whether the fold's model gives no label to its score.
        results: The same, as metrics want them; flagged by the threshold that the fold's model locked.
    """

    slides: list[WholeSlide]
    folds: list[int]
    abstained: list[bool]
    results: SlideResults


def predict_held_out(
    cohort: Cohort, fold: int, own: RunLayout, tables: RunLayout, console: Console
) -> OofSlides:
    """Score the slides that a fold kept out.

    Args:
        cohort: As the fold split it.
        fold: Its number, from 0.
        own: Where its model lies.
        tables: Where the slides are tiled.
        console: Where progress is shown.
    """
    scorer = Predictor(own.model, runtime="torch")
    slides = list(predict_whole_slides(cohort.of("test"), tables, scorer, console))
    model = scorer.description
    locked = next((own for own in model.abstention.values() if own.low is not None), None)
    abstained = [locked is not None and locked.holds(slide.score) for slide in slides]
    return OofSlides(slides, [fold] * len(slides), abstained, slide_results(slides, model))


def joined(parts: Sequence[OofSlides]) -> OofSlides:
    """The slides of all folds."""
    results = [part.results for part in parts]
    return OofSlides(
        slides=[slide for part in parts for slide in part.slides],
        folds=[fold for part in parts for fold in part.folds],
        abstained=[label for part in parts for label in part.abstained],
        results=SlideResults(
            patients=np.concatenate([own.patients for own in results]),
            truth=np.concatenate([own.truth for own in results]),
            scores=np.concatenate([own.scores for own in results]),
            flagged=np.concatenate([own.flagged for own in results]),
            hit_ranks=np.concatenate([own.hit_ranks for own in results]),
            groups={},
        ),
    )


def pooled_slide_metrics(judged: OofSlides, seed: int) -> dict[str, Estimate]:
    """Metrics of slides and of patients, by name. Scores of different folds are pooled as they are."""
    patients = as_patients(judged.results, {})
    levels = {"patient": patients, "slide": judged.results}
    return {
        f"{level}_{name}": estimate
        for level, results in levels.items()
        for name, estimate in slide_metrics(results, ks=(), seed=seed).items()
    }


def slide_calls(judged: OofSlides) -> dict[tuple[str, str], int]:
    """Slides by truth and call."""
    return dict(Counter(zip(_truths(judged), _calls(judged), strict=True)))


def slides_csv(judged: OofSlides) -> str:
    """Every slide with its truth, score and call."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["slide_id", "patient_id", "fold", "truth", "score", "call"])
    rows = zip(judged.slides, judged.folds, _truths(judged), _calls(judged), strict=True)
    for slide, fold, truth, call in rows:
        entry = slide.tiles.entry
        score = "" if np.isnan(slide.score) else f"{slide.score:.6f}"
        writer.writerow([entry.slide_id, entry.patient_id, fold + 1, truth, score, call])
    return buffer.getvalue()


def _truths(judged: OofSlides) -> list[str]:
    return [
        "unknown" if np.isnan(truth) else "positive" if truth > 0.5 else "negative"
        for truth in judged.results.truth.tolist()
    ]


def _calls(judged: OofSlides) -> list[str]:
    return [
        "inadequate" if np.isnan(slide.score) else call_word(bool(flagged), abstained)
        for slide, flagged, abstained in zip(
            judged.slides, judged.results.flagged, judged.abstained, strict=True
        )
    ]
