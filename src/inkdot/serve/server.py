"""Run the application until it is interrupted."""

import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from inkdot.errors import UserError
from inkdot.serve.access import AccessPolicy
from inkdot.serve.application import Application
from inkdot.serve.reader_verdicts import ReaderVerdicts
from inkdot.serve.served_results import ServedResults
from inkdot.serve.slide_pool import SlidePool
from inkdot.serve.timed_connections import TimedConnection
from inkdot.storage.verdict_store import VerdictStore

_GRACE_SECONDS = 3
_KEEP_ALIVE_SECONDS = 5
_LARGEST_HEADERS_BYTES = 16 * 1024


def bound_socket(host: str, port: int) -> socket.socket:
    """A listening socket, so that the port is known before addresses are printed.

    Raises:
        UserError: The address does not belong to this computer, or the port is in use.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise UserError(
            f"--host {host} --port {port}: expected an address of this computer and a free port, found: "
            f"{error.strerror or error}; choose another --port"
        ) from None


def serve(
    results: ServedResults,
    access: AccessPolicy,
    verdicts: Path,
    listening: socket.socket,
    ready: Callable[[], None],
) -> None:
    """Handle requests until interrupted.

    Requests are not logged: the first of each reader holds a token.

    Args:
        results: The results that are served.
        access: Who may log in.
        verdicts: File of the verdicts.
        listening: From :func:`bound_socket`; closed at the end.
        ready: Called when requests are accepted.

    Raises:
        StorageError: Verdicts cannot be stored there.
    """
    with closing(VerdictStore(verdicts)) as store, closing(SlidePool()) as slides, listening:
        application = Application(results, ReaderVerdicts(store, results), access, slides)
        ready()
        make_server(application.asgi()).run(sockets=[listening])


def make_server(app: ASGIApp) -> uvicorn.Server:
    """The web server around the application, with limits on what a request may be and how long it may take to arrive."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        http=TimedConnection,
        ws="none",
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        h11_max_incomplete_event_size=_LARGEST_HEADERS_BYTES,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    return uvicorn.Server(config)
