"""Reads CSV tables of users: UTF-8 with commas, with a specific error for every other form.

Spreadsheets save semicolons, Latin-1, UTF-16 or empty last columns. Each gets its own message, because "column not found"
does not help a user who can see the column.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inkdot.errors import ManifestError, UserError, renamed_message
from inkdot.manifest.file_names import composed

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_LONGEST_FIELD = 2**31 - 1


@dataclass(frozen=True, slots=True)
class CsvRow:
    """One row.

    Attributes:
        where: File and line, for messages about this row.
        line: Line number in the file, counted from 1.
        cells: Text by column, stripped; empty where the cell is blank.
    """

    where: str
    line: int
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CsvTable:
    """A table.

    Attributes:
        path: The file.
        columns: Names in the order of the header.
        rows: The rows that are not blank.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[CsvRow, ...]


def read_csv(
    path: Path,
    required: Sequence[str],
    known: Sequence[str] = (),
    *,
    renamed: Mapping[str, str] | None = None,
    missing_hint: str = "",
) -> CsvTable:
    """Read a table.

    Args:
        path: The file.
        required: Columns that must exist.
        known: Further columns with a meaning. A column that differs from one of them only in capitals, spaces or punctuation
            is an error, since it would be read as a free column and its content ignored.
        renamed: Columns of earlier versions and their current names.
        missing_hint: What to do where the file is missing; the end of the message.

    Raises:
        ManifestError: The file is missing, is not UTF-8, is not a CSV with commas, has a column of an earlier version,
            lacks a required column, or has a row with more or fewer fields than the header.
    """
    columns, rows = csv_rows(path, read_text(path, missing_hint))
    refuse_renamed(path, columns, renamed or {})
    _check_columns(path, columns, required, known)
    return CsvTable(path, columns, tuple(rows))


def csv_rows(
    path: Path, text: str, *, delimiter: str = ",", error: type[UserError] = ManifestError
) -> tuple[tuple[str, ...], Iterator[CsvRow]]:
    """The header of a table, and its rows that are not blank; cells are stripped.

    Args:
        path: The file, for messages.
        text: Its content.
        delimiter: Between cells.
        error: Raised where the text is not a CSV table, or a row has more or fewer fields than the header; so does the iterator.
    """
    csv.field_size_limit(
        _LONGEST_FIELD
    )  # the outline of an annotated region may exceed the default of 131,072
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)

    def rows() -> Iterator[list[str]]:
        try:
            yield from reader
        except csv.Error as fault:
            raise error(
                f"{path}: line {reader.line_num}: not a CSV table: {fault}; check the quotes"
            ) from None

    fields = rows()
    columns = tuple(name.strip() for name in next(fields, list[str]()))

    def checked() -> Iterator[CsvRow]:
        for row in fields:
            if not any(field.strip() for field in row):
                continue
            where = f"{path}: line {reader.line_num}"
            if len(row) != len(columns):
                amount = "fewer" if len(row) < len(columns) else "more"
                raise error(
                    f"{where}: expected {len(columns)} fields, found {amount} ({len(row)}); check commas and quotes"
                )
            cells = dict(zip(columns, (field.strip() for field in row), strict=True))
            yield CsvRow(where, reader.line_num, cells)

    return columns, checked()


def refuse_renamed(path: Path, columns: Sequence[str], renamed: Mapping[str, str]) -> None:
    """Refuse a table with columns of an earlier version; the message has their current names.

    Args:
        path: The file, for the message.
        columns: The header.
        renamed: Old and current names; an old name beside its current one is a free column.

    Raises:
        ManifestError: The header has an old name.
    """
    found = [(old, new) for old, new in renamed.items() if old in columns and new not in columns]
    if found:
        raise ManifestError(f"{path}: column{'s' if len(found) > 1 else ''}: {renamed_message(found)}")


def read_text(path: Path, missing_hint: str = "", *, error: type[UserError] = ManifestError) -> str:
    """Text of a table in UTF-8, its letters composed (NFC).

    Args:
        path: The file.
        missing_hint: What to do where the file is missing; the end of the message.
        error: Raised where the file is missing or of another encoding.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        hint = f"; {missing_hint}" if missing_hint else ""
        raise error(f"{path}: expected a table, found nothing there{hint}") from None
    except OSError as fault:
        raise error(f"{path}: expected a table that can be read, found: {fault.strerror}") from None
    if data.startswith(_UTF16_MARKS):
        raise error(f"{path}: expected UTF-8 text, found UTF-16; save it as 'CSV UTF-8'")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = data[: fault.start].count(b"\n") + 1
        raise error(
            f"{path}: line {line}: expected UTF-8 text, found the byte {data[fault.start]:#04x}; save it as 'CSV UTF-8'"
        ) from None
    if "\0" in text:
        raise error(f"{path}: expected a CSV table, found binary data")
    return composed(text)


def _check_columns(path: Path, columns: Sequence[str], required: Sequence[str], known: Sequence[str]) -> None:
    listed = ", ".join(columns) or "none"
    for sign, word in ((";", "semicolons"), ("\t", "tabs")):
        if len(columns) == 1 and sign in columns[0]:
            raise ManifestError(f"{path}: expected commas between columns, found {word}; save it with commas")
    for name in required:
        if name in columns:
            continue
        _refuse_near_misses(path, columns, [name])
        raise ManifestError(f"{path}: expected columns {', '.join(required)}, found {listed}; add {name!r}")
    if "" in columns:
        raise ManifestError(
            f"{path}: expected a name for each column, found none for column {columns.index('') + 1}; "
            "name it or remove it"
        )
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise ManifestError(
            f"{path}: expected each column once, found {twice[0]!r} more than once; rename one"
        )
    _refuse_near_misses(path, columns, [*required, *known])


def _refuse_near_misses(path: Path, columns: Sequence[str], names: Sequence[str]) -> None:
    meant = {_plain(name): name for name in names}
    for column in columns:
        name = meant.get(_plain(column), column)
        if name != column:
            raise ManifestError(f"{path}: expected column {name!r}, found {column!r}; rename it")


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())
