# pyright: reportUnknownMemberType=false
"""Parquet tables with a footer that says what they are and what they were made from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq

from inkdot.errors import StorageError
from inkdot.storage.atomic import atomic_path
from inkdot.storage.schemas import made_by

_KEY = b"inkdot"
_UNREADABLE = (OSError, ValueError, pa.ArrowException)  # what a flipped byte may lead to


def write_table(path: Path, table: pa.Table, version: str, facts: Mapping[str, object]) -> None:
    """Write a table atomically; the same table and facts give the same bytes.

    Args:
        path: Where to write.
        table: Rows, in the order they shall have.
        version: Schema version, e.g. ``inkdot.tiles/1``.
        facts: What the table was made from (JSON values), kept in the footer.
    """
    footer = json.dumps({"version": version, **facts}, sort_keys=True, ensure_ascii=False, allow_nan=False)
    table = table.replace_schema_metadata({_KEY: footer.encode("utf-8")})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", store_schema=True, write_page_checksum=True)


def read_footer(path: Path, version: str) -> dict[str, object]:
    """The facts in a table's footer.

    Raises:
        StorageError: The file is missing or damaged, or of another version.
    """
    try:
        schema = pq.read_schema(path)
    except FileNotFoundError:
        raise _missing(path, version) from None
    except _UNREADABLE as error:
        raise _damaged(path, version, error) from None
    return _facts(path, schema, version)


def read_table(path: Path, version: str) -> tuple[pa.Table, dict[str, object]]:
    """A table and the facts in its footer.

    Raises:
        StorageError: The file is missing or damaged, or of another version.
    """
    try:
        # Opened once for facts and rows, and by no pool of threads: most tables are small, and are read by the thousand.
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            facts = _facts(path, file.schema_arrow, version)
            return file.read(use_threads=False), facts
    except FileNotFoundError:
        raise _missing(path, version) from None
    except _UNREADABLE as error:
        raise _damaged(path, version, error) from None


def _facts(path: Path, schema: pa.Schema, version: str) -> dict[str, object]:
    raw = cast("dict[bytes, bytes] | None", schema.metadata) or {}
    if _KEY not in raw:
        raise StorageError(
            f"{path}: expected a table of version {version}, found one that Inkdot did not write"
        )
    try:
        facts = cast("dict[str, object]", json.loads(raw[_KEY]))
    except ValueError as error:
        raise _damaged(path, version, error) from None
    if facts.get("version") != version:
        raise StorageError(
            f"{path}: expected version {version}, found {facts.get('version')}; run {made_by(version)} again"
        )
    return facts


def _missing(path: Path, version: str) -> StorageError:
    return StorageError(
        f"{path}: expected a table of version {version}, found nothing there; run {made_by(version)}"
    )


def _damaged(path: Path, version: str, error: Exception) -> StorageError:
    said = " ".join(str(error).split())
    return StorageError(
        f"{path}: expected a Parquet table, found a damaged file ({said}); delete it and run {made_by(version)} again"
    )
