"""How transactions and requests end: what is logged and counted, and what the scheduler and the shell get."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from pyd2.update.agenda import Postponed
from pyd2.update.model.faults import Result
from pyd2.update.output import DeadLetter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyd2.counters import Counters
    from pyd2.messages import RequestLog
    from pyd2.packets.layer import Request
    from pyd2.update.agenda import Agenda
    from pyd2.update.inflight.contract import Tries
    from pyd2.update.model.transaction import Failure, Transaction
    from pyd2.update.observing.requests import RequestObserver
    from pyd2.update.output import OutputBuffer


class Ends:
    """Ends transactions and requests."""

    def __init__(
        self, tries: Tries, counters: Counters, log: RequestLog, agenda: Agenda, output: OutputBuffer
    ) -> None:
        self._tries = tries
        self._counters = counters
        self._log = log
        self._agenda = agenda
        self._freed = agenda.freed
        self._postponed = agenda.postponed
        self._output = output
        self.active = 0
        """Transactions begun and not ended."""
        self.sharing = 0
        """Of these, those under way that share a try with another one: all of a batch but one."""
        self.numbered = False
        """Whether requests have numbers in the durable queue."""
        self.observer: RequestObserver | None = None
        """Counts how requests end; None while neither metrics nor the history are on."""

    def succeed(self, transactions: Sequence[Transaction]) -> None:
        """End transactions that have made their changes."""
        log = self._log
        for message_id, some in groupby(transactions, attrgetter("kind.succeeded")):
            if message_id in log.on:
                log.emit_requests(message_id, [transaction.ncr for transaction in some])
        freed = self._freed
        for transaction in transactions:
            transaction.ended = True
            transaction.plan.active -= 1
            freed.append(transaction.dhcid)
        self.active -= len(transactions)
        self._counters.tally.done += len(transactions)
        self._tries.forget(transactions)
        if self.observer is not None:
            self.observer.done += transactions
        if self.numbered:
            self._output.finished += [
                number for transaction in transactions if (number := transaction.ncr.number)
            ]

    def fail(self, transaction: Transaction, failure: Failure) -> None:
        """End a transaction that has failed, or have its request tried again."""
        if failure.retry is not None:
            self._stop(transaction)
            self._postponed.append(Postponed(transaction, failure))
            return
        self.log_failure(transaction, failure)
        self.give_up(transaction, failure)

    def halt(self, transaction: Transaction) -> None:
        """End a transaction before its reverse change, which is to be made later."""
        self._stop(transaction)
        self._postponed.append(Postponed(transaction, None))

    def log_failure(self, transaction: Transaction, failure: Failure) -> None:
        """Log that a transaction has failed for good."""
        outcome = transaction.outcome(failure.event)
        self._log.emit(transaction.kind.failed, transaction.ncr.request_id, outcome)

    def give_up(self, transaction: Transaction, failure: Failure) -> None:
        """End a transaction that has failed for good, which has been logged."""
        self._counters.tally.failed += 1
        self.observe(Result.FAILED, transaction.ncr, transaction, failure.fault, failure.reason)
        if transaction.retry is not None:
            self.add_dead_letter(transaction.ncr, failure.reason)
        self._stop(transaction)
        self._freed.append(transaction.dhcid)
        self.finish(transaction.ncr)

    def observe(
        self, result: Result, ncr: Request, transaction: Transaction | None = None, fault: str = "",
        note: str = "",
    ) -> None:
        """Note the end of a request other than by success, if that is counted; see ``End``."""
        if self.observer is not None:
            self.observer.ended(result, ncr, transaction, fault, note)

    def _stop(self, transaction: Transaction) -> None:
        self.active -= 1
        transaction.ended = True
        transaction.plan.active -= 1
        self._tries.forget((transaction,))

    def end_request(self, ncr: Request, dhcid: int) -> None:
        """End a request without a transaction; ``dhcid`` is the hash that holds its client."""
        self._freed.append(dhcid)
        self.finish(ncr)

    def finish(self, ncr: Request) -> None:
        """Report the end of a request that holds no client."""
        if self.numbered and (number := ncr.number):
            self._output.finished.append(number)

    def add_dead_letter(self, ncr: Request, reason: str) -> None:
        """Report that a request has failed for good, which its end does not say by itself."""
        self._output.dead_letters.append(DeadLetter(ncr, reason))
