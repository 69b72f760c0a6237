"""DNS servers that behave badly over TCP, and a measured run: what each costs a healthy zone beside it."""

import contextlib
import itertools
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Final, Self

from tests.faults.load import Ends, Host, Load, domain, forward, percentile
from tests.kit import dns_servers
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.waiting import wait_until

HEALTHY, RUDE = "healthy.test.", "rude.test."
OVER_TCP: Final[dict[str, Any]] = {"user-context": {"pyd2": {"lanes": {"transport": "tcp"}}}}
_BLOCK: Final = 1 << 18
"""Octets of each write of a server that writes without end."""

Way = Callable[["Peer"], None]


class Peer:
    """A connection from the server's side. Its methods raise OSError when the client has gone."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._random = random.Random(1035)

    def read(self) -> bytes:
        """Return the next message of the client."""
        return self._octets(int.from_bytes(self._octets(2), "big"))

    def _octets(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            part = self.sock.recv(count - len(found))
            if not part:
                raise ConnectionError
            found += part
        return found

    def write(self, *messages: bytes) -> None:
        """Send messages, each behind its length."""
        self.sock.sendall(b"".join(len(message).to_bytes(2, "big") + message for message in messages))

    def write_without_end(self, octets: bytes) -> None:
        """Send the same octets as fast as the client reads them."""
        block = octets * (_BLOCK // len(octets))
        while True:
            self.sock.sendall(block)

    def wait_for_end(self) -> None:
        """Read until the client has gone."""
        while self.sock.recv(_BLOCK):
            pass

    def other_id(self, update: bytes) -> bytes:
        """Return a query ID that is not the one of an update."""
        return (int.from_bytes(update[:2], "big") ^ self._random.randrange(1, 65536)).to_bytes(2, "big")


def answer(update: bytes, flags: int = 0xA800) -> bytes:
    """Return a reply without sections."""
    return update[:2] + flags.to_bytes(2, "big") + bytes(8)


def _empty(peer: Peer) -> None:
    peer.write_without_end(b"\0\0")


def _short(peer: Peer) -> None:
    peer.write_without_end(b"".join(bytes([0, size]) + bytes(size) for size in range(1, 12)))


def _never_ending(peer: Peer) -> None:
    peer.sock.sendall(b"\xff\xff")
    pause = threading.Event()
    while True:
        peer.sock.sendall(b"drop")
        pause.wait(0.001)


def _unasked(peer: Peer) -> None:
    peer.write_without_end(b"\0\x0c" + bytes(12))


def _flood(peer: Peer) -> None:
    peer.write_without_end(b"\xff\xff" + bytes(65535))


def _drip(peer: Peer) -> None:
    octets = iter(b"\x00\x0c" + answer(peer.read()))
    pause = threading.Event()
    for octet in octets:
        peer.sock.sendall(bytes([octet]))
        pause.wait(0.2)
    peer.wait_for_end()


def _deaf(peer: Peer) -> None:
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    # It goes on when the client has given up: that can be peeked at, without reading.
    while peer.sock.recv(1, socket.MSG_PEEK):
        if peer.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) != b"\x01":
            return
        threading.Event().wait(0.05)


def _reset(peer: Peer) -> None:
    peer.sock.sendall(b"\x00\x0c" + answer(peer.read())[:6])
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _hang_up(_peer: Peer) -> None:
    pass


def _silent(peer: Peer) -> None:
    peer.wait_for_end()


def _half_closed(peer: Peer) -> None:
    peer.read()
    peer.sock.shutdown(socket.SHUT_WR)
    peer.wait_for_end()


def _other_ids(peer: Peer) -> None:
    while True:
        update = peer.read()
        peer.write(*(peer.other_id(update) + answer(update)[2:] for _ in range(300)))


def _truncated(peer: Peer) -> None:
    while True:
        peer.write(answer(peer.read(), 0xAA00))


def _wrong_question(peer: Peer) -> None:
    while True:
        update = peer.read()
        zone = b"\x05other\x04test\0\0\x06\0\x01"
        peer.write(update[:2] + b"\xa8\0\0\1" + bytes(6) + zone)


def _again_and_again(peer: Peer) -> None:
    while True:
        peer.write(*[answer(peer.read())] * 300)


WAYS: Final[dict[str, Way]] = {
    "empty messages": _empty,
    "messages of 1 to 11 octets": _short,
    "a message that never ends": _never_ending,
    "unexpected messages": _unasked,
    "messages of 65,535 octets": _flood,
    "an answer octet by octet": _drip,
    "reads nothing": _deaf,
    "reset within an answer": _reset,
    "closed at once": _hang_up,
    "says nothing": _silent,
    "half closed": _half_closed,
    "answers with other IDs": _other_ids,
    "truncated answers": _truncated,
    "answers for another zone": _wrong_question,
    "each answer 300 times": _again_and_again,
}


class RudeServer:
    """A DNS server that behaves in one way; over UDP its answers are truncated. A context manager."""

    def __init__(self, way: Way) -> None:
        self.connections = 0
        self._way = way
        self._stopping = False
        self._peers: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", self.port))
        for target in (self._accept, self._serve_udp):
            self._start(target)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stopping = True
        for sock in (self._listener, self._udp, *self._peers):
            with contextlib.suppress(OSError):  # closed already
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()
        for sock in (self._listener, self._udp):
            sock.close()

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopping:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._peers.append(sock)
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            self._way(Peer(sock))

    def _serve_udp(self) -> None:
        while True:
            update, client = self._udp.recvfrom(65535)
            if not update:
                return
            with contextlib.suppress(OSError):
                self._udp.sendto(answer(update, 0xAA00), client)


@contextlib.contextmanager
def site(
    binary: str, way: Way, settings: dict[str, Any], healthy_port: int
) -> Iterator[tuple[D2, int, RudeServer]]:
    """A D2 with a healthy zone, and a zone whose server behaves badly."""
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(PortLease()).take()
        server = stack.enter_context(RudeServer(way))
        rude = domain(RUDE, server.port)
        rude["dns-servers"][0] |= settings
        directory = stack.enter_context(private_directory())
        d2 = D2.start(binary, directory, config(port, forward(domain(HEALTHY, healthy_port), rude)))
        stack.callback(d2.process.kill)
        d2.wait_for_listener(port)
        yield d2, port, server


def rude(binary: str, seconds: float, rate: float) -> bool:
    """Measure a healthy zone beside a rude server; the first line and the last are those of it alone."""
    fine = True
    share = seconds / (len(WAYS) + 2)
    print(f"{'the server of the other zone':<32}{'lost':>6}{'p50 ms':>8}{'p99 ms':>8}{'command ms':>12}"
          f"{'CPU':>6}{'connections':>13}{'closed':>8}{'ignored':>9}")
    with dns_servers.bind([HEALTHY]) as bind:
        alone = ("(no requests for it)", _silent)
        for name, way in [alone, *WAYS.items(), alone]:
            fine = _measure(binary, name, way, share, rate, bind.port) and fine
    return fine


def _measure(binary: str, name: str, way: Way, seconds: float, rate: float, healthy_port: int) -> bool:
    hosts = [Host(number, HEALTHY) for number in range(int(seconds * rate))]
    others = itertools.cycle([Host(number, RUDE) for number in range(2000)])
    alone = name.startswith("(")
    with site(binary, way, OVER_TCP, healthy_port) as (d2, port, server):
        ends = Ends(d2)
        cpu, began, slowest = d2.process.cpu_seconds(), time.monotonic(), 0.0
        with contextlib.ExitStack() as stack:
            if not alone:
                stack.enter_context(Load(port, (host.request() for host in others), rate / 5))
            load = stack.enter_context(Load(port, (host.request() for host in hosts), rate))
            while load.running:
                asked = time.monotonic()
                d2.command("statistic-get", {"name": "update-sent"})
                slowest = max(slowest, time.monotonic() - asked)
                threading.Event().wait(0.005)
        with contextlib.suppress(AssertionError):
            wait_until(lambda: ends.read() >= 0 and len(ends.succeeded(hosts)) == len(hosts), "all", 30)
        took = [1000 * (ends.at[host.dhcid] - at) for host, at in zip(hosts, load.sent_at, strict=True)
                if host.dhcid in ends.at]
        used = (d2.process.cpu_seconds() - cpu) / (time.monotonic() - began)
        lost = len(hosts) - len(ends.succeeded(hosts))
        counts = [_statistic(d2, counter) for counter in ("pyd2-connections-closed", "pyd2-replies-ignored")]
        print(f"{name:<32}{lost:>6}{percentile(took, 0.5):>8.1f}{percentile(took, 0.99):>8.1f}"
              f"{1000 * slowest:>12.1f}{used:>6.0%}{server.connections:>13}{counts[0]:>8}{counts[1]:>9}",
              flush=True)
    return not lost


def _statistic(d2: D2, name: str) -> int:
    answer = d2.command("statistic-get", {"name": name})
    return int(answer["arguments"][name][0][0])
