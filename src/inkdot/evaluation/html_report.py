"""The HTML report of `inkdot evaluate`: one file, nothing loaded from elsewhere, everything from outside escaped."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import jinja2

from inkdot.evaluation.plots import plot_svg
from inkdot.evaluation.report import Confusion, EvaluationReport, Metrics, WorstError
from inkdot.metrics.intervals.confidence_intervals import TOO_FEW, Estimate

_LEVEL_NOTES: Final = {
    "Patients": "A patient is flagged where any slide is; the score is that of the highest slide.",
    "Groups": "A group is flagged where any image is; the score is that of the highest image.",
    "Slides": "hit@k: share of the slides with marked regions that show one of them among the first k regions.",
    "Regions": "froc: share of the marked regions that are found, mean over ¼ to 8 false positives per negative slide; "
    "sensitivity@1: at one false positive per negative slide, sensitivity@8: at eight.",
    "Tiles": "Of tiles with a label of their own; too optimistic for slides and patients.",
    "Readers": "Agreement of the readers beyond chance, Fleiss' kappa: 1 is full agreement, 0 is chance.",
}
_METRIC_NOTES: Final = {
    "aurc": "aurc: area under the risk-coverage curve, the mean share of wrong calls over all coverages; lower is better.",
    "selective_risk": "coverage: share with a call (the model abstains on the rest). selective_risk: share of these calls that "
    "are wrong.",
}
_HEADLINE: Final = ("auc", "sensitivity", "specificity")


class _PlotImage(NamedTuple):
    caption: str
    uri: str


class _ErrorImage(NamedTuple):
    name: str
    score: float
    truth: str
    uri: str


def report_html(report: EvaluationReport) -> str:
    """The report as one HTML page.

    Plots and images are ``data:`` addresses, so nothing in them can run. The content security policy allows them and
    the page's own style, and nothing else.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("inkdot.evaluation", "assets"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    style = environment.get_template("report.css").render()
    level = next(iter(report.metrics), "")
    metrics = report.metrics.get(level, {})
    return environment.get_template("report.html").render(
        report=report,
        policy=_policy(style),
        headline_level=level,
        headline=[
            (name, own) for name, own in metrics.items() if name.removeprefix("selftest_") in _HEADLINE
        ],
        notes=_notes,
        interval=_interval,
        rows_of=_rows,
        columns_of=_columns,
        plots=[
            _PlotImage(own.caption, _uri("svg+xml", plot_svg(own).encode()))
            for own in report.plots
            if own.points
        ],
        errors=_errors(report.worst_errors),
    )


def _policy(style: str) -> str:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )


def _uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}" if content else ""


def _errors(errors: Sequence[WorstError]) -> Mapping[str, list[_ErrorImage]]:
    by_kind: dict[str, list[_ErrorImage]] = {}
    for error in errors:
        truth = error.label or ("positive" if error.kind == "missed" else "negative")
        shown = _ErrorImage(error.name, error.score, truth, _uri("jpeg", error.image))
        by_kind.setdefault(error.kind, []).append(shown)
    return by_kind


def _notes(level: str, metrics: Metrics) -> list[str]:
    """Explanations of the metrics of one level."""
    names = " ".join(metrics)
    if not metrics:
        return []
    notes = [_LEVEL_NOTES[level]] if level in _LEVEL_NOTES and (level != "Slides" or "hit@" in names) else []
    return notes + [note for name, note in _METRIC_NOTES.items() if name in names]


def _interval(estimate: Estimate) -> str:
    """0 to 1 where patients are too few would look like a result."""
    return "not known" if estimate.method == TOO_FEW else f"{estimate.low:.3f} to {estimate.high:.3f}"


def _rows(counts: Confusion) -> list[str]:
    return sorted({truth for truth, _ in counts})


def _columns(counts: Confusion) -> list[str]:
    return sorted({call for _, call in counts})
