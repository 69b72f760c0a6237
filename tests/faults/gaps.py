"""Measured runs: a DNS server that cannot be reached for a moment, kea-dhcp-ddns and pyd2 in the same gap.

Both run in a network namespace of their own, with the server in another one. While the way is cut, each gets
the same updates, spread over the gap; what counts is how many of them are made in the end.
"""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, Self

from tests.faults.load import Ends, Host
from tests.kit.d2 import D2, config, private_directory
from tests.kit.namespaces import FAR_ADDRESS, NEAR_ADDRESS, OTHER_ADDRESS, Cable
from tests.kit.process import find_program
from tests.kit.waiting import wait_until

ZONE: Final = "gap.test."
UPDATES: Final = 20
NCR_PORTS: Final = {"kea": 53001, "pyd2": 53002}
"""In a namespace without other processes."""


class Responder:
    """A DNS server in the far namespace that answers NOERROR, and whose port can be closed for a while."""

    def __init__(self, cable: Cable) -> None:
        self._cable = cable
        self.port = 0
        self.open()

    def open(self) -> None:
        """Listen, always on the same port."""
        self._socket = self._cable.socket(self._cable.far)
        self._socket.bind((FAR_ADDRESS, self.port))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, args=(self._socket,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close the port: a client gets an ICMP message."""
        with contextlib.suppress(OSError):  # it is not connected; this wakes the thread all the same
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    @staticmethod
    def _serve(sock: socket.socket) -> None:
        while True:
            message, client = sock.recvfrom(65535)
            if not message:
                return
            with contextlib.suppress(OSError):  # no way back at present
                sock.sendto(message[:2] + b"\xa8\0" + bytes(8), client)


class Site:
    """The two servers under test and their DNS server."""

    def __init__(self, pyd2: str) -> None:
        self._binaries = {"kea": find_program("kea-dhcp-ddns", "kea-dhcp-ddns-server"), "pyd2": pyd2}
        self._stack = contextlib.ExitStack()
        self._next_host = 0
        self.addresses = NEAR_ADDRESS, OTHER_ADDRESS
        """Of the client: the present one, and the one it may get."""

    def __enter__(self) -> Self:
        with self._stack:
            self.cable = self._stack.enter_context(Cable())
            self.responder = Responder(self.cable)
            self._stack.callback(self.responder.close)
            self._sender = self._stack.enter_context(self.cable.socket(self.cable.near))
            self.d2s = {name: self._start(name) for name in self._binaries}
            self._ends = {name: Ends(d2) for name, d2 in self.d2s.items()}
            for name in self.d2s:
                self._warm_up(name)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self, name: str) -> D2:
        directory = self._stack.enter_context(private_directory())
        server = {"ip-address": FAR_ADDRESS, "port": self.responder.port}
        body = {"forward-ddns": {"ddns-domains": [{"name": ZONE, "dns-servers": [server]}]}}
        (directory / "d2.json").write_text(json.dumps(config(NCR_PORTS[name], body)))
        ip, *arguments = self.cable.command(self.cable.near, self._binaries[name], "-c", "d2.json")
        d2 = D2(ip, directory, arguments, name=name)
        self._stack.callback(d2.process.kill)
        d2.wait_for_commands()
        return d2

    def _warm_up(self, name: str) -> None:
        """Make a server send an update, and repeat the request until its port is open."""
        def made() -> bool:
            self._send(name, self._hosts(1)[0])
            return self._ends[name].read() > 0

        wait_until(made, f"{name} to make an update")
        last = self.d2s[name].statistics()["ncr-received"]
        self._ends[name].wait(last)

    def _hosts(self, count: int) -> list[Host]:
        hosts = [Host(number, ZONE) for number in range(self._next_host, self._next_host + count)]
        self._next_host += count
        return hosts

    def _send(self, name: str, host: Host) -> None:
        self._sender.sendto(host.request(), ("127.0.0.1", NCR_PORTS[name]))

    def run(self, gap: "Gap", seconds: float) -> dict[str, int]:
        """Return how many of the updates that came within a gap each server has made."""
        hosts = self._hosts(UPDATES)
        ended = {name: ends.read() for name, ends in self._ends.items()}
        with gap(self):
            began = time.monotonic()
            for number, host in enumerate(hosts):
                _sleep_until(began + number * seconds / UPDATES)
                for name in self.d2s:
                    self._send(name, host)
            _sleep_until(began + seconds)
        for name, ends in self._ends.items():
            ends.wait(ended[name] + UPDATES)
        return {name: len(ends.succeeded(hosts)) for name, ends in self._ends.items()}


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


Gap = Callable[[Site], contextlib.AbstractContextManager[None]]


def _route(kind: str) -> Gap:
    @contextlib.contextmanager
    def gap(site: Site) -> Iterator[None]:
        site.cable.near_ip("route", "add", kind, FAR_ADDRESS)
        yield
        site.cable.near_ip("route", "delete", kind, FAR_ADDRESS)

    return gap


@contextlib.contextmanager
def _port_closed(site: Site) -> Iterator[None]:
    site.responder.close()
    yield
    site.responder.open()


@contextlib.contextmanager
def _interface_down(site: Site) -> Iterator[None]:
    site.cable.near_ip("link", "set", "cable", "down")
    yield
    site.cable.near_ip("link", "set", "cable", "up")


@contextlib.contextmanager
def _address_moved(site: Site) -> Iterator[None]:
    """The client loses its address and gets another one, as from a DHCP server of its own."""
    before, after = site.addresses
    site.addresses = after, before
    site.cable.near_ip("address", "delete", f"{before}/24", "dev", "cable")
    yield
    site.cable.near_ip("address", "add", f"{after}/24", "dev", "cable")


GAPS: Final[dict[str, Gap]] = {
    "no route": _route("unreachable"), "prohibited": _route("prohibit"), "blackhole": _route("blackhole"),
    "port closed": _port_closed, "interface down": _interface_down,
    "address moved": _address_moved,
}
SECONDS: Final = (0.2, 0.7, 1.4)
RUNS: Final = 20


def gaps(binary: str, seconds: float, _rate: float) -> bool:
    """Run all gaps in turn until the seconds are over; pyd2 must make as many updates as Kea."""
    deadline = time.monotonic() + seconds
    made: dict[tuple[str, float], dict[str, list[int]]] = {
        (kind, gap): {name: [] for name in NCR_PORTS} for kind in GAPS for gap in SECONDS
    }
    with Site(binary) as site:
        for number in range(RUNS):
            if number and time.monotonic() > deadline:
                break
            for (kind, gap), counts in made.items():
                for name, count in site.run(GAPS[kind], gap).items():
                    counts[name].append(count)
    runs = len(made["no route", SECONDS[0]]["kea"])
    print(f"{runs} runs of {UPDATES} updates each, spread over the gap; both servers in the same gap")
    print(f"{'kind':<16}{'gap':>6}{'Kea':>10}{'pyd2':>10}")
    for (kind, gap), counts in made.items():
        print(f"{kind:<16}{gap:>4} s{sum(counts['kea']):>10}{sum(counts['pyd2']):>10}")
    return all(sum(counts["pyd2"]) >= sum(counts["kea"]) for counts in made.values())
