"""The sockets towards a DNS server, against real sockets on the loopback."""

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from ipaddress import ip_address
from pathlib import Path

import pytest
import uvloop

from pyd2.counters import Counters
from pyd2.net import dns, read_turns
from pyd2.net.datagrams import Datagrams, PythonDatagrams
from pyd2.net.descriptors import Descriptors
from pyd2.net.dns import RENEW_SECONDS, ServerSockets
from pyd2.net.read_turns import ReadTurns
from pyd2.net.troubles import Troubles
from pyd2.update.engine import Outgoing
from pyd2.update.inflight.contract import STREAM
from pyd2.update.server.lane import Lane
from pyd2.update.server.window import PythonWindow
from tests.net import chosen
from tests.update.support import MemoryLog

pytestmark = pytest.mark.usefixtures("datagrams")


class Peer:
    """A UDP server that remembers who asked and what."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(10)
        self.port: int = self.socket.getsockname()[1]

    def receive(self) -> tuple[bytes, tuple[str, int]]:
        data, source = self.socket.recvfrom(65535)
        return data, source


@pytest.fixture
def new_peer() -> Iterator[Callable[[], Peer]]:
    with ExitStack() as stack:

        def make() -> Peer:
            peer = Peer()
            stack.enter_context(peer.socket)
            return peer

        yield make


NewPeer = Callable[[], Peer]


class Rig:
    """Server sockets for a lane, and what they report."""

    def __init__(self, lane: Lane, datagrams: Datagrams | None = None) -> None:
        self.lane = lane
        self.replies: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self.failures: list[tuple[Outgoing, int | str]] = []
        self.counters, self.log = Counters(), MemoryLog(0)
        self.descriptors = Descriptors(lambda: False)
        self.sockets = ServerSockets(
            asyncio.get_running_loop(), lane, self._replied, lambda *failure: self.failures.append(failure),
            datagrams or chosen.datagrams, lambda: 0.5, self.descriptors,
            Troubles(self.counters, self.log).of(lane), ReadTurns(asyncio.get_running_loop()),
        )

    def _replied(self, lane: Lane, slot: int, datagrams: Sequence[bytes]) -> None:
        assert lane is self.lane
        for datagram in datagrams:
            self.replies.put_nowait((slot, datagram))

    def send(self, message: bytes, slot: int = 0, now: float = 100.0, *, tcp: bool = False) -> Outgoing:
        outgoing = Outgoing(self.lane, STREAM if tcp else slot, 0, tcp, message)
        self.sockets.send([outgoing], now)
        return outgoing

    def leases(self) -> int:
        """Return how many descriptors are counted."""
        return self.descriptors._used

    async def reply(self) -> tuple[int, bytes]:
        async with asyncio.timeout(10):
            return await self.replies.get()


def test_a_slot_is_a_port_and_replies_name_it(new_peer: NewPeer) -> None:
    async def run() -> None:
        peer = new_peer()
        rig = Rig(Lane(ip_address("127.0.0.1"), peer.port))
        sources = []
        for slot in (0, 3, 0):
            rig.lane.slots = [0, 1, 2, 3]
            rig.send(b"to slot %d" % slot, slot)
            data, source = peer.receive()
            peer.socket.sendto(b"answer to " + data, source)
            assert await rig.reply() == (slot, b"answer to to slot %d" % slot)
            sources.append(source)
        assert sources[0] == sources[2] != sources[1]
        rig.sockets.close()

    uvloop.run(run())


def test_ports_are_renewed_and_each_answers_for_itself(new_peer: NewPeer) -> None:
    async def run() -> None:
        peer = new_peer()
        rig = Rig(Lane(ip_address("127.0.0.1"), peer.port))
        rig.send(b"first")
        _, old = peer.receive()
        rig.send(b"last", now=100.0 + RENEW_SECONDS + 1)
        assert peer.receive() == (b"last", old)
        assert rig.lane.slots == [1]
        rig.send(b"new", slot=1, now=100.0 + RENEW_SECONDS + 2)
        _, new = peer.receive()
        assert old != new
        peer.socket.sendto(b"late", old)
        assert await rig.reply() == (0, b"late")
        peer.socket.sendto(b"prompt", new)
        assert await rig.reply() == (1, b"prompt")
        rig.sockets.close()

    uvloop.run(run())


def test_without_another_socket_the_old_one_serves_on(
    new_peer: NewPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        peer = new_peer()
        rig = Rig(Lane(ip_address("127.0.0.1"), peer.port))
        rig.send(b"first")
        _, old = peer.receive()

        def none_left(*_: object) -> socket.socket:
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(socket, "socket", none_left)
        for seconds in (1, 2, RENEW_SECONDS + 2):
            rig.send(b"on", now=100.0 + RENEW_SECONDS + seconds)
        monkeypatch.undo()
        for _ in range(3):
            assert peer.receive() == (b"on", old)
        assert rig.lane.slots == [0]
        assert not rig.failures
        rig.sockets.close()

    uvloop.run(run())


def test_others_are_not_heard(new_peer: NewPeer) -> None:
    async def run() -> None:
        peer, stranger = new_peer(), new_peer()
        rig = Rig(Lane(ip_address("127.0.0.1"), peer.port))
        rig.send(b"question")
        _, source = peer.receive()
        stranger.socket.sendto(b"forged", source)
        peer.socket.sendto(b"true", source)
        assert await rig.reply() == (0, b"true")
        assert rig.replies.empty()
        rig.sockets.close()

    uvloop.run(run())


def test_a_closed_port_is_silence_not_a_failure(new_peer: NewPeer) -> None:
    async def run() -> None:
        peer = new_peer()
        rig = Rig(Lane(ip_address("127.0.0.1"), peer.port))
        peer.socket.close()
        for _ in range(5):
            rig.send(b"anyone?")
            await asyncio.sleep(0)  # the loop sees the ICMP error, and stops watching the socket
        assert rig.failures == []
        reopened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        reopened.bind(("127.0.0.1", peer.port))
        reopened.settimeout(10)
        rig.send(b"back?")
        data, source = reopened.recvfrom(100)
        reopened.sendto(data, source)
        assert await rig.reply() == (0, b"back?")
        reopened.close()
        rig.sockets.close()

    uvloop.run(run())


def test_an_address_that_cannot_be_sent_to_fails_at_once() -> None:
    async def run() -> None:
        rig = Rig(Lane(ip_address("255.255.255.255"), 53))
        sent = rig.send(b"broadcast")
        assert rig.failures == [(sent, errno.EACCES)]
        rig.sockets.close()

    uvloop.run(run())


def test_a_message_too_large_for_udp_fails_at_once(new_peer: NewPeer) -> None:
    async def run() -> None:
        peer = new_peer()
        rig = Rig(Lane(ip_address("127.0.0.1"), peer.port))
        sent = rig.send(bytes(70000))
        assert rig.failures == [(sent, errno.EMSGSIZE)]
        rig.sockets.close()

    uvloop.run(run())


class FullKernel(PythonDatagrams):
    """Datagrams whose first sends find the kernel's buffer full."""

    def __init__(self, refusals: list[int]) -> None:
        self.refusals = refusals

    def send(self, sock: socket.socket, messages: Sequence[bytes]) -> tuple[int, int]:
        if not self.refusals:
            return chosen.datagrams.send(sock, messages)
        sent, error = chosen.datagrams.send(sock, messages[:1]) if len(messages) > 1 else (0, 0)
        return sent, error or self.refusals.pop(0)

    def receive(self, sock: socket.socket, count: int, size: int) -> tuple[Sequence[bytes], int]:
        return chosen.datagrams.receive(sock, count, size)


@pytest.mark.parametrize("together", [False, True])
def test_a_full_kernel_delays_messages_and_loses_none(new_peer: NewPeer, together: bool) -> None:
    refusals = [errno.EAGAIN, errno.ENOBUFS, errno.EAGAIN, errno.ECONNREFUSED]

    async def run() -> None:
        peer = new_peer()
        rig = Rig(Lane(ip_address("127.0.0.1"), peer.port), FullKernel(refusals))
        messages = [Outgoing(rig.lane, 0, 0, False, b"%d" % number) for number in range(3)]
        for batch in [messages] if together else [[message] for message in messages]:
            rig.sockets.send(batch, 100.0)
        loop = asyncio.get_running_loop()
        arrived = [(await loop.run_in_executor(None, peer.receive))[0] for _ in range(3)]
        assert arrived == [b"0", b"1", b"2"]
        assert not refusals
        assert not rig.failures
        rig.sockets.close()

    uvloop.run(run())


@pytest.mark.parametrize("error", [
    errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EPROTO, errno.EMSGSIZE,
])
def test_an_error_that_may_be_an_earlier_messages_is_not_believed_at_once(
    new_peer: NewPeer, error: int
) -> None:
    async def run() -> None:
        peer = new_peer()
        rig = Rig(Lane(ip_address("127.0.0.1"), peer.port), FullKernel([error]))
        rig.send(b"whole")
        assert peer.receive()[0] == b"whole"
        assert not rig.failures
        rig.sockets.close()

    uvloop.run(run())


def test_of_a_batch_only_what_cannot_be_sent_fails(new_peer: NewPeer) -> None:
    async def run() -> None:
        peer = new_peer()
        rig = Rig(Lane(ip_address("127.0.0.1"), peer.port))
        large = bytes(70000)
        texts = [large, b"0", large, large, *(b"%d" % number for number in range(1, 150)), large]
        messages = [Outgoing(rig.lane, 0, 0, False, text) for text in texts]
        rig.sockets.send(messages, 100.0)
        small = [text for text in texts if text is not large]
        assert [peer.receive()[0] for _ in small] == small
        assert rig.failures == [(message, errno.EMSGSIZE) for message in messages if message.message is large]
        rig.sockets.close()

    uvloop.run(run())


def test_a_batch_goes_out_by_slots(new_peer: NewPeer) -> None:
    async def run() -> None:
        peer = new_peer()
        rig = Rig(Lane(ip_address("127.0.0.1"), peer.port))
        slots = [0, 1, 0, 2, 1]
        rig.lane.slots = [0, 1, 2, 3]
        rig.sockets.send([Outgoing(rig.lane, slot, 0, False, b"%d" % slot) for slot in slots], 100.0)
        arrived = [peer.receive() for _ in slots]
        sources = dict(arrived)
        assert len(set(sources.values())) == 3
        assert sorted(arrived) == sorted((b"%d" % slot, sources[b"%d" % slot]) for slot in slots)
        rig.sockets.close()

    uvloop.run(run())


def test_tcp_on_demand() -> None:
    async def run() -> None:
        served = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readexactly(2 + 600))
            with suppress(ConnectionError):
                await reader.read()
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            served.set()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        rig = Rig(Lane(ip_address("127.0.0.1"), server.sockets[0].getsockname()[1]))
        large = bytes(range(200)) * 3
        rig.send(large, tcp=True)
        assert await rig.reply() == (STREAM, large)
        rig.sockets.close()
        server.close()
        await server.wait_closed()
        await served.wait()

    uvloop.run(run())


def test_replaced_sockets_close_when_no_try_can_wait_for_them(
    new_peer: NewPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dns, "LINGER_MAX", 0.0)

    async def run() -> None:
        peer = new_peer()
        rig = Rig(Lane(ip_address("127.0.0.1"), peer.port))
        rig.send(b"old")
        _, old = peer.receive()
        rig.send(b"last", now=100.0 + RENEW_SECONDS + 1)
        peer.receive()
        assert list(rig.sockets._sockets) == [0, 1]
        # The timer of zero seconds runs before what the loop does afterwards.
        async with asyncio.timeout(10):
            while True:
                try:
                    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                        probe.bind(old)
                        break
                except OSError:
                    await asyncio.sleep(0)
        # The port is free, and the new one works.
        assert list(rig.sockets._sockets) == rig.lane.slots == [1]
        rig.send(b"new", slot=1)
        message, source = peer.receive()
        assert (message, source == old) == (b"new", False)
        rig.sockets.close()
        assert rig.descriptors._used == 0

    uvloop.run(run())


JUNK = 4000
"""Datagrams that no receive buffer for 96 replies holds."""


def test_replies_that_take_long_are_read_a_few_at_a_time(
    new_peer: NewPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a server whose replies have a thousand records, all of a window held the thread for 100 ms."""
    now = [0.0]
    monkeypatch.setattr(dns, "monotonic", lambda: now[0])

    async def run() -> None:
        peer = new_peer()
        rig = Rig(Lane(ip_address("127.0.0.1"), peer.port))
        sizes: list[int] = []
        replied = rig.sockets._on_replies

        def slowly(lane: Lane, slot: int, datagrams: Sequence[bytes]) -> None:
            sizes.append(len(datagrams))
            now[0] += 0.001 * len(datagrams)
            replied(lane, slot, datagrams)

        rig.sockets._on_replies = slowly
        rig.send(b"one")
        _, client = peer.receive()
        for _ in range(2 * dns.BATCH):
            peer.socket.sendto(b"reply", client)
        for _ in range(2 * dns.BATCH):
            await rig.reply()
        assert sizes[0] == read_turns.LEAST
        assert max(sizes[1:]) <= 3
        rig.sockets.close()

    uvloop.run(run())


def test_what_the_kernel_drops_is_counted_and_logged_once_a_minute(new_peer: NewPeer) -> None:
    async def run() -> None:
        peer = new_peer()
        rig = Rig(Lane(ip_address("127.0.0.1"), peer.port))
        dropped = 0
        for _ in range(2):
            rig.send(b"question")
            _, source = peer.receive()
            for _ in range(JUNK):
                peer.socket.sendto(b"twelve bytes", source)
            for _ in range(JUNK // dns.READ_MOST + 1):
                list(rig.sockets.read())
            dropped += JUNK - rig.replies.qsize()
            while not rig.replies.empty():
                rig.replies.get_nowait()
            rig.sockets.count_drops()
            assert rig.counters.replies_dropped.value == dropped
            (text,) = rig.log.texts("PYD2_REPLIES_DROPPED")
            assert f"replies of DNS server {rig.lane.text} because a receive buffer of " in text
            rig.sockets.count_drops()
        assert dropped > 0
        assert rig.counters.replies_dropped.value == dropped
        rig.sockets.close()

    uvloop.run(run())


@pytest.mark.parametrize("cap", [1, 96, 4096])
def test_the_receive_buffer_holds_what_answers_a_whole_window(new_peer: NewPeer, cap: int) -> None:
    """And never less than the kernel gives without being asked."""
    usual, most = (int(Path("/proc/sys/net/core", name).read_text()) for name in ("rmem_default", "rmem_max"))

    async def run() -> None:
        peer = new_peer()
        rig = Rig(Lane(ip_address("127.0.0.1"), peer.port, PythonWindow(cap)))
        rig.send(b"question")
        granted = rig.sockets._sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        wanted = cap * dns.REPLY_MEMORY
        assert granted == max(usual, 2 * (wanted if os.geteuid() == 0 else min(wanted, most)))
        rig.sockets.close()

    uvloop.run(run())


def test_more_ports_under_load_and_none_without_work(
    new_peer: NewPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dns, "RENEW_SECONDS", 0.02)

    async def run() -> None:
        peer = new_peer()
        rig = Rig(Lane(ip_address("127.0.0.1"), peer.port))
        rig.send(b"alone")
        assert rig.lane.slots == [0]
        for _ in range(dns.LOAD):
            rig.lane.window.sent()
        for _ in range(5):
            rig.send(b"one of many")
        assert rig.lane.slots == list(rig.sockets._sockets) == [0, 1, 2, 3]
        assert rig.leases() == 4
        for _ in range(dns.LOAD):
            rig.lane.window.withdrawn(0.0)
        async with asyncio.timeout(10):
            while rig.leases():  # noqa: ASYNC110  a timer closes them
                await asyncio.sleep(0)
        assert rig.lane.slots == [4]
        rig.send(b"again", slot=4)
        assert rig.leases() == 1
        rig.sockets.close()

    uvloop.run(run())


def test_without_another_port_under_load_those_that_are_open_serve(
    new_peer: NewPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        peer = new_peer()
        rig = Rig(Lane(ip_address("127.0.0.1"), peer.port))
        rig.send(b"first")
        for _ in range(dns.LOAD):
            rig.lane.window.sent()

        def none_left(*_: object) -> socket.socket:
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(socket, "socket", none_left)
        for _ in range(5):
            rig.send(b"second")
        monkeypatch.undo()
        assert rig.lane.slots == [0]
        assert [peer.receive()[0] for _ in range(6)] == [b"first"] + [b"second"] * 5
        assert not rig.failures
        rig.sockets.close()

    uvloop.run(run())


def test_that_no_socket_can_be_opened_is_logged_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        rig = Rig(Lane(ip_address("127.0.0.1"), 53))

        def none_left(*_: object) -> socket.socket:
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(socket, "socket", none_left)
        sent = [rig.send(b"message") for _ in range(3)]
        monkeypatch.undo()
        assert rig.failures == [(message, errno.EMFILE) for message in sent]
        (text,) = rig.log.texts("PYD2_NO_SOCKET")
        assert "127.0.0.1 port:53: Too many open files." in text
        rig.sockets.close()

    uvloop.run(run())


def test_a_socket_that_cannot_send_gives_way_and_still_listens(new_peer: NewPeer) -> None:
    """Its address may be gone; each of Kea's tries has a socket of its own."""
    refusals: list[int] = []

    async def run() -> None:
        peer = new_peer()
        rig = Rig(Lane(ip_address("127.0.0.1"), peer.port), FullKernel(refusals))
        rig.send(b"first")
        _, old = peer.receive()
        refusals.extend([errno.EPERM, errno.EPERM])
        failed = rig.send(b"refused", now=101.0)
        assert rig.failures == [(failed, errno.EPERM)]
        assert rig.lane.slots == [1]
        rig.send(b"second", slot=1, now=101.5)
        message, new = peer.receive()
        assert (message, new == old) == (b"second", False)
        peer.socket.sendto(b"late", old)
        assert await rig.reply() == (0, b"late")
        rig.sockets.close()

    uvloop.run(run())


def test_sockets_that_never_sent_do_not_pile_up() -> None:
    """A firewall lets nothing out: a socket for each try would take those of other servers away."""
    refusals = [errno.EPERM] * 100

    async def run() -> None:
        rig = Rig(Lane(ip_address("127.0.0.1"), 53), FullKernel(refusals))
        for number in range(20):
            (slot,) = rig.lane.slots
            rig.send(b"refused", slot, now=100.0 + number)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert rig.leases() <= 2
        assert len(rig.failures) == 20
        rig.sockets.close()
        assert rig.leases() == 0

    uvloop.run(run())


def test_a_socket_that_gives_way_to_its_own_successor(
    new_peer: NewPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last descriptor is that of a port to be renewed, of a server with nothing under way."""

    async def run() -> None:
        peer = new_peer()
        rig = Rig(Lane(ip_address("127.0.0.1"), peer.port))
        monkeypatch.setattr(rig.descriptors, "_close_idle", rig.sockets.close_if_idle)
        monkeypatch.setattr("pyd2.net.descriptors._most", lambda: 1)
        rig.send(b"first")
        rig.send(b"second", now=100.0 + RENEW_SECONDS + 1)
        (slot,) = rig.lane.slots
        rig.send(b"third", slot, now=100.0 + RENEW_SECONDS + 2)
        assert [peer.receive()[0] for _ in range(3)] == [b"first", b"second", b"third"]
        assert (rig.failures, rig.leases()) == ([], 1)
        rig.sockets.close()

    uvloop.run(run())
