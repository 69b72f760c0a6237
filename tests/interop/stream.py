"""Seeded streams of requests like those of a busy network, and the sending of them.

What becomes of a request may depend only on what both servers do in the same order. That is why one stream
goes out in batches whose requests have nothing in common, and why in the other, which waits for nothing, all
that a client asks for is its own.
"""

import os
import random
import re
import socket
from collections.abc import Iterator, Sequence
from typing import Any, Self

from tests.kit import ncr
from tests.kit.d2 import D2
from tests.kit.waiting import wait_until

FORWARD = "example.com."
REVERSE4 = "2.0.192.in-addr.arpa."
REVERSE6 = "8.b.d.0.1.0.0.2.ip6.arpa."
ZONES = (FORWARD, REVERSE4, REVERSE6)

_CLIENTS, _HOSTS, _ADDRESSES = 60, 40, 50
_BATCH = 12  # requests in flight; BIND and D2 both take more without dropping any
_RETURNING = 25  # fewer clients than Kea's 32 transactions: requests meet a transaction of their client
_UNFINISHED = 120  # requests sent ahead; more could overrun the buffer of Kea's socket while it works
_FINAL = re.compile(rb"DHCP_DDNS_(?:ADD|REMOVE)_(?:SUCCEEDED|FAILED) |DHCP_DDNS_NO_(?:FWD|REV)_MATCH_ERROR ")

Request = dict[str, Any]


def requests(seed: int, count: int) -> list[Request]:
    """Return requests of all eight kinds that meet each other: names, addresses and clients recur.

    Clients quarrel over names, move between addresses, have one address of each family, leave, and
    some ask for what no configured domain covers.
    """
    chance = random.Random(seed)
    clients = [f"client-{number}".encode() for number in range(_CLIENTS)]
    stream = []
    for _ in range(count):
        host = f"host{chance.randrange(_HOSTS)}"
        fqdn = f"{host}.{'elsewhere.test.' if chance.random() < 0.02 else FORWARD}"
        number = chance.randrange(1, _ADDRESSES)
        address = f"192.0.2.{number}" if chance.random() < 0.5 else f"2001:db8::{number:x}"
        if chance.random() < 0.01:
            address = "198.51.100.7"
        forward, reverse = chance.choice([(True, True), (True, True), (True, False), (False, True)])
        # The check-* modes are what Kea's DHCP servers ask for by default: half of all requests.
        mode = chance.choice([*ncr.MODES, ncr.MODES[0], ncr.MODES[0]])
        change = ncr.REMOVE if chance.random() < 0.4 else ncr.ADD
        stream.append(ncr.request(fqdn, address, ncr.dhcid(chance.choice(clients), fqdn), change=change,
                                  forward=forward, reverse=reverse, mode=mode,
                                  ttl=chance.choice([0, 300, 1200, 3600])))
    return stream


def returning_clients(seed: int, count: int) -> tuple[list[Request], list[Request]]:
    """Return the requests of strangers, to be sent first, and those of clients that come back all the time.

    A client renews, moves between three addresses of each family, is on both at once, leaves and comes back;
    often its next request comes while the one before is under way, since the stream need not wait between
    requests. Kea has one transaction at a time for a DHCID and keeps the order of its requests, so all that
    happens to a client is determined, if no other client touches its names and addresses: the order between
    DHCIDs is free. Strangers hold some of the names beforehand and then stay silent, so that
    conflict resolution (RFC 4703, section 5.3) meets resistance.
    """
    chance = random.Random(seed)
    strangers, stream = [], []
    for number in range(0, _RETURNING, 5):
        fqdn = f"returning{number}.{FORWARD}"
        strangers.append(ncr.request(fqdn, f"192.0.2.{number + 200}", ncr.dhcid(b"stranger", fqdn)))
    for _ in range(count):
        number = chance.randrange(_RETURNING)
        # A client that changes its name keeps this DHCID here: one of its own would be another client's.
        fqdn = f"{chance.choice(['returning', 'returning', 'renamed'])}{number}.{FORWARD}"
        place = 3 * number + chance.randrange(3)
        address = f"192.0.2.{place + 1}" if chance.random() < 0.6 else f"2001:db8::{place + 1:x}"
        forward, reverse = chance.choice([(True, True), (True, True), (True, False), (False, True)])
        stream.append(ncr.request(fqdn, address, ncr.dhcid(f"client-{number}".encode(), FORWARD),
                                  change=ncr.REMOVE if chance.random() < 0.35 else ncr.ADD,
                                  forward=forward, reverse=reverse,
                                  mode=chance.choice([*ncr.MODES, ncr.MODES[0], ncr.MODES[0]]),
                                  ttl=chance.choice([300, 1200, 3600])))
    return strangers, stream


def batches(stream: Sequence[Request]) -> Iterator[list[Request]]:
    """Cut the stream so that no two requests of a batch touch the same name, address or client.

    What happens to a batch then doesn't depend on the order in which it is carried out.
    """
    batch: list[Request] = []
    touched: set[str] = set()
    for request in stream:
        wants = {request["fqdn"], request["ip-address"], request["dhcid"]}
        if len(batch) == _BATCH or wants & touched:
            yield batch
            batch, touched = [], set()
        batch.append(request)
        touched |= wants
    yield batch


def configuration(port: int, dns_port: int, key: dict[str, Any] | None) -> dict[str, Any]:
    """Return the configuration of a D2 for the stream's zones, all on one DNS server."""
    server = {"ip-address": "127.0.0.1", "port": dns_port}
    named = {"key-name": key["name"]} if key else {}
    domains = [{"name": zone, "dns-servers": [server], **named} for zone in ZONES]
    # The timeout is long: a try that is merely slow must not turn into a second one.
    return {"ip-address": "127.0.0.1", "port": port, "dns-server-timeout": 60000,
            "tsig-keys": [key] if key else [],
            "forward-ddns": {"ddns-domains": domains[:1]}, "reverse-ddns": {"ddns-domains": domains[1:]}}


class Feeder:
    """Sends requests to a D2, reading the log as it grows to learn how many have ended."""

    def __init__(self, d2: D2, port: int) -> None:
        self._d2 = d2
        self._target = ("127.0.0.1", port)
        self._log = d2.process.stdout_path.open("rb")
        self._log.seek(0, os.SEEK_END)
        self._pending = b""
        self._sent = self._finished = 0

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._log.close()

    def feed(self, stream: Sequence[Request]) -> None:
        """Send the stream, batch by batch, and wait for the end of each."""
        for batch in batches(stream):
            for request in batch:
                self._send(request)
            self._wait(unfinished=0)

    def pour(self, stream: Sequence[Request]) -> None:
        """Send the stream as fast as the D2's queue accepts it; then wait for its end."""
        for request in stream:
            self._wait(unfinished=_UNFINISHED)
            self._send(request)
        self._wait(unfinished=0)

    def _send(self, request: Request) -> None:
        self._socket.sendto(ncr.datagram(request), self._target)
        self._sent += 1

    def _wait(self, unfinished: int) -> None:
        """Wait until at most so many requests have not ended."""
        if self._sent - self._finished > unfinished:
            wait_until(lambda: self._sent - self._count() <= unfinished,
                       f"the end of {self._sent - unfinished} requests")

    def _count(self) -> int:
        assert self._d2.alive, self._d2.process.output()[-4000:]
        lines = (self._pending + self._log.read()).split(b"\n")
        self._pending = lines.pop()
        self._finished += sum(1 for line in lines if _FINAL.search(line))
        return self._finished


def history(log: Sequence[Sequence[str]], dns_port: int) -> dict[str, list[tuple[str, str]]]:
    """Return what the log says of each client, in order: DHCID -> [(message id, text)].

    The DNS server's port is masked, as it differs between the two that are compared.
    """
    messages: dict[str, list[tuple[str, str]]] = {}
    for _, _, message, text in log:
        found = re.search(r"Request ID ([0-9A-F]+)", text)
        if found:
            masked = text.replace(f"port:{dns_port}", "port:DNS")
            messages.setdefault(found.group(1), []).append((message, masked))
    return messages
