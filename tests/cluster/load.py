"""Requests at a steady rate to the machines of a site, each with an address of its own.

Each client has one machine, and gets another address again and again. What is sent to a machine must be
accepted: so nothing is sent to one that is to be killed, and it is killed only when it has taken all that was
sent. What the kernel still has is not what these runs are about.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from array import array
from collections import Counter
from typing import TYPE_CHECKING, Final, Self

from tests.cluster.site import ZONE
from tests.cluster.updates import Outcome, judge
from tests.kit import ncr
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.cluster.apart import ApartSite
    from tests.cluster.site import Machine

CLIENTS: Final = 600
IDLE_SECONDS: Final = 45.0
"""Without an update for so long nothing more comes."""
_TICK: Final = 0.01
_LOOK: Final = 0.5
_SHOWN: Final = 20


def address_of(version: int) -> str:
    """Return the address of a request, which no other request has."""
    return f"10.{version >> 16 & 255}.{version >> 8 & 255}.{version & 255}"


class Load:
    """Sends to the machines that are open, from a thread of its own, while the context lasts."""

    def __init__(self, machines: Sequence[Machine], rate: float, seed: int, clients: int = CLIENTS) -> None:
        self.wanted: dict[str, str] = {}
        """The last address of each name."""
        self.clients = array("L", [0])
        """The number of the client, by version."""
        self.sent = Counter[str]()
        """By the names of the machines, since their starts."""
        self.rate = rate
        """Requests a second; 0: none for now."""
        self._machines = machines
        self._sockets = [machine.new_socket() for machine in machines]
        self._random = random.Random(seed)
        self._names = [f"host{number}.{ZONE}" for number in range(clients)]
        self._dhcids = [ncr.dhcid(b"client %d" % number, name) for number, name in enumerate(self._names)]
        self._closed: set[str] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def last(self) -> int:
        """The last version: all from 1 on were sent."""
        return len(self.clients) - 1

    def name_of(self, version: int) -> str:
        """Return the name that a request was for."""
        return self._names[self.clients[version]]

    def stop(self) -> None:
        """Send no more."""
        self._stop.set()
        self._thread.join()
        for sock in self._sockets:
            sock.close()

    @contextlib.contextmanager
    def held(self, machine: Machine) -> Iterator[None]:
        """Send nothing to a machine meanwhile."""
        with self._lock:
            self._closed.add(machine.name)
        try:
            yield
        finally:
            with self._lock:
                self._closed.discard(machine.name)

    @contextlib.contextmanager
    def without(self, machine: Machine) -> Iterator[None]:
        """Send nothing to a machine meanwhile, which has taken all; it ends and is started in the block."""
        with self.held(machine):
            self.until_taken(machine)
            yield
            wait_until(lambda: machine.queue()["state"] == "in use", "the file to be read")
            queue = machine.queue()
            self.sent[machine.name] = queue["appended"] + queue["entries"]

    def until_taken(self, machine: Machine) -> None:
        """Wait until a machine that gets no requests now has taken all that it got."""
        def taken() -> bool:
            queue = machine.queue()
            if queue["appended"] + queue["unacknowledged"] < self.sent[machine.name]:
                return False  # the kernel has some
            # What was acknowledged may be on the disk, too, but not for long.
            waiting: int = queue["unacknowledged"]
            return waiting == 0 or (queue["entries"] == waiting and machine.on_disk() >= waiting)

        wait_until(taken, f"{machine.name} to take what was sent")

    def _run(self) -> None:
        due, before = 0.0, time.monotonic()
        while not self._stop.wait(_TICK):
            now = time.monotonic()
            due, before = due + (now - before) * self.rate, now
            with self._lock:
                while due >= 1:
                    due -= 1
                    self._send_one()

    def _send_one(self) -> None:
        number = self._random.randrange(len(self._names))
        place = number % len(self._machines)
        machine = self._machines[place]
        if machine.name in self._closed:
            return
        self.clients.append(number)
        name, address = self._names[number], address_of(self.last)
        self.wanted[name] = address
        self.sent[machine.name] += 1
        request = ncr.request(name, address, self._dhcids[number], reverse=False)
        self._sockets[place].sendto(ncr.datagram(request), ("127.0.0.1", machine.port))


def wait_while_busy(site: ApartSite, done: Callable[[], bool]) -> None:
    """Wait for something, or until there was no update for a while: a busy DNS server may take long."""
    seen, since = len(site.updates), time.monotonic()
    while not done() and time.monotonic() < since + IDLE_SECONDS:
        time.sleep(_LOOK)
        if len(site.updates) != seen:
            seen, since = len(site.updates), time.monotonic()


def finish(site: ApartSite, load: Load) -> Outcome:
    """Stop the load, wait until all is carried out, or nothing more comes, and return what came of it."""
    load.stop()
    wait_while_busy(site, lambda: site.addresses() == load.wanted)
    site.updates.close()
    site.check_logs()
    losses = ", ".join(f"{name} {count} times" for name, count in site.lost_by_servers().items() if count)
    print(f"lost by servers: {losses or 'nothing'}", flush=True)
    outcome = judge(site.updates, site.claims(), load.clients, load.wanted, site.addresses())
    for sign in outcome.signs:
        print(sign, flush=True)
    if not outcome.good or outcome.signs:
        site.keep_logs()
        for version in outcome.never_done[:_SHOWN]:
            print(f"never carried out: {load.name_of(version)} with {address_of(version)}", flush=True)
    return outcome
