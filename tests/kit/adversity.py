"""A bad network before a real DNS server: a UDP and TCP proxy that loses, delays, repeats and spoils.

What happens to a message is drawn from a seeded generator, each fault with a chance of its own. How much is
held back, and how long, is bounded.
"""

import errno
import heapq
import os
import random
import selectors
import socket
import struct
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from tests.kit.waiting import TIMEOUT, wait_until

Address = tuple[Any, ...]

HELD_LIMIT: Final = 10000
"""Messages held back at a time; one more is lost."""

ASKERS_LIMIT: Final = 256
"""Ports of the D2 that are remembered; the one that was silent longest is forgotten."""

_REFUSED: Final = 5
_HEADER: Final = 12
_TC: Final = 0x02  # in the third octet


@dataclass(frozen=True)
class Faults:
    """The chance of each fault, from 0 to 1, for each datagram in each direction unless it says otherwise."""

    lose: float = 0.0
    delay: float = 0.0
    """Comes late, by up to ``delay_seconds``; later messages overtake it."""
    delay_seconds: float = 0.1
    duplicate: float = 0.0
    """Comes twice, the copy as late as ``delay`` says."""
    cut: float = 0.0
    """Ends at some octet."""
    flip: float = 0.0
    """One bit is wrong. Without TSIG this goes unnoticed, so the zone may then hold anything."""
    flag_tc: float = 0.0
    """A reply says that it is truncated."""
    wrong_id: float = 0.0
    """Before a reply comes a forged REFUSED with an unused query ID."""
    wrong_source: float = 0.0
    """Before a reply comes a forged REFUSED with the right query ID from another port."""
    forgeries: int = 1
    """How many forged ones come at a time."""
    break_tcp: float = 0.0
    """A TCP connection is reset in place of passing a piece on."""


@dataclass(order=True)
class _Held:
    at: float
    number: int
    deliver: Callable[[], None] = field(compare=False)


class Adversity:
    """Stands on a port of 127.0.0.1 for the DNS server on another. Use it as a context manager."""

    def __init__(self, port: int, server_port: int, faults: Faults, seed: int = 1) -> None:
        self.counts: Counter[str] = Counter()
        """How often each fault has happened, and ``passed`` for each whole message that went through."""
        self._faults = faults
        self._server = ("127.0.0.1", server_port)
        self._chance = random.Random(seed)
        self._selector = selectors.DefaultSelector()
        self._held: list[_Held] = []
        self._number = 0
        self._ids: OrderedDict[bytes, None] = OrderedDict()
        """Query IDs seen lately: a forged one is none of them."""
        self._askers: OrderedDict[Address, socket.socket] = OrderedDict()
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._stopping = False
        self._wake_read, self._wake_write = os.pipe()
        self._selector.register(self._wake_read, selectors.EVENT_READ, lambda: os.read(self._wake_read, 16))
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._udp.bind(("127.0.0.1", port))
        self._elsewhere = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._elsewhere.bind(("127.0.0.1", 0))
        self._tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._tcp.bind(("127.0.0.1", port))
        self._tcp.listen(64)
        self._selector.register(self._udp, selectors.EVENT_READ, self._read_questions)
        self._selector.register(self._tcp, selectors.EVENT_READ, self._accept)
        self._thread = threading.Thread(target=self._run, name="adversity", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def become(self, faults: Faults) -> None:
        """Work with other faults from now on."""
        self._faults = faults

    def settle(self) -> None:
        """Return when no message is held back; no new ones may be on their way."""
        wait_until(lambda: not self._held, "the messages that were held back")

    def close(self) -> None:
        """Stop."""
        self._stopping = True
        os.write(self._wake_write, b"x")
        self._thread.join(TIMEOUT)
        assert not self._thread.is_alive(), "the proxy doesn't stop"
        for sock in [self._udp, self._tcp, self._elsewhere, *self._askers.values(), *self._pairs]:
            sock.close()
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    # ---------------------------------------------------------------- the proxy's thread

    def _run(self) -> None:
        while not self._stopping:
            timeout = max(0.0, self._held[0].at - time.monotonic()) if self._held else None
            for key, _ in self._selector.select(timeout):
                key.data()
            while self._held and self._held[0].at <= time.monotonic():
                self._held[0].deliver()
                heapq.heappop(self._held)

    def _happens(self, fault: str) -> bool:
        chance: float = getattr(self._faults, fault)
        if chance and self._chance.random() < chance:
            self.counts[fault] += 1
            return True
        return False

    def _later(self, deliver: Callable[[], None]) -> None:
        if len(self._held) < HELD_LIMIT:
            self._number += 1
            at = time.monotonic() + self._chance.random() * self._faults.delay_seconds
            heapq.heappush(self._held, _Held(at, self._number, deliver))

    # UDP

    def _read_questions(self) -> None:
        for _ in range(64):
            try:
                message, asker = self._udp.recvfrom(65535)
            except BlockingIOError:
                return
            self._ids[message[:2]] = None
            self._ids.move_to_end(message[:2])
            while len(self._ids) > 30000:
                self._ids.popitem(last=False)
            upstream = self._upstream(asker)
            self._pass(message, lambda spoilt, upstream=upstream: _send(upstream, spoilt))  # type: ignore[misc]

    def _upstream(self, asker: Address) -> socket.socket:
        """Return the socket that asks the server on behalf of a port of the D2."""
        if asker not in self._askers:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            sock.connect(self._server)
            self._selector.register(sock, selectors.EVENT_READ, lambda: self._read_replies(sock, asker))
            self._askers[asker] = sock
            if len(self._askers) > ASKERS_LIMIT:
                _, oldest = self._askers.popitem(last=False)
                self._selector.unregister(oldest)
                oldest.close()
        self._askers.move_to_end(asker)
        return self._askers[asker]

    def _read_replies(self, sock: socket.socket, asker: Address) -> None:
        for _ in range(64):
            try:
                message = sock.recv(65535)
            except OSError:  # nothing more, or the server is away
                return
            forged = _forged(message)
            if self._happens("wrong_id"):
                for _ in range(self._faults.forgeries):
                    self._to_asker(self._unused_id() + forged[2:], asker)
            if self._happens("wrong_source"):
                for _ in range(self._faults.forgeries):
                    _send(self._elsewhere, forged, asker)
            if self._happens("flag_tc"):
                message = message[:2] + bytes([message[2] | _TC]) + message[3:]
            self._pass(message, lambda spoilt: self._to_asker(spoilt, asker))

    def _to_asker(self, message: bytes, asker: Address) -> None:
        _send(self._udp, message, asker)

    def _unused_id(self) -> bytes:
        while True:
            query_id = self._chance.randbytes(2)
            if query_id not in self._ids:
                return query_id

    def _pass(self, message: bytes, deliver: Callable[[bytes], None]) -> None:
        if self._happens("lose"):
            return
        copies = 2 if self._happens("duplicate") else 1
        if self._happens("cut"):
            message = message[:self._chance.randrange(len(message))]
        elif self._happens("flip"):
            bit = self._chance.randrange(8 * len(message))
            at = bit // 8
            message = message[:at] + bytes([message[at] ^ 1 << bit % 8]) + message[at + 1:]
        else:
            self.counts["passed"] += 1
        if self._happens("delay"):
            self._later(lambda: deliver(message))
        else:
            deliver(message)
        if copies == 2:
            self._later(lambda: deliver(message))

    # TCP

    def _accept(self) -> None:
        try:
            inner, _ = self._tcp.accept()
        except OSError:
            return
        outer = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            outer.connect(self._server)
        except OSError:
            inner.close()
            outer.close()
            return
        self.counts["connections"] += 1
        for one, other in ((inner, outer), (outer, inner)):
            one.setblocking(False)
            self._pairs[one] = other
            self._selector.register(one, selectors.EVENT_READ,
                                    lambda one=one: self._read_piece(one))

    def _read_piece(self, sock: socket.socket) -> None:
        try:
            # Pieces of a few octets, so that messages are cut anywhere.
            piece = sock.recv(self._chance.randrange(1, 64))
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if piece and not self._happens("break_tcp"):
            try:
                self._pairs[sock].sendall(piece)
            except OSError:
                piece = b""
        else:
            piece = b""
        if not piece:
            self._hang_up(sock)

    def _hang_up(self, sock: socket.socket) -> None:
        """Reset both sides of a connection."""
        other = self._pairs.pop(sock, None)
        if other is None:
            return
        del self._pairs[other]
        for one in (sock, other):
            self._selector.unregister(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.close()


def _forged(reply: bytes) -> bytes:
    """Return a reply as a forger without the key makes it: header and zone, REFUSED."""
    if len(reply) < _HEADER:
        return reply
    return reply[:3] + bytes([reply[3] & 0xF0 | _REFUSED]) + reply[4:]


def _send(sock: socket.socket, message: bytes, peer: Address | None = None) -> None:
    try:
        if peer is None:
            sock.send(message)
        else:
            sock.sendto(message, peer)
    except OSError as error:
        # The peer is away or its buffer is full: lost, as in a network. A closed socket's client is gone.
        if error.errno not in (errno.ECONNREFUSED, errno.EAGAIN, errno.EBADF):
            raise
