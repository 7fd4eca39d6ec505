"""``inkdot review serve``: the slides themselves in a browser, with the gallery beside them."""

import webbrowser
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from inkdot.errors import UserError
from inkdot.manifest.file_names import composed
from inkdot.review.study.design import read_design
from inkdot.serve.access import AccessPolicy, is_loopback
from inkdot.serve.readers import Reader, make_readers, read_tokens, shared_secret, write_tokens
from inkdot.serve.served_results import ServedResults, ServeSettings, served_results
from inkdot.serve.server import bound_socket, serve
from inkdot.serve.study_reading import open_reading
from inkdot.storage.layout import RunLayout
from inkdot.storage.verdict_store import is_verdict_store, read_verdict_store

DEFAULT_READER = "reader-1"


def run(
    results: Path,
    *,
    settings: ServeSettings,
    readers: Sequence[str] = (),
    tokens: Path | None = None,
    verdicts: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8765,
    names: Sequence[str] = (),
    open_browser: bool = False,
    study: Path | None = None,
) -> int:
    """Serve a results folder until interrupted (Ctrl+C).

    Args:
        results: Results folder of ``inkdot predict``.
        settings: How the results are shown.
        readers: Pseudonyms of the readers; each gets an address of their own and sees only their own verdicts.
        tokens: Table of tokens, to keep them between runs; new readers are added.
        verdicts: File of the verdicts; ``reviews.sqlite`` in the results folder where None.
        host: Address to bind.
        port: Port to bind; 0 takes a free one.
        names: Further host names of the server.
        open_browser: Open the first reader's address.
        study: A study of ``inkdot review study make``: its reader sees the reading that is open for them, and none during the
            wash-out.

    Returns:
        0 after an interrupt.

    Raises:
        UserError: The address cannot be bound, is open to others without a table of tokens, or a name or token is
            invalid.
        StorageError: The results cannot be read, or verdicts cannot be stored.
    """
    if not is_loopback(host) and tokens is None:
        raise UserError(
            f"--host {host}: expected --tokens FILE where other computers can reach the server, found none; "
            "name a file, it is made with a token for every --reader"
        )
    known = _readers(readers, tokens)
    # Of the tokens, so that a page that stays open over a restart finds its slides again.
    settings = replace(settings, secret=shared_secret(known))
    console = Console(stderr=True)
    console.print(f"Reading {results} …", soft_wrap=True, markup=False, highlight=False)
    stored = verdicts or RunLayout(results).reviews_sqlite
    if study is None:
        served = _served(results, settings, console)
    else:
        served = _study_reading(results, settings, study, known, stored, console)
    _print_problems(console, served)
    _print_other_verdicts(console, stored, served)
    listening = bound_socket(host, port)
    access = AccessPolicy(known, host, listening.getsockname()[1], names)
    ready = partial(_announce, console, access, known, open_browser=open_browser)
    serve(served, access, stored, listening, ready)
    return 0


def _served(results: Path, settings: ServeSettings, console: Console) -> ServedResults:
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("slides")
        return served_results(
            results, settings, lambda done, total: bar.update(task, completed=done, total=total)
        )


def _study_reading(
    results: Path,
    settings: ServeSettings,
    study: Path,
    readers: Sequence[Reader],
    stored: Path,
    console: Console,
) -> ServedResults:
    """The reading of a study that is open for its one reader."""
    if len(readers) != 1:
        raise UserError(
            f"--study: expected one --reader, since each has an order of their own, found {len(readers)}; "
            "start a server for each, on a --port of its own"
        )
    changes = read_verdict_store(stored) if is_verdict_store(stored) else []
    reading = open_reading(
        read_design(study),
        readers[0].name,
        changes,
        settings,
        lambda own: _served(results, own, console),
        datetime.now(UTC),
    )
    console.print(
        f"{readers[0].name}: reading {reading.number} of 2, {len(reading.left)} slides to answer",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )
    return reading.served


def _announce(console: Console, access: AccessPolicy, known: Sequence[Reader], *, open_browser: bool) -> None:
    """Print the address of each reader; open the first one's."""
    addresses = [_address(access, reader) for reader in known]
    for reader, address in zip(known, addresses, strict=True):
        console.print(f"{reader.name}: {address}", soft_wrap=True, markup=False, highlight=False)
    if not is_loopback(access.host):
        console.print(
            "Other computers can reach this server and the connection is not encrypted: use a reverse proxy with TLS.",
            soft_wrap=True,
        )
    console.print("Stop with Ctrl+C; all verdicts are saved.")
    if open_browser:
        webbrowser.open(addresses[0])


def _readers(names: Sequence[str], tokens: Path | None) -> list[Reader]:
    known = read_tokens(tokens) if tokens else {}
    all_names = [*known, *(name for name in names if composed(name.strip()) not in known)]
    readers = make_readers(all_names or [DEFAULT_READER], known)
    if tokens is not None and len(readers) > len(known):
        write_tokens(tokens, readers)
    return readers


def _address(access: AccessPolicy, reader: Reader) -> str:
    """The login address of one reader; a given host name is preferred to the address of all networks."""
    bound = "127.0.0.1" if access.host in {"0.0.0.0", "::"} else access.host  # noqa: S104
    host = access.names[0] if access.names else bound
    quoted = f"[{host}]" if ":" in host else host
    return f"http://{quoted}:{access.port}/login?token={reader.token}"


def _print_problems(console: Console, served: ServedResults) -> None:
    for name, problem in served.problems.items():
        console.print(f"{name}: {problem}", soft_wrap=True, markup=False)
    for line in served.case_notes:
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    console.print(f"{len(served.slides)} slides, {len(served.regions)} regions", highlight=False)


def _print_other_verdicts(console: Console, stored: Path, served: ServedResults) -> None:
    """Say how many regions have verdicts that the readers will not see."""
    others = sum(
        change.study != served.study
        for change in (read_verdict_store(stored) if is_verdict_store(stored) else [])
    )
    if others:
        console.print(
            f"{stored}: also holds verdicts on another model's regions or in another order (regions: {others}); they are kept "
            "and not shown here; `inkdot review import` reads them",
            soft_wrap=True,
            markup=False,
            highlight=False,
        )
