"""The models of a cross-validation as one model folder: an ensemble, locked on their out-of-fold scores."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from inkdot.config import Config
from inkdot.datasets.cohort import Cohort, cohort_notes, trained_on_facts
from inkdot.evaluation.oof_metrics import OofPredictions
from inkdot.labels import flag_column
from inkdot.metrics.intervals.confidence_intervals import Estimate
from inkdot.metrics.ood_distance import prediction_limit
from inkdot.model.ood_reference import EXCEEDED_BY
from inkdot.storage.atomic import write_bytes, write_text
from inkdot.storage.hashing import json_sha256
from inkdot.storage.layout import ModelLayout, RunLayout
from inkdot.storage.models.ensemble_files import Member, members_sha256
from inkdot.storage.models.model_files import ModelFile, model_sha256, read_model_file, write_model_file
from inkdot.storage.models.model_records import Attention, Interval, OodReference, TrainedOn
from inkdot.storage.models.slide_score_rule import SlideScoreRule
from inkdot.training.oof_slides import OofSlides, labelled_rows
from inkdot.training.release.abstention_band import abstention_notes
from inkdot.training.release.calibrate import Locked, best_tiles, lock
from inkdot.training.release.interval_records import to_interval
from inkdot.training.release.model_card import card_text
from inkdot.training.run_context import RunContext
from inkdot.training.validation import fitted_slide_scores

_OF_MEMBERS_THRESHOLDS: Final = (
    "sensitivity",
    "specificity",
    "slide_balanced_accuracy",
    "patient_balanced_accuracy",
    "calibration_error_before",
)


@dataclass(frozen=True, slots=True)
class CrossValidated:
    """A finished cross-validation.

    Attributes:
        cohorts: The cohort as each fold split it.
        predicted: Out-of-fold scores of the labelled tiles or images.
        whole: Those of whole slides; None for images.
        metrics: Out-of-fold metrics by name.
    """

    cohorts: Sequence[Cohort]
    predicted: OofPredictions
    whole: OofSlides | None
    metrics: Mapping[str, Estimate]


def write_ensemble(found: CrossValidated, context: RunContext) -> ModelFile:
    """Copy the models of all folds into ``RUN/model`` and write the ensemble's description and card; for rank zero.

    The threshold, the abstention band and the OOD limit are chosen on out-of-fold scores: each patient by the member that was
    trained without him. The ensemble itself has seen every patient, so its own scores of them would be too good
    (docs/explanation/decisions/0185).

    Args:
        found: The cross-validation, whose models lie in the run folder.
        context: The run.

    Returns:
        The description as written.
    """
    config, layout = context.config, context.layout
    members = [read_model_file(layout.fold(index).model) for index in range(len(found.cohorts))]
    copied = [_copy(layout, index) for index in range(len(members))]
    _remove_others(ModelLayout(layout.model), len(members))
    description = _description(members, copied, found, config)
    write_model_file(layout.model, description)
    notes = [*cohort_notes(_all_of(found.cohorts[0])), *_notes(description)]
    limits = abstention_notes(description.abstention, config.head_records, config.training)
    write_text(ModelLayout(layout.model).card, card_text(description, notes, (), limits))
    return description


def _copy(layout: RunLayout, index: int) -> Member:
    source, target = (
        ModelLayout(folder) for folder in (layout.fold(index).model, ModelLayout(layout.model).member(index))
    )
    description = read_model_file(source.root)
    for one, other in (
        (source.weights, target.weights),
        (source.reference, target.reference),
        (source.card, target.card),
        (source.description, target.description),  # last: it completes the folder
    ):
        if one.is_file():
            write_bytes(other, one.read_bytes())
        else:
            other.unlink(missing_ok=True)
    return Member(
        model_sha256=model_sha256(target.root),
        weights_sha256=description.weights_sha256,
        temperatures=description.temperatures,
    )


def _remove_others(layout: ModelLayout, count: int) -> None:
    """Remove a single model, and members of an ensemble of more folds, that an earlier run left in the folder."""
    layout.weights.unlink(missing_ok=True)
    layout.reference.unlink(missing_ok=True)
    kept = {layout.member(index).name for index in range(count)}
    for folder in layout.members.iterdir():
        if folder.name not in kept:
            shutil.rmtree(folder)


def _description(
    members: Sequence[ModelFile], copied: list[Member], found: CrossValidated, config: Config
) -> ModelFile:
    locked, rule = _locked(found, members[0], config)
    means, stds = (
        np.mean([getattr(own, name) for own in members], axis=0).tolist()
        for name in ("normalisation_mean", "normalisation_std")
    )
    return members[0].model_copy(
        update={
            "normalisation_mean": means,
            "normalisation_std": stds,
            "temperatures": {},
            "operating_points": locked.operating_points,
            "abstention": locked.abstention,
            "slide_score_rule": rule,
            "attention": _attention(members),
            "validation_metrics": _intervals(found.metrics),
            "trained_on": _trained_on(members, found.cohorts[0], config),
            "ood": _ood(members, found),
            "reference_scores": None,  # each member has its own
            "weights_sha256": members_sha256(copied),
            "members": copied,
        }
    )


def _trained_on(members: Sequence[ModelFile], cohort: Cohort, config: Config) -> TrainedOn:
    """The whole cohort, and every file that some member was fitted to."""
    files = sorted({name for own in members for name in own.trained_on.training_files})
    facts = trained_on_facts(_all_of(cohort), config.head_records)
    return facts.model_copy(update={"training_files": files})


def _all_of(cohort: Cohort) -> Cohort:
    """The whole cohort as training slides: each of them trained all members but one."""
    return replace(cohort, parts=dict.fromkeys(cohort.slides, "train"))


def _locked(found: CrossValidated, model: ModelFile, config: Config) -> tuple[Locked, SlideScoreRule | None]:
    predicted, column = found.predicted, flag_column(config.head_records)
    tiles = labelled_rows(predicted)
    units = best_tiles(predicted.scores, tiles, column, images=found.cohorts[0].images)
    if found.whole is not None:
        whole, _ = fitted_slide_scores(found.whole.slides, model, "out_of_fold")
        units = whole if whole.truth.any() else units
    return lock(units._replace(origin="out_of_fold"), predicted.scores, tiles, config), units.slide_score_rule


def _attention(members: Sequence[ModelFile]) -> Attention | None:
    """That of the first member, with the mean number of slides per class."""
    parts = [own.attention for own in members if own.attention is not None]
    if not parts:
        return None
    names = sorted({name for own in parts for name in own.slides_per_class})
    counts = {name: float(np.mean([own.slides_per_class.get(name, 0.0) for own in parts])) for name in names}
    return parts[0].model_copy(update={"slides_per_class": counts})


def _ood(members: Sequence[ModelFile], found: CrossValidated) -> OodReference | None:
    """The limit of the members' mean OOD distance, from each slide's distance by the member that has not seen it."""
    references = [own.ood for own in members if own.ood is not None]
    if len(references) < len(members):
        return None
    if found.cohorts[0].images:
        return _image_ood(references)
    if found.whole is None:
        return None
    distances = [slide.distance for slide in found.whole.slides if not np.isnan(slide.distance)]
    if len(distances) < len(members):
        return None
    return OodReference(
        limit=prediction_limit(distances, 1.0 - EXCEEDED_BY),
        slides=len(distances),
        tiles=sum(own.tiles for own in references),
        reference_sha256=json_sha256([own.reference_sha256 for own in references]),
    )


def _image_ood(references: Sequence[OodReference]) -> OodReference:
    """Means of the members' limits, which are cautious: the mean of several distances varies less than each of them."""
    rates = [own.false_alarm_rate for own in references if own.false_alarm_rate is not None]
    batches = [own.batch_limit for own in references if own.batch_limit is not None]
    return OodReference(
        limit=float(np.mean([own.limit for own in references])),
        slides=sum(own.slides for own in references),
        tiles=sum(own.tiles for own in references),
        reference_sha256=json_sha256([own.reference_sha256 for own in references]),
        false_alarm_rate=float(np.mean(rates)) if rates else None,
        batch_limit=float(np.mean(batches)) if batches else None,
    )


def _intervals(metrics: Mapping[str, Estimate]) -> dict[str, Interval]:
    """Metrics for the description, without those at the members' own thresholds, which the ensemble does not use."""
    found = (
        (name, to_interval(estimate))
        for name, estimate in metrics.items()
        if not any(part in name for part in _OF_MEMBERS_THRESHOLDS)
    )
    return {name: own for name, own in found if own is not None}


def _notes(description: ModelFile) -> list[str]:
    count = len(description.members)
    return [
        f"An ensemble of the {count} models of a cross-validation: each was trained without one fold of the patients. A score "
        "is the mean of their calibrated probabilities; the spread is their standard deviation.",
        f"Each member's card, in members/1 to members/{count}, has its own training, validation and temperatures.",
    ]
