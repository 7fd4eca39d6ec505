"""Who may read: a token per reader, and what is made of it. Nothing here is kept in memory between requests.

A token is shown once, in the address that opens the application; the browser then holds a cookie that is computed from
it, so that a server started again with the same tokens knows its readers. Everything secret is compared in constant time.
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
from inkdot.storage.atomic import atomic_path

COLUMNS = ("reader", "token")
SHORTEST_TOKEN = 20
LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who verdicts.

    Attributes:
        name: Pseudonym that stands with the verdicts.
        token: Secret that opens the application for this reader.
    """

    name: str
    token: str

    @property
    def cookie(self) -> str:
        """What the browser shows with every request."""
        return _derived(self.token, "cookie")

    @property
    def page_key(self) -> str:
        """What a page of ours must show to change anything; another site's page cannot know it."""
        return _derived(self.token, "page")


def _derived(token: str, purpose: str) -> str:
    return hmac.new(token.encode(), f"inkdot review {purpose}".encode(), hashlib.sha256).hexdigest()


def same_secret(given: str, known: str) -> bool:
    """Whether two texts are equal, found out in a time that tells nothing of where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), known.encode("utf-8", "replace"))


def reader_of_token(readers: Sequence[Reader], token: str) -> Reader | None:
    """The reader a token belongs to; all are compared, whichever it is."""
    found = [reader for reader in readers if same_secret(token, reader.token)]
    return found[0] if found else None


def reader_of_cookie(readers: Sequence[Reader], cookie: str) -> Reader | None:
    """The reader a cookie belongs to; all are compared, whichever it is."""
    found = [reader for reader in readers if same_secret(cookie, reader.cookie)]
    return found[0] if found else None


def drawn_readers(names: Sequence[str], known: Mapping[str, str] | None = None) -> list[Reader]:
    """Readers with their known tokens, else with drawn ones (256 bits), in the order of ``names``.

    Raises:
        UserError: A name is empty, too long, or stands twice.
    """
    wanted = [_checked_name(name) for name in names]
    if len(set(wanted)) != len(wanted):
        raise UserError(f"--reader: expected every name once, found {', '.join(wanted)}")
    return [Reader(name, (known or {}).get(name) or secrets.token_urlsafe(32)) for name in wanted]


def read_tokens(path: Path) -> dict[str, str]:
    """Tokens by reader; none where there is no file yet.

    Raises:
        UserError: The file is of another form, can be read by others, or holds a token that could be guessed.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: expected a table of tokens: {error}") from None
    if os.name != "nt" and path.stat().st_mode & 0o077:
        raise UserError(
            f"{path}: expected a file that only you can read, since it holds tokens; run: chmod 600 {path.name}"
        )
    table = csv.DictReader(io.StringIO(text, newline=""))
    if tuple(table.fieldnames or ()) != COLUMNS:
        raise UserError(
            f"{path}: expected the columns {', '.join(COLUMNS)}, found {', '.join(table.fieldnames or ()) or 'none'}"
        )
    tokens: dict[str, str] = {}
    for row in table:
        name, token = _checked_name(row["reader"] or ""), (row["token"] or "").strip()
        where = f"{path}: line {table.line_num}"
        if len(token) < SHORTEST_TOKEN:
            raise UserError(
                f"{where}: expected a token of at least {SHORTEST_TOKEN} characters, found {len(token)}; "
                "delete the line and name the reader with --reader to have one drawn"
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
    plain = name.strip()
    if not plain or len(plain) > LONGEST_NAME or not plain.isprintable():
        raise UserError(
            f"reader: expected a pseudonym of 1 to {LONGEST_NAME} printable characters, found {name[:80]!r}"
        )
    return plain
