"""The keys of a server: which one signs, how far ahead it may be, and what replies are believed."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyd2.dns.reply import parse_reply, read_reply
from pyd2.errors import ReplyError
from pyd2.hooks.gss.keys import MOST_CONTEXTS, MOST_SPAN, KeyRing, ManagedKey, State
from pyd2.hooks.gss.signers import PythonSigner
from tests.gss.test_parameters import parse, server
from tests.gss.toy import WALL, Client, Recorder, Server, signed_octets
from tests.gss.toy import signed as sign
from tests.kit.dnswire import append_tsig
from tests.kit.dnswire import parse as parse_message

if TYPE_CHECKING:
    from pyd2.hooks.gss.keys import MessageContext
    from pyd2.hooks.gss.parameters import GssServer

_UPDATE = struct.pack("!6H", 0, 5 << 11, 1, 0, 0, 0) + b"\4test\0" + struct.pack("!HH", 6, 1)


class Log(Recorder):
    """A GssLog that keeps messages."""

    server = Recorder()


class World:
    """A server's keys, with a clock that stands still."""

    def __init__(self, **more: object) -> None:
        self.now = float(WALL)
        self.log = Log()
        entry: GssServer = parse({"servers": [server(**more)]}).servers[0]
        self.ring = KeyRing(entry, self.log, lambda: self.now)  # type: ignore[arg-type]
        self.needed = 0
        self.echoes: list[int] = []
        self.ring.on_need = self._need
        self.ring.on_echo = lambda _, rcode: self.echoes.append(rcode)
        self.sides: dict[str, Server] = {}

    def _need(self, _ring: KeyRing) -> None:
        self.needed += 1

    def add(self, *, usable: bool = True) -> ManagedKey:
        """Add a key, agreed on."""
        name = f"{len(self.sides)}.sig-ns.example.org."
        key = ManagedKey(self.ring, name, self.now)
        secret = name.encode()
        self.sides[name] = Server(secret)
        if usable:
            key.establish(Client(secret), self.now)
        self.ring.keys.append(key)
        return key

    def send(self, key: ManagedKey) -> tuple[MessageContext, bytes]:
        """Sign an update."""
        context = key.create_context()
        return context, context.sign(_UPDATE, 7, WALL)

    def arrive(self, message: bytes) -> bytes:
        """Have the server verify an update; return its reply. Raises GssError."""
        found = parse_message(message)
        assert found.tsig is not None
        side = self.sides[found.tsig.name.to_text()]
        side.verify_mic(signed_octets(found.tsig, found.unsigned, None), found.tsig.mac)
        return self.reply(message)

    def reply(self, message: bytes, rcode: int = 0) -> bytes:
        """Return the server's signed reply."""
        found = parse_message(message)
        assert found.tsig is not None
        name = found.tsig.name.to_text()
        body = message[:2] + struct.pack("!5H", 0xA800 | rcode, 0, 0, 0, 0)
        return sign(self.sides[name], name, body, found.tsig.mac)


def signed(key: ManagedKey) -> int:
    """Return how many messages a key has signed."""
    assert isinstance(key.signer, PythonSigner)
    return key.signer.signed


def test_the_newest_usable_key_signs() -> None:
    world = World()
    first, second = world.add(), world.add()
    world.add(usable=False)
    assert world.ring.select() is second
    second.state = State.IN_ERROR
    assert world.ring.select() is first
    world.now = first.expire
    assert world.ring.select() is None
    assert first.state is State.EXPIRED
    assert world.ring.select() is None


def test_a_key_that_is_added_or_changes_its_state_is_selected_at_once() -> None:
    world = World()
    first = world.add()
    assert world.ring.select() is first
    second = world.add()
    world.ring.changed = True  # as the manager says
    assert world.ring.select() is second
    second.state = State.EXPIRED
    assert world.ring.select() is first


def test_a_server_whose_keys_are_full_is_full_and_gets_another() -> None:
    world = World()
    key = world.add()
    assert not key.is_full()
    kept = [world.send(key) for _ in range(MOST_SPAN)]
    assert (key.is_full(), world.needed > 0) == (False, True)
    kept.append(world.send(key))
    assert key.is_full()
    world.add()
    assert not key.is_full()
    del kept[:2]
    assert key.span() == MOST_SPAN - 1


def test_what_does_not_refuse_copies_is_never_full() -> None:
    world = World(**{"gss-replay-flag": False})
    key = world.add()
    kept = [world.send(key) for _ in range(200)]
    assert not key.is_full()
    del kept


def test_the_lifetime_of_a_context_is_counted_from_its_making() -> None:
    world = World()
    key = world.add()
    assert key.plain()["security-context-lifetime"] == 36000
    world.now += 35999
    assert key.plain()["security-context-lifetime"] == 1
    world.now += 1
    assert "security-context-lifetime" not in key.plain()


def test_an_update_and_its_reply_are_signed() -> None:
    world = World()
    key = world.add()
    context, message = world.send(key)
    assert len(message) <= len(_UPDATE) + context.length
    assert read_reply(world.arrive(message), context, WALL) == 0
    assert world.log.entries == ["GSS_TSIG_VERIFIED"]


def test_a_reply_to_another_update_is_refused() -> None:
    world = World()
    key = world.add()
    (first, message), (_, other) = world.send(key), world.send(key)
    world.arrive(message)
    with pytest.raises(ReplyError, match="BADSIG"):
        read_reply(world.arrive(other), first, WALL)
    assert world.log.entries == ["GSS_TSIG_VERIFY_FAILED"]
    assert world.echoes == []


def test_a_key_that_cannot_sign_any_more_is_replaced_in_the_updates_that_chose_it() -> None:
    world = World()
    old = world.add()
    new = world.add()
    old.state = State.EXPIRED
    context, message = world.send(old)
    found = parse_message(message)
    assert found.tsig is not None
    assert found.tsig.name.to_text() == new.name
    assert read_reply(world.arrive(message), context, WALL) == 0


def _echo(message: bytes, rcode: int) -> bytes:
    found = parse_message(message)
    assert found.tsig is not None
    return append_tsig(message[:2] + struct.pack("!5H", 0xA800 | rcode, 0, 0, 0, 0), found.tsig)


@pytest.mark.parametrize(("believes", "rcode", "accepted"), [
    (False, 5, False), (True, 5, True), (True, 6, True), (False, 0, False), (True, 0, False),
])
def test_a_copy_of_the_request_s_signature_counts_only_if_asked_for_and_never_as_success(
    believes: bool, rcode: int, accepted: bool,
) -> None:
    world = World()
    world.ring.believes_echoes = believes
    context, message = world.send(world.add())
    if accepted:
        assert read_reply(_echo(message, rcode), context, WALL) == rcode
        assert world.log.entries == ["GSS_TSIG_IGNORED_BAD_DIRECTION"]
    else:
        with pytest.raises(ReplyError, match="BADSIG"):
            read_reply(_echo(message, rcode), context, WALL)
        assert world.log.entries == ["GSS_TSIG_VERIFY_FAILED"]
    assert world.echoes == [rcode]


def test_a_server_that_does_not_know_the_key_is_noticed() -> None:
    world = World()
    key = world.add()
    context, message = world.send(key)
    found = parse_message(message)
    assert found.tsig is not None
    found.tsig.__dict__.update(mac=b"", error=17)
    unknown = append_tsig(message[:2] + struct.pack("!5H", 0xA809, 0, 0, 0, 0), found.tsig)
    with pytest.raises(ReplyError, match="BADKEY"):
        context.verify(unknown, parse_reply(unknown).tsig, WALL)
    assert (world.ring.unknown_key, world.needed) == (key, 1)


def test_keys_that_a_restarted_server_has_forgotten_sign_only_while_there_is_no_other() -> None:
    world = World()
    first, second, third = (world.add() for _ in range(3))
    world.ring.lost(second)
    assert world.ring.select() is third, "it was made later"
    world.ring.lost(third)
    assert world.ring.select() is third, "there is no other one"
    new = world.add()
    world.ring.changed = True
    world.ring.lost(third)
    assert world.ring.usable(world.now) == [new]
    assert [world.ring.pick(key) for key in (first, second, third, new)] == [new] * 4
    assert world.needed == 1


def test_what_is_no_longer_under_way_does_not_hold_the_context_back() -> None:
    world = World()
    key = world.add()
    for _ in range(1000):
        _, message = world.send(key)  # each one is forgotten when the next is made
        world.arrive(message)
    assert key.span() <= 1
    assert world.needed == 0


def test_a_straggler_makes_another_key_sign() -> None:
    world = World()
    key = world.add()
    straggler = world.send(key)
    second = world.add()
    for _ in range(200):
        context, message = world.send(key)
        read_reply(world.arrive(message), context, WALL)
    assert key.span() <= MOST_SPAN
    assert signed(second) >= 200 - MOST_SPAN
    read_reply(world.arrive(straggler[1]), straggler[0], WALL)


def test_without_anti_replay_one_key_is_enough() -> None:
    world = World(**{"gss-replay-flag": False})
    key = world.add()
    kept = [world.send(key) for _ in range(500)]
    assert (signed(key), world.needed) == (500, 0)
    del kept


def test_so_many_stragglers_that_all_keys_are_full_do_not_stop_updates() -> None:
    world = World()
    key = world.add()
    kept = [world.send(key) for _ in range(200)]
    assert signed(key) == 200
    assert world.needed > 0
    del kept
    for _ in range(MOST_CONTEXTS - 1):
        world.add()
    world.needed = 0
    kept = [world.send(world.ring.keys[-1]) for _ in range(MOST_CONTEXTS * 100)]
    assert world.needed == 0
    del kept


@given(st.lists(st.tuples(st.integers(0, 200), st.booleans()), max_size=400), st.integers(1, 4))
def test_no_update_comes_too_late_for_its_context(plan: list[tuple[int, bool]], contexts: int) -> None:
    """Updates are sent, and arrive in any order; whoever is refused would be a fault of the window."""
    world = World()
    for _ in range(contexts):
        world.add()
    under_way: list[tuple[MessageContext, bytes]] = []
    for place, sends in plan:
        free = any(key.span() <= MOST_SPAN for key in world.ring.keys)
        if sends and free:
            under_way.append(world.send(world.ring.keys[-1]))
        elif under_way:
            context, message = under_way.pop(place % len(under_way))
            assert read_reply(world.arrive(message), context, WALL) == 0
            del context
