"""From what the engine reports to the rows of the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from pyd2.history.layout import FORWARD_DONE, REVERSE_DONE
from pyd2.update.model.reasons import Fault
from pyd2.update.observing.requests import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyd2.packets.layer import Request
    from pyd2.update.model.transaction import Transaction
    from pyd2.update.observing.requests import End

Row: TypeAlias = "tuple[Any, ...]"
"""The columns of ``layout.COLUMNS`` but the ID."""


class Batch(NamedTuple):
    """What has ended in one turn of the engine."""

    wall: float
    """Seconds since the epoch."""
    now: float
    """The same moment in monotonic seconds."""
    done: Sequence[Transaction]
    ends: Sequence[End]
    """Requests that have ended otherwise, or are tried again."""


_FAULTS: dict[Result, str] = {
    Result.UNMATCHED: Fault.UNMATCHED,
    Result.EXPIRED: Fault.EXPIRED,
    Result.SUPERSEDED: Fault.SUPERSEDED,
}
"""What failed where a result says it."""


def row_of_done(batch: Batch, transaction: Transaction, word: Callable[[str], int]) -> Row:
    """Return the row of a request that is done; ``word`` returns the number of a text."""
    key = transaction.key
    where = (
        0,
        word(transaction.step.name),
        word(transaction.domain.name),
        word(transaction.server.lane.text),
        0 if key is None else word(key.name),
        transaction.tries,
    )
    return _row(batch, transaction.ncr, Result.DONE, _ways_done(transaction), where, None)


def row_of_end(batch: Batch, end: End, word: Callable[[str], int]) -> Row:
    """Return the row of a request that has ended otherwise."""
    transaction = end.transaction
    fault = word(end.fault or _FAULTS.get(end.result, ""))
    if transaction is None:
        where = (fault, 0, word(end.zone), 0, 0, 0)
        return _row(batch, end.request, end.result, 0, where, end.note or None)
    step = getattr(transaction, "step", None)
    server = getattr(transaction, "server", None)
    key = getattr(transaction, "key", None)
    where = (
        fault,
        0 if step is None else word(step.name),
        word(transaction.domain.name),
        0 if server is None else word(server.lane.text),
        0 if key is None else word(key.name),
        transaction.tries,
    )
    return _row(batch, end.request, end.result, _ways_done(transaction), where, end.note or None)


def _ways_done(transaction: Transaction) -> int:
    return FORWARD_DONE * transaction.forward_done + REVERSE_DONE * transaction.reverse_done


def _row(
    batch: Batch, request: Request, result: Result, done: int, where: tuple[int, ...], note: str | None
) -> Row:
    kind, name, address, client, ways, read_at = request.facts
    microseconds = int((batch.now - read_at) * 1e6) if read_at else None
    at = int(batch.wall * 1000)
    return (at, kind, name, address, client, int(result), ways + done, *where, microseconds, note)
