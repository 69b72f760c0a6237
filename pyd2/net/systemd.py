"""Messages to the service manager, and sockets that it keeps: sd_notify(3), sd_listen_fds(3).

Both are plain protocols over environment variables, datagrams and file descriptors. Without the variables no
message is sent and no socket taken over.

The daemon puts the NCR socket into the manager's store as soon as it is bound. After a restart it gets the
socket back, with the requests that have arrived meanwhile: a restart loses no request.
"""

from __future__ import annotations

import array
import os
import socket
import time
from typing import TYPE_CHECKING, Final

from pyd2.data.controls import escaped
from pyd2.net.addresses import socket_address

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, MutableMapping

    from pyd2.config.addresses import Address
    from pyd2.messages import Log

FIRST_DESCRIPTOR: Final = 3
"""SD_LISTEN_FDS_START: the first file descriptor that is handed over."""

STORE_NAME: Final = "ncr"
"""The name of the NCR socket in the manager's store (FDNAME)."""

SEND_SECONDS: Final = 1.0
"""How long a message may wait for a manager that is busy."""

_NOTIFY: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_LISTEN: Final = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID")


class ServiceManager:
    """systemd, or another manager with its protocols; without one the methods do nothing."""

    def __init__(self, environ: MutableMapping[str, str], log: Log) -> None:
        """Read the variables and remove them: they are not for programs that hook libraries start."""
        given = {name: environ.pop(name, "") for name in (*_NOTIFY, *_LISTEN)}
        self._log = log
        self._address = given["NOTIFY_SOCKET"]
        self._watchdog = 0.0
        """Seconds without a message after which the manager ends the daemon; 0: never."""
        own = str(os.getpid())
        if given["WATCHDOG_PID"] in ("", own) and given["WATCHDOG_USEC"].isdecimal():
            self._watchdog = int(given["WATCHDOG_USEC"]) / 1e6
        self._kept: list[socket.socket] = []
        """The sockets handed over; later a second descriptor of the NCR socket in use, and no other."""
        self._unused: set[socket.socket] = set()
        """The sockets handed over that ``find`` has not returned."""
        if given["LISTEN_PID"] == own and given["LISTEN_FDS"].isdecimal():
            for number in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(given["LISTEN_FDS"])):
                self._take_over(number)

    # Messages.

    def ready(self, status: str) -> None:
        """Report that the daemon serves, after the start or a reload; ``status`` is one line of text."""
        self._send("READY=1\nSTATUS=" + escaped(" ".join(status.split())))

    def reloading(self) -> None:
        """Report that a reload begins; ``ready`` reports its end."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Report that the daemon shuts down."""
        self._send("STOPPING=1")

    def watch(
        self, loop: asyncio.AbstractEventLoop, when_alive: Callable[[Callable[[], None]], None]
    ) -> None:
        """Send two signs of life in each watchdog period, for as long as the loop turns.

        ``when_alive`` calls its argument as soon as the rest of the daemon has shown that it works, too.
        """
        if self._watchdog and self._address:
            when_alive(lambda: self._send("WATCHDOG=1"))
            loop.call_later(self._watchdog / 2, self.watch, loop, when_alive)

    def _send(self, text: str, *descriptors: int) -> None:
        address = self._address
        if not address:
            return
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(SEND_SECONDS)
                # The variable spells the NUL that begins an abstract name as @.
                where = "\0" + address[1:] if address.startswith("@") else address
                sock.sendmsg([text.encode("utf-8", "replace")], rights if descriptors else [], 0, where)
        except OSError as error:
            state = text.partition("\n")[0]
            self._log.emit("PYD2_SERVICE_MANAGER_UNREACHABLE", state, address, error.strerror or error)

    # Sockets that the manager keeps.

    def find(self, address: Address, port: int) -> socket.socket | None:
        """Return the manager's socket for this place, None if it has none. The caller closes it."""
        wanted = socket_address(address, port)
        for sock in self._kept:
            host, *rest = sock.getsockname()
            if (host.partition("%")[0], *rest) == wanted:
                if sock in self._unused:
                    self._unused.remove(sock)
                    self._log.emit("PYD2_SOCKET_INHERITED", host, port)
                return sock.dup()
        return None

    def keep(self, sock: socket.socket) -> None:
        """Have the manager keep the socket that requests are read from, and no other."""
        place = sock.getsockname()
        same = [kept for kept in self._kept if kept.getsockname() == place][:1]
        others = [kept for kept in self._kept if kept not in same]
        for other in others:
            if other in self._unused:
                host, port = other.getsockname()[:2]
                self._log.emit("PYD2_SOCKET_REJECTED", other.fileno(), f"it is bound to {host} port {port}")
            other.close()
        self._unused.clear()
        if self._address and (others or not same):
            same = same or [sock.dup()]
            self._send(f"FDSTOREREMOVE=1\nFDNAME={STORE_NAME}")
            # Without FDPOLL=0 a pending error on the socket would remove it from the store.
            self._send(f"FDSTORE=1\nFDNAME={STORE_NAME}\nFDPOLL=0", sock.fileno())
        self._kept = same

    def release(self) -> None:
        """Have the manager keep no socket: it would block the place of a new one."""
        for sock in self._kept:
            sock.close()
        self._kept.clear()
        self._send(f"FDSTOREREMOVE=1\nFDNAME={STORE_NAME}")

    def _take_over(self, number: int) -> None:
        try:
            sock = socket.socket(fileno=number)
        except OSError as error:
            self._log.emit("PYD2_SOCKET_REJECTED", number, error.strerror)
            return
        if sock.type != socket.SOCK_DGRAM or sock.family not in (socket.AF_INET, socket.AF_INET6):
            self._log.emit("PYD2_SOCKET_REJECTED", number, "it is no UDP socket")
            sock.close()
            return
        sock.set_inheritable(False)
        sock.setblocking(False)  # noqa: FBT003  the name of the method says it
        self._kept.append(sock)
        self._unused.add(sock)
