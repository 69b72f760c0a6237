"""From what the engine reports to the rows of the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from pyd2.history.layout import FORWARD, FORWARD_DONE, REVERSE, REVERSE_DONE
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
    return _row(
        batch,
        transaction.ncr,
        Result.DONE,
        _ways(transaction.ncr, transaction),
        0,
        word(transaction.step.name),
        word(transaction.domain.name),
        word(transaction.server.lane.text),
        0 if key is None else word(key.name),
        transaction.tries,
        None,
    )


def row_of_end(batch: Batch, end: End, word: Callable[[str], int]) -> Row:
    """Return the row of a request that has ended otherwise."""
    transaction = end.transaction
    result, request = end.result, end.request
    fault = end.fault or _FAULTS.get(result, "")
    if transaction is None:
        return _row(
            batch, request, result, _ways(request, None), word(fault), 0, word(end.zone), 0, 0, 0, end.note
        )
    step = getattr(transaction, "step", None)
    server = getattr(transaction, "server", None)
    key = getattr(transaction, "key", None)
    return _row(
        batch,
        request,
        result,
        _ways(request, transaction),
        word(fault),
        word("" if step is None else step.name),
        word(transaction.domain.name),
        word("" if server is None else server.lane.text),
        word("" if key is None else key.name),
        transaction.tries,
        end.note,
    )


def _ways(request: Request, transaction: Transaction | None) -> int:
    ways = FORWARD * request.forward_change + REVERSE * request.reverse_change
    if transaction is not None:
        ways += FORWARD_DONE * transaction.forward_done + REVERSE_DONE * transaction.reverse_done
    return ways


def _row(
    batch: Batch,
    request: Request,
    result: Result,
    ways: int,
    fault: int,
    step: int,
    zone: int,
    server: int,
    key: int,
    tries: int,
    note: str | None,
) -> Row:
    read_at = request.read_at
    microseconds = int((batch.now - read_at) * 1e6) if read_at else None
    return (
        int(batch.wall * 1000),
        request.kind,
        request.fqdn.lower(),
        request.address,
        request.dhcid,
        int(result),
        ways,
        fault,
        step,
        zone,
        server,
        key,
        tries,
        microseconds,
        note or None,
    )
