"""Pseudonyms of slides, and the search for identifiers in an export.

Pseudonyms are random: a hash of a slide's name could be reversed by trying names. The table that maps them back stays in
the results folder.
"""

import csv
import io
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from inkdot.errors import StorageError
from inkdot.manifest.csv_table import csv_rows, read_text
from inkdot.records import SlideEntry
from inkdot.review.verdicts.csv_cells import plain_text, safe_cell
from inkdot.review.wording import FOOTER, RESEARCH_USE, SYNTHETIC_MODEL
from inkdot.storage.atomic import write_text
from inkdot.storage.layout import RunLayout

COLUMNS = ("slide_id", "pseudonym")

_FIXED_SENTENCES = (FOOTER, RESEARCH_USE, SYNTHETIC_MODEL)
_MIN_CHARACTERS_ANYWHERE = 6
_IMAGES = frozenset({".jpg"})
_MIN_CHARACTERS = 4
_PSEUDONYM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


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
    columns, rows = csv_rows(path, read_text(path, error=StorageError), error=StorageError)
    if missing := [name for name in COLUMNS if name not in columns]:
        raise StorageError(
            f"{path}: expected columns {', '.join(COLUMNS)}, found a damaged table without {missing[0]}; restore it from a copy"
        )
    names = {plain_text(row.cells["slide_id"]): row.cells["pseudonym"] for row in rows}
    if wrong := [name for name in names.values() if not _PSEUDONYM.fullmatch(name)]:
        raise StorageError(
            f"{path}: expected pseudonyms such as slide-0f3a9c12, found {wrong[0][:60]!r}; restore the table from a "
            "copy"
        )
    return names


def shown_names(layout: RunLayout, entries: Iterable[SlideEntry], *, pseudonymise: bool) -> dict[str, str]:
    """The name of every slide in a review: its slide_id, or a pseudonym, stored so that it stays the same."""
    slide_ids = [entry.slide_id for entry in entries]
    if not pseudonymise:
        return {slide_id: slide_id for slide_id in slide_ids}
    known = read_pseudonyms(layout.pseudonyms_csv)
    names = with_pseudonyms(known, slide_ids)
    if names != known:
        write_text(layout.pseudonyms_csv, pseudonyms_text(names))
    return names


def shown_reason(reason: str, entry: SlideEntry, name: str) -> str:
    """A reason for the reader: without folders and, under a pseudonym, without the slide's names.

    Reasons start with a path, up to a colon and a space.
    """
    path, colon, rest = reason.replace(f"{entry.path.parent}{os.sep}", "").partition(": ")
    folders = re.compile(r".*[/\\]")
    # Further paths are single words with an absolute start; only the first may hold spaces.
    rest = " ".join(
        folders.sub("", word) if re.match(r"\W*([A-Za-z]:)?[/\\]\S+[/\\]", word) else word
        for word in rest.split(" ")
    )
    plain = folders.sub("", path) + colon + rest
    return plain if name == entry.slide_id else without_names(plain, entry, name)


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
