"""A seeded stream of requests like those of a busy network, and the sending of it in safe batches."""

import os
import random
import re
import socket
from collections.abc import Iterator, Sequence
from typing import Any

from tests.kit import ncr
from tests.kit.d2 import D2
from tests.kit.waiting import wait_until

FORWARD = "example.com."
REVERSE4 = "2.0.192.in-addr.arpa."
REVERSE6 = "8.b.d.0.1.0.0.2.ip6.arpa."
ZONES = (FORWARD, REVERSE4, REVERSE6)

_CLIENTS, _HOSTS, _ADDRESSES = 60, 40, 50
_BATCH = 12  # requests in flight; BIND and D2 both take more without dropping any
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
    """Sends batches to a D2 and waits for the end of each, reading the log as it grows."""

    def __init__(self, d2: D2, port: int) -> None:
        self._d2 = d2
        self._target = ("127.0.0.1", port)
        self._log = d2.process.stdout_path.open("rb")
        self._log.seek(0, os.SEEK_END)
        self._pending = b""
        self.finished = 0

    def feed(self, stream: Sequence[Request]) -> None:
        """Send the stream, batch by batch."""
        sent = 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for batch in batches(stream):
                for request in batch:
                    sock.sendto(ncr.datagram(request), self._target)
                sent += len(batch)
                wait_until(lambda sent=sent: self._count() >= sent,  # type: ignore[misc]
                           f"the end of {sent} requests", timeout=30)
        self._log.close()

    def _count(self) -> int:
        assert self._d2.alive, self._d2.process.output()[-4000:]
        lines = (self._pending + self._log.read()).split(b"\n")
        self._pending = lines.pop()
        self.finished += sum(1 for line in lines if _FINAL.search(line))
        return self.finished


def history(log: Sequence[Sequence[str]], dns_port: int) -> dict[str, list[tuple[str, str]]]:
    """Return what the log says of each client, in order: DHCID -> [(message id, text)].

    The DNS server's port is masked, as it differs between the two that are compared.
    """
    told: dict[str, list[tuple[str, str]]] = {}
    for _, _, message, text in log:
        found = re.search(r"Request ID ([0-9A-F]+)", text)
        if found:
            masked = text.replace(f"port:{dns_port}", "port:DNS")
            told.setdefault(found.group(1), []).append((message, masked))
    return told
