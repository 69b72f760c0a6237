"""Messages about requests are formatted in batches, and the log is the same as without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyd2.config.model import Logger, OutputOption
from pyd2.messages import ROOT_LOGGER, Severity
from pyd2.packets.packed import PackedRequest
from tests.kit.profile import message_log
from tests.packets.layers import COMPILED, PLAIN
from tests.update.support import datagram, request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyd2.observe.log import MessageLog
    from pyd2.packets.layer import Request

ADDED, REMOVED = "DHCP_DDNS_ADD_SUCCEEDED", "DHCP_DDNS_REMOVE_SUCCEEDED"
DATAGRAMS = [
    datagram(request(fqdn=fqdn, ip_address=address))
    for fqdn, address in (("one.example.com.", "192.0.2.1"), ("a%2b%3c.example.com.", "2001:db8::7"),
                          ("%1.example.com.", "192.0.2.255"), ("Two.example.com.", "192.0.2.0"))
]
PATTERNS = [
    "", "%m%n", "%-5p %m %m%n", "%-700m|%n", "%.7m%n", "100%% %m", "no message%n", "\0%m%n", "\u00fc%m%n",
]
NOW = 1_700_000_000.25


def read() -> list[PackedRequest]:
    """Return the requests, packed."""
    return [ncr for ncr in COMPILED.read_requests(DATAGRAMS, None) if isinstance(ncr, PackedRequest)]


def written(path: Path, pattern: str, emit: Callable[[MessageLog], None]) -> bytes:
    """Return what a log with a thread writes with a pattern when ``emit`` emits messages."""
    log = message_log({"KEA_LOCKFILE_DIR": "none", "KEA_LOGGER_DESTINATION": "/dev/null"}, clock=lambda: NOW)
    log.configure((Logger(ROOT_LOGGER, "INFO", 0, (OutputOption(str(path), pattern=pattern),), None),))
    log.start_writer()
    emit(log)
    log.flush()
    octets = path.read_bytes()
    log.close()
    assert path.read_bytes() == octets
    path.unlink()
    return octets


def emit_one_by_one(log: MessageLog, message_id: str, requests: list[Request]) -> None:
    """Emit messages about requests one by one."""
    for ncr in requests:
        log.emit(message_id, ncr.request_id, ncr.text())


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_log_is_the_same(pattern: str, tmp_path: Path) -> None:
    packed = read() * 70
    plain = [PLAIN.decode(octets) for octets in DATAGRAMS]

    def by_request(log: MessageLog) -> None:
        log.emit_requests(ADDED, packed)
        log.emit("DHCP_DDNS_STARTED", "between")
        log.emit_requests(ADDED, [packed[0], packed[1], plain[1], packed[3]])
        for ncr in packed[:3]:
            log.emit_requests(REMOVED, [ncr])
        log.logger("hook").message(Severity.ERROR, 0, "OTHER", "at once")
        log.emit_requests(REMOVED, [packed[3]])

    def by_arguments(log: MessageLog) -> None:
        emit_one_by_one(log, ADDED, [*packed])
        log.emit("DHCP_DDNS_STARTED", "between")
        emit_one_by_one(log, ADDED, [packed[0], packed[1], plain[1], packed[3]])
        emit_one_by_one(log, REMOVED, [*packed[:3]])
        log.logger("hook").message(Severity.ERROR, 0, "OTHER", "at once")
        emit_one_by_one(log, REMOVED, [packed[3]])

    path = tmp_path / "d2.log"
    assert written(path, pattern, by_request) == written(path, pattern, by_arguments)


def test_messages_before_a_reconfiguration_or_the_end_are_written(tmp_path: Path) -> None:
    ncr = read()[0]
    log = message_log({"KEA_LOCKFILE_DIR": "none", "KEA_LOGGER_DESTINATION": "/dev/null"})
    log.start_writer()
    for name in ("one.log", "two.log"):
        log.configure((Logger(ROOT_LOGGER, "INFO", 0, (OutputOption(str(tmp_path / name)),), None),))
        log.emit_requests(ADDED, [ncr])
    log.close()
    for name in ("one.log", "two.log"):
        assert (tmp_path / name).read_text().count(ADDED) == 1
