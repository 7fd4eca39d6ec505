"""The HTML report of `inkdot evaluate`: one file, nothing loaded from elsewhere, everything from outside escaped."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from inkdot.evaluation.html_page import data_uri, html_page
from inkdot.evaluation.plots import plot_svg
from inkdot.evaluation.report import EvaluationReport, Plot, WorstError
from inkdot.metrics.intervals.confidence_intervals import TOO_FEW, Estimate

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
    """The report as one HTML page."""
    level = next(iter(report.metrics), "")
    metrics = report.metrics.get(level, {})
    return html_page(
        "report.html",
        report.title,
        report=report,
        headline_level=level,
        headline=[
            (name, own) for name, own in metrics.items() if name.removeprefix("selftest_") in _HEADLINE
        ],
        contents=_contents(report),
        interval=_interval,
        images_of=_images,
        errors=_errors(report.worst_errors),
    )


def _contents(report: EvaluationReport) -> list[tuple[str, str]]:
    """Anchor and heading of everything on the page, in its order."""
    further = (
        ("worst-errors", "Which errors are the worst?", report.worst_errors),
        ("failed", f"Which {report.unit}s failed?", report.failed),
    )
    return [(own.anchor, own.question) for own in report.sections] + [
        (anchor, question) for anchor, question, content in further if content
    ]


def _images(plots: Sequence[Plot]) -> list[_PlotImage]:
    return [
        _PlotImage(own.caption, data_uri("svg+xml", plot_svg(own).encode())) for own in plots if own.points
    ]


def _errors(errors: Sequence[WorstError]) -> Mapping[str, list[_ErrorImage]]:
    by_kind: dict[str, list[_ErrorImage]] = {}
    for error in errors:
        truth = error.label or ("positive" if error.kind == "missed" else "negative")
        uri = data_uri("jpeg", error.image) if error.image else ""
        shown = _ErrorImage(error.name, error.score, truth, uri)
        by_kind.setdefault(error.kind, []).append(shown)
    return by_kind


def _interval(estimate: Estimate) -> str:
    """0 to 1 where patients are too few would look like a result."""
    return "not known" if estimate.method == TOO_FEW else f"{estimate.low:.3f} to {estimate.high:.3f}"
