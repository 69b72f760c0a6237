"""The tables of policies: closed, made of Kea's, and with the rules of batches that these have."""

from __future__ import annotations

from itertools import product

import pytest

from pyd2.config.policy import PolicySwitches
from pyd2.ncr import ChangeType, RequestKind
from pyd2.update.model.batch_rules import BATCH_RULES
from pyd2.update.model.holdings import Holds, holding
from pyd2.update.model.kinds import DONE, KINDS, NAME_ADD, NAME_REMOVE, NOTED, Kind
from pyd2.update.model.plan import make_policy
from pyd2.update.model.policies import POLICY_KINDS, Policy, find_step

X, Y, V, W = (bytes((0, kind, 1)) + bytes([number]) * 32 for number, kind in enumerate((1, 0, 2, 2)))
V4, V6 = bytes(4), bytes(16)


@pytest.mark.parametrize(("guards", "dhcid", "address", "holds"), [
    ([], X, V4, Holds.UNGUARDED),
    ([X], X, V4, Holds.OURS),
    ([V], V, V4, Holds.OURS),
    ([Y], X, V4, Holds.OTHERS),
    ([V], X, V4, Holds.OTHER_FAMILY),
    ([Y], V, V6, Holds.OTHER_FAMILY),
    ([V], X, V6, Holds.OTHERS),
    ([V], W, V4, Holds.OTHERS),
    ([V], W, V6, Holds.OTHERS),
    ([X, V], X, V4, Holds.SHARED),
    ([X, V], V, V6, Holds.SHARED),
    ([X, V], V, V4, Holds.OTHERS),
    ([X, V], Y, V4, Holds.OTHERS),
    ([X, V], W, V6, Holds.OTHERS),
    ([X, Y], X, V4, Holds.OTHERS),
    ([X, V, W], X, V4, Holds.OTHERS),
    ([X, Y, V], X, V4, Holds.OTHERS),
    ([b""], X, V4, Holds.OTHERS),
    ([b"\0\2"], X, V4, Holds.OTHERS),
    ([bytes((0, 3, 1)) + bytes(32)], X, V4, Holds.OTHERS),
])
def test_whose_a_name_is(guards: list[bytes], dhcid: bytes, address: bytes, holds: Holds) -> None:
    found = holding(frozenset(guards), dhcid, address)
    assert found.holds is holds
    paired = holds in {Holds.SHARED, Holds.OTHER_FAMILY}
    assert (found.other != b"") == paired
    assert not paired or ({*guards} - {dhcid} == {found.other})


@pytest.mark.parametrize("kind", POLICY_KINDS, ids=lambda kind: kind.name)
def test_each_table_is_closed_and_begins_like_keas(kind: Kind) -> None:
    kea = KINDS[kind.request_kind]
    for step in kind.steps.values():
        assert {*step.on.values(), *(step.asks or {}).values()} <= {*kind.steps, DONE, NOTED}
        assert find_step(kea, step.name) is not None
    for name, step in kea.steps.items():
        ours = kind.steps[name]
        assert (ours.template.prerequisites, ours.template.updates) == (
            step.template.prerequisites, step.template.updates
        )
        assert ours.on.items() >= {(rcode, to) for rcode, to in step.on.items() if rcode != 8}
    assert kind.first_reverse is kea.first_reverse
    assert (kind.succeeded, kind.failed, kind.ptr_change) == (kea.succeeded, kea.failed, kea.ptr_change)


@pytest.mark.parametrize("kind", POLICY_KINDS, ids=lambda kind: kind.name)
def test_only_keas_steps_go_in_batches(kind: Kind) -> None:
    kea = KINDS[kind.request_kind]
    ruled = {step.name: rule for step, rule in BATCH_RULES[kind].items()}
    assert ruled.keys() == {step.name for step in BATCH_RULES[kea]}
    for step, rule in BATCH_RULES[kea].items():
        ours = ruled[step.name]
        assert (ours.sort, ours.hops) == (rule.sort, rule.hops)
        assert (ours.taken_over is None) == (rule.taken_over is None)
        assert ours.taken_over is None or ours.taken_over is kind.steps[ours.taken_over.name]


@pytest.mark.parametrize(("dual", "adopt", "done"), [*product([False, True], repeat=3)])
def test_a_policy_changes_the_kinds_that_it_is_about(*, dual: bool, adopt: bool, done: bool) -> None:
    policy = Policy(PolicySwitches(
        "per-family" if dual else "off", remove_yxrrset="done" if done else "fail",
        adopt="same-address" if adopt else "never",
    ))
    changed = {kind for kind in RequestKind if policy.kinds[kind] is not KINDS[kind]}
    expected = set()
    if dual or adopt:
        expected.add(RequestKind.ADD_CHECK_WITH_DHCID)
    if dual or done:
        expected.add(RequestKind.REMOVE_CHECK_WITH_DHCID)
    assert changed == expected
    assert all(policy.kinds[kind].request_kind is kind for kind in RequestKind)


def test_without_policies_there_is_none() -> None:
    assert make_policy(PolicySwitches()) is None
    assert {NAME_ADD.change_type, NAME_REMOVE.change_type} == {*ChangeType}
