# pyright: reportUnknownMemberType=false
"""Parquet tables with a footer (JSON in the schema metadata) that holds their version and inputs."""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq

from inkdot.bounded_json import parse_json
from inkdot.errors import StorageError
from inkdot.storage.atomic import atomic_path
from inkdot.storage.record_json import first_error
from inkdot.storage.schemas import made_by

_KEY = b"inkdot"
_UNREADABLE = (OSError, ValueError, pa.ArrowException)  # what damaged bytes may raise


def write_table(path: Path, table: pa.Table, version: str, footer: Mapping[str, object]) -> None:
    """Write a table atomically; the same table and footer give the same bytes.

    Args:
        path: The file.
        table: The rows, in their final order.
        version: Schema version, e.g. ``inkdot.tiles/2``.
        footer: Inputs of the table (JSON values).
    """
    footer_json = json.dumps(
        {"version": version, **footer}, sort_keys=True, ensure_ascii=False, allow_nan=False
    )
    table = table.replace_schema_metadata({_KEY: footer_json.encode("utf-8")})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", store_schema=True, write_page_checksum=True)


def read_footer(path: Path, version: str) -> dict[str, object]:
    """Read the footer of a table.

    Raises:
        StorageError: The file is missing or damaged, or of another version.
    """
    try:
        schema = pq.read_schema(path)
    except FileNotFoundError:
        raise _missing(path, version) from None
    except _UNREADABLE as error:
        raise _damaged(path, version, error) from None
    return _footer(path, schema, version)


def read_table(path: Path, version: str) -> tuple[pa.Table, dict[str, object]]:
    """Read a table and its footer.

    Raises:
        StorageError: The file is missing or damaged, or of another version.
    """
    try:
        # Opened once for footer and rows, without threads: most tables are small, and thousands are read.
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            footer = _footer(path, file.schema_arrow, version)
            return file.read(use_threads=False), footer
    except FileNotFoundError:
        raise _missing(path, version) from None
    except _UNREADABLE as error:
        raise _damaged(path, version, error) from None


@contextmanager
def checked_footer(path: Path, what: str) -> Generator[None]:
    """Report an entry of a footer that is missing, unknown or of a wrong type.

    Args:
        path: The table, for the message.
        what: What it holds, for the message.

    Raises:
        StorageError: The block found such an entry.
    """
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise StorageError(
            f"{path}: expected {what} with their footer, found {type(error).__name__}: {first_error(error)}; "
            "run `inkdot predict` again"
        ) from None


def check_columns(path: Path, table: pa.Table, expected: pa.Schema, version: str) -> None:
    """Refuse a table whose columns have other names or types than its version states.

    Raises:
        StorageError: A column is missing, of another type, or more than expected.
    """
    found = table.schema.remove_metadata()
    if found.equals(expected):
        return
    types = (
        dict(zip(found.names, map(str, found.types), strict=True))
        if len(set(found.names)) == len(found)
        else {}
    )
    wrong = next(
        (
            f"column {name} of {types.get(name, 'none')} in place of {kind}"
            for name, kind in zip(expected.names, map(str, expected.types), strict=True)
            if types.get(name) != kind
        ),
        f"columns {', '.join(found.names)} in place of {', '.join(expected.names)}",
    )
    raise StorageError(
        f"{path}: expected the columns of {version}, found {wrong}; run {made_by(version)} again"
    )


def texts_of(footer: Mapping[str, object], name: str) -> list[str]:
    """A list of texts in a footer.

    Raises:
        KeyError: The footer has no such entry.
        TypeError: It is no list of texts.
    """
    value = footer[name]
    if not isinstance(value, list) or not all(isinstance(text, str) for text in cast("list[object]", value)):
        raise TypeError(f"{name}: expected a list of texts")
    return cast("list[str]", value)


def _footer(path: Path, schema: pa.Schema, version: str) -> dict[str, object]:
    raw = cast("dict[bytes, bytes] | None", schema.metadata) or {}
    if _KEY not in raw:
        raise StorageError(
            f"{path}: expected a table of version {version}, found one that Inkdot did not write"
        )
    try:
        footer: object = parse_json(raw[_KEY])
        if not isinstance(footer, dict):
            raise ValueError("a footer that is no JSON object")
    except ValueError as error:
        raise _damaged(path, version, error) from None
    facts = cast("dict[str, object]", footer)
    if facts.get("version") != version:
        raise StorageError(
            f"{path}: expected version {version}, found {str(facts.get('version'))[:60]}; run {made_by(version)} again"
        )
    return facts


def _missing(path: Path, version: str) -> StorageError:
    return StorageError(
        f"{path}: expected a table of version {version}, found nothing there; run {made_by(version)}"
    )


def _damaged(path: Path, version: str, error: Exception) -> StorageError:
    message = " ".join(str(error).split())
    return StorageError(
        f"{path}: expected a Parquet table, found a damaged file ({message}); delete it and run {made_by(version)} again"
    )
