"""What a receiver has not got acknowledged yet: its batches in their order, one at a time under way."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pyd2.queue.shared.batch import BatchNumber, RequestBatch, first_batch

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Arrived(NamedTuple):
    """A request that is in no batch."""

    since: float
    taken: float
    datagram: bytes


@dataclass(slots=True)
class _Outgoing:
    """A batch that is not acknowledged."""

    batch: RequestBatch
    since: float
    spooled: bool


class Outgoing:
    """The requests of one start of a receiver.

    A request is taken when its batch is acknowledged or in the spool, a file that survives the receiver. The
    first batch is appended, again and again, until it is acknowledged, and only then the next one: so the
    order is certain, and a repetition is known by its number. What comes meanwhile makes the next batch, so
    batches grow with the load.
    """

    def __init__(self, receiver: str, boot: int, spool: Sequence[RequestBatch] = ()) -> None:
        """``boot`` is higher than at the start before; ``spool`` is what that has left, in its order."""
        self._receiver = receiver
        self._boot = boot
        self._serial = 0
        self._arrived: deque[_Arrived] = deque()
        self._batches = deque(_Outgoing(batch, 0.0, spooled=True) for batch in spool)

    def __len__(self) -> int:
        return len(self._arrived) + sum(len(one.batch.datagrams) for one in self._batches)

    def add(self, datagrams: Sequence[bytes], taken: float, now: float) -> None:
        """Add requests; ``taken`` is the wall clock, ``now`` the one that ``to_spool`` goes by."""
        self._arrived.extend(_Arrived(now, taken, datagram) for datagram in datagrams)

    def first(self) -> RequestBatch | None:
        """Return the batch to append: the same one until it is acknowledged. None: there is nothing to do."""
        if not self._batches and self._arrived:
            self._form()
        return self._batches[0].batch if self._batches else None

    def acknowledged(self) -> bool:
        """The first batch is in the shared queue; return whether it is to be removed from the spool."""
        return self._batches.popleft().spooled

    def to_spool(self, before: float) -> list[RequestBatch]:
        """Return the batches that are to be written to the spool: those that began before a moment."""
        while self._arrived and self._arrived[0].since < before:
            self._form()
        return [one.batch for one in self._batches if not one.spooled and one.since < before]

    def spooled(self, batches: Sequence[RequestBatch]) -> None:
        """These batches are in the spool; some may have been acknowledged meanwhile."""
        numbers = {batch.number for batch in batches}
        for one in self._batches:
            one.spooled = one.spooled or one.batch.number in numbers

    def _form(self) -> None:
        """Make a batch of the first requests."""
        first = self._arrived[0]
        datagrams = first_batch(arrived.datagram for arrived in self._arrived)
        for _ in datagrams:
            self._arrived.popleft()
        self._serial += 1
        number = BatchNumber(self._boot, self._serial)
        batch = RequestBatch(self._receiver, number, first.taken, datagrams)
        self._batches.append(_Outgoing(batch, first.since, spooled=False))
