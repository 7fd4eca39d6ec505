"""Cross-validation: every patient is predicted once, by a model trained and validated on other patients."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields

import numpy as np

from inkdot.config import Config
from inkdot.datasets.bags import labelled_subset
from inkdot.datasets.cohort import Cohort, Fold, cohort_notes, split_cohort
from inkdot.datasets.tile_cache import LabelledTiles
from inkdot.datasets.tile_set import TileSet
from inkdot.errors import UserError
from inkdot.evaluation.oof_metrics import (
    OofPredictions,
    confusion_matrix,
    cross_validation_metrics,
    uncalibrated_scores,
)
from inkdot.labels import Head, flag_column, flagging_head, head_slices, score_columns, target_columns
from inkdot.metrics.intervals.confidence_intervals import TOO_FEW, Estimate
from inkdot.model.predictor import Predictor
from inkdot.storage.atomic import write_text
from inkdot.storage.layout import RunLayout
from inkdot.storage.models.ensemble_files import cost_lines
from inkdot.storage.models.model_files import read_model_file
from inkdot.training.ensemble import CrossValidated, write_ensemble
from inkdot.training.frozen.head_network import head_predictor
from inkdot.training.label_checks import check_labels
from inkdot.training.oof_slides import (
    OofSlides,
    join_folds,
    labelled_rows,
    pooled_slide_metrics,
    predict_held_out,
    slide_calls,
    slides_csv,
)
from inkdot.training.release.calibrate import FlagScores, best_tiles
from inkdot.training.run_context import RunContext
from inkdot.training.train_tiles import TileSource, train_cohort, write_split
from inkdot.training.validation import fitted_slide_scores
from inkdot.training.warm_start import check_warm_start


def cross_validate(
    found: Sequence[LabelledTiles],
    tiles_of: TileSource,
    folds: int,
    context: RunContext,
    *,
    images: bool,
    mpp_known: bool = True,
    by_slide: bool = False,
    ensemble: bool = False,
) -> None:
    """Train one model per fold and report its performance on the held-out patients, slides and labelled tiles.

    With ``ensemble`` the models of all folds become one, ``RUN/model``.

    Within each fold the other patients are split into training and validation as without folds: the epoch, the temperatures
    and the threshold are chosen there, and the held-out fold is used once.

    Raises:
        UserError: A class is missing in some fold.
    """
    config, layout = context.config, context.layout
    cohorts = [
        split_cohort(found, config, images=images, fold=Fold(k, folds), by_slide=by_slide)
        for k in range(folds)
    ]
    for cohort in cohorts:
        check_labels(cohort, config)
        check_warm_start(cohort, config)
    predicted, whole = run_folds(cohorts, tiles_of, layout.fold, context, mpp_known=mpp_known)
    if predicted is None:
        return  # not rank zero
    seed = config.training.seed
    metrics = pooled_slide_metrics(whole, seed) if whole else {}
    of_tiles = cross_validation_metrics(predicted, config.head_records, seed)
    # With attention, tiles have the temperatures of slides, so only their order is meaningful.
    metrics |= {name: own for name, own in of_tiles.items() if not by_slide or name.startswith("auc.")}
    prefix = cohorts[0].metrics_prefix.replace("validation_", "")
    named = {prefix + name: estimate for name, estimate in metrics.items()}
    _write(predicted, whole, named, folds, config.head_records, layout)
    context.print([f"{name}: {estimate} ({estimate.method})" for name, estimate in named.items()])
    if ensemble:
        of_model = {f"{cohorts[0].metrics_prefix}out_of_fold_{name}": own for name, own in metrics.items()}
        written = write_ensemble(CrossValidated(cohorts, predicted, whole, of_model), context)
        context.print(cost_lines(written.members))


def run_folds(
    cohorts: Sequence[Cohort],
    tiles_of: TileSource,
    folder: Callable[[int], RunLayout],
    context: RunContext,
    *,
    mpp_known: bool = True,
) -> tuple[OofPredictions | None, OofSlides | None]:
    """Train a model per fold and predict its held-out patients.

    Args:
        cohorts: The cohort as each fold split it.
        tiles_of: Gives the tiles of slides or images.
        folder: Run folder of a fold, by its number from 0.
        context: The run, whose folder has the tables of tiles.
        mpp_known: The scale of the tiles is known.

    Returns:
        Out-of-fold scores of labelled tiles (or images), and of whole slides (None of images). Both None except on rank zero.
    """
    config, folds = context.config, len(cohorts)
    parts, slides = list[OofPredictions](), list[OofSlides]()
    for index, cohort in enumerate(cohorts):
        context.print([f"fold {index + 1} of {folds}", *cohort_notes(cohort)])
        own = folder(index)
        if context.fabric.is_global_zero:
            write_split(cohort, own)
        training, validation = tiles_of(cohort.of("train")), tiles_of(cohort.of("validation"))
        notes = [f"Fold {index + 1} of {folds} of a cross-validation.", *cohort_notes(cohort)]
        fold = context.within(own)
        train_cohort(cohort, training, validation, notes, fold, mpp_known=mpp_known, tables=context.layout)
        if not context.fabric.is_global_zero:
            continue  # rank zero predicts the held-out fold
        predictor = head_predictor(own.model) if config.model.freeze_backbone else Predictor(own.model)
        parts.append(
            _score(labelled_subset(tiles_of(cohort.of("test"))), index, predictor, config.head_records)
        )
        if not cohort.images:
            slides.append(predict_held_out(cohort, index, fold, context.layout))
    if not parts:
        return None, None
    return _join(parts), join_folds(slides) if slides else None


def cross_fitted_scores(
    cohort: Cohort, tiles_of: TileSource, context: RunContext, *, mpp_known: bool = True
) -> FlagScores | None:
    """Out-of-fold scores of all patients that train or validate, to lock one ordinary model on.

    As scikit-learn's ``CalibratedClassifierCV(ensemble=False)``: `training.calibration_folds` further models are trained, each
    without one fold, and kept in ``RUN/calibration``. Their scores are those of models like the one that is deployed, not its
    own (docs/explanation/decisions/0202).

    Args:
        cohort: The cohort of the model; its test part, where it has one, is left out.
        tiles_of: Gives the tiles of slides or images.
        context: The run.
        mpp_known: The scale of the tiles is known.

    Returns:
        None where no folds are asked for, and except on rank zero.

    Raises:
        UserError: A class is missing in some fold.
    """
    config, folds = context.config, context.config.training.calibration_folds
    if not folds:
        return None
    context.print(
        [
            f"Training {folds} further models for out-of-fold scores of all patients (training.calibration_folds): about {folds} "
            "times as long as without."
        ]
    )
    predicted, whole = run_folds(
        calibration_cohorts(cohort, config),
        tiles_of,
        context.layout.calibration_fold,
        context,
        mpp_known=mpp_known,
    )
    if predicted is None:
        return None
    if whole is not None:
        model = read_model_file(context.layout.calibration_fold(0).model)
        return fitted_slide_scores(whole.slides, model, "out_of_fold")[0]
    column = flag_column(config.head_records)
    return best_tiles(predicted.scores, labelled_rows(predicted), column, images=True)._replace(
        origin="out_of_fold"
    )


def calibration_cohorts(cohort: Cohort, config: Config) -> list[Cohort]:
    """The cohort of a model, without its test part, as each of `training.calibration_folds` splits it.

    Raises:
        UserError: A class is missing in some fold.
    """
    folds = config.training.calibration_folds
    # In the order of the table, whatever the split: the folds are those of a cross-validation.
    used = [tiles for slide_id, tiles in cohort.slides.items() if cohort.parts[slide_id] != "test"]
    cohorts: list[Cohort] = []
    for number in range(folds):
        own = split_cohort(
            used, config, images=cohort.images, fold=Fold(number, folds), by_slide=cohort.by_slide
        )
        try:
            check_labels(own, config)
        except UserError as error:
            raise UserError(
                f"calibration fold {number + 1} of {folds}: {error}, or set training.calibration_folds to 0"
            ) from None
        cohorts.append(own)
    return cohorts


def _score(tiles: TileSet, fold: int, predictor: Predictor, heads: Sequence[Head]) -> OofPredictions:
    description = predictor.description
    scores = predictor.predict_proba(tiles.tiles())
    threshold = description.operating_points[flagging_head(heads).name].threshold
    return OofPredictions(
        names=tiles.slides,
        patients=tiles.patients,
        folds=np.full(len(tiles), fold),
        targets=tiles.targets,
        scores=scores,
        uncalibrated=uncalibrated_scores(scores, heads, description.temperatures),
        flagged=scores[:, flag_column(heads)] >= threshold,
    )


def _join(parts: Sequence[OofPredictions]) -> OofPredictions:
    columns = ([getattr(part, field.name) for part in parts] for field in fields(OofPredictions))
    return OofPredictions(*(np.concatenate(column) for column in columns))


def _write(
    predicted: OofPredictions,
    whole: OofSlides | None,
    metrics: dict[str, Estimate],
    folds: int,
    heads: Sequence[Head],
    layout: RunLayout,
) -> None:
    calls = slide_calls(whole) if whole else {}
    confusions = {
        head.name: confusion_matrix(predicted, head, columns)
        for head, columns in zip(heads, head_slices(heads).values(), strict=True)
    }
    patients = len(np.unique(whole.results.patients if whole else predicted.patients))
    facts = {
        "folds": folds,
        "tiles": len(predicted.names),
        "patients": patients,
        "confusions": {
            head.name: [
                [confusions[head.name].get((truth, called), 0) for called in head.classes]
                for truth in head.classes
            ]
            for head in heads
        },
        "metrics": {name: asdict(estimate) for name, estimate in metrics.items()},
    }
    if whole:
        counts = {f"{truth}, {call}": count for (truth, call), count in calls.items()}
        facts |= {"slides": len(whole.slides), "calls": counts}
        write_text(layout.out_of_fold_slides_csv, slides_csv(whole))
    write_text(layout.cross_validation_json, json.dumps(facts, indent=2, sort_keys=True) + "\n")
    what, who = ("tiles", "patients") if whole else ("images", "groups")
    counted = f"{len(predicted.names)} {what} of {patients} {who}"
    lines = _metric_lines(f"{len(whole.slides)} slides, {counted}" if whole else counted, who, folds, metrics)
    if whole:
        lines += ["", "Slides by truth (rows) and call, at the operating point of their fold's model:", ""]
        lines += _table(calls, sorted({truth for truth, _ in calls}), sorted({call for _, call in calls}))
    for head in heads:
        lines += ["", f"{what.capitalize()} by true class (rows) and most probable class of {head.name}:", ""]
        lines += _table(confusions[head.name], head.classes, head.classes)
    write_text(layout.cross_validation_md, "\n".join(lines) + "\n")
    write_text(layout.out_of_fold_csv, _scores_csv(predicted, heads))


def _metric_lines(counted: str, who: str, folds: int, metrics: Mapping[str, Estimate]) -> list[str]:
    return [
        "# Cross-validation",
        "",
        f"{folds} folds, {counted}, each predicted by a model trained without its {who[:-1]}: epoch, temperatures and "
        f"threshold were chosen on other {who}. 95 % confidence intervals.",
        "",
        "| metric | value | 95 % interval | method |",
        "| --- | --- | --- | --- |",
        *(
            f"| {name} | {e.value:.3f} | "
            f"{'not known' if e.method == TOO_FEW else f'{e.low:.3f} to {e.high:.3f}'} | {e.method} |"
            for name, e in metrics.items()
        ),
    ]


def _table(counts: Mapping[tuple[str, str], int], rows: Sequence[str], columns: Sequence[str]) -> list[str]:
    """Counts by (row, column), as Markdown."""
    return [
        f"| | {' | '.join(columns)} |",
        "| --- |" + " ---: |" * len(columns),
        *(
            f"| {row} | {' | '.join(str(counts.get((row, column), 0)) for column in columns)} |"
            for row in rows
        ),
    ]


def _scores_csv(predicted: OofPredictions, heads: Sequence[Head]) -> str:
    """Targets and scores of every tile or image, and whether it reaches the threshold of its fold's model."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["name", "group", "fold", *target_columns(heads), *score_columns(heads), "flagged"])
    for row in range(len(predicted.names)):
        targets = ["" if np.isnan(value) else f"{value:g}" for value in predicted.targets[row]]
        scores = [f"{value:.6f}" for value in predicted.scores[row]]
        place = [predicted.names[row], predicted.patients[row], predicted.folds[row] + 1]
        writer.writerow([*place, *targets, *scores, int(predicted.flagged[row])])
    return buffer.getvalue()
