"""HTTP connections with a time limit: a client that never ends its request does not hold one for ever.

Uvicorn limits how long a connection may be idle between two requests, not how long a request may take to arrive: a few
hundred half-open ones would use up the files that a process may open.
"""

# pyright: reportUnknownMemberType=false

import asyncio
from typing import Final, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS: Final = 10.0
"""Most time for a request's headers, from the connection or the last response on."""

BODY_SECONDS: Final = 30.0
"""Most time for a request's body of at most 64 KiB."""

CHECK_SECONDS: Final = 1.0


class TimedConnection(H11Protocol):
    """A connection of Uvicorn that is closed where a request does not arrive in time."""

    header_seconds = HEADER_SECONDS
    body_seconds = BODY_SECONDS
    _since = 0.0
    _awaited: object = None
    _check: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Start to watch."""
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop to watch."""
        if self._check is not None:
            self._check.cancel()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Close the connection where the client has kept the server waiting for too long; else look again soon."""
        state = cast(object, self.conn.their_state)
        now = self.loop.time()
        if state is not self._awaited:
            self._awaited, self._since = state, now
        limits = {h11.IDLE: self.header_seconds, h11.SEND_BODY: self.body_seconds}
        limit = limits.get(state)  # pyright: ignore[reportArgumentType, reportCallIssue]
        if limit is not None and now - self._since > limit:
            self.transport.abort()
            return
        self._check = self.loop.call_later(CHECK_SECONDS, self._watch)
