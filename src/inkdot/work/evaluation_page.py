"""The page of `inkdot evaluate`: tables and small plots, nothing loaded from elsewhere."""

import base64
from html import escape

from inkdot.evaluation.intervals import TOO_FEW, Estimate
from inkdot.work.evaluation_report import Confusion, EvaluationReport, Figures, Plot, WorstError

_SIDE = 260
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1d1d1f;background:#fff}
table{border-collapse:collapse;margin:.5rem 0 1.5rem}
td,th{padding:.25rem .8rem .25rem 0;text-align:left;border-bottom:1px solid #ccc}
td.n{font-variant-numeric:tabular-nums}.warn{border-left:.3rem solid #b3261e;padding:.3rem .8rem;background:#fdecea}
figure{display:inline-block;margin:0 2rem 1rem 0}figcaption{font-size:.9rem;max-width:19rem}
@media(prefers-color-scheme:dark){body{color:#eee;background:#161618}.warn{background:#3b1512}svg{background:#fff}td,th{border-color:#555}}
"""


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
    for level, figures in report.figures.items():
        parts += [f"<h2>{escape(level)}</h2>", _table(figures)]
    parts += ["<h2>Calls</h2>", _confusion(report.calls, f"{report.unit} is")]
    for head, counts in report.confusions.items():
        parts += [f"<h2>Likeliest answer: {escape(head)}</h2>", _confusion(counts, f"{report.unit} is")]
    parts += ["<h2>Plots</h2>", *(_plot(plot) for plot in report.plots if plot.points)]
    parts += _errors(report)
    for column, words in report.subgroups.items():
        parts.append(f"<h2>By {escape(column)}</h2>")
        for word, figures in words.items():
            parts += [f"<h3>{escape(word)}</h3>", _table(figures)]
    if report.failed:
        rows = "".join(
            f"<tr><td>{escape(k)}</td><td>{escape(v)}</td></tr>" for k, v in sorted(report.failed.items())
        )
        parts.append(
            f"<h2>{escape(report.unit.capitalize())}s that failed and are in no figure</h2><table>{rows}</table>"
        )
    return "\n".join([*parts, "</body></html>", ""])


def _table(figures: Figures) -> str:
    if not figures:
        return "<p>Nothing can be computed: a class is missing.</p>"
    rows = [
        f'<tr><td>{escape(name)}</td><td class="n">{e.value:.3f}</td><td class="n">{_interval(e)}</td>'
        f"<td>{escape(e.method)}</td></tr>"
        for name, e in figures.items()
    ]
    head = "<tr><th>figure</th><th>value</th><th>95 % interval</th><th>how</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _interval(estimate: Estimate) -> str:
    """0 to 1 where patients are too few would look like a result."""
    return "not known" if estimate.method == TOO_FEW else f"{estimate.low:.3f} to {estimate.high:.3f}"


def _errors(report: EvaluationReport) -> list[str]:
    """The worst errors with their pictures, which are part of the page."""
    if not report.errors:
        return []
    what = "its highest place" if report.unit == "slide" else "as the model saw it"
    parts = [
        f"<h2>Worst errors</h2><p>At most six of a kind, the worst first; each {report.unit} with {what}.</p>"
    ]
    for kind in dict.fromkeys(own.kind for own in report.errors):
        parts.append(f"<h3>{escape(kind.capitalize())}</h3>")
        parts += [_error(own) for own in report.errors if own.kind == kind]
    return parts


def _error(own: WorstError) -> str:
    data = base64.b64encode(own.picture).decode("ascii")
    truth = own.answer or ("positive" if own.kind == "missed" else "negative")
    words = f"{own.name}: score {own.score:.3f}, truly {truth}"
    image = f'<img src="data:image/jpeg;base64,{data}" alt="{escape(words)}" width="224">' if data else ""
    return f"<figure>{image}<figcaption>{escape(words)}</figcaption></figure>"


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
    def place(x: float, y: float) -> str:
        return f"{20 + min(x / plot.x_end, 1.0) * _SIDE:.1f},{20 + (1 - y) * _SIDE:.1f}"

    line = " ".join(place(x, y) for x, y in plot.points)
    dots = "".join(f'<circle cx="{p.split(",")[0]}" cy="{p.split(",")[1]}" r="3"/>' for p in line.split())
    rings = "".join(
        f'<circle cx="{p.split(",")[0]}" cy="{p.split(",")[1]}" r="8" fill="none" stroke="#b3261e" stroke-width="3"/>'
        for p in (place(x, y) for x, y in plot.marked)
    )
    size = _SIDE + 40
    diagonal = f"M{place(0, 0)} L{place(plot.x_end, 1)}" if plot.diagonal else ""
    return (
        f'<figure><svg viewBox="0 0 {size} {size}" width="{size}" role="img" aria-label="{escape(plot.caption)}">'
        f'<rect x="20" y="20" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="#888"/>'
        f'<path d="{diagonal}" stroke="#bbb" stroke-dasharray="4"/>'
        f'<polyline points="{line}" fill="none" stroke="#0b57d0" stroke-width="2"/><g fill="#0b57d0">{dots}</g>{rings}</svg>'
        f"<figcaption>{escape(plot.caption)}: {escape(plot.y_words)} (0 to 1) over {escape(plot.x_words)} "
        f"(0 to {plot.x_end:g})</figcaption></figure>"
    )
