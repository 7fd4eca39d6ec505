"""How well the model ranks: ROC and precision-recall curves, with the locked threshold on them."""

from collections.abc import Mapping, Sequence

from inkdot.evaluation.report import Metrics, Plot, Section
from inkdot.evaluation.sections.rows import ScoredRows
from inkdot.metrics.curves import precision_recall_points, roc_points


def ranking_section(
    rows: ScoredRows, threshold: float, metrics: Mapping[str, Metrics], notes: Sequence[str]
) -> Section:
    """ROC and precision-recall curves beside the metrics of patients and of slides (or images).

    Args:
        rows: What the curves are of.
        threshold: The locked operating point.
        metrics: By level.
        notes: Short sentences on these metrics.
    """
    return Section(
        anchor="ranking",
        question="How well does the model tell them apart?",
        notes=notes,
        metrics=metrics,
        plots=[_roc(rows, threshold), _precision_recall(rows, threshold)],
    )


def ring(threshold: float) -> str:
    """What the ring on a curve is, for its caption."""
    return f"the ring is the locked threshold, {threshold:.4g}"


def _roc(rows: ScoredRows, threshold: float) -> Plot:
    points = roc_points(rows.truth, rows.scores)
    marked = (
        [(float(rows.flagged[~rows.truth].mean()), float(rows.flagged[rows.truth].mean()))] if points else []
    )
    return Plot(
        f"ROC of {rows.unit}; {ring(threshold)}", "1 − specificity", "sensitivity", points, marked=marked
    )


def _precision_recall(rows: ScoredRows, threshold: float) -> Plot:
    points = precision_recall_points(rows.truth, rows.scores)
    marked = (
        [(float(rows.flagged[rows.truth].mean()), float(rows.truth[rows.flagged].mean()))]
        if points and rows.flagged.any()
        else []
    )
    return Plot(
        f"Precision-recall curve of {rows.unit}; {ring(threshold)}. Precision follows the share of positives in this test set",
        "recall (sensitivity)",
        "precision (PPV)",
        points,
        diagonal=False,
        marked=marked,
    )


def curve_rows(points: Sequence[tuple[float, float]], x: str, y: str) -> list[dict[str, float | None]]:
    """A curve for the JSON file."""
    return [{x: own_x, y: own_y} for own_x, own_y in points]


def ranking_curves(rows: ScoredRows) -> dict[str, list[dict[str, float | None]]]:
    """ROC and precision-recall curve for the JSON file."""
    return {
        "roc": curve_rows(roc_points(rows.truth, rows.scores), "false_positive_rate", "sensitivity"),
        "precision_recall": curve_rows(
            precision_recall_points(rows.truth, rows.scores), "recall", "precision"
        ),
    }
