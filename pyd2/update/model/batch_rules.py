"""Which steps may go in a batch, as a table beside the kinds (``kinds.py``).

Theory of operation
-------------------
A batch is one UPDATE message with the updates of several
transactions, whose owners differ. A server carries it out as a whole or not at all. Its RCODE shows which
kind of prerequisite does not hold, but not for which update. So a batch has outcomes of its own:

- NOERROR: all updates are done, and each leads to what its kind says;
- ASK, for additions: the server is asked for the DHCID of each name. Then a second batch, with all
  prerequisites, adds the names that are free and takes over those that are the client's own;
- all else: each update goes alone, by Kea's steps, from the beginning of its direction. If the RCODE does not
  concern one update only, the zone has no batches for a while.

What this table does not have goes alone: steps that follow an answer to a single update, the repetition of a
try, ``check-exists-with-dhcid`` additions, for which any DHCID will do, and all steps that policies add: what
a batch leaves over goes by the table of its kind, and that may lead to them.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from pyd2.dns.constants import Rcode
from pyd2.ncr import ChangeType
from pyd2.update.model import kinds
from pyd2.update.model.policies import POLICY_KINDS

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from pyd2.update.model.kinds import Kind, Step


class BatchSort(IntEnum):
    """Updates that may share a message are of one sort: what a batch's size learns holds for one.

    Plain numbers, because each update looks for its group by its sort.
    """

    WRITES = 0
    """They have no prerequisites: nothing can be in their way."""
    ADDITIONS = 1
    """They need a name that is free."""
    REMOVALS = 2


OF_ONE_UPDATE: Final = frozenset({Rcode.NXDOMAIN, Rcode.YXDOMAIN, Rcode.YXRRSET, Rcode.NXRRSET})
"""The RCODEs of prerequisites: they say something about one update, and nothing about batches."""

ASKS: Final[Mapping[BatchSort, frozenset[Rcode]]] = {
    BatchSort.WRITES: frozenset(),
    BatchSort.ADDITIONS: frozenset({Rcode.NXDOMAIN, Rcode.YXDOMAIN, Rcode.NXRRSET}),
    BatchSort.REMOVALS: frozenset(),
}
"""The RCODEs after which the server is asked for the DHCIDs of a batch's names."""


class BatchRule:
    """How the update of a step goes in a batch."""

    __slots__ = ("hops", "sort", "taken_over")

    def __init__(self, sort: BatchSort, hops: int | None = None, taken_over: Step | None = None) -> None:
        self.sort = sort
        self.hops = hops
        """How many answers lead to the step if all is as expected: after others it goes alone. None: any."""
        self.taken_over = taken_over
        """The step in its place when the name has turned out to be the client's own."""


_WRITES: Final = BatchRule(BatchSort.WRITES)
_REMOVALS: Final = BatchRule(BatchSort.REMOVALS)


def _name_add(kind: Kind) -> dict[Step, BatchRule]:
    """Return the rules of NameAdd, also as a policy changes it."""
    taken_over = kind.steps["REPLACING_FWD_ADDRS"]
    return {
        kind.first_forward: BatchRule(BatchSort.ADDITIONS, hops=0, taken_over=taken_over),
        kind.first_reverse: _WRITES,
    }


def _rules(kind: Kind, sort: BatchSort, names: Container[str] | None = None) -> dict[Step, BatchRule]:
    """Return the rules of a kind each of whose forward steps follows when the one before has succeeded.

    ``names`` are those of the steps that have rules; None: all.
    """
    found: dict[Step, BatchRule] = {}
    hops = 0
    for step in kind.steps.values():
        if names is not None and step.name not in names:
            continue
        if step.forward:
            found[step] = BatchRule(sort, hops)
            hops += 1
        else:
            found[step] = _REMOVALS if sort is BatchSort.REMOVALS else _WRITES
    return found


BATCH_RULES: Final[Mapping[Kind, Mapping[Step, BatchRule]]] = {
    kinds.NAME_ADD: _name_add(kinds.NAME_ADD),
    kinds.SIMPLE_ADD: _rules(kinds.SIMPLE_ADD, BatchSort.WRITES),
    kinds.CHECK_EXISTS_ADD: {kinds.CHECK_EXISTS_ADD.first_reverse: _WRITES},
    kinds.SIMPLE_ADD_WITHOUT_DHCID: _rules(kinds.SIMPLE_ADD_WITHOUT_DHCID, BatchSort.WRITES),
    kinds.NAME_REMOVE: _rules(kinds.NAME_REMOVE, BatchSort.REMOVALS),
    kinds.SIMPLE_REMOVE: _rules(kinds.SIMPLE_REMOVE, BatchSort.REMOVALS),
    kinds.CHECK_EXISTS_REMOVE: _rules(kinds.CHECK_EXISTS_REMOVE, BatchSort.REMOVALS),
    kinds.SIMPLE_REMOVE_WITHOUT_DHCID: _rules(kinds.SIMPLE_REMOVE_WITHOUT_DHCID, BatchSort.REMOVALS),
    **{
        kind: _name_add(kind) if kind.change_type is ChangeType.ADD
        else _rules(kind, BatchSort.REMOVALS, kinds.NAME_REMOVE.steps)
        for kind in POLICY_KINDS
    },
}
"""By kind and step; what is not there goes alone."""
