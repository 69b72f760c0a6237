"""Pages over HTTP, through all of the channel but its socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyd2.control.http_pages import HttpPages, page
from pyd2.control.http_session import HttpService
from tests.control.http_fakes import (
    ADMIN,
    READER,
    HttpEnd,
    HttpLines,
    basic,
    body_of,
    command,
    http_socket,
    normalised,
    status_of,
)

if TYPE_CHECKING:
    from pyd2.config.model import HttpClient
    from pyd2.control.http_pages import PageRequest
    from pyd2.control.http_response import Response


def end_with_pages(*clients: HttpClient) -> HttpEnd:
    end = HttpEnd(http_socket(0, *clients))
    sources = {"/page": accepted, "/role": role, "/parts/*": path}
    end.service.pages = HttpPages(sources)
    end.session = end.service.session("192.0.2.7", tls=False)
    return end


def accepted(request: PageRequest) -> Response:
    return page("text/plain", (b"one ", request.headers.get("accept", "-").encode()))


def role(request: PageRequest) -> Response:
    return page("text/plain", (request.role.encode(),))


def path(request: PageRequest) -> Response:
    return page("text/plain", (f"{request.path} {request.query}".encode(),))


def get(target: str = "/page", *headers: str, version: str = "HTTP/1.1") -> bytes:
    return "\r\n".join([f"GET {target} {version}", "Host: 127.0.0.1", *headers, "", ""]).encode("latin-1")


def test_a_page_comes_with_its_headers() -> None:
    end = end_with_pages()
    assert normalised(end.ask(get("/page?x=1", "Accept: two"))) == (
        "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 7\r\n"
        "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\nContent-Type: text/plain\r\n"
        "Cross-Origin-Resource-Policy: same-origin\r\nDate: @DATE@\r\nReferrer-Policy: no-referrer\r\n"
        "X-Content-Type-Options: nosniff\r\n\r\none two"
    )
    assert not end.session.closing


@pytest.mark.parametrize(("host", "headers", "status"), [
    ("127.0.0.1:8000", ["Origin: http://127.0.0.1:8000"], 200),
    ("127.0.0.1:8000", ["Origin: http://attacker.example", "Sec-Fetch-Site: cross-site"], 403),
    ("attacker.example", ["Origin: http://attacker.example", "Sec-Fetch-Site: same-origin"], 421),
    ("attacker.example", [], 200),
])  # fmt: skip
def test_a_browser_sends_commands_from_the_page_only(host: str, headers: list[str], status: int) -> None:
    """A name that leads here may be an attacker's; a program that is no browser says no origin."""
    end = end_with_pages()
    request = command("version-get", *headers).replace(b"Host: localhost", f"Host: {host}".encode())
    assert status_of(end.ask(request)) == status
    assert len(end.requests) == (status == 200)
    assert not end.session.closing


@pytest.mark.parametrize(("clients", "headers", "status"), [
    ((), ["Origin: http://attacker.example"], 421), ((), [], 200),
    ((ADMIN,), ["Origin: http://attacker.example", basic(ADMIN)], 200),
])  # fmt: skip
def test_without_a_page_it_sends_none_where_no_password_is_asked_for(
    clients: tuple[HttpClient, ...], headers: list[str], status: int
) -> None:
    """A site on the web that has made its own name lead here is no other site for the browser."""
    end = HttpEnd(http_socket(0, *clients))
    request = command("shutdown", *headers).replace(b"Host: localhost", b"Host: attacker.example:8000")
    assert status_of(end.ask(request)) == status
    assert len(end.requests) == (status == 200)
    assert bool(end.log.texts("PYD2_HTTP_REQUEST_REFUSED")) == (status == 421)


def test_pages_and_commands_follow_each_other() -> None:
    end = end_with_pages()
    assert status_of(end.ask(get() + command("version-get") + get("/none"))) == 200
    assert b'"result": 0' in (end.resume() or b"")
    assert status_of(end.resume()) == 404
    assert end.resume() is None
    assert end.session.idle


@pytest.mark.parametrize("client", [ADMIN, READER])
def test_every_client_may_read(client: HttpClient) -> None:
    end = end_with_pages(ADMIN, READER)
    assert status_of(end.ask(get("/page", basic(client)))) == 200


def test_a_page_knows_the_role_of_its_client() -> None:
    end = end_with_pages(ADMIN, READER)
    assert body_of(end.ask(get("/role", basic(ADMIN)))) == "all"
    assert body_of(end.ask(get("/role", basic(READER)))) == "read"
    assert body_of(end_with_pages().ask(get("/role"))) == "all"


def test_a_page_may_have_all_paths_below_it() -> None:
    end = end_with_pages()
    assert body_of(end.ask(get("/parts/x%2Fy?q=1?2"))) == "/parts/x%2Fy q=1?2"
    assert body_of(end.ask(get("/parts/"))) == "/parts/ "
    for target in ("/parts", "/parts/x/y", "/", "//"):
        assert status_of(end.ask(get(target))) == 404


def test_a_stranger_may_not() -> None:
    end = end_with_pages(ADMIN)
    for headers in ([], [basic(READER)]):
        response = end.ask(get("/none", *headers))
        assert status_of(response) == 401
        assert b'WWW-Authenticate: Basic realm="kea-dhcp-ddns-server"' in (response or b"")


@pytest.mark.parametrize(
    "request_",
    [
        get("/page", "Content-Length: 1") + b"x",
        get("/page", "Transfer-Encoding: chunked"),
        get("/page").replace(b"GET", b"HEAD"),
        get("/page").replace(b"GET", b"OPTIONS"),
        get("/page").replace(b"GET", b"PUT"),
    ],
)
def test_nothing_but_a_plain_get_is_a_page(request_: bytes) -> None:
    end = end_with_pages()
    assert status_of(end.ask(request_)) == 400
    assert end.session.closing


def test_as_with_kea_there_are_no_pages_unless_asked_for() -> None:
    end = HttpEnd()
    assert status_of(end.ask(get())) == 400


def test_a_connection_that_stays_gets_what_a_new_configuration_shows() -> None:
    end = end_with_pages()
    assert status_of(end.ask(get())) == 200
    without = HttpService(http_socket(), end._process, HttpLines())
    without.adopt(end.session)
    assert status_of(end.ask(get())) == 400


def test_a_page_in_the_log_is_short() -> None:
    end = end_with_pages()
    end.ask(get("/page", "Accept: " + "y" * 3000, "Authorization: Basic c2VjcmV0"))
    (text,) = end.log.texts("HTTP_SERVER_RESPONSE_SEND_DETAILS")
    assert len(text) < 1500
    assert not any("c2VjcmV0" in text for _, text in end.log.lines)
