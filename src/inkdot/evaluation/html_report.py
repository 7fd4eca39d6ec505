"""The HTML report of `inkdot evaluate`: one file, nothing loaded from elsewhere, everything from outside escaped."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import jinja2

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
        contents=_contents(report),
        interval=_interval,
        images_of=_images,
        errors=_errors(report.worst_errors),
    )


def _policy(style: str) -> str:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
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


def _uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}" if content else ""


def _images(plots: Sequence[Plot]) -> list[_PlotImage]:
    return [_PlotImage(own.caption, _uri("svg+xml", plot_svg(own).encode())) for own in plots if own.points]


def _errors(errors: Sequence[WorstError]) -> Mapping[str, list[_ErrorImage]]:
    by_kind: dict[str, list[_ErrorImage]] = {}
    for error in errors:
        truth = error.label or ("positive" if error.kind == "missed" else "negative")
        shown = _ErrorImage(error.name, error.score, truth, _uri("jpeg", error.image))
        by_kind.setdefault(error.kind, []).append(shown)
    return by_kind


def _interval(estimate: Estimate) -> str:
    """0 to 1 where patients are too few would look like a result."""
    return "not known" if estimate.method == TOO_FEW else f"{estimate.low:.3f} to {estimate.high:.3f}"
