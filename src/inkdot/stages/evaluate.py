"""``inkdot evaluate``: how good a model is on labelled slides, patients and slides first."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.text import Text

from inkdot.artefacts.atomic import write_text
from inkdot.artefacts.layout import RunLayout
from inkdot.artefacts.locking import locked
from inkdot.artefacts.model_files import ModelFile
from inkdot.config import Config
from inkdot.errors import UserError
from inkdot.evaluation.intervals import Estimate, auc_estimate, bootstrap_estimate, share_estimate
from inkdot.evaluation.metrics import expected_calibration_error
from inkdot.evaluation.slide_level import SlideResults, as_patients, slide_figures, subgroup_figures
from inkdot.labels import flagging_head, target_columns
from inkdot.manifest import manifest_text, read_slides
from inkdot.records import SlideEntry
from inkdot.work.engine import print_summary, run_slides
from inkdot.work.evaluation_page import EvaluationReport, page
from inkdot.work.judging import JudgedSlide, judge_slide, patient_truths, score_to_judge
from inkdot.work.score_slide import Scoring
from inkdot.work.tile_slide import TileTask

_GROUPS = ("site", "scanner", "stain", "preparation")
_BINS = 10


def run(
    model: Path,
    slides: Path,
    out: Path,
    *,
    workers: int = 1,
    allow_synthetic_model: bool = False,
) -> int:
    """Score labelled slides and write ``out/evaluation.json`` and ``out/evaluation.html``.

    Where the manifest has a column ``split``, only its ``test`` slides are used.

    Args:
        model: A model folder.
        slides: A ``slides.csv`` with answers or annotations.
        out: Output folder; a rerun keeps tiles and scores that still fit.
        workers: Processes that cut tiles.
        allow_synthetic_model: Let a model trained on synthetic specimens judge real slides.

    Returns:
        0 when every slide was judged, 1 when some failed.

    Raises:
        UserError: Nothing can be judged, or the input as a whole is wrong.
    """
    console, layout = Console(stderr=True), RunLayout(out)
    scoring = Scoring.load(model, allow_synthetic_model=allow_synthetic_model)
    description = scoring.scorer.description
    heads = description.head_records
    if not description.mpp_known:
        raise UserError(
            f"{model}: expected a model of known scale, found one trained on pictures whose micrometres per pixel nobody "
            "stated: it cannot be judged on slides; cross-validate it with `inkdot train --images … --folds 5`"
        )
    entries = _held_out(read_slides(slides, heads), slides)
    config = Config(preparation=description.preparation, tiling=description.tiling, heads=description.heads)
    with locked(layout.lock):
        write_text(layout.slides_csv, manifest_text(entries, heads, out))
        tiled = run_slides(
            "tile", entries, TileTask(config, layout), layout, workers=workers, description="Tiling"
        )
        good = [entry for entry in entries if entry.slide_id not in tiled.failed]
        task = partial(score_to_judge, layout=layout, scoring=scoring)
        scored = run_slides("evaluate", good, task, layout, workers=1, description="Scoring")
        judged = [judge_slide(entry, layout) for entry in good if entry.slide_id not in scored.failed]
        if not any(slide.truth is not None for slide in judged):
            raise UserError(
                f"{slides}: expected slides whose answers are known, found none among {len(judged)} that could be read; "
                f"fill the column {flagging_head(heads).name}, or give annotations"
            )
        report = _report(judged, tiled.failed | scored.failed, scoring, slides)
        write_text(layout.evaluation_json, _as_json(report, scoring))
        write_text(layout.evaluation_html, page(report))
    print_summary(console, [tiled, scored])
    for level, figures in report.figures.items():
        for name, estimate in figures.items():
            console.print(Text(f"{level}: {name} {estimate} ({estimate.method})"), soft_wrap=True)
    console.print(Text(f"report: {layout.evaluation_html}"), soft_wrap=True)
    return 1 if tiled.failed or scored.failed else 0


def _held_out(entries: Sequence[SlideEntry], source: Path) -> list[SlideEntry]:
    if not any(entry.extra.get("split") for entry in entries):
        return list(entries)
    kept = [entry for entry in entries if entry.extra.get("split") == "test"]
    if not kept:
        raise UserError(
            f"{source}: expected slides with split = test, found none; a model must not be judged on slides that it "
            "learned from or was chosen on"
        )
    return kept


def _report(
    judged: Sequence[JudgedSlide], failed: dict[str, str], scoring: Scoring, source: Path
) -> EvaluationReport:
    model = scoring.scorer.description
    head = flagging_head(model.head_records)
    results = _results(judged)
    entries = [slide.entry for slide in judged]
    patients = as_patients(results, patient_truths(entries, model.head_records))
    tiles, reliability = _tile_figures(judged, model)
    prefix = "selftest_" if model.trained_on.synthetic else ""
    figures = {
        "Patients": slide_figures(patients, ks=()),
        "Slides": slide_figures(results),
        "Tiles": tiles,
    }
    scored = ~np.isnan(results.truth) & ~np.isnan(results.scores)
    warnings = (
        [
            "SYNTHETIC: the model was trained on painted specimens. These figures test the program, not its use."
        ]
        if model.trained_on.synthetic
        else []
    )
    nameless = sum(not entry.patient_id for entry in entries)
    if nameless:
        warnings.append(f"{nameless} slides have no patient_id; each was taken for a patient of its own.")
    return EvaluationReport(
        title="How good the model is",
        warnings=warnings,
        facts=[
            f"{len(judged)} slides of {len(patients.patients)} patients from {source.name}; truth is known for "
            f"{int((~np.isnan(results.truth)).sum())} slides.",
            f"Question: {head.name}, {head.flag_class} at or above {model.operating_points[head.name].threshold:.4g}, "
            "locked when the model was made. A slide is flagged where one tile reaches it.",
            f"Model {scoring.model_sha256[:16]}, {model.backbone}. Whether it learned from these patients cannot be told "
            "from the model: keep test patients apart with a column split.",
        ],
        figures={level: {prefix + name: e for name, e in own.items()} for level, own in figures.items()},
        calls=_calls(judged),
        subgroups={
            column: {word: {prefix + n: e for n, e in own.items()} for word, own in words.items()}
            for column, words in subgroup_figures(results).items()
        },
        failed=failed,
        slide_truth=results.truth[scored] > 0.5,
        slide_scores=results.scores[scored],
        reliability=reliability,
    )


def _results(judged: Sequence[JudgedSlide]) -> SlideResults:
    return SlideResults(
        patients=np.array([slide.patient for slide in judged]),
        truth=np.array([np.nan if slide.truth is None else float(slide.truth) for slide in judged]),
        scores=np.array([np.nan if slide.score is None else slide.score for slide in judged]),
        flagged=np.array([slide.flagged for slide in judged], np.bool_),
        hit_ranks=np.array([slide.hit_rank for slide in judged]),
        groups={
            name: np.array([str(getattr(slide.entry, name) or "") for slide in judged]) for name in _GROUPS
        },
    )


def _tile_figures(
    judged: Sequence[JudgedSlide], model: ModelFile
) -> tuple[dict[str, Estimate], list[tuple[float, float, int]]]:
    """Figures of the flagging head on labelled tiles, and the reliability of its score."""
    head = flagging_head(model.head_records)
    column = target_columns(model.head_records).index(f"target.{head.name}.{head.flag_class}")
    targets = np.concatenate([slide.targets[:, column] for slide in judged])
    scores = np.concatenate([slide.scores[:, column] for slide in judged])
    flagged = np.concatenate([slide.flagged_tiles for slide in judged])
    owners = np.repeat(
        np.array([slide.patient for slide in judged]), [len(slide.targets) for slide in judged]
    )
    rows = np.flatnonzero(~np.isnan(targets) & (targets != 0.5))
    truth, score, called, patients = targets[rows] > 0.5, scores[rows], flagged[rows], owners[rows]
    pair = np.stack([1.0 - score, score], axis=1)
    found = {
        "auc": auc_estimate(truth, score, patients),
        "sensitivity": share_estimate(called[truth], patients[truth]),
        "specificity": share_estimate(~called[~truth], patients[~truth]),
        "calibration_error": bootstrap_estimate(
            lambda weights: expected_calibration_error(np.eye(2)[truth.astype(np.int64)], pair, weights),
            patients,
        ),
    }
    bins = np.minimum((score * _BINS).astype(np.int64), _BINS - 1)
    reliability = [
        (float(score[bins == k].mean()), float(truth[bins == k].mean()), int((bins == k).sum()))
        for k in range(_BINS)
        if (bins == k).any()
    ]
    return {name: estimate for name, estimate in found.items() if estimate is not None}, reliability


def _calls(judged: Sequence[JudgedSlide]) -> dict[tuple[str, str], int]:
    truths = {True: "positive", False: "negative", None: "unknown"}
    return dict(
        Counter(
            (
                truths[slide.truth],
                "inadequate" if slide.score is None else "flagged" if slide.flagged else "nothing flagged",
            )
            for slide in judged
        )
    )


def _as_json(report: EvaluationReport, scoring: Scoring) -> str:
    facts = {
        "version": "inkdot.evaluation/1",
        "model_sha256": scoring.model_sha256,
        "warnings": list(report.warnings),
        "figures": {
            level.lower(): {name: asdict(e) for name, e in own.items()}
            for level, own in report.figures.items()
        },
        "calls": {f"{truth}, {call}": count for (truth, call), count in report.calls.items()},
        "subgroups": {
            column: {word: {name: asdict(e) for name, e in own.items()} for word, own in words.items()}
            for column, words in report.subgroups.items()
        },
        "reliability": [{"score": s, "share": t, "tiles": n} for s, t, n in report.reliability],
        "failed": dict(report.failed),
    }
    return json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
