"""Parts that the reports of slides and of images share."""

from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np

from inkdot.evaluation.report import Confusion, Metrics, Plot, Section, Table
from inkdot.evaluation.selective_prediction import abstention_text
from inkdot.labels import flagging_head
from inkdot.metrics.classification import FloatArray
from inkdot.metrics.curves import ReliabilityBin
from inkdot.metrics.intervals.confidence_intervals import TOO_FEW, Estimate
from inkdot.metrics.slides.slide_level import NOT_STATED, SlidePredictions, subgroup_metrics
from inkdot.storage.hashing import training_file
from inkdot.storage.models.model_files import ModelFile

SYNTHETIC_WARNING = (
    "SYNTHETIC: the model was trained on synthetic specimens. These metrics test the program alone."
)


_COMPARED = ("auc", "sensitivity", "specificity")


SCORES_NOTE = (
    "Calibrated: where the score is 0.8, 80 % are positive. aurc: area under the risk-coverage curve, the mean share of "
    "wrong calls over all coverages; lower is better. coverage: share with a call. selective_risk: share of these calls that "
    "are wrong."
)


def metric_prefix(model: ModelFile) -> str:
    """Prefix of metric names: those of a model of synthetic specimens are a self-test."""
    return "selftest_" if model.trained_on.synthetic else ""


def cohort_warnings(model: ModelFile, without_patient: int) -> list[str]:
    """Warnings on the model and the cohort.

    Args:
        model: The model.
        without_patient: Slides without a patient.
    """
    warnings = [SYNTHETIC_WARNING] if model.trained_on.synthetic else []
    if without_patient:
        warnings.append(f"{without_patient} slides have no patient_id; each counts as a patient of its own.")
    return warnings


def model_facts(model: ModelFile, model_sha256: str, note: str = "") -> list[str]:
    """The flagging head with its threshold, the abstention band, and what is known of training on these patients.

    Args:
        model: The model.
        model_sha256: Its hash.
        note: Added to the line on the head.
    """
    head = flagging_head(model.head_records)
    threshold = model.operating_points[head.name].threshold
    recorded = (
        "The model records its training files, but not its patients: training on other files of these patients"
        if model.trained_on.training_files
        else "The model does not record its patients: training on these ones"
    )
    return [
        f"Head: {head.name}, {head.flag_class} at or above {threshold:.4g}, locked when the model was made.{note}",
        abstention_text(model.abstention.get(head.name)),
        f"Model {model_sha256[:16]}, {model.backbone}. {recorded} cannot be detected; mark test patients in a "
        "column split.",
    ]


def operating_point_json(model: ModelFile) -> dict[str, object]:
    """The locked operating point, for the JSON file."""
    head = flagging_head(model.head_records)
    point = model.operating_points[head.name]
    return {"head": head.name, "class": point.class_name, "threshold": point.threshold}


def trained_on_warnings(model: ModelFile, hashes: Sequence[str], units: str) -> list[str]:
    """A warning where the model was trained on files that it is evaluated on.

    Args:
        model: The model.
        hashes: Of the files, as training hashes them; blank where unknown.
        units: ``slides`` or ``images``.
    """
    known = set(model.trained_on.training_files)
    seen = sum(training_file(own) in known for own in hashes)
    if not seen:
        return []
    return [
        f"The model was trained on {seen} of these {len(hashes)} {units}: the metrics are too good. Evaluate it on "
        "other patients."
    ]


def spread_facts(spreads: Sequence[float], units: str) -> list[str]:
    """How far the models of an ensemble are apart; nothing for one network."""
    if not spreads:
        return []
    return [
        f"Spread, the standard deviation of a score between the models of the ensemble: median of the {units} "
        f"{median(spreads):.3f}, highest {max(spreads):.3f}. Where it is high, the models disagree."
    ]


def reliability_plot(bins: Sequence[ReliabilityBin], what: str) -> Plot:
    """The reliability diagram."""
    return Plot(
        f"Reliability diagram of {what}, with 95 % intervals; the dashed line is perfect calibration",
        "mean score",
        "fraction of positives",
        [(own.mean_score, own.fraction_positive.value) for own in bins],
        intervals=[(own.mean_score, own.fraction_positive.low, own.fraction_positive.high) for own in bins],
    )


def counts_text(truth: FloatArray) -> str:
    """Numbers of positive (1), negative (0) and unknown (NaN) units, as text."""
    positive, unknown = int((truth > 0.5).sum()), int(np.isnan(truth).sum())
    text = f"{positive} positive, {len(truth) - positive - unknown} negative"
    return f"{text}, {unknown} unknown" if unknown else text


def subgroup_sizes(results: SlidePredictions, units: str, owners: str) -> dict[str, dict[str, str]]:
    """Numbers of units and patients of each subgroup, by column and value, as text."""
    sizes: dict[str, dict[str, str]] = {}
    for column, values in results.groups.items():
        for value in sorted(set(values.tolist())):
            own = results.of(values == value)
            size = f"{len(np.unique(own.patients))} {owners}: {counts_text(own.truth)} {units}"
            sizes.setdefault(column, {})[value or NOT_STATED] = size
    return sizes


def prefixed(metrics: Metrics, prefix: str) -> dict[str, Estimate]:
    """The metrics with a prefix before each name."""
    return {prefix + name: estimate for name, estimate in metrics.items()}


def prefixed_subgroups(results: SlidePredictions, prefix: str) -> dict[str, dict[str, dict[str, Estimate]]]:
    """Metrics by subgroup, with a prefix before each name: column to value to metrics."""
    return {
        column: {value: prefixed(own, prefix) for value, own in groups.items()}
        for column, groups in subgroup_metrics(results).items()
    }


def estimate_text(estimate: Estimate | None) -> str:
    """A metric with its interval, for a cell; 0 to 1 where patients are too few would look like a result."""
    if estimate is None:
        return "–"
    return f"{estimate.value:.3f} (not known)" if estimate.method == TOO_FEW else str(estimate)


def percent(share: float) -> str:
    """A share as a percentage of three digits."""
    return f"{100.0 * share:.3g} %"


def matrix_table(counts: Confusion, caption: str, corner: str) -> Table:
    """Counts by truth (rows) and call (columns)."""
    calls = sorted({call for _, call in counts})
    return Table(
        caption,
        [corner, *calls],
        [
            [truth, *(str(counts.get((truth, call), 0)) for call in calls)]
            for truth in sorted({truth for truth, _ in counts})
        ],
    )


def subgroup_table(
    caption: str, groups: Mapping[str, Metrics], sizes: Mapping[str, str], prefix: str
) -> Table:
    """AUC, sensitivity and specificity of the values of one column."""
    return Table(
        caption,
        ["", "number", *(prefix + name for name in _COMPARED)],
        [
            [value, sizes.get(value, ""), *(estimate_text(own.get(prefix + name)) for name in _COMPARED)]
            for value, own in groups.items()
        ],
    )


def subgroups_section(
    subgroups: Mapping[str, Mapping[str, Metrics]], sizes: Mapping[str, Mapping[str, str]], prefix: str
) -> Section | None:
    """Metrics by site, scanner and so on; None where no column has two values."""
    if not subgroups:
        return None
    return Section(
        anchor="subgroups",
        question="For whom is it worse?",
        notes=[
            "Small groups have wide intervals, and with many groups some look worse by chance. All metrics are in the JSON file."
        ],
        tables=[
            subgroup_table(f"By {column}", groups, sizes.get(column, {}), prefix)
            for column, groups in subgroups.items()
        ],
    )


def scores_section(plots: Sequence[Plot], metrics: Mapping[str, Metrics], notes: Sequence[str]) -> Section:
    """Whether scores can be believed: reliability and selective prediction."""
    return Section(
        anchor="scores", question="Can the scores be believed?", notes=notes, metrics=metrics, plots=plots
    )
