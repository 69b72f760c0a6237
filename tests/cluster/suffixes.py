"""What repeated requests do to the names of a DNS server: ``python -m tests.cluster suffixes``.

Of two requests X1, X2 that share a name, an address or a client, a node that claims the queue repeats X2, or
X1 and X2 (a suffix): the end must be the same. X1 alone, an older one after a newer one, may do harm.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.faults.load import domain
from tests.kit import dns_servers, ncr
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from tests.kit.dns_servers import DnsServer

SERVERS: Final[dict[str, Callable[[Sequence[str]], AbstractContextManager[DnsServer]]]] = {
    "BIND": dns_servers.bind, "Knot DNS": dns_servers.knot,
}
FORWARD: Final = "example.com."
REVERSE: Final = "10.in-addr.arpa."
_ENDED: Final = "DHCP_DDNS_(ADD|REMOVE)_(SUCCEEDED|FAILED)"
_CLIENTS: Final = {"d": "000101" + "11" * 28, "e": "000101" + "22" * 28}
"""The beginnings of their DHCIDs; four octets follow."""


class Change(NamedTuple):
    """A request."""

    change: int
    client: str
    name: str
    address: int


class Pair(NamedTuple):
    """Two requests that have something to do with each other."""

    what: str
    before: Sequence[Change]
    """What has happened before both."""
    first: Change
    second: Change


_A: Final = Change(ncr.ADD, "d", "h", 1)
_B: Final = Change(ncr.ADD, "d", "h", 2)
_NOT_A: Final = Change(ncr.REMOVE, "d", "h", 1)

PAIRS: Final = (
    Pair("a client gets an address and gives it up", [], _A, _NOT_A),
    Pair("a client gives its address up and gets it again", [_A], _NOT_A, _A),
    Pair("a client gives its address up and gets another one", [_A], _NOT_A, _B),
    Pair("a client gets an address and then another one", [], _A, _B),
    Pair("a client gets an address and renews it", [], _A, _A),
    Pair("a client gets a name and then another one", [], _A, Change(ncr.ADD, "d", "g", 1)),
    Pair("another client gets the name with another address", [_A], _NOT_A, Change(ncr.ADD, "e", "h", 2)),
    Pair("another client gets the name with the same address", [_A], _NOT_A, Change(ncr.ADD, "e", "h", 1)),
    Pair("another client asks for a name that is in use", [], _A, Change(ncr.ADD, "e", "h", 2)),
    Pair("another client gets the address that was given up", [_A], _NOT_A, Change(ncr.ADD, "e", "g", 1)),
    Pair("another client gets an address that is in use", [], _A, Change(ncr.ADD, "e", "g", 1)),
)


class Found(NamedTuple):
    """What came of all pairs in all modes."""

    pairs: int
    suffix: Sequence[str]
    """Those that end otherwise after X1 X2 X1 X2 or X1 X2 X2 than after X1 X2."""
    older: Counter[str]
    """How many end otherwise after X1 X2 X1, by mode."""


def suffixes(binary: str) -> bool:
    """Play all with each server, print what came of it, and return whether no suffix changes anything."""
    good = True
    for name in SERVERS:
        found = play(binary, name)
        good = good and not found.suffix
        older = ", ".join(f"{mode} {count}" for mode, count in found.older.items())
        print(f"{name}: {len(found.suffix)} of {found.pairs} pairs end otherwise when a suffix is repeated; "
              f"of {len(PAIRS)} when the older one alone is: {older}", flush=True)
        for what in found.suffix:
            print(f"  {what}")
    return good


def play(binary: str, server: str) -> Found:
    """Play all pairs in all modes with a daemon and a server."""
    with PortLease() as lease, private_directory() as directory, SERVERS[server]([FORWARD, REVERSE]) as dns:
        port = lease.take()
        body = {"dns-server-timeout": 10000, "forward-ddns": {"ddns-domains": [domain(FORWARD, dns.port)]},
                "reverse-ddns": {"ddns-domains": [domain(REVERSE, dns.port)]}}
        rows = [(mode, pair) for mode in ncr.MODES for pair in PAIRS]
        with D2.start(binary, directory, config(port, body)) as d2:
            d2.wait_for_listener(port)
            sent = 0
            for requests in _steps(rows):
                for request in requests:
                    ncr.send(ncr.datagram(request), port)
                sent += len(requests)
                d2.wait_for_log(_ENDED, sent)
        states = _states(dns)
    suffix, older = [], Counter(dict.fromkeys(ncr.MODES, 0))
    for number, (mode, pair) in enumerate(rows):
        right, last, both, first = (states.get(case, []) for case in range(4 * number, 4 * number + 4))
        if last != right or both != right:
            suffix.append(f"{mode}, {pair.what}: {right} becomes {last} or {both}")
        older[mode] += first != right
    return Found(len(rows), suffix, older)


def _steps(rows: Sequence[tuple[str, Pair]]) -> Iterator[list[dict[str, object]]]:
    """Yield the requests of each step: those of one step have nothing to do with each other."""
    steps: defaultdict[int, list[dict[str, object]]] = defaultdict(list)
    for number, (mode, (_, before, first, second)) in enumerate(rows):
        again: Sequence[Sequence[Change]] = [], [second], [first, second], [first]
        for case, more in enumerate(again, 4 * number):
            for step, change in enumerate([*before, first, second, *more]):
                steps[step].append(_request(case, mode, change))
    yield from (steps[step] for step in sorted(steps))


def _request(case: int, mode: str, change: Change) -> dict[str, object]:
    return ncr.request(
        f"{change.name}{case}.{FORWARD}", f"10.{change.address}.{case >> 8}.{case & 255}",
        f"{_CLIENTS[change.client]}{case:08X}", change=change.change, mode=mode,
    )  # fmt: skip


def _states(dns: DnsServer) -> dict[int, list[str]]:
    """Return what the zones have of each case, in the terms of its changes."""
    states: defaultdict[int, list[str]] = defaultdict(list)
    for owner, _, kind, data in dns.records(FORWARD):
        name, case = owner[0], int(owner.partition(".")[0][1:])
        client = "d" if "ERER" in data else "e"
        shown = f"address {data.split('.')[1]}" if kind == "A" else f"client {client}"
        states[case].append(f"{name} has {shown}")
    for owner, _, _, data in dns.records(REVERSE):
        low, high, address = map(int, owner.split(".")[:3])
        states[256 * high + low].append(f"address {address} has {data[0]}")
    return {case: sorted(lines) for case, lines in states.items()}
