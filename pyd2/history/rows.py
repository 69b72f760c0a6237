"""From what the engine reports to the rows of the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from pyd2.history.layout import FORWARD_DONE, REVERSE_DONE
from pyd2.update.model.faults import Fault, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyd2.packets.layer import Request
    from pyd2.update.model.transaction import Transaction
    from pyd2.update.observing.requests import End

Row: TypeAlias = "tuple[Any, ...]"
"""The columns of ``layout.COLUMNS`` but the ID."""


FACTS: Final = 5
"""What is kept of each request that is done."""


def facts_of_done(transactions: Sequence[Transaction]) -> list[Any]:
    """Return what rows of requests need that are done: FACTS objects of each, one after the other."""
    return [
        fact
        for each in transactions
        for fact in (each.ncr, each.domain, each.server.lane, each.key, each.tries)
    ]


class Batch(NamedTuple):
    """What has ended in one turn of the engine."""

    wall: float
    """Seconds since the epoch."""
    now: float
    """The same moment in monotonic seconds."""
    done: Sequence[Any]
    """What ``facts_of_done`` has found, all in one row: objects for each request would be the garbage
    collector's, which costs more than all else (measured).
    """
    ends: Sequence[End]
    """Requests that have ended otherwise, or are tried again."""

    @property
    def size(self) -> int:
        """How many requests these are."""
        return len(self.done) // FACTS + len(self.ends)


_FAULTS: dict[Result, str] = {
    Result.UNMATCHED: Fault.UNMATCHED,
    Result.EXPIRED: Fault.EXPIRED,
    Result.SUPERSEDED: Fault.SUPERSEDED,
}
"""What failed where a result says it."""


def row_of_done(batch: Batch, first: int, word: Callable[[str], int]) -> Row:
    """Return the row of a request that is done, whose facts begin at ``first``.

    ``word`` returns the number of a text. The request has made all changes that it asks for.
    """
    request, domain, lane, key, tries = batch.done[first : first + FACTS]
    where = (0, 0, word(domain.name), word(lane.text), 0 if key is None else word(key.name), tries)
    return _row(batch, request, Result.DONE, None, where, None)


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
    batch: Batch, request: Request, result: Result, done: int | None, where: tuple[int, ...], note: str | None
) -> Row:
    """Return a row; ``done`` are the changes that were made, as bits of ``ways``; None: all."""
    kind, name, address, client, ways, read_at = request.facts
    done = ways * FORWARD_DONE if done is None else done
    microseconds = int((batch.now - read_at) * 1e6) if read_at else None
    at = int(batch.wall * 1000)
    return (at, kind, name, address, client, int(result), ways + done, *where, microseconds, note)
