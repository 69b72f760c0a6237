"""Leases, records and configurations for the tests of reconcile, written by hand."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import dns.query
import dns.rcode
import dns.update

from pyd2.dns.dhcid import make_dhcid
from pyd2.dns.names import lower, parse_name
from pyd2.tools.endpoint import Endpoint
from pyd2.tools.reconcile.d2_config import Server, Zone
from pyd2.tools.reconcile.lease import Lease, pack_address
from pyd2.tools.requests import Identifier

if TYPE_CHECKING:
    from pathlib import Path

HEADER4 = ("address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,"
           "user_context,pool_id")
HEADER6 = ("address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,fqdn_fwd,"
           "fqdn_rev,hostname,hwaddr,state,user_context,hwtype,hwaddr_source,pool_id")
LIFETIME = 4000
TTL = 1333
"""What Kea makes of LIFETIME."""
OLD = 1000
"""Seconds since a lease began that is not young."""
DHCP4: dict[str, Any] = {"Dhcp4": {"subnet4": [{"id": 1, "subnet": "192.0.2.0/25", "pools": []}]}}
DHCP6: dict[str, Any] = {"Dhcp6": {"subnet6": [{"id": 1, "subnet": "2001:db8::/64", "pools": []}]}}
FORWARD, REVERSE = "example.com.", "2.0.192.in-addr.arpa."


def wire(text: str) -> bytes:
    return lower(parse_name(text))


def address(text: str) -> bytes:
    return pack_address(6 if ":" in text else 4, text)


def mac(number: int) -> str:
    return f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"


def client_dhcid(number: int, name: str) -> bytes:
    """Return the DHCID of the client whose hardware address has this number."""
    hardware = bytes.fromhex(mac(number).replace(":", ""))
    return make_dhcid(Identifier.HARDWARE_ADDRESS, b"\x01" + hardware, wire(name))


def row4(host: str, number: int, name: str, *, age: int = OLD, lifetime: int = LIFETIME, flags: str = "1,1",
         state: int = 0) -> str:
    """Return a row of a lease file; ``age`` is how many seconds ago the lease began."""
    expire = int(time.time()) - age + lifetime
    return f"{host},{mac(number)},,{lifetime},{expire},1,{flags},{name},{state},,0"


def row6(host: str, number: int, name: str, *, age: int = OLD, lifetime: int = LIFETIME,
         kind: int = 0) -> str:
    expire = int(time.time()) - age + lifetime
    duid = f"00:03:00:01:{mac(number)}"
    return (f"{host},{duid},{lifetime},{expire},1,{lifetime},{kind},7,128,1,1,{name},"
            f"{mac(number)},0,,1,0,0")


def lease(host: str, number: int, name: str, *, since: int = 0, forward: bool = True,
          reverse: bool = True) -> Lease:
    return Lease(address(host), wire(name), client_dhcid(number, name), forward, reverse, since, LIFETIME, 1)


def zone(text: str) -> Zone:
    return Zone(wire(text), text, text.endswith(".arpa."), (Server(Endpoint("127.0.0.1", 53), None),))


def write_files(directory: Path, rows: list[str], dhcp: dict[str, Any] | None = None) -> None:
    """Write ``leases.csv``, and ``dhcp4.conf`` which names it."""
    (directory / "leases.csv").write_text("\n".join([HEADER4, *rows, ""]))
    text = json.loads(json.dumps(dhcp or DHCP4))
    text["Dhcp4"]["lease-database"] = {"type": "memfile", "name": str(directory / "leases.csv")}
    (directory / "dhcp4.conf").write_text(json.dumps(text))


def put(port: int, zone_name: str, *records: str) -> None:
    """Add records, each ``OWNER TTL TYPE DATA``, to a zone of a DNS server that takes unsigned updates."""
    update = dns.update.UpdateMessage(zone_name)
    for record in records:
        owner, ttl, kind, data = record.split(" ", 3)
        update.add(owner, int(ttl), kind, data)
    send_update(update, port)


def send_update(update: dns.update.UpdateMessage, port: int) -> None:
    response = dns.query.tcp(update, "127.0.0.1", timeout=20, port=port)
    assert response.rcode() == dns.rcode.NOERROR, response
