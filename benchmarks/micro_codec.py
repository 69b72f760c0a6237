"""Time the plain Python codec, operation by operation.

usage: python benchmarks/micro_codec.py [SECONDS PER OPERATION]

Prints the best of five runs in microseconds of CPU time: the machine's other work only ever adds.
"""

from __future__ import annotations

import hmac
import json
import sys
import time
import timeit
from typing import TYPE_CHECKING

from pyd2.dns.constants import RRClass, RRType
from pyd2.dns.names import name_text, parse_name, reverse_name, reverse_name_wire
from pyd2.dns.reply import parse_reply, read_reply
from pyd2.dns.tsig import HmacKey
from pyd2.dns.update import A_OR_AAAA, Data, RecordTemplate, UpdateTemplate, Zone, encode_update
from pyd2.ncr import decode

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1_800_000_000
V4 = bytes((192, 0, 2, 10))
V6 = bytes.fromhex("20010db8000000000000000000000010")
DHCID = bytes.fromhex("000101c4dab1d7e0c2bb6c9e4a4e4b8d4b34f2ab9fee2d0c0cd2a1a8f1bb0cd1f4b5a0")

_DHCID = RecordTemplate(RRType.DHCID, RRClass.IN, Data.DHCID, with_ttl=True)
ADD = UpdateTemplate(
    (RecordTemplate(RRType.ANY, RRClass.NONE),),
    (RecordTemplate(A_OR_AAAA, RRClass.IN, Data.ADDRESS, with_ttl=True), _DHCID),
)
REVERSE = UpdateTemplate((), (
    RecordTemplate(RRType.PTR, RRClass.ANY), RecordTemplate(RRType.DHCID, RRClass.ANY),
    RecordTemplate(RRType.PTR, RRClass.IN, Data.TARGET, with_ttl=True), _DHCID,
))


def request(**changes: object) -> bytes:
    """Return a request as a DHCP server sends it."""
    fields: dict[str, object] = {
        "change-type": 0, "forward-change": True, "reverse-change": True, "fqdn": "host.example.com.",
        "ip-address": "192.0.2.10", "dhcid": DHCID.hex().upper(), "lease-expires-on": "20300102030405",
        "lease-length": 3600, "conflict-resolution-mode": "check-with-dhcid",
    }
    text = json.dumps(fields | changes, separators=(",", ":")).encode()
    return len(text).to_bytes(2, "big") + text


def signed_reply(key: HmacKey, request_mac: bytes, body: bytes) -> bytes:
    """Return the reply that a server with this key gives."""
    record = key.create_context().sign(body, 0, NOW)[len(body):]
    end = len(record) - 6
    signed = len(request_mac).to_bytes(2, "big") + request_mac + body + key.at(NOW)[0]
    mac = hmac.digest(b"secret", signed, "sha256")
    return body[:11] + b"\1" + body[12:] + record[: end - len(mac)] + mac + record[end:]


def operations() -> list[tuple[str, Callable[[], object]]]:
    """Return what to time."""
    forward, reverse4 = Zone("example.com."), Zone("2.0.192.in-addr.arpa.")
    reverse6 = Zone("8.b.d.0.1.0.0.2.ip6.arpa.")
    host = parse_name("host.example.com.")
    owner4, owner6 = reverse_name_wire(V4), reverse_name_wire(V6)
    message = encode_update(ADD, forward, host, host, V4, DHCID, 3600)
    key = HmacKey("k.example", "HMAC-SHA256", b"secret")
    context = key.create_context()
    tsig = parse_reply(context.sign(message, 0, NOW)).tsig
    assert tsig is not None
    plain = b"\0\0\xa8\0\0\1" + bytes(6) + forward.section
    signed = signed_reply(key, tsig.mac, plain)
    usual4, usual6, odd = request(), request(**{"ip-address": "2001:db8::10"}), request(extra=1)
    decoded = decode(usual4)
    return [
        ("decode a request, IPv4", lambda: decode(usual4)),
        ("decode a request, IPv6", lambda: decode(usual6)),
        ("decode a request, exact way", lambda: decode(odd)),
        ("text of a request", decoded.text),
        ("parse a name", lambda: parse_name("host.example.com.")),
        ("text of a name", lambda: name_text(host)),
        ("reverse name, IPv4", lambda: reverse_name(V4)),
        ("reverse name, IPv6", lambda: reverse_name(V6)),
        ("reverse name on the wire, IPv4", lambda: reverse_name_wire(V4)),
        ("reverse name on the wire, IPv6", lambda: reverse_name_wire(V6)),
        ("encode an addition", lambda: encode_update(ADD, forward, host, host, V4, DHCID, 3600)),
        ("encode a reverse, IPv4", lambda: encode_update(REVERSE, reverse4, owner4, host, V4, DHCID, 3600)),
        ("encode a reverse, IPv6", lambda: encode_update(REVERSE, reverse6, owner6, host, V6, DHCID, 3600)),
        ("sign, HMAC-SHA256", lambda: key.create_context().sign(message, 4711, NOW)),
        ("HMAC-SHA256 alone", lambda: key.digest(message)),
        ("read a reply", lambda: read_reply(plain, None, NOW)),
        ("read and verify a reply", lambda: read_reply(signed, context, NOW)),
        ("read a signed reply, unverified", lambda: parse_reply(signed)),
    ]


def main() -> None:
    """Print a table."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 0.05
    for name, operation in operations():
        timer = timeit.Timer(operation, timer=time.process_time)
        number = max(1, int(seconds / 5 / min(timer.repeat(3, 20)) * 20))
        print(f"{min(timer.repeat(5, number)) / number * 1e6:8.2f} us  {name}")


if __name__ == "__main__":
    main()
