"""DNS replies to updates that are under way: unsigned, and signed with each algorithm."""

from __future__ import annotations

import base64
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dns.exception
import dns.name

from pyd2.ncr import ConflictResolutionMode
from tests.fuzz import corpora
from tests.fuzz.mutate import any_bytes, mutate_bytes, mutate_message
from tests.fuzz.runner import ACCEPTED
from tests.fuzz.world import WALL, World
from tests.kit import replies
from tests.kit.dnswire import Message, Tsig, append_tsig, mac, parse, sign
from tests.kit.tsigkeys import ALGORITHMS, TsigKey
from tests.update.support import datagram, domain, make_config, request, simple_map

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from pyd2.update.engine import Outgoing
    from tests.fuzz.runner import Input

_KEYS = [TsigKey.of(algorithm) for algorithm in ALGORITHMS]
_SECRETS = {f"{key.name}.": base64.b64decode(key.secret) for key in _KEYS}
_ZONES = ["z0.test.", *(f"z{number}.test." for number in range(1, len(_KEYS) + 1))]
_CONFIG = make_config(simple_map(
    [domain(zone, number, **({"key-name": _KEYS[number - 1].name} if number else {}))
     for number, zone in enumerate(_ZONES)],
    [domain("2.0.192.in-addr.arpa.", 99)],
    {"tsig-keys": [key.kea() for key in _KEYS]},
))  # fmt: skip
_MODES = [mode.value for mode in ConflictResolutionMode]
AS_IT_IS, TO_BE_SIGNED, TWICE = 0, 1, 2
"""What the first byte of a part says of the reply behind it; the last one is a flag."""


def ncr(setup: bytes) -> bytes:
    """Return the request that an input's first part stands for: zone, change and mode."""
    zone, kind = setup[0] % len(_ZONES), setup[-1]
    change = kind & 1
    return datagram(
        request(
            fqdn=f"host.{_ZONES[zone]}",
            change_type=change,
            reverse_change=bool(kind & 2),
            conflict_resolution_mode=_MODES[(kind >> 2) % len(_MODES)],
        )
    )


class ReplyTarget:
    """An input is two bytes that choose the request, and the replies to its tries, in order.

    When they are used up, the server is silent. The query ID and the time are fixed, so a signature that is
    right once is right always.
    """

    name = "reply"

    def __init__(self) -> None:
        self._world: World | None = None
        self._script: list[bytes] = []
        self._outcomes: list[str] = []
        self._requests: dict[bytes, Message] = {}
        self._actions = [action for action in corpora.reply_actions() if action.get("sign") != "forced"]

    def reset(self) -> None:
        self._world = None

    # Making.

    def close(self) -> None:
        """Leave nothing behind."""

    def make(self, rng: random.Random) -> Input:
        setup = bytes([rng.randrange(len(_ZONES)), rng.randrange(16)])
        asked = self._first_update(setup)
        return (setup, *(self._reply(asked, rng) for _ in range(rng.choice([1, 1, 2, 3, 6]))))

    def _first_update(self, setup: bytes) -> Message:
        found = self._requests.get(setup)
        if found is None:
            world = World(_CONFIG, self._answer, fixed_ids=True)
            world.receive(ncr(setup))
            sent = world.engine.messages(world.engine.collect_output())
            found = self._requests[setup] = parse(sent[0].message)
        return found

    def _reply(self, asked: Message, rng: random.Random) -> bytes:
        plain = replace(asked, wire=asked.unsigned, tsig=None)
        action: dict[str, Any] = {}
        if rng.random() < 0.7:
            action = {key: value for key, value in rng.choice(self._actions).items() if key != "drop"}
        body = replies.build(plain, action, {}) or b""
        others = [asked.wire, body, plain.wire]
        if rng.random() < 0.7:
            body = mutate_message(body, rng, others)
        elif rng.random() < 0.1:
            body = asked.wire[:2] + any_bytes(rng)
        if asked.tsig is None:
            if rng.random() < 0.1 and _can_be_signed(body):
                body = append_tsig(body, _odd_tsig(_some_tsig(body), rng))
        elif rng.random() < 0.85 and _can_be_signed(body):
            body = _signed(body, asked, asked.tsig, rng)
            if rng.random() < 0.3:
                body = rng.choice([mutate_bytes, mutate_message])(body, rng, others)
        elif _can_be_signed(body):
            return bytes([TO_BE_SIGNED]) + body[:64000]
        if rng.random() < 0.9:
            body = asked.wire[:2] + body[2:]
        return bytes([rng.choice([AS_IT_IS, AS_IT_IS, TWICE])]) + body[:65535]

    # Running.

    def run(self, data: Input) -> Iterator[str]:
        world = self._world
        if world is None:
            world = self._world = World(_CONFIG, self._answer, fixed_ids=True)
        self._script = [part for part in data[1:] if part]
        self._outcomes = []
        refusal = world.receive(ncr(data[0] if data and data[0] else b"\0"))
        assert refusal is None
        world.run()
        yield from self._outcomes

    def _answer(self, world: World, outgoing: Outgoing) -> list[bytes]:
        if not self._script:
            return []
        head, *_ = part = self._script.pop(0)
        reply = bytes(part[1:])
        if head & TO_BE_SIGNED and _can_be_signed(reply):
            asked = parse(outgoing.message)
            if asked.tsig is not None:
                tsig = replace(asked.tsig, original_id=int.from_bytes(reply[:2], "big"))
                reply = append_tsig(reply, sign(_SECRETS[_key_name(tsig)], tsig, reply, asked.tsig.mac))
        for again in (False, True)[: 2 if head & TWICE else 1]:
            begin = len(world.log.lines)
            world.reply(outgoing, reply)
            outcome = _outcome(world.log.lines[begin:])
            self._outcomes.append(outcome)
            if again and not outcome.startswith("ignored"):
                # A try that was repeated at once has the same query ID here, so it may be answered, too.
                assert world.engine.timer() is not None or outcome
            if outcome.startswith(ACCEPTED):
                _check_signature(outgoing, reply)
        return []


def _outcome(lines: list[tuple[str, tuple[str, ...]]]) -> str:
    for message_id, texts in lines:
        if message_id == "DHCP_DDNS_INVALID_RESPONSE":
            return texts[0]
        if message_id == "PYD2_REPLY_IGNORED":
            return f"ignored: {texts[1].upper()}"
        if message_id == "PYD2_UPDATE_TCP" and "truncated" in texts[-1]:
            return f"{ACCEPTED}: truncated, so once more over TCP"
        if message_id == "DHCP_DDNS_UPDATE_RESPONSE_RECEIVED":
            return ACCEPTED
    raise AssertionError(f"nothing was said of a reply: {lines}")


def _can_be_signed(body: bytes) -> bool:
    """Whether there is a header whose count of additional records leaves a place for the TSIG."""
    return len(body) >= 12 and body[10:12] != b"\xff\xff"


def _key_name(tsig: Tsig) -> str:
    return tsig.name.to_text().lower()


def _check_signature(outgoing: Outgoing, reply: bytes) -> None:
    """Check by other code than pyd2's that an accepted reply to a signed update is signed."""
    asked = parse(outgoing.message)
    if asked.tsig is None:
        return
    try:
        found = parse(reply)
    except (struct.error, dns.exception.DNSException):
        return  # dnspython is stricter about names that do not count
    assert found.tsig is not None, "an unsigned reply was accepted"
    assert len(found.tsig.mac) >= len(asked.tsig.mac)
    signed = found.tsig.original_id.to_bytes(2, "big") + found.unsigned[2:]
    full = mac(_SECRETS[_key_name(asked.tsig)], replace(found.tsig, algorithm=asked.tsig.algorithm), signed,
               asked.tsig.mac)  # fmt: skip
    assert full[: len(found.tsig.mac)] == found.tsig.mac, "a forged reply was accepted"


def _some_tsig(body: bytes) -> Tsig:
    key = dns.name.from_text("key.")
    return Tsig(
        0,
        key,
        dns.name.from_text("hmac-sha256."),
        int(WALL),
        300,
        bytes(32),
        int.from_bytes(body[:2], "big"),
        0,
        b"",
    )


def _odd_tsig(tsig: Tsig, rng: random.Random) -> Tsig:
    """Return the record with one field changed."""
    match rng.randrange(8):
        case 0:
            return replace(tsig, name=dns.name.from_text(rng.choice(["other.", ".", "KEY.", "a." * 60])))
        case 1:
            names = ["hmac-md5.", "HMAC-SHA256.", "hmac-md5.sig-alg.reg.int.", "gss-tsig.", "."]
            return replace(tsig, algorithm=dns.name.from_text(rng.choice(names)))
        case 2:
            skew = rng.choice([-301, -300, 300, 301, -int(WALL), 2**48 - 1 - int(WALL)])
            return replace(tsig, time_signed=int(WALL) + skew)
        case 3:
            return replace(tsig, fudge=rng.choice([0, 1, 65535]))
        case 4:
            return replace(tsig, error=rng.choice([1, 16, 17, 18, 22, 65535]))
        case 5:
            return replace(tsig, other=rng.randbytes(rng.choice([1, 6, 600])))
        case 6:
            return replace(tsig, original_id=rng.randrange(65536))
        case _:
            return replace(tsig, mac=rng.randbytes(rng.choice([0, 1, 9, 10, 16, 32, 64, 65, 1000])))


def _signed(body: bytes, asked: Message, tsig: Tsig, rng: random.Random) -> bytes:
    """Return the body signed rightly, or with an odd field under a right or a wrong signature."""
    secret = _SECRETS[_key_name(tsig)]
    right = replace(
        tsig, time_signed=int(WALL), error=0, other=b"", original_id=int.from_bytes(body[:2], "big")
    )
    if rng.random() < 0.4:
        return append_tsig(body, sign(secret, right, body, tsig.mac))
    odd = _odd_tsig(right, rng)
    if rng.random() < 0.5 and odd.algorithm == right.algorithm:
        full = sign(secret, odd, odd.original_id.to_bytes(2, "big") + body[2:], tsig.mac).mac
        odd = replace(odd, mac=full[: rng.choice([len(full), len(full), len(full) // 2, 10, 9])])
    return append_tsig(body, odd)
