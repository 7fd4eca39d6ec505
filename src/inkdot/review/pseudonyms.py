"""Names for slides that tell nothing, and a look for identifiers in what is handed over.

Pseudonyms are drawn, not computed: a hash of a slide's name can be found again by trying names. The table that
leads back stays in the results folder.
"""

import csv
import io
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from inkdot.errors import ArtefactError
from inkdot.records import SlideEntry
from inkdot.review.csv_cells import plain_text, safe_cell

COLUMNS = ("slide_id", "pseudonym")

_PICTURES = frozenset({".jpg"})
_FEWEST_CHARACTERS = 4


def with_pseudonyms(known: Mapping[str, str], slide_ids: Iterable[str]) -> dict[str, str]:
    """A pseudonym for every slide: the known one, else a fresh one."""
    names = dict(known)
    for slide_id in sorted(set(slide_ids) - set(known)):
        name = f"slide-{secrets.token_hex(4)}"
        while name in names.values():
            name = f"slide-{secrets.token_hex(4)}"
        names[slide_id] = name
    return names


def pseudonyms_text(names: Mapping[str, str]) -> str:
    """The table that leads back, sorted by slide_id."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((safe_cell(slide_id), name) for slide_id, name in sorted(names.items()))
    return buffer.getvalue()


def read_pseudonyms(path: Path) -> dict[str, str]:
    """Pseudonyms by slide_id; none where there is no table.

    Raises:
        ArtefactError: The table is damaged.
    """
    if not path.exists():
        return {}
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
        return {plain_text(row["slide_id"]): row["pseudonym"] for row in rows}
    except (OSError, UnicodeDecodeError, KeyError) as error:
        raise ArtefactError(
            f"{path}: expected columns {', '.join(COLUMNS)}, found a damaged table ({error})"
        ) from None


def without_names(text: str, entry: SlideEntry, name: str) -> str:
    """A text in which the slide and its file go by ``name``."""
    for word in sorted({entry.slide_id, entry.path.name, entry.path.stem}, key=len, reverse=True):
        text = text.replace(word, name)
    return text


def telling_words(entries: Iterable[SlideEntry]) -> set[str]:
    """Names of slides and files, patients and specimens that must not be found in a pseudonymous export.

    Shorter ones than four characters are left out: they are found everywhere.
    """
    words = {
        word
        for e in entries
        for word in (e.slide_id, e.path.stem, e.patient_id, e.specimen_id)
        if len(word) >= _FEWEST_CHARACTERS
    }
    return words


def find_identifiers(folder: Path, words: Iterable[str]) -> list[tuple[str, str]]:
    """Files whose name or text holds one of the words, whatever its case: (path within the folder, word), sorted.

    Pictures are not read: what is written on the glass or in the scan is found by no program here.
    """
    wanted = sorted({word.strip() for word in words if word.strip()})
    found: list[tuple[str, str]] = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        name = path.relative_to(folder).as_posix()
        text = "" if path.suffix.lower() in _PICTURES else path.read_text(encoding="utf-8", errors="replace")
        searched = f"{name}\n{text}".casefold()
        found += [(name, word) for word in wanted if word.casefold() in searched]
    return found
