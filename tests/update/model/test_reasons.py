"""The table of reasons has an answer for everything that can fail, and the right one where it matters."""

from __future__ import annotations

import pytest

from pyd2.dns.constants import Rcode
from pyd2.errors import BadReply
from pyd2.ncr import ChangeType
from pyd2.update.model.faults import Fault
from pyd2.update.model.kinds import KINDS, NAME_ADD, Kind, Step
from pyd2.update.model.policies import POLICY_KINDS
from pyd2.update.model.reasons import (
    NAMES,
    OF_STEPS,
    RCODES,
    TABLE,
    failures,
    reason,
    reason_of_step,
)

ALL_KINDS = (*KINDS, *POLICY_KINDS)
STEPS = [
    pytest.param(kind, step, id=f"{kind.name}-{step.name}")
    for kind in ALL_KINDS for step in kind.steps.values()
]


@pytest.mark.parametrize("name", [*NAMES, "17", "4095"])
def test_everything_has_a_reason_and_a_mend(name: str) -> None:
    found = {reason(name), *(reason(name, kind, step) for kind in ALL_KINDS for step in kind.steps.values())}
    for why, mend in found:
        assert why.endswith(".")
        assert mend.endswith(".")
        assert len(why) > 15


@pytest.mark.parametrize(("kind", "step"), STEPS)
def test_each_step_has_all_its_failures(kind: Kind, step: Step) -> None:
    found = dict(failures(kind, step))
    answers = set() if step.asks is None else {Rcode.NOERROR, Rcode.NXDOMAIN}
    rcodes = {rcode.name for rcode in {*Rcode} - answers if rcode not in step.on}
    assert found.keys() == {*rcodes, *BadReply, *OF_STEPS}
    assert "NOERROR" not in found


def test_every_row_is_used() -> None:
    """By some kind and step, or as what applies everywhere: no row hides another one."""
    used = {
        id(row.reason)
        for row in TABLE
        for kind in ALL_KINDS
        for step in kind.steps.values()
        if reason(row.name or "BADVERS", kind, step) is row.reason
    }
    used |= {id(row.reason) for row in TABLE if reason(row.name or "BADVERS") is row.reason}
    assert [row.name for row in TABLE if id(row.reason) not in used] == []


def test_what_no_row_knows_is_an_error() -> None:
    with pytest.raises(KeyError):
        reason("unheard-of")


def reason_at(name: str, mode: str, change_type: ChangeType, step: str) -> str:
    (kind,) = (kind for kind in KINDS if kind.mode.value == mode and kind.change_type is change_type)
    return reason(name, kind, kind.steps[step]).why


def test_the_same_rcode_means_what_the_step_requires() -> None:
    add, remove = ChangeType.ADD, ChangeType.REMOVE
    step = "REPLACING_FWD_ADDRS"
    assert "another client" in reason_at("NXRRSET", "check-with-dhcid", add, step)
    assert "no DHCID" in reason_at("NXRRSET", "check-exists-with-dhcid", add, step)
    assert "does not need" in reason_at("NXRRSET", "no-check-with-dhcid", add, step)
    assert "other family" in reason_at("YXRRSET", "check-with-dhcid", remove, "REMOVING_FWD_RRS")
    assert "does not forbid" in reason_at("YXRRSET", "no-check-with-dhcid", remove, "REMOVING_FWD_RRS")
    assert "not in the zone any more" in reason_at(
        "NXDOMAIN", "check-with-dhcid", remove, "REMOVING_FWD_ADDRS"
    )
    assert "PTR" in reason_at("REFUSED", "check-with-dhcid", add, "REPLACING_REV_PTRS")
    assert "name" in reason_at("REFUSED", "check-with-dhcid", add, step)
    assert "Samba" in reason_at("NOTIMP", "check-with-dhcid", add, step)
    assert "Samba" not in reason_at("NOTIMP", "no-check-without-dhcid", add, step)


def test_a_record_of_another_account_has_two_cures() -> None:
    """As Active Directory refuses it: with or without a signature that can be verified."""
    for kind in ALL_KINDS:
        for step in kind.steps.values():
            if kind.mode.value != "no-check-without-dhcid" or step.asks is not None:
                continue
            for name in ("REFUSED", BadReply.ECHO):
                mend = reason(name, kind, step).mend
                assert "one account for all DHCP servers" in mend
                assert "DnsUpdateProxy" in mend


def test_a_step_of_a_policy_has_reasons_of_its_own() -> None:
    kind = NAME_ADD
    asked = reason_of_step("NXRRSET", kind, "ASKING_FWD_NAME").why
    assert "policies" in asked
    assert asked != reason_of_step("NXRRSET", kind, "REPLACING_FWD_ADDRS").why
    assert "does not answer the question" in reason_of_step("REFUSED", kind, "ASKING_FWD_NAME").why
    assert reason_of_step("REFUSED", kind, "of another release") == reason("REFUSED")


def test_names_differ() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert set(RCODES).isdisjoint(Fault)
    assert set(RCODES).isdisjoint(BadReply)
