"""The owners (names, or addresses in the reverse direction) of a server's updates that wait or are under way.

Owners of updates in batches differ, ignoring case: in a message, and from those of all other updates that
wait or are under way at the server. What comes for an owner that is in a batch, or waits for one, waits
behind it. Updates that go alone are sent as ever: several may be under way for an owner, in the order in
which they came.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyd2.update.model.plan import Domain
    from pyd2.update.model.transaction import Transaction


ALONE_KEPT: Final = 4096
"""Owners of updates that go alone, from which on those that have ended are looked for."""


def owner_of(transaction: Transaction) -> bytes:
    """Return the owner of a transaction's present step: the name in lower case, or the address."""
    ncr = transaction.ncr
    return ncr.fqdn_wire.lower() if transaction.step.forward else ncr.address


class Owners:
    """Those of one server."""

    __slots__ = ("_alone", "_in_batches", "_most_alone", "followers")

    def __init__(self) -> None:
        self._in_batches: dict[bytes, deque[Transaction] | None] = {}
        """Owners in batches, or that wait for one, with what waits behind; None: nothing."""
        self._alone: dict[bytes, deque[tuple[Transaction, Domain]]] = {}
        """Owners of what goes alone, each with the domains of that direction; some of it may have ended."""
        self._most_alone = ALONE_KEPT
        self.followers = 0
        """Transactions that wait behind another one."""

    def follow(self, owner: bytes, transaction: Transaction) -> bool:
        """Let a transaction wait if its owner is in a batch; return whether it does."""
        if owner not in self._in_batches:
            return False
        behind = self._in_batches[owner]
        if behind is None:
            behind = self._in_batches[owner] = deque()
        behind.append(transaction)
        self.followers += 1
        return True

    def take(self, owner: bytes) -> bool:
        """Take an owner, which is in no batch, for one, unless an update goes alone; return whether."""
        if owner in self._alone and self._goes_alone(owner):
            return False
        self._in_batches[owner] = None
        return True

    def has_noted(self, owner: bytes, transaction: Transaction) -> bool:
        """Whether a transaction was noted as one that goes alone."""
        return any(noted is transaction for noted, _ in self._alone.get(owner, ()))

    def _goes_alone(self, owner: bytes) -> bool:
        """Whether an update with an owner goes alone; forget those that have ended."""
        alone = self._alone.get(owner)
        if alone is None:
            return False
        while alone:
            if _is_at_work(*alone[0]):
                return True
            alone.popleft()
        del self._alone[owner]
        return False

    def release(self, owner: bytes) -> Sequence[Transaction]:
        """Release an owner that was in a batch; return what has waited behind, in order."""
        behind = self._in_batches.pop(owner, None)
        if behind is None:
            return ()
        self.followers -= len(behind)
        return behind

    def add_alone(self, owner: bytes, transaction: Transaction) -> None:
        """Note that an update with an owner that is in no batch goes alone."""
        entry = transaction, transaction.domain
        if self._goes_alone(owner):
            self._alone[owner].append(entry)
        else:
            self._alone[owner] = deque((entry,))

    def forget_alone(self) -> None:
        """Forget what goes alone; before the next batch it is added again."""
        self._alone.clear()

    def forget_ended(self) -> None:
        """Forget what went alone and has ended, if that may be much."""
        if len(self._alone) > self._most_alone:
            for owner in [*self._alone]:
                self._goes_alone(owner)
            self._most_alone = max(ALONE_KEPT, 2 * len(self._alone))


def _is_at_work(transaction: Transaction, domain: Domain) -> bool:
    """Whether a transaction has not ended and is still in the direction of a domain."""
    return not transaction.ended and transaction.domain is domain
