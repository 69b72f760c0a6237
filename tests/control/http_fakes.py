"""What tests of HTTP control sockets share: configurations, requests, and a session without a socket."""

from __future__ import annotations

import base64
import re
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from pyd2.config.model import Authentication, HttpClient, HttpSocket, TlsFiles
from pyd2.control.http_later import Later
from pyd2.control.http_session import HttpService
from pyd2.data.element import Element, from_plain
from pyd2.messages import OWN_MESSAGES
from pyd2.profiles.kea_3_0 import KEA_3_0
from tests.control.fakes import Channel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from collections.abc import Set as AbstractSet

    from pyd2.control.http_session import HttpSession, HttpUse

ADMIN = HttpClient("admin", "s3cret", "all")
READER = HttpClient("reader", "look", "read")
DATE = re.compile(rb"Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT")
CATALOGUE = {**KEA_3_0.messages, **OWN_MESSAGES}


class HttpLines:
    """A log that keeps (message ID, text); every message is on, but those of ``off``."""

    def __init__(self, *off: str) -> None:
        self.lines: list[tuple[str, str]] = []
        self._on = CATALOGUE.keys() - set(off)

    @property
    def on(self) -> AbstractSet[str]:
        return self._on

    def emit(self, message_id: str, *arguments: object) -> None:
        text = CATALOGUE[message_id].text
        assert len(re.findall(r"%\d", text)) == len(arguments), f"{message_id} gets {arguments}"
        for number, argument in enumerate(arguments, 1):
            text = text.replace(f"%{number}", str(argument))
        self.lines.append((message_id, text))

    def take(self, *prefixes: str) -> list[tuple[str, str]]:
        """Return the lines whose IDs begin so, all if nothing is given, and forget all."""
        lines, self.lines = self.lines, []
        return [line for line in lines if not prefixes or line[0].startswith(prefixes)]

    def texts(self, message_id: str) -> list[str]:
        """Return the texts of a message."""
        return [text for found, text in self.lines if found == message_id]


def http_socket(
    port: int = 0,
    *clients: HttpClient,
    address: str = "127.0.0.1",
    realm: str = "kea-dhcp-ddns-server",
    tls: TlsFiles | None = None,
    headers: Sequence[tuple[str, str]] = (),
) -> HttpSocket:
    """Return the configuration of a socket."""
    authentication = Authentication(realm, clients) if clients else None
    element = from_plain({"socket-address": address, "socket-port": port})
    return HttpSocket(ip_address(address), port, tls, authentication, tuple(headers), element)


def post(body: str | bytes, *headers: str, version: str = "HTTP/1.1", target: str = "/") -> bytes:
    """Return a request that Kea takes."""
    octets = body if isinstance(body, bytes) else body.encode()
    lines = [
        f"POST {target} {version}",
        "Host: localhost",
        "Content-Type: application/json",
        f"Content-Length: {len(octets)}",
        *headers,
        "",
        "",
    ]
    return "\r\n".join(lines).encode("latin-1") + octets


def command(name: str, *headers: str, **options: Any) -> bytes:
    """Return a request with a command."""
    return post(f'{{ "command": "{name}" }}', *headers, **options)


def basic(client: HttpClient) -> str:
    """Return the header by which a client is known."""
    return "Authorization: Basic " + base64.b64encode(f"{client.user}:{client.password}".encode()).decode()


def normalised(response: bytes | None) -> str:
    """Return a response as text, with one and the same date."""
    assert response is not None
    found, count = DATE.subn(b"Date: @DATE@", response)
    assert count == 1
    return found.decode()


def body_of(response: bytes | None) -> str:
    """Return the body of a response."""
    assert response is not None
    head, _, body = response.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n")
    return body.decode()


def status_of(response: bytes | None) -> int:
    """Return the status of a response."""
    assert response is not None
    return int(response.split(b" ", 2)[1])


def at_once(response: bytes | Later | None) -> bytes | None:
    """Return a response that does not come later."""
    assert not isinstance(response, Later)
    return response


class HttpEnd:
    """A service on the commands of a fake server, and one connection to it."""

    def __init__(
        self,
        config: HttpSocket | None = None,
        hooks: Callable[[], HttpUse | None] = lambda: None,
        process: Callable[[Element], Element | None] | None = None,
        *,
        tls: bool = False,
    ) -> None:
        self.log = HttpLines()
        self.channel = Channel()
        self.channel.registry._log = self.log
        self.requests: list[Element] = []
        self.steps = 0
        """Of work."""
        self.service = HttpService(
            config or http_socket(),
            process or self._process,
            self.log,
            hooks=hooks,
            working=self._count,
        )
        self.session: HttpSession = self.service.session("192.0.2.7", tls=tls)

    def _count(self) -> None:
        self.steps += 1

    def _process(self, request: Element) -> Element | None:
        self.requests.append(request)
        return self.channel.registry.process(request)

    def ask(self, request: bytes) -> bytes | None:
        """Return the response to a request on the connection."""
        return at_once(self.session.receive(request))

    def resume(self) -> bytes | None:
        """Return the response to what had come behind the last request."""
        return at_once(self.session.resume())
