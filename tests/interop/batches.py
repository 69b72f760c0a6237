"""The same requests with batches and one by one, each to a D2 with a real DNS server of its own.

Run by hand for a long time: ``python -m tests.interop.batches [--rounds 20] [--requests 10000] [--server
bind]``. In each round a D2 with batches and the durable queue is killed again and again; in the end its zones
must be those of a D2 that sends one by one and was left alone.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import re
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.daemon import end_on_sigterm
from tests.interop import stream
from tests.kit import dns_servers, ncr
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from tests.kit.tsigkeys import TsigKey

    Serve = Callable[[Sequence[str], TsigKey | None], AbstractContextManager[dns_servers.DnsServer]]

SERVERS: dict[str, Any] = {
    "bind": dns_servers.bind, "knot": dns_servers.knot, "powerdns": dns_servers.powerdns,
}
_UNFINISHED = 400
_ENDED = re.compile(rb"DHCP_DDNS_(?:ADD|REMOVE)_(?:SUCCEEDED|FAILED) |PYD2_REQUEST_SUPERSEDED ")


def requests(
    seed: int, count: int, clients: int = 60, modes: Sequence[str] = (*ncr.MODES, ncr.MODES[0], ncr.MODES[0])
) -> tuple[list[stream.Request], list[stream.Request]]:
    """Return the requests of strangers, to be sent first, and those of clients, which wait for nothing.

    What happens to a client is its own. Strangers hold some of the names beforehand and then stay silent.
    """
    chance = random.Random(seed)
    strangers, found = [], []
    for number in range(0, clients, 6):
        fqdn = f"c{number}.{stream.FORWARD}"
        strangers.append(ncr.request(fqdn, f"192.0.2.{250 - number % 50}", ncr.dhcid(b"stranger", fqdn)))
    for _ in range(count):
        number = chance.randrange(clients)
        fqdn = f"{chance.choice(['c', 'c', 'C', 'renamed'])}{number}.{stream.FORWARD}"
        place = 3 * number + chance.randrange(3)
        address = f"192.0.2.{place + 1}" if chance.random() < 0.6 else f"2001:db8::{place + 1:x}"
        forward, reverse = chance.choice([(True, True), (True, True), (True, False), (False, True)])
        request = ncr.request(
            fqdn, address, ncr.dhcid(f"client-{number}".encode(), stream.FORWARD),
            change=ncr.REMOVE if chance.random() < 0.35 else ncr.ADD, forward=forward, reverse=reverse,
            mode=chance.choice(modes), ttl=chance.choice([300, 1200]),
        )
        found.append(request)
        if chance.random() < 0.1:
            found.append(request)  # a duplicate
    return strangers, found


def body(port: int, dns_port: int, key: TsigKey | None, batch: int, **switches: Any) -> dict[str, Any]:
    """Return a configuration, all zones on one server; a small window makes requests wait."""
    lanes = {"batch": batch, "max-in-flight": 6}
    found = stream.configuration(port, dns_port, key.kea() if key else None)
    return found | {"user-context": {"pyd2": {"lanes": lanes, **switches}}}


class Sender:
    """Sends requests to a D2, of which not too many are unfinished at a time."""

    def __init__(self, d2: D2, port: int) -> None:
        self._d2 = d2
        self._port = port
        self._sent = 0
        self._before = self.ended()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def ended(self) -> int:
        """Return how many requests have ended by the D2's log."""
        return len(_ENDED.findall(self._d2.process.stdout_path.read_bytes()))

    def send(self, found: Sequence[stream.Request]) -> None:
        """Send requests."""
        for first in range(0, len(found), 100):
            self.wait(_UNFINISHED)
            for request in found[first : first + 100]:
                self._socket.sendto(ncr.datagram(request), ("127.0.0.1", self._port))
                self._sent += 1

    def wait(self, unfinished: int = 0) -> None:
        """Wait until at most so many are unfinished."""
        wait_until(lambda: self._sent - (self.ended() - self._before) <= unfinished,
                   f"the end of all but {unfinished} of {self._sent} requests", 120)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


@contextlib.contextmanager
def running(
    binary: str, serve: Serve, key: TsigKey | None, batch: int, **switches: Any
) -> Iterator[tuple[D2, dns_servers.DnsServer, int]]:
    """Run a DNS server and a D2 before it; gives them and the D2's port."""
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(PortLease()).take()
        server = stack.enter_context(serve(stream.ZONES, key))
        directory = stack.enter_context(private_directory())
        d2 = stack.enter_context(D2.start(
            binary, directory, config(port, body(port, server.port, key, batch, **switches))
        ))
        d2.wait_for_listener(port)
        yield d2, server, port


def send_in_turn(d2: D2, port: int, *parts: Sequence[stream.Request]) -> None:
    """Send requests in parts, each when all before it have ended, and wait for the end of the last ones."""
    sender = Sender(d2, port)
    for part in parts:
        sender.send(part)
        sender.wait()
    sender.close()


def zones(server: dns_servers.DnsServer) -> dict[str, Any]:
    """Return what the zones hold."""
    return {zone: server.records(zone) for zone in stream.ZONES}


def zones_of_singles(
    binary: str, serve: Serve, strangers: Sequence[stream.Request], found: Sequence[stream.Request]
) -> dict[str, Any]:
    """Return the zones after the requests of ``requests``, by a D2 without batches."""
    with running(binary, serve, None, 1) as (d2, server, port):
        send_in_turn(d2, port, strangers, found)
        return zones(server)


def killed_and_left_alone(
    binary: str, serve: Serve, seed: int, count: int, kills: int
) -> tuple[Any, Any, int]:
    """Return the zones of a D2 with batches that was killed, and those of one without; and the batches."""
    # What is carried out twice after a kill then ends as if it had been once.
    strangers, found = requests(seed, count, modes=ncr.MODES[:1])
    wanted = zones_of_singles(binary, serve, strangers, found)
    chance = random.Random(seed)
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(PortLease()).take()
        server = stack.enter_context(serve(stream.ZONES, None))
        directory = stack.enter_context(private_directory())
        queue = {"type": "durable", "directory": str(directory / "queue")}
        text = config(port, body(port, server.port, None, 50, queue=queue))
        d2 = D2.start(binary, directory, text)
        d2.wait_for_listener(port)
        sent = 0
        pieces = sorted(chance.sample(range(1, len(found)), kills)) if kills else []
        sender = Sender(d2, port)
        sender.send(strangers)
        sender.wait()
        batches = 0
        for end in [*pieces, len(found)]:
            wait_until_done(d2)
            kept = received(d2) + end - sent
            sender.send(found[sent:end])
            sent = end
            wait_until_received(d2, kept)
            if end < len(found):
                batches += batches_of(d2)
                sender.close()
                d2.process.kill()
                d2 = D2.start(binary, directory, text)
                d2.wait_for_listener(port)
                sender = Sender(d2, port)
        wait_until_done(d2)
        batches += batches_of(d2)
        sender.close()
        got = zones(server)
        d2.process.stop()
    return got, wanted, batches


def status(d2: D2) -> dict[str, Any]:
    """Return what status-get shows of pyd2's own."""
    found: dict[str, Any] = d2.command("status-get")["arguments"]["pyd2"]
    return found


def batches_of(d2: D2) -> int:
    """Return how many batches a D2 has sent."""
    return sum(server["batches"]["sent"] for server in status(d2)["servers"])


def wait_until_done(d2: D2) -> None:
    """Wait until a D2 has nothing in its durable queue, from an earlier life neither."""
    wait_until(lambda: has_nothing_to_do(status(d2)["queue"]), "all requests to end", 120)


def has_nothing_to_do(queue: dict[str, Any]) -> bool:
    """Return whether a durable queue is empty; one that is not read yet shows no entries either."""
    return bool(queue["state"] == "in use" and queue["entries"] == 0)


def wait_until_received(d2: D2, count: int) -> None:
    """Wait until a D2's engine has so many requests: each is on disk then, and survives a kill."""
    wait_until(lambda: received(d2) >= count, f"{count} requests to be in the queue", 120)


def received(d2: D2) -> int:
    """Return how many requests a D2's engine has received, from its queue, too."""
    return int(status(d2)["requests"]["received"])


def main() -> int:
    """Compare; return 1 if zones differ."""
    parser = argparse.ArgumentParser(prog="python -m tests.interop.batches", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=10, help="in each round")
    parser.add_argument("--server", choices=SERVERS, default="bind")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    binary = str(Path(sys.executable).with_name("pyd2"))
    for number in range(options.rounds):
        seed = options.seed + number
        got, wanted, batches = killed_and_left_alone(
            binary, SERVERS[options.server], seed, options.requests, options.kills
        )
        print(f"round {number}, seed {seed}: {batches} batches, {'equal' if got == wanted else 'DIFFERENT'}",
              flush=True)
        if got != wanted:
            for zone in wanted:
                print(zone, "only one by one:", sorted(set(wanted[zone]) - set(got[zone])))
                print(zone, "only in batches:", sorted(set(got[zone]) - set(wanted[zone])))
            return 1
    return 0


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
