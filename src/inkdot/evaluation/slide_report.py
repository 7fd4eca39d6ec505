"""The evaluation report of scored slides: patients and slides first."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from inkdot.datasets.reader_agreement import reader_metrics
from inkdot.evaluation.report import Curve, EvaluationReport, Metrics, Section
from inkdot.evaluation.report_parts import (
    SCORES_NOTE,
    cohort_warnings,
    counts_text,
    metric_prefix,
    model_facts,
    operating_point_json,
    prefixed,
    prefixed_subgroups,
    reliability_plot,
    scores_section,
    spread_facts,
    subgroup_sizes,
    subgroups_section,
    trained_on_warnings,
)
from inkdot.evaluation.sections.benefit import benefit_section
from inkdot.evaluation.sections.cell_count import CELLULARITY, cell_count_section, cluster_metrics
from inkdot.evaluation.sections.further_heads import further_heads_section
from inkdot.evaluation.sections.heads_of_slides import slide_heads
from inkdot.evaluation.sections.misses import regions_section
from inkdot.evaluation.sections.predictive import threshold_section
from inkdot.evaluation.sections.ranking import curve_rows, ranking_curves, ranking_section
from inkdot.evaluation.sections.rows import counts_of
from inkdot.evaluation.selective_prediction import call_name
from inkdot.evaluation.slide_levels import SlideLevels, slide_levels
from inkdot.evaluation.slide_results import SlideResult
from inkdot.evaluation.worst_errors import worst_slides
from inkdot.labels import flagging_head
from inkdot.metrics.slides.slide_level import (
    SlidePredictions,
)
from inkdot.pipeline.results.warnings import group_warnings
from inkdot.pipeline.scoring.unlike_training import SYNTHETIC_MODEL_WARNING
from inkdot.storage.models.model_files import ModelFile

_REPORTED_ELSEWHERE = (SYNTHETIC_MODEL_WARNING, "synthetic model on a synthetic slide")


def slide_report(
    slides: Sequence[SlideResult],
    failed: Mapping[str, str],
    model: ModelFile,
    model_sha256: str,
    source: Path,
    notes: Sequence[str],
    prevalences: Sequence[float] = (),
) -> EvaluationReport:
    """The report on labelled slides.

    Args:
        slides: The slides that could be scored.
        failed: Reason of each of the others.
        model: The model.
        model_sha256: Its hash.
        source: The manifest.
        notes: Further warnings.
        prevalences: At which predictive values are given, each of more than 0 and less than 1.
    """
    prefix = metric_prefix(model)
    levels = slide_levels(slides, model)
    readers = _readers(slides, model)
    subgroups, sizes = _subgroups(slides, levels.slides, prefix)
    parts = _parts(slides, levels, model, prevalences, (subgroups, sizes))
    of_readers = _readers_section(readers)
    of_subgroups = subgroups_section(
        {column: own for column, own in subgroups.items() if column != CELLULARITY}, sizes, prefix
    )
    return EvaluationReport(
        title="Evaluation report",
        unit="slide",
        warnings=[
            *cohort_warnings(model, sum(not slide.entry.patient_id for slide in slides)),
            *trained_on_warnings(model, [slide.slide_fingerprint for slide in slides], "slides"),
            *parts.warnings,
            *notes,
            *slide_warnings(slides),
        ],
        facts=[
            *_cohort_facts(levels.slides, levels.patients, source),
            *model_facts(model, model_sha256),
            *spread_facts([slide.spread for slide in slides if slide.spread is not None], "slides"),
        ],
        metrics=levels.named(prefix) | readers,
        calls=_calls(slides),
        subgroups=subgroups,
        subgroup_sizes=sizes,
        failed=failed,
        sections=[own for own in (*parts.sections, of_readers, of_subgroups) if own is not None],
        reliability=levels.reliability,
        worst_errors=worst_slides(slides),
        curves=parts.curves,
        details=parts.details,
    )


class _Parts(NamedTuple):
    """Sections, with what they add to the JSON file and to the warnings of the page."""

    sections: list[Section | None]
    curves: dict[str, Curve]
    details: dict[str, object]
    warnings: list[str]


def _parts(
    slides: Sequence[SlideResult],
    levels: SlideLevels,
    model: ModelFile,
    prevalences: Sequence[float],
    groups: tuple[Mapping[str, Mapping[str, Metrics]], Mapping[str, Mapping[str, str]]],
) -> _Parts:
    head, prefix, (subgroups, sizes) = flagging_head(model.head_records), metric_prefix(model), groups
    threshold = model.operating_points[head.name].threshold
    named, patients = levels.named(prefix), levels.scored_patients
    calls, predictive = threshold_section(
        counts_of(levels.patients), _calls(slides), prevalences,
        threshold=threshold, patients="patients", unit="slides", prefix=prefix,
    )  # fmt: skip
    benefit, decision_curves = benefit_section(
        patients, threshold, levels.metrics["Patients"], prevalences, prefix
    )
    regions, misses = regions_section(
        slides, head, threshold, (levels.froc_data, levels.froc), named["Regions"], prefix
    )
    cell_count, warning, counted = cell_count_section(
        levels.slides,
        levels.candidates,
        levels.candidate_unit,
        subgroups.get(CELLULARITY, {}),
        sizes.get(CELLULARITY, {}),
        prefix,
    )
    further_heads, judged = further_heads_section(slide_heads(slides, model), prefix)
    ranked = {level: named[level] for level in ("Patients", "Slides")}
    plots = [reliability_plot(levels.reliability, "tile scores"), levels.selective.plot("slides")]
    return _Parts(
        sections=[
            ranking_section(patients, threshold, ranked, _ranking_notes(named)),
            calls,
            benefit,
            regions,
            cell_count,
            further_heads,
            scores_section(plots, {"Tiles": named["Tiles"]}, [SCORES_NOTE, _TILES_NOTE]),
        ],
        curves={
            "froc": curve_rows(levels.froc, "false_positives_per_slide", "sensitivity"),
            "risk_coverage": curve_rows(levels.selective.curve, "coverage", "risk"),
            **ranking_curves(patients),
            **decision_curves,
        },
        details={
            "operating_point": operating_point_json(model),
            "predictive_values": predictive,
            "cell_count": counted,
            "misses": misses,
            "further_heads": judged,
        },
        warnings=[warning] if warning else [],
    )


_TILES_NOTE = "Tiles: those with a label of their own; too optimistic for slides and patients."


def _ranking_notes(metrics: Mapping[str, Metrics]) -> list[str]:
    notes = ["A patient is flagged where any slide is; the score is that of the highest slide."]
    if "hit@" in " ".join(metrics["Slides"]):
        notes.append(
            "hit@k: share of the slides with marked regions that show one of them among the first k regions."
        )
    return notes


def _readers_section(readers: Mapping[str, Metrics]) -> Section | None:
    if not readers:
        return None
    return Section(
        anchor="readers",
        question="How far do readers agree?",
        notes=[
            "Beyond chance, Fleiss' kappa: 1 is full agreement, 0 is chance. No model can be expected to do better."
        ],
        metrics=readers,
    )


def _subgroups(
    slides: Sequence[SlideResult], results: SlidePredictions, prefix: str
) -> tuple[dict[str, Mapping[str, Metrics]], dict[str, Mapping[str, str]]]:
    """Metrics and sizes of subgroups of slides, and of single cells against clusters."""
    subgroups: dict[str, Mapping[str, Metrics]] = {**prefixed_subgroups(results, prefix)}
    sizes: dict[str, Mapping[str, str]] = {**subgroup_sizes(results, "slides", "patients")}
    of_clusters, numbers = cluster_metrics(
        [(slide.patient, slide.clusters) for slide in slides if slide.clusters is not None]
    )
    if of_clusters:
        subgroups["nuclei"] = {name: prefixed(own, prefix) for name, own in of_clusters.items()}
        sizes["nuclei"] = numbers
    return subgroups, sizes


def _cohort_facts(slides: SlidePredictions, patients: SlidePredictions, source: Path) -> list[str]:
    return [
        f"{len(slides.patients)} slides of {len(patients.patients)} patients from {source.name}; truth is known for "
        f"{int((~np.isnan(slides.truth)).sum())} slides.",
        f"Patients: {counts_text(patients.truth)}. Slides: {counts_text(slides.truth)}.",
    ]


def _readers(slides: Sequence[SlideResult], model: ModelFile) -> dict[str, Metrics]:
    """Agreement of the readers, whose metrics have no prefix: people are not part of a self-test."""
    metrics = reader_metrics(
        [label for slide in slides for label in slide.lesions.labels], model.head_records
    )
    return {"Readers": metrics} if metrics else {}


def slide_warnings(slides: Sequence[SlideResult]) -> list[str]:
    """Warnings that `predict` gives for single slides, similar ones grouped."""
    found = [
        (slide.entry.slide_id, warning)
        for slide in slides
        for warning in slide.warnings
        if not warning.startswith(_REPORTED_ELSEWHERE)
    ]
    return [f"{line}." for line in group_warnings(found, len(slides))]


def evaluated_slides_text(slides: Sequence[SlideResult]) -> str:
    """CSV text with the truth, score and call of every slide, for `inkdot compare`."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["slide_id", "patient_id", "truth", "score", "spread", "flagged", "call"])
    for slide in slides:
        score = "" if slide.score is None else f"{slide.score:.6f}"
        spread = "" if slide.spread is None else f"{slide.spread:.6f}"
        truth, call = _truth_and_call(slide)
        writer.writerow([slide.entry.slide_id, slide.patient, truth, score, spread, int(slide.flagged), call])
    return buffer.getvalue()


def _calls(slides: Sequence[SlideResult]) -> dict[tuple[str, str], int]:
    return dict(Counter(_truth_and_call(slide) for slide in slides))


def _truth_and_call(slide: SlideResult) -> tuple[str, str]:
    truths = {True: "positive", False: "negative", None: "unknown"}
    call = "inadequate" if slide.score is None else call_name(slide.flagged, slide.abstained)
    return truths[slide.truth], call
