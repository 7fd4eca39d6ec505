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
from inkdot.metrics.slide_level import SlideResults, as_patients, slide_figures
from inkdot.model.predictor import Scorer
from inkdot.storage.layout import RunLayout
from inkdot.training.validation import WholeSlide, score_whole_slides, slide_results


class SlidesOutOfFold(NamedTuple):
    """Slides of one fold, or of all.

    Attributes:
        slides: Every tile of which was scored.
        folds: Fold of each, from 0.
        left_open: Whether the fold's model gives no answer to its score.
        results: The same, as figures want them; flagged by the threshold that the fold's model locked.
    """

    slides: list[WholeSlide]
    folds: list[int]
    left_open: list[bool]
    results: SlideResults


def judge_kept_out(
    cohort: Cohort, fold: int, own: RunLayout, tables: RunLayout, console: Console
) -> SlidesOutOfFold:
    """Score the slides that a fold kept out.

    Args:
        cohort: As the fold split it.
        fold: Its number, from 0.
        own: Where its model lies.
        tables: Where the slides are tiled.
        console: Where progress is shown.
    """
    scorer = Scorer(own.model, runtime="torch")
    slides = list(score_whole_slides(cohort.of("test"), tables, scorer, console))
    model = scorer.description
    locked = next((own for own in model.abstention.values() if own.low is not None), None)
    left_open = [locked is not None and locked.holds(slide.score) for slide in slides]
    return SlidesOutOfFold(slides, [fold] * len(slides), left_open, slide_results(slides, model))


def joined(parts: Sequence[SlidesOutOfFold]) -> SlidesOutOfFold:
    """The slides of all folds."""
    results = [part.results for part in parts]
    return SlidesOutOfFold(
        slides=[slide for part in parts for slide in part.slides],
        folds=[fold for part in parts for fold in part.folds],
        left_open=[answer for part in parts for answer in part.left_open],
        results=SlideResults(
            patients=np.concatenate([own.patients for own in results]),
            truth=np.concatenate([own.truth for own in results]),
            scores=np.concatenate([own.scores for own in results]),
            flagged=np.concatenate([own.flagged for own in results]),
            hit_ranks=np.concatenate([own.hit_ranks for own in results]),
            groups={},
        ),
    )


def pooled_slide_figures(judged: SlidesOutOfFold, seed: int) -> dict[str, Estimate]:
    """Figures of slides and of patients, by name. Scores of different folds are pooled as they are."""
    patients = as_patients(judged.results, {})
    levels = {"patient": patients, "slide": judged.results}
    return {
        f"{level}_{name}": estimate
        for level, results in levels.items()
        for name, estimate in slide_figures(results, ks=(), seed=seed).items()
    }


def slide_calls(judged: SlidesOutOfFold) -> dict[tuple[str, str], int]:
    """Slides by truth and call."""
    return dict(Counter(zip(_truths(judged), _calls(judged), strict=True)))


def slides_csv(judged: SlidesOutOfFold) -> str:
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


def _truths(judged: SlidesOutOfFold) -> list[str]:
    return [
        "unknown" if np.isnan(truth) else "positive" if truth > 0.5 else "negative"
        for truth in judged.results.truth.tolist()
    ]


def _calls(judged: SlidesOutOfFold) -> list[str]:
    return [
        "inadequate" if np.isnan(slide.score) else call_word(bool(flagged), left_open)
        for slide, flagged, left_open in zip(
            judged.slides, judged.results.flagged, judged.left_open, strict=True
        )
    ]
