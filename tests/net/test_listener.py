"""The NCR socket, with real datagrams on the loopback."""

import asyncio
import errno
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, ip_address

import pytest

from pyd2.net import listener
from pyd2.net.listener import BATCH, DATAGRAM_LIMIT, NcrListener
from pyd2.net.read_turns import ReadTurns
from tests.net import chosen

pytestmark = pytest.mark.usefixtures("datagrams")

LOOPBACK = IPv4Address("127.0.0.1")


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Inbox:
    """Collects what a listener reads; ``arrived(count)`` waits for so many datagrams."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.datagrams: list[bytes] = []
        self.batches: list[int] = []
        self.errors: list[OSError] = []
        self._changed = asyncio.Event()
        self.turns = ReadTurns(self.loop)
        self.listener = NcrListener(self.loop, self._take, self.errors.append, chosen.datagrams, self.turns)

    def _take(self, datagrams: Sequence[bytes]) -> None:
        self.datagrams += datagrams
        self.batches.append(len(datagrams))
        self._changed.set()

    async def arrived(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.datagrams) < count:
                self._changed.clear()
                await self._changed.wait()


def send(port: int, *datagrams: bytes, host: str = "127.0.0.1") -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        for datagram in datagrams:
            sock.sendto(datagram, (host, port))


def test_everything_arrives_in_order_and_in_batches() -> None:
    async def run() -> None:
        inbox = Inbox()
        port = free_port()
        inbox.listener.open(LOOPBACK, port)
        sent = [b"request %d" % number for number in range(3 * BATCH)]
        send(port, *sent)
        await inbox.arrived(len(sent))
        assert inbox.datagrams == sent
        assert max(inbox.batches) <= BATCH
        inbox.listener.close()

    asyncio.run(run())


def test_the_socket_is_left_out_once_in_a_turn_that_has_taken_long(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        inbox = Inbox()
        asked: list[bool] = []

        def used_up() -> bool:
            asked.append(inbox.turns.request_socket_waits)
            return True

        monkeypatch.setattr(inbox.turns, "used_up", used_up)
        port = free_port()
        inbox.listener.open(LOOPBACK, port)
        send(port, *(b"request" for _ in range(2 * BATCH)))
        await inbox.arrived(2 * BATCH)
        inbox.listener.close()
        assert asked == [False] * len(inbox.batches)
        assert not inbox.turns.request_socket_waits

    asyncio.run(run())


def test_nothing_is_read_while_requests_wait_that_were_read() -> None:
    """They would need memory without bound; in the kernel's buffer what is dropped is counted."""
    async def run() -> None:
        inbox = Inbox()
        inbox.turns.requests_unread = True
        port = free_port()
        inbox.listener.open(LOOPBACK, port)
        send(port, b"request")
        for _ in range(50):
            await asyncio.sleep(0)
        assert not inbox.datagrams
        inbox.turns.requests_unread = False
        await inbox.arrived(1)
        inbox.listener.close()

    asyncio.run(run())


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_batches_are_smaller_when_turns_are_slow(share: float) -> None:
    async def run() -> None:
        inbox = Inbox()
        inbox.turns.share = share
        port = free_port()
        inbox.listener.open(LOOPBACK, port)
        send(port, *(b"request" for _ in range(BATCH)))
        await inbox.arrived(BATCH)
        inbox.listener.close()
        assert inbox.batches == [share * BATCH] * int(1 / share)

    asyncio.run(run())


def test_a_long_datagram_is_cut_and_an_empty_one_is_a_datagram() -> None:
    async def run() -> None:
        inbox = Inbox()
        port = free_port()
        inbox.listener.open(LOOPBACK, port)
        send(port, b"x" * 6000, b"", b"end")
        await inbox.arrived(3)
        assert inbox.datagrams == [b"x" * DATAGRAM_LIMIT, b"", b"end"]
        inbox.listener.close()

    asyncio.run(run())


def test_ipv6() -> None:
    async def run() -> None:
        inbox = Inbox()
        port = free_port()
        inbox.listener.open(ip_address("::1"), port)
        send(port, b"six", host="::1")
        await inbox.arrived(1)
        assert inbox.datagrams == [b"six"]
        inbox.listener.close()

    asyncio.run(run())


def test_closing_hands_over_what_the_kernel_holds() -> None:
    async def run() -> None:
        inbox = Inbox()
        port = free_port()
        inbox.listener.open(LOOPBACK, port)
        sent = [b"%d" % number for number in range(BATCH + 5)]
        send(port, *sent)
        inbox.listener.close()
        assert inbox.datagrams == sent
        assert inbox.listener.bound_to is None

    asyncio.run(run())


def test_closing_hands_over_a_full_buffer() -> None:
    """A stop, or a move to another port, in a burst: all that the kernel has taken is handed over."""
    async def scene() -> None:
        inbox = Inbox()
        inbox.listener.open(LOOPBACK, port := free_port())
        sent = 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", port))
            while not inbox.listener.kernel_drops():
                sock.send(b"%d" % sent)
                sent += 1
        dropped = inbox.listener.kernel_drops()
        inbox.listener.close()
        assert len(inbox.datagrams) == sent - dropped

    asyncio.run(scene())


def test_draining_hands_over_a_batch_in_each_turn() -> None:
    async def scene() -> None:
        inbox = Inbox()
        inbox.listener.open(LOOPBACK, port := free_port())
        sent = [b"%d" % number for number in range(3 * BATCH)]
        send(port, *sent)
        closed = asyncio.Event()
        inbox.listener.drain(closed.set)
        assert inbox.batches == [BATCH]
        assert inbox.listener.bound_to is None
        async with asyncio.timeout(10):
            await closed.wait()
        assert inbox.datagrams == sent
        assert inbox.listener.socket is None

    asyncio.run(scene())


def test_draining_what_holds_nothing_is_closing() -> None:
    async def scene() -> None:
        inbox = Inbox()
        closed: list[bool] = []
        inbox.listener.drain(lambda: closed.append(True))
        inbox.listener.open(LOOPBACK, free_port())
        inbox.listener.drain(lambda: closed.append(True))
        assert len(closed) == 2

    asyncio.run(scene())


def test_a_flood_does_not_keep_a_draining_listener_open(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        inbox = Inbox()
        inbox.listener.open(LOOPBACK, port := free_port())
        send(port, *[b"flood"] * 4 * BATCH)
        monkeypatch.setattr(listener, "LAST_BATCHES", 2)
        closed = asyncio.Event()
        inbox.listener.drain(closed.set)
        async with asyncio.timeout(10):
            await closed.wait()
        assert inbox.batches == [BATCH, BATCH]

    asyncio.run(scene())


def test_what_is_bound_and_not_started_waits_in_the_kernel() -> None:
    async def scene() -> None:
        inbox = Inbox()
        inbox.listener.bind(LOOPBACK, port := free_port())
        send(port, b"early")
        for _ in range(5):
            await asyncio.sleep(0)
        assert not inbox.datagrams
        inbox.listener.start()
        await inbox.arrived(1)
        inbox.listener.close()
        inbox.listener.start()  # nothing happens

    asyncio.run(scene())


def test_a_second_listener_on_the_port_fails_instead_of_sharing_it() -> None:
    async def run() -> None:
        first, second = Inbox(), Inbox()
        port = free_port()
        first.listener.open(LOOPBACK, port)
        with pytest.raises(OSError, match="in use") as caught:
            second.listener.open(LOOPBACK, port)
        assert caught.value.errno == errno.EADDRINUSE
        first.listener.close()
        second.listener.open(LOOPBACK, port)
        second.listener.close()

    asyncio.run(run())


def test_what_the_kernel_drops_is_known() -> None:
    async def run() -> None:
        inbox = Inbox()
        port = free_port()
        inbox.listener.open(LOOPBACK, port)
        assert inbox.listener.kernel_drops() == 0
        payload = b"x" * 4000
        count = inbox.listener.buffer_size // len(payload) + 100
        send(port, *[payload] * count)
        dropped = inbox.listener.kernel_drops()
        assert dropped > 0
        await inbox.arrived(count - dropped)
        assert len(inbox.datagrams) == count - dropped
        inbox.listener.close()
        assert inbox.listener.kernel_drops() == 0

    asyncio.run(run())
