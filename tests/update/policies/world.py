"""A D2 with policies before one small primary, in virtual time: what each update changes is checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dns.message
import dns.name
import dns.update

from pyd2.tools.dns_server import make_zone
from pyd2.tools.primary import Primary
from tests.update.policies.rows import CLIENTS, POLICIES, dhcid_of, shown
from tests.update.support import VirtualD2, domain, make_config, simple_map

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyd2.tools.primary import Received
    from pyd2.update.drive.questions import WhatDiffers
    from pyd2.update.engine import Outgoing

Records = frozenset[tuple[str, str]]

REVERSE = ("2.0.192.in-addr.arpa.", "8.b.d.0.1.0.0.2.ip6.arpa.")


def policy_map(policies: Mapping[str, Mapping[str, Any]], **switches: Any) -> dict[str, Any]:
    """Return a ``DhcpDdns`` map with a zone for each set of policies, all at one server."""
    forward = [
        domain(f"{name}.test.", 1, **{"user-context": {"pyd2": {"policy": dict(policy)}}})
        for name, policy in policies.items()
    ]
    reverse = [domain(name, 1) for name in REVERSE]
    return simple_map(forward, reverse, {"user-context": {"pyd2": switches}})


@dataclass
class World:
    """The D2 and the primary. ``hold``: messages wait until ``deliver`` or ``lose`` takes them."""

    hold: bool = False
    map: dict[str, Any] = field(default_factory=lambda: policy_map(POLICIES))
    debuglevel: int = 55
    held: list[Outgoing] = field(default_factory=list)
    asked: int = 0
    what_differs: WhatDiffers | None = None
    addresses: dict[str, str] = field(default_factory=dict)
    """Whose an address is; all others are an administrator's. Without any nothing is checked."""

    def __post_init__(self) -> None:
        ways = [self.map[way]["ddns-domains"] for way in ("forward-ddns", "reverse-ddns")]
        names = [entry["name"] for way in ways for entry in way]
        self.primary = Primary({dns.name.from_text(name): make_zone(name) for name in names})
        self._report()
        self.before: dict[str, Records] = {}
        self.d2 = VirtualD2(
            make_config(self.map), self.take, self.debuglevel, what_differs=self.what_differs, keep_sent=False
        )

    # The server.

    def take(self, outgoing: Outgoing, _now: float) -> Iterable[tuple[float, bytes]]:
        if self.hold:
            self.held.append(outgoing)
            return []
        return [(0.0, reply) for reply in self.answer(outgoing)]

    def answer(self, outgoing: Outgoing) -> list[bytes]:
        self.asked += outgoing.message[2] >> 3 & 15 == 0
        return self.primary.handle(outgoing.message, over_tcp=outgoing.tcp)

    def deliver(self, index: int = 0) -> None:
        outgoing = self.held.pop(index)
        for reply in self.answer(outgoing):
            self.d2.engine.receive_reply(outgoing.lane, outgoing.slot, reply, self.d2.now, self.d2.wall)
        self.d2.flush()

    def lose(self, index: int = 0, *, reply: bool) -> None:
        """Lose a message, or the reply to it."""
        outgoing = self.held.pop(index)
        if reply:
            self.answer(outgoing)

    def settle(self) -> None:
        while self.held or self.d2.engine.active:
            if self.held:
                self.deliver()
            else:
                self.d2.step()

    def change(self, update: dns.update.UpdateMessage) -> None:
        """Change a zone as an administrator does."""
        self.primary.report = lambda _: None
        (reply,) = self.primary.handle(update.to_wire(), over_tcp=True)
        assert dns.message.from_wire(reply).rcode() == 0
        self._report()
        self.before = self.everything()

    def _report(self) -> None:
        if self.addresses:
            self.primary.report = self.check

    # What the zones hold.

    def records(self, name: str) -> Records:
        return self.everything().get(name, frozenset())

    def everything(self) -> dict[str, Records]:
        """Return what each name of the forward zones holds, but for the zones' own."""
        found: dict[str, Records] = {}
        for origin, zone in self.primary.zones.items():
            for name, node in zone.nodes.items():
                if name != origin:
                    found[name.to_text()] = frozenset(
                        (rdataset.rdtype.name, rdata.to_text().replace(" ", ""))
                        for rdataset in node for rdata in rdataset
                    )
        return found

    # What must hold for each update.

    def check(self, received: Received) -> None:
        """Check that an update has changed or removed nothing that is not its own client's."""
        before, self.before = self.before, self.everything()
        for name in before.keys() | self.before.keys():
            if name.endswith(".arpa."):
                continue
            gone = before.get(name, frozenset()) - self.before.get(name, frozenset())
            if not gone:
                continue
            actor = self.actor(received, name)
            for record in gone:
                assert self.owner(record, name) == actor, f"{actor} removes {record}: {received}"

    def actor(self, received: Received, name: str) -> str | None:
        """Return whose an update of a name is."""
        text = received.text
        for lines in (text.updates, text.prerequisites):
            found = {
                self.owner((kind, "".join(data)), name)
                for owner, _, _, kind, *data in map(str.split, lines) if owner == name and data
            }
            if found:
                (actor,) = found
                return actor
        return None

    def owner(self, record: tuple[str, str], name: str) -> str | None:
        """Return whose a record is; None: an administrator's."""
        kind, data = record
        if kind == "DHCID":
            return next(each for each in CLIENTS if shown(f"DHCID {each}", name)[1] == data)
        return self.addresses.get(data)


__all__ = ["Records", "World", "dhcid_of", "policy_map"]
