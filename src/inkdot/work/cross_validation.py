"""Cross-validation: every patient is judged once, by a model that never saw them, in training or in validation."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
from rich.console import Console

from inkdot.artefacts.atomic import write_text
from inkdot.artefacts.layout import RunLayout
from inkdot.config import Config
from inkdot.evaluation.intervals import Estimate
from inkdot.labels import flagging_head, score_columns, target_columns
from inkdot.model.data import TileSet
from inkdot.model.scorer import Scorer
from inkdot.model.selection import head_slices
from inkdot.work.pooled_figures import (
    OutOfFold,
    confusion_of,
    cross_validation_figures,
    uncalibrated_scores,
)
from inkdot.work.tile_cache import LabelledTiles
from inkdot.work.training import TileSource, say, train_cohort, write_split
from inkdot.work.training_cohort import Fold, check_answers, cohort_notes, split_cohort


def cross_validate(
    found: Sequence[LabelledTiles],
    tiles_of: TileSource,
    folds: int,
    config: Config,
    layout: RunLayout,
    console: Console,
    *,
    pictures: bool,
    mpp_known: bool = True,
) -> None:
    """Train one model per fold and report on the tiles that it never saw.

    Within each fold the other patients are split into training and validation as ever: the epoch, the temperatures
    and the threshold are chosen there, and the kept-out fold is opened once.

    Raises:
        UserError: A class is missing in some fold.
    """
    cohorts = [split_cohort(found, config, pictures=pictures, fold=Fold(k, folds)) for k in range(folds)]
    for cohort in cohorts:
        check_answers(cohort, config)
    parts: list[OutOfFold] = []
    for index, cohort in enumerate(cohorts):
        say(console, [f"fold {index + 1} of {folds}", *cohort_notes(cohort)])
        own = layout.fold(index)
        write_split(cohort, own)
        training, validation = tiles_of(cohort.of("train")), tiles_of(cohort.of("validation"))
        notes = [f"Fold {index + 1} of {folds} of a cross-validation.", *cohort_notes(cohort)]
        train_cohort(
            cohort, training, validation, notes, config, own, console, mpp_known=mpp_known, tables=layout
        )
        parts.append(_score(tiles_of(cohort.of("test")), index, own, config))
    judged = _joined(parts)
    figures = cross_validation_figures(judged, config.head_records, config.training.seed)
    prefix = cohorts[0].figures_prefix.replace("validation_", "")
    named = {prefix + name: estimate for name, estimate in figures.items()}
    _write(judged, named, folds, config, layout, pictures=pictures)
    say(console, [f"{name}: {estimate} ({estimate.method})" for name, estimate in named.items()])


def _score(tiles: TileSet, fold: int, layout: RunLayout, config: Config) -> OutOfFold:
    scorer = Scorer(layout.model)
    heads, description = config.head_records, scorer.description
    scores = scorer.score(tiles.tiles())
    head = flagging_head(heads)
    point = description.operating_points[head.name]
    column = head_slices(heads)[head.name].start + head.classes.index(point.class_name)
    return OutOfFold(
        names=tiles.slides,
        patients=tiles.patients,
        folds=np.full(len(tiles), fold),
        targets=tiles.targets,
        scores=scores,
        uncalibrated=uncalibrated_scores(scores, heads, description.temperatures),
        flagged=scores[:, column] >= point.threshold,
    )


def _joined(parts: Sequence[OutOfFold]) -> OutOfFold:
    return OutOfFold(
        names=np.concatenate([part.names for part in parts]),
        patients=np.concatenate([part.patients for part in parts]),
        folds=np.concatenate([part.folds for part in parts]),
        targets=np.concatenate([part.targets for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
        uncalibrated=np.concatenate([part.uncalibrated for part in parts]),
        flagged=np.concatenate([part.flagged for part in parts]),
    )


def _write(
    judged: OutOfFold,
    figures: dict[str, Estimate],
    folds: int,
    config: Config,
    layout: RunLayout,
    *,
    pictures: bool,
) -> None:
    heads = config.head_records
    confusions = {
        head.name: confusion_of(judged, head, columns)
        for head, columns in zip(heads, head_slices(heads).values(), strict=True)
    }
    facts = {
        "folds": folds,
        "tiles": len(judged.names),
        "patients": len(np.unique(judged.patients)),
        "confusions": {
            name: [[pairs.get((truth, called), 0) for called in classes] for truth in classes]
            for (name, pairs), classes in zip(
                confusions.items(), (head.classes for head in heads), strict=True
            )
        },
        "figures": {name: asdict(estimate) for name, estimate in figures.items()},
    }
    write_text(layout.cross_validation_json, json.dumps(facts, indent=2, sort_keys=True) + "\n")
    what, who = ("pictures", "groups") if pictures else ("tiles", "patients")
    lines = [
        "# Cross-validation",
        "",
        f"{folds} folds, {len(judged.names)} {what} of {facts['patients']} {who}, each judged by a model that never saw its "
        f"{who[:-1]}: epoch, temperatures and threshold were chosen on other {who}. 95 % intervals.",
        "",
        "| figure | value | 95 % interval | how |",
        "| --- | --- | --- | --- |",
        *(
            f"| {name} | {e.value:.3f} | {e.low:.3f} to {e.high:.3f} | {e.method} |"
            for name, e in figures.items()
        ),
    ]
    for head in heads:
        lines += ["", f"{what.capitalize()} by true class (rows) and likeliest class of {head.name}:", ""]
        lines += _confusion_table(confusions[head.name], head.classes)
    write_text(layout.cross_validation_md, "\n".join(lines) + "\n")
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["name", "group", "fold", *target_columns(heads), *score_columns(heads)])
    for row in range(len(judged.names)):
        targets = ["" if np.isnan(value) else f"{value:g}" for value in judged.targets[row]]
        scores = [f"{value:.6f}" for value in judged.scores[row]]
        writer.writerow([judged.names[row], judged.patients[row], judged.folds[row] + 1, *targets, *scores])
    write_text(layout.out_of_fold_csv, buffer.getvalue())


def _confusion_table(pairs: Mapping[tuple[str, str], int], classes: Sequence[str]) -> list[str]:
    rows = [
        f"| {truth} | " + " | ".join(str(pairs.get((truth, called), 0)) for called in classes) + " |"
        for truth in classes
    ]
    return [f"| | {' | '.join(classes)} |", "| --- |" + " ---: |" * len(classes), *rows]
