"""Cross-validation: every patient is predicted once, by a model trained and validated on other patients."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from inkdot.config import Config
from inkdot.datasets.bags import labelled_subset
from inkdot.datasets.cohort import Fold, cohort_notes, split_cohort
from inkdot.datasets.tile_cache import LabelledTiles
from inkdot.datasets.tile_set import TileSet
from inkdot.evaluation.oof_metrics import (
    OofPredictions,
    confusion_matrix,
    cross_validation_metrics,
    uncalibrated_scores,
)
from inkdot.labels import flagging_head, score_columns, target_columns
from inkdot.metrics.confidence_intervals import TOO_FEW, Estimate
from inkdot.model.predictor import Predictor
from inkdot.model.targets import head_slices
from inkdot.storage.atomic import write_text
from inkdot.storage.layout import RunLayout
from inkdot.training.label_checks import check_labels
from inkdot.training.oof_slides import (
    OofSlides,
    join_folds,
    pooled_slide_metrics,
    predict_held_out,
    slide_calls,
    slides_csv,
)
from inkdot.training.run_context import RunContext
from inkdot.training.train_tiles import TileSource, train_cohort, write_split


def cross_validate(
    found: Sequence[LabelledTiles],
    tiles_of: TileSource,
    folds: int,
    context: RunContext,
    *,
    images: bool,
    mpp_known: bool = True,
    by_slide: bool = False,
) -> None:
    """Train one model per fold and report its performance on the held-out patients, slides and labelled tiles.

    Within each fold the other patients are split into training and validation as without folds: the epoch, the temperatures
    and the threshold are chosen there, and the held-out fold is used once.

    Raises:
        UserError: A class is missing in some fold.
    """
    config, layout, rank_zero = context.config, context.layout, context.fabric.is_global_zero
    cohorts = [
        split_cohort(found, config, images=images, fold=Fold(k, folds), by_slide=by_slide)
        for k in range(folds)
    ]
    for cohort in cohorts:
        check_labels(cohort, config)
    parts, slides = list[OofPredictions](), list[OofSlides]()
    for index, cohort in enumerate(cohorts):
        context.print([f"fold {index + 1} of {folds}", *cohort_notes(cohort)])
        own = layout.fold(index)
        if rank_zero:
            write_split(cohort, own)
        training, validation = tiles_of(cohort.of("train")), tiles_of(cohort.of("validation"))
        notes = [f"Fold {index + 1} of {folds} of a cross-validation.", *cohort_notes(cohort)]
        fold = context.within(own)
        train_cohort(cohort, training, validation, notes, fold, mpp_known=mpp_known, tables=layout)
        if not rank_zero:
            continue  # rank zero predicts the held-out fold
        parts.append(_score(labelled_subset(tiles_of(cohort.of("test"))), index, own, config))
        if not images:
            slides.append(predict_held_out(cohort, index, fold, layout))
    if not rank_zero:
        return
    predicted, whole = _join(parts), join_folds(slides) if slides else None
    seed = config.training.seed
    metrics = pooled_slide_metrics(whole, seed) if whole else {}
    of_tiles = cross_validation_metrics(predicted, config.head_records, seed)
    # With attention, tiles have the temperatures of slides, so only their order is meaningful.
    metrics |= {name: own for name, own in of_tiles.items() if not by_slide or name.startswith("auc.")}
    prefix = cohorts[0].metrics_prefix.replace("validation_", "")
    named = {prefix + name: estimate for name, estimate in metrics.items()}
    _write(predicted, whole, named, folds, config, layout)
    context.print([f"{name}: {estimate} ({estimate.method})" for name, estimate in named.items()])


def _score(tiles: TileSet, fold: int, layout: RunLayout, config: Config) -> OofPredictions:
    predictor = Predictor(layout.model)
    heads, description = config.head_records, predictor.description
    scores = predictor.predict_proba(tiles.tiles())
    head = flagging_head(heads)
    point = description.operating_points[head.name]
    column = head_slices(heads)[head.name].start + head.classes.index(point.class_name)
    return OofPredictions(
        names=tiles.slides,
        patients=tiles.patients,
        folds=np.full(len(tiles), fold),
        targets=tiles.targets,
        scores=scores,
        uncalibrated=uncalibrated_scores(scores, heads, description.temperatures),
        flagged=scores[:, column] >= point.threshold,
    )


def _join(parts: Sequence[OofPredictions]) -> OofPredictions:
    return OofPredictions(
        names=np.concatenate([part.names for part in parts]),
        patients=np.concatenate([part.patients for part in parts]),
        folds=np.concatenate([part.folds for part in parts]),
        targets=np.concatenate([part.targets for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
        uncalibrated=np.concatenate([part.uncalibrated for part in parts]),
        flagged=np.concatenate([part.flagged for part in parts]),
    )


def _write(
    predicted: OofPredictions,
    whole: OofSlides | None,
    metrics: dict[str, Estimate],
    folds: int,
    config: Config,
    layout: RunLayout,
) -> None:
    heads, images = config.head_records, whole is None
    calls = slide_calls(whole) if whole else {}
    confusions = {
        head.name: confusion_matrix(predicted, head, columns)
        for head, columns in zip(heads, head_slices(heads).values(), strict=True)
    }
    facts = {
        "folds": folds,
        "tiles": len(predicted.names),
        "patients": len(np.unique(whole.results.patients if whole else predicted.patients)),
        "confusions": {
            name: [[pairs.get((truth, called), 0) for called in classes] for truth in classes]
            for (name, pairs), classes in zip(
                confusions.items(), (head.classes for head in heads), strict=True
            )
        },
        **({"slides": len(whole.slides), "calls": _counts(calls)} if whole else {}),
        "metrics": {name: asdict(estimate) for name, estimate in metrics.items()},
    }
    write_text(layout.cross_validation_json, json.dumps(facts, indent=2, sort_keys=True) + "\n")
    what, who = ("images", "groups") if images else ("tiles", "patients")
    counts = f"{len(predicted.names)} {what} of {facts['patients']} {who}"
    if whole:
        counts = f"{len(whole.slides)} slides, {counts}"
    lines = [
        "# Cross-validation",
        "",
        f"{folds} folds, {counts}, each predicted by a model trained without its "
        f"{who[:-1]}: epoch, temperatures and threshold were chosen on other {who}. 95 % confidence intervals."
        "",
        "",
        "| metric | value | 95 % interval | method |",
        "| --- | --- | --- | --- |",
        *(
            f"| {name} | {e.value:.3f} | "
            f"{'not known' if e.method == TOO_FEW else f'{e.low:.3f} to {e.high:.3f}'} | {e.method} |"
            for name, e in metrics.items()
        ),
    ]
    if whole:
        lines += [
            "",
            "Slides by truth (rows) and call, at the operating point of their fold's model:",
            "",
        ]
        lines += _calls_table(calls)
        write_text(layout.out_of_fold_slides_csv, slides_csv(whole))
    for head in heads:
        lines += ["", f"{what.capitalize()} by true class (rows) and most probable class of {head.name}:", ""]
        lines += _confusion_table(confusions[head.name], head.classes)
    write_text(layout.cross_validation_md, "\n".join(lines) + "\n")
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["name", "group", "fold", *target_columns(heads), *score_columns(heads)])
    for row in range(len(predicted.names)):
        targets = ["" if np.isnan(value) else f"{value:g}" for value in predicted.targets[row]]
        scores = [f"{value:.6f}" for value in predicted.scores[row]]
        writer.writerow(
            [predicted.names[row], predicted.patients[row], predicted.folds[row] + 1, *targets, *scores]
        )
    write_text(layout.out_of_fold_csv, buffer.getvalue())


def _counts(calls: Mapping[tuple[str, str], int]) -> dict[str, int]:
    return {f"{truth}, {call}": count for (truth, call), count in calls.items()}


def _calls_table(calls: Mapping[tuple[str, str], int]) -> list[str]:
    words = sorted({call for _, call in calls})
    rows = [
        f"| {truth} | " + " | ".join(str(calls.get((truth, word), 0)) for word in words) + " |"
        for truth in sorted({truth for truth, _ in calls})
    ]
    return [f"| | {' | '.join(words)} |", "| --- |" + " ---: |" * len(words), *rows]


def _confusion_table(pairs: Mapping[tuple[str, str], int], classes: Sequence[str]) -> list[str]:
    rows = [
        f"| {truth} | " + " | ".join(str(pairs.get((truth, called), 0)) for called in classes) + " |"
        for truth in classes
    ]
    return [f"| | {' | '.join(classes)} |", "| --- |" + " ---: |" * len(classes), *rows]
