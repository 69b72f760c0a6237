"""The protocols of the service manager; tests/faults/test_service_manager.py has a daemon speak them."""

from __future__ import annotations

import os
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from pyd2.net.systemd import ServiceManager
from tests.kit import service_manager

if TYPE_CHECKING:
    from pathlib import Path


class Lines:
    """A log that keeps its lines."""

    on: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.lines: list[tuple[object, ...]] = []

    def emit(self, message: str, /, *arguments: object) -> None:
        self.lines.append((message, *arguments))


def _bound(host: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    return sock


def test_without_variables_nothing_is_said_and_nothing_kept() -> None:
    log = Lines()
    manager = ServiceManager({"HOME": "/"}, log)
    with _bound("127.0.0.1") as sock:
        address, port = sock.getsockname()
        manager.ready("listening")
        manager.keep(sock)
        assert manager.find(ip_address(address), port) is None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind((address, port))  # no second descriptor holds it
    assert log.lines == []


def test_the_status_is_one_line_without_controls(tmp_path: Path) -> None:
    """It holds texts from configurations, and people read it in terminals."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        manager = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "notify")}, Lines())
        manager.ready("a\nWATCHDOG=trigger\x1b[2J\x9b")
        assert heard.recv(4096) == b"READY=1\nSTATUS=a WATCHDOG=trigger\\x1b[2J\\x9b"


def test_the_variables_are_not_for_the_daemons_children() -> None:
    given = dict.fromkeys(("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID",
                           "LISTEN_FDNAMES", "LISTEN_PIDFDID"), "1")
    environ = {"HOME": "/", **given}
    ServiceManager(environ, Lines())
    assert environ == {"HOME": "/"}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_socket_that_is_kept_is_found_again_whatever_became_of_the_first(host: str, tmp_path: Path) -> None:
    log = Lines()
    with service_manager.ServiceManager(tmp_path) as played, _bound(host) as sock:
        manager = ServiceManager({"NOTIFY_SOCKET": played.address}, log)
        address, port = ip_address(host), sock.getsockname()[1]
        manager.keep(sock)
        manager.keep(sock)
        assert played.hear() == [{"FDSTOREREMOVE": "1", "FDNAME": "ncr"},
                                 {"FDSTORE": "1", "FDNAME": "ncr", "FDPOLL": "0"}]
        inode = os.fstat(sock.fileno()).st_ino
        (stored,) = played.store["ncr"]
        assert os.fstat(stored.fileno()).st_ino == inode
        sock.close()
        found = manager.find(address, port)
        assert found is not None
        with found:
            assert os.fstat(found.fileno()).st_ino == inode
        assert manager.find(ip_address("127.0.0.9"), port) is None
        assert manager.find(address, port + 1) is None
        manager.release()
        played.hear()
        assert played.store == {}
        assert manager.find(address, port) is None
    assert log.lines == []


def test_a_status_is_one_line(tmp_path: Path) -> None:
    """A text of several lines could set other variables of the service manager."""
    with service_manager.ServiceManager(tmp_path) as played:
        ServiceManager({"NOTIFY_SOCKET": played.address}, Lines()).ready("no\nMAINPID=1\n \udcff")
        assert played.hear() == [{"READY": "1", "STATUS": "no MAINPID=1 ?"}]


@pytest.mark.parametrize("address", ["/nonexistent/notify", "@pyd2-absent", "vsock:2:1234", "x" * 200])
def test_a_manager_out_of_reach_is_logged(address: str) -> None:
    log = Lines()
    ServiceManager({"NOTIFY_SOCKET": address}, log).stopping()
    ((message, said, where, reason),) = log.lines
    assert (message, said, where) == ("PYD2_SERVICE_MANAGER_UNREACHABLE", "STOPPING=1", address)
    assert reason
