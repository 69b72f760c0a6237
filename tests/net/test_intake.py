"""Where the NCR listener is, and what is logged of it, from configuration to shutdown."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from pyd2.counters import Counters
from pyd2.net.datagrams import PythonDatagrams
from pyd2.net.intake import Intake
from pyd2.net.listener import BATCH
from pyd2.net.read_turns import ReadTurns
from pyd2.net.systemd import ServiceManager

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyd2.config.addresses import Address

LOOPBACK = ip_address("127.0.0.1")
STOPPED = ["DHCP_DDNS_NCR_UDP_RECV_CANCELED", "DHCP_DDNS_QUEUE_MGR_STOPPED"]
STARTED = ["DHCP_DDNS_QUEUE_MGR_RECONFIGURING", "DHCP_DDNS_QUEUE_MGR_STARTED"]


class Lines:
    """A log that keeps its message IDs and their arguments."""

    def __init__(self) -> None:
        self.on: frozenset[str] = frozenset()
        self.lines: list[tuple[str, list[str]]] = []

    def emit(self, message: str, /, *arguments: object) -> None:
        if message != "PYD2_NCR_RECEIVE_BUFFER_SMALL":  # depends on the machine
            self.lines.append((message, [str(argument) for argument in arguments]))

    @property
    def ids(self) -> list[str]:
        return [message for message, _ in self.lines]


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _log_of(story: Callable[[Intake, int], None]) -> Lines:
    async def run() -> Lines:
        log = Lines()
        intake = Intake(
            asyncio.get_running_loop(), lambda _: None, Counters(0.0), log, PythonDatagrams(),
            ServiceManager({}, log), ReadTurns(asyncio.get_running_loop()),
        )  # fmt: skip
        story(intake, _free_port())
        intake.leave()
        return log

    return asyncio.run(run())


def _listen_at(text: str) -> Callable[[Intake, int], None]:
    address: Address = ip_address(text)
    return lambda intake, port: intake.listen(address, port)


def test_a_stop_and_the_end_are_logged_as_kea_logs_them() -> None:
    """Kea's queue manager says once more that it has stopped when it is taken down at the very end."""
    def story(intake: Intake, port: int) -> None:
        intake.listen(ip_address("127.0.0.1"), port)
        intake.stop(lambda: None)
        intake.leave()
        intake.log_end()

    assert _log_of(story).ids == [*STARTED, "DHCP_DDNS_QUEUE_MGR_STOPPING", *STOPPED, STOPPED[1]]


def test_a_port_that_is_open_at_the_end_is_logged_then() -> None:
    """A shutdown of type ``now`` does not wait for the listener."""
    def story(intake: Intake, port: int) -> None:
        intake.listen(ip_address("127.0.0.1"), port)
        intake.leave()
        intake.log_end()

    assert _log_of(story).ids == [*STARTED, *STOPPED]


def test_where_nothing_was_to_be_heard_nothing_ends() -> None:
    assert _log_of(lambda intake, _: intake.log_end()).ids == []


@pytest.mark.parametrize("text", ["::ffff:192.0.2.1", "::192.0.2.1", "fe80::1%lo", "192.0.2.1"])
def test_a_foreign_address_is_named_as_kea_names_it(text: str) -> None:
    warning, error = _log_of(_listen_at(text)).lines[1:]
    assert warning == ("DHCP_DDNS_NOT_ON_LOOPBACK", [text])
    assert error == ("DHCP_DDNS_QUEUE_MGR_START_ERROR",
                     ["D2QueueMgr listener start failed: Open failed: Cannot assign requested address"])


@pytest.mark.parametrize("text", ["127.0.0.1", "::1"])
def test_the_loopback_gets_no_warning(text: str) -> None:
    assert _log_of(_listen_at(text)).ids == STARTED


class Burst:
    """An intake with more in the kernel than is read in a turn of the loop, and what it hands over."""

    COUNT = 3 * BATCH + 5

    def __init__(self) -> None:
        self.log = Lines()
        self.batches: list[list[bytes]] = []
        self.failing: set[int] = set()
        """Numbers of the batches, counted from 0, that meet an internal error."""
        self._changed = asyncio.Event()
        self.intake = Intake(
            asyncio.get_running_loop(), self._keep, Counters(0.0), self.log, PythonDatagrams(),
            ServiceManager({}, self.log), ReadTurns(asyncio.get_running_loop()),
        )  # fmt: skip
        self.port = _free_port()
        self.intake.listen(LOOPBACK, self.port)
        self.sent = [b"%d" % number for number in range(self.COUNT)]
        send(self.port, *self.sent)

    def _keep(self, datagrams: Sequence[bytes]) -> None:
        self.batches.append(list(datagrams))
        self._changed.set()
        if len(self.batches) - 1 in self.failing:
            raise RuntimeError("internal error")

    @property
    def read(self) -> list[bytes]:
        return [datagram for batch in self.batches for datagram in batch]

    async def arrived(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.read) < count:
                self._changed.clear()
                await self._changed.wait()


def send(port: int, *datagrams: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for datagram in datagrams:
            sock.sendto(datagram, ("127.0.0.1", port))


def test_a_move_reads_what_the_port_before_holds_in_parts_and_first() -> None:
    async def run() -> None:
        burst = Burst()
        new_port = _free_port()
        burst.intake.listen(LOOPBACK, new_port)
        assert len(burst.batches) == 1
        assert burst.intake.state == f"listening on 127.0.0.1 port {new_port}"
        send(new_port, b"later")
        await burst.arrived(burst.COUNT + 1)
        assert burst.read == [*burst.sent, b"later"]
        assert not burst.intake.draining
        burst.intake.leave()

    asyncio.run(run())


def test_a_move_to_all_addresses_of_the_port_reads_in_parts_too() -> None:
    """The present socket is in the way of the new one, which is bound when all is read."""
    async def run() -> None:
        burst = Burst()
        burst.intake.listen(ip_address("0.0.0.0"), burst.port)
        assert len(burst.batches) == 1
        assert burst.log.ids[-1] == "DHCP_DDNS_LISTENING_ON_ALL_INTERFACES"
        send(burst.port, b"meanwhile")
        await burst.arrived(burst.COUNT + 1)
        assert burst.log.ids[-1] == "DHCP_DDNS_QUEUE_MGR_STARTED"
        send(burst.port, b"later")
        await burst.arrived(burst.COUNT + 2)
        assert burst.read == [*burst.sent, b"meanwhile", b"later"]
        burst.intake.leave()

    asyncio.run(run())


def test_a_second_move_reads_the_ports_in_their_order() -> None:
    async def run() -> None:
        burst = Burst()
        ports = _free_port(), _free_port()
        for name, port in zip((b"second", b"third"), ports, strict=True):
            burst.intake.listen(LOOPBACK, port)
            send(port, name)
        assert len(burst.batches) == 1
        await burst.arrived(burst.COUNT + 2)
        assert burst.read == [*burst.sent, b"second", b"third"]
        assert burst.log.ids.count("DHCP_DDNS_QUEUE_MGR_STARTED") == 3
        burst.intake.leave()

    asyncio.run(run())


def test_a_move_while_the_port_before_is_in_the_way_of_another_one() -> None:
    """The place wanted in between is not bound, and the last one is read when the first is drained."""
    async def run() -> None:
        burst = Burst()
        burst.intake.listen(ip_address("0.0.0.0"), burst.port)
        port = _free_port()
        burst.intake.listen(LOOPBACK, port)
        send(port, b"later")
        await burst.arrived(burst.COUNT + 1)
        assert burst.read == [*burst.sent, b"later"]
        assert burst.log.ids.count("DHCP_DDNS_QUEUE_MGR_STARTED") == 2
        burst.intake.leave()

    asyncio.run(run())


@pytest.mark.parametrize("stops", [1, 2])
def test_a_stop_after_a_move_reads_the_ports_in_their_order(stops: int) -> None:
    async def run() -> None:
        burst = Burst()
        port = _free_port()
        burst.intake.listen(LOOPBACK, port)
        send(port, b"later")
        stopped = asyncio.Event()
        for _ in range(stops):
            burst.intake.stop(stopped.set)
        assert len(burst.batches) == 1
        async with asyncio.timeout(10):
            await stopped.wait()
        assert burst.read == [*burst.sent, b"later"]
        assert not burst.intake.draining
        burst.intake.leave()

    asyncio.run(run())


def test_a_shutdown_now_after_a_move_and_a_stop_reads_the_ports_in_their_order() -> None:
    async def run() -> None:
        burst = Burst()
        port = _free_port()
        burst.intake.listen(LOOPBACK, port)
        send(port, b"later")
        burst.intake.stop(lambda: None)
        burst.intake.leave()
        assert burst.read == [*burst.sent, b"later"]

    asyncio.run(run())


@pytest.mark.parametrize("failing", [{0}, {1}, {0, 1, 2}, {3}])
def test_a_fault_while_a_port_is_drained_does_not_keep_the_next_one_deaf(failing: set[int]) -> None:
    async def run() -> None:
        faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault["exception"]))
        burst = Burst()
        burst.failing = failing
        port = _free_port()
        burst.intake.listen(LOOPBACK, port)
        send(port, b"later")
        await burst.arrived(burst.COUNT + 1)
        assert burst.read == [*burst.sent, b"later"]
        assert [str(fault) for fault in faults] == ["internal error"] * len(failing)
        burst.intake.leave()

    asyncio.run(run())


def test_a_fault_in_the_last_moment_does_not_keep_the_port_open() -> None:
    async def run() -> None:
        faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault["exception"]))
        burst = Burst()
        burst.failing = {1}
        burst.intake.stop(lambda: None)
        burst.intake.leave()
        assert burst.read == burst.sent
        assert [str(fault) for fault in faults] == ["internal error"]

    asyncio.run(run())


def test_a_move_back_finds_the_port_free() -> None:
    async def run() -> None:
        burst = Burst()
        burst.intake.listen(LOOPBACK, _free_port())
        burst.intake.listen(LOOPBACK, burst.port)
        assert burst.intake.state == f"listening on 127.0.0.1 port {burst.port}"
        await burst.arrived(burst.COUNT)
        assert burst.read == burst.sent
        burst.intake.leave()

    asyncio.run(run())


def test_a_stop_reads_what_has_arrived_in_parts_and_says_when_it_is_done() -> None:
    async def run() -> None:
        burst = Burst()
        stopped = asyncio.Event()
        burst.intake.stop(stopped.set)
        burst.intake.stop(stopped.set)  # a shutdown's kind may change
        assert len(burst.batches) == 1
        assert burst.intake.draining
        assert burst.intake.state == "not listening"
        async with asyncio.timeout(10):
            await stopped.wait()
        assert burst.read == burst.sent
        assert not burst.intake.draining

    asyncio.run(run())


def test_who_leaves_before_all_is_read_loses_nothing() -> None:
    async def run() -> None:
        burst = Burst()
        burst.intake.stop(lambda: None)
        burst.intake.leave()
        assert burst.read == burst.sent

    asyncio.run(run())


def test_a_stop_that_is_called_off_listens_again() -> None:
    async def run() -> None:
        burst = Burst()
        burst.intake.stop(lambda: None)
        burst.intake.listen(LOOPBACK, burst.port)
        send(burst.port, b"later")
        await burst.arrived(burst.COUNT + 1)
        assert burst.read == [*burst.sent, b"later"]
        burst.intake.leave()

    asyncio.run(run())
