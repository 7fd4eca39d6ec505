"""``worklist.csv``: the slides by priority, one row each."""

import csv
import io
from collections.abc import Sequence

from inkdot.review.gallery.slide_review import SlideReview
from inkdot.review.verdicts.csv_cells import safe_cell
from inkdot.review.wording import FOOTER, SYNTHETIC_MODEL, score_cell, score_text

COLUMNS = (
    "rank", "slide_id", "call", "score", "further_calls", "unit", "flagged_units", "units", "flagged_tiles", "tiles",
    "flagged_regions_shown", "regions_shown", "top_regions_l0_px", "geojson_left_out", "warnings", "problem", "use",
)  # fmt: skip

_TOP_REGIONS = 5


def worklist_text(reviews: Sequence[SlideReview]) -> str:
    """The table as text.

    Cells are escaped against formula injection (:mod:`inkdot.review.verdicts.csv_cells`).

    Args:
        reviews: The slides, in the order of :func:`inkdot.review.gallery.slide_review.slide_order`.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for rank, review in enumerate(reviews, start=1):
        writer.writerow([safe_cell(cell) for cell in _cells(rank, review)])
    return buffer.getvalue()


def _cells(rank: int, review: SlideReview) -> list[str]:
    ranking = review.ranking
    regions = ranking.regions if ranking else ()
    warnings = list(review.warnings)
    if review.facts and review.facts.synthetic_model and SYNTHETIC_MODEL not in warnings:
        warnings.insert(0, SYNTHETIC_MODEL)
    top = [
        f"{region.rank}: {region.x_l0_px} {region.y_l0_px} ({score_text(region.score)})"
        for region in regions[:_TOP_REGIONS]
    ]
    return [
        str(rank),
        review.slide_id,
        review.call,
        "" if review.score is None else score_cell(review.score),
        review.further_calls,
        ranking.unit if ranking else "",
        "" if ranking is None or ranking.flagged_units is None else str(ranking.flagged_units),
        "" if ranking is None or ranking.units is None else str(ranking.units),
        str(ranking.flagged_tiles) if ranking else "",
        str(ranking.tiles) if ranking else "",
        str(sum(region.flagged for region in regions)) if ranking else "",
        str(len(regions)) if ranking else "",
        " | ".join(top),
        str(review.geojson_left_out) if ranking else "",
        " | ".join(warnings),
        review.problem,
        FOOTER,
    ]
