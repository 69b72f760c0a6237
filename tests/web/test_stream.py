"""The stream of events of a running daemon: what it says, and what slow and many readers cost."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from typing import Any, Self

from pyd2.web.stream import MOST_READERS
from tests.kit.waiting import wait_until
from tests.web.site import OPERATOR, READER, SECRETS, Site, credentials


class Reader:
    """A client of the stream."""

    def __init__(self, site: Site, client: dict[str, Any] = READER, *, buffer: int = 0) -> None:
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(20)
        self.socket.connect(("127.0.0.1", site.port))
        known = f"Authorization: {credentials(client)}"
        head = ["GET /api/v1/events HTTP/1.1", "Host: localhost", known, "", ""]
        self.socket.sendall("\r\n".join(head).encode())
        self._text = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def block(self) -> str:
        """Return what comes up to the next empty line; empty at the end."""
        while b"\n\n" not in self._text.replace(b"\r\n", b"\n"):
            data = self.socket.recv(65536)
            if not data:
                return ""
            self._text += data
        found, _, self._text = self._text.replace(b"\r\n", b"\n").partition(b"\n\n")
        return found.decode()

    def event(self, wanted: str) -> dict[str, Any]:
        """Return the data of the next event of a name."""
        while True:
            block = self.block()
            name, _, data = block.partition("\ndata: ")
            assert name, "the stream has ended"
            assert not block.startswith("HTTP/1.1 ") or block.startswith("HTTP/1.1 200 "), block
            if name == f"event: {wanted}":
                found: dict[str, Any] = json.loads(data)
                return found


def test_status_and_failures_come(site: Site) -> None:
    with Reader(site) as reader:
        head = reader.block()
        assert head.startswith("HTTP/1.1 200 OK\n")
        assert "Content-Type: text/event-stream" in head
        assert "Connection: close" in head
        assert "Content-Length" not in head
        assert reader.block() == "retry: 2000"
        status = reader.event("status")
        assert status["missed"] == 0
        assert status["pid"] == site.api("status")["pid"]
        site.send("bad.refused.example.")
        failure = reader.event("failure")
        assert (failure["name"], failure["fault"], failure["zone"]) == (
            "bad.refused.example.",
            "REFUSED",
            "refused.example.",
        )
        assert failure["mend"].startswith("Allow the key")
        assert failure["at"] <= reader.event("status")["now"]
        assert not any(secret in json.dumps([status, failure]) for secret in SECRETS)


def test_a_flood_of_failures_is_cut_and_says_so(site: Site) -> None:
    with Reader(site) as reader:
        reader.event("status")
        for number in range(40):
            site.send(f"bad{number}.refused.example.")
        missed = sent = 0
        while missed + sent < 40:
            name, _, data = reader.block().partition("\ndata: ")
            if name == "event: failure":
                sent += 1
            else:
                missed += json.loads(data)["missed"]
        assert missed + sent == 40


def test_one_reader_too_many_is_refused_and_a_place_is_free_again(site: Site) -> None:
    with ExitStack() as stack:
        readers = [stack.enter_context(Reader(site)) for _ in range(MOST_READERS)]
        for reader in readers:
            reader.event("status")
        assert site.error("events") == (503, "busy")
        assert site.api("status")["pid"] > 0
        readers[0].socket.close()

        def free() -> bool:
            with Reader(site, OPERATOR) as another:
                return "200" in another.block()

        wait_until(free, "the place of the one that has gone")
    # All have gone, and their places are free at once, not when something is sent to them.
    with ExitStack() as stack:
        for _ in range(MOST_READERS):
            stack.enter_context(Reader(site)).event("status")


def test_a_reader_that_takes_nothing_delays_no_update(site: Site) -> None:
    with Reader(site, buffer=2048) as slow, Reader(site) as other:
        slow.block()
        for _ in range(3):
            other.event("status")

        def ended() -> int:
            requests = site.api("status")["requests"]
            return int(requests["done"] + requests["failed"])  # a busy machine may let all tries time out

        before = ended()
        site.send("h1.example.com.")
        wait_until(lambda: ended() == before + 1, "updates go on")


def test_a_new_configuration_asks_again_who_may_read(site: Site) -> None:
    with Reader(site) as reader:
        reader.event("status")
        authentication = site.whole["DhcpDdns"]["user-context"]["pyd2"]["http"][0]["authentication"]
        authentication["clients"] = [OPERATOR]
        site.set()
        while reader.block():
            pass
    with Reader(site) as again:
        assert "401" in again.block()
    with Reader(site, OPERATOR) as reader:
        reader.event("status")
        site.set(web=False, metrics=True)
        while reader.block():
            pass
    site.set(web=True)
    with Reader(site, OPERATOR) as reader:
        reader.event("status")
        del site.whole["DhcpDdns"]["user-context"]["pyd2"]["http"]
        assert site.d2.command("config-set", site.whole)["result"] == 0
        while reader.block():
            pass
