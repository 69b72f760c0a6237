"""Policies: what pyd2 does beyond Kea for requests with ``check-with-dhcid``, as tables beside the kinds.

Theory of operation
-------------------
A policy changes what some answers lead to, and nothing before that: the first update of each direction is
Kea's. Where Kea's kinds end with NXRRSET, because the name does not have just the client's own DHCID, the
kinds here ask the same server for the DHCIDs of the name. ``holdings.py`` says what they mean, and the step's
``asks`` what follows. Each step that follows names in its prerequisites what the answer has shown, so that
nothing rests on the answer: if another client was quicker, the update fails, and the name is asked for
again. If it has still the same DHCIDs, the reason is another one, and the request fails as with Kea.

``dual-stack``: a name may have two DHCIDs, one of DHCPv4 and one of DHCPv6, each of which guards the
addresses of its family. ``adopt``: a name without DHCID whose only address in the family is the client's own
gets the client's DHCID. ``remove-yxrrset``: a removal is done when addresses of the other family are left,
as with Kea 3.3.1. The policy ``keep`` needs no steps: such removals do not begin (``schedule/routing.py``).
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Final

from pyd2.dns.constants import Rcode
from pyd2.dns.names import parse_name
from pyd2.ncr import ChangeType, RequestKind
from pyd2.update.model.holdings import Holds
from pyd2.update.model.kinds import ADOPTING, DONE, JOINING, KINDS, NAME_ADD, NAME_REMOVE, NOTED, Kind, Step
from pyd2.update.model.records import (
    ADD_ADDRESS,
    ADD_DHCID,
    ADDRESS_IS_OURS,
    DELETE_ADDRESS,
    DELETE_ADDRESSES,
    DELETE_OWN_DHCID,
    DHCID_IS_OTHERS,
    DHCID_IS_OURS,
    NO_ADDRESS,
    NO_CNAME,
    NO_DHCID,
    OTHER_ADDRESS_EXISTS,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyd2.config.policy import PolicySwitches
    from pyd2.packets.layer import Request

_ASK: Final = "ASKING_FWD_NAME"
_CHANGED: Final = {Rcode.NXRRSET: _ASK, Rcode.YXRRSET: _ASK}
"""Where a step leads whose prerequisites did not hold: to the question again."""
_WILDCARD: Final = "*."

# Additions. Their messages have the IDs of Kea's step that replaces addresses, removals those of its removal.

JOIN: Final = Step(
    JOINING, "FORWARD_REPLACE", "Forward Join",
    prerequisites=(DHCID_IS_OTHERS, NO_ADDRESS, OTHER_ADDRESS_EXISTS),
    updates=(ADD_ADDRESS, ADD_DHCID),
    on={Rcode.NOERROR: NOTED, **_CHANGED},
)
REPLACE_SHARED: Final = Step(
    "REPLACING_FWD_SHARED", "FORWARD_REPLACE", "Forward Replace, name shared",
    prerequisites=(DHCID_IS_OURS, DHCID_IS_OTHERS),
    updates=(DELETE_ADDRESSES, ADD_ADDRESS),
    on={Rcode.NOERROR: DONE, **_CHANGED},
)
ADOPT: Final = Step(
    ADOPTING, "FORWARD_REPLACE", "Forward Adopt",
    prerequisites=(ADDRESS_IS_OURS, NO_DHCID, NO_CNAME),
    updates=(ADD_DHCID,),
    on={Rcode.NOERROR: NOTED, **_CHANGED},
)

# Removals.

REMOVE_SHARED: Final = Step(
    "REMOVING_FWD_SHARED", "FORWARD_REMOVE_ADDRS", "Forward A/AAAA Remove, name shared",
    prerequisites=(DHCID_IS_OURS, DHCID_IS_OTHERS),
    updates=(DELETE_ADDRESS,),
    on={Rcode.NOERROR: "REMOVING_FWD_GUARD", **_CHANGED},
)
REMOVE_GUARD: Final = Step(
    "REMOVING_FWD_GUARD", "FORWARD_REMOVE_RRS", "Forward DHCID Remove, name shared",
    prerequisites=(DHCID_IS_OURS, DHCID_IS_OTHERS, NO_ADDRESS),
    updates=(DELETE_OWN_DHCID,),
    on={Rcode.NOERROR: DONE, Rcode.YXRRSET: DONE, Rcode.NXRRSET: _ASK},
)


def _addition(*, dual_stack: bool, adopt: bool) -> Kind:
    """Return the kind of additions under policies."""
    asks = {Holds.FREE: "ADDING_FWD_ADDRS", Holds.OURS: "REPLACING_FWD_ADDRS"}
    more: list[Step] = []
    if dual_stack:
        asks |= {Holds.SHARED: REPLACE_SHARED.name, Holds.OTHER_FAMILY: JOIN.name}
        more += REPLACE_SHARED, JOIN
    if adopt:
        asks[Holds.UNGUARDED] = ADOPT.name
        more.append(ADOPT)
    question = Step(_ASK, "FORWARD_REPLACE", "Question for DHCIDs", updates=(), on={}, asks=asks)
    names = ["dual-stack"] * dual_stack + ["adopt"] * adopt
    return Kind(
        f"{NAME_ADD.name} with {', '.join(names)}", NAME_ADD.request_kind,
        forward=(
            NAME_ADD.first_forward,
            NAME_ADD.steps["REPLACING_FWD_ADDRS"].leading({Rcode.NXRRSET: _ASK}),
            question,
            *more,
        ),
        reverse=(NAME_ADD.first_reverse,),
    )


def _removal(*, dual_stack: bool, yxrrset_done: bool) -> Kind:
    """Return the kind of removals under policies."""
    first, rest = NAME_REMOVE.first_forward, NAME_REMOVE.steps["REMOVING_FWD_RRS"]
    more: tuple[Step, ...] = ()
    if dual_stack:
        # What is not the client's is left alone. With Kea the addresses there end the removal by YXRRSET.
        asks = dict.fromkeys(Holds, DONE) if yxrrset_done else {Holds.FREE: DONE}
        asks |= {Holds.OURS: first.name, Holds.SHARED: REMOVE_SHARED.name}
        question = Step(_ASK, "FORWARD_REMOVE_ADDRS", "Question for DHCIDs", updates=(), on={}, asks=asks)
        first, rest = first.leading({Rcode.NXRRSET: _ASK}), rest.leading({Rcode.NXRRSET: _ASK})
        more = question, REMOVE_SHARED, REMOVE_GUARD
    if yxrrset_done:
        rest = rest.leading({Rcode.YXRRSET: DONE})
    names = ["dual-stack"] * dual_stack + ["remove-yxrrset"] * yxrrset_done
    return Kind(
        f"{NAME_REMOVE.name} with {', '.join(names)}", NAME_REMOVE.request_kind,
        forward=(first, rest, *more), reverse=(NAME_REMOVE.first_reverse,),
    )


_BOTH: Final = [*product((False, True), repeat=2)]
_ADDITIONS: Final = {
    (dual_stack, adopt): _addition(dual_stack=dual_stack, adopt=adopt) if dual_stack or adopt else NAME_ADD
    for dual_stack, adopt in _BOTH
}
_REMOVALS: Final = {
    (dual_stack, done): _removal(dual_stack=dual_stack, yxrrset_done=done)
    if dual_stack or done else NAME_REMOVE
    for dual_stack, done in _BOTH
}
POLICY_KINDS: Final = tuple(
    kind for kind in (*_ADDITIONS.values(), *_REMOVALS.values()) if kind not in KINDS
)
"""All kinds that there are beside Kea's."""


def find_step(kind: Kind, name: str) -> Step | None:
    """Return a step of one of Kea's kinds, or of the same kind under a policy; None: there is none."""
    kinds = (kind, *(each for each in POLICY_KINDS if each.request_kind is kind.request_kind))
    return next((each.steps[name] for each in kinds if name in each.steps), None)


class Policy:
    """The policies of a domain."""

    __slots__ = ("_kept", "_kept_below", "kinds", "switches")

    def __init__(self, switches: PolicySwitches) -> None:
        self.switches = switches
        dual_stack = switches.dual_stack != "off"
        kinds = list(KINDS)
        kinds[RequestKind.ADD_CHECK_WITH_DHCID] = _ADDITIONS[dual_stack, switches.adopt != "never"]
        kinds[RequestKind.REMOVE_CHECK_WITH_DHCID] = _REMOVALS[dual_stack, switches.remove_yxrrset == "done"]
        self.kinds = tuple(kinds)
        """By RequestKind, as KINDS."""
        names = [name for name in switches.keep if not name.startswith(_WILDCARD)]
        self._kept = frozenset(parse_name(name).lower() for name in names)
        self._kept_below = frozenset(
            parse_name(name.removeprefix(_WILDCARD)).lower() for name in {*switches.keep} - {*names}
        )

    def keeps(self, ncr: Request) -> bool:
        """Whether a request is a removal that is not made."""
        return ncr.change_type is ChangeType.REMOVE and self.keeps_name(ncr.fqdn_wire)

    def keeps_name(self, name: bytes) -> bool:
        """Whether the records of a name, on the wire, are never removed."""
        if not (self._kept or self._kept_below):
            return False
        name = name.lower()
        return name in self._kept or any(above in self._kept_below for above in _names_above(name))


def _names_above(name: bytes) -> Iterator[bytes]:
    while name[0]:
        name = name[1 + name[0] :]
        yield name
