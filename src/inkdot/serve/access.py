"""What every request passes before anything looks at it: the right host, a known reader, and our own pages.

A server on 127.0.0.1 can be asked by every page that the same browser has open. Against that stand: the Host header
must be ours (a name of somebody else's that resolves here is refused), a cookie that browsers send to this site alone,
and for changes the Origin, and a key that only our pages hold.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inkdot.serve.readers import Reader, reader_of_cookie, same_secret

PAGE_KEY_HEADER = "x-inkdot-page"
OPEN_PATHS = ("/login", "/static/")
"""What is shown to anybody: the door, and the program text that is the same for everybody."""

_ANY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 (recognised, not bound)
_LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "same-origin",  # "no-referrer" would also take the Origin from forms
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """Who may come in, and under which names this server goes.

    Attributes:
        readers: Everybody with a token.
        host: The address that is bound.
        port: Its port.
        names: Further names that the server is reached by, such as that of a proxy in front of it.
    """

    readers: Sequence[Reader]
    host: str
    port: int
    names: Sequence[str] = field(default_factory=tuple[str, ...])

    @property
    def cookie_name(self) -> str:
        """Cookies are shared by all ports of a host, and two servers must not take each other's."""
        return f"inkdot_{self.port}"

    def knows_host(self, header: str) -> bool:
        """Whether a Host header names this server.

        Where all addresses are bound any address will do: somebody who makes a name of theirs lead here has a name, no
        address, in the header.
        """
        try:
            name = urlsplit(f"//{header}").hostname or ""
        except ValueError:
            return False
        if (
            name in _LOCAL_NAMES
            or name == self.host.lower()
            or name in {other.lower() for other in self.names}
        ):
            return True
        return self.host in _ANY_ADDRESS and _is_address(name)

    def reader_of(self, request: Request) -> Reader | None:
        """Who is asking, by the cookie."""
        return reader_of_cookie(self.readers, request.cookies.get(self.cookie_name, ""))


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this computer alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Guard:
    """Refuses what must not come in, and puts the protecting headers on everything that goes out.

    Args:
        app: What is protected. ``request.state.reader`` is the reader wherever a cookie was needed.
        door: Who may come in.
    """

    def __init__(self, app: ASGIApp, door: AccessPolicy) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no web sockets here
            return

        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        request = Request(scope, receive)
        refusal = self._refusal(request)
        await (refusal or self._app)(scope, receive, send_protected)

    def _refusal(self, request: Request) -> Response | None:
        """Why a request goes no further, as the verdict to it."""
        if not self._door.knows_host(request.headers.get("host", "")):
            return PlainTextResponse("This server is not known by that name.", 421)
        if request.method not in {"GET", "HEAD", "POST"}:
            return PlainTextResponse("Only GET, HEAD and POST.", 405)
        if request.method == "POST" and not self._own_origin(request.headers):
            return PlainTextResponse("This request came from another site.", 403)
        path = request.url.path
        if any(path == known or (known.endswith("/") and path.startswith(known)) for known in OPEN_PATHS):
            return None
        reader = self._door.reader_of(request)
        if reader is None:
            wants_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
            return RedirectResponse("/login", 303) if wants_page else PlainTextResponse("Log in first.", 401)
        if request.method == "POST" and not same_secret(
            request.headers.get(PAGE_KEY_HEADER, ""), reader.page_key
        ):
            return PlainTextResponse("This request did not come from a page of this server.", 403)
        request.state.reader = reader
        return None

    def _own_origin(self, headers: Headers) -> bool:
        """Whether the page that sent a request is of this server, by what the browser says of it.

        Behind a proxy the browser's name for it may not be the one in the Host header: the given names count too.
        """
        if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            return False
        origin = headers.get("origin")
        if origin is None:
            return True
        named = urlsplit(origin)
        names = {name.lower() for name in self._door.names}
        return named.netloc.lower() == headers.get("host", "").lower() or named.hostname in names
