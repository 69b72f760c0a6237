"""A site under load while its machines and servers fail: ``python -m tests.cluster --faults 20``.

Each client has one machine, and gets another address again and again. Nothing is sent to a machine from the
moment when it is to be killed until it runs again, and it is killed only when it has taken all that was sent:
what the kernel still has is not what this is about. At the end each name must have its last address.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from tests.cluster.site import GRACE, LEASE, ZONE, Machine, Rig, new_rig
from tests.kit import ncr
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

CLIENTS: Final = 200
PAUSE: Final = LEASE + GRACE + 2.0
"""Seconds from one fault to the next one, at least."""


class Load:
    """Sends to the machines that are open, at a rate, from a thread of its own."""

    def __init__(self, machines: list[Machine], rate: float, seed: int) -> None:
        self.wanted: dict[str, str] = {}
        self.sent = Counter[str]()
        """By the names of the machines, since their starts."""
        self.total = 0
        self._machines = machines
        self._rate = rate
        self._random = random.Random(seed)
        self._closed: set[str] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def close(self, machine: Machine) -> None:
        """Send nothing to a machine, and wait until it has taken all."""
        with self._lock:
            self._closed.add(machine.name)

        def taken() -> bool:
            # In this order none counts twice: one that is appended meanwhile has left the disk.
            appended = machine.queue()["appended"]
            return bool(appended + machine.on_disk() >= self.sent[machine.name])

        wait_until(taken, f"{machine.name} to take what was sent")

    def open(self, machine: Machine, *, anew: bool) -> None:
        """Send to a machine again; ``anew``: it has been started, and goes on with what its disk has."""
        wait_until(lambda: machine.queue()["state"] == "in use", "the file to be read")
        with self._lock:
            self._closed.discard(machine.name)
            if anew:
                queue = machine.queue()
                self.sent[machine.name] = queue["appended"] + queue["entries"]

    def _run(self) -> None:
        begun = time.monotonic()
        while not self._stop.wait(0.01):
            while self.total < (time.monotonic() - begun) * self._rate:
                with self._lock:
                    self._send_one()
                self.total += 1

    def _send_one(self) -> None:
        number = self._random.randrange(CLIENTS)
        machine = self._machines[number % len(self._machines)]
        if machine.name in self._closed:
            return
        name = f"host{number}.{ZONE}"
        version = self.sent["version"] = self.sent["version"] + 1
        address = f"10.{version >> 16 & 255}.{version >> 8 & 255}.{version & 255}"
        self.wanted[name] = address
        self.sent[machine.name] += 1
        dhcid = ncr.dhcid(b"client %d" % number, name)
        machine.send(ncr.datagram(ncr.request(name, address, dhcid, reverse=False)))


class Faults:
    """What fails."""

    def __init__(self, rig: Rig, load: Load, seed: int) -> None:
        self._rig = rig
        self._load = load
        self._random = random.Random(seed)

    def owner(self) -> Machine:
        def owners() -> list[Machine]:
            return [one for one in self._rig.machines if one.owns()]

        return wait_until(owners, "an owner")[0]

    def any_machine(self) -> Machine:
        return self._random.choice(self._rig.machines)

    def kill_owner(self) -> None:
        self._end(self.owner(), signal.SIGKILL)

    def kill_any(self) -> None:
        self._end(self.any_machine(), signal.SIGKILL)

    def stop_owner(self) -> None:
        self._end(self.owner(), signal.SIGTERM)

    def freeze_owner(self) -> None:
        """It stands still for longer than its lease."""
        machine = self.owner()
        machine.d2.process.send_signal(signal.SIGSTOP)
        time.sleep(LEASE + GRACE + self._random.uniform(0.5, 3))
        machine.d2.process.send_signal(signal.SIGCONT)

    def kill_server(self) -> None:
        self._end_servers(1)

    def kill_two_servers(self) -> None:
        self._end_servers(2)

    def _end(self, machine: Machine, number: signal.Signals) -> None:
        self._load.close(machine)
        machine.d2.stop(number)
        time.sleep(self._random.uniform(0, LEASE + GRACE))
        machine.start()
        self._load.open(machine, anew=True)

    def _end_servers(self, count: int) -> None:
        servers = self._random.sample(self._rig.servers, count)
        for server in servers:
            server.process.kill()
            server.process.wait_for_exit()
        time.sleep(self._random.uniform(1, 6))
        for server in servers:
            server.start()
        for server in servers:
            server.wait_until_ready()

    def one(self) -> str:
        """Let something fail; return what."""
        faults: list[Callable[[], None]] = [
            self.kill_owner, self.kill_owner, self.kill_any, self.stop_owner, self.freeze_owner,
            self.kill_server, self.kill_two_servers,
        ]
        fault = self._random.choice(faults)
        fault()
        return fault.__name__.replace("_", " ")


def run(binary: str, count: int, rate: float, seed: int) -> str:
    """Play it; return what has happened. Raises AssertionError if a name ends wrong."""
    with new_rig(binary) as rig:
        load = Load(rig.machines, rate, seed)
        faults = Faults(rig, load, seed)
        for machine in rig.machines:
            machine.start()
        faults.owner()
        load.start()
        happened = Counter[str]()
        try:
            for number in range(count):
                time.sleep(PAUSE)
                what = faults.one()
                happened[what] += 1
                print(f"{number + 1:4} {what}", flush=True)
            time.sleep(PAUSE)
        finally:
            load.stop()
        try:
            rig.until_zone_is(load.wanted)
        except AssertionError:
            found = rig.addresses()
            wrong = [(name, address, found.get(name)) for name, address in load.wanted.items()
                     if found.get(name) != address]
            print(f"{len(wrong)} names are wrong: {wrong[:5]}")
            for machine in rig.machines:
                print(machine.name, machine.queue())
            raise
        logs = "".join(path.read_text() for machine in rig.machines for path in machine.logs())
        assert "PYD2_INTERNAL_ERROR" not in logs
        claims = logs.count("PYD2_CLUSTER_CLAIMED")
        text = ", ".join(f"{times} times {what}" for what, times in happened.most_common())
        return (f"{text}; {load.sent['version']} requests, {claims} claims; "
                f"0 of {len(load.wanted)} names end wrong")


def main() -> int:
    """Read the options and play."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("--d2", default=f"{sys.prefix}/bin/pyd2")
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print(run(arguments.d2, arguments.faults, arguments.rate, arguments.seed))
    return 0
