"""The eight kinds of transactions, as tables (RFC 4703, section 5; contract, section 5.3).

Theory of operation
-------------------
A request says *add* or *remove*, and how updates distinguish clients that want the same name (its conflict
resolution mode). The two together choose the kind. A kind has steps; each sends one UPDATE and goes by the
RCODE of the reply. The forward steps (A or AAAA, and DHCID, at the FQDN) come first, then the reverse step
(PTR at the reverse name), each direction only if the request asks for it::

    first forward step --RCODE--> ... --DONE--> reverse step --DONE--> succeeded

What a step's ``on`` does not list ends the transaction as failed: no other server is asked, and what the
forward direction has done stays. A try that times out or gets a reply that cannot be believed is a bad try.
Three bad tries with one server, and the step gives up on it: usually the direction begins again, from its
first step, with the domain's next server; where ``other_server`` is False the transaction fails. With
fail-over, which is a switch, the next server is asked there too, and after SERVFAIL, REFUSED and NOTAUTH.

The driver in ``drive/driver.py`` walks these tables. Nothing else knows what a kind does. The kinds of
domains with a policy, which do more than Kea's, are made of these in ``policies.py``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from pyd2.dns.constants import Rcode
from pyd2.dns.update import UpdateTemplate
from pyd2.ncr import ChangeType, RequestKind
from pyd2.update.model.records import (
    ADD_ADDRESS,
    ADD_DHCID,
    ADD_PTR,
    DELETE_ADDRESS,
    DELETE_ADDRESSES,
    DELETE_ALL,
    DELETE_DHCID,
    DELETE_PTR,
    DHCID_EXISTS,
    DHCID_IS_OURS,
    NAME_IN_USE,
    NAME_NOT_IN_USE,
    NO_A,
    NO_AAAA,
    PTR_IS_OURS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    from pyd2.dns.update import RecordTemplate
    from pyd2.update.model.holdings import Holds

    Records: TypeAlias = tuple[RecordTemplate, ...]

MAX_TRIES: Final = 3
"""Bad tries of a step with one server."""
MAX_ROUNDS: Final = 10
"""How often a transaction may add and replace in turn before it fails (docs/differences.md, 11)."""

DONE: Final = "DONE"
"""In a step's ``on``: this direction is complete."""
NOTED: Final = "NOTED"
"""In a step's ``on``: as DONE, and it is logged and counted what a policy has done."""

JOINING: Final = "JOINING_FWD_NAME"
"""The step by which a policy lets a client share a name (``policies.py``)."""
ADOPTING: Final = "ADOPTING_FWD_NAME"
"""The step by which a policy gives a client a name without DHCID."""


class PtrChange(IntEnum):
    """What the reverse step of a kind does to the PTR of an address."""

    SETS = 0
    """It replaces whatever is there."""
    REMOVES = 1
    """It removes whatever is there."""
    REMOVES_OWN = 2
    """It removes a PTR that points to the request's own name, and no other one."""


class Step:
    """A step: what it sends, and what each RCODE leads to. Steps never change once made."""

    __slots__ = ("alone", "asks", "build_failure", "comment", "forward", "message", "name", "on",
                 "other_server", "probes", "rejected", "resp_corrupt", "template", "timeout")

    def __init__(
        self,
        name: str,
        message: str,
        comment: str,
        *,
        prerequisites: Records = (),
        updates: Records,
        on: Mapping[Rcode, str],
        other_server: bool = True,
        asks: Mapping[Holds, str] | None = None,
        probes: bool = False,
    ) -> None:
        self.name = name
        """The state's name in Kea's state model, without ``_ST``; a policy's steps have no state there."""
        self.message = message
        """What the IDs of the step's messages begin with, after ``DHCP_DDNS_``."""
        self.comment = comment
        """What DHCP_DDNS_UPDATE_REQUEST_SENT says."""
        self.forward = message.startswith("FORWARD")
        """Whether it updates the forward zone; else the reverse zone."""
        self.template = UpdateTemplate(prerequisites, updates)
        self.on: dict[int, str] = {int(rcode): to for rcode, to in on.items()}
        """RCODE to the name of the next step of the kind, or DONE; all others fail."""
        self.asks = asks
        """None: it sends an update. Else it sends a question for the DHCIDs of the name, and this says what
        the answer leads to: a step or DONE; all else fails as NXRRSET does.
        """
        self.probes = probes
        """Whether it asks if the server takes DHCIDs, about another name (``drive/dhcid_support.py``)."""
        self.alone = asks is not None or probes or self.template.plain_only
        """Whether its messages are always made one by one, in Python."""
        self.other_server = other_server
        """Whether three bad tries lead to the domain's next server; else to failure."""
        self.build_failure = f"DHCP_DDNS_{message}_BUILD_FAILURE"
        self.rejected = f"DHCP_DDNS_{message}_REJECTED"
        self.resp_corrupt = f"DHCP_DDNS_{message}_RESP_CORRUPT"
        self.timeout = f"DHCP_DDNS_{message}_TIMEOUT"

    def leading(self, on: Mapping[Rcode, str]) -> Step:
        """Return the same step, but with RCODEs that lead elsewhere."""
        return Step(
            self.name, self.message, self.comment, prerequisites=self.template.prerequisites,
            updates=self.template.updates, on={**{Rcode(rcode): to for rcode, to in self.on.items()}, **on},
            other_server=self.other_server,
        )

    def __repr__(self) -> str:
        return f"<Step {self.name}>"


class Kind:
    """A kind of transaction."""

    __slots__ = ("change_type", "failed", "first_forward", "first_reverse", "mode", "name", "ptr_change",
                 "request_kind", "steps", "succeeded")

    def __init__(
        self, name: str, request_kind: RequestKind, *, forward: tuple[Step, ...], reverse: tuple[Step, ...]
    ) -> None:
        self.name = name
        self.request_kind = request_kind
        """The requests that it serves."""
        self.change_type = request_kind.change_type
        self.mode = request_kind.mode
        self.steps = {step.name: step for step in (*forward, *reverse)}
        """All steps by name, forward ones first, in the order of the contract."""
        self.first_forward = forward[0]
        self.first_reverse = reverse[0]
        if self.change_type is ChangeType.ADD:
            self.ptr_change = PtrChange.SETS
        elif PTR_IS_OURS in self.first_reverse.template.prerequisites:
            self.ptr_change = PtrChange.REMOVES_OWN
        else:
            self.ptr_change = PtrChange.REMOVES
        self.succeeded = f"DHCP_DDNS_{self.change_type.name}_SUCCEEDED"
        self.failed = f"DHCP_DDNS_{self.change_type.name}_FAILED"

    def __repr__(self) -> str:
        return f"<Kind {self.name}>"


_ADDED = {Rcode.NOERROR: DONE}
_REMOVED = {Rcode.NOERROR: DONE, Rcode.NXRRSET: DONE}
_ADDRESS_REMOVED = {Rcode.NOERROR: "REMOVING_FWD_RRS", Rcode.NXRRSET: "REMOVING_FWD_RRS"}

# Steps that several kinds share, or that differ in their records only.


def _replace(prerequisites: Records, updates: Records) -> Step:
    """Return the step that takes over a name that is in use."""
    return Step(
        "REPLACING_FWD_ADDRS", "FORWARD_REPLACE", "Forward Replace",
        prerequisites=prerequisites,
        updates=updates,
        on={Rcode.NOERROR: DONE, Rcode.NXDOMAIN: "ADDING_FWD_ADDRS"},
    )


def _remove(owned: Records, nothing_left: Records, rest: Records) -> tuple[Step, Step]:
    """Return the steps that remove an address, and then the rest of the name if no address is left.

    ``owned`` and ``nothing_left`` are their prerequisites; ``rest`` is what the second step removes.
    """
    return (
        Step(
            "REMOVING_FWD_ADDRS", "FORWARD_REMOVE_ADDRS", "Forward A/AAAA Remove",
            prerequisites=owned,
            updates=(DELETE_ADDRESS,),
            on=_ADDRESS_REMOVED,
        ),
        Step(
            "REMOVING_FWD_RRS", "FORWARD_REMOVE_RRS", "Forward RR Remove",
            prerequisites=nothing_left,
            updates=rest,
            on=_REMOVED,
            other_server=False,
        ),
    )


_ADD_IF_NAME_IS_FREE = Step(
    "ADDING_FWD_ADDRS", "FORWARD_ADD", "Forward Add",
    prerequisites=(NAME_NOT_IN_USE,),
    updates=(ADD_ADDRESS, ADD_DHCID),
    on={Rcode.NOERROR: DONE, Rcode.YXDOMAIN: "REPLACING_FWD_ADDRS"},
)
_REPLACE_PTR = Step(
    "REPLACING_REV_PTRS", "REVERSE_REPLACE", "Reverse Replace",
    updates=(DELETE_PTR, DELETE_DHCID, ADD_PTR, ADD_DHCID),
    on=_ADDED,
)
_REMOVE_PTR_IF_OURS = Step(
    "REMOVING_REV_PTRS", "REVERSE_REMOVE", "Reverse Remove",
    prerequisites=(PTR_IS_OURS,),
    updates=(DELETE_ALL,),
    on=_REMOVED,
)

NAME_ADD: Final = Kind(
    "NameAdd", RequestKind.ADD_CHECK_WITH_DHCID,
    # RFC 4703, section 5.3.1: take the name if it is free; if not, it must carry this client's DHCID (5.3.2).
    forward=(
        _ADD_IF_NAME_IS_FREE,
        _replace((NAME_IN_USE, DHCID_IS_OURS), (DELETE_ADDRESSES, ADD_ADDRESS)),
    ),
    reverse=(_REPLACE_PTR,),
)

CHECK_EXISTS_ADD: Final = Kind(
    "CheckExistsAdd", RequestKind.ADD_CHECK_EXISTS_WITH_DHCID,
    # As NameAdd, but any DHCID will do: what a DHCP client owns may be taken, static entries may not.
    forward=(
        _ADD_IF_NAME_IS_FREE,
        _replace((DHCID_EXISTS,), (DELETE_ADDRESSES, DELETE_DHCID, ADD_ADDRESS, ADD_DHCID)),
    ),
    reverse=(_REPLACE_PTR,),
)

SIMPLE_ADD: Final = Kind(
    "SimpleAdd", RequestKind.ADD_NO_CHECK_WITH_DHCID,
    # No prerequisites: the update replaces the addresses and the DHCID of any client.
    forward=(
        Step(
            "REPLACING_FWD_ADDRS", "FORWARD_ADD", "Forward Add",
            updates=(DELETE_ADDRESSES, DELETE_DHCID, ADD_ADDRESS, ADD_DHCID),
            on=_ADDED,
        ),
    ),
    reverse=(_REPLACE_PTR,),
)

SIMPLE_ADD_WITHOUT_DHCID: Final = Kind(
    "SimpleAddWithoutDHCID", RequestKind.ADD_NO_CHECK_WITHOUT_DHCID,
    forward=(
        Step(
            "REPLACING_FWD_ADDRS", "FORWARD_ADD", "Forward Add",
            updates=(DELETE_ADDRESSES, ADD_ADDRESS),
            on=_ADDED,
        ),
    ),
    reverse=(
        Step(
            "REPLACING_REV_PTRS", "REVERSE_REPLACE", "Reverse Replace",
            updates=(DELETE_PTR, ADD_PTR),
            on=_ADDED,
        ),
    ),
)

NAME_REMOVE: Final = Kind(
    "NameRemove", RequestKind.REMOVE_CHECK_WITH_DHCID,
    # RFC 4703, section 5.5: first the address, then the rest of the name if no address is left.
    forward=_remove((DHCID_IS_OURS,), (DHCID_IS_OURS, NO_A, NO_AAAA), (DELETE_ALL,)),
    reverse=(_REMOVE_PTR_IF_OURS,),
)

CHECK_EXISTS_REMOVE: Final = Kind(
    "CheckExistsRemove", RequestKind.REMOVE_CHECK_EXISTS_WITH_DHCID,
    forward=_remove((DHCID_EXISTS,), (NO_A, NO_AAAA), (DELETE_DHCID,)),
    reverse=(_REMOVE_PTR_IF_OURS,),
)

SIMPLE_REMOVE: Final = Kind(
    "SimpleRemove", RequestKind.REMOVE_NO_CHECK_WITH_DHCID,
    forward=(
        Step(
            "REMOVING_FWD_RRS", "FORWARD_REMOVE_RRS", "Forward RR Remove",
            updates=(DELETE_ADDRESSES, DELETE_DHCID),
            on=_REMOVED,
        ),
    ),
    reverse=(
        Step(
            "REMOVING_REV_PTRS", "REVERSE_REMOVE", "Reverse Remove",
            updates=(DELETE_PTR, DELETE_DHCID),
            on=_REMOVED,
        ),
    ),
)

SIMPLE_REMOVE_WITHOUT_DHCID: Final = Kind(
    "SimpleRemoveWithoutDHCID", RequestKind.REMOVE_NO_CHECK_WITHOUT_DHCID,
    forward=(
        Step(
            "REMOVING_FWD_RRS", "FORWARD_REMOVE_RRS", "Forward RR Remove",
            updates=(DELETE_ADDRESSES,),
            on=_REMOVED,
        ),
    ),
    reverse=(
        Step(
            "REMOVING_REV_PTRS", "REVERSE_REMOVE", "Reverse Remove",
            updates=(DELETE_PTR,),
            on=_REMOVED,
        ),
    ),
)

KINDS: Final = (
    NAME_ADD, SIMPLE_ADD, CHECK_EXISTS_ADD, SIMPLE_ADD_WITHOUT_DHCID,
    NAME_REMOVE, SIMPLE_REMOVE, CHECK_EXISTS_REMOVE, SIMPLE_REMOVE_WITHOUT_DHCID,
)
"""By RequestKind: which kind serves which request (contract, section 5.1)."""

PTR_CHANGES: Final = tuple(kind.ptr_change for kind in KINDS)
"""By RequestKind: what the reverse step of a request does."""
