"""Two network namespaces joined by a cable: a DNS client in the near one, its server in the far one."""

import ctypes
import itertools
import os
import socket
import subprocess
import threading
from types import TracebackType
from typing import Final, Self

from tests.kit.process import find_program

NEAR_ADDRESS: Final = "10.77.0.1"
FAR_ADDRESS: Final = "10.77.0.2"
OTHER_ADDRESS: Final = "10.77.0.3"
"""An address that no interface has."""
_NEWNET: Final = 0x40000000
_numbers = itertools.count()


class Cable:
    """The namespaces ``near`` and ``far``, which end with the block. Their loopbacks are up, too."""

    def __init__(self) -> None:
        number = next(_numbers)
        self.ip: Final = find_program("ip", "iproute2")
        self.near: Final = f"pyd2-{os.getpid()}-{number}-near"
        self.far: Final = f"pyd2-{os.getpid()}-{number}-far"

    def __enter__(self) -> Self:
        try:
            for name in (self.near, self.far):
                self._ip("netns", "add", name)
                self._ip("-n", name, "link", "set", "lo", "up")
            self._ip("-n", self.near, "link", "add", "cable", "type", "veth",
                     "peer", "cable", "netns", self.far)
            for name, address in ((self.near, NEAR_ADDRESS), (self.far, FAR_ADDRESS)):
                self._ip("-n", name, "address", "add", f"{address}/24", "dev", "cable")
                self._ip("-n", name, "link", "set", "cable", "up")
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._remove()

    def command(self, name: str, *argv: str) -> list[str]:
        """Return the command line that runs a program in a namespace."""
        return [self.ip, "netns", "exec", name, *argv]

    def near_ip(self, *arguments: str) -> None:
        """Run ``ip`` on the client's side."""
        self._ip("-n", self.near, *arguments)

    def near_sysctl(self, name: str, value: str) -> None:
        """Set a parameter of the kernel on the client's side."""
        path = "/proc/sys/" + name.replace(".", "/")
        self._ip("netns", "exec", self.near, "sh", "-c", f"echo '{value}' > {path}")

    def socket(self, name: str, kind: socket.SocketKind = socket.SOCK_DGRAM) -> socket.socket:
        """Return a new IPv4 socket that belongs to a namespace, wherever it is used."""
        return socket_in(name, kind)

    def _ip(self, *arguments: str) -> None:
        subprocess.run([self.ip, *arguments], check=True, capture_output=True, timeout=60)

    def _remove(self) -> None:
        for name in (self.near, self.far):
            subprocess.run([self.ip, "netns", "delete", name], check=False, capture_output=True, timeout=60)


def socket_in(name: str, kind: socket.SocketKind = socket.SOCK_DGRAM) -> socket.socket:
    """Return a new IPv4 socket that belongs to a namespace, wherever it is used."""
    made: list[socket.socket] = []
    errors: list[OSError] = []

    def make() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        with open(f"/run/netns/{name}", "rb") as entrance:  # noqa: PTH123  only its descriptor is wanted
            if libc.setns(entrance.fileno(), _NEWNET) != 0:
                errors.append(OSError(ctypes.get_errno(), f"setns {name}"))
                return
        made.append(socket.socket(socket.AF_INET, kind))

    # The namespace is that of the thread, which ends with it.
    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return made[0]
