"""Responses that come later, on a real connection: searches and streams."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from pyd2.control.http_pages import HttpPages, page
from pyd2.control.http_session import HttpService
from pyd2.net.control_http import HttpChannel
from tests.control.http_fakes import HttpLines, http_socket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyd2.control.http_later import Later
    from pyd2.control.http_pages import PageRequest
    from pyd2.control.http_response import Response

GET = b"GET /%b HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Answer:
    """An awaited response that the test gives."""

    later: Later | None = None
    was_left = has_gone = False

    def begin(self, later: Later) -> None:
        self.later = later

    def leave(self) -> None:
        self.was_left = True
        assert self.later is not None
        self.later.end()

    def gone(self) -> None:
        self.has_gone = True


class Rig:
    """A channel whose page ``/later`` has awaited responses."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.loop = asyncio.new_event_loop()
        self.log = HttpLines()
        self.channel = self.make(0)
        self.channel.open()

    def make(self, port: int) -> HttpChannel:
        """Return a channel that is not open yet."""
        config = http_socket(port)
        pages = HttpPages({"/later": self._later, "/now": self._now})
        service = HttpService(config, lambda _: None, self.log, pages=pages)
        return HttpChannel(self.loop, config, service, self.log)

    def _later(self, _request: PageRequest) -> Answer:
        self.answers.append(Answer())
        return self.answers[-1]

    def _now(self, _request: PageRequest) -> Response:
        return page("text/plain", (b"now",))

    def turn(self, condition: Callable[[], object]) -> None:
        """Let the loop work until a condition holds."""

        async def work() -> None:
            for _ in range(20_000):
                if condition():
                    return
                await asyncio.sleep(0.001)
            raise AssertionError("it did not happen")

        self.loop.run_until_complete(work())

    def begin(self) -> tuple[socket.socket, Answer, Later]:
        """Return a client that has asked for a response that comes later."""
        client = socket.create_connection(("127.0.0.1", self.channel.port))
        client.setblocking(False)
        client.sendall(GET % b"later")
        self.turn(lambda: self.answers)
        answer = self.answers.pop()
        assert answer.later is not None
        return client, answer, answer.later

    def read(self, client: socket.socket, wanted: bytes = b"") -> bytes:
        """Return what comes up to an end; without one up to that of the connection."""
        found, ended = b"", False

        def come() -> bool:
            nonlocal found, ended
            try:
                data = client.recv(65536)
            except BlockingIOError:
                return False
            found, ended = found + data, not data
            return ended or (bool(wanted) and found.endswith(wanted))

        self.turn(come)
        return found


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.channel.close()
    rig.loop.run_until_complete(asyncio.sleep(0))
    rig.loop.close()


def test_a_response_comes_in_time_and_the_connection_goes_on(rig: Rig) -> None:
    client, _, later = rig.begin()
    with client:
        client.sendall(GET % b"now")  # which waits for the one before
        later.respond(page("text/plain", (b"in time",)))
        found = rig.read(client, b"\r\n\r\nnow")
        assert found.count(b"HTTP/1.1 200 OK") == 2
        assert b"Content-Length: 7" in found
        assert found.index(b"in time") < found.index(b"now")


def test_a_stream_goes_on_until_it_ends(rig: Rig) -> None:
    client, _, later = rig.begin()
    with client:
        later.respond(page("text/event-stream", None))
        head = rig.read(client, b"\r\n\r\n")
        assert b"Connection: close" in head
        assert b"Content-Length" not in head
        for part in (b"one\n", b"two\n"):
            later.write(part)
            assert rig.read(client, part) == part
        assert later.unsent == 0
        later.end()
        assert rig.read(client) == b""


def test_what_a_client_does_not_take_is_counted_and_its_end_is_noticed(rig: Rig) -> None:
    client, answer, later = rig.begin()
    later.respond(page("text/event-stream", None))

    def fill() -> bool:
        later.write(b"x" * 65536)
        return later.unsent > 1 << 20

    rig.turn(fill)
    client.close()
    rig.turn(lambda: answer.has_gone)
    later.write(b"nothing comes of it")
    later.respond(page("text/plain", (b"nor of this",)))
    later.end()
    assert later.unsent == 0


def test_the_end_of_the_channel_ends_a_stream(rig: Rig) -> None:
    client, answer, later = rig.begin()
    with client:
        later.respond(page("text/event-stream", None))
        rig.read(client, b"\r\n\r\n")
        rig.channel.close()
        assert answer.was_left
        assert rig.read(client) == b""


def test_a_successor_of_the_channel_ends_a_stream(rig: Rig) -> None:
    """Its client connects again, and the new configuration says whether it may."""
    client, answer, later = rig.begin()
    with client:
        later.respond(page("text/event-stream", None))
        rig.read(client, b"\r\n\r\n")
        successor = rig.make(rig.channel.port)
        rig.channel.hand_over(successor).close()
        assert answer.was_left
        assert rig.read(client) == b""
        successor.close()


def test_a_response_that_was_awaited_when_the_channel_closes_still_comes(rig: Rig) -> None:
    client, answer, later = rig.begin()
    answer.leave = lambda: None  # type: ignore[method-assign]  # as a search: it ends by itself
    with client:
        rig.channel.close()
        later.respond(page("text/plain", (b"in time",)))
        assert rig.read(client).endswith(b"in time")


def test_the_end_of_a_reader_is_noticed_before_anything_is_sent_to_it(rig: Rig) -> None:
    client, answer, later = rig.begin()
    later.respond(page("text/event-stream", None))
    rig.read(client, b"\r\n\r\n")
    client.close()
    rig.turn(lambda: answer.has_gone)


def test_what_a_reader_sends_is_no_request(rig: Rig) -> None:
    client, answer, later = rig.begin()
    with client:
        later.respond(page("text/event-stream", None))
        rig.read(client, b"\r\n\r\n")
        client.sendall(GET % b"now" + b"x" * 100_000)
        later.write(b"one\n")
        assert rig.read(client, b"one\n") == b"one\n"
        assert not answer.has_gone
        later.end()
        assert rig.read(client) == b""
