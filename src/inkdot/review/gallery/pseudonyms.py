"""Pseudonyms of slides, and the search for identifiers in an export.

Pseudonyms are random: a hash of a slide's name could be reversed by trying names. The table that maps them back stays in
the results folder.
"""

import csv
import io
import re
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from inkdot.errors import StorageError
from inkdot.records import SlideEntry
from inkdot.review.verdicts.csv_cells import plain_text, safe_cell
from inkdot.review.wording import FOOTER, RESEARCH_USE, SYNTHETIC_MODEL

COLUMNS = ("slide_id", "pseudonym")

_FIXED_SENTENCES = (FOOTER, RESEARCH_USE, SYNTHETIC_MODEL)
_MIN_CHARACTERS_ANYWHERE = 6
_IMAGES = frozenset({".jpg"})
_MIN_CHARACTERS = 4


def with_pseudonyms(known: Mapping[str, str], slide_ids: Iterable[str]) -> dict[str, str]:
    """A pseudonym for every slide: the known one, else a new one."""
    names = dict(known)
    for slide_id in sorted(set(slide_ids) - set(known)):
        name = f"slide-{secrets.token_hex(4)}"
        while name in names.values():
            name = f"slide-{secrets.token_hex(4)}"
        names[slide_id] = name
    return names


def pseudonyms_text(names: Mapping[str, str]) -> str:
    """The table of pseudonyms, sorted by slide_id."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((safe_cell(slide_id), name) for slide_id, name in sorted(names.items()))
    return buffer.getvalue()


def read_pseudonyms(path: Path) -> dict[str, str]:
    """Pseudonyms by slide_id; none where there is no table.

    Raises:
        StorageError: The table is damaged.
    """
    if not path.exists():
        return {}
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
        return {plain_text(row["slide_id"]): row["pseudonym"] for row in rows}
    except (OSError, UnicodeDecodeError, KeyError) as error:
        raise StorageError(
            f"{path}: expected columns {', '.join(COLUMNS)}, found a damaged table ({error})"
        ) from None


def without_names(text: str, entry: SlideEntry, name: str) -> str:
    """A text with the names of the slide and its file replaced by ``name``."""
    for word in sorted({entry.slide_id, entry.path.name, entry.path.stem}, key=len, reverse=True):
        text = text.replace(word, name)
    return text


def identifying_words(entries: Iterable[SlideEntry]) -> set[str]:
    """Names of slides, files, patients and specimens that must not occur in a pseudonymous export.

    Words of fewer than four characters are left out: they would be found everywhere.
    """
    return {
        word
        for e in entries
        for word in (e.slide_id, e.path.stem, e.patient_id, e.specimen_id)
        if len(word) >= _MIN_CHARACTERS
    }


def find_identifiers(folder: Path, words: Iterable[str]) -> list[tuple[str, str]]:
    """Files whose name or text holds one of the words, whatever its case: (path within the folder, word), sorted.

    Words of six characters and more are found anywhere, shorter ones only as whole words or at the start of a part
    (``Doe`` in ``Doe_1`` and ``JaneDoe``, not in ``does``). Fixed sentences of the page and images are not
    searched: text in the scan is not found.
    """
    searched_words = sorted({word.strip() for word in words if word.strip()})
    found: list[tuple[str, str]] = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            searched = f"{name}\n{_own_text(path)}"
            found += [(name, word) for word in searched_words if _holds(searched, word)]
    return found


def _own_text(path: Path) -> str:
    """The text of a file without the page's script and fixed sentences."""
    if path.suffix.lower() in _IMAGES:
        return ""
    text = path.read_text(encoding="utf-8", errors="replace")
    if (
        facts := re.search(r'<script type="application/json" id="facts">(.*?)</script>', text, re.DOTALL)
    ) is not None:
        return facts[1]
    for sentence in _FIXED_SENTENCES:
        text = text.replace(sentence, "")
    return text


def _holds(text: str, word: str) -> bool:
    if len(word) >= _MIN_CHARACTERS_ANYWHERE:
        return word.casefold() in text.casefold()
    return any(
        _is_boundary(text[match.start() - 1 : match.start()], match[0][0])
        and _is_boundary(match[0][-1], text[match.end() : match.end() + 1])
        for match in re.finditer(re.escape(word), text, re.IGNORECASE)
    )


def _is_boundary(before: str, after: str) -> bool:
    """Whether there is a word boundary between two characters."""
    if before.isalpha() and after.isalpha():
        return before.islower() and after.isupper()
    return not (before.isdigit() and after.isdigit())
