"""What is asked beside the heads of the model: about the slide as a whole, and about regions that readers mark as missed."""

from collections.abc import Mapping, Sequence
from typing import Final

from inkdot.config import MAX_CATEGORY_CHARACTERS, MEANINGS
from inkdot.errors import ManifestError
from inkdot.labels import FINDER_HEAD, Head, flagging_head
from inkdot.review.verdicts.csv_cells import plain_text
from inkdot.storage.verdict_schema import AnswerKind

ADEQUACY: Final = "adequacy"
"""Head of a slide: is its material enough to judge it?"""

ADEQUATE: Final = "adequate"
INADEQUATE: Final = "inadequate"

CATEGORY: Final = "category"
"""Head of a slide: its category, in the words of the laboratory (:class:`inkdot.config.SlideCategory`)."""

NEGATIVE: Final = "negative"
"""Meaning of a category that an inadequate slide cannot have: it is never negative."""

MISSED: Final = "missed"
"""Head of a region that a reader marked because nothing was shown there."""

OTHER: Final = "other"
"""Worth a look, and not of the flag class: an organism, or cells of another kind."""

LOOK_AGAIN: Final = "look_again"
"""The reader cannot say; for a second look."""


def flag_label(heads: Sequence[Head]) -> str:
    """The label that means the flag class, and nothing else.

    Raises:
        ValueError: There is none.
    """
    head = flagging_head(heads)
    sure = [label for label, weights in head.labels.items() if weights.get(head.flag_class or "") == 1.0]
    if not sure:
        raise ValueError(f"expected a label of head {head.name!r} that means {head.flag_class!r}, found none")
    return str(head.flag_class) if head.flag_class in sure else sure[0]


def missed_verdicts(heads: Sequence[Head]) -> tuple[str, ...]:
    """What a reader may say about a missed region: the label of the flag class, another thing, or look again."""
    return flag_label(heads), OTHER, LOOK_AGAIN


def check_answer(where: str, kind: AnswerKind, row: Mapping[str, str], heads: Sequence[Head]) -> None:
    """Check head and verdict of a row of ``verdicts.csv``.

    Args:
        where: Name of the row in messages.
        kind: What the row is about.
        row: Its cells by column.
        heads: The heads that may be reviewed.

    Raises:
        ManifestError: They are not among those that are asked.
    """
    head, verdict = row["head"], plain_text(row["verdict"])
    if kind == "slide" and head == CATEGORY:
        if not is_category(verdict):
            raise ManifestError(
                f"{where}: column verdict: expected a category of 1 to {MAX_CATEGORY_CHARACTERS} characters, "
                f"found {verdict[:60]!r}"
            )
        if row["means"] not in MEANINGS:
            raise ManifestError(
                f"{where}: column means: expected {', '.join(MEANINGS)}, found {row['means'][:60]!r}"
            )
        return
    verdicts = _asked(kind, heads)
    if head not in verdicts:
        raise ManifestError(f"{where}: column head: expected {', '.join(verdicts)}, found {head!r}")
    if verdict not in verdicts[head]:
        raise ManifestError(
            f"{where}: column verdict: expected {', '.join(verdicts[head])}, found {verdict!r}"
        )


def _asked(kind: AnswerKind, heads: Sequence[Head]) -> Mapping[str, Sequence[str]]:
    """Verdicts by head."""
    if kind == "region":
        return {known.name: tuple(known.labels) for known in (*heads, FINDER_HEAD)}
    if kind == "slide":
        return {ADEQUACY: (ADEQUATE, INADEQUATE), CATEGORY: ()}
    return {MISSED: missed_verdicts(heads)}


def is_category(text: str) -> bool:
    """Whether a text can be the name of a category: short, printable, not blank."""
    return len(text.strip()) > 0 and len(text) <= MAX_CATEGORY_CHARACTERS and text.isprintable()
