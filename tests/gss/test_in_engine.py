"""Updates that the update thread signs by itself, in C where that is possible; and none comes too late."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.dns.tsig import TsigRecord
from pyd2.errors import ReplyError
from pyd2.hooks.gss.gssapi import GssError
from pyd2.hooks.gss.keys import KeyRing, ManagedKey, MessageContext, State
from pyd2.hooks.gss.signers import NativeSigner
from pyd2.update.drive.server_choice import KeySource, Selection
from tests.gss.native_toy import ToyGss
from tests.gss.test_parameters import parse, server
from tests.gss.toy import WALL, Client, Recorder, Server, signed, signed_octets
from tests.kit.dnswire import Message
from tests.kit.dnswire import parse as parse_message
from tests.update.support import (
    VirtualD2,
    datagram,
    domain,
    make_config,
    request,
    simple_map,
    statistics,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.config.model import DnsServer
    from pyd2.dns.tsig import SigningKey
    from pyd2.update.engine import Outgoing

pytest.importorskip("pyd2.packets.wire")


class Log(Recorder):
    """A GssLog that writes nothing of each signature."""

    debug = False
    server = Recorder()


def no_error(found: Message) -> bytes:
    """Return a reply without records."""
    return found.wire[:2] + struct.pack("!5H", 0xA800, 0, 0, 0, 0)


class Site(KeySource):
    """An engine whose updates a server with keys verifies, on a network that delays and loses them."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, lanes: dict[str, object] | None = None, **more: Any,
    ) -> None:
        self.gss = ToyGss()
        self.log = Log()
        self.random = random.Random(1)
        self.skips = False
        self.loses = 0.0
        self.late = 0.0
        self.by_python = 0
        self.asked = 0
        """How often the key of a server was asked for."""
        self.answer: Callable[[Message], bytes] = no_error
        """Returns the reply to a message without its signature, as it arrives."""
        self.arrivals: list[tuple[float, int, Message]] = []
        self.sides: dict[str, Server] = {}
        monkeypatch.setattr("pyd2.hooks.gss.keys.make_signer", self._make_signer)
        created = ManagedKey.create_context

        def create_context(key: ManagedKey) -> MessageContext:
            self.by_python += 1
            return created(key)

        monkeypatch.setattr(ManagedKey, "create_context", create_context)
        entry = parse({"servers": [server(**more)]}).servers[0]
        self.ring = KeyRing(entry, self.log, lambda: self.wall)  # type: ignore[arg-type]
        self.ring.on_need = self._need
        zones = simple_map(
            [domain("example.com.", 1)], [domain("10.in-addr.arpa.", 1)],
            {"user-context": {"pyd2": {"lanes": lanes}}} if lanes else {},
        )
        self.wall = float(WALL)
        self.d2 = VirtualD2(make_config(zones), self._peer, debuglevel=0, select_key=self)
        self.d2._wall_offset = WALL - self.d2.now

    @property
    def logs_each(self) -> bool:
        return self.log.debug

    def __call__(self, server: DnsServer, key: SigningKey | None) -> Selection:
        self.asked += 1
        selected = self.ring.select(here=True)
        return Selection(key, skip=True) if selected is None else Selection(selected)

    def _make_signer(self, client: Client, name: bytes, expires: float, *, bounded: bool) -> NativeSigner:
        return NativeSigner(self.gss.context(client, name, expires, bounded=bounded))

    def _need(self, _ring: KeyRing) -> None:
        self.add()

    def add(self) -> ManagedKey:
        """Add a key, agreed on."""
        name = f"{len(self.sides)}.sig-ns.example.org."
        key = ManagedKey(self.ring, name, WALL)
        self.sides[name] = Server(name.encode())
        key.establish(Client(name.encode()), WALL)
        self.ring.keys.append(key)
        self.ring.changed = True
        return key

    def _peer(self, outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        found = parse_message(outgoing.message)
        assert found.tsig is not None
        name = found.tsig.name.to_text()
        if self.random.random() < self.loses:
            return []
        on_the_way = 0.3 if self.random.random() < self.late else self.random.uniform(0.001, 0.01)
        self.arrivals.append((now + on_the_way, len(self.arrivals), found))
        reply = signed(self.sides[name], name, self.answer(found), found.tsig.mac)
        return [(on_the_way + 0.001, reply)]

    def ask(self, count: int) -> None:
        """Ask for names, and go on until all requests have ended."""
        for number in range(count):
            self.d2.request(request(
                fqdn=f"h{number}.example.com.", ip_address=f"10.0.{number >> 8}.{number & 255}",
                dhcid=f"{number:08X}",
            ))
        self.d2.run()

    def refused(self) -> list[str]:
        """Have the server verify what has arrived, in that order; return why it refused any."""
        refused = []
        for _, _, found in sorted(self.arrivals, key=lambda arrival: arrival[:2]):
            assert found.tsig is not None
            try:
                self.sides[found.tsig.name.to_text()].verify_mic(
                    signed_octets(found.tsig, found.unsigned, None), found.tsig.mac)
            except GssError as error:
                refused.append(str(error))
        return refused


def test_updates_are_signed_in_c_and_their_replies_verified_there(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(monkeypatch)
    key = site.add()
    site.ask(40)
    numbers = statistics(site.d2.counters)
    assert numbers["update-signed"] == numbers["update-success"] == 80
    assert numbers[f"key[{key.name}].update-success"] == 80
    assert (site.by_python, site.refused(), site.gss.unreleased) == (0, [], {})
    assert key.span() == 0


def test_a_key_is_asked_for_once_in_a_call_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """For all requests, and for the server of each direction; once it has expired it signs nothing more."""
    site = Site(monkeypatch)
    key = site.add()
    requests = [
        datagram(request(fqdn=f"h{n}.example.com.", ip_address=f"10.0.0.{n}", dhcid=f"{n:08X}"))
        for n in range(38)
    ]
    site.d2.engine.receive_requests(requests[:30], site.d2.now, site.d2.wall)
    assert site.asked == 2
    key.state = State.EXPIRED
    site.d2.request(requests[30])
    assert (site.asked, len(site.d2.sent)) == (3, 30)
    site.add()
    site.d2.run()
    asked = site.asked
    monkeypatch.setattr(site.log, "debug", True, raising=False)  # each use of a key is logged
    site.d2.engine.receive_requests(requests[31:], site.d2.now, site.d2.wall)
    assert site.asked == asked + 7


@pytest.mark.parametrize("most", [96, 1024])
def test_nothing_comes_too_late_however_the_network_delays_it(
    monkeypatch: pytest.MonkeyPatch, most: int,
) -> None:
    site = Site(monkeypatch, {"max-in-flight": most})
    site.add()
    site.loses, site.late = 0.01, 0.02
    site.ask(1200)
    assert site.refused() == []
    numbers = statistics(site.d2.counters)
    assert numbers["update-error"] == 0
    assert numbers["update-success"] == 2400
    assert len(site.ring.keys) > 1
    assert max(key.span() for key in site.ring.keys) == 0


def test_updates_wait_while_all_contexts_are_full(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(monkeypatch, {"max-in-flight": 1024})
    site.add()
    site.ring.on_need = lambda _: None  # no other key is to be had
    site.late = 0.02
    site.ask(400)
    assert site.refused() == []
    assert statistics(site.d2.counters)["update-success"] == 800
    assert len(site.ring.keys) == 1


def test_a_server_is_skipped_without_a_key_and_asked_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(monkeypatch)
    site.ask(1)
    assert (site.d2.sent, site.d2.engine.active) == ([], 0)
    key = site.add()
    site.ask(1)
    assert len(site.d2.sent) == 2
    key.state = State.EXPIRED
    site.ask(1)
    assert len(site.d2.sent) == 2


@pytest.mark.parametrize("more", [{"gss-sequence-flag": True}, {}])
def test_python_signs_where_c_cannot(monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]) -> None:
    site = Site(monkeypatch, **more)
    monkeypatch.setattr(site.log, "debug", not more, raising=False)
    site.add()
    site.ask(10)
    assert (site.by_python, site.refused()) == (20, [])
    assert statistics(site.d2.counters)["update-success"] == 20
    assert site.log.entries.count("GSS_TSIG_VERIFIED") == 20


def test_a_reply_that_c_cannot_verify_is_judged_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(monkeypatch)
    site.add()
    spoilt: list[int] = []
    honest = site._peer

    def peer(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        ((delay, reply),) = honest(outgoing, now)
        if len(spoilt) < 2:
            spoilt.append(outgoing.query_id)
            reply = reply[:-20] + bytes([reply[-20] ^ 1]) + reply[-19:]
        return [(delay, reply)]

    site.d2.peer = peer
    site.ask(4)
    assert statistics(site.d2.counters)["update-error"] == 2
    assert statistics(site.d2.counters)["update-success"] == 8
    assert site.log.entries == ["GSS_TSIG_VERIFY_FAILED"] * 2
    assert site.refused() == []


def test_a_key_that_the_server_has_forgotten_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(monkeypatch)
    key = site.add()
    needed: list[ManagedKey | None] = []
    site.ring.on_need = lambda ring: needed.append(ring.unknown_key)
    site.ask(1)
    context = key.resume(key.signer.native.native, b"")  # type: ignore[union-attr]
    record = TsigRecord(0, key.name_wire, b"\x08gss-tsig\0", WALL, 300, b"", 1, 17, b"")
    with pytest.raises(ReplyError, match="BADKEY"):
        context.verify(bytes(12), record, WALL)
    assert needed == [key]


def test_contexts_end_with_what_uses_them(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(monkeypatch)
    site.add()
    site.ask(5)
    site.ring.keys.clear()
    site.add()
    site.ask(5)
    assert site.gss.deleted == []
    site.d2.configure(site.d2.config)  # forgets the keys that were selected
    site.ask(1)
    assert site.gss.deleted == [1]


def test_an_engine_that_is_thrown_away_holds_no_context_back(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(monkeypatch)
    key = site.add()
    site.loses = 1.0
    for number in range(5):
        site.d2.request(request(fqdn=f"h{number}.example.com.", ip_address="10.0.0.1", dhcid=f"{number:08X}"))
    assert key.span() == 5
    site.d2.engine.abandon()
    assert key.span() == 0


def test_keys_do_not_change_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(monkeypatch)
    first = site.add()
    assert site.ring.select(here=True) is first
    assert site.ring.select() is None
    second = site.add()
    assert site.ring.select() is second
    assert site.ring.select(here=True) is first
