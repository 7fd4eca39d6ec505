"""The content of one page as plain data, which the typesetter lays out as text and never as markup."""

from collections.abc import Mapping, Sequence

from inkdot.review.gallery.fields import ScaleBar, scale_bar, view_of
from inkdot.review.gallery.slide_review import SlideReview
from inkdot.review.report.case_lines import case_facts
from inkdot.review.report.page import ROOMS, Page, PageSlide, Room
from inkdot.review.report.words import (
    counted,
    cut,
    found_line,
    length_words,
    meaning_of,
    measurement_lines,
    plain_line,
    reference_line,
    score_line,
    warnings_of,
)
from inkdot.review.results.ranking import Region
from inkdot.review.results.scored_slide import SlideFrame
from inkdot.review.wording import (
    FOOTER,
    RESEARCH_USE,
    SYNTHETIC_MODEL,
    SYNTHETIC_SLIDE,
    WHEN_UNCERTAIN,
    score_text,
)

_LONGEST_NAME = 120
_LONGEST_READER = 40
_LONGEST_ANSWERS = 160
_LONGEST_SLIDE_ANSWER = 60
_OVERVIEWS = 4


def page_facts(page: Page, room: Room) -> dict[str, object]:
    """What the page says, cut to a room.

    Args:
        page: The content.
        room: How much fits.
    """
    left_out: list[str] = []
    shown = page.slides[: room.slides]
    if hidden := len(page.slides) - len(shown):
        left_out.append(counted(hidden, "further slide"))
    return {
        "title": cut(page.title, _LONGEST_NAME),
        "kind": page.kind,
        "made": f"{page.made:%Y-%m-%d %H:%M} UTC",
        "named": page.named,
        "synthetic": _synthetic(page),
        "research_use": RESEARCH_USE,
        "footer": FOOTER,
        "when_uncertain": WHEN_UNCERTAIN,
        "image_mm": room.image_mm,
        "overview_mm": room.overview_mm,
        "slides": [_slide_facts(page, slide, room, left_out) for slide in shown],
        "many": len(page.slides) > 1,
        "cases": case_facts(page.cases, room, left_out),
        "places": [_place_facts(page, index, room, left_out) for index in range(len(page.places))],
        "more_places": _more_places(page),
        "readers": _readers(page, room, left_out),
        "notes": _notes(page, room, left_out),
        "model": page.model,
        "inkdot": page.inkdot,
        "remarks": list(page.remarks),
        "left_out": list(dict.fromkeys(left_out)),
    }


def _synthetic(page: Page) -> list[str]:
    facts = [slide.review.facts for slide in page.slides if slide.review.facts is not None]
    found = [SYNTHETIC_MODEL] if any(one.synthetic_model for one in facts) else []
    return found + ([SYNTHETIC_SLIDE] if any(one.frame.synthetic for one in facts) else [])


def _slide_facts(page: Page, slide: PageSlide, room: Room, left_out: list[str]) -> dict[str, object]:
    review = slide.review
    warnings = [warning for warning in warnings_of(review) if warning not in _synthetic(page)]
    if len(warnings) > room.warnings:
        left_out.append(f"{counted(len(warnings) - room.warnings, 'warning')} of {cut(review.slide_id, 40)}")
    if any(len(warning) > room.warning_characters for warning in warnings[: room.warnings]):
        left_out.append("the ends of long warnings (…)")
    if slide.overview and not (room.overview_mm and len(page.slides) <= _OVERVIEWS):
        left_out.append("images of whole slides")
    rows = [
        ("Score", score_line(review)),
        ("Flagged", found_line(review)),
        ("Further calls", plain_line(review.further_calls)),
        ("Adequacy", slide.adequacy),
        ("Material", slide.material),
        ("Size reference", reference_line(review)),
        ("Scale", _scale(review)),
    ]
    return {
        "name": cut(review.slide_id, _LONGEST_NAME),
        "call": review.call,
        "meaning": meaning_of(review.call),
        "rows": [[name, text] for name, text in rows if text],
        "score": score_line(review),
        "adequacy": slide.adequacy,
        "material": slide.material,
        "warnings": [cut(warning, room.warning_characters) for warning in warnings[: room.warnings]],
        "overview": _overview(page, slide) if room.overview_mm and len(page.slides) <= _OVERVIEWS else None,
    }


def _scale(review: SlideReview) -> str:
    if review.facts is None:
        return ""
    frame = review.facts.frame
    source = "the slide list" if frame.mpp_source == "manifest" else "the file"
    x, y = frame.mpp.x, frame.mpp.y
    return f"{x:.4g} µm/px" + ("" if abs(x - y) < 1e-9 else f" × {y:.4g} µm/px") + f", from {source}"


def _overview(page: Page, slide: PageSlide) -> dict[str, object] | None:
    facts = slide.review.facts
    if not slide.overview or facts is None:
        return None
    bounds = facts.frame.bounds_l0_px
    marks = [
        {"number": number, "at": _middle(place.region, facts.frame)}
        for number, place in enumerate(page.places, start=1)
        if place.review.slide_id == slide.review.slide_id
    ]
    bar = scale_bar(bounds.width_l0_px * facts.frame.mpp.x)
    numbers = ", ".join(str(mark["number"]) for mark in marks)
    return {
        "file": slide.overview,
        "alt": f"The whole slide {slide.review.slide_id}; the bar is {length_words(bar)} long. "
        + (f"Numbers {numbers} mark the places shown." if marks else "No place is marked."),
        "bar": _bar(bar),
        "marks": marks,
        "wide": bounds.width_l0_px * facts.frame.mpp.x >= bounds.height_l0_px * facts.frame.mpp.y,
    }


def _middle(region: Region, frame: SlideFrame) -> list[float]:
    """The middle of a region as fractions (0 to 1) of the width and height of the overview."""
    left, top, right, bottom = region.corners_l0_px
    bounds = frame.bounds_l0_px
    x = ((left + right) / 2 - bounds.x_l0_px) / bounds.width_l0_px
    y = ((top + bottom) / 2 - bounds.y_l0_px) / bounds.height_l0_px
    return [round(min(1.0, max(0.0, x)), 4), round(min(1.0, max(0.0, y)), 4)]


def _bar(bar: ScaleBar) -> Mapping[str, object]:
    return {"fraction": round(bar.fraction, 5), "words": length_words(bar)}


def _place_facts(page: Page, index: int, room: Room, left_out: list[str]) -> dict[str, object]:
    place = page.places[index]
    region, facts = place.region, place.review.facts
    assert facts is not None
    view = view_of(region, facts.spec)
    bar = scale_bar(view.side_um)
    answers = page.answers.by_place[index] if index < len(page.answers.by_place) else ()
    if len(answers) > room.answers:
        left_out.append("answers of further readers on a place")
    state = "flagged" if region.flagged else "not flagged"
    lines = measurement_lines(region.cluster)
    where = f" of slide {place.review.slide_id}" if len(page.slides) > 1 else ""
    return {
        "number": index + 1,
        "image": place.image,
        "alt": f"Place {index + 1}{where}, {view.side_um:.0f} µm wide, {state}, score {score_text(region.score)}; "
        f"the bar is {length_words(bar)} long.",
        "bar": _bar(bar),
        "flagged": region.flagged,
        "state": f"{score_text(region.score)} · {state}",
        "slide": cut(place.review.slide_id, 40) if len(page.slides) > 1 else "",
        "lines": lines,
        "answers": [cut(answer, 90) for answer in answers[: room.answers]],
    }


def _more_places(page: Page) -> str:
    """What the page does not show of the places that exist."""
    parts: list[str] = []
    rankings = [slide.review.ranking for slide in page.slides if slide.review.ranking is not None]
    if any(ranking.more_flagged for ranking in rankings):
        parts.append("More places are flagged than are shown here.")
    if page.answers.elsewhere:
        parts.append(f"Readers answered on {counted(page.answers.elsewhere, 'further place')}.")
    return " ".join([*parts, "The gallery and the review server show them all."]) if parts else ""


def _readers(page: Page, room: Room, left_out: list[str]) -> list[list[str]]:
    lines = page.answers.readers
    if len(lines) > room.readers:
        left_out.append(f"answers of {counted(len(lines) - room.readers, 'further reader')}")
    if any(len(line.answers) > _LONGEST_ANSWERS for line in lines[: room.readers]):
        left_out.append("the ends of long answers (…)")
    return [
        [
            cut(line.reader, _LONGEST_READER),
            cut(line.slide_id, 40) if len(page.slides) > 1 else "",
            cut(line.slide or "–", _LONGEST_SLIDE_ANSWER),
            cut(line.answers or "–", _LONGEST_ANSWERS),
            f"{counted(line.places, 'place')}, {line.seen}, {line.last}",
        ]
        for line in lines[: room.readers]
    ]


def _notes(page: Page, room: Room, left_out: list[str]) -> list[list[str]]:
    notes = page.answers.notes
    if len(notes) > room.notes:
        left_out.append(counted(len(notes) - room.notes, "note"))
    shown = notes[: room.notes]
    if any(len(note.text) > room.note_characters for note in shown):
        left_out.append("the ends of long notes (…)")
    return [
        [
            note.about,
            cut(note.reader, _LONGEST_READER),
            cut(note.text, room.note_characters),
        ]
        for note in shown
    ]


def sheet_facts(page: Page, most: int) -> dict[str, object]:
    """What the contact sheet of one slide says.

    Args:
        page: The content, of one slide.
        most: Places that fit.
    """
    left_out: list[str] = []
    slide = page.slides[0]
    return {
        "title": cut(page.title, _LONGEST_NAME),
        "call": slide.review.call,
        "score": score_line(slide.review),
        "found": found_line(slide.review),
        "scale": _scale(slide.review),
        "synthetic": _synthetic(page),
        "overview": _overview(page, slide),
        "places": [
            _place_facts(page, index, ROOMS[0], left_out) for index in range(min(most, len(page.places)))
        ],
        "model": page.model,
        "inkdot": page.inkdot,
        "made": f"{page.made:%Y-%m-%d}",
        "research_use": RESEARCH_USE,
        "problem": cut("; ".join(warnings_of(slide.review)[:1]), 200) if not page.places else "",
    }


def title_of(names: Sequence[str]) -> str:
    """The title of a patient's page after the word ``Patient``, by the names of two slides or more."""
    return f"of {plain_line(names[0])} and {counted(len(names) - 1, 'more slide')}"
