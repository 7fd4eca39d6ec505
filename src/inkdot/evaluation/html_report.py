"""The page of `inkdot evaluate`: tables and small plots, nothing loaded from elsewhere."""

import base64
from html import escape

from inkdot.evaluation.report import Confusion, EvaluationReport, Metrics, Plot, WorstError
from inkdot.metrics.confidence_intervals import TOO_FEW, Estimate

_SIDE, _LEFT, _TOP = 260, 62, 16
_TICKS = 4
_MOST_DOTS = 40
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1d1d1f;background:#fff}
table{border-collapse:collapse;margin:.5rem 0 1.5rem}
td,th{padding:.25rem .8rem .25rem 0;text-align:left;border-bottom:1px solid #ccc}
td.n{font-variant-numeric:tabular-nums}.warn{border-left:.3rem solid #b3261e;padding:.3rem .8rem;background:#fdecea}
td{overflow-wrap:anywhere}td.n,th{white-space:nowrap;overflow-wrap:normal}
metric{display:inline-block;vertical-align:top;margin:0 2rem 1rem 0;max-width:100%}figcaption{font-size:.9rem;max-width:21rem}
img,svg{max-width:100%;height:auto}.note{max-width:46rem;margin:.2rem 0}
@media(max-width:34rem){td,th{padding-right:.5rem}td.how{display:none}th.how{display:none}}
@media(prefers-color-scheme:dark){body{color:#eee;background:#161618}.warn{background:#3b1512}svg{background:#fff}td,th{border-color:#555}}
"""


_WORDS = {
    "Patients": "A patient is flagged where any slide is; the score is that of the highest slide.",
    "Groups": "A group is flagged where any image is; the score is that of the highest image.",
    "Slides": "hit@k: share of the slides with marked regions that show one of them among the first k regions.",
    "Regions": "froc: share of the marked regions that are found, mean over ¼ to 8 false alarms per negative slide; "
    "sensitivity@1: at one false alarm per negative slide, sensitivity@8: at eight.",
    "Tiles": "Of tiles with a label of their own. They flatter: what counts is patients and slides.",
    "Readers": "How far people agree beyond chance, Fleiss' kappa: 1 is full agreement, 0 is chance.",
}
_RISK = "area_under_risk: share of wrong labels, mean over all ways of leaving the least sure ones open; lower is better."
_COVERAGE = "coverage: share with a call (the model abstains on the rest). selective_risk: share of these calls that are wrong."
_NO_METRIC = "Nothing can be computed: a class is missing."


def page(report: EvaluationReport) -> str:
    """The whole page as HTML; every word from outside is escaped."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>{escape(report.title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(report.title)}</h1>",
        "<p><strong>For Research Use Only. Not for use in diagnostic procedures.</strong></p>",
        *(f'<p class="warn">{escape(line)}</p>' for line in report.warnings),
        "<ul>",
        *(f"<li>{escape(line)}</li>" for line in report.facts),
        "</ul>",
    ]
    for level, metrics in report.metrics.items():
        parts += [f"<h2>{escape(level)}</h2>", *_notes(level, metrics), _table(metrics)]
    parts += ["<h2>Calls</h2>", _confusion(report.calls, f"{report.unit} is")]
    for head, counts in ((head, counts) for head, counts in report.confusions.items() if counts):
        parts += [f"<h2>Likeliest label: {escape(head)}</h2>", _confusion(counts, f"{report.unit} is")]
    parts += ["<h2>Plots</h2>", *(_plot(plot) for plot in report.plots if plot.points)]
    parts += _errors(report)
    for column, words in report.subgroups.items():
        parts.append(f"<h2>By {escape(column)}</h2>")
        for word, metrics in words.items():
            members = report.members.get(column, {}).get(word, "")
            parts += [
                f"<h3>{escape(word)}</h3>",
                *([f"<p>{escape(members)}</p>"] if members else []),
                _table(metrics),
            ]
    if report.failed:
        rows = "".join(
            f"<tr><td>{escape(k)}</td><td>{escape(v)}</td></tr>" for k, v in sorted(report.failed.items())
        )
        parts.append(
            f"<h2>{escape(report.unit.capitalize())}s that failed and are in no metric</h2><table>{rows}</table>"
        )
    return "\n".join([*parts, "</body></html>", ""])


def _table(metrics: Metrics) -> str:
    if not metrics:
        return f"<p>{_NO_METRIC}</p>"
    rows = [
        f'<tr><td>{_name(name)}</td><td class="n">{e.value:.3f}</td><td class="n">{_interval(e)}</td>'
        f'<td class="how">{escape(e.method)}</td></tr>'
        for name, e in metrics.items()
    ]
    head = "<tr><th>metric</th><th>value</th><th>95 % interval</th><th class='how'>how</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _name(metric: str) -> str:
    """A long name breaks where its words meet."""
    return escape(metric).replace("_", "_<wbr>").replace(".", ".<wbr>")


def _notes(level: str, metrics: Metrics) -> list[str]:
    """What the names of a level's metrics mean."""
    names = " ".join(metrics)
    notes = [_WORDS[level]] if level in _WORDS and (level != "Slides" or "hit@" in names) else []
    notes += [_RISK] if "area_under_risk" in names else []
    notes += [_COVERAGE] if "selective_risk" in names else []
    return [f'<p class="note">{escape(note)}</p>' for note in notes] if metrics else []


def _interval(estimate: Estimate) -> str:
    """0 to 1 where patients are too few would look like a result."""
    return "not known" if estimate.method == TOO_FEW else f"{estimate.low:.3f} to {estimate.high:.3f}"


def _errors(report: EvaluationReport) -> list[str]:
    """The worst errors with their images, which are part of the page."""
    if not report.errors:
        return []
    what = "slide with its highest region" if report.unit == "slide" else "image as the model saw it"
    parts = [f"<h2>Worst errors</h2><p>At most six of a kind, the worst first; each {what}.</p>"]
    for kind in dict.fromkeys(own.kind for own in report.errors):
        parts.append(f"<h3>{escape(kind.capitalize())}</h3>")
        parts += [_error(own) for own in report.errors if own.kind == kind]
    return parts


def _error(own: WorstError) -> str:
    data = base64.b64encode(own.image).decode("ascii")
    truth = own.label or ("positive" if own.kind == "missed" else "negative")
    words = f"{own.name}: score {own.score:.3f}, truly {truth}"
    image = f'<img src="data:image/jpeg;base64,{data}" alt="{escape(words)}" width="224">' if data else ""
    return f"<metric>{image}<figcaption>{escape(words)}</figcaption></metric>"


def _confusion(counts: Confusion, subject: str) -> str:
    truths, words = sorted({t for t, _ in counts}), sorted({c for _, c in counts})
    head = "".join(f"<th>{escape(word)}</th>" for word in words)
    rows = [
        f"<tr><td>{escape(truth)}</td>"
        + "".join(f'<td class="n">{counts.get((truth, word), 0)}</td>' for word in words)
        + "</tr>"
        for truth in truths
    ]
    return f"<table><tr><th>{escape(subject)}</th>{head}</tr>{''.join(rows)}</table>"


def _plot(plot: Plot) -> str:
    def region(x: float, y: float) -> tuple[float, float]:
        return _LEFT + min(x / plot.x_end, 1.0) * _SIDE, _TOP + (1 - y) * _SIDE

    # What lies beyond the edge is not drawn on it: the line goes on at its last height.
    inside = [(x, y) for x, y in plot.points if x <= plot.x_end]
    points = [region(x, y) for x, y in inside]
    if inside and len(inside) < len(plot.points):
        points.append(region(plot.x_end, inside[-1][1]))
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    few = points if len(points) <= _MOST_DOTS else []
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in few)
    rings = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="8" fill="none" stroke="#b3261e" stroke-width="3"/>'
        for x, y in (region(x, y) for x, y in plot.marked)
    )
    bars = "".join(
        f'<path d="M{region(x, low)[0]:.1f} {region(x, low)[1]:.1f}V{region(x, high)[1]:.1f}" stroke="#0b57d0"/>'
        for x, low, high in plot.bars
    )
    (left, bottom), (right, top) = region(0, 0), region(plot.x_end, 1)
    diagonal = f"M{left} {bottom}L{right} {top}" if plot.diagonal else ""
    wide, tall = _LEFT + _SIDE + 16, _TOP + _SIDE + 46
    return (
        f'<metric><svg viewBox="0 0 {wide} {tall}" width="{wide}" height="{tall}" role="img" font-size="12" '
        f'font-family="system-ui,sans-serif" aria-label="{escape(plot.caption)}">{_axes(plot)}'
        f'<path d="{diagonal}" stroke="#bbb" stroke-dasharray="4"/>{bars}'
        f'<polyline points="{line}" fill="none" stroke="#0b57d0" stroke-width="2"/><g fill="#0b57d0">{dots}</g>{rings}</svg>'
        f"<figcaption>{escape(plot.caption)}</figcaption></metric>"
    )


def _axes(plot: Plot) -> str:
    """The frame with its scales; what they mean is written beside them."""
    right, bottom = _LEFT + _SIDE, _TOP + _SIDE
    parts = [
        f'<rect x="{_LEFT}" y="{_TOP}" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="#888"/>',
        f'<text x="{(_LEFT + right) / 2:g}" y="{bottom + 38}" text-anchor="middle">{escape(plot.x_words)}</text>',
        f'<text transform="translate(16 {(_TOP + bottom) / 2:g}) rotate(-90)" text-anchor="middle">{escape(plot.y_words)}</text>',
    ]
    for tick in range(_TICKS + 1):
        along = tick / _TICKS * _SIDE
        parts += [
            f'<path d="M{_LEFT + along:g} {bottom}v4M{_LEFT} {bottom - along:g}h-4" stroke="#888"/>',
            f'<text x="{_LEFT + along:g}" y="{bottom + 18}" text-anchor="middle">{tick / _TICKS * plot.x_end:g}</text>',
            f'<text x="{_LEFT - 8}" y="{bottom - along + 4:g}" text-anchor="end">{tick / _TICKS:g}</text>',
        ]
    return "".join(parts)
