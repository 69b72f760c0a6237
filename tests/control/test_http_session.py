"""Requests over HTTP, through all of the channel but its socket: responses to the byte, and the log."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.config.model import HttpClient
from pyd2.control.framing import MAX_REQUEST
from pyd2.control.http_head import MAX_HEAD
from pyd2.control.http_request import STRANGER_BODY
from pyd2.data.element import Element, from_plain
from pyd2.data.text import to_text
from pyd2.errors import BridgeError
from tests.control.http_fakes import (
    ADMIN,
    READER,
    HttpEnd,
    at_once,
    body_of,
    command,
    http_socket,
    normalised,
    post,
    status_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BAD = (
    "HTTP/{} 400 Bad Request\r\nContent-Length: 40\r\nContent-Type: application/json\r\nDate: @DATE@\r\n\r\n"
    '{{ "result": 400, "text": "Bad Request" }}'
)
NULL = '[ { "result": 1, "text": "Command processing failed: NULL command parameter" } ]'
RESET = '[ { "result": 0, "text": "All statistics reset to neutral values." } ]'


def basic(credential: str) -> str:
    return f"Authorization: Basic {base64.b64encode(credential.encode()).decode()}"


def test_a_command_is_answered_with_a_list_of_one() -> None:
    end = HttpEnd()
    assert normalised(end.ask(command("statistic-reset-all"))) == (
        "HTTP/1.1 200 OK\r\nContent-Length: 70\r\nContent-Type: application/json\r\nDate: @DATE@\r\n\r\n"
        + RESET
    )
    assert not end.session.closing
    assert end.session.idle
    assert [to_text(request) for request in end.requests] == [
        '{ "command": "statistic-reset-all", "remote-address": "192.0.2.7" }'
    ]
    assert [line for line in end.log.lines if "DETAILS" not in line[0]] == [
        ("HTTP_DATA_RECEIVED", "received 124 bytes from 192.0.2.7"),
        ("HTTP_CLIENT_REQUEST_RECEIVED", "received HTTP request from 192.0.2.7"),
        ("COMMAND_RECEIVED", "Received command 'statistic-reset-all'"),
        ("HTTP_SERVER_RESPONSE_SEND", "sending HTTP response HTTP/1.1 200 OK to 192.0.2.7"),
    ]


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (
            '{ "command": "make-coffee" }',
            '[ { "result": 2, "text": "\'make-coffee\' command not supported." } ]',
        ),
        (
            "[1]",
            (
                '[ { "result": 1, "text": "Error during command processing: invalid command: expected '
                'toplevel entry '
                'to be a map, got list instead" } ]'
            ),
        ),
        (
            "{}",
            (
                '[ { "result": 1, "text": "Error during command processing: invalid command: does not '
                'contain '
                "mandatory 'command'\" } ]"
            ),
        ),
        (
            '{ "command": "x", "y": 1 }',
            (
                '[ { "result": 1, "text": "Error during command processing: invalid command: '
                "unsupported parameter 'y'\" } ]"
            ),
        ),
        ("", NULL),
        ('{ "command": "statistic-reset-all", "service": "Ddns", "remote-address": 5 }', RESET),
    ],
)
def test_errors_of_commands_are_no_errors_of_http(body: str, answer: str) -> None:
    end = HttpEnd()
    response = end.ask(post(body))
    assert (status_of(response), body_of(response), end.session.closing) == (200, answer, False)


@pytest.mark.parametrize(
    ("version", "header", "answered", "closing"),
    [
        ("HTTP/1.1", "X: y", "1.1", False),
        ("HTTP/1.1", "Connection: close", "1.1", True),
        ("HTTP/1.0", "X: y", "1.0", True),
        ("HTTP/1.0", "Connection: keep-alive", "1.0", False),
        ("HTTP/2.0", "X: y", "1.0", False),
        ("HTTP/0.9", "X: y", "1.0", True),
    ],
)
def test_the_version_of_a_response_and_the_end_of_the_connection(
    version: str,
    header: str,
    answered: str,
    closing: bool,
) -> None:
    end = HttpEnd()
    response = end.ask(command("list-commands", header, version=version))
    assert normalised(response).startswith(f"HTTP/{answered} 200 OK\r\n")
    assert end.session.closing is closing


@pytest.mark.parametrize(
    ("request_bytes", "version", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "1.1", "use of HTTP GET not allowed"),
        (b"OPTIONS / HTTP/1.1\r\nOrigin: http://evil.test\r\n\r\n", "1.1", "use of HTTP OPTIONS not allowed"),
        (b"FOO / HTTP/1.0\r\n\r\n", "1.0", "unknown HTTP method FOO"),
        (b"\r\nPOST / HTTP/1.1\r\n\r\n", "1.0", "unknown HTTP method "),
        (b"\x16\x03\x01\x02\x00\x01\x00", "1.0", "unknown HTTP method "),
        (
            b"POST / HTTP/1.1\nContent-Length: 0\n\n",
            "1.1",
            "required header content-length not found in the HTTP request",
        ),
        (
            b"POST / HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{",
            "1.1",
            "required header content-length not found in the HTTP request",
        ),
        (
            command("shutdown").replace(b"json", b"json; charset=utf-8"),
            "1.1",
            (
                "required header's content-type value is application/json, "
                "but application/json; charset=utf-8 was found"
            ),
        ),
        (
            command("shutdown").replace(b"application/json", b"text/plain"),
            "1.1",
            "required header's content-type value is application/json, but text/plain was found",
        ),
    ],
)
def test_what_is_no_request_for_kea_is_refused_and_the_connection_ends(
    request_bytes: bytes,
    version: str,
    reason: str,
) -> None:
    """A page in a browser can send none of the requests that are taken: it would have to ask by OPTIONS."""
    end = HttpEnd()
    assert normalised(end.ask(request_bytes)) == BAD.format(version)
    assert end.session.closing
    assert end.requests == []
    assert end.log.texts("HTTP_BAD_CLIENT_REQUEST_RECEIVED") == [
        f"bad request received from 192.0.2.7: {reason}"
    ]
    assert end.log.texts("PYD2_HTTP_REQUEST_REFUSED") == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{x}", "String expected in <string>:1:3"),
        ('{ "command": "x" } // y', "Extra data in <string>:1:20"),
        ("[" * 200 + "]" * 200, "fromJSON elements nested too deeply"),
    ],
)
def test_a_body_that_is_no_json_leaves_the_connection_open(body: str, reason: str) -> None:
    end = HttpEnd()
    assert normalised(end.ask(post(body) + b"what comes behind it is lost")) == BAD.format("1.1")
    assert not end.session.closing
    assert end.resume() is None
    assert end.log.texts("HTTP_BAD_CLIENT_REQUEST_RECEIVED") == [
        f"bad request received from 192.0.2.7: unable to parse the body of the HTTP request: {reason}"
    ]
    assert body_of(end.ask(command("statistic-reset-all"))) == RESET


@pytest.mark.parametrize(
    "broken",
    [
        b"foo\r\n\r\n",
        b"X : y\r\n\r\n",
        b"X:\ty\r\n\r\n",
        b"\n",
        b"X: y\n\n",
    ],
)
def test_a_fault_behind_the_required_headers_makes_the_body_empty(broken: bytes) -> None:
    """As with Kea. But what comes behind it is never a request, whenever it comes."""
    end = HttpEnd()
    head = b"POST / HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 31\r\n"
    assert body_of(end.ask(head + broken + b'{ "command": "list-commands" }')) == NULL
    assert end.resume() is None
    assert (end.session.closing, end.session.deaf, end.session.idle) == (False, True, True)
    assert end.ask(command("statistic-reset-all")) is None
    assert end.requests == []


def test_a_length_that_is_no_number_makes_the_body_empty() -> None:
    end = HttpEnd()
    request = command("list-commands").replace(b"Content-Length: 30", b"Content-Length: x")
    assert b"Length: x" in request
    assert body_of(end.ask(request)) == NULL
    assert end.resume() is None


def test_requests_in_one_packet_are_answered_one_after_the_other() -> None:
    """Kea loses all but the first."""
    end = HttpEnd()
    first = end.ask(
        command("statistic-reset-all") + command("make-coffee") + command("statistic-reset-all")[:50]
    )
    assert body_of(first) == RESET
    assert "make-coffee" in body_of(end.resume())
    assert end.resume() is None
    assert not end.session.idle
    assert body_of(end.ask(command("statistic-reset-all")[50:])) == RESET


def test_a_request_in_single_bytes() -> None:
    end = HttpEnd()
    *start, last = (bytes([byte]) for byte in command("statistic-reset-all"))
    assert [end.ask(byte) for byte in start] == [None] * len(start)
    assert end.session.in_body
    assert body_of(end.ask(last)) == RESET


# What is refused that Kea takes.


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (["Content-Length: 5"], "it has more than one Content-Length"),
        (["Transfer-Encoding: chunked"], "it has both Content-Length and Transfer-Encoding"),
        (["Transfer-Encoding: identity"], "it has both Content-Length and Transfer-Encoding"),
        (["Host: elsewhere"], "Found multiple Host: headers"),
    ],
)
def test_requests_whose_end_others_may_see_elsewhere_are_refused(headers: list[str], reason: str) -> None:
    end = HttpEnd()
    response = end.ask(command("shutdown", *headers) + command("shutdown"))
    assert normalised(response) == BAD.format("1.1")
    assert end.session.closing
    assert end.requests == []
    assert end.log.texts("PYD2_HTTP_REQUEST_REFUSED") == [
        f"refused a request over HTTP from 192.0.2.7: {reason}"
    ]
    assert end.log.texts("HTTP_BAD_CLIENT_REQUEST_RECEIVED") == []


def test_the_same_length_twice_is_taken() -> None:
    assert status_of(HttpEnd().ask(command("list-commands", "Content-Length: 30"))) == 200


def test_a_head_that_is_too_long() -> None:
    end = HttpEnd()
    response = end.ask(b"POST / HTTP/1.1\r\nX: " + b"a" * MAX_HEAD)
    assert status_of(response) == 431
    assert body_of(response) == '{ "result": 431, "text": "Request Header Fields Too Large" }'
    assert end.session.closing


@pytest.mark.parametrize("length", [MAX_REQUEST + 1, 10**19, -1])
def test_a_body_that_is_too_long_is_refused_before_it_comes(length: int) -> None:
    end = HttpEnd()
    head = f"POST / HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    response = end.ask(head.encode())
    assert body_of(response) == '{ "result": 413, "text": "Content Too Large" }'
    assert end.session.closing


def test_long_bodies_share_their_memory() -> None:
    end = HttpEnd()
    head = f"POST / HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {MAX_REQUEST}\r\n\r\n"
    others = [end.service.session("192.0.2.8", tls=False) for _ in range(4)]
    for other in others:
        assert other.receive(head.encode()) is None
    assert status_of(end.ask(head.encode())) == 503
    assert end.session.closing
    [text] = end.log.texts("PYD2_HTTP_REQUEST_REFUSED")
    assert text.endswith(f"no memory for {MAX_REQUEST} bytes beside the long bodies of other requests")
    short = end.service.session("192.0.2.7", tls=False)
    assert status_of(at_once(short.receive(command("list-commands")))) == 200
    others[0].close()
    others[0].close()
    assert end.service.session("192.0.2.7", tls=False).receive(head.encode()) is None
    assert status_of(at_once(end.service.session("192.0.2.7", tls=False).receive(head.encode()))) == 503
    others[1].timed_out()
    third = end.service.session("192.0.2.7", tls=False)
    assert third.receive(head.encode()) is None
    assert status_of(at_once(third.receive(b"[" + b" " * (MAX_REQUEST - 2) + b"]"))) == 200
    assert end.service.session("192.0.2.7", tls=False).receive(head.encode()) is None


def test_a_body_with_too_many_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyd2.control.http_session.MAX_VALUES", 1000)
    end = HttpEnd()
    response = end.ask(post("[" + "0," * 1000 + "0]"))
    assert status_of(response) == 413
    assert end.log.texts("PYD2_HTTP_REQUEST_REFUSED") == [
        "refused a request over HTTP from 192.0.2.7: request holds more than 1000 values"
    ]


def test_a_long_body_of_a_stranger_is_not_read() -> None:
    end = HttpEnd(http_socket(0, ADMIN))
    body = '{ "command": "list-commands", "arguments": "' + "x" * STRANGER_BODY + '" }'
    response = end.ask(post(body, basic("admin:wrong")))
    assert status_of(response) == 401
    assert end.session.closing
    assert end.log.texts("HTTP_CLIENT_REQUEST_NOT_AUTHORIZED") != []
    other = HttpEnd(http_socket(0, ADMIN))
    assert status_of(other.ask(post(body, basic("admin:s3cret")))) == 200


# Time.


def test_a_request_that_does_not_come() -> None:
    end = HttpEnd()
    assert normalised(end.session.timed_out()) == (
        "HTTP/1.0 408 Request Timeout\r\nContent-Length: 44\r\nContent-Type: application/json\r\n"
        "Date: @DATE@\r\n"
        '\r\n{ "result": 408, "text": "Request Timeout" }'
    )
    assert end.session.closing


def test_half_a_head_and_half_a_body() -> None:
    end = HttpEnd()
    assert end.ask(b"POST / HTTP/1.1\r\nX") is None
    assert normalised(end.session.timed_out()).startswith("HTTP/1.1 408 ")
    assert end.session.closing
    end = HttpEnd()
    assert end.ask(command("list-commands")[:-1]) is None
    assert normalised(end.session.timed_out()).startswith("HTTP/1.1 408 ")
    assert not end.session.closing
    assert (end.session.idle, end.session.in_body) == (True, False)
    # The late rest of a body is no request.
    assert end.ask(b"}" + command("shutdown")) is None
    assert end.resume() is None
    assert end.requests == []


# Authentication.


@pytest.mark.parametrize(
    ("header", "log"),
    [
        (
            "X: y",
            "HTTP_CLIENT_REQUEST_NO_AUTH_HEADER received HTTP request without required authentication header",
        ),
        (
            "Authorization:",
            (
                "HTTP_CLIENT_REQUEST_BAD_AUTH_HEADER received HTTP request with malformed authentication "
                "header: header content is too short"
            ),
        ),
        (
            "Authorization: Bearer YWRtaW46czNjcmV0",
            (
                "HTTP_CLIENT_REQUEST_BAD_AUTH_HEADER received HTTP request with "
                "malformed authentication header: not basic authentication"
            ),
        ),
        (
            "Authorization: Basic !!!!!!",
            (
                "HTTP_CLIENT_REQUEST_NOT_AUTHORIZED received HTTP request with not matching "
                "authentication header"
            ),
        ),
        (
            basic("admin:x"),
            (
                "HTTP_CLIENT_REQUEST_NOT_AUTHORIZED received HTTP request with not matching "
                "authentication header"
            ),
        ),
        (
            basic("admin:s3cret") + "\xff",
            (
                "HTTP_CLIENT_REQUEST_NOT_AUTHORIZED received HTTP request with not matching "
                "authentication header"
            ),
        ),
    ],
)
def test_strangers_learn_the_realm(header: str, log: str) -> None:
    end = HttpEnd(http_socket(0, ADMIN))
    assert normalised(end.ask(command("shutdown", header))) == (
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 41\r\nContent-Type: application/json\r\n"
        'Date: @DATE@\r\nWWW-Authenticate: Basic realm="kea-dhcp-ddns-server"\r\n\r\n'
        '{ "result": 401, "text": "Unauthorized" }'
    )
    assert not end.session.closing
    assert end.requests == []
    assert " ".join(end.log.take("HTTP_CLIENT_REQUEST_")[-1]) == log


@pytest.mark.parametrize(
    "header",
    [
        basic("admin:s3cret"),
        basic("admin:s3cret").replace("Basic", "bASIC"),
        "Authorization:    Basic     YWRtaW46czNjcmV0   ",
    ],
)
def test_a_client_is_known_by_its_credential(header: str) -> None:
    end = HttpEnd(http_socket(0, HttpClient("other", "", "all"), ADMIN))
    assert body_of(end.ask(command("statistic-reset-all", header))) == RESET
    assert end.log.texts("HTTP_CLIENT_REQUEST_AUTHORIZED") == ["received HTTP request authorized for 'admin'"]


def test_bad_json_is_found_before_the_missing_password() -> None:
    end = HttpEnd(http_socket(0, ADMIN))
    assert status_of(end.ask(post("{"))) == 400
    assert status_of(end.ask(command("shutdown"))) == 401


def test_octets_of_a_realm_that_are_no_utf_8_stay_as_in_kea() -> None:
    r"""A file's escape \u00e9 is one octet for Kea."""
    config = http_socket(0, ADMIN, realm="caf\udce9", headers=[("X", "\udce9\x7f")])
    found = HttpEnd(config).ask(command("x"))
    assert found is not None
    assert b'WWW-Authenticate: Basic realm="caf\xe9"\r\nX: \xe9\r\n' in found


def test_the_realm_is_escaped() -> None:
    """Kea's header would be broken."""
    end = HttpEnd(http_socket(0, ADMIN, realm='a"b\\c\r\nX: y'))
    assert 'WWW-Authenticate: Basic realm="a\\"b\\\\cX: y"\r\n' in normalised(end.ask(command("shutdown")))


def test_authentication_without_clients_lets_all_in() -> None:
    config = http_socket(0, ADMIN)
    assert config.authentication is not None
    open_to_all = config.authentication.__class__("realm", ())
    end = HttpEnd(config.__class__(config.address, 0, None, open_to_all, (), config.element))
    assert status_of(end.ask(command("list-commands"))) == 200


def test_headers_of_the_configuration_are_added_in_order_of_their_names() -> None:
    headers = [
        ("X-B", "2"),
        ("x-a", "1"),
        ("Allow", "POST"),
        ("content-type", "text/x"),
        ("X-B", "3\r\nX: y"),
    ]
    end = HttpEnd(http_socket(0, headers=headers))
    for request in (command("statistic-reset-all"), b"\r"):
        head, _, _ = normalised(end.ask(request)).partition("\r\n\r\n")
        assert [line for line in head.split("\r\n")[1:] if not line.startswith("Content-Length: ")] == [
            "Allow: POST",
            "content-type: text/x",
            "Date: @DATE@",
            "x-a: 1",
            "X-B: 3X: y",
        ]


# Roles.


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("config-get", 200),
        ("statistic-get-all", 200),
        ("config-hash-get", 200),
        ("list-commands", 200),
        ("build-report", 200),
        ("config-test", 200),
        ("pyd2-queue-list", 200),
        ("my_own_get", 200),
        ("shutdown", 403),
        ("config-set", 403),
        ("config-reload", 403),
        ("config-write", 403),
        ("statistic-reset", 403),
        ("reset-getter", 403),
        ("make-coffee", 403),
        ("", 403),
        ("get\nshutdown", 403),
    ],
)
def test_a_client_that_may_only_read(
    name: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # config-write writes there
    end = HttpEnd(http_socket(0, READER, ADMIN))
    body = to_text(Element({"command": Element(name)}))
    response = end.ask(post(body, basic("reader:look")))
    assert status_of(response) == status
    assert len(end.requests) == (status == 200)
    if status == 403:
        assert body_of(response) == '{ "result": 403, "text": "Forbidden" }'
        assert end.log.texts("PYD2_HTTP_FORBIDDEN") == [
            f"refused command '{name}' of HTTP client 'reader' from 192.0.2.7: its role 'read' may only read"
        ]
    assert not end.session.closing
    assert status_of(end.ask(post(body, basic("admin:s3cret")))) == 200


def test_what_is_no_command_changes_nothing_so_every_client_may_send_it() -> None:
    end = HttpEnd(http_socket(0, READER))
    for body in ("[1]", "{}", '{ "command": 5 }', ""):
        assert status_of(end.ask(post(body, basic("reader:look")))) == 200


def test_a_client_that_may_only_read_sees_no_secret() -> None:
    config = (
        '{ "DhcpDdns": { "tsig-keys": [ { "name": "k.", "secret": "bm90IHZlcnkgc2VjcmV0" } ], '
        '"hooks-libraries": [ { "library": "x.py", "parameters": { "tokens": { "a": "Of-The-Library" } } } ] '
        "} }"
    )

    def ask(credential: str) -> str:
        end = HttpEnd(http_socket(0, READER, ADMIN))
        end.channel.server.text = config
        return body_of(end.ask(command("config-get", basic(credential))))

    for secret in ("bm90IHZlcnkgc2VjcmV0", "Of-The-Library"):
        assert secret in ask("admin:s3cret")
        assert secret not in ask("reader:look")
    assert '"secret": "*****"' in ask("reader:look")


# Messages.


def test_no_message_shows_a_credential_or_a_secret() -> None:
    secret = "bm90IHZlcnkgc2VjcmV0"
    config = f'{{ "DhcpDdns": {{ "tsig-keys": [ {{ "name": "k.", "secret": "{secret}" }} ] }} }}'
    end = HttpEnd(http_socket(0, ADMIN))
    end.channel.server.text = config
    body = f'{{ "command": "config-set", "arguments": {config} }}'
    for request in (
        command("config-get", basic("admin:s3cret")),
        post(body, basic("admin:s3cret")),
        post("{", basic("admin:s3cret")),
        command("list-commands", "Cookie: s3cret"),
    ):
        assert end.ask(request) is not None
    shown = "\n".join(text for _, text in end.log.lines)
    assert "HTTP/1.1\r\nHost: localhost\r\n" in shown
    assert "Authorization: *****" in shown
    for hidden in (secret, "s3cret", "YWRtaW46czNjcmV0"):
        assert hidden not in shown


def test_long_requests_are_shortened_in_messages() -> None:
    end = HttpEnd()
    end.ask(command("list-commands", "X: " + "y" * 2000))
    (text,) = end.log.texts("HTTP_CLIENT_REQUEST_RECEIVED_DETAILS")
    assert text.endswith("y.........\n(truncating HTTP message larger than 1024 characters)\n")


def test_the_log_is_written_before_the_response_leaves() -> None:
    seen: list[int] = []
    end = HttpEnd()
    end.service.written = lambda: seen.append(len(end.log.lines))
    end.ask(command("list-commands"))
    assert seen == [len(end.log.lines)]


# Hook libraries.


class Hooks:
    """A use of hook libraries that notes its calls, and changes what a test wants."""

    def __init__(
        self,
        auth: Callable[[Element, Element | None], tuple[Element, Element | None]] = lambda *given: given,
        response: Callable[[Element, Element], Element] = lambda _, given: given,
    ) -> None:
        self._auth = auth
        self._response = response
        self.over = False
        self.calls: list[str] = []

    def auth(self, request: Element, response: Element | None) -> tuple[Element, Element | None]:
        self.calls.append(
            "auth " + to_text(request) + (" None" if response is None else f" {to_text(response)}")
        )
        return self._auth(request, response)

    def response(self, request: Element, response: Element) -> Element:
        self.calls.append(f"response {to_text(response)}")
        return self._response(request, response)

    def end(self) -> None:
        self.calls.append("end")


def of(status: int, text: str) -> Element:
    headers = Element({"X-Y": Element("z")})
    return Element({"status": Element(status), "headers": headers, "body": Element(text)})


@pytest.mark.parametrize("point", ["auth", "response"])
def test_what_libraries_leave_and_cannot_be_used_costs_one_request(point: str) -> None:
    """A compiled library may set an argument of another C++ type, which ends Kea's server."""

    def fail(*_: object) -> Any:
        raise BridgeError("bad any_cast")

    hooks = Hooks(**{point: fail})
    end = HttpEnd(hooks=lambda: hooks)
    found = end.ask(command("list-commands"))
    assert status_of(found) == 500
    assert body_of(found) == '{ "result": 500, "text": "Internal Server Error" }'
    assert hooks.calls[-1] == "end"
    assert len(end.requests) == (0 if point == "auth" else 1), "what a library may refuse is not carried out"
    (text,) = end.log.texts("PYD2_HOOK_HTTP_FAULT")
    assert text.endswith("so the client at 192.0.2.7 gets 500: bad any_cast")
    assert not end.session.closing


def test_a_response_without_a_body() -> None:
    none = from_plain({"status": 403, "headers": {}, "body": None})
    end = HttpEnd(hooks=lambda: Hooks(auth=lambda request, _: (request, none)))
    assert body_of(end.ask(command("list-commands"))) == ""


def test_what_hook_libraries_see() -> None:
    hooks = Hooks()
    end = HttpEnd(http_socket(0, ADMIN), lambda: hooks, tls=True)
    end.ask(post('{ "command": "statistic-reset-all" }', basic("admin:s3cret"), target="/x?y"))
    request = (
        '{ "body": { "command": "statistic-reset-all", "remote-address": "192.0.2.7" }, "headers": '
        '{ "authorization": "Basic YWRtaW46czNjcmV0", "content-length": "36", "content-type": '
        '"application/json", "host": "localhost" }, "method": "POST", "path": "/x?y", '
        '"remote-address": "192.0.2.7", "tls": true, '
        '"user": "admin", "version": "1.1" }'
    )
    response = f'{{ "body": {RESET}, "headers": {{  }}, "status": 200 }}'
    assert hooks.calls == [f"auth {request} None", f"response {response}", "end"]


def test_a_response_that_a_library_sets_is_sent_and_that_is_all() -> None:
    hooks = Hooks(auth=lambda request, _: (request, of(403, "no")))
    end = HttpEnd(hooks=lambda: hooks)
    response = end.ask(command("shutdown"))
    assert normalised(response) == (
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\nContent-Type: application/json\r\nDate: @DATE@\r\n"
        'X-Y: z\r\n\r\n"no"'
    )
    assert end.requests == []
    assert [call.split()[0] for call in hooks.calls] == ["auth", "end"]


def test_a_library_may_let_a_stranger_in() -> None:
    hooks = Hooks(auth=lambda request, _: (request, None))
    end = HttpEnd(http_socket(0, ADMIN), lambda: hooks)
    assert body_of(end.ask(command("statistic-reset-all"))) == RESET
    assert '"status": 401' in hooks.calls[0]
    long = '{ "command": "list-commands", "arguments": "' + "x" * STRANGER_BODY + '" }'
    assert status_of(end.ask(post(long))) == 200


@pytest.mark.parametrize(("headers", "keeps"), [([], False), ([basic("admin:s3cret")], True)])
def test_a_stranger_keeps_no_place_though_libraries_may_let_it_in(headers: list[str], keeps: bool) -> None:
    """Else strangers with slow bodies would shut all others out."""
    hooks = Hooks(auth=lambda request, _: (request, None))
    end = HttpEnd(http_socket(0, ADMIN), lambda: hooks)
    assert end.ask(command("list-commands", *headers)[:-1]) is None
    assert end.session.in_body
    assert end.session.keeps_place is keeps


def test_a_library_may_change_the_request() -> None:
    def change(request: Element, response: Element | None) -> tuple[Element, Element | None]:
        members = request.map_value()
        return Element({**members, "body": Element({"command": Element("make-coffee")})}), response

    end = HttpEnd(hooks=lambda: Hooks(auth=change))
    assert "make-coffee" in body_of(end.ask(command("shutdown")))


def test_a_library_may_change_the_response() -> None:
    end = HttpEnd(hooks=lambda: Hooks(response=lambda *_: of(418, "tea")))
    assert normalised(end.ask(command("list-commands"))).startswith("HTTP/1.1 418 Unknown\r\n")


def test_libraries_see_no_request_that_is_refused_before() -> None:
    hooks = Hooks()
    end = HttpEnd(hooks=lambda: hooks)
    end.ask(post("{"))
    end.ask(b"GET / HTTP/1.1\r\n\r\n")
    end.session.timed_out()
    assert hooks.calls == []


def test_the_libraries_that_a_command_has_loaded_see_its_response() -> None:
    before, after = Hooks(), Hooks()
    current = [before]

    def process(request: Element) -> Element:
        before.over, current[0] = True, after
        return Element({"result": Element(0)})

    end = HttpEnd(hooks=lambda: current[0], process=process)
    assert status_of(end.ask(command("config-reload"))) == 200
    assert [call.split()[0] for call in before.calls] == ["auth", "end"]
    assert [call.split()[0] for call in after.calls] == ["response", "end"]


def test_a_command_without_an_answer() -> None:
    end = HttpEnd(process=lambda _: None)
    response = end.ask(command("x"))
    assert body_of(response) == '{ "result": 500, "text": "Internal Server Error" }'


def test_each_step_of_work_is_announced_before_it_begins() -> None:
    end = HttpEnd()
    request = command("statistic-reset-all")
    assert end.session.receive(request[:30]) is None
    assert (end.steps, end.requests) == (1, [])
    assert status_of(at_once(end.session.receive(request[30:] + request))) == 200
    assert (end.steps, len(end.requests)) == (2, 1)
    assert status_of(at_once(end.session.resume())) == 200
    assert (end.steps, len(end.requests)) == (3, 2)


@pytest.mark.parametrize("body", ['{"command": "one"}', "[1, 2]"])
def test_a_body_is_freed_part_by_part_when_it_is_answered(
    monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    freed: list[Any] = []

    def let_go(elements: list[Element]) -> None:
        freed.extend((len(end.requests), element) for element in elements)
        elements.clear()

    monkeypatch.setattr("pyd2.control.http_session.let_go", let_go)
    end = HttpEnd()
    assert status_of(end.ask(post(body))) == 200
    assert freed == [(1, end.requests[0])]
    assert status_of(end.ask(post(""))) == 200
    assert status_of(end.ask(post("{"))) == 400
    assert len(freed) == 1
