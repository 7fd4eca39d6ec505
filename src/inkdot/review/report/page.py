"""One page of a report, before it is cut to what fits."""

from dataclasses import dataclass
from datetime import datetime

from inkdot.review.gallery.slide_review import SlideReview
from inkdot.review.report.answers import Answers
from inkdot.review.results.ranking import Region

PLACES = 6
"""Places on a page."""


@dataclass(frozen=True, slots=True)
class PageSlide:
    """One slide of a page.

    Attributes:
        review: Its results, under the name that is shown.
        adequacy: How much of it could be assessed.
        material: Preparation and stain; empty where they are not known or not to be shown.
        overview: File of the image of the whole slide; empty where there is none.
    """

    review: SlideReview
    adequacy: str
    material: str = ""
    overview: str = ""


@dataclass(frozen=True, slots=True)
class PagePlace:
    """One place of a page.

    Attributes:
        review: Its slide.
        region: The place.
        image: File of its image; empty where there is none.
    """

    review: SlideReview
    region: Region
    image: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Everything on one page.

    Attributes:
        title: The slide or patient, by the name that is shown.
        kind: ``Slide`` or ``Patient``.
        made: When, in UTC.
        slides: Its slides, the most urgent first.
        places: The places, the highest score first.
        answers: Readers' answers to them.
        model: Hash of the model.
        inkdot: Version of Inkdot.
        named: How the names on it are to be understood.
        remarks: What a reader of the page must know of how it was made, such as that names were taken out of notes.
    """

    title: str
    kind: str
    made: datetime
    slides: tuple[PageSlide, ...]
    places: tuple[PagePlace, ...]
    answers: Answers
    model: str
    inkdot: str
    named: str = ""
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Room:
    """How much a page holds; what is left out is said on it.

    Attributes:
        image_mm: Side of the images of places.
        note_characters: Of each note.
        notes: How many.
        readers: Lines of readers.
        warnings: How many.
        warning_characters: Of each.
        slides: Slides listed.
        answers: Answers listed on each place.
    """

    image_mm: int
    note_characters: int
    notes: int
    readers: int
    warnings: int
    warning_characters: int
    slides: int
    answers: int


ROOMS: tuple[Room, ...] = (
    Room(52, 500, 12, 12, 8, 300, 12, 6),
    Room(46, 500, 12, 12, 8, 300, 12, 6),
    Room(40, 400, 10, 10, 8, 300, 10, 5),
    Room(36, 240, 8, 8, 6, 240, 8, 4),
    Room(33, 120, 5, 5, 4, 130, 6, 3),
    Room(30, 70, 4, 4, 3, 110, 5, 2),
    Room(28, 50, 2, 3, 2, 90, 4, 1),
    Room(24, 30, 1, 2, 1, 60, 3, 1),
)
"""From the most to the least; the first that fits one page is taken."""
