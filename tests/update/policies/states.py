"""Four clients, two families, two names, in any order and with losses: no client changes what is another's.

``World.check`` sees each update that the primary carries out. Where nothing overlaps and nothing is lost, the
names hold afterwards what the tables of docs/policies.md say, which ``Table`` has a second time.
"""

from __future__ import annotations

import random
from typing import Final

import dns.update
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.kit import ncr
from tests.update.policies.rows import dhcid_of, shown
from tests.update.policies.world import World, policy_map
from tests.update.support import draws

ADDRESSES: Final = {
    "X": ("192.0.2.1", "192.0.2.2"), "Y": ("192.0.2.3", "192.0.2.4"),
    "V": ("2001:db8::1", "2001:db8::2"), "W": ("2001:db8::3", "2001:db8::4"),
}
STATIC: Final = ("192.0.2.200", "2001:db8::200")
NAMES: Final = ("h1.a.test.", "h2.a.test.")
_BITS: Final = [random.Random(4703).getrandbits(32) for _ in range(3000)]


class Table:
    """What a name holds after a request, if nothing else happens meanwhile."""

    def __init__(self, *, dual_stack: bool, adopt: bool) -> None:
        self.dual_stack = dual_stack
        self.adopt = adopt

    def after(
        self, before: frozenset[tuple[str, str]], name: str, client: str, address: str, change: int
    ) -> frozenset[tuple[str, str]]:
        own, other = ("A", "AAAA") if client in "XY" else ("AAAA", "A")
        mine = shown(f"DHCID {client}", name)
        guards = {each for each in before if each[0] == "DHCID"}
        family = {each for each in before if each[0] == own}
        rivals = {shown(f"DHCID {each}", name) for each in ("XY" if client in "XY" else "VW")} - {mine}
        alone = guards == {mine}
        shared = self.dual_stack and mine in guards and len(guards) == 2 and not guards & rivals
        if change == ncr.REMOVE:
            left = before - {(own, address)}
            if alone:
                return left if any(kind != "DHCID" for kind, _ in left) else frozenset()
            if shared:
                return left if any(kind == own for kind, _ in left) else left - {mine}
            return before
        added = (own, address)
        if not before:
            return frozenset({added, mine})
        if alone or shared:
            return before - family | {added}
        joins = self.dual_stack and len(guards) == 1 and not guards & rivals and not family
        if joins and any(kind == other for kind, _ in before):
            return before | {added, mine}
        if self.adopt and not guards and family == {added}:
            return before | {mine}
        return before


class PolicyStates(RuleBasedStateMachine):
    """The machine; requests of different clients may be under way at once."""

    world: World
    table: Table

    @initialize(
        dual_stack=st.sampled_from([True, True, True, False]), adopt=st.booleans(),
        batch=st.sampled_from([1, 1, 10]),
    )
    def begin(self, *, dual_stack: bool, adopt: bool, batch: int) -> None:
        policy = {
            "dual-stack": "per-family" if dual_stack else "off",
            "adopt": "same-address" if adopt else "never",
        }
        lanes = {"batch": batch, "max-in-flight": 2 if batch > 1 else 32}
        owners = {address: client for client, both in ADDRESSES.items() for address in both}
        self.table = Table(dual_stack=dual_stack, adopt=adopt)
        self.world = World(True, policy_map({"a": policy}, lanes=lanes), addresses=owners)
        self.world.d2.engine._driver.tries.random = draws(_BITS)
        self.expected: dict[str, frozenset[tuple[str, str]]] | None = {}
        """What the names hold if nothing has overlapped and no reply was lost since all was settled."""

    @rule(burst=st.lists(st.tuples(
        st.sampled_from(sorted(ADDRESSES)), st.sampled_from(NAMES), st.sampled_from([0, 0, 0, 1]),
        st.sampled_from([ncr.ADD, ncr.ADD, ncr.REMOVE]),
    ), min_size=1, max_size=4), at_once=st.booleans())
    def request(self, burst: list[tuple[str, str, int, int]], *, at_once: bool) -> None:
        """Send some requests, and let all their work be done if ``at_once``, one after the other."""
        for client, name, which, change in burst:
            address = ADDRESSES[client][which]
            if self.world.d2.engine.active or self.world.d2.engine.queued:
                self.expected = None
            elif self.expected is not None:
                before = self.world.records(name)
                self.expected[name] = self.table.after(before, name, client, address, change)
            self.world.d2.request(
                ncr.request(name, address, dhcid_of(client, name), change=change, reverse=False, ttl=600)
            )
            if at_once:
                self.settle()

    @precondition(lambda self: self.world.held)
    @rule(index=st.integers(0, 7))
    def deliver(self, index: int) -> None:
        self.world.deliver(index % len(self.world.held))

    @precondition(lambda self: self.world.held)
    @rule(index=st.integers(0, 7), reply=st.booleans())
    def lose(self, index: int, *, reply: bool) -> None:
        self.expected = None
        self.world.lose(index % len(self.world.held), reply=reply)

    @precondition(lambda self: self.world.d2.engine.active and not self.world.held)
    @rule()
    def wait(self) -> None:
        self.world.d2.step()

    @rule(
        name=st.sampled_from(NAMES), often=st.integers(0, 3),
        address=st.sampled_from([*STATIC, *(both[0] for both in ADDRESSES.values())]),
    )
    def administrator(self, name: str, often: int, address: str) -> None:
        """Add an address by hand to a name that is not in use, or take one away that has no DHCID.

        It may be one that a client has.
        """
        if often:
            return
        self.settle()
        held = self.world.records(name)
        update = dns.update.UpdateMessage(name.split(".", 1)[1])
        if not held:
            update.add(name, 600, "AAAA" if ":" in address else "A", address)
        elif any(kind == "DHCID" for kind, _ in held):
            return
        else:
            update.delete(name)
        self.world.change(update)
        assert self.expected is not None
        self.expected[name] = self.world.records(name)

    @rule()
    def settle(self) -> None:
        world = self.world
        world.settle()
        if self.expected is not None:
            for name, records in self.expected.items():
                assert world.records(name) == records, name
        self.expected = {}

    @invariant()
    def names_have_two_clients_at_most(self) -> None:
        for name, records in self.world.everything().items():
            guards = {self.world.owner(record, name) for record in records if record[0] == "DHCID"}
            assert len(guards & {"X", "Y"}) < 2, (name, records)
            assert len(guards & {"V", "W"}) < 2, (name, records)
            if not self.table.dual_stack:
                assert len(guards) < 2, (name, records)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.settle()
            assert (self.world.d2.engine.active, self.world.d2.engine.queued) == (0, 0)
