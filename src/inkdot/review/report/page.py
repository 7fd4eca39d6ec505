"""One page of a report, before it is cut to what fits."""

from dataclasses import dataclass
from datetime import datetime

from inkdot.cases.case_panel import PanelRow
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
class PageCase:
    """What lies beside the slides of a page.

    Attributes:
        of: Slides that it is about, by the names that are shown; empty where it is about all of the page.
        rows: The rows of the panel.
    """

    of: str
    rows: tuple[PanelRow, ...]


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
        cases: The cases of its slides; empty where no ``cases.csv`` was given.
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
    cases: tuple[PageCase, ...] = ()


@dataclass(frozen=True, slots=True)
class Room:
    """How much a page holds; what is left out is said on it.

    Attributes:
        image_mm: Side of the images of places; below 35 their text stands beside them.
        overview_mm: Greatest height of the images of whole slides; 0 leaves them out.
        note_characters: Of each note.
        notes: How many.
        readers: Lines of readers.
        warnings: How many.
        warning_characters: Of each.
        slides: Slides listed.
        answers: Answers listed on each place.
    """

    image_mm: int
    overview_mm: int
    note_characters: int
    notes: int
    readers: int
    warnings: int
    warning_characters: int
    slides: int
    answers: int


ROOMS: tuple[Room, ...] = (
    Room(52, 46, 500, 12, 12, 8, 300, 12, 6),
    Room(46, 46, 500, 12, 12, 8, 300, 12, 6),
    Room(40, 40, 400, 10, 10, 8, 300, 10, 5),
    Room(31, 40, 400, 10, 10, 8, 300, 10, 4),
    Room(30, 34, 240, 8, 8, 8, 240, 8, 3),
    Room(29, 30, 160, 6, 6, 6, 180, 6, 3),
    Room(28, 26, 100, 4, 5, 4, 130, 5, 2),
    Room(26, 22, 60, 3, 4, 3, 100, 4, 2),
    Room(24, 0, 40, 2, 3, 2, 80, 4, 1),
    Room(22, 0, 30, 1, 2, 1, 60, 3, 1),
)
"""From the most to the least; the first that fits one page is taken."""
