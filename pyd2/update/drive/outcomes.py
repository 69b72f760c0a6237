"""How transactions end, and what they leave for others to take out: the engine and the shell.

Nothing here calls anyone back, so a chain of failures cannot become a recursion: what has ended is put into
lists, and who needs it fetches it from there.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pyd2.config.switches import RetrySwitches
    from pyd2.counters import Counters
    from pyd2.messages import RequestLog
    from pyd2.packets.layer import Request
    from pyd2.update.inflight.contract import Tries
    from pyd2.update.model.transaction import Failure, Transaction


class Postponed(NamedTuple):
    """A transaction that has failed for a reason that may pass."""

    transaction: Transaction
    failure: Failure
    retry: RetrySwitches
    """How its request is tried again."""


class Dead(NamedTuple):
    """A request that has failed for good though such are tried again."""

    ncr: Request
    reason: str


class Ends:
    """What has ended of transactions and requests."""

    def __init__(self, tries: Tries, counters: Counters, log: RequestLog) -> None:
        self._tries = tries
        self._counters = counters
        self._log = log
        self.active = 0
        """Transactions begun and not ended."""
        self.freed: deque[int | Postponed] = deque()
        """What holds the clients whose transaction has ended, or the transaction if it is to be tried again,
        until the engine takes them out.
        """
        self.postponed = 0
        """Of these, transactions whose requests are to be tried again."""
        self.finished: list[int] = []
        """The numbers of requests that have ended, until the shell takes them out."""
        self.numbered = False
        """Whether requests have such numbers."""
        self.dead: list[Dead] = []
        """What has failed for good where requests are tried again, until the shell takes it out."""

    def succeed(self, transaction: Transaction) -> None:
        """End a transaction that has made its changes."""
        log = self._log
        message_id = transaction.kind.succeeded
        if message_id in log.on:
            log.emit_request(message_id, transaction.ncr)
        self._counters.tally.done += 1
        self._stop(transaction, transaction.dhcid)
        if self.numbered and (number := transaction.ncr.number):
            self.finished.append(number)

    def fail(self, transaction: Transaction, failure: Failure) -> None:
        """End a transaction that has failed, or let its request be tried again."""
        if failure.retry is not None:
            self.postponed += 1
            self._stop(transaction, Postponed(transaction, failure, failure.retry))
            return
        outcome = transaction.outcome(failure.event)
        self._log.emit(transaction.kind.failed, transaction.ncr.request_id, outcome)
        self.give_up(transaction, failure.reason)

    def give_up(self, transaction: Transaction, reason: str) -> None:
        """End a transaction that has failed for good, which has been told."""
        self._counters.tally.failed += 1
        if transaction.retry is not None:
            self.dead.append(Dead(transaction.ncr, reason))
        self._stop(transaction, transaction.dhcid)
        self.finish(transaction.ncr)

    def _stop(self, transaction: Transaction, freed: int | Postponed) -> None:
        self.active -= 1
        transaction.plan.active -= 1
        self._tries.forget(transaction)
        self.freed.append(freed)

    def end_request(self, ncr: Request, dhcid: int) -> None:
        """Note that nothing more is done for a request; ``dhcid`` is what holds its client."""
        self.freed.append(dhcid)
        self.finish(ncr)

    def finish(self, ncr: Request) -> None:
        """The same for one that holds no client."""
        if self.numbered and (number := ncr.number):
            self.finished.append(number)
