"""The HTML report: untrusted text stays text, nothing is loaded, and it fits a phone."""

import base64
import re
from pathlib import Path

import numpy as np
import pytest
from defusedxml import ElementTree
from playwright.sync_api import Browser

from inkdot.evaluation.html_report import report_html
from inkdot.evaluation.plots import plot_svg
from inkdot.evaluation.report import EvaluationReport, Line, Plot, Section, Table, WorstError
from inkdot.metrics.intervals.confidence_intervals import TOO_FEW, Estimate

UNTRUSTED = '<script>alert("x")</script>&$\\frac'
SVG = "{http://www.w3.org/2000/svg}"


def report(name: str = "slide 1", plots: int = 4) -> EvaluationReport:
    estimates = {
        key: Estimate(0.9, 0.85, 0.95, "bootstrap over patients")
        for key in ("auc", "average_precision", "sensitivity", "specificity", "balanced_accuracy")
    }
    few = {"auc": Estimate(1.0, 0.0, 1.0, TOO_FEW)}
    curve = [(float(x), float(x**0.3)) for x in np.linspace(0, 1, 30)]
    return EvaluationReport(
        title="Evaluation report",
        unit="slide",
        warnings=[f"{name} has no patient_id."],
        facts=[f"10 slides from {name}.csv."],
        metrics={"Patients": estimates, "Slides": estimates | {"hit@10": Estimate(0.8, 0.6, 0.9, "x")}},
        calls={("positive", "flagged"): 5, ("negative", name): 4},
        subgroups={"site": {name: estimates, "second": few}},
        failed={name: f"{name} is torn"},
        sections=[
            Section(
                anchor="ranking",
                question=f"How good is {name}?",
                warning=f"Careful with {name}.",
                notes=[f"A note on {name}."],
                metrics={name: estimates, "few": few, "none": {}},
                tables=[Table(name, [name, "n"], [[name, "3"]]), Table("empty", ["a"], [])],
                plots=[
                    Plot(f"Curve of {name}", "1 - specificity", "sensitivity", curve, marked=[(0.2, 0.6)])
                    for _ in range(plots)
                ],
            )
        ],
        reliability=[],
        confusions={name: {(name, "b"): 3}},
        worst_errors=[WorstError(name, "missed", 0.1, b"\xff\xd8", name)],
    )


def test_untrusted_text_adds_no_element() -> None:
    plain, untrusted = report_html(report()), report_html(report(UNTRUSTED))
    assert "<script" not in untrusted
    assert "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;&amp;$\\frac" in untrusted
    assert re.findall(r"<\w+", plain) == re.findall(r"<\w+", untrusted)


def test_untrusted_text_in_a_plot_adds_no_element() -> None:
    plot = Plot("", UNTRUSTED, UNTRUSTED, [(0.0, 0.1), (1.0, 0.5)])
    texts = [element.text for element in ElementTree.fromstring(plot_svg(plot)).iter(f"{SVG}text")]
    assert texts.count(UNTRUSTED) == 2


def test_nothing_but_the_own_style_and_data_images_is_allowed() -> None:
    text = report_html(report())
    policy = re.findall(r'Content-Security-Policy" content="([^"]+)"', text)[0]
    assert policy.startswith("default-src &#39;none&#39;; style-src &#39;sha256-")
    assert "img-src data:;" in policy
    assert not re.findall(r'(?:src|href)="(?!data:image/|#)', text)


def test_every_line_of_the_contents_leads_to_a_section() -> None:
    text = report_html(report())
    anchors = re.findall(r'href="#([^"]+)"', text)
    assert anchors == ["ranking", "worst-errors", "failed"]
    assert [own for own in anchors if f'<section id="{own}">' not in text] == []


def test_a_table_without_rows_is_left_out() -> None:
    assert ">empty</p>" not in report_html(report())


def test_further_lines_are_named_in_the_legend_and_a_band_is_drawn() -> None:
    plot = Plot(
        "", "x", "y", [(0.0, 0.1), (1.0, 0.5)], y_range=(-0.1, 0.6), label="model", band=True,
        intervals=[(0.0, 0.0, 0.2), (1.0, 0.4, 0.6)], lines=[Line("flag all", [(0.0, 0.2), (1.0, -3.0)])],
    )  # fmt: skip
    text = plot_svg(plot)
    names = [own.text for own in ElementTree.fromstring(text).iter(f"{SVG}text")]
    assert {"model", "flag all"} < set(names)
    assert "fill-opacity: 0.15" in text or "opacity: 0.15" in text


def test_an_interval_of_too_few_patients_is_not_known() -> None:
    assert "not known" in report_html(report())
    assert "0.000 to 1.000" not in report_html(report())


def test_a_curve_that_leaves_the_plot_stays_at_its_last_height() -> None:
    """More false positives than the axis shows must not look like a jump at its end."""
    plot = Plot(
        "FROC", "false positives", "found", [(0.0, 0.1), (1.0, 0.5), (3.0, 0.9)], x_max=2.0, diagonal=False
    )
    same = Plot(
        "FROC", "false positives", "found", [(0.0, 0.1), (1.0, 0.5), (2.0, 0.5)], x_max=2.0, diagonal=False
    )
    assert plot_svg(plot) == plot_svg(same)


def test_plots_have_axis_labels_and_ticks() -> None:
    uri = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', report_html(report(plots=1)))[0]
    texts = [own.text for own in ElementTree.fromstring(base64.b64decode(uri)).iter(f"{SVG}text")]
    assert {"1 - specificity", "sensitivity"} < set(texts)
    assert texts.count("0.50") == 2


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1440])
def test_the_page_fits_the_screen_and_its_policy_blocks_nothing_of_it(
    browser: Browser, tmp_path: Path, width: int
) -> None:
    path = tmp_path / "evaluation.html"
    path.write_text(report_html(report("a_slide_name_without_any_blank_" * 4)), encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 900})
    messages: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.querySelectorAll('.plots img')].every(img => img.naturalWidth > 100)")
    assert page.evaluate("getComputedStyle(document.body).maxWidth") != "none"  # the style is applied
    assert messages == []
    page.close()
