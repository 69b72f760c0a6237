"""The tables of docs/policies.md, row by row: what a name holds, a request, and what the name holds after it.

Each row has a name of its own, in the zone that has the row's policies, so that all of them can be sent at
once.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import dns.update

from pyd2.tools.requests import Identifier, dhcid
from tests.kit import ncr

if TYPE_CHECKING:
    from collections.abc import Iterator

POLICIES: Final[dict[str, dict[str, Any]]] = {
    "off": {},
    "dual": {"dual-stack": "per-family"},
    "adopt": {"adopt": "same-address"},
    "yxrrset": {"remove-yxrrset": "done"},
    "all": {"dual-stack": "per-family", "adopt": "same-address", "remove-yxrrset": "done"},
    "keep": {"keep": ["r60.keep.test.", "*.below.keep.test."]},
}
"""By the first label of the zone."""
ZONES: Final = tuple(f"{name}.test." for name in POLICIES)

CLIENTS: Final = {
    "X": (Identifier.CLIENT_ID, b"\x01\x52\x54\x00\x00\x00\x01"),
    "Y": (Identifier.HARDWARE_ADDRESS, b"\x01\x52\x54\x00\x00\x00\x02"),
    "V": (Identifier.DUID, b"\x00\x03\x00\x01\x52\x54\x00\x00\x00\x03"),
    "W": (Identifier.DUID, b"\x00\x03\x00\x01\x52\x54\x00\x00\x00\x04"),
    "R": (Identifier.DUID, b"\x00\x03\x00\x01\x52\x54\x00\x00\x00\x05"),
}
"""X and Y come by DHCPv4, V and W by DHCPv6; R has the identifiers of RFC 4361 and comes by both."""

DONE, FAILED, KEPT = "done", "failed", "kept"
TTL: Final = 600


class Row(NamedTuple):
    """Records are written ``A 192.0.2.1`` or ``DHCID X``, the client's."""

    number: int
    policy: str
    before: tuple[str, ...]
    change: int
    client: str
    address: str
    after: tuple[str, ...]
    outcome: str = DONE
    below: str = ""
    """A label between the name and the zone."""

    @property
    def zone(self) -> str:
        """The zone of its name."""
        return f"{self.policy}.test."

    @property
    def name(self) -> str:
        """The name that it is about."""
        return f"r{self.number}.{self.below}{self.zone}"

    def request(self) -> dict[str, Any]:
        """Return its request, which has no reverse change."""
        return ncr.request(
            self.name, self.address, dhcid_of(self.client, self.name), change=self.change, reverse=False,
            ttl=TTL,
        )

    def records(self, texts: tuple[str, ...]) -> set[tuple[str, str]]:
        """Return records as type and data."""
        return {shown(text, self.name) for text in texts}

    def setup(self) -> Iterator[dns.update.UpdateMessage]:
        """Return the updates that give its name what it holds before, each with one record."""
        for kind, data in sorted(self.records(self.before)):
            update = dns.update.UpdateMessage(self.zone)
            update.add(self.name, TTL, kind, data)
            yield update


def dhcid_of(client: str, name: str) -> str:
    """Return a client's DHCID for a name, in hex."""
    return dhcid(*CLIENTS[client], name)


def shown(text: str, name: str) -> tuple[str, str]:
    """Return the type and the data of a record of a name."""
    kind, data = text.split()
    if kind == "DHCID":
        data = b64encode(bytes.fromhex(dhcid_of(data, name))).decode()
    return kind, data


A1, A2, A3 = "192.0.2.1", "192.0.2.2", "192.0.2.3"
Q1, Q2, Q3 = "2001:db8::1", "2001:db8::2", "2001:db8::3"


def _family(
    first: int, mine: tuple[str, str, str], theirs: str, me: str, other: str, rival: str
) -> list[Row]:
    """Return the rows of the table of dual-stack for a client ``me`` with the addresses ``mine``.

    ``other`` is a client of the other family, with the address ``theirs``; ``rival`` one of the same family.
    """
    a, q = ("A", "AAAA") if "." in mine[0] else ("AAAA", "A")
    own, second, third = (f"{a} {address}" for address in mine)
    foreign = f"{q} {theirs}"
    my, others, rivals = f"DHCID {me}", f"DHCID {other}", f"DHCID {rival}"
    shared = (own, foreign, my, others)

    def row(
        number: int, before: tuple[str, ...], change: int, address: str, after: tuple[str, ...] | None = None,
        outcome: str = DONE,
    ) -> Row:
        left = before if after is None else after
        return Row(first + number, "dual", before, change, me, address, left, outcome)

    return [
        row(0, (), ncr.ADD, mine[0], (own, my)),
        row(1, (own, my), ncr.ADD, mine[1], (second, my)),
        row(2, (own, my), ncr.REMOVE, mine[0], ()),
        row(3, shared, ncr.ADD, mine[1], (second, foreign, my, others)),
        row(4, shared, ncr.ADD, mine[0]),
        row(5, (foreign, others), ncr.ADD, mine[0], shared),
        row(6, shared, ncr.REMOVE, mine[0], (foreign, others)),
        row(7, (*shared, second), ncr.REMOVE, mine[0], (second, foreign, my, others)),
        # Another client's.
        row(8, (second, rivals), ncr.ADD, mine[0], outcome=FAILED),
        row(9, (second, rivals), ncr.REMOVE, mine[0], outcome=FAILED),
        row(10, (second, rivals), ncr.REMOVE, mine[1], outcome=FAILED),
        row(11, (second, foreign, rivals, others), ncr.ADD, mine[0], outcome=FAILED),
        row(12, (second, foreign, rivals, others), ncr.REMOVE, mine[1], outcome=FAILED),
        row(13, (own, my, rivals), ncr.ADD, mine[1], outcome=FAILED),
        row(14, (*shared, rivals), ncr.ADD, mine[1], outcome=FAILED),
        row(15, (*shared, rivals), ncr.REMOVE, mine[0], outcome=FAILED),
        row(20, (), ncr.REMOVE, mine[0]),
        # An address of the own family under another's DHCID; a DHCID without addresses.
        row(16, (third, foreign, others), ncr.ADD, mine[0], outcome=FAILED),
        row(17, ('TXT "text"', others), ncr.ADD, mine[0], outcome=FAILED),
        row(21, (third, foreign, others), ncr.REMOVE, mine[2], outcome=FAILED),
        row(22, (foreign, others), ncr.REMOVE, mine[0], outcome=FAILED),
        # Not by DHCP.
        row(18, (own,), ncr.ADD, mine[0], outcome=FAILED),
        row(19, (foreign,), ncr.ADD, mine[0], outcome=FAILED),
    ]


ROWS: Final = (
    *_family(100, (A1, A2, A3), Q1, "X", "V", "Y"),
    *_family(200, (Q1, Q2, Q3), A1, "V", "Y", "W"),
    # A client with one identifier for both families has one DHCID, which guards both.
    Row(30, "dual", (f"A {A1}", "DHCID R"), ncr.ADD, "R", Q1, (f"A {A1}", f"AAAA {Q1}", "DHCID R")),
    Row(31, "dual", (f"AAAA {Q1}", "DHCID V"), ncr.ADD, "R", A1, (f"AAAA {Q1}", "DHCID V"), FAILED),
    Row(32, "dual", (f"A {A1}", f"AAAA {Q1}", "DHCID R"), ncr.ADD, "X", A1,
        (f"A {A1}", f"AAAA {Q1}", "DHCID R"), FAILED),
    Row(33, "dual", (f"A {A1}", f"AAAA {Q1}", "DHCID R"), ncr.REMOVE, "R", A1,
        (f"AAAA {Q1}", "DHCID R"), FAILED),
    # Off: as Kea.
    Row(40, "off", (f"AAAA {Q1}", "DHCID V"), ncr.ADD, "X", A1, (f"AAAA {Q1}", "DHCID V"), FAILED),
    Row(41, "off", (f"A {A1}",), ncr.ADD, "X", A1, (f"A {A1}",), FAILED),
    Row(42, "off", (f"A {A1}", f"AAAA {Q1}", "DHCID R"), ncr.REMOVE, "R", A1,
        (f"AAAA {Q1}", "DHCID R"), FAILED),
    Row(43, "off", (f"A {A1}", f"AAAA {Q1}", "DHCID X", "DHCID V"), ncr.REMOVE, "X", A1,
        (f"A {A1}", f"AAAA {Q1}", "DHCID X", "DHCID V"), FAILED),
    # Adoption.
    Row(50, "adopt", (f"A {A1}",), ncr.ADD, "X", A1, (f"A {A1}", "DHCID X")),
    Row(51, "adopt", (f"AAAA {Q1}",), ncr.ADD, "V", Q1, (f"AAAA {Q1}", "DHCID V")),
    Row(52, "adopt", (f"A {A2}",), ncr.ADD, "X", A1, (f"A {A2}",), FAILED),
    Row(53, "adopt", (f"A {A1}", f"A {A2}"), ncr.ADD, "X", A1, (f"A {A1}", f"A {A2}"), FAILED),
    Row(54, "adopt", (f"A {A1}", f"AAAA {Q1}"), ncr.ADD, "X", A1, (f"A {A1}", f"AAAA {Q1}", "DHCID X")),
    Row(55, "adopt", ("CNAME r50.adopt.test.",), ncr.ADD, "X", A1, ("CNAME r50.adopt.test.",), FAILED),
    Row(56, "adopt", (f"A {A1}", "DHCID Y"), ncr.ADD, "X", A1, (f"A {A1}", "DHCID Y"), FAILED),
    Row(57, "adopt", (f"AAAA {Q1}", "DHCID V"), ncr.ADD, "X", A1, (f"AAAA {Q1}", "DHCID V"), FAILED),
    Row(58, "adopt", (f"A {A1}",), ncr.REMOVE, "X", A1, (f"A {A1}",), FAILED),
    # Removals that leave addresses of the other family.
    Row(70, "yxrrset", (f"A {A1}", f"AAAA {Q1}", "DHCID R"), ncr.REMOVE, "R", A1, (f"AAAA {Q1}", "DHCID R")),
    Row(72, "yxrrset", (f"A {A1}", "DHCID Y"), ncr.REMOVE, "X", A1, (f"A {A1}", "DHCID Y")),
    Row(71, "yxrrset", (f"A {A1}", "DHCID X"), ncr.REMOVE, "X", A1, ()),
    # Kept.
    Row(60, "keep", (f"A {A1}", "DHCID X"), ncr.REMOVE, "X", A1, (f"A {A1}", "DHCID X"), KEPT),
    Row(61, "keep", (f"A {A1}", "DHCID X"), ncr.REMOVE, "X", A1, (f"A {A1}", "DHCID X"), KEPT, "below."),
    Row(62, "keep", (f"A {A1}", "DHCID X"), ncr.REMOVE, "X", A1, ()),
    Row(63, "keep", (f"A {A1}", "DHCID X"), ncr.ADD, "X", A2, (f"A {A2}", "DHCID X"), DONE, "below."),
    # All together.
    Row(80, "all", (f"A {A1}",), ncr.ADD, "X", A1, (f"A {A1}", "DHCID X")),
    Row(81, "all", (f"AAAA {Q1}", "DHCID V"), ncr.ADD, "X", A1,
        (f"A {A1}", f"AAAA {Q1}", "DHCID X", "DHCID V")),
    Row(82, "all", (f"A {A1}", f"AAAA {Q1}", "DHCID R"), ncr.REMOVE, "R", A1, (f"AAAA {Q1}", "DHCID R")),
    Row(84, "all", (f"A {A1}", "DHCID Y"), ncr.REMOVE, "X", A1, (f"A {A1}", "DHCID Y")),
    Row(83, "all", (f"A {A1}", f"AAAA {Q1}", "DHCID X", "DHCID V"), ncr.REMOVE, "X", A1,
        (f"AAAA {Q1}", "DHCID V")),
)
