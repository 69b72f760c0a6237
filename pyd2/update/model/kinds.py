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

The driver in ``drive/driver.py`` walks these tables. Nothing else knows what a kind does.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from pyd2.dns.constants import Rcode, RRClass, RRType
from pyd2.dns.update import A_OR_AAAA, Data, RecordTemplate, UpdateTemplate
from pyd2.ncr import ChangeType, RequestKind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    Records: TypeAlias = tuple[RecordTemplate, ...]

MAX_TRIES: Final = 3
"""Bad tries of a step with one server."""
MAX_ROUNDS: Final = 10
"""How often a transaction may add and replace in turn before it fails (decision 11)."""

DONE: Final = "DONE"
"""In a step's ``on``: this direction is complete."""


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

    __slots__ = ("build_failure", "comment", "forward", "message", "name", "on", "other_server",
                 "rejected", "resp_corrupt", "template", "timeout")

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
    ) -> None:
        self.name = name
        """The state's name in Kea's state model, without ``_ST``."""
        self.message = message
        """What the IDs of the step's messages begin with, after ``DHCP_DDNS_``."""
        self.comment = comment
        """What DHCP_DDNS_UPDATE_REQUEST_SENT says."""
        self.forward = message.startswith("FORWARD")
        """Whether it updates the forward zone; else the reverse zone."""
        self.template = UpdateTemplate(prerequisites, updates)
        self.on: dict[int, str] = {int(rcode): to for rcode, to in on.items()}
        """RCODE to the name of the next step of the kind, or DONE; all others fail."""
        self.other_server = other_server
        """Whether three bad tries lead to the domain's next server; else to failure."""
        self.build_failure = f"DHCP_DDNS_{message}_BUILD_FAILURE"
        self.rejected = f"DHCP_DDNS_{message}_REJECTED"
        self.resp_corrupt = f"DHCP_DDNS_{message}_RESP_CORRUPT"
        self.timeout = f"DHCP_DDNS_{message}_TIMEOUT"

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
        elif _PTR_IS_OURS in self.first_reverse.template.prerequisites:
            self.ptr_change = PtrChange.REMOVES_OWN
        else:
            self.ptr_change = PtrChange.REMOVES
        self.succeeded = f"DHCP_DDNS_{self.change_type.name}_SUCCEEDED"
        self.failed = f"DHCP_DDNS_{self.change_type.name}_FAILED"

    def __repr__(self) -> str:
        return f"<Kind {self.name}>"


# The records. F is the owner of a forward step, R that of a reverse step; T is the request's TTL.
_NAME_NOT_IN_USE = RecordTemplate(RRType.ANY, RRClass.NONE)                             # F 0 NONE ANY
_NAME_IN_USE = RecordTemplate(RRType.ANY, RRClass.ANY)                                  # F 0 ANY ANY
_DHCID_IS_OURS = RecordTemplate(RRType.DHCID, RRClass.IN, Data.DHCID)                   # F 0 IN DHCID id
_DHCID_EXISTS = RecordTemplate(RRType.DHCID, RRClass.ANY)                               # F 0 ANY DHCID
_NO_A = RecordTemplate(RRType.A, RRClass.NONE)                                          # F 0 NONE A
_NO_AAAA = RecordTemplate(RRType.AAAA, RRClass.NONE)                                    # F 0 NONE AAAA
_PTR_IS_OURS = RecordTemplate(RRType.PTR, RRClass.IN, Data.TARGET)                      # R 0 IN PTR F

_ADD_ADDRESS = RecordTemplate(A_OR_AAAA, RRClass.IN, Data.ADDRESS, with_ttl=True)       # F T IN A* addr
_ADD_DHCID = RecordTemplate(RRType.DHCID, RRClass.IN, Data.DHCID, with_ttl=True)        # F T IN DHCID id
_ADD_PTR = RecordTemplate(RRType.PTR, RRClass.IN, Data.TARGET, with_ttl=True)           # R T IN PTR F
_DELETE_ADDRESS = RecordTemplate(A_OR_AAAA, RRClass.NONE, Data.ADDRESS)                 # F 0 NONE A* addr
_DELETE_ADDRESSES = RecordTemplate(A_OR_AAAA, RRClass.ANY)                              # F 0 ANY A*
_DELETE_DHCID = RecordTemplate(RRType.DHCID, RRClass.ANY)                               # F 0 ANY DHCID
_DELETE_PTR = RecordTemplate(RRType.PTR, RRClass.ANY)                                   # R 0 ANY PTR
_DELETE_ALL = RecordTemplate(RRType.ANY, RRClass.ANY)                                   # F 0 ANY ANY

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
            updates=(_DELETE_ADDRESS,),
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
    prerequisites=(_NAME_NOT_IN_USE,),
    updates=(_ADD_ADDRESS, _ADD_DHCID),
    on={Rcode.NOERROR: DONE, Rcode.YXDOMAIN: "REPLACING_FWD_ADDRS"},
)
_REPLACE_PTR = Step(
    "REPLACING_REV_PTRS", "REVERSE_REPLACE", "Reverse Replace",
    updates=(_DELETE_PTR, _DELETE_DHCID, _ADD_PTR, _ADD_DHCID),
    on=_ADDED,
)
_REMOVE_PTR_IF_OURS = Step(
    "REMOVING_REV_PTRS", "REVERSE_REMOVE", "Reverse Remove",
    prerequisites=(_PTR_IS_OURS,),
    updates=(_DELETE_ALL,),
    on=_REMOVED,
)

NAME_ADD: Final = Kind(
    "NameAdd", RequestKind.ADD_CHECK_WITH_DHCID,
    # RFC 4703, section 5.3.1: take the name if it is free; if not, it must carry this client's DHCID (5.3.2).
    forward=(
        _ADD_IF_NAME_IS_FREE,
        _replace((_NAME_IN_USE, _DHCID_IS_OURS), (_DELETE_ADDRESSES, _ADD_ADDRESS)),
    ),
    reverse=(_REPLACE_PTR,),
)

CHECK_EXISTS_ADD: Final = Kind(
    "CheckExistsAdd", RequestKind.ADD_CHECK_EXISTS_WITH_DHCID,
    # As NameAdd, but any DHCID will do: what a DHCP client owns may be taken, static entries may not.
    forward=(
        _ADD_IF_NAME_IS_FREE,
        _replace((_DHCID_EXISTS,), (_DELETE_ADDRESSES, _DELETE_DHCID, _ADD_ADDRESS, _ADD_DHCID)),
    ),
    reverse=(_REPLACE_PTR,),
)

SIMPLE_ADD: Final = Kind(
    "SimpleAdd", RequestKind.ADD_NO_CHECK_WITH_DHCID,
    # No prerequisites: the update replaces the addresses and the DHCID of any client.
    forward=(
        Step(
            "REPLACING_FWD_ADDRS", "FORWARD_ADD", "Forward Add",
            updates=(_DELETE_ADDRESSES, _DELETE_DHCID, _ADD_ADDRESS, _ADD_DHCID),
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
            updates=(_DELETE_ADDRESSES, _ADD_ADDRESS),
            on=_ADDED,
        ),
    ),
    reverse=(
        Step(
            "REPLACING_REV_PTRS", "REVERSE_REPLACE", "Reverse Replace",
            updates=(_DELETE_PTR, _ADD_PTR),
            on=_ADDED,
        ),
    ),
)

NAME_REMOVE: Final = Kind(
    "NameRemove", RequestKind.REMOVE_CHECK_WITH_DHCID,
    # RFC 4703, section 5.5: first the address, then the rest of the name if no address is left.
    forward=_remove((_DHCID_IS_OURS,), (_DHCID_IS_OURS, _NO_A, _NO_AAAA), (_DELETE_ALL,)),
    reverse=(_REMOVE_PTR_IF_OURS,),
)

CHECK_EXISTS_REMOVE: Final = Kind(
    "CheckExistsRemove", RequestKind.REMOVE_CHECK_EXISTS_WITH_DHCID,
    forward=_remove((_DHCID_EXISTS,), (_NO_A, _NO_AAAA), (_DELETE_DHCID,)),
    reverse=(_REMOVE_PTR_IF_OURS,),
)

SIMPLE_REMOVE: Final = Kind(
    "SimpleRemove", RequestKind.REMOVE_NO_CHECK_WITH_DHCID,
    forward=(
        Step(
            "REMOVING_FWD_RRS", "FORWARD_REMOVE_RRS", "Forward RR Remove",
            updates=(_DELETE_ADDRESSES, _DELETE_DHCID),
            on=_REMOVED,
        ),
    ),
    reverse=(
        Step(
            "REMOVING_REV_PTRS", "REVERSE_REMOVE", "Reverse Remove",
            updates=(_DELETE_PTR, _DELETE_DHCID),
            on=_REMOVED,
        ),
    ),
)

SIMPLE_REMOVE_WITHOUT_DHCID: Final = Kind(
    "SimpleRemoveWithoutDHCID", RequestKind.REMOVE_NO_CHECK_WITHOUT_DHCID,
    forward=(
        Step(
            "REMOVING_FWD_RRS", "FORWARD_REMOVE_RRS", "Forward RR Remove",
            updates=(_DELETE_ADDRESSES,),
            on=_REMOVED,
        ),
    ),
    reverse=(
        Step(
            "REMOVING_REV_PTRS", "REVERSE_REMOVE", "Reverse Remove",
            updates=(_DELETE_PTR,),
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
