"""A real server on a socket, and clients that do not keep to the rules."""

import contextlib
import http.client
import json
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from starlette.testclient import TestClient

from inkdot.serve.access import AccessPolicy
from inkdot.serve.server import make_server
from inkdot.serve.timed_connections import TimedConnection
from inkdot.storage.verdict_store import VerdictStore

LIMIT_S = 0.6
PATIENCE_S = 20.0
"""Far more than any answer takes: only a busy machine comes near it."""


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], int]]:
    """Run an application on a free port, with short limits."""
    monkeypatch.setattr(TimedConnection, "header_seconds", LIMIT_S)
    monkeypatch.setattr(TimedConnection, "body_seconds", LIMIT_S)
    monkeypatch.setattr("inkdot.serve.timed_connections.CHECK_SECONDS", 0.05)
    running: list[tuple[Any, threading.Thread, socket.socket]] = []

    def run(asgi: Any) -> int:
        listening = socket.create_server(("127.0.0.1", 0))
        server = make_server(asgi)
        thread = threading.Thread(target=lambda: server.run(sockets=[listening]), daemon=True)
        thread.start()
        running.append((server, thread, listening))
        return int(listening.getsockname()[1])

    yield run
    for server, thread, listening in running:
        server.should_exit = True
        thread.join(PATIENCE_S)
        listening.close()


def answer(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as client:
        client.sendall(request)
        client.settimeout(PATIENCE_S)
        return client.recv(4096)


def closed_after(client: socket.socket) -> float:
    """Seconds until the server closes the connection, in answer to nothing."""
    client.settimeout(PATIENCE_S)
    started = time.monotonic()
    with contextlib.suppress(ConnectionResetError):
        assert client.recv(4096) == b""
    return time.monotonic() - started


HOSTS = (
    b"127.0.0.1:8765/static/x?",
    b"127.0.0.1/static/",
    b"127.0.0.1:8765/login",
    b"127.0.0.1:8765?/static/",
    b"127.0.0.1:8765#/static/",
    b"x@127.0.0.1:8765",
    b"127.0.0.1:8765:1",
    b"127.0.0.1\\static",
    b"127.0.0.1 /static/",
    b"[::1",
    b"[::1]/static/",
)


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_header_cannot_make_a_slide_public(
    shared_server: Any, start: Callable[[Any], int], host: bytes
) -> None:
    port = start(shared_server.asgi)
    image = next(iter(shared_server.shown.images)).encode()
    found = answer(port, b"GET /images/" + image + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    assert found.startswith((b"HTTP/1.1 421", b"HTTP/1.1 400")), found
    assert b"image/jpeg" not in found


@pytest.mark.parametrize(
    "target",
    [
        b"http://127.0.0.1:8765/static/../images/%s",
        b"/static/../images/%s",
        b"/static/..%%2fimages/%s",
        b"//static/images/%s",
        b"/static//images/%s",
        b"/login/../images/%s",
        b"/images/%s?/static/",
        b"/images/%s;/static/",
    ],
)
def test_no_way_of_writing_a_path_makes_a_slide_public(
    shared_server: Any, start: Callable[[Any], int], target: bytes
) -> None:
    port = start(shared_server.asgi)
    image = next(iter(shared_server.shown.images)).encode()
    found = answer(port, b"GET " + target % image + b" HTTP/1.1\r\nHost: 127.0.0.1:8765\r\n\r\n")
    assert found.startswith((b"HTTP/1.1 401", b"HTTP/1.1 404", b"HTTP/1.1 400")), found


def test_two_host_headers_are_refused(shared_server: Any, start: Callable[[Any], int]) -> None:
    lines = b"GET /login HTTP/1.1\r\nHost: 127.0.0.1:8765\r\nHost: evil.example\r\n\r\n"
    assert answer(start(shared_server.asgi), lines).startswith((b"HTTP/1.1 400", b"HTTP/1.1 421"))


def test_every_handler_asks_who_reads(shared_server: Any) -> None:
    """As if nothing lay in front of the handlers."""
    inner = TestClient(shared_server.asgi._app, base_url="http://127.0.0.1:8765", follow_redirects=False)
    open_to_all = []
    for route in shared_server.asgi._app.routes:
        slide, image = next(iter(shared_server.shown.slides)), next(iter(shared_server.shown.images))
        path = route.path.replace("/images/{name}", f"/images/{image}").replace("{slide}", slide)
        path = path.replace("{level:int}/{column:int}_{row:int}", "8/0_0").replace("{layer}", "scores")
        path = path.replace("{name}", "base.js")
        method = "POST" if "POST" in route.methods and "GET" not in route.methods else "GET"
        status = inner.request(method, path, headers={"content-type": "application/json"}).status_code
        if status != 401:
            open_to_all.append((route.path, status))
    assert open_to_all == [("/login", 200), ("/static/{name}", 200)]


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "javascript:alert(1)", "", "null", "\x00"])
def test_an_origin_that_is_none_is_refused(served: Any, origin: str) -> None:
    client = served.client(served.readers[0])
    headers = {"origin": origin, "x-inkdot-page": served.readers[0].page_key}
    assert client.post("/verdicts", json={}, headers=headers).status_code == 403


def test_names_in_addresses_cannot_be_guessed_from_the_slides_names(serve: Callable[..., Any]) -> None:
    first, second = (serve(secret=secret * 32) for secret in (b"a", b"b"))
    assert set(first.shown.slides).isdisjoint(second.shown.slides)
    assert set(first.shown.images).isdisjoint(second.shown.images)
    assert min(len(name) for name in (*first.shown.slides, *first.shown.images)) >= 32
    same = [serve() for _ in range(2)]
    assert same[0].shown.slides.keys() == same[1].shown.slides.keys()  # after a restart, with kept tokens
    assert first.shown.regions.keys() == second.shown.regions.keys()  # verdicts are stored under these


def test_deep_json_is_refused(served: Any) -> None:
    client = served.client(served.readers[0])
    headers = {"content-type": "application/json", "x-inkdot-page": served.readers[0].page_key}
    response = client.post("/verdicts", content="[" * 60_000, headers=headers)
    assert response.status_code == 422
    assert response.text.startswith("Not saved: ")


def test_connections_that_never_end_their_request_are_closed(
    shared_server: Any, start: Callable[[Any], int]
) -> None:
    port = start(shared_server.asgi)
    head = b"POST /login HTTP/1.1\r\nHost: 127.0.0.1:8765\r\nContent-Length: 1000\r\n"
    partial = [b"", b"G", b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8765\r\n", head + b"\r\ntoken="]
    clients = [socket.create_connection(("127.0.0.1", port), PATIENCE_S) for _ in partial]
    for client, sent in zip(clients, partial, strict=True):
        client.sendall(sent)
    quick = answer(port, b"GET /login HTTP/1.1\r\nHost: 127.0.0.1:8765\r\n\r\n")
    assert quick.startswith(b"HTTP/1.1 200")  # others are served meanwhile
    for client in clients:
        assert closed_after(client) < PATIENCE_S / 2
        client.close()


def test_a_slow_client_gains_no_time_by_sending_now_and_then(
    shared_server: Any, start: Callable[[Any], int]
) -> None:
    port = start(shared_server.asgi)
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8765\r\n")
        started = time.monotonic()
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            while time.monotonic() - started < PATIENCE_S:
                client.sendall(b"X-A: b\r\n")
                time.sleep(LIMIT_S / 6)
        assert time.monotonic() - started < PATIENCE_S / 2


def test_long_headers_are_refused(shared_server: Any, start: Callable[[Any], int]) -> None:
    port = start(shared_server.asgi)
    found = answer(port, b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8765\r\nX-A: " + b"a" * 40_000)
    assert found.startswith(b"HTTP/1.1 4")


def test_a_locked_database_delays_only_the_change_that_waits_for_it(
    serve: Callable[..., Any], start: Callable[[Any], int], results: Any
) -> None:
    served = serve()
    port = start(served.asgi)
    reader, other = served.readers
    slide = next(iter(served.shown.slides))

    def cookie(who: Any) -> dict[str, str]:
        return {
            "Host": "127.0.0.1:8765",
            "Cookie": f"{AccessPolicy((), '', 8765).cookie_name}={who.cookie}",
            "X-Inkdot-Page": who.page_key,
            "Content-Type": "application/json",
        }

    def ask(method: str, path: str, who: Any, body: str | None = None) -> int:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)) as connection:
            connection.request(method, path, body, cookie(who))
            response = connection.getresponse()
            response.read()
            return response.status

    saved: list[tuple[int, float]] = []

    def save(key: str) -> None:
        sent = json.dumps({"key": key, "verdicts": {"malignancy": "benign"}, "note": ""})
        saved.append((ask("POST", "/verdicts", reader, sent), time.monotonic()))

    with closing(sqlite3.connect(results.reviews_sqlite, isolation_level=None)) as elsewhere:
        elsewhere.execute("BEGIN IMMEDIATE")
        waiting = [threading.Thread(target=save, args=(key,)) for key in served.regions()[:2]]
        for thread in waiting:
            thread.start()
        time.sleep(0.3)
        for who in (reader, other):
            for path in ("/", "/review", "/verdicts.csv", f"/slides/{slide}/tiles/8/0_0.jpg"):
                assert ask("GET", path, who) == 200
        assert saved == []  # still waiting
        released = time.monotonic()
        elsewhere.execute("COMMIT")
    for thread in waiting:
        thread.join(PATIENCE_S)
    assert [status for status, _ in saved] == [200, 200]
    assert min(when for _, when in saved) >= released


@pytest.mark.parametrize(
    "planted",
    [
        "CREATE TRIGGER t AFTER INSERT ON changes BEGIN DELETE FROM changes; END",
        "CREATE VIEW v AS SELECT * FROM changes",
    ],
)
def test_a_database_that_holds_code_is_refused(results: Any, planted: str) -> None:
    from inkdot.errors import StorageError
    from inkdot.storage.verdict_store import read_verdict_store

    VerdictStore(results.reviews_sqlite).close()
    with closing(sqlite3.connect(results.reviews_sqlite)) as database:
        database.execute(planted)
        database.commit()
    with pytest.raises(StorageError, match="which Inkdot never makes"):
        VerdictStore(results.reviews_sqlite)
    with pytest.raises(StorageError, match="which Inkdot never makes"):
        read_verdict_store(results.reviews_sqlite)
