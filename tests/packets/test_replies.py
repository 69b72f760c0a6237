"""Both packet layers judge a reply the same way, and the compiled one judges the common ones by itself."""

from __future__ import annotations

import base64
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.dns.tsig import HmacKey
from pyd2.dns.update import Zone
from pyd2.packets.compiled import CompiledKey
from pyd2.packets.wire import ffi, lib
from tests.dns import awkward
from tests.fuzz.reply_target import _KEYS as KEYS
from tests.fuzz.reply_target import ReplyTarget
from tests.fuzz.world import WALL
from tests.kit.dnswire import append_tsig, parse, sign
from tests.packets.layers import COMPILED, PLAIN, outcome
from tests.update.support import answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyd2.dns.tsig import HmacContext
    from pyd2.packets.layer import PacketLayer

MESSAGE = b"\0\0\x28\0\0\1\0\0\0\0\0\0" + Zone("example.com.").section
NOW = int(WALL)
SECRETS = [base64.b64decode(key.secret) for key in KEYS]
PLAIN_KEYS = [HmacKey(key.name, key.algorithm, SECRETS[number]) for number, key in enumerate(KEYS)]
COMPILED_KEYS = [CompiledKey(key.name, key.algorithm, SECRETS[number], 0) for number, key in enumerate(KEYS)]


def check_reply(reply: bytes, key: int | None, mac: bytes, wall: int = NOW) -> tuple[Any, bool]:
    """Return the verdict of both layers, and whether C gave it by itself."""
    verdicts = []
    context: HmacContext | None = None
    layers: list[tuple[PacketLayer, list[Any]]] = [(PLAIN, PLAIN_KEYS), (COMPILED, COMPILED_KEYS)]
    for layer, prepared in layers:
        if key is not None:
            context = prepared[key].create_context()
            context._request_mac = mac
        verdicts.append(outcome(layer.read_reply, reply, context, wall))
    pointer = ffi.NULL if key is None else COMPILED_KEYS[key].prepared
    by_itself = lib.wire_reply_read(reply, len(reply), pointer, mac, len(mac), wall) >= 0
    assert verdicts[0] == verdicts[1], reply
    return verdicts[0], by_itself


def test_mutated_replies() -> None:
    """As the fuzzer makes them: recorded ones, spoilt in all ways, signed rightly and wrongly."""
    target = ReplyTarget()
    count = by_c = good = 0
    for number in range(3000):
        setup, *parts = target.make(random.Random(number))
        zone = setup[0]
        asked = target._first_update(setup)
        for part in parts:
            reply = part[1:]
            mac = asked.tsig.mac if asked.tsig else b""
            verdict, by_itself = check_reply(reply, zone - 1 if zone else None, mac)
            count += 1
            by_c += by_itself
            good += not isinstance(verdict, str)
    assert 0.1 * count < by_c <= good < count


@pytest.mark.parametrize("rcode", range(16))
@pytest.mark.parametrize("zones", [b"", Zone("example.com.").section])
def test_common_replies_are_read_in_c(rcode: int, zones: bytes) -> None:
    reply = answer(MESSAGE, rcode)[:4] + (b"\0\1" if zones else b"\0\0") + bytes(6) + zones
    assert check_reply(reply, None, b"") == (rcode, True)


def test_replies_that_kea_finds_malformed_or_odd() -> None:
    for _, reply in awkward.MALFORMED:
        check_reply(reply, None, b"")
        check_reply(reply, 0, bytes(16))


def signed_replies() -> Iterator[tuple[int, bytes, bytes]]:
    for number, key in enumerate(PLAIN_KEYS):
        context = key.create_context()
        asked = parse(context.sign(MESSAGE, 0x1234, NOW)).tsig
        assert asked is not None
        body = b"\x12\x34\xa8\0\0\1" + bytes(6) + Zone("example.com.").section
        yield number, asked.mac, append_tsig(body, sign(SECRETS[number], asked, body, asked.mac))


def test_signed_replies_are_verified_in_c() -> None:
    for key, mac, reply in signed_replies():
        assert check_reply(reply, key, mac) == (0, True)


def test_no_octet_of_a_signed_reply_may_change() -> None:
    for key, mac, reply in signed_replies():
        for at in range(2, len(reply)):
            for bit in (1, 0x20, 0x80):
                changed = reply[:at] + bytes((reply[at] ^ bit,)) + reply[at + 1 :]
                verdict, by_itself = check_reply(changed, key, mac)
                # Names are signed in lower case; nothing else may differ.
                assert isinstance(verdict, str) or (bit == 0x20 and chr(reply[at]).isalpha())
                assert by_itself != isinstance(verdict, str)
            check_reply(reply[:at], key, mac)
        check_reply(reply + b"\0", key, mac)


def test_another_requests_mac_does_not_verify() -> None:
    for key, mac, reply in signed_replies():
        for other in (b"", mac[:-1], mac[::-1], mac + b"\0", bytes(64), bytes(65)):
            verdict, _ = check_reply(reply, key, other)
            assert verdict == "ReplyError: TSIG verification failed: BADSIG"


@pytest.mark.parametrize(("skew", "good"), [(-301, False), (-300, True), (300, True), (301, False)])
def test_the_clocks_may_differ_by_the_fudge(skew: int, good: bool) -> None:
    for key, mac, reply in signed_replies():
        verdict, by_itself = check_reply(reply, key, mac, NOW + skew)
        assert (verdict == 0, by_itself) == (good, good)


def test_cut_macs() -> None:
    plain, compiled = (layer.key("k.", "hmac-sha256", b"secret", 128) for layer in (PLAIN, COMPILED))
    assert isinstance(compiled, CompiledKey)
    context = compiled.create_context()
    asked = parse(context.sign(MESSAGE, 0x1234, NOW)).tsig
    assert asked is not None
    body = b"\x12\x34\xa8\0" + bytes(8)
    full = sign(b"secret", replace(asked, mac=b""), body, asked.mac)
    for size in range(33):
        reply = append_tsig(body, replace(full, mac=full.mac[:size]))
        verdicts = []
        pairs: list[tuple[HmacKey, PacketLayer]] = [(plain, PLAIN), (compiled, COMPILED)]
        for key, layer in pairs:
            checking = key.create_context()
            checking._request_mac = context._request_mac
            verdicts.append(outcome(layer.read_reply, reply, checking, NOW))
        assert verdicts[0] == verdicts[1]
        assert (verdicts[0] == 0) == (size >= 16)
