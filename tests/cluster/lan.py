"""A network of its own for the long runs: each machine in a network namespace, all joined by a bridge.

``enter`` starts the program again in new namespaces of network, mounts and processes. All that it makes
there, processes, interfaces and mounts, is gone with its last process, whatever ends it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from tests.kit.namespaces import socket_in
from tests.kit.process import find_program

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Sequence

HUB: Final = "10.77.0.254"
"""The address of the harness itself, with its DNS server."""
BRIDGE: Final = "bridge"
_INSIDE: Final = "PYD2_TESTS_INSIDE"
_MEMORY: Final = "/mnt"
"""Any directory that is there: the mount is seen in these namespaces only."""
_NO_ONE: Final = "02:00:00:00:de:ad"
"""An Ethernet address that no interface has: what goes there is lost, and nothing says so."""


def enter(module: str, arguments: Sequence[str]) -> None:
    """Return in namespaces of one's own, with temporary files in memory: this process becomes another one.

    Raises SystemExit without the rights to do so.
    """
    if _INSIDE not in os.environ:
        if os.geteuid() != 0:
            raise SystemExit(f"{module} makes network namespaces: run it as root")
        unshare = find_program("unshare", "util-linux")
        command = [unshare, "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                   sys.executable, "-m", module, *arguments]
        os.execve(unshare, command, {**os.environ, _INSIDE: "1"})
    # The first process of its namespace, which this one is, does not heed a signal without a handler.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped by SIGTERM"))
    run("ip", "link", "set", "lo", "up")
    run("mount", "-t", "tmpfs", "-o", "mode=0755", "memory", _MEMORY)
    tempfile.tempdir = _MEMORY


def run(*command: str) -> None:
    """Run a program of the system. Raises AssertionError with what it says."""
    program = find_program(command[0], "iproute2, mount or e2fsprogs")
    done = subprocess.run([program, *command[1:]], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


class Place(NamedTuple):
    """A machine in the network."""

    name: str
    address: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """What runs a program there, in front of its command line."""
        return ("nsenter", f"--net=/run/netns/{self.name}")

    def new_socket(self) -> socket.socket:
        """Return a socket for datagrams that belongs there."""
        return socket_in(self.name)


class Lan:
    """The network; a context manager. All of it is in namespaces that ``enter`` has made."""

    def __init__(self) -> None:
        self.hub: Final = Place("", HUB)
        self._cuts: set[tuple[Place, Place]] = set()
        self._places: list[Place] = []

    def __enter__(self) -> Self:
        assert _INSIDE in os.environ, "only in namespaces of one's own"
        Path("/run/netns").mkdir(exist_ok=True)
        run("mount", "-t", "tmpfs", "names", "/run/netns")
        run("ip", "link", "add", BRIDGE, "type", "bridge")
        run("ip", "address", "add", f"{HUB}/24", "dev", BRIDGE)
        run("ip", "link", "set", BRIDGE, "up")
        return self

    def __exit__(self, *_: object) -> None:
        for place in self._places:
            run("ip", "netns", "delete", place.name)
        run("ip", "link", "delete", BRIDGE)
        run("umount", "/run/netns")

    def add(self, name: str) -> Place:
        """Add a machine."""
        place = Place(name, f"10.77.0.{len(self._places) + 1}")
        run("ip", "netns", "add", name)
        self._places.append(place)
        run("ip", "link", "add", f"to-{name}", "type", "veth", "peer", BRIDGE, "netns", name)
        run("ip", "link", "set", f"to-{name}", "master", BRIDGE, "up")
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", name, "address", "add", f"{place.address}/24", "dev", BRIDGE)
        # One message in each packet, or several updates would be read off the wire as one.
        run("ip", "-n", name, "link", "set", BRIDGE, "gso_max_segs", "1", "up")
        return place

    def cut(self, senders: Iterable[Place], receivers: Iterable[Place]) -> None:
        """Lose what these send to those, in silence; the other direction stays."""
        to = [*receivers]
        for sender in senders:
            for receiver in to:
                if sender != receiver and (sender, receiver) not in self._cuts:
                    self._cuts.add((sender, receiver))
                    self._neighbour(sender, "replace", receiver, "lladdr", _NO_ONE, "nud", "permanent")

    def part(self, one: Iterable[Place], other: Iterable[Place]) -> None:
        """Cut both directions."""
        one, other = [*one], [*other]
        self.cut(one, other)
        self.cut(other, one)

    def join(self) -> None:
        """Undo all cuts."""
        for sender, receiver in self._cuts:
            self._neighbour(sender, "del", receiver)
        self._cuts.clear()

    def _neighbour(self, sender: Place, what: str, receiver: Place, *more: str) -> None:
        inside = ("-n", sender.name) if sender.name else ()
        run("ip", *inside, "neighbour", what, receiver.address, *more, "dev", BRIDGE)
