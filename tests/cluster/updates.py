"""All updates that reach the DNS server, and its answers, read off the wire: from which machine, and when.

Each request of a long run has an address of its own, so an update says which one it carries out.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
from array import array
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from tests.cluster.lan import BRIDGE, HUB

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_ALL: Final = 3
"""ETH_P_ALL: without it what is sent from here is not seen."""
_IPV4: Final = 4
_UDP: Final = 17
_PACKET_STATISTICS: Final = 6
_SOL_PACKET: Final = 263
_SO_RCVBUFFORCE: Final = 33
_SO_TIMESTAMPNS: Final = 35
_TIMESPEC: Final = struct.Struct("ll")
_BUFFER: Final = 64 << 20
_ADDED: Final = re.compile(rb"\0\x01\0\x01....\0\x04\n(...)", re.DOTALL)
"""A record of type A in class IN whose address begins with 10."""


class Claim(NamedTuple):
    """A node became the owner."""

    at: float
    """In seconds since the epoch."""
    epoch: int
    node: str


class Update(NamedTuple):
    """An update that the server has carried out, or one whose answer was not seen."""

    at: float
    """When it was sent, in seconds since the epoch."""
    node: str
    version: int
    done: bool


class Updates:
    """Reads until ``close``."""

    def __init__(self, port: int, nodes: Mapping[str, str]) -> None:
        """``nodes``: the names of the machines by their addresses."""
        self._names = list(nodes.values())
        self._places = {socket.inet_aton(address): place for place, address in enumerate(nodes)}
        self._hub = socket.inet_aton(HUB)
        self._port = port.to_bytes(2, "big")
        self._at = array("d")
        self._node = array("B")
        self._version = array("L")
        self._done = bytearray()
        self._waiting: dict[bytes, int] = {}
        """Updates without an answer: their places by client, port and ID."""
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.bind((BRIDGE, _ALL))
        self._socket.settimeout(0.1)
        self._closing = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it. Raises AssertionError if the kernel has dropped packets."""
        if self._closing:
            return
        self._closing = True
        self._thread.join()
        _, drops = memoryview(self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)).cast("I")
        self._socket.close()
        assert not drops, f"{drops} packets were not seen"

    def __len__(self) -> int:
        return len(self._at)

    def __iter__(self) -> Iterator[Update]:
        columns = zip(self._at, self._node, self._version, self._done, strict=False)
        return (Update(at, self._names[node], version, bool(done)) for at, node, version, done in columns)

    def after(self, at: float, *, other_than: str = "") -> Update | None:
        """Return the first update since a moment that was carried out, by another node than one."""
        for place in range(self._find(at), len(self._done)):
            if self._done[place] and self._names[self._node[place]] != other_than:
                node, version = self._names[self._node[place]], self._version[place]
                return Update(self._at[place], node, version, done=True)
        return None

    def longest_gap(self, begin: float, end: float) -> float:
        """Return for how many seconds at most no update was carried out between two moments."""
        longest, last = 0.0, begin
        for place in range(self._find(begin), len(self._done)):
            if self._at[place] > end:
                break
            if self._done[place]:
                longest, last = max(longest, self._at[place] - last), self._at[place]
        return max(longest, end - last)

    def _find(self, at: float) -> int:
        """Return the place of the first update since a moment."""
        place = len(self._at)
        while place and self._at[place - 1] >= at:
            place -= 1
        return place

    def _run(self) -> None:
        while not self._closing:
            try:
                packet, ancillary, _, _ = self._socket.recvmsg(65535, 64)
            except TimeoutError:
                continue
            if packet[0] >> 4 != _IPV4 or packet[9] != _UDP:
                continue
            head = 4 * (packet[0] & 15)
            source, target = packet[12:16], packet[16:20]
            if target == self._hub and packet[head + 2 : head + 4] == self._port:
                seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
                at = seconds + nanoseconds / 1e9
                self._sent(at, source, packet[head : head + 2], packet[head + 8 :])
            elif source == self._hub and packet[head : head + 2] == self._port:
                self._answered(target + packet[head + 2 : head + 4], packet[head + 8 :])

    def _sent(self, at: float, source: bytes, port: bytes, message: bytes) -> None:
        found = _ADDED.search(message)
        node = self._places.get(source)
        if found is None or node is None:
            return
        self._waiting[source + port + message[:2]] = len(self._at)
        self._at.append(at)
        self._node.append(node)
        self._version.append(int.from_bytes(found[1], "big"))
        self._done.append(0)

    def _answered(self, client: bytes, message: bytes) -> None:
        place = self._waiting.pop(client + message[:2], None)
        if place is not None and not message[3] & 15:
            self._done[place] = 1


@dataclass(slots=True)
class _Span:
    """Some updates, by their times."""

    begin: float
    end: float = 0.0
    count: int = 0


class Outcome(NamedTuple):
    """What came of all requests."""

    accepted: int
    lost: int
    """Requests that were never carried out."""
    wrong: Sequence[tuple[str, str, str | None]]
    """Names that end wrong: with the address that they should have, and the one that they have."""
    claims: int
    stale: Mapping[int, int]
    """Updates that former owners have sent, by the epochs of those."""
    took_effect: int
    """How many of these the DNS server has carried out."""
    repeated: Mapping[int, int]
    """Requests that were carried out again, by epoch."""
    older: int
    """Updates that the DNS server has carried out after a newer one of their client."""
    never_done: Sequence[int]
    """The versions of those that are lost."""
    signs: Sequence[str]
    """What tells why updates are stale: which ones, and claims out of order."""

    @property
    def good(self) -> bool:
        """Whether nothing is lost or wrong."""
        return not self.lost and not self.wrong

    def __str__(self) -> str:
        stale = [*self.stale.values()]
        again = [*self.repeated.values()]
        return (f"{self.accepted} requests accepted, {self.lost} lost, {len(self.wrong)} names end wrong; "
                f"{self.claims} claims; {sum(stale)} stale updates, {max(stale, default=0)} by one former "
                f"owner at most, {self.took_effect} took effect; {sum(again)} requests repeated, "
                f"{max(again, default=0)} after one claim at most; {self.older} times an older one after a "
                f"newer one")


def judge(
    updates: Iterable[Update], claims: Sequence[Claim], clients: Sequence[int], wanted: Mapping[str, str],
    found: Mapping[str, str],
) -> Outcome:
    """Return what came of all requests.

    ``clients`` has the client of each version from 1 on, ``wanted`` and ``found`` the addresses of the names.
    """
    claims = sorted(claims)
    stale: dict[int, int] = defaultdict(int)
    spans: dict[tuple[str, int, Claim], _Span] = {}
    """Stale updates, by their node, its last epoch, and the last claim before them."""
    repeated: dict[int, int] = defaultdict(int)
    owned: dict[str, int] = {}
    """The last epoch of each node."""
    done: dict[int, int] = {}
    """The last epoch in which each request was carried out."""
    newest: dict[int, int] = {}
    """The last version of each client."""
    took_effect = older = 0
    place, present = 0, Claim(0.0, 0, "")
    for update in updates:
        while place < len(claims) and claims[place].at <= update.at:
            present = claims[place]
            owned[present.node] = present.epoch
            place += 1
        if update.node != present.node:
            epoch = owned.get(update.node, 0)
            stale[epoch] += 1
            took_effect += update.done
            span = spans.setdefault((update.node, epoch, present), _Span(update.at))
            span.end, span.count = update.at, span.count + 1
        if update.done:
            if done.get(update.version, present.epoch) != present.epoch:
                repeated[present.epoch] += 1
            done[update.version] = present.epoch
            client = clients[update.version]
            older += update.version < newest.get(client, 0)
            newest[client] = update.version
    wrong = [(name, address, found.get(name)) for name, address in wanted.items()
             if found.get(name) != address]
    accepted = len(clients) - 1
    never_done = [version for version in range(1, accepted + 1) if version not in done]
    signs = _out_of_order(claims)
    for (node, epoch, claim), span in spans.items():
        begin, end = span.begin - claim.at, span.end - claim.at
        signs.append(f"{node}, owner in epoch {epoch}, has sent {span.count} updates from {begin:.2f} to "
                     f"{end:.2f} s behind the claim of {claim.node}, epoch {claim.epoch}, at {claim.at:.3f}")
    return Outcome(accepted, len(never_done), wrong, len(claims), stale, took_effect, repeated, older,
                   never_done, signs)


def _out_of_order(claims: Sequence[Claim]) -> list[str]:
    """Return which claims have no later epoch than the one before.

    Servers have taken back what they had acknowledged, or a node has heard of its claim too late.
    """
    return [f"{later.node} has logged a claim of epoch {later.epoch}, {later.at - before.at:.2f} s behind "
            f"one of {before.node}, epoch {before.epoch}, at {before.at:.3f}"
            for before, later in pairwise(claims) if later.epoch <= before.epoch]
