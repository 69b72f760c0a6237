"""A DNS server's replies to TKEY messages, signed and not, with a toy in the place of Kerberos."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dns.rcode

from pyd2.hooks.gss.exchange import Status, TkeyExchange
from tests.fuzz.mutate import any_bytes, mutate_bytes, mutate_message
from tests.fuzz.runner import ACCEPTED
from tests.gss.test_tkey import reply
from tests.gss.toy import WALL, Client, Recorder, Server, ids, signed

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from tests.fuzz.runner import Input

_NAME = "1.sig-ns.example.org."
_TO_BE_SIGNED = 1
"""The flag in the first byte of a part; the rest is the reply."""
_LONGEST = 64000


class TkeyTarget:
    """An input is a byte that says how many rounds Kerberos wants, and the replies, in order."""

    name = "tkey"

    def __init__(self) -> None:
        errors = [reply(_NAME, b"", error).to_wire() for error in (16, 17, 18, 19, 99)]
        refusal = reply(_NAME, b"")
        refusal.answer.clear()
        refusal.set_rcode(dns.rcode.REFUSED)
        self._good = reply(_NAME, b"token" * 20).to_wire()
        self._others = [*errors, refusal.to_wire(), reply("other.", b"t").to_wire()]

    def reset(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Leave nothing behind."""

    def make(self, rng: random.Random) -> Input:
        return (bytes([rng.randrange(3)]), *(self._reply(rng) for _ in range(rng.choice([1, 1, 2, 3]))))

    def _reply(self, rng: random.Random) -> bytes:
        body = self._good if rng.random() < 0.7 else rng.choice(self._others)
        flag = _TO_BE_SIGNED if rng.random() < 0.8 else 0
        if rng.random() < 0.6:
            body = rng.choice([mutate_bytes, mutate_message, mutate_message])(body, rng, self._others)
        elif rng.random() < 0.1:
            body = any_bytes(rng)
        elif not flag and rng.random() < 0.5:
            body = mutate_bytes(signed(Server(), _NAME, body), rng, self._others)
        return bytes([flag]) + body[:_LONGEST]

    def run(self, data: Input) -> Iterator[str]:
        kept = Recorder()
        rounds = 1 + (data[0][0] % 3 if data and data[0] else 0)
        client, server = Client(rounds=rounds), Server()
        exchange = TkeyExchange(_NAME, WALL, 3600, lambda: client, kept.emit, kept.count, ids())
        message = exchange.begin()
        for part in data[1:]:
            if message is None:
                break
            body = part[1:]
            can_be_signed = len(body) >= 12 and body[10:12] != b"\xff\xff"
            by_server = can_be_signed and part[0] & _TO_BE_SIGNED
            message = exchange.receive(signed(server, _NAME, body) if by_server else body, WALL)
            if exchange.status is Status.SUCCESS:
                assert by_server or len(body) > 12, "a reply without a signature was accepted"
        assert message is None or exchange.status is None
        assert kept.counted.count("tkey-sent") <= 1 + len(data)
        assert kept.counted.count("tkey-success") == (exchange.status is Status.SUCCESS)
        if exchange.status is None:
            yield "it goes on"
        else:
            problem = exchange.problem.removeprefix("the response is malformed: ")
            yield ACCEPTED if exchange.status is Status.SUCCESS else problem
