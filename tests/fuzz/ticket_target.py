"""Credential caches and keytabs, whole and cut short, and a DNS server's tokens: with the real libkrb5.

The ticket in the cache is for the DNS server itself, so no KDC is asked; the client does not read what is
encrypted in it. No token fits the key of the cache, as nothing here has it, so no agreement may succeed.
"""

from __future__ import annotations

import os
import re
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyd2.hooks.gss.exchange import Status, TkeyExchange
from pyd2.hooks.gss.gssapi import Credential, Flags, SecurityContext
from pyd2.hooks.gss.keytab import principals
from tests.fuzz.mutate import any_bytes, mutate_bytes
from tests.fuzz.runner import ACCEPTED
from tests.gss.test_tkey import reply
from tests.gss.toy import WALL, Recorder, ids

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from tests.fuzz.runner import Input

_REALM: Final = "EXAMPLE.TEST"
_CLIENT: Final = ("DHCP", "d2.example.test")
_SERVICE: Final = ("DNS", "ns.example.test")
_NAME: Final = "1.sig-ns.example.test."
_AES256: Final = 18
_MINOR: Final = re.compile("Minor = '(.*)'")
"""What libkrb5 says in an error of GSS-API."""
_LATE: Final = 2**31 - 1
"""When the ticket ends, in seconds since the epoch."""
_LONGEST: Final = 60000
"""Octets of a token that fits into a message with all else."""
_CONFIGURATION: Final = f"""
[libdefaults]
    default_realm = {_REALM}
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false
[realms]
    {_REALM} = {{
    }}
"""


def _der(tag: int, *parts: bytes) -> bytes:
    """Return a value in DER."""
    body = b"".join(parts)
    if len(body) < 128:
        return bytes([tag, len(body)]) + body
    size = len(body).to_bytes(2, "big")
    return bytes([tag, 0x82]) + size + body


def _der_name(names: tuple[str, ...]) -> bytes:
    strings = (_der(0x1B, name.encode()) for name in names)
    return _der(0x30, _der(0xA0, b"\2\1\1"), _der(0xA1, _der(0x30, *strings)))


def _encrypted(size: int) -> bytes:
    return _der(0x30, _der(0xA0, b"\2\1\x12"), _der(0xA2, _der(4, bytes(size))))


def ticket() -> bytes:
    """Return a ticket for the DNS server (RFC 4120, section 5.3), whose encrypted part is nothing."""
    return _der(0x61, _der(0x30, _der(0xA0, b"\2\1\5"), _der(0xA1, _der(0x1B, _REALM.encode())),
                           _der(0xA2, _der_name(_SERVICE)), _der(0xA3, _encrypted(200))))


def answer() -> bytes:
    """Return a server's answer by SPNEGO: an AP-REP that was encrypted with another key."""
    version, kind = _der(0xA0, b"\2\1\5"), _der(0xA1, b"\2\1\x0f")
    ap_rep = _der(0x6F, _der(0x30, version, kind, _der(0xA2, _encrypted(90))))
    kerberos = bytes.fromhex("06092a864886f712010202")
    token = _der(0x60, kerberos, b"\2\0", ap_rep)
    return _der(0xA1, _der(0x30, _der(0xA0, b"\x0a\1\0"), _der(0xA1, kerberos), _der(0xA2, _der(4, token))))


def _counted(octets: bytes) -> bytes:
    return struct.pack("!I", len(octets)) + octets


def _principal(names: tuple[str, ...]) -> bytes:
    parts = b"".join(_counted(text.encode()) for text in (_REALM, *names))
    return struct.pack("!II", 1, len(names)) + parts


def cache() -> bytes:
    """Return a credential cache with that ticket: MIT's file format, version 4."""
    key = struct.pack("!H", _AES256) + _counted(bytes(range(32)))
    times = struct.pack("!IIII", 1, 1, _LATE, 0)
    tail = struct.pack("!BIII", 0, 0x40000000, 0, 0)
    credentials = _principal(_CLIENT) + _principal(_SERVICE) + key + times + tail + _counted(ticket())
    return b"\5\4\0\0" + _principal(_CLIENT) + credentials + _counted(b"")


def keytab(realm: str = _REALM, names: tuple[str, ...] = _CLIENT) -> bytes:
    """Return a keytab with two keys of a principal: MIT's file format, version 2."""
    parts = b"".join(struct.pack("!H", len(text)) + text.encode() for text in (realm, *names))
    entry = (struct.pack("!H", len(names)) + parts + struct.pack("!IIBHH", 1, 1, 1, _AES256, 32)
             + bytes(range(32)))
    return b"\5\2" + 2 * (struct.pack("!i", len(entry)) + entry)


class TicketTarget:
    """An input is a byte that says what is named, a cache, a keytab, and the server's tokens, in order."""

    name = "ticket"

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._cache, self._keytab = (Path(self._folder.name, name) for name in ("cache", "keytab"))
        configuration = Path(self._folder.name, "krb5.conf")
        configuration.write_text(_CONFIGURATION)
        self._before = os.environ.get("KRB5_CONFIG")
        os.environ["KRB5_CONFIG"] = str(configuration)

    def reset(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Leave nothing behind."""
        os.environ.pop("KRB5_CONFIG")
        if self._before is not None:
            os.environ["KRB5_CONFIG"] = self._before
        self._folder.cleanup()

    def make(self, rng: random.Random) -> Input:
        parts = [cache(), keytab(), *(answer() for _ in range(rng.randrange(3)))]
        spoilt = rng.choice([0, 0, 1, 2, 2])
        for number, part in enumerate(parts):
            if rng.random() < 0.45 or number == spoilt:
                parts[number] = self._spoil(part, rng, parts)
        return (bytes([rng.randrange(4)]), *parts)

    def _spoil(self, part: bytes, rng: random.Random, others: list[bytes]) -> bytes:
        if rng.random() < 0.4:
            return part[: rng.randrange(len(part))]
        return any_bytes(rng) if rng.random() < 0.1 else mutate_bytes(part, rng, others)

    def run(self, data: Input) -> Iterator[str]:
        flags = data[0][0] if data and data[0] else 0
        cached, keys = (*data[1:3], b"", b"")[:2]
        self._cache.write_bytes(cached)
        self._keytab.write_bytes(keys)
        try:
            yield f"keytab: {len(principals(keys))} principals"
        except ValueError as error:
            yield f"keytab: {error}"
        client = "/".join(_CLIENT) + f"@{_REALM}" if flags & 1 else ""
        kept = Recorder()

        def open_context() -> SecurityContext:
            named = f"FILE:{self._keytab}" if flags & 2 else ""
            credential = Credential(client, named, f"FILE:{self._cache}")
            credential.principal()
            return SecurityContext(credential, "/".join(_SERVICE) + f"@{_REALM}", Flags.MUTUAL | Flags.REPLAY)

        exchange = TkeyExchange(_NAME, WALL, 3600, open_context, kept.emit, kept.count, ids())
        message = exchange.begin()
        if message is not None:
            yield ACCEPTED
        for token in data[3:]:
            if message is None:
                break
            message = exchange.receive(reply(_NAME, token[:_LONGEST]).to_wire(), WALL)
        assert exchange.status is not Status.SUCCESS, "an answer without the key was accepted"
        assert (message is None) == (exchange.status is not None)
        if exchange.status is not None:
            found = _MINOR.search(exchange.problem)
            yield (found[1] if found else exchange.problem).replace(self._folder.name, "")
