"""A round: the way of some updates in batches, from the first message to the outcome of the last one.

It has one or two batches and, between them or before the first, a question for each name
(``batch_rules.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pyd2.dns.question import Found, what_is_found
from pyd2.update.model.batch_rules import BATCH_RULES, BatchSort
from pyd2.update.model.route import ALONE
from pyd2.update.model.transaction import BatchTry

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyd2.dns.tsig import SigningContext
    from pyd2.update.batch.group import BatchGroup
    from pyd2.update.model.route import Route
    from pyd2.update.model.transaction import Transaction


class Round:
    """The updates of a round; each has the step of its transaction."""

    __slots__ = ("found", "group", "left", "members", "second", "transactions")

    def __init__(self, group: BatchGroup, members: Sequence[tuple[bytes, Transaction]]) -> None:
        self.group = group
        self.keep(members)
        self.second = False
        """Whether its names have been asked for."""
        self.found: list[Found] = []
        """By the place of the name, what was found."""
        self.left = 0
        """Names whose answer is still to come."""

    def keep(self, members: Sequence[tuple[bytes, Transaction]]) -> None:
        """Leave out all others."""
        self.members = members
        """Its owners, each with its transaction."""
        self.transactions = [transaction for _, transaction in members]

    def begin_anew(self, members: Iterable[tuple[bytes, Transaction]]) -> None:
        """Let updates begin again as if they had not been sent, an addition with Kea's first step."""
        additions = self.group.sort is BatchSort.ADDITIONS
        for _, transaction in members:
            transaction.tries = 0
            if additions:
                transaction.step = transaction.kind.first_forward
                transaction.hops = 0

    def take_over(self, members: Iterable[tuple[bytes, Transaction]]) -> None:
        """Let additions that have not begun take over a name that is the client's own."""
        for _, transaction in members:
            step = BATCH_RULES[transaction.kind][transaction.step].taken_over
            assert step is not None
            transaction.step = step
            transaction.hops += 1


class Follows(Protocol):
    """What follows from the outcome of a try; see BatchTry."""

    def batch_answered(self, batch: Batch, datagram: bytes, now: float, wall: float) -> None:
        """Use the reply to a batch."""

    def batch_expired(self, batch: Batch, now: float, wall: float) -> None:
        """Continue a round whose batch was not answered in time."""

    def batch_failed(self, batch: Batch, now: float, wall: float) -> None:
        """Continue a round whose batch could not be sent over TCP."""

    def question_answered(self, question: Question, found: Found, now: float) -> None:
        """Use what the answer to a question says, or that there is none."""


class _Try(BatchTry):
    __slots__ = ("_follows", "round")

    def __init__(self, round_: Round, follows: Follows, context: SigningContext | None) -> None:
        self.round = round_
        self._follows = follows
        self.number = -1
        self.server = round_.group.server
        self.key = round_.group.key
        self.context = context
        self.tcp = False


class Batch(_Try):
    """One message of a round."""

    __slots__ = ("begun", "measures", "to_silent")

    def __init__(
        self, round_: Round, follows: Follows, context: SigningContext | None, now: float, *, tcp: bool,
        measures: bool,
    ) -> None:
        super().__init__(round_, follows, context)
        self.begun = now
        """When it was sent, in monotonic seconds."""
        self.to_silent = round_.group.server.lane.silent
        """Whether the server was silent then: if that lasts, it need not be TCP that brings no reply."""
        self.measures = measures
        """Whether its reply time shows how quick the server is: few other updates were before it."""
        self.tcp = tcp

    def receive(self, datagram: bytes, now: float, wall: float) -> None:
        """See BatchTry."""
        self._follows.batch_answered(self, datagram, now, wall)

    def expire(self, now: float, wall: float) -> None:
        """See BatchTry."""
        self._follows.batch_expired(self, now, wall)

    @property
    def may_fail(self) -> bool:
        """See BatchTry; what fails over UDP may succeed with the next try only, as with Kea."""
        return self.tcp and not self.server.tcp

    def fail(self, now: float, wall: float) -> None:
        """See BatchTry."""
        self._follows.batch_failed(self, now, wall)


class Question(_Try):
    """The question for the DHCID of one of a round's names."""

    __slots__ = ("ncr", "place", "route")

    then = ALONE

    def __init__(self, round_: Round, place: int, follows: Follows, route: Route) -> None:
        super().__init__(round_, follows, None)
        self.ncr = round_.transactions[place].ncr
        self.place = place
        """That of the name."""
        self.route = route if self.ncr.packed else ALONE

    def receive(self, datagram: bytes, now: float, wall: float) -> None:
        """See BatchTry."""
        ncr = self.ncr
        self.found(what_is_found(datagram, ncr.fqdn_wire, ncr.dhcid, self.context, int(wall)), now)

    def found(self, found: Found, now: float) -> None:
        """Use what the answer says."""
        self._follows.question_answered(self, found, now)

    def expire(self, now: float, wall: float) -> None:  # noqa: ARG002
        """See BatchTry."""
        self.found(Found.UNKNOWN, now)

    @property
    def may_fail(self) -> bool:
        """See BatchTry."""
        return True

    def fail(self, now: float, wall: float) -> None:  # noqa: ARG002
        """See BatchTry."""
        self.found(Found.UNKNOWN, now)
