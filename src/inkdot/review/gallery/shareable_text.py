"""Reasons and warnings as a blinded or pseudonymised review may show them: known sentences with their numbers, nothing else.

A reason quotes what was found: the class of an annotation, a stain, a path, all of them free text that may be the name of a
patient. Taking known names out is not enough, since nobody knows them all. So a sentence is shown only where the whole of
it is known here, and what it quotes is left out; in place of any other the reader is told where to ask.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from inkdot.review.gallery.slide_review import SlideReview
from inkdot.review.wording import RESEARCH_USE, SYNTHETIC_MODEL, SYNTHETIC_SLIDE
from inkdot.storage.tables.predictions import WARNING_SEPARATOR

OTHER_REASON: Final = "could not be analysed or shown; the results folder says why"
OTHER_WARNING: Final = "a further warning: see predictions.csv of the results"

_NUMBER = r"[0-9][0-9.e+-]*%?"

_SENTENCES: Final[tuple[str, ...]] = (
    "no scores: run `inkdot predict` again",
    "no (cells were|tissue was|nucleated cell was) found",
    "no tile with foreground",
    "none of its # nucleated cells was looked at",
    "# nucleated cells in focus, # are needed",
    "# mm2 of assessable (glass|tissue), # are needed",
    r"# cannot be assessed \(focus, artefacts\), at most # may",
    r"# of the slide cannot be assessed \(out of focus, artefacts\)",
    r"# of the slide has no pixels in the file \(level #\): it is shown white and not assessed",
    "synthetic model on a synthetic slide",
    "the model was trained on synthetic specimens only: its scores mean nothing on real cells",
    r"not enough patients to lock: # positives?; with # one could promise a sensitivity of # \(confidence #\); calls are not "
    "guaranteed",
    r"out of distribution \(OOD\): expected a median OOD distance of at most # from the training slides, found #; its scores may "
    "be wrong",
    "the model was trained on images of unknown scale: the scale of these tiles may differ",
    "mpp # is outside the trained range of # to # µm/px: its tiles are (softer|sharper) than those of training",
    r"red cells measure # µm \(# to #, # cells\) at the stated # µm/px, too (large|small); expected # to # µm; "
    r"check the µm/px \(# to # would fit\)",
    "scores were computed in (float32|bfloat16), the model's threshold was chosen in (float32|bfloat16): they may differ by up "
    "to #",
    "dark background, as in fluorescence or dark field: the models were made for transmitted light",
    "grey image without colours: the models were made for stained slides in colour",
    "three grey pages are read as red, green and blue",
    "only the first of # pages is read",
    "orientation # of the file is not applied: rows and columns are as stored",
    r"# of # clusters and lone cells were not looked at: (# beyond tiling\.max_tiles \(#\))?(, )?"
    r"(# one or two small nuclei \(below tiling\.lone_nucleus_um, # µm\))?",
    "lymphocyte reference unavailable: # resting lymphocytes, # needed: the nuclear sizes of this slide have no ratio to "
    "lymphocytes",
    "# regions of the list are not in these results",
    re.escape(RESEARCH_USE),
    re.escape(SYNTHETIC_MODEL),
    re.escape(SYNTHETIC_SLIDE),
)
"""Shown as they are; # is a number."""

_QUOTING: Final[tuple[tuple[str, str], ...]] = (
    ("(stain|preparation) not stated; the model was trained on .*", r"\1 not stated"),
    ("(stain|preparation) '.*' was never seen in training; .*", r"\1 was never seen in training"),
    ("no call, since it is unlike those of training: .*", "no call, since it is unlike those of training"),
    (
        "cells were found by '.*', in training by '.*': the threshold was not chosen on such clusters",
        "cells were found by another cell finder than in training",
    ),
    (
        "nuclei were found by colour: the cell finder was not trained on stain .*",
        "nuclei were found by colour: the cell finder was not trained on this stain",
    ),
    ("colour profile '.*' is not applied: .*", "a colour profile is not applied: colours are as stored"),
)
"""Shown without what they quote."""

_OF_THE_MODEL: Final[tuple[str, ...]] = (
    "# regions were flagged all the same: review them",
    "the score is in the abstention band between # and #, where calls were wrong too often on validation data",
)
"""What the model found; left out of a blinded review."""


def _compiled(patterns: Iterable[tuple[str, str]]) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern.replace("#", _NUMBER)), shown) for pattern, shown in patterns)


_KNOWN: Final = _compiled((*((sentence, r"\g<0>") for sentence in _SENTENCES), *_QUOTING))
_MODEL: Final = _compiled((sentence, r"\g<0>") for sentence in _OF_THE_MODEL)


def shareable_review(review: SlideReview, *, blinded: bool) -> SlideReview:
    """The review with known sentences alone, in its problem and its warnings."""
    facts = review.facts
    if facts is not None:
        facts = replace(facts, warnings=shareable_warnings(facts.warnings, blinded=blinded))
    return replace(
        review,
        problem=shareable_reason(review.problem, blinded=blinded),
        warnings=shareable_warnings(review.warnings, blinded=blinded),
        facts=facts,
    )


def shareable_reason(reason: str, *, blinded: bool) -> str:
    """Why a slide has no scores, without free text; empty where there is no reason."""
    parts = _shown(reason, OTHER_REASON, blinded=blinded)
    return "; ".join(dict.fromkeys(parts)) or (OTHER_REASON if reason else "")


def shareable_warnings(warnings: Iterable[str], *, blinded: bool) -> tuple[str, ...]:
    """Warnings without free text, each once."""
    texts = [text for warning in warnings for text in warning.split(WARNING_SEPARATOR)]
    joined = ("; ".join(dict.fromkeys(_shown(text, OTHER_WARNING, blinded=blinded))) for text in texts)
    return tuple(dict.fromkeys(text for text in joined if text))


def _shown(text: str, other: str, *, blinded: bool) -> list[str]:
    """The known sentences of a text; those of one text are joined by a semicolon, which some hold themselves."""
    if not text:
        return []
    if (whole := _one(text, blinded=blinded)) is not None:
        return [whole] if whole else []
    parts = [_one(part, blinded=blinded) for part in text.split("; ")]
    return [other if part is None else part for part in parts if part != ""]


def _one(sentence: str, *, blinded: bool) -> str | None:
    """A known sentence as it is shown, empty where it is left out; None for another."""
    for patterns, hidden in ((_KNOWN, False), (_MODEL, blinded)):
        for pattern, shown in patterns:
            if found := pattern.fullmatch(sentence):
                return "" if hidden else found.expand(shown)
    return None
