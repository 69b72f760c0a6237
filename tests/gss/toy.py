"""A toy in the place of GSS-API and of a DNS server: contexts of two sides, with a window against replays."""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

import dns.name

from pyd2.hooks.gss.gssapi import GssError
from tests.gss.test_tkey import reply
from tests.kit.dnswire import Tsig, append_tsig

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.hooks.gss.exchange import TkeyExchange

WALL = 1_800_000_000
_WINDOW = 64
_ANY = 255


class Side:
    """One side of a context."""

    def __init__(self, secret: bytes, own: bytes, other: bytes) -> None:
        self._secret, self._own, self._other = secret, own, other
        self._next = 0
        self._seen: set[int] = set()
        self.seconds = 36000

    def _digest(self, side: bytes, number: int, message: bytes) -> bytes:
        return hmac.digest(self._secret, side + struct.pack("!Q", number) + message, hashlib.sha256)[:16]

    def lifetime(self) -> int:
        """Return the seconds that it is valid for."""
        return self.seconds

    def get_mic(self, message: bytes) -> bytes:
        """Return the next MIC."""
        number, self._next = self._next, self._next + 1
        return self._own + struct.pack("!Q", number) + self._digest(self._own, number, message)

    def verify_mic(self, message: bytes, mic: bytes) -> None:
        """Refuse what Kerberos refuses."""
        if mic[:1] == self._own:
            raise GssError("wrong direction", 393216, 1)
        number = int.from_bytes(mic[1:9], "big")
        if mic[:1] != self._other or mic[9:] != self._digest(self._other, number, message):
            raise GssError("bad MIC", 393216)
        if number in self._seen:
            raise GssError("duplicate", 2)
        if self._seen and number <= max(self._seen) - _WINDOW:
            raise GssError("old", 4)
        self._seen.add(number)


class Client(Side):
    """The client's side; a ``Context``."""

    def __init__(self, secret: bytes = b"secret", rounds: int = 1) -> None:
        super().__init__(secret, b"C", b"S")
        self.tokens: list[bytes] = []
        """From the server."""
        self._rounds = rounds

    def step(self, token: bytes) -> tuple[bytes, bool]:
        """Ask, and be content with the answer that comes after so many rounds."""
        self.tokens.append(token)
        if len(self.tokens) <= self._rounds:
            return b"question %d" % len(self.tokens), False
        return b"", True


class Server(Side):
    """The server's side."""

    def __init__(self, secret: bytes = b"secret") -> None:
        super().__init__(secret, b"S", b"C")


def signed(side: Side, name: str, message: bytes, request_mac: bytes | None = None) -> bytes:
    """Return a reply with the TSIG of one side, made at ``WALL``."""
    key = dns.name.from_text(name)
    query_id = int.from_bytes(message[:2], "big")
    tsig = Tsig(0, key, dns.name.from_text("gss-tsig."), WALL, 300, b"", query_id, 0, b"")
    return append_tsig(message, replace(tsig, mac=side.get_mic(signed_octets(tsig, message, request_mac))))


def signed_octets(tsig: Tsig, unsigned: bytes, request_mac: bytes | None) -> bytes:
    """Return what a MAC is made of (RFC 8945, section 4.3)."""
    before = b"" if request_mac is None else struct.pack("!H", len(request_mac)) + request_mac
    names = (tsig.name.to_digestable(), struct.pack("!HI", _ANY, 0), tsig.algorithm.to_digestable())
    high, low = divmod(tsig.time_signed, 2**32)
    numbers = struct.pack("!HIHHH", high, low, tsig.fudge, tsig.error, len(tsig.other))
    return b"".join((before, unsigned, *names, numbers, tsig.other))


def tkey_answer(name: str, message: bytes, server: Side, token: bytes = b"answer") -> bytes:
    """Return a server's signed answer to a TKEY request."""
    wire = reply(name, token, query_id=int.from_bytes(message[:2], "big")).to_wire()
    return signed(server, name, wire)


class Recorder:
    """Keeps log messages and counts."""

    debug = True
    """Whether each use of a key is logged."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.texts: list[str] = []
        self.counted: list[str] = []

    def emit(self, message_id: str, *arguments: object) -> None:
        """Keep a message."""
        self.entries.append(message_id)
        self.texts.append(" ".join([message_id, *(str(argument) for argument in arguments)]))

    def count(self, name: str) -> None:
        """Keep a count."""
        self.counted.append(name)


def ids() -> Callable[[], int]:
    """Return a source of query IDs."""
    return count(1).__next__


def finish(exchange: TkeyExchange, answer: Callable[[bytes], bytes]) -> None:
    """Carry an agreement through."""
    message = exchange.begin()
    while message is not None:
        message = exchange.receive(answer(message), WALL)
