"""The tables of the transaction kinds, against the contract's text (section 5.3), row by row."""

import itertools
import re
from pathlib import Path

import pytest

from pyd2.dns.constants import Rcode
from pyd2.dns.update import Data, RecordTemplate
from pyd2.ncr import ChangeType, ConflictResolutionMode, RequestKind
from pyd2.update.model.kinds import DONE, KINDS, NAME_ADD, PTR_CHANGES, Kind, PtrChange, Step
from pyd2.update.model.policies import POLICY_KINDS
from tests.kit.profile import MESSAGES

CONTRACT = (Path(__file__).parents[3] / "docs" / "contract.md").read_text()
ALL_STEPS = [(kind, step) for kind in KINDS for step in kind.steps.values()]


def row_text(record: RecordTemplate, forward: bool) -> str:
    """Return a record as the contract writes it, such as ``F T IN A* addr``."""
    owner = "F" if forward else "R"
    ttl = "T" if record.with_ttl else "0"
    rrtype = "A*" if record.type is None else record.type.name
    data = {Data.NONE: "", Data.ADDRESS: " addr", Data.DHCID: " id", Data.TARGET: " F"}[record.data]
    return f"{owner} {ttl} {record.rrclass.name} {rrtype}{data}"


def records(cell: str) -> list[str]:
    return re.findall(r"`([^`]*)`", cell)


def contract_table(kind: str) -> dict[str, list[str]]:
    """Return the rows of a kind's table in the contract, by state; cells as text."""
    block = CONTRACT.split(f"**{kind}**\n", 1)[1].split("\n\n", 1)[0]
    rows = [line.strip("|").split("|") for line in block.splitlines()[2:]]
    return {row[0].split()[0]: [cell.strip() for cell in row] for row in rows}


def test_no_forward_step_is_of_kinds_that_differ_in_the_reverse_direction() -> None:
    """So it is known with a forward update how the reverse direction begins (Route.then)."""
    following: dict[Step, set[Step]] = {}
    for kind in (*KINDS, *POLICY_KINDS):
        for step in kind.steps.values():
            if step.forward:
                following.setdefault(step, set()).add(kind.first_reverse)
    assert {len(steps) for steps in following.values()} == {1}


@pytest.mark.parametrize(("name", "columns"), [
    ("NameAdd", ("noerror", "other", "rest", "bad")),
    ("SimpleAdd", ("noerror", "rest", "bad")),
    ("NameRemove", ("noerror", "rest", "bad")),
    ("SimpleRemove", ("noerror", "rest", "bad")),
])
def test_the_tables_are_the_contracts(name: str, columns: tuple[str, ...]) -> None:
    (kind,) = [kind for kind in KINDS if kind.name == name]
    table = contract_table(name)
    assert list(table) == list(kind.steps)
    for state, (title, prerequisites, updates, *rest) in table.items():
        step = kind.steps[state]
        if updates != "as NameAdd":
            assert [row_text(r, step.forward) for r in step.template.prerequisites] == records(prerequisites)
            assert [row_text(r, step.forward) for r in step.template.updates] == records(updates)
        else:
            assert step is NAME_ADD.steps[state]
        assert step.message == title.split("[")[1].rstrip("]")
        cells = dict(zip(columns, rest, strict=True))
        ends = {"→rev": DONE, "OK": DONE}
        assert step.on[Rcode.NOERROR] == ends.get(cells["noerror"], cells["noerror"])
        if kind.change_type is ChangeType.REMOVE:
            assert step.on == {Rcode.NOERROR: step.on[0], Rcode.NXRRSET: step.on[0]}
        elif " → " in cells.get("other", ""):
            rcode, to = cells["other"].split(" → ")
            assert step.on == {Rcode.NOERROR: DONE, Rcode[rcode]: to}
        else:
            assert step.on == {Rcode.NOERROR: DONE}
        assert cells["rest"].startswith("fail")
        if step.other_server:
            assert cells["bad"] == ("SELECTING_FWD" if step.forward else "SELECTING_REV")
        else:
            assert cells["bad"] == "**PROCESS_TRANS_FAILED**"


def texts(kind: Kind, state: str) -> tuple[list[str], list[str]]:
    step = kind.steps[state]
    return (
        [row_text(r, step.forward) for r in step.template.prerequisites],
        [row_text(r, step.forward) for r in step.template.updates],
    )


def test_what_the_contract_says_in_words() -> None:
    by_name = {kind.name: kind for kind in KINDS}
    check_add = by_name["CheckExistsAdd"]
    assert check_add.steps["ADDING_FWD_ADDRS"] is NAME_ADD.steps["ADDING_FWD_ADDRS"]
    assert check_add.steps["REPLACING_REV_PTRS"] is NAME_ADD.steps["REPLACING_REV_PTRS"]
    assert texts(check_add, "REPLACING_FWD_ADDRS") == (
        ["F 0 ANY DHCID"], ["F 0 ANY A*", "F 0 ANY DHCID", "F T IN A* addr", "F T IN DHCID id"],
    )
    assert check_add.steps["REPLACING_FWD_ADDRS"].on == NAME_ADD.steps["REPLACING_FWD_ADDRS"].on
    bare_add = by_name["SimpleAddWithoutDHCID"]
    assert texts(bare_add, "REPLACING_FWD_ADDRS") == ([], ["F 0 ANY A*", "F T IN A* addr"])
    assert texts(bare_add, "REPLACING_REV_PTRS") == ([], ["R 0 ANY PTR", "R T IN PTR F"])
    check_remove = by_name["CheckExistsRemove"]
    assert texts(check_remove, "REMOVING_FWD_ADDRS") == (["F 0 ANY DHCID"], ["F 0 NONE A* addr"])
    assert texts(check_remove, "REMOVING_FWD_RRS") == (["F 0 NONE A", "F 0 NONE AAAA"], ["F 0 ANY DHCID"])
    bare_remove = by_name["SimpleRemoveWithoutDHCID"]
    assert texts(bare_remove, "REMOVING_FWD_RRS") == ([], ["F 0 ANY A*"])
    assert texts(bare_remove, "REMOVING_REV_PTRS") == ([], ["R 0 ANY PTR"])


def test_every_kind_of_request_has_its_kind() -> None:
    """A new mode or change type needs a member of RequestKind and a kind of its own."""
    assert [kind.request_kind for kind in KINDS] == list(RequestKind) == list(range(len(KINDS)))
    asked = [(kind.change_type, kind.mode) for kind in RequestKind]
    assert asked == list(itertools.product(ChangeType, ConflictResolutionMode))
    names = [kind.name for kind in KINDS]
    assert len(set(names)) == 8


def test_removals_that_look_at_the_dhcid_leave_the_ptr_of_another_name() -> None:
    found = {kind: PTR_CHANGES[kind] for kind in RequestKind if kind.change_type is ChangeType.REMOVE}
    assert found == {
        RequestKind.REMOVE_CHECK_WITH_DHCID: PtrChange.REMOVES_OWN,
        RequestKind.REMOVE_CHECK_EXISTS_WITH_DHCID: PtrChange.REMOVES_OWN,
        RequestKind.REMOVE_NO_CHECK_WITH_DHCID: PtrChange.REMOVES,
        RequestKind.REMOVE_NO_CHECK_WITHOUT_DHCID: PtrChange.REMOVES,
    }
    added = {PTR_CHANGES[kind] for kind in RequestKind if kind.change_type is ChangeType.ADD}
    assert added == {PtrChange.SETS}


@pytest.mark.parametrize(("kind", "step"), ALL_STEPS)
def test_every_step_is_whole(kind: Kind, step: Step) -> None:
    assert step.message.startswith("FORWARD" if step.forward else "REVERSE")
    assert step.comment.startswith("Forward" if step.forward else "Reverse")
    assert {step.build_failure, step.rejected, step.resp_corrupt, step.timeout} <= set(MESSAGES)
    assert {kind.succeeded, kind.failed} <= set(MESSAGES)
    assert step.on[Rcode.NOERROR]
    for to in step.on.values():
        assert to == DONE or kind.steps[to].forward is step.forward


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_can_be_reached_and_left(kind: Kind) -> None:
    for first, forward in ((kind.first_forward, True), (kind.first_reverse, False)):
        reached, todo = set(), [first]
        while todo:
            step = todo.pop()
            if step.name not in reached:
                reached.add(step.name)
                todo += [kind.steps[to] for to in step.on.values() if to != DONE]
        assert reached == {step.name for step in kind.steps.values() if step.forward is forward}
        assert any(DONE in kind.steps[name].on.values() for name in reached)


@pytest.mark.parametrize(("kind", "step"), ALL_STEPS)
def test_rcodes_lead_on_only_where_the_contract_says(kind: Kind, step: Step) -> None:
    """Adds: YXDOMAIN at the first step of a checking kind, NXDOMAIN at its second; removes: NXRRSET."""
    allowed = {Rcode.NOERROR}
    if kind.change_type is ChangeType.REMOVE:
        allowed.add(Rcode.NXRRSET)
    elif step.name == "ADDING_FWD_ADDRS":
        allowed.add(Rcode.YXDOMAIN)
    elif step.forward and len(kind.steps) == 3:
        allowed.add(Rcode.NXDOMAIN)
    assert set(step.on) == allowed
