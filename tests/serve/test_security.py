"""Access control of the server, and files that must not be reachable."""

import re
import socket
import stat
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from inkdot.errors import UserError
from inkdot.serve.access import AccessPolicy, is_loopback
from inkdot.serve.readers import Reader, make_readers, read_tokens, write_tokens
from inkdot.serve.served_results import ServeSettings, served_results
from inkdot.stages.review import serve as review_serve
from inkdot.storage.layout import RunLayout
from inkdot.storage.verdict_schema import Change
from inkdot.storage.verdict_store import VerdictStore

PAGES = ("/", "/review")


def addresses(served: Any) -> list[str]:
    """One address of every kind of route."""
    slide, image = next(iter(served.shown.slides)), next(iter(served.shown.images))
    return [
        *PAGES,
        "/verdicts.csv",
        "/page-key",
        f"/images/{image}",
        f"/slides/{slide}/tiles/8/0_0.jpg",
        f"/slides/{slide}/layers/scores",
    ]


def test_login_sets_a_cookie_that_scripts_and_other_sites_cannot_use(shared_server: Any) -> None:
    client = shared_server.client()
    response = client.get(f"/login?token={shared_server.readers[0].token}")
    assert (response.status_code, response.headers["location"]) == (303, "/")
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert shared_server.readers[0].token not in cookie
    assert client.get("/").status_code == 200


def test_an_unknown_address_links_to_the_worklist(shared_server: Any) -> None:
    inside = shared_server.client(shared_server.readers[0])
    for address in ("/nothing", "/slides/none/regions", "/images/none"):
        page = inside.get(address, headers={"accept": "text/html"})
        assert page.status_code == 404
        assert 'href="/"' in page.text
        assert 'href="static/' not in page.text  # below another address that would lead nowhere
        assert inside.get(address).text == "Not Found"


def test_without_a_cookie_only_the_login_page_responds(shared_server: Any) -> None:
    client = shared_server.client()
    for address in addresses(shared_server):
        response = client.get(address)
        assert response.status_code == 401, address
        assert response.text == "Log in first."
        page = client.get(address, headers={"accept": "text/html"})
        assert (page.status_code, page.headers["location"]) == (303, "/login")
    assert client.post("/verdicts", json={}).status_code == 401
    assert client.post("/logout").status_code == 401
    inside = shared_server.client(shared_server.readers[0])
    assert [inside.get(address).status_code for address in addresses(shared_server)] == [200] * 7


@pytest.mark.parametrize("token", ["a" * 39, "é" * 20])
def test_a_wrong_token_or_cookie_is_refused(shared_server: Any, token: str) -> None:
    client = shared_server.client()
    response = client.get("/login", params={"token": token})
    assert response.status_code == 403
    assert "set-cookie" not in response.headers
    assert (
        client.get("/", headers={"cookie": f"inkdot_8765={shared_server.readers[0].token}"}).status_code
        == 401
    )


def test_the_login_form_takes_a_token_and_logout_deletes_the_cookie(shared_server: Any) -> None:
    client = shared_server.client()
    assert client.get("/login").status_code == 200
    assert client.post("/login", data={"token": shared_server.readers[1].token}).status_code == 303
    assert client.get("/page-key").json()["reader"] == "dr-b"
    key = client.get("/page-key").json()["page_key"]
    client.post("/logout", headers={"X-Inkdot-Page": key})
    assert client.get("/page-key").status_code == 401


@pytest.mark.parametrize(
    "host", ["evil.example:8765", "127.0.0.1.evil.example", "10.0.0.7:8765", "", "[", "x@y:z"]
)
def test_a_foreign_host_name_is_refused(shared_server: Any, host: str) -> None:
    client = shared_server.client(shared_server.readers[0])
    for address in (*addresses(shared_server), "/login", "/static/base.js"):
        assert client.get(address, headers={"host": host}).status_code == 421, address


@pytest.mark.parametrize("host", ["localhost:8765", "127.0.0.1", "[::1]:8765"])
def test_local_host_names_are_accepted(shared_server: Any, host: str) -> None:
    assert (
        shared_server.client(shared_server.readers[0]).get("/page-key", headers={"host": host}).status_code
        == 200
    )


def test_on_all_interfaces_only_ip_addresses_and_given_names_are_accepted() -> None:
    access = AccessPolicy((), "0.0.0.0", 80, ["review.hospital.example"])  # noqa: S104
    known = ["192.168.3.4", "192.168.3.4:80", "[fe80::1]:80", "Review.Hospital.example", "localhost"]
    assert [access.accepts_host(host) for host in known] == [True] * len(known)
    assert not access.accepts_host("evil.example")
    assert not AccessPolicy((), "192.168.3.4", 80).accepts_host("192.168.3.5")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9999"},  # the same site to a cookie, another to us
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"x-inkdot-page": ""},
        {"x-inkdot-page": "0" * 64},
    ],
)
def test_changes_are_accepted_from_own_pages_only(served: Any, headers: dict[str, str]) -> None:
    reader = served.readers[0]
    client = served.client(reader)
    own = {
        "origin": "http://127.0.0.1:8765",
        "sec-fetch-site": "same-origin",
        "x-inkdot-page": reader.page_key,
    }
    sent = {"key": served.regions()[0], "verdicts": {"malignancy": "benign"}, "note": ""}
    assert client.post("/verdicts", json=sent, headers=own | headers).status_code == 403
    assert served.store.latest() == []
    assert client.post("/verdicts", json=sent, headers=own).status_code == 200


def test_the_host_name_of_a_proxy_is_accepted(serve: Callable[..., Any]) -> None:
    readers = (Reader("dr-a", "a" * 40),)
    served = serve(access=AccessPolicy(readers, "127.0.0.1", 8765, ["review.hospital.example"]))
    client = served.client(readers[0])
    sent = {"key": served.regions()[0], "verdicts": {"malignancy": "benign"}, "note": ""}
    headers = {"x-inkdot-page": readers[0].page_key, "sec-fetch-site": "same-origin"}
    for origin, status in (("https://review.hospital.example", 200), ("https://hospital.example", 403)):
        response = client.post("/verdicts", json=sent, headers=headers | {"origin": origin})
        assert response.status_code == status


def test_another_reader_s_page_key_is_refused(served: Any) -> None:
    client = served.client(served.readers[0])
    sent = {"key": served.regions()[0], "verdicts": {"malignancy": "benign"}, "note": ""}
    response = client.post("/verdicts", json=sent, headers={"x-inkdot-page": served.readers[1].page_key})
    assert response.status_code == 403


@pytest.mark.parametrize(
    "address",
    [
        "/static/../access.py",
        "/static/..%2f..%2faccess.py",
        "/static/%2e%2e/access.py",
        "/static//etc/passwd",
        "/static/index.html",
        "/images/..%2f..%2fresults%2fslides.csv",
        "/images/slides.csv",
        "/slides/..%2f..%2f/tiles/8/0_0.jpg",
        "/slides/S2%20clean/tiles/8/0_0.jpg",
        "/slides/S2%20clean/layers/scores",
        "/reviews.sqlite",
        "/results/slides.csv",
    ],
)
def test_no_path_reaches_other_files(shared_server: Any, address: str) -> None:
    response = shared_server.client(shared_server.readers[0]).get(address)
    assert response.status_code == 404
    assert response.text == "Not Found"


@pytest.mark.parametrize("tile", ["99/0_0", "0/1_0", "12/5_0", "12/0_4"])
def test_tiles_outside_the_slide_are_not_found(shared_server: Any, tile: str) -> None:
    slide = next(iter(shared_server.shown.slides))
    assert (
        shared_server.client(shared_server.readers[0]).get(f"/slides/{slide}/tiles/{tile}.jpg").status_code
        == 404
    )


class Markup(HTMLParser):
    """Collects what a policy without inline code forbids, and the data block."""

    def __init__(self) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.sources: list[str] = []
        self.tag = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tag = tag if tag in {"script", "style"} and given.get("type") != "application/json" else ""
        self.inline += [f"{tag} {name}" for name in given if name.startswith("on") or name == "style"]
        if tag in {"script", "link", "img"} and (source := given.get("src") or given.get("href")):
            self.sources.append(source)

    def handle_endtag(self, tag: str) -> None:
        self.tag = ""

    def handle_data(self, data: str) -> None:
        if self.tag and data.strip():
            self.inline.append(f"{self.tag} {data[:40]}")


@pytest.mark.parametrize("page", [*PAGES, "/login"])
def test_pages_hold_no_inline_code_and_load_from_this_server_only(shared_server: Any, page: str) -> None:
    client = shared_server.client(shared_server.readers[0])
    response = client.get(page)
    policy = response.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"
    assert "server" not in response.headers
    markup = Markup()
    markup.feed(response.text)
    assert markup.inline == []
    assert len(markup.sources) > 2
    assert [client.get(f"/{source}").status_code for source in markup.sources] == [200] * len(markup.sources)


def test_names_cannot_end_the_data_block(shared_server: Any, truth: SimpleNamespace) -> None:
    text = shared_server.client(shared_server.readers[0]).get("/review").text
    assert "<img src=x" not in text
    assert text.count("</script>") == text.count("<script")
    assert "O'Neil \\u0026 {{facts}} %2e%2e `S1`" in text


def test_no_response_holds_folder_names(served: Any, results: RunLayout) -> None:
    client = served.client(served.readers[0])
    slide = next(iter(served.shown.slides))
    texts = [client.get(page).text for page in PAGES]
    assert "S3 broken" in texts[0]
    served.shown.slides[slide].entry.path.unlink()
    refused = client.get(f"/slides/{slide}/tiles/3/0_0.jpg")
    assert refused.status_code == 422
    texts += [
        refused.text,
        *(client.get(f"/slides/{slide}/{what}").text for what in ("layers/scores", "regions")),
    ]
    for word in (str(results.root.parent), "the folder of slides", results.root.parent.name):
        assert [text for text in texts if word in text] == [], word


def test_label_and_macro_images_have_no_route(shared_server: Any) -> None:
    known = {route.path for route in shared_server.asgi._app.routes}
    assert known == {
        "/", "/review", "/login", "/logout", "/verdicts", "/page-key", "/verdicts.csv", "/static/{name}",
        "/images/{name}", "/slides/{slide}/tiles/{level:int}/{column:int}_{row:int}.jpg",
        "/slides/{slide}/regions", "/slides/{slide}/layers/{layer}",
    }  # fmt: skip


def test_openseadragon_has_the_stated_hash(repository: Path) -> None:
    import hashlib

    vendor = repository / "src/inkdot/review/assets/vendor"
    stated = re.findall(r"`([0-9a-f]{64})`", (vendor / "README.md").read_text(encoding="utf-8"))
    found = hashlib.sha256((vendor / "openseadragon.min.js").read_bytes()).hexdigest()
    assert stated == [found]
    assert "Neither the name of CodePlex Foundation" in (vendor / "openseadragon.LICENSE.txt").read_text(
        encoding="utf-8"
    )


def test_the_token_file_is_private_to_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "tokens.csv"
    readers = make_readers(["dr-a", "dr-b"], read_tokens(path))
    assert len({reader.token for reader in readers}) == 2
    assert min(len(reader.token) for reader in readers) >= 40
    write_tokens(path, readers)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert make_readers(["dr-b", "dr-a"], read_tokens(path)) == readers[::-1]


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        ("reader,token\ndr-a,short\n", 0o600, "at least 20 characters, found 5"),
        (f"reader,token\ndr-a,{'x' * 40}\ndr-b,{'x' * 40}\n", 0o600, "every reader and every token once"),
        (f"reader,token\n,{'x' * 40}\n", 0o600, "1 to 60 printable characters"),
        (f"reader,token\ndr-a,{'x' * 40}\n", 0o644, "only you can read"),
        ("name,secret\n", 0o600, "expected the columns reader, token, found name, secret"),
    ],
)
def test_a_bad_table_of_tokens_is_refused(tmp_path: Path, text: str, mode: int, message: str) -> None:
    path = tmp_path / "tokens.csv"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    with pytest.raises(UserError, match=message):
        read_tokens(path)


def test_a_repeated_reader_name_is_refused() -> None:
    with pytest.raises(UserError, match="every name once"):
        make_readers(["dr-a", " dr-a "])


def test_a_public_address_needs_a_token_file(results: RunLayout) -> None:
    with pytest.raises(UserError, match="expected --tokens FILE"):
        review_serve.run(results.root, settings=ServeSettings(), host="0.0.0.0")  # noqa: S104
    assert [is_loopback(host) for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "192.168.1.1", "hospital.example")] == [False] * 4  # noqa: S104


def test_a_port_in_use_is_reported(results: RunLayout) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(UserError, match="a free port, found"),
    ):
        review_serve.run(results.root, settings=ServeSettings(), port=taken.getsockname()[1])


def test_verdicts_on_another_model_are_counted_on_the_terminal(
    results: RunLayout, capsys: pytest.CaptureFixture[str]
) -> None:
    store = VerdictStore(results.reviews_sqlite)
    own = served_results(results.root, ServeSettings()).study
    for study in (own, replace(own, model_sha256="0" * 64)):
        place = "POLYGON ((0 0, 9 0, 9 9, 0 9, 0 0))"
        entry = {"verdicts": {}, "note": {"text": "x", "time": "2026-01-01T00:00:00Z"}}
        store.record(Change("dr-a", study, "r1", "s1", place, 1, 0.5, entry, False, "2026-01-01T00:00:00Z"))
    store.close()
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UserError):
        review_serve.run(results.root, settings=ServeSettings(), port=taken.getsockname()[1])
    assert "another model's regions or in another order (regions: 1)" in capsys.readouterr().err


def test_token_cookie_and_page_key_differ() -> None:
    reader = Reader("dr-a", "a" * 40)
    assert len({reader.token, reader.cookie, reader.page_key}) == 3
    assert (
        reader.cookie == Reader("another name", "a" * 40).cookie
    )  # by the token alone, whatever one is called
