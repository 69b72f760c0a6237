"""What the daemon and its service manager have to say to each other: sd_notify(3), sd_listen_fds(3).

Both are plain protocols over environment variables, datagrams and file descriptors. Without the variables
nothing is sent and nothing is taken over.

The NCR socket is given into the manager's store as soon as it is bound. It is then still there, with what
has arrived meanwhile, when the daemon starts again: a restart loses no request.
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

    from pyd2.config.model import Address
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
    """systemd, or what speaks its protocols; nobody, if the environment names none."""

    def __init__(self, environ: MutableMapping[str, str], log: Log) -> None:
        """Read the variables and remove them: they are not for programs that hook libraries start."""
        given = {name: environ.pop(name, "") for name in (*_NOTIFY, *_LISTEN)}
        self._log = log
        self._address = given["NOTIFY_SOCKET"]
        self._watchdog = 0.0
        """Seconds after which the manager ends a daemon that has not been heard of; 0: never."""
        own = str(os.getpid())
        if given["WATCHDOG_PID"] in ("", own) and given["WATCHDOG_USEC"].isdecimal():
            self._watchdog = int(given["WATCHDOG_USEC"]) / 1e6
        self._kept: list[socket.socket] = []
        """What was handed over, then only the NCR socket that is in use (a second descriptor of it)."""
        self._untaken: set[socket.socket] = set()
        """Those handed over that nobody has asked for."""
        if given["LISTEN_PID"] == own and given["LISTEN_FDS"].isdecimal():
            for number in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(given["LISTEN_FDS"])):
                self._take_over(number)

    # What is said.

    def ready(self, status: str) -> None:
        """Say that the daemon serves, after the start or a reload; ``status`` is one line for people."""
        self._send("READY=1\nSTATUS=" + escaped(" ".join(status.split())))

    def reloading(self) -> None:
        """Say that a reload begins; ``ready`` says that it is over."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that the daemon leaves."""
        self._send("STOPPING=1")

    def watch(
        self, loop: asyncio.AbstractEventLoop, when_alive: Callable[[Callable[[], None]], None]
    ) -> None:
        """Say twice in each watchdog period that the loop turns, and what ``when_alive`` waits for, too."""
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
                # An @ stands for the NUL that begins an abstract name.
                where = "\0" + address[1:] if address.startswith("@") else address
                sock.sendmsg([text.encode("utf-8", "replace")], rights if descriptors else [], 0, where)
        except OSError as error:
            said = text.partition("\n")[0]
            self._log.emit("PYD2_SERVICE_MANAGER_UNREACHABLE", said, address, error.strerror or error)

    # Sockets that are handed over, and handed back.

    def find(self, address: Address, port: int) -> socket.socket | None:
        """Return the socket for this place if the manager has one; it is the caller's, to be closed."""
        wanted = socket_address(address, port)
        for sock in self._kept:
            host, *rest = sock.getsockname()
            if (host.partition("%")[0], *rest) == wanted:
                if sock in self._untaken:
                    self._untaken.remove(sock)
                    self._log.emit("PYD2_SOCKET_INHERITED", host, port)
                return sock.dup()
        return None

    def keep(self, sock: socket.socket) -> None:
        """Have the manager keep the socket that requests are read from, and no other."""
        place = sock.getsockname()
        same = [kept for kept in self._kept if kept.getsockname() == place][:1]
        others = [kept for kept in self._kept if kept not in same]
        for other in others:
            if other in self._untaken:
                host, port = other.getsockname()[:2]
                self._log.emit("PYD2_SOCKET_REJECTED", other.fileno(), f"it is bound to {host} port {port}")
            other.close()
        self._untaken.clear()
        if self._address and (others or not same):
            same = same or [sock.dup()]
            self._send(f"FDSTOREREMOVE=1\nFDNAME={STORE_NAME}")
            # Without FDPOLL=0 an error that waits on the socket would throw it out of the store.
            self._send(f"FDSTORE=1\nFDNAME={STORE_NAME}\nFDPOLL=0", sock.fileno())
        self._kept = same

    def release(self) -> None:
        """Keep no socket: it is in the way of another."""
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
        self._untaken.add(sock)
