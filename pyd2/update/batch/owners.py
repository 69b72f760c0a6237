"""The owners (names, or addresses in the reverse direction) of a server's updates that wait or are under way.

Owners of updates in batches differ, ignoring case: in a message, and from those of all other updates that
wait or are under way at the server. What comes for an owner that is in a batch, or waits for one, waits
behind it. Updates that go alone are sent as ever: several may be under way for an owner, in the order in
which they came.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyd2.update.model.plan import Domain
    from pyd2.update.model.transaction import Transaction


def owner_of(transaction: Transaction) -> bytes:
    """Return the owner of a transaction's present step: the name in lower case, or the address."""
    ncr = transaction.ncr
    return ncr.fqdn_wire.lower() if transaction.step.forward else ncr.address


class Owners:
    """Those of one server."""

    __slots__ = ("_alone", "_in_batches", "followers")

    def __init__(self) -> None:
        self._in_batches: dict[bytes, deque[Transaction] | None] = {}
        """Owners in batches, or that wait for one, with what waits behind; None: nothing."""
        self._alone: dict[bytes, list[tuple[Transaction, Domain]]] = {}
        """Owners of what goes alone, each with the domains of that direction; some of it may have ended."""
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
        alone = self._alone.get(owner)
        if alone is not None:
            if any(_is_at_work(transaction, domain) for transaction, domain in alone):
                return False
            del self._alone[owner]
        self._in_batches[owner] = None
        return True

    def release(self, owner: bytes) -> Sequence[Transaction]:
        """Release an owner that was in a batch; return what has waited behind, in order."""
        behind = self._in_batches.pop(owner, None)
        if behind is None:
            return ()
        self.followers -= len(behind)
        return behind

    def add_alone(self, owner: bytes, transaction: Transaction) -> None:
        """Note that an update with an owner that is in no batch goes alone."""
        alone = self._alone.get(owner)
        if alone is None:
            alone = self._alone[owner] = []
        else:
            alone[:] = [each for each in alone if each[0] is not transaction and _is_at_work(*each)]
        alone.append((transaction, transaction.domain))

    def forget_alone(self) -> None:
        """Forget what goes alone; before the next batch it is added again."""
        self._alone.clear()

    def forget_ended(self) -> None:
        """Forget what went alone and has ended."""
        self._alone = {
            owner: alone for owner, alone in self._alone.items() if any(_is_at_work(*each) for each in alone)
        }

    @property
    def count_alone(self) -> int:
        """Owners of what goes alone, those of some that has ended among them."""
        return len(self._alone)


def _is_at_work(transaction: Transaction, domain: Domain) -> bool:
    """Whether a transaction has not ended and is still in the direction of a domain."""
    return not transaction.ended and transaction.domain is domain
