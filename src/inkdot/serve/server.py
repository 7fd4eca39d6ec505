"""Running the application until somebody stops it."""

import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import uvicorn

from inkdot.errors import UserError
from inkdot.serve.access import AccessPolicy
from inkdot.serve.application import Application
from inkdot.serve.open_slides import OpenSlides
from inkdot.serve.reader_verdicts import ReaderVerdicts
from inkdot.serve.shown_results import Shown
from inkdot.storage.verdict_store import VerdictStore

_GRACE_SECONDS = 3


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket that listens at an address, so that its port is known before anything is printed.

    Raises:
        UserError: The address is not one of this computer, or the port is taken.
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
    shown: Shown, door: AccessPolicy, verdicts: Path, listening: socket.socket, ready: Callable[[], None]
) -> None:
    """Verdict requests until interrupted.

    Requests are not logged: the first of each reader holds a token.

    Args:
        shown: What is shown.
        door: Who may come in.
        verdicts: Where verdicts are kept.
        listening: From :func:`bound_socket`; closed at the end.
        ready: Called when the next request would be reviewed.

    Raises:
        StorageError: Verdicts cannot be kept there.
    """
    with closing(VerdictStore(verdicts)) as store, closing(OpenSlides()) as slides, listening:
        application = Application(shown, ReaderVerdicts(store, shown), door, slides)
        config = uvicorn.Config(
            application.asgi(),
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        ready()
        uvicorn.Server(config).run(sockets=[listening])
