"""Labelled tiles, regions, slides and patients of further heads."""

from collections.abc import Sequence

import numpy as np

from inkdot.datasets.splits.grouped_split import patient_of
from inkdot.evaluation.sections.further_heads import HeadResult, HeadRows, as_patient_rows, head_result
from inkdot.evaluation.slide_results import SlideResult
from inkdot.labels import Head, flagging_head, head_slices
from inkdot.metrics.classification import FloatArray
from inkdot.metrics.decision.calls import call_threshold
from inkdot.storage.models.model_files import ModelFile


def slide_heads(slides: Sequence[SlideResult], model: ModelFile) -> list[tuple[Head, dict[str, HeadResult]]]:
    """Every head without a flag class, with its results by level: tiles, regions, slides, patients.

    Args:
        slides: The scored slides.
        model: The model.
    """
    heads = model.head_records
    columns, flagging = head_slices(heads), flagging_head(heads).name
    found: list[tuple[Head, dict[str, HeadResult]]] = []
    for head in heads:
        if head.name == flagging:
            continue
        own = columns[head.name]
        of_slides = _slides(slides, head, own)
        rows = {
            "tiles": _tiles(slides, own),
            "regions": _regions(slides, head),
            "slides": of_slides,
            "patients": as_patient_rows(of_slides, _patient_targets(slides, head)),
        }
        threshold = call_threshold(model.abstention, head)
        results = {level: head_result(head, level_rows, threshold) for level, level_rows in rows.items()}
        found.append((head, {level: result for level, result in results.items() if result is not None}))
    return found


def _tiles(slides: Sequence[SlideResult], columns: slice) -> HeadRows:
    return HeadRows(
        targets=np.concatenate([slide.targets[:, columns] for slide in slides]).astype(np.float64),
        scores=np.concatenate([slide.scores[:, columns] for slide in slides]).astype(np.float64),
        flagged=None,
        patients=np.repeat(
            np.array([slide.patient for slide in slides]), [len(slide.targets) for slide in slides]
        ),
    )


def _regions(slides: Sequence[SlideResult], head: Head) -> HeadRows:
    """The regions that readers labelled, each with the scores of the highest tile that shows it."""
    own = [
        (slide.patient, region) for slide in slides for region in slide.regions if region.head == head.name
    ]
    nothing = [np.nan] * len(head.classes)
    return HeadRows(
        targets=_matrix([list(region.target) for _, region in own], head),
        scores=_matrix([list(region.scores) or nothing for _, region in own], head),
        flagged=None,
        patients=np.array([patient for patient, _ in own], np.str_),
    )


def _slides(slides: Sequence[SlideResult], head: Head, columns: slice) -> HeadRows:
    nothing = [np.nan] * len(head.classes)
    targets = [head.target(slide.entry.on_slide.get(head.name)) for slide in slides]
    return HeadRows(
        targets=_matrix([nothing if own is None else list(own) for own in targets], head),
        scores=_matrix([slide.head_scores[columns].tolist() for slide in slides], head),
        flagged=np.array([slide.flagged for slide in slides], np.bool_),
        patients=np.array([slide.patient for slide in slides], np.str_),
    )


def _patient_targets(slides: Sequence[SlideResult], head: Head) -> dict[str, FloatArray]:
    """Targets of patients whose label the table states, where it states one."""
    stated: dict[str, set[tuple[float, ...]]] = {}
    for slide in slides:
        target = head.target(slide.entry.of_patient.get(head.name))
        if target is not None:
            stated.setdefault(patient_of(slide.entry.slide_id, slide.entry.patient_id), set()).add(target)
    return {patient: np.array(next(iter(own))) for patient, own in stated.items() if len(own) == 1}


def _matrix(rows: Sequence[Sequence[float]], head: Head) -> FloatArray:
    return np.array(rows, np.float64).reshape(len(rows), len(head.classes))
