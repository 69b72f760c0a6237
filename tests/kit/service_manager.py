"""Plays the service manager: it receives a D2's notifications, keeps its sockets and hands them over.

The protocols are those of sd_notify(3), sd_listen_fds(3) and file-descriptor stores (systemd.service(5)).
"""

import array
import secrets
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from tests.kit.d2 import D2
from tests.kit.waiting import wait_until

# Puts the descriptors where the protocol wants them, sets LISTEN_PID to its own, and becomes the D2.
_ACTIVATE: Final = """
import os, sys
import fcntl
given = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 100) for number in sys.argv[1].split(",") if number]
for at, number in enumerate(given, 3):
    os.dup2(number, at)
    os.set_inheritable(at, True)
os.closerange(3 + len(given), 200)
os.environ.setdefault("LISTEN_PID", str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


class HasFileno(Protocol):
    """What can be handed over: an open file of any kind."""

    def fileno(self) -> int:
        """Return its file descriptor."""


class ServiceManager:
    """Use it as a context manager. ``abstract``: its socket has a name in no directory."""

    def __init__(self, directory: Path, *, abstract: bool = False) -> None:
        self.store: dict[str, list[socket.socket]] = {}
        """The sockets that the D2 has given away to be kept, by name."""
        self.messages: list[dict[str, str]] = []
        """What was heard, message by message."""
        self._directory = directory
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.address = f"@pyd2-test-{secrets.token_hex(8)}" if abstract else str(directory / "notify")
        self._socket.bind(self.address.replace("@", "\0") if abstract else self.address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._socket.close()
        for sockets in self.store.values():
            for sock in sockets:
                sock.close()

    def start(self, binary: str, sockets: Sequence[HasFileno] | None = None,
              env: Mapping[str, str] | None = None) -> D2:
        """Start the D2 with d2.json of the directory, handing over these sockets, else those of the store."""
        if sockets is None:
            sockets = [sock for stored in self.store.values() for sock in stored]
        numbers = [sock.fileno() for sock in sockets]
        own = {"NOTIFY_SOCKET": self.address, "LISTEN_FDS": str(len(numbers))}
        args = ["-c", _ACTIVATE, ",".join(map(str, numbers)), binary, "-c", "d2.json"]
        return D2(sys.executable, self._directory, args, env={**own, **(env or {})}, descriptors=numbers)

    def hear(self) -> list[dict[str, str]]:
        """Read new notifications; return all messages so far."""
        while True:
            try:
                text, extra, _, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(64))
            except BlockingIOError:
                return self.messages
            message = dict(line.split("=", 1) for line in text.decode().splitlines())
            self.messages.append(message)
            received = [socket.socket(fileno=number) for _, _, data in extra
                        for number in array.array("i", data)]
            name = message.get("FDNAME", "")
            if "FDSTOREREMOVE" in message:
                for sock in self.store.pop(name, []):
                    sock.close()
            if "FDSTORE" in message:
                self.store.setdefault(name, []).extend(received)

    def wait_for(self, variable: str, count: int = 1) -> dict[str, str]:
        """Wait until a variable was said so often; return the message that says it last."""
        def said() -> list[dict[str, str]]:
            found = [message for message in self.hear() if variable in message]
            return found if len(found) >= count else []

        return wait_until(said, f"{count} times {variable} from the D2")[-1]

    def forget(self) -> None:
        """Begin a new list of messages."""
        self.hear()
        self.messages = []
