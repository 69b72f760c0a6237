"""Batches before real DNS servers that have things in the way: each request ends as it does alone."""

from __future__ import annotations

import base64
import random
import re
from typing import TYPE_CHECKING, Any, Final

import dns.message
import dns.query
import dns.rcode
import dns.tsigkeyring
import dns.update
import pytest

from tests.interop import stream
from tests.interop.batches import batches_of, running, send_in_turn, zones
from tests.kit import dns_servers, ncr
from tests.kit.tsigkeys import TsigKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from tests.interop.batches import Serve
    from tests.interop.stream import Request

pytestmark = pytest.mark.peers

ENDED: Final = re.compile(r"DHCP_DDNS_(\w+_(?:SUCCEEDED|FAILED)) .*Request ID ([0-9A-F]+)")
KEY: Final = TsigKey.of("HMAC-SHA256")
FORBIDDEN: Final = ("h3", "h17", "h18", "h59")
"""Names that policies of servers forbid."""
LONGEST: Final = ".".join(["x" * 63] * 3 + ["y" * 46])
"""With a label of two characters before it and the zone behind it, a name has 255 octets."""

BIND_POLICY: Final = " ".join(
    f"deny {KEY.name} name {name}.{stream.FORWARD} ANY;" for name in FORBIDDEN
) + f" grant {KEY.name} zonesub ANY;"
KNOT_POLICY: Final = "update-type: [A, DHCID, PTR, CNAME, NS, TXT]"
"""No addresses of the other family."""
POWERDNS_POLICY: Final = """
forbidden = { NAMES }
function updatepolicy(input)
  return not forbidden[input:getQName():toString():lower()]
end
""".replace("NAMES", ", ".join(f'["{name}.{stream.FORWARD}"]=true' for name in FORBIDDEN))


def client(name: str) -> str:
    """Return the DHCID of the client that wants a name."""
    return ncr.dhcid(name.encode(), stream.FORWARD)


def in_the_way() -> Iterator[dns.update.Update]:
    """Return the changes that give the zones what is in the way."""
    stranger = ncr.dhcid(b"stranger", stream.FORWARD)

    def dhcid_rdata(digest: str) -> str:
        return base64.b64encode(bytes.fromhex(digest)).decode()

    forward = dns.update.Update(stream.FORWARD)
    for number in range(3):
        forward.add(f"alias{number}", 3600, "CNAME", "elsewhere.example.com.")
        forward.add(f"bare{number}", 3600, "A", "198.51.100.1")
        forward.add(f"text{number}", 3600, "TXT", "here before")
        for name, digest in (("foreign", stranger), ("ours", client(f"ours{number}"))):
            forward.add(f"{name}{number}", 3600, "A", "198.51.100.2")
            forward.add(f"{name}{number}", 3600, "DHCID", dhcid_rdata(digest))
        forward.add(f"two{number}", 3600, "DHCID", dhcid_rdata(stranger))
        forward.add(f"two{number}", 3600, "DHCID", dhcid_rdata(client(f"two{number}")))
    forward.add("below", 3600, "NS", "ns.below.example.com.")
    forward.add("*.wild", 3600, "A", "198.51.100.3")
    yield forward
    reverse = dns.update.Update(stream.REVERSE4)
    for number in range(3):
        reverse.add(f"{200 + number}", 3600, "CNAME", f"{200 + number}.classless.{stream.REVERSE4}")
        reverse.add(f"{210 + number}", 3600, "PTR", "before.example.com.")
    yield reverse


def requests(seed: int, clients: Sequence[str]) -> list[Request]:
    """Return the requests of clients that come, return, move and leave; each has a name of its own."""
    chance = random.Random(seed)
    found = []
    for turn in range(3):
        for place, name in enumerate(clients):
            fqdn = f"{name}.{stream.FORWARD}" if name else stream.FORWARD
            if chance.random() < 0.3:
                fqdn = fqdn.upper()
            number = place + 1 if place < 120 else 80 + place
            v6 = chance.random() < 0.4
            forward, reverse = chance.choice([(True, True), (True, True), (True, False), (False, True)])
            each = ncr.request(
                fqdn, f"2001:db8:ffff:ffff:ffff::{number:x}" if v6 else f"192.0.2.{number}", client(name),
                change=ncr.REMOVE if turn and chance.random() < 0.4 else ncr.ADD,
                forward=forward, reverse=reverse, mode=chance.choice([*ncr.MODES, *[ncr.MODES[0]] * 4]),
            )
            found += [each] * chance.choice([1, 1, 1, 2])
    return found


def names() -> list[str]:
    """Return the names of all clients, new ones and those with something in the way, well mixed."""
    special = [
        f"{what}{number}{behind}" for number in range(3) for what, behind in (
            ("alias", ""), ("bare", ""), ("text", ""), ("foreign", ""), ("ours", ""), ("two", ""),
            ("d", ".below"), ("w", ".wild"), ("l", f".{LONGEST}"),
        )
    ]
    found = [f"h{number}" for number in range(93)]
    for place, name in enumerate([*special, "", "below", "*.wild"]):
        found.insert(4 * place, name)
    return found + [f"end{number}" for number in range(20)]


def outcome(
    binary: str, serve: Serve, key: TsigKey | None, batch: int, found: Sequence[Request]
) -> tuple[Any, dict[str, list[str]], int]:
    """Return the zones after requests, the ends of each client's requests in order, and the batches."""
    with running(binary, serve, key, batch) as (d2, server, port):
        for update in in_the_way():
            if key is not None:
                update.use_tsig(dns.tsigkeyring.from_text({key.name: (key.lower_algorithm, key.secret)}))
            reply = dns.query.tcp(update, "127.0.0.1", port=server.port, timeout=20)
            assert reply.rcode() == dns.rcode.NOERROR, reply
        send_in_turn(d2, port, found)
        ends: dict[str, list[str]] = {}
        for end, request_id in ENDED.findall(d2.stdout()):
            ends.setdefault(request_id, []).append(end)
        return zones(server), ends, batches_of(d2) if batch > 1 else 0


def bind_with_policy(found: Sequence[str], key: TsigKey | None) -> AbstractContextManager[Any]:
    return dns_servers.bind(found, key, policy=BIND_POLICY)


def knot_with_policy(found: Sequence[str], key: TsigKey | None) -> AbstractContextManager[Any]:
    return dns_servers.knot(found, key, policy=KNOT_POLICY)


def powerdns_with_policy(found: Sequence[str], key: TsigKey | None) -> AbstractContextManager[Any]:
    return dns_servers.powerdns(found, key, policy=POWERDNS_POLICY)


@pytest.mark.parametrize(("serve", "key", "batch", "seed"), [
    (dns_servers.bind, None, 50, 1), (bind_with_policy, KEY, 12, 2),
    (dns_servers.knot, KEY, 200, 3), (knot_with_policy, None, 12, 4),
    (dns_servers.powerdns, None, 50, 5), (powerdns_with_policy, KEY, 12, 6),
], ids=["bind", "bind-policy", "knot", "knot-policy", "powerdns", "powerdns-policy"])
def test_each_request_ends_as_it_does_alone(
    d2_binary: str, serve: Serve, key: TsigKey | None, batch: int, seed: int
) -> None:
    """Aliases, names without a DHCID or with two, delegations, wildcards, the apex, names of 255 octets."""
    found = requests(seed, names())
    wanted_zones, wanted, _ = outcome(d2_binary, serve, key, 1, found)
    got_zones, got, batches = outcome(d2_binary, serve, key, batch, found)
    differ = {
        name: (wanted.get(client(name)), got.get(client(name)))
        for name in names() if wanted.get(client(name)) != got.get(client(name))
    }
    assert not differ
    assert got_zones == wanted_zones
    assert batches > 3
    assert len(found) == sum(map(len, got.values()))
    assert any("FAILED" in end for ends in got.values() for end in ends)
