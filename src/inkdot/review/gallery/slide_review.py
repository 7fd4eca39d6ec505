"""What is handed over about one slide, and the order in which slides are looked at."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from inkdot.review.results.ranking import Ranking
from inkdot.review.results.scored_slide import ScoreFacts
from inkdot.review.wording import FLAGGED, INADEQUATE, NOT_ANALYSED, NOTHING_FLAGGED


@dataclass(frozen=True, slots=True)
class CardImages:
    """File names of the images of one region, below the folder of images."""

    tile: str
    context: str


@dataclass(frozen=True, slots=True)
class SlideReview:
    """One slide of a review.

    Attributes:
        slide_id: Name of the slide.
        call: What the program says of the slide; ``not analysed`` where it could not be scored.
        score: Score of the slide, 0 to 1, or None where there is none.
        warnings: What a reader must know.
        problem: Why the slide has no scores or no images; empty where all is well.
        facts: What its scores mean, or None where there are none.
        ranking: The regions shown, or None where there are no scores.
        images: CachedImages of the regions, in their order; empty where there are none.
        overview: File name of the image of the whole slide; empty where there is none.
        overview_size_px: Width and height of that image.
        geojson_left_out: Flagged regions that did not fit into the file for QuPath.
        ruler: The slide's lymphocytes that nuclei were compared with; None where nothing was measured.
        measured_clusters: How many clusters had their nuclei measured.
        further_calls: Verdicts of the questions asked of what is flagged, such as ``morphology: small-cell-like``.
    """

    slide_id: str
    call: str
    score: float | None
    warnings: tuple[str, ...] = ()
    problem: str = ""
    facts: ScoreFacts | None = None
    ranking: Ranking | None = None
    images: tuple[CardImages, ...] = ()
    overview: str = ""
    overview_size_px: tuple[int, int] = (0, 0)
    geojson_left_out: int = 0
    ruler: Mapping[str, object] | None = None
    measured_clusters: int = 0
    further_calls: str = ""


# A slide that nobody can judge from scores needs a person more than one where nothing was found.
_URGENCY = (FLAGGED, "indeterminate", INADEQUATE, NOT_ANALYSED, NOTHING_FLAGGED)


def call_without_scores(row: Mapping[str, str]) -> str:
    """What is said of a slide without scores: ``inadequate`` where nothing was found on it, else ``not analysed``.

    Args:
        row: Its row in ``predictions.csv``; empty where it has none.
    """
    return INADEQUATE if row.get("call") == INADEQUATE else NOT_ANALYSED


def slide_order(reviews: Iterable[SlideReview]) -> list[SlideReview]:
    """The slides in the order to look at them: flagged first, highest score first.

    Slides with too few cells or without scores come before those with nothing flagged: their number says nothing,
    so the glass must be looked at.
    """

    def key(review: SlideReview) -> tuple[int, float, str]:
        urgency = _URGENCY.index(review.call) if review.call in _URGENCY else 1
        return urgency, -(review.score if review.score is not None else 0.0), review.slide_id

    return sorted(reviews, key=key)
