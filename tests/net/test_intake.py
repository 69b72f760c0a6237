"""Where the NCR listener is, and what is logged of it, from configuration to shutdown."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from pyd2.counters import Counters
from pyd2.net.datagrams import PlainDatagrams
from pyd2.net.intake import Intake
from pyd2.net.systemd import ServiceManager

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.config.addresses import Address

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
            asyncio.get_running_loop(), lambda _: None, Counters(0.0), log, PlainDatagrams(),
            ServiceManager({}, log),
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
        intake.stop()
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
