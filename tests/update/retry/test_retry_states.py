"""Retries under random histories: in the end the zones must be as if nothing had ever been wrong.

Behind the servers is one set of zones, kept by the rules of RFC 2136. The test lets servers be silent,
refuse, lose answers and come back, in a stream of requests with reconfigurations and restarts. Then all
servers work again, and the test compares the zones with those of an undisturbed daemon.
"""

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import pyd2.update
from pyd2.dns.constants import Rcode
from pyd2.queue.ncrs import with_changes
from pyd2.update.engine import Outgoing
from pyd2.update.retry.request import RetryRequest
from pyd2.update.retry.states import MEANINGS, RULES, Event, State, TransitionError, next_state
from tests.kit.dnswire import parse
from tests.update.support import VirtualD2, answer, datagram, domain, draws, make_config, request, simple_map

# The engine draws at random; here always the same, so that a failure can be repeated.
DRAWN = random.Random(4703)
BITS = [DRAWN.getrandbits(32) for _ in range(20000)]


class Zones:
    """What an RFC 2136 primary holds, as far as a D2 needs one."""

    def __init__(self) -> None:
        self.names: dict[str, dict[str, set[str]]] = {}
        """Owner to type to data."""

    def carry_out(self, message: bytes) -> Rcode:
        """Check the prerequisites and carry an update out."""
        parsed = parse(message)
        for record in parsed.prereq:
            owner, _, rr_class, rr_type, *data = record.split()
            sets = self.names.get(owner, {})
            if rr_class == "NONE" and rr_type == "ANY" and sets:
                return Rcode.YXDOMAIN
            if rr_class == "ANY" and rr_type == "ANY" and not sets:
                return Rcode.NXDOMAIN
            if rr_class == "NONE" and rr_type != "ANY" and rr_type in sets:
                return Rcode.YXRRSET
            if rr_class == "ANY" and rr_type != "ANY" and rr_type not in sets:
                return Rcode.NXRRSET
            if rr_class == "IN" and sets.get(rr_type) != {" ".join(data)}:
                return Rcode.NXRRSET
        for record in parsed.update:
            owner, _, rr_class, rr_type, *data = record.split()
            sets = self.names.setdefault(owner, {})
            if rr_class == "IN":
                sets.setdefault(rr_type, set()).add(" ".join(data))
            elif rr_class == "NONE":
                sets.get(rr_type, set()).discard(" ".join(data))
            elif rr_type == "ANY":
                sets.clear()
            else:
                sets.pop(rr_type, None)
            for empty in [name for name, values in sets.items() if not values]:
                del sets[empty]
            if not sets:
                del self.names[owner]
        return Rcode.NOERROR


# Each client has names of its own in two zones, and addresses of its own in both families. In each zone it
# also wants a name that has records but no DHCID: with two of the three modes this fails for good.
CLIENTS = range(3)
MODES = ["check-with-dhcid", "no-check-with-dhcid", "check-exists-with-dhcid"]
FAULTS = ["none", "silent", "deaf", Rcode.SERVFAIL, Rcode.REFUSED, Rcode.NOTAUTH]
"""``silent``: takes no update; ``deaf``: carries them out, and its answers are lost."""
PORTS = (1, 2, 3)


def _config(a: tuple[int, ...], b: tuple[int, ...], *, failover: bool, forward: bool) -> Any:
    own = {
        "retry": {"enabled": True, "initial-delay": 1, "max-delay": 20},
        "failover": {"enabled": failover, "partial-success": failover},
        "lanes": {"max-in-flight": 2},
    }
    reverse = [domain("2.0.192.in-addr.arpa.", *b), domain("8.b.d.0.1.0.0.2.ip6.arpa.", *a)]
    names = [domain("a.test.", *a), domain("b.test.", *b)] if forward else []
    return make_config(simple_map(names, reverse, {"user-context": {"pyd2": own}}))


def _reachable(state: State) -> set[State]:
    """Return the states that the table leads to from one, in any number of changes."""
    found, todo = {state}, [state]
    while todo:
        before = todo.pop()
        new = {rule.to for rule in RULES if rule.state is before} - found
        found |= new
        todo += new
    return found


REACHABLE = {state: _reachable(state) for state in State}


def _zones() -> Zones:
    zones = Zones()
    for client in CLIENTS:
        for zone in "ab":
            zones.names[f"taken{client}.{zone}.test."] = {"TXT": {"in use"}}
    return zones


class RetryStates(RuleBasedStateMachine):
    """The test plays the DHCP server, the DNS servers, the operator and the machine that loses power."""

    failover = False
    families = 1
    forward = True
    """Whether there are forward zones."""
    apart = 10
    """How far the addresses of one client are from those of the next one; 0: all have the same."""
    shares_names = False
    """Whether all clients have the same names."""

    def __init__(self) -> None:
        super().__init__()
        self.configs = [
            _config(a, b, failover=self.failover, forward=self.forward)
            for a, b in (((1,), (2,)), ((1, 2), (3, 1)), ((3, 2, 1), (2,)))
        ]
        self.config = 0
        self.zones = _zones()
        self.faults: dict[int, str | Rcode] = dict.fromkeys(PORTS, "none")
        self.requests: list[bytes] = []
        self.held: dict[int, bytes] = {}
        """What the durable queue would hold, by number."""
        self.seen: dict[RetryRequest, State] = {}
        """The retries that have not ended, with the state that each had when the test looked last."""
        self.d2 = self.start()

    def start(self) -> VirtualD2:
        d2 = VirtualD2(self.configs[self.config], self.take, debuglevel=-1, keep_sent=False)
        d2.engine._driver.tries.random = draws(BITS)
        self.seen = {}
        return d2

    def take(self, outgoing: Outgoing, now: float) -> Iterable[tuple[float, bytes]]:
        fault = self.faults[outgoing.lane.port]
        if fault == "silent":
            return ()
        rcode = fault if isinstance(fault, Rcode) else self.zones.carry_out(outgoing.message)
        return () if fault == "deaf" else [(0.002, answer(outgoing.message, rcode))]

    def give(self, number: int, data: bytes) -> None:
        self.d2.engine.receive_request(data, self.d2.now, self.d2.wall, number)
        self.d2.flush()

    @rule(client=st.sampled_from(CLIENTS), zone=st.sampled_from("ab"), host=st.integers(0, 1),
          change=st.sampled_from([0, 0, 1]), data=st.data(),
          ways=st.sampled_from([(True, True), (True, True), (True, False), (False, True)]))
    def request(self, client: int, zone: str, host: int, change: int, data: st.DataObject,
                ways: tuple[bool, bool]) -> None:
        self.ask(client, zone, host, data.draw(st.integers(1, self.families)), change, ways)

    @rule(client=st.sampled_from(CLIENTS), zone=st.sampled_from("ab"), host=st.integers(0, 1),
          data=st.data(), change_and_ways=st.sampled_from([
              (0, (True, True)), (0, (True, True)), (1, (True, True)), (1, (False, True)),
          ]))
    def request_for_a_taken_name(self, client: int, zone: str, host: int, data: st.DataObject,
                                 change_and_ways: tuple[int, tuple[bool, bool]]) -> None:
        change, ways = change_and_ways
        family = data.draw(st.integers(1, self.families))
        self.ask(client, zone, host, family, change, ways, name="taken")

    def ask(self, client: int, zone: str, host: int, family: int, change: int = 0,
            ways: tuple[bool, bool] = (True, True), name: str = "h") -> None:
        """Let a request come."""
        if not (self.forward or ways[1]):
            return  # there would be nothing to do
        number = self.apart * client + host
        ncr = request(
            dhcid=f"{client:08X}", change_type=change,
            fqdn=f"{name}{0 if self.shares_names else client}.{zone}.test.",
            ip_address=f"192.0.2.{number}" if family == 1 else f"2001:db8::{number:x}",
            conflict_resolution_mode=MODES[client % len(MODES)], lease_expires_on="29991231235959",
            forward_change=ways[0], reverse_change=ways[1],
        )
        self.requests.append(datagram(ncr))
        number = len(self.requests)
        self.held[number] = self.requests[-1]
        self.give(number, self.requests[-1])

    @rule(port=st.sampled_from(PORTS), fault=st.sampled_from(FAULTS))
    def break_server(self, port: int, fault: str | Rcode) -> None:
        self.faults[port] = fault

    @rule(port=st.sampled_from(PORTS))
    def mend_server(self, port: int) -> None:
        self.faults[port] = "none"

    @rule(seconds=st.sampled_from([0.001, 0.3, 2.0, 7.0, 60.0]))
    def wait(self, seconds: float) -> None:
        until = self.d2.now + seconds
        self.d2.run(until)
        self.d2.now = until

    @rule(number=st.integers(0, 2))
    def reconfigure(self, number: int) -> None:
        self.config = number
        self.d2.configure(self.configs[number])

    @rule()
    def restart(self) -> None:
        self.forget_finished()
        self.d2 = self.start()
        for number, data in [*self.held.items()]:
            self.give(number, data)

    def forget_finished(self) -> None:
        amended, self.d2.amended = self.d2.amended, []
        for number, forward, reverse in amended:
            self.held[number] = with_changes(self.held[number], forward=forward, reverse=reverse)
        for number in self.d2.pop_finished():
            del self.held[number]

    @invariant()
    def each_request_is_somewhere(self) -> None:
        self.forget_finished()
        tally = self.d2.counters.tally
        gone = tally.done + tally.failed + tally.superseded
        assert tally.unmatched == tally.expired == tally.lost == 0
        engine = self.d2.engine
        assert tally.received == gone + engine.queued + engine.active
        assert len(self.held) == engine.queued + engine.active

    @invariant()
    def states_change_by_the_table(self) -> None:
        for retry in self.d2.engine._retries._all:
            self.seen.setdefault(retry, State.NEW)
        for retry, before in self.seen.items():
            assert retry.state in REACHABLE[before]
        self.seen = {retry: retry.state for retry in self.seen if retry.state is not State.ENDED}
        assert set(self.seen) == set(self.d2.engine._retries._all)

    def teardown(self) -> None:
        self.faults = dict.fromkeys(PORTS, "none")
        self.d2.run()
        self.each_request_is_somewhere()
        engine = self.d2.engine
        assert not self.held
        self.states_change_by_the_table()
        assert not self.seen
        assert (engine.active, engine.queued, engine.retries, engine.timer()) == (0, 0, 0, None)
        assert not any(engine._scheduler.clients.held)
        assert not engine._retries._names
        assert not engine._retries._addresses
        assert not engine._retries.shares._shares
        assert engine._retries.octets == engine._limit.octets == 0
        found, self.zones = self.zones, _zones()
        self.d2 = self.start()
        for data in self.requests:
            self.give(0, data)
            self.d2.run()
        assert found.names == self.zones.names


class FailoverStates(RetryStates):
    """The same with fail-over, and clients with addresses of both families."""

    failover = True
    families = 2


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_what_is_not_in_the_table_is_refused(state: State, event: Event) -> None:
    allowed = [rule.to for rule in RULES if (rule.state, rule.event) == (state, event)]
    if allowed:
        assert [next_state(state, event)] == allowed
    else:
        with pytest.raises(TransitionError, match=f"{state.name} cannot change by {event.name}"):
            next_state(state, event)


def test_each_state_is_explained_and_reached_and_left_but_for_the_first_and_the_last() -> None:
    assert set(MEANINGS) == set(State)
    assert {rule.to for rule in RULES} == set(State) - {State.NEW}
    assert {rule.state for rule in RULES} == set(State) - {State.ENDED}


def test_only_the_table_changes_a_state() -> None:
    """``RetryRequest.state`` is a property that cannot be set; the attribute behind it is its module's."""
    package = Path(pyd2.update.__file__).parent
    modules = [path.name for path in package.rglob("*.py") if "._state" in path.read_text()]
    assert modules == ["request.py"]
    assert vars(RetryRequest)["state"].fset is None


def test_nothing_is_left_of_a_retry_that_waits_for_its_client() -> None:
    """A newer one overwrites its reverse change, all that is left of it, when it has its next try already."""
    states = FailoverStates()
    states.break_server(2, Rcode.REFUSED)
    states.break_server(1, "silent")
    states.ask(1, "a", 1, 1)
    states.ask(2, "a", 0, 1)
    states.wait(2.0)
    states.mend_server(2)
    states.break_server(1, Rcode.REFUSED)
    states.ask(2, "b", 1, 2, ways=(False, True))
    states.wait(7.0)
    states.wait(60.0)
    states.ask(0, "a", 0, 2)
    states.ask(1, "a", 1, 1)
    states.wait(0.3)
    states.ask(2, "a", 0, 1)
    states.break_server(1, "silent")
    states.wait(2.0)
    states.ask(2, "a", 1, 2)
    states.teardown()


def moved(broken: int) -> RetryStates:
    """Return the states after a client has moved from ``b.test.`` to ``a.test.`` while a server refused.

    A removal looks for a PTR of its own name. The PTR of the earlier name must go all the same, which the
    addition would have replaced. ``a.test.`` is at port 1; ``b.test.`` and the addresses are at port 2.
    """
    states = RetryStates()
    states.ask(0, "b", 0, 1)
    states.wait(0.3)
    states.break_server(broken, Rcode.REFUSED)
    states.ask(0, "a", 0, 1)
    states.wait(0.3)
    return states


def end(states: RetryStates, *, restarts: bool) -> None:
    """Let all servers work again, after a restart if one is wanted, and compare the zones."""
    if restarts:
        states.restart()
    states.mend_server(2)
    states.wait(60.0)
    states.teardown()


@pytest.mark.parametrize("ways", [(True, True), (False, True)])
@pytest.mark.parametrize("restarts", [False, True])
def test_the_ptr_of_an_earlier_name_goes_with_the_addition_that_could_not_replace_it(
    *, ways: tuple[bool, bool], restarts: bool
) -> None:
    states = moved(broken=2)
    states.ask(0, "a", 0, 1, change=1, ways=ways)
    states.wait(0.3)
    end(states, restarts=restarts)


@pytest.mark.parametrize("restarts", [False, True])
def test_the_ptr_of_an_earlier_name_goes_with_a_removal_of_the_ptr_only(*, restarts: bool) -> None:
    """The addition keeps its forward change, so the removal itself removes whatever is there."""
    states = moved(broken=1)
    states.break_server(2, Rcode.REFUSED)
    states.ask(0, "a", 0, 1, change=1, ways=(False, True))
    states.wait(0.3)
    end(states, restarts=restarts)


@pytest.mark.parametrize("restarts", [False, True])
def test_an_addition_does_not_set_its_ptr_after_a_removal_that_waited_behind_it(*, restarts: bool) -> None:
    states = moved(broken=1)
    states.ask(0, "a", 0, 1, change=1)
    states.break_server(2, Rcode.REFUSED)
    states.mend_server(1)
    states.wait(7.0)
    assert states.d2.engine.retries
    end(states, restarts=restarts)


@pytest.mark.parametrize("restarts", [False, True])
def test_a_request_that_fails_for_good_takes_no_ptr_change_from_an_older_one(*, restarts: bool) -> None:
    states = RetryStates()
    states.break_server(2, Rcode.REFUSED)
    states.ask(0, "a", 0, 1)
    states.wait(0.3)
    states.ask(0, "a", 0, 1, name="taken")
    states.wait(0.3)
    end(states, restarts=restarts)


def test_a_removal_of_its_ptr_waits_for_an_addition_that_may_fail_for_good() -> None:
    """That of another name must stay then."""
    states = RetryStates()
    states.ask(0, "b", 0, 1)
    states.wait(0.3)
    states.break_server(1, Rcode.REFUSED)
    states.ask(0, "a", 0, 1, name="taken")
    states.wait(0.3)
    states.ask(0, "a", 0, 1, change=1, ways=(False, True), name="taken")
    states.wait(0.3)
    states.mend_server(1)
    end(states, restarts=False)


def test_a_removal_that_fails_for_good_leaves_the_ptr_of_an_addition() -> None:
    """The name has another address by then (YXRRSET)."""
    states = RetryStates()
    states.break_server(2, Rcode.REFUSED)
    states.ask(0, "a", 0, 1)
    states.wait(0.3)
    states.ask(0, "a", 1, 1)
    states.wait(0.3)
    states.ask(0, "a", 0, 1, change=1)
    states.wait(0.3)
    end(states, restarts=False)


def test_the_zones_are_as_if_nothing_had_been_wrong() -> None:
    how = settings(max_examples=100, stateful_step_count=40, deadline=None)
    run_state_machine_as_test(RetryStates, settings=how)


def test_the_same_with_fail_over() -> None:
    how = settings(max_examples=100, stateful_step_count=40, deadline=None)
    run_state_machine_as_test(FailoverStates, settings=how)
