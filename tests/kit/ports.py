"""Free ports, handed out so that no two tests, in this process or another, get the same one.

A port is free when no process holds its lock file and no socket is bound to it. All ports lie below the
kernel's ephemeral range, so that no outgoing socket takes one between the check and its use.
All have five digits, so that a text keeps its length when its ports are replaced, and lie above 20603,
the version that hook libraries give: where ports are replaced in a text that names it, it must stay.
"""

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.kit.waiting import wait_until

_LOWEST = 21000


def _highest() -> int:
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    return low if low > _LOWEST + 1000 else 32768


def _is_unused(port: int) -> bool:
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::1")):
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with socket.socket(family, kind) as probe:
                if kind == socket.SOCK_STREAM:
                    # A connection in TIME_WAIT is no reason to refuse the port; a listener still is.
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((address, port))
                except OSError:
                    return False
    return True


class PortLease:
    """A set of ports held until it is closed. Use it as a context manager."""

    def __init__(self) -> None:
        self._locks: dict[int, int] = {}
        self._directory = Path(tempfile.gettempdir(), f"d2-test-ports-{os.getuid()}")
        self._directory.mkdir(exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def take(self) -> int:
        """Return a free port, for UDP and TCP, IPv4 and IPv6 alike."""
        highest = _highest()
        while True:
            port = random.randrange(_LOWEST, highest)
            if self._lock(port):
                if _is_unused(port):
                    return port
                os.close(self._locks.pop(port))

    def take_exactly(self, port: int, timeout: float = 60.0) -> int:
        """Wait for a port that a test can't choose (a default of Kea's) and hold it."""
        wait_until(lambda: self._lock(port), f"the lock of port {port}", timeout)
        return port

    def close(self) -> None:
        """Give all ports back."""
        for lock in self._locks.values():
            os.close(lock)
        self._locks.clear()

    def _lock(self, port: int) -> bool:
        lock = os.open(self._directory / str(port), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._locks[port] = lock
        return True
