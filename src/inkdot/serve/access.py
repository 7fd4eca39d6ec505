"""Access control of every request: the Host header, the reader's cookie, and for changes the origin and a page key.

A server on 127.0.0.1 can be reached by every page open in the same browser. Therefore the Host header must name this
server (against DNS rebinding), the cookie is SameSite=strict, and a change needs a matching Origin and a key that only
pages of this server hold (against cross-site request forgery).
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inkdot.serve.readers import Reader, reader_of_cookie, same_secret

PAGE_KEY_HEADER = "x-inkdot-page"
PUBLIC_PATHS = ("/login", "/static/")
"""Paths that need no login: the login page and the static files."""

_HOST = re.compile(r"(\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(:[0-9]{1,5})?")
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
    """Who may log in, and the host names of this server.

    Attributes:
        readers: All readers with a token.
        host: The bound address.
        port: Its port.
        names: Further host names of the server, such as that of a reverse proxy.
    """

    readers: Sequence[Reader]
    host: str
    port: int
    names: Sequence[str] = field(default_factory=tuple[str, ...])

    @property
    def cookie_name(self) -> str:
        """Named by the port: all ports of a host share their cookies."""
        return f"inkdot_{self.port}"

    def accepts_host(self, header: str) -> bool:
        """Whether a Host header names this server.

        Where all addresses are bound, any IP address is accepted: a request by DNS rebinding carries a name instead.
        """
        name = _host_name(header)
        if (
            name in _LOCAL_NAMES
            or name == self.host.lower()
            or name in {other.lower() for other in self.names}
        ):
            return True
        return self.host in _ANY_ADDRESS and _is_address(name)

    def reader_of(self, request: Request) -> Reader | None:
        """The reader that the cookie belongs to."""
        return reader_of_cookie(self.readers, request.cookies.get(self.cookie_name, ""))


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this computer only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host_name(header: str) -> str:
    """The name in a Host header, in small letters; empty where it is anything but a name or an address with a port."""
    found = _HOST.fullmatch(header)
    return "" if found is None else (found["address"] or found["name"]).lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class AccessMiddleware:
    """ASGI middleware that refuses requests without access and adds security headers to every response.

    Args:
        app: The protected application; its handlers ask again who reads.
        access: Who may log in.
    """

    def __init__(self, app: ASGIApp, access: AccessPolicy) -> None:
        self._app = app
        self._access = access

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
        """The response that refuses a request; None where it may pass."""
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or not self._access.accepts_host(hosts[0]):
            return PlainTextResponse("This server does not have that name.", 421)
        if request.method not in {"GET", "HEAD", "POST"}:
            return PlainTextResponse("Only GET, HEAD and POST are allowed.", 405)
        if request.method == "POST" and not self._same_origin(request.headers):
            return PlainTextResponse("This request came from another site.", 403)
        # Not request.url.path: older Starlette builds it from the Host header, which the client writes.
        path = str(request.scope["path"])
        if any(path == known or (known.endswith("/") and path.startswith(known)) for known in PUBLIC_PATHS):
            return None
        reader = self._access.reader_of(request)
        if reader is None:
            is_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
            return RedirectResponse("/login", 303) if is_page else PlainTextResponse("Log in first.", 401)
        if request.method == "POST" and not same_secret(
            request.headers.get(PAGE_KEY_HEADER, ""), reader.page_key
        ):
            return PlainTextResponse("This request did not come from a page of this server.", 403)
        return None

    def _same_origin(self, headers: Headers) -> bool:
        """Whether a request was sent by a page of this server, by its Origin and Sec-Fetch-Site headers.

        Behind a proxy the browser may use another host name than the Host header: the further names count too.
        """
        if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            return False
        origin = headers.get("origin")
        if origin is None:
            return True
        try:
            named = urlsplit(origin)
            host = named.hostname
        except ValueError:
            return False
        names = {name.lower() for name in self._access.names}
        return named.netloc.lower() == headers.get("host", "").lower() or host in names
