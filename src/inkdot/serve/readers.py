"""Readers and their tokens. There are no sessions.

A token is shown once, in the address that opens the application. The browser then holds a cookie derived from it, so that
a server restarted with the same tokens accepts it. Secrets are compared in constant time.
"""

import csv
import hashlib
import hmac
import io
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inkdot.errors import UserError
from inkdot.manifest.csv_table import csv_rows, read_text
from inkdot.manifest.file_names import composed
from inkdot.storage.atomic import atomic_path

COLUMNS = ("reader", "token")
MIN_TOKEN_CHARACTERS = 20
MAX_NAME_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Reader:
    """A person who gives verdicts.

    Attributes:
        name: Pseudonym stored with the verdicts.
        token: Secret that logs this reader in.
    """

    name: str
    token: str

    @property
    def cookie(self) -> str:
        """The login cookie."""
        return _derived(self.token, "cookie")

    @property
    def page_key(self) -> str:
        """The key that pages of this server send with every change; other sites cannot know it."""
        return _derived(self.token, "page")


def _derived(token: str, purpose: str) -> str:
    return hmac.new(token.encode(), f"inkdot review {purpose}".encode(), hashlib.sha256).hexdigest()


def same_secret(given: str, known: str) -> bool:
    """Whether two secrets are equal, compared in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), known.encode("utf-8", "replace"))


def shared_secret(readers: Sequence[Reader]) -> bytes:
    """A secret that only the server knows, the same for the same readers."""
    tokens = "\n".join(sorted(reader.token for reader in readers))
    return hmac.new(tokens.encode(), b"inkdot review names", hashlib.sha256).digest()


def reader_of_token(readers: Sequence[Reader], token: str) -> Reader | None:
    """The reader a token belongs to; all are compared, for constant time."""
    found = [reader for reader in readers if same_secret(token, reader.token)]
    return found[0] if found else None


def reader_of_cookie(readers: Sequence[Reader], cookie: str) -> Reader | None:
    """The reader a cookie belongs to; all are compared, for constant time."""
    found = [reader for reader in readers if same_secret(cookie, reader.cookie)]
    return found[0] if found else None


def make_readers(names: Sequence[str], known: Mapping[str, str] | None = None) -> list[Reader]:
    """Readers with their known or new random tokens (256 bits), in the order of ``names``.

    Raises:
        UserError: A name is empty, too long, or repeated.
    """
    checked = [_checked_name(name) for name in names]
    if len(set(checked)) != len(checked):
        raise UserError(f"--reader: expected every name once, found {', '.join(checked)}")
    return [Reader(name, (known or {}).get(name) or secrets.token_urlsafe(32)) for name in checked]


def read_tokens(path: Path) -> dict[str, str]:
    """Tokens by reader; none where there is no file yet.

    Raises:
        UserError: The file is of another form, can be read by others, or holds a token that could be guessed.
    """
    if not path.exists():
        return {}
    text = read_text(path, error=UserError)
    if os.name != "nt" and path.stat().st_mode & 0o077:
        raise UserError(
            f"{path}: expected a file that only you can read, since it holds tokens; run: chmod 600 {path.name}"
        )
    columns, rows = csv_rows(path, text, error=UserError)
    if columns != COLUMNS:
        raise UserError(
            f"{path}: expected the columns {', '.join(COLUMNS)}, found {', '.join(columns) or 'none'}"
        )
    tokens: dict[str, str] = {}
    for row in rows:
        where, name, token = row.where, _checked_name(row.cells["reader"]), row.cells["token"]
        if len(token) < MIN_TOKEN_CHARACTERS:
            raise UserError(
                f"{where}: expected a token of at least {MIN_TOKEN_CHARACTERS} characters, found {len(token)}; "
                "delete the line and name the reader with --reader to get a new one"
            )
        if name in tokens or token in tokens.values():
            raise UserError(
                f"{where}: expected every reader and every token once, found {name!r} or its token again"
            )
        tokens[name] = token
    return tokens


def write_tokens(path: Path, readers: Sequence[Reader]) -> None:
    """Write the table atomically, readable by its owner alone."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((reader.name, reader.token) for reader in readers)
    with atomic_path(path) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text(buffer.getvalue(), encoding="utf-8", newline="\n")


def _checked_name(name: str) -> str:
    plain = composed(name.strip())  # as tables are read
    if not plain or len(plain) > MAX_NAME_CHARACTERS or not plain.isprintable():
        raise UserError(
            f"reader: expected a pseudonym of 1 to {MAX_NAME_CHARACTERS} printable characters, found {name[:80]!r}"
        )
    return plain
