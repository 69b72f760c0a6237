"""What much work of one zone may do to the others: a turn of the engine is bounded, whatever waits.

The tests count the work of each call: that is the same on each machine.
"""

import gc
import sys
from base64 import b64decode
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from ipaddress import ip_address
from itertools import pairwise
from math import ceil
from types import FunctionType, ModuleType
from typing import Any

import pytest

from pyd2.backend import make_backend
from pyd2.dns.constants import Rcode
from pyd2.update.engine import EXPIRIES, Engine, Outgoing
from pyd2.update.retry.parking import (
    GRAIN_BITS,
    LOOKS,
    ParkingGroup,
    ParkingGroups,
    leave_slot,
    rounded,
)
from pyd2.update.retry.request import RetryRequest
from pyd2.update.retry.retry_queue import AT_ONCE, SHARE_FULL
from pyd2.update.retry.states import Event
from pyd2.update.schedule.steps import AS_A_STEP, BEGINNING, SENDING, STEP
from pyd2.update.server.lane import MOST_READY, Lane
from tests.kit.dnswire import parse
from tests.update.support import VirtualD2, answer, datagram, domain, make_config, request, simple_map

SICK, HEALTHY = "sick.test.", "healthy.test."
SICK_PORT, HEALTHY_PORT = 1, 2
RETRY = {"enabled": True, "initial-delay": 1.0, "max-delay": 300}
BACKLOG = 2000


class Sick:
    """Two servers: one answers everything, the other as the test sets it; None: not at all."""

    def __init__(self) -> None:
        self.rcode: Rcode | None = None
        self.names: list[str] = []
        """Those that the sick server has taken an update for, in their order."""
        self.healthy = 0
        """Updates that the other one has got."""

    def __call__(self, outgoing: Outgoing, now: float) -> Iterable[tuple[float, bytes]]:
        if outgoing.lane.port == HEALTHY_PORT:
            self.healthy += 1
            return [(0.001, answer(outgoing.message))]
        if self.rcode is None:
            return []
        if self.rcode == Rcode.NOERROR:
            self.names.append(parse(outgoing.message).update[-1].split()[0])
        return [(0.001, answer(outgoing.message, self.rcode))]


def zones(port: int = SICK_PORT, **more: Any) -> dict[str, Any]:
    """Return a configuration with a sick and a healthy zone, and retries."""
    own = {"retry": RETRY, "failover": {"enabled": True}, **more}
    return simple_map([domain(SICK, port), domain(HEALTHY, HEALTHY_PORT)],
                      [domain("10.in-addr.arpa.", port)], {"user-context": {"pyd2": own}})


def ask(number: int, zone: str = SICK, **more: Any) -> dict[str, Any]:
    """Return a request of a host with a name and an address of its own."""
    fields = {"fqdn": f"h{number}.{zone}", "dhcid": f"{number:08X}", "reverse_change": False,
              "ip_address": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"}
    return request(**fields | more)


class Watched:
    """An engine whose calls are counted: what each begins, gives back to a queue and ends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, peer: Sick, **more: Any) -> None:
        self.most = 0
        """The most that a call has done."""
        self._peer = peer
        self._done = 0
        self.d2 = VirtualD2(make_config(zones(**more)), peer, debuglevel=-1, keep_sent=False)
        engine = self.d2.engine
        for place, name in (
            (engine._driver, "begin"), (engine._scheduler, "_route"),
            (engine._scheduler._retry_scheduler, "park"), (engine._scheduler._retry_scheduler, "try_again"),
            (engine._retries, "_overwrite_one"), (engine._retries, "_supersede"),
        ):
            monkeypatch.setattr(place, name, self._counted(getattr(place, name)))
        for name in ("handle_timer", "receive_replies", "put_in_force", "receive_requests"):
            monkeypatch.setattr(engine, name, self._call(getattr(engine, name)))

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            self._done += 1
            return function(*arguments, **named)

        return counted

    def _call(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self._done = 0
            result = function(*arguments, **named)
            self.most = max(self.most, self._done)
            return result

        return call

    @property
    def engine(self) -> Engine:
        return self.d2.engine

    def fill(self, count: int = BACKLOG, **more: Any) -> None:
        for number in range(count):
            self.d2.engine.receive_request(datagram(ask(number, **more)), self.d2.now, self.d2.wall)
        self.d2.flush()

    def healthy(self) -> int:
        """Send a request for the healthy zone; return how many things happened until its update went out."""
        before = self._peer.healthy
        self.d2.request(ask(1 << 20, HEALTHY))
        steps = 0
        while self._peer.healthy == before:
            assert self.d2.step()
            steps += 1
        return steps


@pytest.fixture(name="sick")
def _sick() -> Sick:
    return Sick()


def test_a_backlog_whose_server_goes_down_is_parked_in_parts(
    monkeypatch: pytest.MonkeyPatch, sick: Sick
) -> None:
    watched = Watched(monkeypatch, sick)
    watched.fill()
    while not watched.engine._driver.failover.down:
        assert watched.d2.step()
    assert watched.engine.queued > BACKLOG - STEP * 2
    assert watched.engine.retries < 2 * STEP
    while watched.engine.retries < BACKLOG // 2:
        assert watched.d2.step()
    assert watched.healthy() < 5
    watched.d2.run(watched.d2.now + 10)
    assert watched.engine.retries >= BACKLOG - 2
    assert watched.most <= 2 * STEP


def test_a_backlog_whose_server_comes_back_is_begun_in_parts(
    monkeypatch: pytest.MonkeyPatch, sick: Sick
) -> None:
    watched = Watched(monkeypatch, sick)
    watched.fill()
    watched.d2.run(watched.d2.now + 30)
    assert watched.engine.retries >= BACKLOG - 2
    watched.most = 0
    sick.rcode = Rcode.NOERROR
    while watched.engine.retries >= BACKLOG - 2:
        assert watched.d2.step()
    assert watched.healthy() < 5
    watched.d2.run()
    assert watched.most <= 2 * STEP
    assert watched.d2.counters.tally.done == BACKLOG + 1
    assert len(set(sick.names)) == BACKLOG


def test_a_reload_matches_a_backlog_again_in_parts(monkeypatch: pytest.MonkeyPatch, sick: Sick) -> None:
    """Both that which waits in a lane, and that which waits to be tried again."""
    watched = Watched(monkeypatch, sick)
    watched.fill()
    watched.d2.run(watched.d2.now + 30)
    sick.rcode = Rcode.NOERROR
    watched.most = 0
    watched.d2.configure(make_config(zones(port=3)))
    assert watched.healthy() < 5
    watched.d2.run()
    assert watched.most <= 2 * STEP
    assert watched.d2.counters.tally.done == BACKLOG + 1
    assert not watched.engine._scheduler.busy


@pytest.mark.parametrize("reloads", [1, 2])
def test_a_request_after_a_reload_begins_behind_older_ones_of_its_server(reloads: int) -> None:
    """Also while these have yet to be matched again: a newer request for a name is carried out last."""
    begun: list[bytes] = []

    def peer(outgoing: Outgoing, now: float) -> Iterable[tuple[float, bytes]]:
        begun.append(b64decode(parse(outgoing.message).update[-1].split()[-1]))
        return [(0.001, answer(outgoing.message))]

    one_at_a_time = {"user-context": {"pyd2": {"lanes": {"max-in-flight": 1}}}}
    config = make_config(simple_map([domain(SICK, SICK_PORT, **one_at_a_time)]))
    d2 = VirtualD2(config, peer, debuglevel=-1, keep_sent=False)
    count = 10 * STEP
    for number in range(count):
        d2.engine.receive_request(datagram(ask(number, dhcid=f"{number:08X}")), d2.now, d2.wall)
    for reload in range(reloads):
        d2.configure(config)
        assert d2.engine._scheduler._backlog
        late = count + reload
        d2.engine.receive_request(datagram(ask(0, dhcid=f"{late:08X}")), d2.now, d2.wall)
    assert d2.engine.lanes[0].queued == d2.engine.queued == count + reloads - 1
    d2.run()
    assert begun == [number.to_bytes(4, "big") for number in range(count + reloads)]
    assert d2.engine.lanes[0].queued == d2.engine.queued == 0


def test_one_client_with_very_much_does_not_hold_the_others(
    monkeypatch: pytest.MonkeyPatch, sick: Sick
) -> None:
    """All its requests become late ones at once, when the one before them has failed."""
    watched = Watched(monkeypatch, sick)
    sick.rcode = Rcode.REFUSED
    watched.d2.request(ask(0))
    watched.d2.run(watched.d2.now + 0.5)
    watched.d2.request(ask(1, dhcid="AA"))
    for number in range(2, BACKLOG):
        watched.engine.receive_request(
            datagram(ask(0, dhcid="AA", ip_address=f"10.9.{number >> 8}.{number & 255}")), watched.d2.now,
            watched.d2.wall,
        )
    watched.d2.run(watched.d2.now + 0.5)
    assert watched.engine.retries == BACKLOG
    assert watched.most <= 2 * STEP
    sick.rcode = Rcode.NOERROR
    watched.d2.run()
    assert watched.d2.counters.tally.done == BACKLOG


@pytest.mark.parametrize("removed", [False, True])
def test_rivals_at_one_name_and_address_cost_the_same_however_many_they_are(
    monkeypatch: pytest.MonkeyPatch, sick: Sick, *, removed: bool
) -> None:
    """Requests of different clients that wait for the same name, with and without guard."""
    watched = Watched(monkeypatch, sick)
    sick.rcode = Rcode.REFUSED
    looked_at = 0
    leave = watched.engine._retries._leave_address

    def left(retry: RetryRequest) -> None:
        nonlocal looked_at
        looked_at += 1
        leave(retry)

    monkeypatch.setattr(watched.engine._retries, "_leave_address", left)
    for number in range(BACKLOG):
        watched.d2.request(ask(0, dhcid=f"{number:08X}", reverse_change=True, change_type=int(removed)))
        if not number:
            watched.d2.run(watched.d2.now + 0.01)
    assert watched.engine.retries == BACKLOG
    assert looked_at <= 2
    sick.rcode = Rcode.NOERROR
    watched.d2.run()
    assert watched.d2.counters.tally.done == BACKLOG
    assert watched.most <= 2 * STEP


def test_very_much_that_is_parked_does_not_keep_retries_from_beginning(
    monkeypatch: pytest.MonkeyPatch, sick: Sick
) -> None:
    """Else nothing would find out for long that a server answers again."""
    watched = Watched(monkeypatch, sick)
    watched.fill()
    engine = watched.engine
    looked = 0
    pop = engine._retries.pop

    def counted(now: float) -> RetryRequest | None:
        nonlocal looked
        looked += 1
        return pop(now)

    monkeypatch.setattr(engine._retries, "pop", counted)
    while not engine._driver.failover.down:
        assert watched.d2.step()
    calls = 0
    handle_timer = engine.handle_timer

    def timer(now: float, wall: float) -> None:
        nonlocal looked, calls
        looked = 0
        any_before = engine._retries.any
        handle_timer(now, wall)
        if engine._agenda.postponed and any_before:
            calls += 1
            assert looked > 0

    monkeypatch.setattr(engine, "handle_timer", timer)
    while engine.retries < BACKLOG // 2:
        assert watched.d2.step()
    assert calls > 10


def test_very_much_that_is_to_be_parked_keeps_no_other_client_locked() -> None:
    """Else the ends of other zones pile up behind it, and are dealt with in one turn."""
    healthy: list[Outgoing] = []

    def peer(outgoing: Outgoing, now: float) -> Iterable[tuple[float, bytes]]:
        if outgoing.lane.port == HEALTHY_PORT:
            healthy.append(outgoing)
        return []

    d2 = VirtualD2(make_config(zones()), peer, debuglevel=-1, keep_sent=False)
    for number in range(BACKLOG):
        d2.engine.receive_request(datagram(ask(number)), d2.now, d2.wall)
    d2.flush()
    while len(d2.engine._agenda.postponed) < 100:
        assert d2.step()
    for number in range(2):
        d2.request(ask((1 << 20) + number, HEALTHY, dhcid="AA"))
    d2.step()
    (first,) = healthy
    d2.engine.receive_reply(first.lane, first.slot, answer(first.message), d2.now, d2.wall)
    d2.flush()
    d2.step()
    assert len(healthy) == 2
    assert len(d2.engine._agenda.postponed) >= 90


def test_a_timer_does_less_when_many_tries_have_failed() -> None:
    """Else both together hold the update thread for too long."""
    names = [f"z{number}.test." for number in range(200)]
    body = simple_map([domain(name, 1 + number) for number, name in enumerate(names)])
    begun = []
    for alone in (True, False):
        d2 = VirtualD2(make_config(body), lambda *_: (), debuglevel=-1)
        d2.engine.receive_requests([datagram(ask(number, names[0])) for number in range(32)], d2.now, d2.wall)
        d2.flush()
        now = d2.now + (0.0 if alone else 1.0)
        for number, name in enumerate(names):
            d2.engine.receive_request(datagram(ask(1000 + number, name)), now, d2.wall)
        assert d2.engine.timer() == 0.0
        before = d2.engine.active
        d2.engine.handle_timer(now, d2.wall)
        begun.append(d2.engine.active - before)
    assert begun == [ceil(steps / (BEGINNING + SENDING)) for steps in (STEP, STEP - 32 // AS_A_STEP)]


def test_turns_do_less_when_the_machine_is_slow(monkeypatch: pytest.MonkeyPatch, sick: Sick) -> None:
    """A quarter of the work in each turn, and all of it in the end."""
    sick.rcode = Rcode.NOERROR
    watched = Watched(monkeypatch, sick)
    watched.engine.pace(0.25)
    watched.fill()
    watched.most = 0
    watched.d2.run()
    assert watched.most <= STEP // 2
    assert watched.d2.counters.tally.done == BACKLOG


@pytest.mark.parametrize("same_name", [False, True])
def test_a_request_that_overwrites_very_many_waits_for_that(
    monkeypatch: pytest.MonkeyPatch, sick: Sick, *, same_name: bool
) -> None:
    """They lose their reverse change in parts, before it begins; what comes meanwhile begins behind it."""
    watched = Watched(monkeypatch, sick)
    d2 = watched.d2
    sick.rcode = Rcode.REFUSED
    # Each has begun before the others failed: nothing keeps them apart at their common address.
    for number in range(BACKLOG):
        name = f"h0.{SICK}" if same_name else f"h{number}.{SICK}"
        watched.engine.receive_request(
            datagram(ask(number, fqdn=name, ip_address="10.0.0.1", reverse_change=True)), d2.now, d2.wall
        )
    d2.flush()
    d2.run(d2.now + 0.5)
    assert watched.engine.retries == BACKLOG
    watched.most = 0
    newest: dict[str, Any] = {"ip_address": "10.0.0.1", "forward_change": False, "reverse_change": True}
    for number in range(BACKLOG, BACKLOG + 3):
        d2.request(ask(number, **newest))
        d2.request(ask(number + 100, HEALTHY))
    sick.rcode = Rcode.NOERROR
    d2.run()
    assert watched.most <= 2 * STEP
    assert watched.engine.queued == watched.engine.active == 0
    tally = d2.counters.tally
    assert tally.done + tally.superseded == BACKLOG + 6
    # The PTR is the newest one's, and was not touched after that.
    pointers = [name for name in sick.names if name.endswith("in-addr.arpa.")]
    assert 1 <= len(pointers) <= 3
    assert not watched.engine._retries._addresses


def test_tries_that_fail_at_once_are_dealt_with_in_parts(monkeypatch: pytest.MonkeyPatch, sick: Sick) -> None:
    """A hundred servers, each with a full window, leave all their tries without an answer in one moment."""
    names = [f"z{number}.test." for number in range(100)]
    body = simple_map([domain(name, 100 + number) for number, name in enumerate(names)])
    d2 = VirtualD2(make_config(body), lambda outgoing, now: [], debuglevel=-1, keep_sent=False)
    for number in range(3200):
        d2.engine.receive_request(datagram(ask(number, names[number % 100])), d2.now, d2.wall)
    d2.flush()
    timeouts = []
    while d2.step():
        timeouts.append(d2.counters.update_timeout.value)
    assert d2.counters.tally.failed == 3200
    assert max(after - before for before, after in pairwise(timeouts)) <= EXPIRIES


# Very many servers.


@pytest.mark.parametrize("switches", [{"retry": RETRY}, {"retry": RETRY, "failover": {"enabled": True}}])
def test_very_many_servers_that_do_not_answer_have_no_turn_before_one_that_does(
    switches: dict[str, Any]
) -> None:
    """However many have a backlog, a request for a healthy zone begins in one of the next calls."""
    names = [f"z{number}.test." for number in range(300)]
    body = simple_map(
        [domain(HEALTHY, HEALTHY_PORT), *(domain(name, 100 + number) for number, name in enumerate(names))],
        settings={"user-context": {"pyd2": switches}},
    )
    peer = Sick()
    d2 = VirtualD2(make_config(body), peer, debuglevel=-1, keep_sent=False)
    for number in range(300 * 48):
        d2.engine.receive_request(datagram(ask(number, names[number % 300])), d2.now, d2.wall)
    d2.flush()
    began = d2.now
    for number in range(5):  # with each round of tries that fail
        d2.run(began + 0.5 * number + 0.4)
        for _ in range(30):
            d2.step()
        before, calls = peer.healthy, 0
        d2.request(ask((1 << 20) + number, HEALTHY))
        while peer.healthy == before:
            calls += d2.step()
            assert calls < 5


def test_groups_of_congested_servers_are_not_looked_at_for_each_request() -> None:
    """They are looked at again when fewer transactions wait for free places there."""
    looked_at = 0

    class CountedGroup(ParkingGroup):
        __slots__ = ()

        @property
        def congested(self) -> Lane | None:
            nonlocal looked_at
            looked_at += 1
            return super().congested

    groups = ParkingGroups()
    lanes = [Lane(ip_address("127.0.0.1"), 1 + number) for number in range(100)]
    for number, lane in enumerate(lanes):
        lane.ready.extend([None] * MOST_READY)  # type: ignore[list-item]
        groups._groups[lane,] = CountedGroup((lane,))
        groups.make_ready(ready_retry(number), (lane,))
    assert [groups.pop(0.0) for _ in range(50)] == [None] * 50
    assert looked_at == 100
    assert not groups.any_ready
    lanes[7].ready.pop()
    groups.no_longer_congested(lanes[7])
    found = groups.pop(0.0)
    assert found is not None
    assert found.dhcid == 7
    assert groups.pop(0.0) is None
    assert looked_at <= 102


def test_very_many_groups_are_looked_at_in_parts() -> None:
    """When the pauses of all end in one moment, and when there is a new configuration."""
    groups = ParkingGroups()
    for number in range(100):
        one = ready_retry(number)
        lanes = (Lane(ip_address("127.0.0.1"), 1 + number),)
        groups.wait(one, lanes, 1.0, 0.0)
        if number % 50:  # the others end before: their groups are empty
            leave_slot(one)
    heap, found = groups._heap, []
    while (due := groups.deadline()) is not None and due <= 2.0:
        before = len(heap)
        found.append(groups.pop(2.0))
        assert before - len(heap) <= LOOKS
    assert [one.dhcid for one in found if one is not None] == [0, 50]
    groups.release()
    calls = 0
    while groups._released:
        before = len(groups._released[0])
        assert groups.pop(2.0) is None
        assert before - len(groups._released[0] if groups._released else ()) <= LOOKS
        calls += 1
    assert calls >= 100 / LOOKS


# Containers.


def largest(root: object) -> tuple[int, object]:
    """Return the octets of the largest container that is copied when it grows, and a sample of it."""
    seen: set[int] = set()
    most: tuple[int, object] = (0, None)
    todo: list[object] = [root]
    while todo:
        found = todo.pop()
        if id(found) in seen or isinstance(found, type | ModuleType | FunctionType):
            continue
        seen.add(id(found))
        if isinstance(found, dict | set | list) and sys.getsizeof(found) > most[0]:
            most = sys.getsizeof(found), (type(found), next(iter(found), None))
        todo += gc.get_referents(found)
    return most


def test_no_container_of_the_engine_is_copied_to_grow_with_what_waits(sick: Sick) -> None:
    """A dictionary of 100,000 entries has 5 MB, a list 800 KB; to copy one holds the update thread."""
    count, parked = 100_000, 20_000
    d2 = VirtualD2(make_config(zones()), sick, debuglevel=-1, keep_sent=False)
    fields: dict[str, Any] = {"fqdn": f"h000000.{SICK}", "dhcid": "00000000", "ip_address": "10.100.100.100",
              "reverse_change": True}
    template = datagram(ask(0, **fields))

    def made(number: int) -> bytes:
        high, middle, low = number // 10000, number // 100 % 100, number % 100
        return (template.replace(b"h000000", b"h%06d" % number).replace(b"00000000", b"%08X" % number)
                .replace(b"10.100.100.100", b"10.%d.%d.%d" % (100 + high, 100 + middle, 100 + low)))

    for first in range(0, count, 100):
        d2.engine.receive_requests([made(number) for number in range(first, first + 100)], d2.now, d2.wall)
        d2.flush()
    assert d2.engine.queued + d2.engine.active == count
    assert largest(d2.engine)[0] < 1 << 16, largest(d2.engine)
    while d2.engine.retries < parked:
        assert d2.step()
    assert largest(d2.engine)[0] < 1 << 16, largest(d2.engine)


def test_followers_that_came_before_their_lane_was_known_are_counted(sick: Sick) -> None:
    """The first to follow has no domain, so it says nothing about the server that they wait for."""
    d2 = VirtualD2(make_config(zones()), sick, debuglevel=-1, keep_sent=False)
    d2.request(ask(0, HEALTHY, dhcid="AA"))
    for number, zone in enumerate(("nowhere.test.", HEALTHY, HEALTHY), 1):
        d2.request(ask(number, zone, dhcid="AA"))
    assert sorted(lane.followers for lane in d2.engine.lanes) == [0, 3]
    d2.run()
    assert [lane.followers for lane in d2.engine.lanes] == [0, 0]


def test_a_queue_of_one_client_is_not_copied(sick: Sick) -> None:
    d2 = VirtualD2(make_config(zones()), sick, debuglevel=-1, keep_sent=False)
    for number in range(10):
        d2.request(ask(number, dhcid="AA"))
    (before,) = (followers for part in d2.engine._scheduler.clients.held for followers in part.values())
    d2.run(d2.now + 30)
    queues = [followers for part in d2.engine._scheduler.clients.held for followers in part.values()]
    assert not queues or queues == [before]


def test_the_garbage_collector_sees_the_parts_of_held_clients_as_they_fill(sick: Sick) -> None:
    """One that it saw first when a request queues there would be examined whole, with all others."""
    d2 = VirtualD2(make_config(zones()), sick, debuglevel=-1, keep_sent=False)
    d2.request(ask(0, dhcid="AA"))
    assert [gc.is_tracked(part) for part in d2.engine._scheduler.clients.held if part] == [True]


def ready_retry(number: int) -> RetryRequest:
    """Return a retry that may be parked."""
    (ncr,) = make_backend("plain").packets.read_requests([datagram(ask(number))], None)
    assert not isinstance(ncr, Exception)
    retry = RetryRequest(ncr, number, 0.0)
    retry.change(Event.IS_FIRST)
    return retry


# A turn that has used exactly the steps it may.


def test_sending_is_charged_once_for_each_lane_and_turn() -> None:
    """Also where each update goes out alone."""
    d2 = VirtualD2(make_config(zones()), lambda *_: (), debuglevel=-1)
    d2.engine.receive_requests([datagram(ask(number)) for number in range(30)], d2.now, d2.wall)
    assert (d2.engine.active, d2.engine.queued) == (30, 0)
    assert d2.engine._scheduler._left == STEP - SENDING - 30 * BEGINNING


def _with_all_steps_used() -> VirtualD2:
    """Return a service whose turn has begun as many requests as it may, and has no work left."""
    count = STEP // (BEGINNING + SENDING)
    zones = [domain(f"z{number}.test.", 1 + number) for number in range(count)]
    d2 = VirtualD2(make_config(simple_map(zones)), lambda *_: (), debuglevel=-1)
    for number in range(count):
        d2.engine.receive_request(datagram(ask(number, f"z{number}.test.")), d2.now, d2.wall)
    assert d2.engine._scheduler._left == 0
    assert d2.engine.active == count
    timer = d2.engine.timer()
    assert timer is not None
    assert timer > d2.now
    return d2


def test_what_comes_in_a_turn_without_steps_left_has_the_timer_called_at_once() -> None:
    d2 = _with_all_steps_used()
    active = d2.engine.active
    d2.engine.receive_request(datagram(ask(1 << 20, "z0.test.")), d2.now, d2.wall)
    assert (d2.engine.active, d2.engine.queued, d2.engine.timer()) == (active, 1, 0.0)
    d2.run(d2.now)
    assert (d2.engine.active, d2.engine.queued) == (active + 1, 0)


def test_the_turn_after_one_without_work_left_has_all_its_steps() -> None:
    d2 = _with_all_steps_used()
    active = d2.engine.active
    d2.engine.collect_output()
    d2.engine.receive_request(datagram(ask(1 << 20, "z0.test.")), d2.now, d2.wall)
    assert (d2.engine.active, d2.engine.queued) == (active + 1, 0)


# The timers of retries.


def test_timers_and_memory_are_bounded_by_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that answers once each 15 seconds wakes all that wait each time."""
    answered_at = 0.0

    def peer(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        nonlocal answered_at
        if now - answered_at < 15:
            return []
        answered_at = now
        return [(0.001, answer(outgoing.message))]

    body = zones(retry={"enabled": True, "initial-delay": 1.0, "max-delay": 3600})
    d2 = VirtualD2(make_config(body), peer, debuglevel=-1, keep_sent=False)
    for number in range(600):
        d2.request(ask(number))
    heap = d2.engine._retries._groups
    most = 0
    for _ in range(1000):
        d2.run(d2.now + 4)
        most = max(most, len(heap._heap) - 2 * d2.engine.retries)
    assert 200 < d2.engine.retries < 600
    assert most <= 200
    gc.collect()
    waiting = d2.engine._retries._all
    ended = [found for found in gc.get_objects() if isinstance(found, RetryRequest) and found not in waiting]
    assert not ended


@pytest.mark.parametrize("pause", [0.1, 1.0, 1.5, 299.0, 3600.0, 1e6])
def test_pauses_are_rounded_up_a_little(pause: float) -> None:
    for now in (0.0, 1.0, 12345.678, 1e7):
        due = rounded(pause, now)
        assert now + pause <= due <= now + pause * (1 + 2.0**-GRAIN_BITS)
    ends = {rounded(pause + pause * number / 100000, 1000.0) for number in range(100000)}
    assert len(ends) <= 1 + 2 ** (GRAIN_BITS + 1)


# The share of the queue of each domain.


def shared(sick: Sick, **more: Any) -> VirtualD2:
    sick.rcode = Rcode.REFUSED
    own = {"retry": RETRY, "queue": {"max-entries": 100}}
    domains = [domain(SICK, SICK_PORT), domain("ill.test.", SICK_PORT), domain(HEALTHY, HEALTHY_PORT)]
    body = simple_map(domains,
                      settings={"user-context": {"pyd2": own}})
    return VirtualD2(make_config(body), sick, **more)


def logged_given_up(d2: VirtualD2) -> list[str]:
    return d2.log.texts("PYD2_RETRY_SHARE_FULL")


def test_a_zone_that_stays_refused_leaves_half_of_the_queue(sick: Sick) -> None:
    d2 = shared(sick)
    for number in range(300):
        d2.request(ask(number))
        d2.run(d2.now + 0.01)
    tally = d2.counters.tally
    assert (d2.engine.retries, tally.failed, tally.lost) == (50, 250, 0)
    assert d2.log.ids.count("DHCP_DDNS_ADD_FAILED") == 250
    dead = d2.pop_dead_letters()
    assert len(dead) == 250
    assert "REFUSED from 127.0.0.1 port:1; the retries of its domain" in dead[0].reason
    (text,) = logged_given_up(d2)
    assert text.startswith("50 requests of domain sick.test. wait for a retry, which is its share")
    assert "abandoned (1 since the last" in text
    for number in range(300, 400):
        d2.request(ask(number, HEALTHY))
        d2.run(d2.now + 0.01)
    assert (tally.done, tally.lost) == (100, 0)
    # Another zone that fails has a share, too, and after a minute the message is logged again.
    for number in range(400, 500):
        d2.request(ask(number, "ill.test."))
    d2.run(d2.now + 60)
    assert d2.engine.retries == 75
    d2.request(ask(500))
    d2.run(d2.now + 0.1)
    assert "sick.test." in logged_given_up(d2)[-1]
    assert "250 since the last" in logged_given_up(d2)[-1]
    sick.rcode = Rcode.NOERROR
    d2.run()
    assert tally.done == 100 + 75
    assert d2.engine.queued == 0


def test_what_would_wait_behind_a_late_one_counts_as_well(sick: Sick) -> None:
    d2 = shared(sick)
    for number in range(80):
        d2.request(ask(0, dhcid=f"{number:08X}"))
        if not number:
            d2.run(d2.now + 0.01)
    assert (d2.engine.retries, d2.counters.tally.failed) == (50, 30)
    assert d2.log.ids.count("PYD2_RETRY_ABANDONED") == 30
    assert d2.pop_dead_letters()[0].reason == SHARE_FULL


def test_what_begins_behind_a_late_ptr_change_counts_as_well(sick: Sick) -> None:
    """It is tried once, whatever waits, since it may be for a server that works."""
    own = {"retry": RETRY, "queue": {"max-entries": 100}}
    body = simple_map([domain(SICK, SICK_PORT), domain(HEALTHY, HEALTHY_PORT)],
                      [domain("10.in-addr.arpa.", HEALTHY_PORT)], {"user-context": {"pyd2": own}})
    sick.rcode = Rcode.REFUSED
    d2 = VirtualD2(make_config(body), sick)
    for number in range(80):
        d2.request(ask(number, ip_address="10.0.0.1", reverse_change=True))
        d2.run(d2.now + 0.01)
    d2.request(ask(80, HEALTHY, ip_address="10.0.0.1", reverse_change=True))
    d2.run(d2.now + 0.01)
    tally = d2.counters.tally
    assert (d2.engine.retries, tally.failed, tally.done) == (50, 30, 1)
    assert len(d2.pop_dead_letters()) == 30


def test_a_held_request_goes_on_though_a_newer_one_is_held_too(sick: Sick) -> None:
    """Between the two is one that is under way. All but the first one fail, or their lease ends."""
    body = simple_map([domain(SICK, SICK_PORT)], [domain("10.in-addr.arpa.", HEALTHY_PORT)],
                      {"user-context": {"pyd2": {"retry": RETRY}}})
    sick.rcode = Rcode.REFUSED
    d2 = VirtualD2(make_config(body), sick, debuglevel=-1, keep_sent=False)
    same: dict[str, Any] = {"ip_address": "10.0.0.1", "reverse_change": True}
    for number in range(BACKLOG):
        d2.engine.receive_request(datagram(ask(number, **same)), d2.now, d2.wall)
    d2.flush()
    d2.run(d2.now + 0.5)
    sick.rcode = None
    same["forward_change"] = False
    d2.engine.receive_request(datagram(ask(BACKLOG, **same)), d2.now, d2.wall)
    for number in range(2 * AT_ONCE):  # for one name: only the first may begin
        newer = ask(BACKLOG + 1 + number, fqdn=f"h.{SICK}", **same | {"forward_change": True})
        d2.engine.receive_request(datagram(newer), d2.now, d2.wall)
    ended = f"{datetime.fromtimestamp(d2.wall, UTC):%Y%m%d%H%M%S}"
    newest = ask(2 * BACKLOG, lease_expires_on=ended, **same)
    d2.engine.receive_request(datagram(newest), d2.now, d2.wall)
    d2.run(d2.now + 5)
    sick.rcode = Rcode.NXRRSET
    d2.run()
    assert d2.engine.queued == 0
    assert (d2.counters.tally.done, d2.counters.tally.expired) == (1, 1)


def reverse_zone_apart(sick_reverse: bool) -> dict[str, Any]:
    """Return a configuration with the reverse zone at the sick server, or else at the healthy one."""
    own = {"retry": RETRY, "queue": {"max-entries": 100}}
    reverse = domain("10.in-addr.arpa.", SICK_PORT if sick_reverse else HEALTHY_PORT)
    return simple_map([domain(SICK, SICK_PORT), domain(HEALTHY, HEALTHY_PORT)], [reverse],
                      {"user-context": {"pyd2": own}})


@pytest.mark.parametrize("forward", [False, True])
def test_removals_that_wait_for_a_ptr_change_count_as_well(sick: Sick, *, forward: bool) -> None:
    """Else they fill the queue, though the server of their forward change works."""
    sick.rcode = Rcode.REFUSED
    d2 = VirtualD2(make_config(reverse_zone_apart(sick_reverse=True)), sick)
    for number in range(60):
        d2.request(ask(number, HEALTHY, reverse_change=True))
    d2.run(d2.now + 0.01)
    assert (d2.engine.retries, d2.counters.tally.failed) == (50, 10)
    for number in range(50):
        d2.request(ask(number, HEALTHY, reverse_change=True, change_type=1, forward_change=forward))
    d2.run(d2.now + 0.1)
    assert (d2.engine.retries, d2.counters.tally.failed) == (50, 60)
    # What takes the place of an older one is accepted.
    for number in range(50):
        d2.request(ask(100 + number, HEALTHY, ip_address=f"10.0.0.{number}", reverse_change=True))
    d2.run(d2.now + 30)
    assert (d2.engine.retries, d2.counters.tally.failed) == (50, 60)
    sick.rcode = Rcode.NOERROR
    d2.run()
    assert d2.counters.tally.done == 50
    assert d2.engine.queued == 0


def test_what_has_no_place_does_not_wait_for_a_server_that_is_down(sick: Sick) -> None:
    """It came for an address whose PTR an older one is to change, and so has not begun yet."""
    d2 = VirtualD2(make_config(reverse_zone_apart(sick_reverse=False)), sick)
    for number in range(50):
        d2.request(ask(number, ip_address="10.0.0.1", reverse_change=True))
    d2.run(d2.now + 60)
    assert d2.engine.queued + d2.engine.active == 50
    for number in range(50, 80):
        d2.request(ask(number, ip_address="10.0.0.1", reverse_change=True))
        d2.run(d2.now + 0.01)
    d2.run(d2.now + 30)
    assert d2.engine.queued + d2.engine.active <= 51
    assert d2.counters.tally.failed >= 29


def test_a_newer_request_takes_the_place_of_its_own_older_one(sick: Sick) -> None:
    """The share is no reason to keep the older one and give up the newer."""
    d2 = shared(sick)
    for number in range(60):
        d2.request(ask(number))
        d2.run(d2.now + 0.01)
    d2.pop_dead_letters()
    for number in range(50):
        d2.request(ask(number, lease_length=7200))
    d2.run(d2.now + 0.01)
    assert (d2.engine.retries, d2.counters.tally.superseded, d2.pop_dead_letters()) == (50, 50, [])


def test_the_share_holds_for_requests_of_the_durable_queue(sick: Sick) -> None:
    """Those are never turned away when they come; after a restart they come all at once."""
    d2 = shared(sick)
    for number in range(1, 91):
        d2.engine.receive_request(datagram(ask(number)), d2.now, d2.wall, number)
    d2.flush()
    d2.run(d2.now + 0.5)
    assert d2.engine.retries == 50
    assert len(d2.pop_finished()) == len(d2.pop_dead_letters()) == 40


# The share of the queue of each server.


@pytest.mark.parametrize("one_client", [False, True])
def test_what_waits_for_a_silent_server_leaves_half_of_the_queue(sick: Sick, *, one_client: bool) -> None:
    """Also when it stands behind other requests of its client; what is lost is counted and logged."""
    domains = [domain(SICK, SICK_PORT), domain(HEALTHY, HEALTHY_PORT)]
    body = simple_map(domains, settings={"user-context": {"pyd2": {"queue": {"max-entries": 400}}}})
    d2 = VirtualD2(make_config(body), sick)
    client = {"dhcid": "AA"} if one_client else {}
    d2.request(ask(0, **client))
    d2.run(d2.now + 1)  # the server is silent once a try has timed out
    for number in range(1, 1000):
        d2.engine.receive_request(datagram(ask(number, **client)), d2.now, d2.wall)
    lost = d2.counters.queue_full.value
    assert d2.engine.queued == 200
    assert lost == d2.counters.tally.lost == 1000 - d2.engine.queued - d2.engine.active
    (text,) = d2.log.texts("PYD2_QUEUE_SHARE_FULL")
    assert f"DNS server {d2.engine.lanes[0].text}" in text
    for number in range(100):
        d2.request(ask((1 << 20) + number, HEALTHY))
    d2.run()
    assert d2.counters.queue_full.value == lost
    assert d2.counters.tally.done == 100
    assert d2.counters.tally.failed == 1000 - lost
    assert all(lane.queued == 0 for lane in d2.engine.lanes)


def shared_by_two(*, backup: bool) -> dict[str, Any]:
    """Return a configuration with a second server: as a backup, or as the server of a reverse zone."""
    servers = (HEALTHY_PORT, SICK_PORT) if backup else (HEALTHY_PORT,)
    reverse = domain("10.in-addr.arpa.", *servers) if backup else domain("10.in-addr.arpa.", SICK_PORT)
    return simple_map([domain(HEALTHY, *servers)], [reverse],
                      {"user-context": {"pyd2": {"queue": {"max-entries": 400}}}})


@pytest.mark.parametrize("backup", [False, True])
def test_a_server_that_answers_may_use_the_whole_queue(sick: Sick, *, backup: bool) -> None:
    """A backup, or a reverse zone on its own server, takes none of it away."""
    d2 = VirtualD2(make_config(shared_by_two(backup=backup)), sick, debuglevel=0, keep_sent=False)
    for number in range(390):
        d2.engine.receive_request(datagram(ask(number, HEALTHY)), d2.now, d2.wall)
    d2.run()
    tally = d2.counters.tally
    assert (tally.done, tally.lost) == (390, 0)


def test_a_silent_server_has_no_share_if_all_requests_begin_there(sick: Sick) -> None:
    """Its backup gets them from there, so there is nothing to keep places for."""
    body = simple_map([domain(SICK, SICK_PORT, HEALTHY_PORT)],
                      settings={"user-context": {"pyd2": {"queue": {"max-entries": 400}}}})
    d2 = VirtualD2(make_config(body), sick, debuglevel=0, keep_sent=False)
    d2.request(ask(0))
    d2.run(d2.now + 1)
    for number in range(1, 391):
        d2.engine.receive_request(datagram(ask(number)), d2.now, d2.wall)
    d2.run()
    tally = d2.counters.tally
    assert (tally.done, tally.lost) == (391, 0)


def test_the_only_server_may_use_the_whole_queue(sick: Sick) -> None:
    body = simple_map([domain(SICK, SICK_PORT)],
                      settings={"user-context": {"pyd2": {"queue": {"max-entries": 400}}}})
    d2 = VirtualD2(make_config(body), sick)
    for number in range(1000):
        d2.engine.receive_request(datagram(ask(number)), d2.now, d2.wall)
    assert d2.engine.queued == 400
    assert not d2.log.texts("PYD2_QUEUE_SHARE_FULL")
