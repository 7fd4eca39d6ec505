"""The review of one slide, from a results folder: what gallery, server and report show of it."""

from collections.abc import Mapping

from inkdot.errors import StorageError
from inkdot.records import SlideEntry
from inkdot.review.gallery.pseudonyms import shown_reason
from inkdot.review.gallery.slide_review import SlideReview, call_without_scores
from inkdot.review.results.ranking import Ranking
from inkdot.review.results.read_results import SlideResults, read_slide_results
from inkdot.review.verdicts.csv_cells import plain_text
from inkdot.storage.layout import RunLayout


def read_review(
    results: RunLayout,
    entry: SlideEntry,
    name: str,
    row: Mapping[str, str],
    *,
    top_n: int,
    min_distance_fraction: float,
) -> SlideReview:
    """The results of one slide, or in ``problem`` why it has none.

    Args:
        results: The results folder.
        entry: The slide.
        name: Its name as shown.
        row: Its row of ``predictions.csv``; empty where it has none.
        top_n: See :meth:`inkdot.review.results.read_results.SlideResults.ranking`.
        min_distance_fraction: See there.
    """
    if row.get("outcome") != "done":
        return unscored_review(entry, name, row)
    try:
        reviewed = read_slide_results(results, entry.slide_id, name)
    except StorageError as error:
        return SlideReview(name, call_without_scores({}), None, problem=shown_reason(str(error), entry, name))
    return scored_review(reviewed, row, reviewed.ranking(top_n, min_distance_fraction))


def unscored_review(entry: SlideEntry, name: str, row: Mapping[str, str]) -> SlideReview:
    """A slide without scores, with the reason that ``predict`` gave; arguments as of :func:`read_review`."""
    reason = plain_text(row.get("reason", "")) or "no scores: run `inkdot predict` again"
    return SlideReview(name, call_without_scores(row), None, problem=shown_reason(reason, entry, name))


def scored_review(reviewed: SlideResults, row: Mapping[str, str], ranking: Ranking) -> SlideReview:
    """A slide with scores.

    Args:
        reviewed: Its results.
        row: Its row of ``predictions.csv``.
        ranking: The regions that are shown.
    """
    facts = reviewed.slide.facts
    reason = plain_text(row["reason"])
    return SlideReview(
        slide_id=facts.frame.slide_id,
        call=row["call"],
        score=float(row["score"]) if row["score"] else None,
        warnings=(*([reason] if reason else []), *facts.warnings),
        facts=facts,
        ranking=ranking,
        lymphocyte_reference=reviewed.lymphocyte_reference,
        measured_clusters=reviewed.measured_clusters,
        further_calls=row.get("further_calls", ""),
    )
