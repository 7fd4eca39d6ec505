"""Review content of one slide, and the order of slides by priority."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from inkdot.cases.case_panel import PanelRow
from inkdot.review.results.ranking import Ranking
from inkdot.review.results.scored_slide import ScoreFacts, SlideFrame
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
        call: The slide's call; ``not analysed`` where it could not be scored.
        score: Score of the slide, 0 to 1, or None where there is none.
        warnings: Warnings for the reader.
        problem: Why the slide has no scores or no images; empty where there is none.
        facts: Facts about its scores, or None where there are none.
        ranking: The regions shown, or None where there are no scores.
        images: Images of the regions, in their order; empty where there are none.
        overview: File name of the image of the whole slide; empty where there is none.
        overview_size_px: Width and height of that image.
        geojson_left_out: Flagged regions that did not fit into the file for QuPath.
        lymphocyte_reference: The slide's lymphocyte reference; None where nothing was measured.
        measured_clusters: How many clusters had their nuclei measured.
        further_calls: Calls of the conditional heads on the flagged regions, such as ``morphology: small-cell-like``.
        patient: Patient as shown; empty where unknown or hidden.
        stain: Stain as shown; empty where unknown or hidden.
        frame: Size and scale from the file of a slide without scores, which can be looked at all the same; None where it has
            scores, or the file does not open.
        file_fingerprint: Of that file; blank where there is no ``frame``.
        case_panel: What is known of the case; empty where nothing is, or it is not shown.
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
    lymphocyte_reference: Mapping[str, object] | None = None
    measured_clusters: int = 0
    further_calls: str = ""
    patient: str = ""
    stain: str = ""
    frame: SlideFrame | None = None
    file_fingerprint: str = ""
    case_panel: tuple[PanelRow, ...] = ()


# A slide without usable scores is more urgent than one with nothing flagged.
_URGENCY = (FLAGGED, "indeterminate", INADEQUATE, NOT_ANALYSED, NOTHING_FLAGGED)


def call_without_scores(row: Mapping[str, str]) -> str:
    """The call of a slide without scores: ``inadequate`` where no cells were found, else ``not analysed``.

    Args:
        row: Its row in ``predictions.csv``; empty where it has none.
    """
    return INADEQUATE if row.get("call") == INADEQUATE else NOT_ANALYSED


def slide_order(reviews: Iterable[SlideReview]) -> list[SlideReview]:
    """The slides by priority: flagged first, highest score first.

    Slides with too few cells or without scores come before those with nothing flagged: the glass slide must be examined.
    """

    def key(review: SlideReview) -> tuple[int, float, str]:
        urgency = _URGENCY.index(review.call) if review.call in _URGENCY else 1
        return urgency, -(review.score if review.score is not None else 0.0), review.slide_id

    return sorted(reviews, key=key)
