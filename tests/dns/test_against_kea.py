"""The codec beside the real kea-dhcp-ddns: the same datagrams in, the same verdicts and UPDATEs out."""

from __future__ import annotations

import json
import random
import re
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.dns.constants import rcode_text
from pyd2.dns.names import reverse_name, reverse_name_wire
from pyd2.dns.reply import read_reply
from pyd2.dns.update import Zone, encode_update
from pyd2.errors import NcrError, ReplyError
from pyd2.ncr import NameChangeRequest, decode
from tests.dns.awkward import ACCEPTED, MALFORMED, mutated
from tests.dns.kinds import FORWARD, REVERSE
from tests.kit import ncr
from tests.kit.d2 import D2, config, private_directory
from tests.kit.kea import chosen
from tests.kit.ports import PortLease
from tests.kit.scripted_dns import ScriptedDns

pytestmark = pytest.mark.peers

if TYPE_CHECKING:
    from collections.abc import Iterator

SENTINEL = 1_000_017
# Numbers such as 1-2 and huge ones in octal end the real server: nothing catches what its big integers throw.
FATAL_TO_KEA = "Unexpected content found while parsing character string."
_HEAD = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} +\w+ +\[[^]]*\] (\w+) ", re.MULTILINE)
USUAL = ncr.request("host.example.com.", "192.0.2.10", "000101C4DAB1D7E0C2BB6C9E4A4E4B8D4B34F2AB9F")


def entries(log: str) -> list[tuple[str, str]]:
    """Split a log into (message ID, text)."""
    parts = _HEAD.split(log)[1:]
    return [(name, text.removesuffix("\n")) for name, text in zip(parts[::2], parts[1::2], strict=True)]


# Debian's Kea 3.0 names a file of its source with the folder where it was built.
BUILD_FOLDER = "../src/lib/dns/"


class Kea:
    """A running kea-dhcp-ddns that is sent requests one after another."""

    def __init__(
        self, stack: ExitStack, body: dict[str, Any], port: int, severity: str, debuglevel: int = 0
    ) -> None:
        self.port = port
        directory = stack.enter_context(private_directory())
        binary = chosen().program("kea-dhcp-ddns")
        # No reply comes too late: even if the machine pauses, nothing is sent again.
        body = {"dns-server-timeout": 20000, **body}
        settings = config(port, body, severity=severity, debuglevel=debuglevel)
        self.d2 = stack.enter_context(D2.start(binary, directory, settings))
        self.d2.wait_for_listener(port)

    def verdicts(self, datagrams: list[bytes]) -> list[str | None]:
        """Return the text of DHCP_DDNS_INVALID_NCR for each datagram, None where it was accepted."""
        found: list[str | None] = []
        mark = ncr.datagram({**USUAL, "change-type": SENTINEL})
        for begin in range(0, len(datagrams), 40):
            batch = datagrams[begin : begin + 40]
            start = len(self.d2.stdout())
            for datagram in batch:
                ncr.send(datagram, self.port)
                ncr.send(mark, self.port)
            self.d2.wait_for_log(f"change_type: {SENTINEL}", len(batch), start)
            assert self.d2.alive
            verdict = None
            for name, line in entries(self.d2.stdout()[start:]):
                assert name == "DHCP_DDNS_INVALID_NCR"
                text = line.removeprefix("application received an invalid DNS update request: ")
                text = text.replace(BUILD_FOLDER, "")
                if text.endswith(f"change_type: {SENTINEL}"):
                    found.append(verdict)
                    verdict = None
                else:
                    assert verdict is None
                    verdict = text
        return found


def shown(text: str) -> str:
    """Return a text as the rig shows what a log file holds."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def our_verdict(datagram: bytes) -> str | None:
    try:
        decode(datagram)
    except NcrError as error:
        return shown(str(error))
    return None


_X63 = ["x" * 63] * 3

INTERESTING: dict[str, list[Any]] = {
    "change-type": [0, 1, 2, -1, 1.0, True, None, "0", 2**31, 2**63 - 1, 2**63, -(2**63), 10**30, [], {}],
    "forward-change": [True, False, 0, 1, "true", None, [True]],
    "reverse-change": [True, False, 0, 1, "true", None, {}],
    "fqdn": [
        "a", ".", "@", "..", ".a", "a..b", "a.b", "*.a.", "a@b.", "a.b..", "@.", "@a", "host.example.com",
        # Lengths: 63 in a label, 255 in all, where a label begins and where an escape ends.
        "x" * 63, "x" * 64, "x" * 64 + ".y", ".".join(["x" * 63] * 4), ".".join([*_X63, "y" * 61]),
        ".".join([*_X63, "y" * 61, ""]), ".".join([*_X63, "y" * 62]), ".".join([*_X63, "y" * 61, "z"]),
        ".".join(["x" * 50] * 5), "x." * 126, "x." * 127, "x." * 128, "x." * 127 + "\\120",
        "x." * 127 + "\\[", "x." * 126 + "ab", "x." * 126 + "a\\120", "x." * 126 + "a\\12",
        "x." * 126 + "a\\999",
        # Escapes.
        "\\", "a\\", "\\065", "a\\06", "a\\2", "a\\256.b", "a\\25x", "\\[x", "a\\[b", "\\.", "a\\.b.c",
        "a\\032b",
        "\\@", "a.\\000.b",
        # Octets that need them in the text.
        "a b", "tab\there", 'quote"s', "semi;colon", "dol$ar", "par(en)s", "ü.example", "\x7f", "\x01\x1f",
        "aÿb",
        "nul\x00nul", "", " ",
        5, None, [], True,
    ],
    "ip-address": [
        "192.0.2.1", "192.0.2.01", "192.0.2", "192.0.2.256", "1.2.3.4.5", "0.0.0.0", "255.255.255.255",
        " 1.2.3.4", "1.2.3.4 ", "0x1.2.3.4", "1.2.3.4\x00", "1.2.3.4%lo", "", "host", 4, None,
        "::", "::1", "2001:DB8::A", "2001:db8:0:0:0:0:0:1", "::ffff:1.2.3.4", "::1.2.3.4", ":::", "1::2::3",
        "12345::", "::1\x00junk", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9", "::g", "64:ff9b::192.0.2.33",
        "fe80::1%lo", "fe80::1%", "fe80::1%7", "fe80::1%nonesuch", "2001:db8::1%lo", "2001:db8::1%5",
        "ff02::1%lo", "fe80::1%-1", "2001:db8::%0", "fe80::1%%lo",
    ],
    "dhcid": [
        "00", "0", "1", "f", "F0", "0g", "0x00", "00:01", "0 0", " 00 ", "0\t0\n", "\x0b00\x0c", "", " ", "=",
        "00=", "00==", "0=0", "0=", "1=", "=g", "ü", "000", "001", "ab" * 300, "AbCd", "00\x00", 3, None,
        "10g",
        "1 ",
    ],
    "lease-expires-on": [
        "20300102030405", "19691231235959", "19700101000000", "99991231235959", "20300229000000",
        "20320229000000", "21000229000000", "20000229000000", "20300431000000", "20300430000000",
        "20301301000000", "20300001000000", "20300100000000", "20300132000000", "20300101240000",
        "20300101236000", "20300101235960", "20300101235961", "20301231235960", "2030010203040",
        "203001020304055", "2030010203040a", " 2030010203040", "+2030102030405", "",
        "\u0662\u0660300102030405",
        20300102030405, None, "20300131000000", "20300129000000", "20300230000000", "20300102030460",
        "20300102030499", "99991231235960",
    ],
    "lease-length": [
        0, 1, 3600, 999_999_999, 1_000_000_000, 2**31, 2**32 - 1, 2**32, -1, -0.0, 1.5, 1e3, "1", None, True,
        2**63 - 1, 2**63, -(2**63), 2**64, 2**70, [1],
    ],
    "conflict-resolution-mode": [
        *ncr.MODES, "check-with-DHCID", "", "bogus", " check-with-dhcid", "check-with-dhcid\x00", 1, None, [],
    ],
    "use-conflict-resolution": [True, False, 1, "true", None],
    "extra": [1, "x", None, 1.5e300, [], {}, [1, [2]], {"a": {"b": 1}}, True],
}
SNIPPETS = [
    b"{", b"}", b"[", b"]", b'"', b"\\", b",", b":", b"\\u0041", b"\\u00e9", b"\\u0100", b"\\n", b"\\/",
    b"\\x",
    b'\\"', b"#", b"//", b"/* */", b"\0", b"\n", b"\t", b"\r", b"\x0b", b"\x0c", b"\x08", b"\xff",
    b"\xc3\xbc",
    b"\xef\xbb\xbf", b"null", b"true", b"True", b"-", b"+", b"e5", b".5", b"5.", b"00", b"1e999", b"NaN",
    b" ",
    b"  ", b"0", b"9" * 30,
]


def encoded(fields: dict[str, Any], separators: tuple[str, str] = (",", ":")) -> bytes:
    return json.dumps(fields, separators=separators, ensure_ascii=False).encode("utf-8", "surrogateescape")


def mutations(chance: random.Random, number: int) -> list[bytes]:
    """Return datagrams that are valid requests but for a few changes; none that Kea does not survive."""
    made = []
    for _ in range(number):
        fields: dict[str, Any] = dict(USUAL)
        if chance.random() < 0.1:
            fields["use-conflict-resolution"] = True
        for _ in range(chance.choice((0, 0, 1, 1, 1, 2))):
            name = chance.choice(list(INTERESTING))
            if chance.random() < 0.1:
                fields.pop(name, None)
            else:
                fields[name] = chance.choice(INTERESTING[name])
        items = list(fields.items())
        if chance.random() < 0.1:
            chance.shuffle(items)
        spaces = chance.choice(((",", ":"), (", ", ": "), (",", ": ")))
        text = encoded(dict(items), spaces)
        text = re.sub(rb"\\u00([0-9a-f]{2})", lambda found: found[0] if chance.random() < 0.5
                      else bytes.fromhex(found[1].decode()), text)
        changes = chance.choice((0, 0, 0, 0, 1, 1, 2, 3)) if chance.random() < 0.7 else 0
        for _ in range(changes):
            at = chance.randrange(len(text) + 1)
            kind = chance.randrange(5)
            if kind == 0:
                text = text[:at] + chance.choice(SNIPPETS) + text[at:]
            elif kind == 1:
                text = text[:at] + text[at + chance.randrange(1, 4) :]
            elif kind == 2:
                text = text[:at] + bytes((chance.randrange(256),)) + text[at + 1 :]
            elif kind == 3:
                other = chance.randrange(len(text) + 1)
                text = text[: min(at, other)] + text[max(at, other) :]
            else:
                text = text[:at] + text[max(at - 20, 0) : at] + text[at:]
        length = len(text)
        if chance.random() < 0.05:
            length = chance.choice((0, 1, length - 1, length + 1, 4094, 4095, 65535)) & 0xFFFF
        tail = b"tail" if chance.random() < 0.05 else b""
        made.append(length.to_bytes(2, "big") + text + tail)
    return [datagram for datagram in made if not (our_verdict(datagram) or "").endswith(FATAL_TO_KEA)]


@pytest.fixture(scope="module")
def stack() -> Iterator[ExitStack]:
    with ExitStack() as cleanup:
        yield cleanup


@pytest.fixture(scope="module")
def kea(stack: ExitStack) -> Kea:
    """A server without domains: it judges requests and has nothing else to do."""
    return Kea(stack, {}, stack.enter_context(PortLease()).take(), "ERROR")


def test_mutated_requests_get_keas_verdict(kea: Kea) -> None:
    datagrams = mutations(random.Random(4703), 600)
    for datagram, expected in zip(datagrams, kea.verdicts(datagrams), strict=True):
        assert our_verdict(datagram) == expected, datagram


def test_each_interesting_value_gets_keas_verdict(kea: Kea) -> None:
    datagrams = [
        ncr.datagram(encoded({**USUAL, name: value}))
        for name, values in INTERESTING.items()
        for value in values
    ]
    for datagram, expected in zip(datagrams, kea.verdicts(datagrams), strict=True):
        assert our_verdict(datagram) == expected, datagram


ZONES = {
    "forward": ["example.com.", "Sub.Example.Com.", "arpa.", "*"],
    "reverse": ["2.0.192.in-addr.arpa.", "8.B.d.0.1.0.0.2.iP6.arpa.", "10.2.0.192.in-addr.arpa.", "*"],
}
OWNERS = [
    "host.example.com.", "HOST.EXAMPLE.COM.", "a.b.sub.example.com.", "Example.Com.", "x",
    "host.elsewhere.org.",
    "x.arpa.", "10.2.0.192.in-addr.arpa.", "h.11.2.0.192.IN-ADDR.ARPA.", "IP6.arpa.", "2.0.192.in-addr.arpa.",
    "a.example.com.example.com.", "\\003com.", "a\\.example.com.", "sp ace.example.com.",
    "\\255.example.com.",
    ".".join([*_X63, "example.com."]), "1.0.0.0.ip6.arpa.", "h.x", "com.",
]
ADDRESSES = ["192.0.2.10", "192.0.2.11", "10.0.0.255", "2001:db8::10", "2001:db8:ffff::abcd", "fd00::1"]


def longest_match(name: str, zones: list[str]) -> Zone:
    """Return the zone that the name belongs to (contract, section 4)."""
    fitting = [zone for zone in zones if f".{name}".lower().endswith(f".{zone}".lower())]
    return Zone(max(fitting, key=len, default="*"))


def expected_updates(request: NameChangeRequest) -> list[bytes]:
    """Return what is sent for a request when each UPDATE succeeds at once."""
    kind = (request.conflict_resolution_mode.value, int(request.change_type))
    common = (request.fqdn_wire, request.address, request.dhcid, request.lease_length)
    forward = longest_match(request.fqdn, ZONES["forward"])
    reverse = longest_match(reverse_name(request.address), ZONES["reverse"])
    # What an addition replaces is only sent when the name exists.
    steps = FORWARD[kind] if request.change_type else FORWARD[kind][:1]
    return [
        *(encode_update(step, forward, request.fqdn_wire, *common) for step in steps),
        encode_update(REVERSE[kind], reverse, reverse_name_wire(request.address), *common),
    ]


@pytest.fixture(scope="module")
def updating(stack: ExitStack) -> tuple[Kea, ScriptedDns]:
    """A server with domains, and the DNS server that it updates, to which all is welcome."""
    lease = stack.enter_context(PortLease())
    port, dns_port = lease.take(), lease.take()
    servers = [{"ip-address": "127.0.0.1", "port": dns_port}]
    domains = {
        f"{direction}-ddns": {"ddns-domains": [{"name": zone, "dns-servers": servers} for zone in zones]}
        for direction, zones in ZONES.items()
    }
    dns = stack.enter_context(ScriptedDns({"A": dns_port}))
    return Kea(stack, domains, port, "INFO"), dns


@pytest.mark.parametrize("owner", OWNERS)
def test_updates_and_the_texts_of_requests_are_keas(updating: tuple[Kea, ScriptedDns], owner: str) -> None:
    kea, dns = updating
    chance = random.Random(owner)
    for mode, change_type in FORWARD:
        datagram = ncr.datagram(encoded({
            **USUAL,
            "fqdn": owner,
            "ip-address": chance.choice(ADDRESSES),
            "change-type": change_type,
            "conflict-resolution-mode": mode,
            "lease-length": chance.choice((0, 1, 3600, 2**32 - 1)),
            "lease-expires-on": chance.choice(("20300102030405", "20301231235960")),
        }))
        request = decode(datagram)
        dns.set_script([], {})
        start = len(kea.d2.stdout())
        ncr.send(datagram, kea.port)
        kea.d2.wait_for_log(r"SUCCEEDED[^\0]*Conflict Resolution Mode: [a-z-]+\n", 1, start)
        assert shown(request.text()) in kea.d2.stdout()[start:]
        sent = [b"\0\0" + arrival.wire[2:] for arrival in dns.arrivals()]
        assert sent == expected_updates(request)


def kea_on_replies(kea: Kea, dns: ScriptedDns, replies: list[bytes]) -> list[tuple[bytes, str]]:
    """Return each reply as it was sent and what the server made of it: a reason or a response code."""
    found: list[tuple[bytes, str]] = []
    request = ncr.datagram(encoded({
        **USUAL, "reverse-change": False, "change-type": 1,
        "conflict-resolution-mode": "no-check-without-dhcid",
    }))
    for reply in replies:
        dns.set_script([{"raw": reply.hex()}], {})
        start = len(kea.d2.stdout())
        ncr.send(request, kea.port)
        kea.d2.wait_for_log(r"DHCP_DDNS_REMOVE_(?:SUCCEEDED|FAILED)[^\0]*Mode: [a-z-]+\n", 1, start)
        name, text = next(
            (name, text) for name, text in entries(kea.d2.stdout()[start:])
            if name in {"DHCP_DDNS_INVALID_RESPONSE", "DHCP_DDNS_UPDATE_RESPONSE_RECEIVED"}
        )
        sent = dns.arrivals()[0].wire[:2] + reply[2:]
        if name == "DHCP_DDNS_INVALID_RESPONSE":
            found.append((sent, text.removeprefix("received response to DNS Update message is malformed: ")))
        else:
            found.append((sent, text.rpartition(" ")[2]))
    return found


def our_view(reply: bytes) -> str:
    try:
        return rcode_text(read_reply(reply, None, 0))
    except ReplyError as error:
        return str(error)


@pytest.fixture(scope="module")
def judging(stack: ExitStack) -> tuple[Kea, ScriptedDns]:
    """A server that logs why it refuses a reply."""
    lease = stack.enter_context(PortLease())
    port, dns_port = lease.take(), lease.take()
    servers = [{"ip-address": "127.0.0.1", "port": dns_port}]
    dns = stack.enter_context(ScriptedDns({"A": dns_port}))
    domains = {"forward-ddns": {"ddns-domains": [{"name": "example.com.", "dns-servers": servers}]}}
    return Kea(stack, domains, port, "DEBUG", 50), dns


def test_replies_are_judged_as_kea_does(judging: tuple[Kea, ScriptedDns]) -> None:
    replies = [wire for _, wire in MALFORMED] + [wire for _, wire in ACCEPTED]
    replies += mutated(random.Random(8945), 200)
    for reply, expected in kea_on_replies(*judging, replies):
        assert our_view(reply) == expected, reply
