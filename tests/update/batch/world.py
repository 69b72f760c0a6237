"""A D2 with batches before one small primary, in virtual time; what must hold for each message is checked."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dns.message
import dns.name
import dns.rdatatype
import dns.tsig
import dns.update
import dns.zone

from pyd2.tools.primary import Primary
from tests.kit import ncr
from tests.update.support import SendError, VirtualD2, answer, datagram, domain, make_config, simple_map

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyd2.update.batch.lane_batches import LaneBatches
    from pyd2.update.engine import Outgoing, SelectKey
    from pyd2.update.server.lane import Lane

ZONES = ("example.com.", "2.0.192.in-addr.arpa.", "8.b.d.0.1.0.0.2.ip6.arpa.")
KEY = {"name": "k.test", "algorithm": "HMAC-SHA256", "secret": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"}
_ZONE = "@ 3600 SOA ns.invalid. admin.invalid. 1 3600 600 86400 60\n@ 3600 NS ns.invalid.\n"

Records = dict[str, list[str]]


def batch_map(batch: int, in_flight: int = 4, *ports: int, signed: bool = False, **switches: Any
              ) -> dict[str, Any]:
    """Return a ``DhcpDdns`` map for the zones, all at the same servers, with batches of so many updates."""
    lanes: dict[str, Any] = {"batch": batch, "max-in-flight": in_flight}
    key = {"key-name": KEY["name"]} if signed else {}
    forward, *reverse = [domain(name, *(ports or (1,)), **key) for name in ZONES]
    return simple_map([forward], reverse, {
        "user-context": {"pyd2": {"lanes": lanes, **switches}}, "tsig-keys": [KEY],
    })


def primary() -> Primary:
    """Return a primary with the zones."""
    zones = {
        dns.name.from_text(name): dns.zone.from_text(_ZONE, origin=name, relativize=False) for name in ZONES
    }
    name = dns.name.from_text(KEY["name"])
    return Primary(zones, {name: dns.tsig.Key(name, KEY["secret"], "hmac-sha256.")})


def records(server: Primary) -> Records:
    """Return what the zones hold but for their SOA, which counts the messages."""
    return {
        str(name): sorted(
            f"{owner} {rdataset.ttl} {rdata.rdtype!s} {rdata}".lower()
            for owner, rdataset in zone.iterate_rdatasets() if rdataset.rdtype != dns.rdatatype.SOA
            for rdata in rdataset
        )
        for name, zone in server.zones.items()
    }


@dataclass
class World:
    """A D2, and a primary that takes ``delay`` seconds for each message."""

    config: Mapping[str, Any]
    delay: float = 0.005
    lose_every: int = 0
    """Each so manieth reply is lost, but not the third one in a row for an owner; 0: none."""
    dead: tuple[int, ...] = ()
    """The ports of servers that do not answer, nor do anything."""
    signed: int = 0
    """Messages with a TSIG."""
    answers_questions: bool = True
    refuses: bool = False
    """Whether the primary refuses batches."""
    debuglevel: int = 0
    server: Primary = field(default_factory=primary)
    sizes: list[int] = field(default_factory=list)
    """How many owners each update had."""
    questions: int = 0
    tcp: int = 0
    """Messages that went over TCP."""
    select_key: SelectKey | None = None
    drops_tcp: bool = False
    """Whether what goes over TCP is lost."""
    unsent_over_tcp: bool = False
    """Whether no connection can be made."""
    wildcard: bool = False
    """Whether a wildcard answers for names that do not exist."""

    def __post_init__(self) -> None:
        self._count = 0
        self._lost: Counter[str] = Counter()
        """By owner, replies lost in a row."""
        self._under_way: list[tuple[float, frozenset[tuple[str, str]]]] = []
        self.d2 = VirtualD2(make_config(self.config), self.serve, self.debuglevel, self.select_key)
        self.engine = self.d2.engine

    def batches(self, lane: Lane) -> LaneBatches:
        """Return the batches of a server."""
        batcher = self.engine._batcher
        assert batcher is not None
        return batcher._of(lane)

    def serve(self, outgoing: Outgoing, now: float) -> Iterable[tuple[float, bytes]]:
        """Let the primary carry out a message; check what must hold for it."""
        if outgoing.tcp and self.unsent_over_tcp:
            raise SendError(111)
        assert outgoing.tcp or len(outgoing.message) <= 1232
        if outgoing.lane.port in self.dead or (outgoing.tcp and self.drops_tcp):
            return []
        self.tcp += outgoing.tcp
        message = dns.message.from_wire(outgoing.message, keyring=self.server.keys)
        self.signed += message.had_tsig
        if isinstance(message, dns.update.UpdateMessage):
            owners = self._check(message, now)
            if self.refuses and len(owners) > 1:
                return [(self.delay, answer(outgoing.message, 5))]
        else:
            self.questions += 1
            owners = {str(message.question[0].name).lower()}
            if not self.answers_questions:
                return []
        replies = list(self.server.handle(outgoing.message, over_tcp=True))
        if self.wildcard and not isinstance(message, dns.update.UpdateMessage):
            replies = [reply[:3] + bytes([reply[3] & 0xF0]) + reply[4:] for reply in replies]
        if self._loses(owners):
            return []
        return [(self.delay, reply) for reply in replies]

    def _loses(self, owners: set[str]) -> bool:
        """Whether the next reply, about some owners, is lost."""
        self._count += 1
        lost = bool(self.lose_every) and self._count % self.lose_every == 0
        if lost and all(self._lost[owner] < 2 for owner in owners):
            self._lost.update(owners)
            return True
        for owner in owners:
            del self._lost[owner]
        return False

    def _check(self, message: dns.update.UpdateMessage, now: float) -> set[str]:
        """Check what must hold for an update; return its owners."""
        zone = str(message.zone[0].name).lower()
        owners = {str(rrset.name).lower() for rrset in (*message.prerequisite, *message.update)}
        keys = frozenset((zone, owner) for owner in owners)
        self.sizes.append(len(owners))
        if len(owners) > 1:
            # One change for each owner: no two additions of an address, and one set of prerequisites.
            added = [str(rrset.name).lower() for rrset in message.update
                     if rrset.deleting is None and rrset.rdtype != dns.rdatatype.DHCID]
            assert len(added) == len(set(added)), added
        self._under_way = [each for each in self._under_way if each[0] > now]
        for _, others in self._under_way:
            if len(owners) > 1 or len(others) > 1:
                assert not keys & others, keys & others
        self._under_way.append((now + self.delay, keys))
        return owners

    def send(self, requests: Sequence[Mapping[str, Any]]) -> None:
        """Give the D2 requests that come together."""
        d2 = self.d2
        self.engine.receive_requests([datagram(each) for each in requests], d2.now, d2.wall)
        d2.flush()

    def run(self, requests: Sequence[Mapping[str, Any]], together: int = 64, gap: float = 0.001) -> Records:
        """Carry out requests, so many of which come at a time; return what the zones hold then."""
        for first in range(0, len(requests), together):
            self.send(requests[first : first + together])
            self.d2.run(self.d2.now + gap)
        self.d2.run()
        assert (self.engine.active, self.engine.queued) == (0, 0)
        assert self.engine._ends.sharing == 0
        assert self.engine._limit.octets == 0
        for lane in self.engine.lanes:
            assert not lane.collecting
            assert (lane.held, len(lane.ready), lane.window.in_flight) == (0, 0, 0)
        return records(self.server)


def requests(seed: int, count: int, clients: int = 40) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the requests of strangers, to be carried out first, and those of clients that come back.

    A client adds, renews, moves between addresses of both families, and leaves, in all modes. What happens to
    it is its own, so that the order between clients does not matter; strangers hold some of the names and
    stay.
    """
    chance = random.Random(seed)
    held = [
        ncr.request(f"c{number}.{ZONES[0]}", f"192.0.2.{200 + number % 50}", ncr.dhcid(b"stranger", "s."))
        for number in range(0, clients, 8)
    ]
    stream = []
    for _ in range(count):
        number = chance.randrange(clients)
        spelled = chance.choice(["c", "c", "c", "C", "d"])
        fqdn = f"{spelled}{number}.{chance.choice(['example.com.', 'EXAMPLE.com.'])}"
        v6 = chance.random() < 0.4
        place = 2 * number + chance.randrange(2)
        forward, reverse = chance.choice([(True, True), (True, True), (True, False), (False, True)])
        stream.append(ncr.request(
            fqdn, f"2001:db8::{place:x}" if v6 else f"192.0.2.{place}",
            ncr.dhcid(f"client-{number}".encode(), "c."), change=int(chance.random() < 0.35),
            forward=forward, reverse=reverse, mode=chance.choice([*ncr.MODES, ncr.MODES[0], ncr.MODES[0]]),
            ttl=chance.choice([300, 1200]),
        ))
    return held, stream
