"""Generated transaction cases, in the form of the recorded ones; side_by_side.py tries them.

The recorded cases are points in a space: the request, the servers' answers and signatures, names and domains.
This module covers that space: some 120,000 cases. Random ones (several requests, odd mixtures) depend on the
seed.
"""

import random
import re
from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

from tests.kit import ncr, odd_signatures
from tests.kit.d2 import CONTROL_SOCKET
from tests.kit.replies import Action

SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
A, B, C, CLOSED = 53981, 53982, 53983, 53989
FORWARD, REVERSE4, REVERSE6 = "example.com.", "2.0.192.in-addr.arpa.", "8.b.d.0.1.0.0.2.ip6.arpa."
CLIENT = "000101C4DAB1D7E0C2BB6C9E4A4E4B8D4B34F2AB9FEE2D0C0CD2A1A8F1BB0CD1F4B5A0"

Request = dict[str, Any]


class Case(NamedTuple):
    """What is asked and answered, under which of the configurations."""

    name: str
    config: str
    requests: list[Request]
    replies: list[Action]

    def recorded(self) -> dict[str, Any]:
        """Return the case in the form of the recorded ones."""
        return {"name": self.name, "config": CONFIGS[self.config], "ncr": self.requests,
                "replies": self.replies}


# -------------------------------------------------------------------------------- configurations

def _server(port: int, key: str = "") -> dict[str, Any]:
    return {"ip-address": "127.0.0.1", "port": port, "key-name": key}


def _domain(name: str, *ports: int, key: str = "") -> dict[str, Any]:
    return {"name": name, "key-name": key, "dns-servers": [_server(port) for port in ports]}


def _key(name: str, algorithm: str, bits: int = 0) -> dict[str, Any]:
    return {"name": name, "algorithm": algorithm, "digest-bits": bits, "secret": SECRET}


def _config(forward: list[dict[str, Any]], reverse: list[dict[str, Any]],
            keys: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    logger = {"name": "kea-dhcp-ddns", "severity": "DEBUG", "debuglevel": 99,
              "output-options": [{"output": "stdout"}]}
    return {"DhcpDdns": {
        "ip-address": "127.0.0.1", "port": 53980, "control-socket": CONTROL_SOCKET, "loggers": [logger],
        "dns-server-timeout": 150, "forward-ddns": {"ddns-domains": forward},
        "reverse-ddns": {"ddns-domains": reverse}, "tsig-keys": keys or []}}


ALGORITHMS = {"HMAC-MD5": (80, 128), "HMAC-SHA1": (80, 160), "HMAC-SHA224": (112, 224),
              "HMAC-SHA256": (128, 256), "HMAC-SHA384": (192, 384), "HMAC-SHA512": (256, 512)}
"""The fewest digest-bits that a configuration may ask for, and the bits of the whole digest."""

_BOTH_SIGNED = ([_domain(FORWARD, A, key="k.example")], [_domain(REVERSE4, A, key="k.example")])
_SIGNED = {
    f"{algorithm[5:].lower()}-{bits}": _config(*_BOTH_SIGNED, [_key("k.example", algorithm, bits)])
    for algorithm, (least, whole) in ALGORITHMS.items()
    for bits in (0, least, least + 8, whole - 8, whole, whole + 8)}

_LONG = f"{'l' * 63}.{'m' * 63}.{FORWARD}"
_MATCHING = {
    "match": _config(
        [_domain(FORWARD, A), _domain(f"sub.{FORWARD}", B), _domain("*", C), _domain("Mixed.Example.NET.", A),
         _domain("com.", B), _domain("COM.", A), _domain("arpa.", C)],
        [_domain("0.192.in-addr.arpa.", A), _domain(REVERSE4, B), _domain("*", C), _domain("F.ip6.arpa.", A),
         _domain(REVERSE6.upper(), B), _domain(f"10.{REVERSE4}", C)]),
    "wildcard": _config([_domain("*", A)], [_domain("*", A)]),
    "root": _config([_domain(".", A)], [_domain(".", A)]),
    "one-of-each": _config([_domain(FORWARD, A)], [_domain(REVERSE4, A)]),
    "odd-names": _config(
        [_domain("bad..zone.", A), _domain("*", A), _domain("a" * 64 + ".", B), _domain("\\999.esc.", A),
         _domain("x\\.y.esc.", B), _domain("\\097b.esc.", A), _domain(".lead.", A), _domain("a b.esc.", B)],
        [_domain("..", A), _domain(REVERSE4, A), _domain("in-addr.arpa.", B),
         _domain("02.in-addr.arpa.", C)]),
    "long": _config([_domain(_LONG, A), _domain(FORWARD, B)], [_domain(REVERSE4, A), _domain(REVERSE6, B)]),
    "forward-only": _config([_domain(FORWARD, A)], []),
    "reverse-only": _config([], [_domain(REVERSE4, A)]),
    "none": _config([], []),
}
_FAILING_OVER = {
    "plain": _config([_domain(FORWARD, A)], [_domain(REVERSE4, A), _domain(REVERSE6, A)]),
    "two": _config([_domain(FORWARD, A, B)], [_domain(REVERSE4, A, B), _domain(REVERSE6, A, B)]),
    "three": _config([_domain(FORWARD, A, B, C)], [_domain(REVERSE4, C, B, A), _domain(REVERSE6, B)]),
    "dead-first": _config([_domain(FORWARD, CLOSED, B)], [_domain(REVERSE4, B), _domain(REVERSE6, CLOSED)]),
}
_SEVERAL_KEYS = {
    "two-keys": _config(
        [{"name": FORWARD, "key-name": "Two.Key", "dns-servers": [_server(A, "one."), _server(B)]}],
        [_domain(REVERSE4, C), {"name": REVERSE6, "dns-servers": [_server(A), _server(B, "one.")]}],
        [_key("one.", "HMAC-SHA256"), _key("Two.Key", "HMAC-MD5")]),
    "odd-keys": _config(
        [{"name": FORWARD, "key-name": "UPPER.example.com.",
          "dns-servers": [_server(A), _server(B, "."), _server(C, "*.a.Example.com")]}],
        [_domain(REVERSE4, A, key="hmac-sha256")],
        [_key("UPPER.example.com.", "hmac-sha256"), _key(".", "Hmac-Sha1"),
         _key("*.a.Example.com", "HMAC-md5"), _key("hmac-sha256", "HMAC-SHA256", 128)]),
}
CONFIGS = _FAILING_OVER | _MATCHING | _SIGNED | _SEVERAL_KEYS


# -------------------------------------------------------------------------------------- requests

NAMES = [
    "host.example.com", "HoSt.Example.COM.", ".", "host", "*.example.com.", "example.com.", "EXAMPLE.com",
    "a.b.c.d.e.f.example.com.", "a_b.example.com.", "a b.example.com.", "a\\.b.example.com.",
    "a\\032b.example.com.", "\\097.example.com.", "h.sub.example.com.", "SUB.example.com",
    "xsub.example.com.", "notexample.com.", "h.mixed.example.net.", "h.com.", "h.example.org.", "com.",
    "10.2.0.192.in-addr.arpa.", "in-addr.arpa.", "h.arpa.", "1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.",
    "h.bad.zone.", "bad..zone.", "h.\\255.example.com.", 'q"uo.example.com.', "a;b.example.com.",
    "(p).example.com.", "a@b.example.com.", "$d.example.com.", "\\\\.example.com.", "h.x\\.y.esc.",
    "ab.esc.", "h.ab.esc.", "h.y.esc.", "h.lead.", "h.a b.esc.", "x" * 63 + ".example.com.",
    ".".join(["y" * 63] * 3) + ".example.com.", _LONG, "h." + _LONG, "a." * 120 + "example.com.",
    "a." * 121, "1.1.1.1.example.com.", "example.com.example.com.", "com.example.com.", "ex.ample.com.",
    "host.example.com..",
]
ADDRESSES = [
    "192.0.2.10", "192.0.2.0", "192.0.2.255", "0.0.0.0", "255.255.255.255", "10.0.0.1", "192.0.3.1",
    "10.0.0.2", "192.0.2.10%lo", "::", "::1", "2001:db8::", "2001:DB8::ABCD", "2001:db8:ffff::ffff",
    "fe80::1", "fe80::1%lo", "fd00::1", "::ffff:192.0.2.10", "2001:db8::1%lo", "f000::1", "ff02::1%lo",
]
_FAMILIES = {"v4": "192.0.2.10", "v6": "2001:db8::10"}
_DIRECTIONS = {"both": (True, True), "forward": (True, False), "reverse": (False, True)}
_KINDS = {f"{short}-{word}": (mode, change)
          for short, mode in zip(("cwd", "ncwd", "cewd", "ncwod"), ncr.MODES, strict=True)
          for word, change in (("add", ncr.ADD), ("remove", ncr.REMOVE))}


def _ask(kind: str = "cwd-add", directions: str = "forward", *, fqdn: str = "host.example.com.",
         address: str = "192.0.2.10", client: str = CLIENT, ttl: int = 3600) -> Request:
    mode, change = _KINDS[kind]
    forward, reverse = _DIRECTIONS[directions]
    return ncr.request(fqdn, address, client, change=change, forward=forward, reverse=reverse, mode=mode,
                       ttl=ttl)


# ------------------------------------------------------------------------------------- the space

_DROP: Action = {"drop": True}
_INVALID: Action = {"mutate": "qr0"}
_MUTATIONS = ("no-zone", "two-zones", "other-zone", "full-echo", "count-lie", "header-only-11", "two-bytes",
              "trailing-junk", "qr0", "opcode-query")


def _rcodes(*rcodes: int) -> list[Action]:
    return [{"rcode": rcode} for rcode in rcodes]


def _scripts() -> Iterator[tuple[str, str, list[Action]]]:
    """Yield what the servers may answer: (name, configuration, replies)."""
    ways = [(), (0,), (6,), (8,), (0, 0), (6, 0), (8, 0), (6, 3)]
    for way in ways:
        begun = "".join(f"{rcode}-" for rcode in way)
        for rcode in range(16):
            yield f"{begun}{rcode}", "plain", _rcodes(*way, rcode)
        for config, (bad, action), count in product(
                _FAILING_OVER, (("timeout", _DROP), ("invalid", _INVALID)), (1, 2, 3, 4, 6, 9)):
            replies = [*_rcodes(*way), *[action] * count]
            yield f"{begun}{bad}-x{count}-{config}", config, replies
            for rcode in (5, 6, 8):
                yield f"{begun}{bad}-x{count}-then-{rcode}-{config}", config, [*replies, *_rcodes(rcode)]
    for config in _FAILING_OVER:
        mixed = [_DROP, _INVALID, _DROP, _INVALID, *_rcodes(6), _INVALID, _DROP, _INVALID]
        yield f"mixed-{config}", config, mixed
        yield f"in-turn-{config}", config, [*_rcodes(6), _DROP, *_rcodes(3), _INVALID, *_rcodes(6, 3)]
    for mutation in _MUTATIONS:
        yield f"{mutation}-x3", "two", [{"mutate": mutation}] * 3
        for rcode in (0, 6, 8, 5):
            yield f"{mutation}-{rcode}", "plain", [{"mutate": mutation, "rcode": rcode}]


def _answers() -> Iterator[Case]:
    for kind, (script, config, replies), family, directions in product(
            _KINDS, _scripts(), _FAMILIES, _DIRECTIONS):
        request = _ask(kind, directions, address=_FAMILIES[family])
        yield Case(f"{kind}-{script}-{family}-{directions}", config, [request], replies)


def _signed_replies() -> Iterator[tuple[str, list[Action]]]:
    for rcode in range(16):
        yield f"rcode-{rcode}", _rcodes(rcode)
    for how, error, count in product(("none", "bad", "empty", "other-key", "other-alg"),
                                     (0, 1, 16, 17, 18, 22, 4000), (1, 3)):
        yield f"{how}-{error}-x{count}", [{"sign": how, "tsig_error": error,
                                           "rcode": 9 if error else 0}] * count
    for error, rcode in product((1, 16, 17, 18, 22, 4000), (0, 6, 9)):
        yield f"good-{error}-{rcode}", [{"tsig_error": error, "rcode": rcode}]
    for size in range(66):
        yield f"mac-{size}", [{"maclen": size}]
    # A second to either side may pass between the two clocks.
    for skew, how in product((-100000, -302, -298, 0, 298, 302, 100000), ("good", "bad")):
        yield f"skew-{skew}-{how}", [{"skew": skew, "sign": how}]
    for mutation, how in product(_MUTATIONS, ("good", "none", "bad")):
        yield f"{mutation}-{how}", [{"mutate": mutation, "sign": how}]
    for count in (1, 3, 4, 6, 9):
        yield f"timeout-x{count}", [_DROP] * count
        yield f"bad-x{count}", [*_rcodes(6), *[{"sign": "bad"}] * count]


def _signatures(chance: random.Random) -> Iterator[Case]:
    for config in _SIGNED | _SEVERAL_KEYS:
        for kind, directions in product(_KINDS, _DIRECTIONS):
            yield Case(f"{config}-{kind}-{directions}", config, [_ask(kind, directions)], [])
        for name, replies in _signed_replies():
            yield Case(f"{config}-{name}", config, [_ask(directions="both")], replies)
        for number, odd in enumerate(odd_signatures.invented(chance)):
            yield Case(f"{config}-odd-{number}", config, [_ask()], [{"odd": odd}])


def _matches(chance: random.Random) -> Iterator[Case]:
    for config, kind in product(["plain", *_MATCHING], _KINDS):
        for number, fqdn in enumerate(NAMES):
            replies: list[Action] = chance.choice([[], [], _rcodes(6), _rcodes(8)])
            request = _ask(kind, "both", fqdn=fqdn, address=chance.choice(ADDRESSES))
            yield Case(f"{config}-{kind}-name-{number}", config, [request], replies)
        for number, address in enumerate(ADDRESSES):
            for directions in _DIRECTIONS:
                request = _ask(kind, directions, fqdn=chance.choice(NAMES), address=address)
                yield Case(f"{config}-{kind}-address-{number}-{directions}", config, [request], [])


def _sizes(chance: random.Random) -> Iterator[Case]:
    # Around those where an update has 512 octets.
    for kind, size in product(_KINDS, (1, 2, 3, 100, 255, 256, 300, *range(395, 450))):
        replies: list[Action] = chance.choice([[], _rcodes(6), _rcodes(8)])
        yield Case(f"{kind}-dhcid-{size}", "plain", [_ask(kind, "both", client="cd" * size)], replies)
    for kind, ttl in product(_KINDS, (0, 1, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)):
        yield Case(f"{kind}-ttl-{ttl}", "plain", [_ask(kind, "both", ttl=ttl)], [])


def _by_lot(chance: random.Random) -> Iterator[Case]:
    common = [*_rcodes(0, 0, 6, 8, 3, 5), _DROP, _INVALID]
    for number in range(400):
        requests = [_ask(chance.choice(list(_KINDS)), chance.choice(list(_DIRECTIONS)),
                         fqdn=chance.choice(["host.example.com.", "two.example.com.", "x.nowhere."]),
                         address=chance.choice(list(_FAMILIES.values())))
                    for _ in range(chance.choice((2, 2, 3, 5, 8)))]
        config = chance.choice(["plain", "two", "match", "two-keys", "forward-only"])
        yield Case(f"one-client-{number}", config, requests, chance.choices(common, k=chance.randrange(12)))
    for number in range(800):
        requests = [_ask(chance.choice(list(_KINDS)), chance.choice(list(_DIRECTIONS)),
                         fqdn=chance.choice(NAMES), address=chance.choice(ADDRESSES),
                         client=f"{chance.getrandbits(256):064X}")
                    for _ in range(chance.choice((1, 2, 3)))]
        rare: list[Action] = [{"sign": "bad"}, {"mutate": chance.choice(_MUTATIONS)},
                              {"rcode": chance.randrange(16)}]
        replies = chance.choices([*common, *rare], k=chance.randrange(12))
        yield Case(f"clients-{number}", chance.choice(list(CONFIGS)), requests, replies)


def families(seed: int) -> list[list[Case]]:
    """Return all cases by their subject, each with its own name."""
    chance = random.Random(seed)
    return [list(_answers()), *(list(family(chance)) for family in (_signatures, _matches, _sizes, _by_lot))]


def drawn(seed: int, count: int, wanted: str = "", configs: int = len(CONFIGS)) -> list[Case]:
    """Return so many cases whose names hold a match of the regular expression; each family has its share.

    They need no more than so many configurations.
    """
    chance = random.Random(seed)
    chosen = set(chance.sample(sorted(CONFIGS), configs))
    left = [[case for case in family if case.config in chosen and re.search(wanted, case.name)]
            for family in families(seed)]
    found: list[Case] = []
    while len(found) < count and (family := chance.choice([family for family in left if family] or [[]])):
        found.append(family.pop(chance.randrange(len(family))))
    return found
