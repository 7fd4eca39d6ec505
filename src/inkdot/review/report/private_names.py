"""Names of slides and patients taken out of readers' notes, before a page is handed over."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from inkdot.review.report.answers import Answers

REPLACEMENT = "[…]"


def without_private_names(
    answers: Answers, words: Iterable[str], names: Mapping[str, str]
) -> tuple[Answers, bool]:
    """The answers with slides under the names that are shown, and without private words in notes.

    A person who is named in a note and in no table is not found: nobody knows all names.

    Args:
        answers: Answers under the slides' own names.
        words: Words to take out, whatever their case.
        names: Shown name by slide_id.

    Returns:
        The answers, and whether a word was taken out.
    """
    renamed = replace(
        answers,
        readers=tuple(
            replace(line, slide_id=names.get(line.slide_id, line.slide_id)) for line in answers.readers
        ),
    )
    listed = sorted({word.strip() for word in words if word.strip()}, key=len, reverse=True)
    if not listed:
        return renamed, False
    pattern = re.compile("|".join(re.escape(word) for word in listed), re.IGNORECASE)
    notes = tuple(replace(note, text=pattern.sub(REPLACEMENT, note.text)) for note in renamed.notes)
    return replace(renamed, notes=notes), notes != renamed.notes
