"""``inkdot review serve``: the slides themselves in a browser, with the gallery beside them."""

import webbrowser
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from inkdot.errors import UserError
from inkdot.serve.access import AccessPolicy, is_loopback
from inkdot.serve.readers import Reader, drawn_readers, read_tokens, write_tokens
from inkdot.serve.server import bound_socket, serve
from inkdot.serve.shown_results import Shown, ShowSettings, shown_results
from inkdot.storage.layout import RunLayout

DEFAULT_READER = "reader-1"


def run(
    results: Path,
    *,
    settings: ShowSettings,
    readers: Sequence[str] = (),
    tokens: Path | None = None,
    verdicts: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8765,
    names: Sequence[str] = (),
    open_browser: bool = False,
) -> int:
    """Serve a results folder until interrupted (Ctrl+C).

    Args:
        results: Results folder of ``inkdot predict``.
        settings: How the results are shown.
        readers: Pseudonyms of those who verdict; each gets an address of their own and sees their own verdicts alone.
        tokens: Table of tokens to keep them in between runs; readers it does not know yet are added.
        verdicts: Where verdicts are kept; ``reviews.sqlite`` in the results folder where None.
        host: Address to bind.
        port: Port to bind; 0 takes a free one.
        names: Further host names that lead here.
        open_browser: Open the first reader's address.

    Returns:
        0 when it was stopped.

    Raises:
        UserError: The address cannot be bound, is open to others without a table of tokens, or a name or token is
            wrong.
        StorageError: The results cannot be read, or verdicts cannot be kept.
    """
    if not is_loopback(host) and tokens is None:
        raise UserError(
            f"--host {host}: expected --tokens FILE where other computers can reach the server, found none; "
            "name a file, it is made with a token for every --reader"
        )
    known = _readers(readers, tokens)
    console = Console(stderr=True)
    console.print(f"Reading {results} …", soft_wrap=True, markup=False, highlight=False)
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("slides")
        shown = shown_results(
            results, settings, lambda done, total: bar.update(task, completed=done, total=total)
        )
    _tell_problems(console, shown)
    listening = bound_socket(host, port)
    door = AccessPolicy(known, host, listening.getsockname()[1], names)
    addresses = [_address(door, reader) for reader in known]

    def ready() -> None:
        for reader, address in zip(known, addresses, strict=True):
            console.print(f"{reader.name}: {address}", soft_wrap=True, markup=False, highlight=False)
        if not is_loopback(host):
            console.print(
                "Other computers can reach this, and nothing is encrypted: put a proxy with TLS in front of it.",
                soft_wrap=True,
            )
        console.print("Stop with Ctrl+C; what was reviewed is kept.")
        if open_browser:
            webbrowser.open(addresses[0])

    serve(shown, door, verdicts or RunLayout(results).reviews_sqlite, listening, ready)
    return 0


def _readers(names: Sequence[str], tokens: Path | None) -> list[Reader]:
    known = read_tokens(tokens) if tokens else {}
    wanted = [*known, *(name for name in names if name.strip() not in known)]
    readers = drawn_readers(wanted or [DEFAULT_READER], known)
    if tokens is not None and len(readers) > len(known):
        write_tokens(tokens, readers)
    return readers


def _address(door: AccessPolicy, reader: Reader) -> str:
    """Where one reader comes in; a name that leads here is better than the address of all networks."""
    host = door.names[0] if door.names else ("127.0.0.1" if door.host in {"0.0.0.0", "::"} else door.host)  # noqa: S104
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{door.port}/login?token={reader.token}"


def _tell_problems(console: Console, shown: Shown) -> None:
    for name, problem in shown.problems.items():
        console.print(f"{name}: {problem}", soft_wrap=True, markup=False)
    console.print(f"{len(shown.slides)} slides, {len(shown.regions)} regions", highlight=False)
