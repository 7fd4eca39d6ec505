"""The results of a reader study as text and as JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict

from inkdot.metrics.intervals.confidence_intervals import Estimate
from inkdot.review.study.analysis import StudyResult
from inkdot.review.study.design import StudyDesign
from inkdot.review.wording import RESEARCH_USE


def summary_json(result: StudyResult, facts: Mapping[str, object]) -> str:
    """All numbers.

    Args:
        result: The results.
        facts: Of how they were made.
    """
    return json.dumps({**facts, **asdict(result)}, indent=1, ensure_ascii=False) + "\n"


def summary_text(result: StudyResult, design: StudyDesign, positive_from: str) -> str:
    """The results as Markdown.

    Args:
        result: The results.
        design: The study.
        positive_from: Lowest category that counts as positive, in words.
    """
    lines = [
        "# Reader study",
        "",
        RESEARCH_USE,
        "",
        f"- {len(design.readers)} readers, {len(design.cases)} cases, {len(design.training)} training cases that do not count; "
        f"wash-out of {design.washout_days:g} days.",
        f"- Compared on {result.cases} cases that every reader rated in both arms; {result.left_out} left out because a rating "
        f"is missing, {result.without_truth} without truth.",
        f"- A reading is positive from *{positive_from}*.",
        "",
        "| metric, mean of the readers | blinded | with scores | difference | interval by |",
        "|---|---|---|---|---|",
    ]
    for one in result.comparisons:
        found = one.result
        if found is None:
            lines.append(f"| {one.metric} | – | – | – | too few cases or readings |")
            continue
        cells = [_words(found.first), _words(found.second), _words(found.difference)]
        lines.append(f"| {one.metric} | {' | '.join(cells)} | {found.difference.method} |")
    lines += ["", "| agreement of the readers (kappa) | value | interval by |", "|---|---|---|"]
    for arm, kappa in result.agreement.items():
        lines.append(
            f"| {arm} | {'undefined' if kappa is None else _words(kappa)} | {kappa.method if kappa else ''} |"
        )
    lines += ["", "| reader | arm | cases | sensitivity | specificity |", "|---|---|---|---|---|"]
    for row in result.readers:
        cells = ["–" if value is None else _words(value) for value in (row.sensitivity, row.specificity)]
        lines.append(f"| {_cell(row.reader)} | {row.arm} | {row.rated} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _words(value: Estimate) -> str:
    return str(value)


def _cell(text: str) -> str:
    """A name inside a table: pipes and line breaks would end the cell."""
    return " ".join(text.replace("|", "\\|").split())
