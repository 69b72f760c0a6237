"""Keys in time: the first ones, rekeying, retries, expiry; and which servers are meant."""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.data.element import from_plain
from pyd2.errors import HookError
from pyd2.hooks.gss.gssapi import GssError
from pyd2.hooks.gss.keys import State
from pyd2.hooks.gss.manager import Manager
from pyd2.hooks.gss.parameters import parse_parameters
from tests.gss.toy import WALL, Client, Recorder, Server, tkey_answer
from tests.kit.dnswire import parse as parse_message
from tests.kit.waiting import wait_until
from tests.update.support import domain, make_config, simple_map

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.hooks.gss.parameters import GssServer, Parameters


class Timer:
    """A handle of the loop."""

    def __init__(self, call: Callable[..., object], arguments: tuple[object, ...]) -> None:
        self._call: Callable[..., object] | None = call
        self._arguments = arguments

    def cancel(self) -> None:
        """Do not run."""
        self._call = None

    def run(self) -> None:
        """Run unless it was cancelled."""
        if self._call is not None:
            self._call(*self._arguments)


class Loop:
    """An event loop whose time the test moves."""

    def __init__(self) -> None:
        self.now = float(WALL)
        self.posted: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self._timers: list[tuple[float, int, Timer]] = []
        self._number = count()

    def call_soon(self, call: Callable[..., object], *arguments: object) -> None:
        """Run in the next turn; from any thread."""
        self.posted.append((call, arguments))

    call_soon_threadsafe = call_soon

    def call_later(self, delay: float, call: Callable[..., object], *arguments: object) -> Timer:
        """Run after a time."""
        timer = Timer(call, arguments)
        heapq.heappush(self._timers, (self.now + delay, next(self._number), timer))
        return timer

    def turn(self) -> None:
        """Run what was posted."""
        while self.posted:
            call, arguments = self.posted.popleft()
            call(*arguments)

    def advance(self, seconds: float, after_each: Callable[[], None]) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self._timers and self._timers[0][0] <= end:
            self.now, _, timer = heapq.heappop(self._timers)
            timer.run()
            after_each()
        self.now = end


class Log(Recorder):
    """A GssLog."""

    def __init__(self) -> None:
        super().__init__()
        self.server = Recorder()


class World:
    """A manager and a DNS server that agrees."""

    def __init__(self, **parameters: Any) -> None:
        self.loop = Loop()
        self.log = Log()
        entry = {"id": "foo", "ip-address": "127.0.0.1", "port": 5301}
        given = {"server-principal": "DNS/ns.example.org@R", "servers": [entry], **parameters}
        self.fails = ""
        """Why there are no credentials."""
        self.silent = False
        self.asked = 0
        self.manager = Manager(
            parse_parameters(from_plain(given)), self.log,  # type: ignore[arg-type]
            lambda: self.loop.now, self._open, self._ask,
        )
        self.config = make_config(simple_map(
            [domain("a.test.", 5301), domain("b.test.", 5302)], [domain("2.0.192.in-addr.arpa.", 5301)],
        ))
        for ring in self.manager.rings.values():
            assert ring

    def _open(self, _server: GssServer, _parameters: Parameters) -> Client:
        if self.fails:
            raise GssError(self.fails)
        return Client()

    def _ask(self, _server: GssServer, message: bytes) -> bytes:
        self.asked += 1
        if self.silent:
            raise TimeoutError
        name = parse_message(message).zone[0].split()[0]
        return tkey_answer(name, message, Server())

    def start(self) -> None:
        """Begin, and wait for the first agreement."""
        self.manager.start(self.loop)  # type: ignore[arg-type]
        self.settle()

    def settle(self) -> None:
        """Let threads end and their outcomes be used."""
        while self.loop.posted or self.manager._working:
            wait_until(lambda: self.loop.posted, "an agreement to end")
            self.loop.turn()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.loop.advance(seconds, self.settle)

    def states(self, server: str = "foo") -> list[State]:
        """Return the states of a server's keys."""
        return [key.state for key in self.manager.rings[server].keys]

    def statistics(self, server: str = "foo") -> dict[str, int | float | str]:
        """Return the statistics of a server that are not zero."""
        before = f"server[{server}]."
        return {sample.name.removeprefix(before): sample.value for sample in self.manager.statistics.samples()
                if sample.name.startswith(before) and sample.value}


@pytest.fixture(autouse=True)
def _the_toy_s_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyd2.hooks.gss.manager.time.time", lambda: WALL)


def test_a_start_makes_a_key_for_each_server() -> None:
    world = World()
    world.start()
    assert world.states() == [State.USABLE]
    name = world.manager.all_keys()[0].name
    assert name.endswith(".sig-ns.example.org.")
    assert world.log.texts[:4] == [
        "GSS_TSIG_MANAGER_STARTED", f"GSS_TSIG_NEW_KEY {name}", "START_RETRY_TIMER foo 120",
        "TKEY_EXCHANGE_SEND_MESSAGE " + world.log.texts[3].split()[1],
    ]
    assert world.log.texts[-1] == f"GSS_TSIG_NEW_KEY_SETUP_SUCCEED {name}"
    assert world.statistics() == {"gss-tsig-key-created": 1, "tkey-sent": 1, "tkey-success": 1}


def test_a_new_key_is_made_after_the_rekey_interval_and_the_old_one_expires() -> None:
    world = World()
    world.start()
    world.advance(2699)
    assert world.states() == [State.USABLE]
    world.advance(2)
    assert world.states() == [State.USABLE] * 2
    assert "START_REKEY_TIMER foo 2580" in world.log.texts
    assert world.manager.rings["foo"].select() is world.manager.all_keys()[1]
    world.advance(901)
    assert [key.usable(world.loop.now) for key in world.manager.all_keys()] == [False, True]


def test_there_is_always_a_usable_key_while_the_server_answers() -> None:
    world = World(**{"tkey-lifetime": 8, "rekey-interval": 5, "retry-interval": 1})
    world.start()
    for _ in range(200):
        world.advance(0.5)
        assert world.manager.rings["foo"].select() is not None


def test_a_failure_is_tried_again_after_the_retry_interval() -> None:
    world = World()
    world.fails = "no keytab"
    world.start()
    assert world.states() == [State.IN_ERROR]
    assert "GSS_TSIG_NEW_KEY_SETUP_FAILED" in world.log.texts[-1]
    assert world.manager.all_keys()[0].plain()["tkey-status"] == "bad client credentials"
    world.advance(119)
    assert len(world.states()) == 1
    world.fails, world.silent = "", True
    world.advance(2)
    assert world.states() == [State.IN_ERROR] * 2
    world.silent = False
    world.advance(121)
    assert world.states() == [State.IN_ERROR] * 2 + [State.USABLE]
    assert world.statistics() == {
        "gss-tsig-key-created": 3, "tkey-sent": 2, "tkey-success": 1, "tkey-timeout": 1, "tkey-error": 1,
    }


def test_old_keys_are_removed_in_the_end() -> None:
    world = World(**{"tkey-lifetime": 8, "rekey-interval": 5, "retry-interval": 1})
    removed: list[str] = []
    world.manager.on_removed = removed.append
    world.start()
    first = world.manager.all_keys()[0].name
    world.advance(200)
    assert first in removed
    assert len(world.manager.all_keys()) < 12
    assert any(text.startswith("GSS_TSIG_OLD_KEY_REMOVED") for text in world.log.texts)


def test_nothing_waits_for_an_agreement_under_way() -> None:
    world = World()
    begun, may_end = Event(), Event()

    def ask(_server: GssServer, _message: bytes) -> bytes:
        begun.set()
        may_end.wait()
        raise TimeoutError

    world.manager._ask = ask
    world.manager.start(world.loop)  # type: ignore[arg-type]
    world.loop.turn()
    assert begun.wait(60)
    world.manager.stop()
    assert world.manager.all_keys() == []
    may_end.set()
    wait_until(lambda: world.loop.posted, "the thread's end")
    world.loop.turn()
    assert world.manager.all_keys() == []
    assert not any("SETUP" in text for text in world.log.texts)


def test_a_manager_s_keys_sign_for_its_successor_until_that_has_its_own() -> None:
    first, second, other = World(), World(), World(**{"client-keytab": "FILE:/other"})
    first.start()
    (key,) = first.manager.all_keys()
    left = first.manager.stop()
    other.manager.take_over(left)
    second.manager.take_over(left)
    ring = second.manager.rings["foo"]
    assert other.manager.rings["foo"].select() is None
    assert ring.select() is key
    assert ring.pick(key) is key
    assert second.manager.all_keys() == []
    third = World()
    third.manager.take_over(second.manager.stop())
    assert third.manager.rings["foo"].select() is key
    third.start()
    (own,) = third.manager.all_keys()
    assert third.manager.rings["foo"].select() is own
    own.state = State.EXPIRED
    third.loop.now = key.expire
    assert third.manager.rings["foo"].select() is None


@pytest.mark.parametrize(("changed", "stays"), [
    ({"tkey-lifetime": 7200, "rekey-interval": 1000, "retry-interval": 10}, True),
    ({"fallback": True, "tkey-protocol": "UDP", "exchange-timeout": 100}, True),
    ({"client-principal": "DHCP/other@R"}, False),
    ({"gss-replay-flag": False}, False),
])
def test_a_successor_takes_keys_over_whose_account_and_services_are_its_own(
    changed: dict[str, Any], stays: bool,
) -> None:
    first, second = World(), World(**changed)
    first.start()
    (key,) = first.manager.all_keys()
    second.manager.take_over(first.manager.stop())
    assert second.manager.rings["foo"].select() is (key if stays else None)


def test_a_manager_that_has_stopped_goes_on_to_find_the_keys_that_it_has_left() -> None:
    world = World()
    world.start()
    world.manager.match(world.config)
    (key,) = world.manager.all_keys()
    server = world.config.forward_domains[0].servers[0]
    assert world.manager.find(server, here=True).key is key
    world.manager.stop()
    assert world.manager.find(server, here=True).key is key
    world.loop.now = key.expire
    found = world.manager.find(server, here=True)
    assert (found.key, found.ring) == (None, world.manager.rings["foo"])


def test_a_key_that_is_removed_while_it_is_agreed_on_does_not_come_back() -> None:
    world = World()
    world.manager.start(world.loop)  # type: ignore[arg-type]
    world.manager.remove(world.manager.all_keys())
    world.settle()
    assert world.manager.all_keys() == []


def test_a_server_that_does_not_know_a_key_gets_another_at_once_but_not_too_often() -> None:
    world = World()
    world.start()
    ring = world.manager.rings["foo"]
    for _ in range(3):
        ring.lost(ring.keys[-1])
        world.settle()
    assert len(ring.keys) == 2
    world.loop.now += 2
    ring.lost(ring.keys[-1])
    world.settle()
    assert len(ring.keys) == 3
    assert [text.split()[0] for text in world.log.server.texts] == ["PYD2_GSS_TSIG_KEY_UNKNOWN"] * 2


def test_full_contexts_get_another_one() -> None:
    world = World()
    world.start()
    ring = world.manager.rings["foo"]
    update = bytes(12)
    kept = []
    for _ in range(150):
        context = ring.keys[-1].create_context()
        context.sign(update, 1, WALL)
        kept.append(context)
        world.settle()
    assert len(ring.keys) >= 3
    assert max(key.span() for key in ring.keys) <= 64


@pytest.mark.parametrize(("entry", "indexes"), [
    ({}, [(0, 0), (2, 0)]),
    ({"domain-names": ["a.test."]}, [(0, 0)]),
    ({"domain-names": ["2.0.192.in-addr.arpa."]}, [(2, 0)]),
    ({"port": 5302}, [(1, 0)]),
])
def test_the_configuration_s_servers_are_found_by_address_port_and_domain(
    entry: dict[str, Any], indexes: list[tuple[int, int]],
) -> None:
    world = World(servers=[{"id": "foo", "ip-address": "127.0.0.1", "port": 5301, **entry}])
    world.manager.match(world.config)
    domains = [*world.config.forward_domains, *world.config.reverse_domains]
    found = [(place, number) for place, one in enumerate(domains) for number, server in enumerate(one.servers)
             if world.manager.find(server).ring is not None]
    assert found == indexes


def test_updates_under_way_at_a_reload_are_still_signed() -> None:
    entry = {"id": "foo", "ip-address": "127.0.0.1", "port": 5301, "domain-names": ["a.test."]}
    world = World(servers=[entry])
    world.manager.match(world.config)
    before = make_config(simple_map([domain("a.test.", 5301), domain("b.test.", 5302)]))
    first, second = (one.servers[0] for one in before.forward_domains)
    assert world.manager.find(first).ring is world.manager.rings["foo"]
    assert world.manager.find(second).ring is None
    assert world.manager.find(world.config.reverse_domains[0].servers[0]).ring is None


@pytest.mark.parametrize(("servers", "fault"), [
    ([{"id": "a", "ip-address": "127.0.0.2", "port": 5301}], "server info can't be found"),
    ([{"id": "a", "ip-address": "127.0.0.1", "port": 5301, "domain-names": ["a.test.", "c.test."]}],
     "domain 'c.test.' can't be found"),
    ([{"id": name, "ip-address": "127.0.0.1", "port": 5301} for name in "ab"], "duplicate"),
])
def test_servers_that_are_not_configured_are_refused(servers: list[dict[str, Any]], fault: str) -> None:
    world = World(servers=servers)
    with pytest.raises(HookError, match=f"^{fault}$"):
        world.manager.match(world.config)
