"""What follows from the replies to batches and to questions; ``model/batch_rules.py`` is the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.dns.constants import rcode_text
from pyd2.dns.question import Found
from pyd2.errors import ReplyError
from pyd2.update.batch.lane_batches import PAUSE
from pyd2.update.batch.rounds import Question
from pyd2.update.model.batch_rules import ASKS, OF_ONE_UPDATE, BatchSort

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyd2.messages import Log
    from pyd2.packets.layer import PacketLayer
    from pyd2.update.batch.lane_batches import LaneBatches
    from pyd2.update.batch.rounds import Batch, Round
    from pyd2.update.drive.outcomes import Ends
    from pyd2.update.drive.replies import Replies
    from pyd2.update.drive.sender import Sender
    from pyd2.update.inflight.contract import Tries
    from pyd2.update.model.transaction import Transaction
    from pyd2.update.server.lane import Lane

SOME: Final = 3
"""Names of a round that exist, from which on the next batch would hardly ever succeed: 19 of 20 would fail.

To send it all the same would cost as much as the second batch, and an answer more until that goes out.
"""
_TRUNCATED: Final = 2
_NOERROR: Final = 0


class BatchOutcomes:
    """See Follows. ``now`` is monotonic seconds, ``wall`` seconds since the epoch."""

    def __init__(
        self, of: Callable[[Lane], LaneBatches], replies: Replies, sender: Sender, tries: Tries,
        packets: PacketLayer, ends: Ends, log: Log,
    ) -> None:
        self._of = of
        self._replies = replies
        self._sender = sender
        self._tries = tries
        self._packets = packets
        self._ends = ends
        self._log = log

    # Batches.

    def batch_answered(self, batch: Batch, datagram: bytes, now: float, wall: float) -> None:
        """See Follows."""
        batches = self._end_try(batch)
        batches.tcp_works |= batch.tcp
        round_ = batch.round
        group = round_.group
        took = now - batch.begun
        try:
            rcode = self._packets.read_reply(datagram, batch.context, int(wall))
            if datagram[2] & _TRUNCATED:
                raise ReplyError("the reply to a batch is truncated")  # noqa: TRY301  it is as good as none
        except ReplyError as error:
            self._log.emit("DHCP_DDNS_INVALID_RESPONSE", error)
            group.size.halve(batch.begun, now)
            bad = error.reason
            if (counts := batches.lane.replies) is not None:
                counts.bad_reply(bad)
            spoilt = self._replies.spoilt
            self._let_go(batches, round_, lambda transaction: spoilt(transaction, bad, now, wall))
            return
        if (counts := batches.lane.replies) is not None:
            counts.rcode(rcode)
        timeout = self._sender.timeout_ms / 1000
        batches.at_a_time.answered(batches.under_way, took, timeout, now, grows=batch.measures)
        if batch.measures:
            group.size.answered(len(round_.transactions), took, timeout, now)
        if rcode == _NOERROR:
            self._log_reply(round_, rcode, took, "all updates are done")
            behind = batches.release(round_.members)
            self._replies.succeeded(round_.transactions, now, wall)
            batches.lane.ready.extend(behind)
            self._end_round(batches, round_)
            return
        self._replies.count_answered(round_.transactions, rcode)
        if rcode in ASKS[group.sort] and not round_.second and batches.may_ask(now):
            self._log_reply(round_, rcode, took, "asking for the DHCIDs of the names")
            self.ask(batches, round_)
            return
        self._log_reply(round_, rcode, took, "each update goes alone")
        if rcode not in OF_ONE_UPDATE:
            batches.pause(group, now)
            self._log.emit(
                "PYD2_BATCHES_PAUSED", batches.lane.text, rcode_text(rcode), len(round_.transactions),
                group.zone.name, round(PAUSE),
            )
        elif group.sort is BatchSort.REMOVALS:
            group.size.halve(batch.begun, now)
        else:
            group.expected = Found.FREE  # what is known of the names has not helped
        self._go_alone(batches, round_, round_.members)
        self._end_round(batches, round_)

    def batch_expired(self, batch: Batch, now: float, wall: float) -> None:
        """See Follows."""
        batches = self._end_try(batch)
        round_ = batch.round
        if "PYD2_BATCH_TIMEOUT" in self._log.on:
            self._log.emit(
                "PYD2_BATCH_TIMEOUT", len(round_.transactions), round_.group.zone.name, batches.lane.text
            )
        self._replies.count_silence(batches.lane, now, wall)
        if batch.measures:
            round_.group.size.halve(batch.begun, now)
        batches.at_a_time.halve(batch.begun, now)
        if batch.tcp and not _stood_still(batch, now):
            batches.tcp_failed(batch.begun, now)
        self._let_go(batches, round_, lambda transaction: self._replies.missed(transaction, now, wall))

    def batch_failed(self, batch: Batch, now: float, wall: float) -> None:
        """See Follows; whether the server has carried it out or not, the same can be tried again."""
        batches = self._end_try(batch)
        batches.tcp_failed(batch.begun, now)
        round_ = batch.round
        self._replies.count_missed(round_.transactions, wall)
        owners = {owner for owner, _ in round_.members}
        if batches.unsent.isdisjoint(owners):
            batches.unsent |= owners
            round_.begin_anew(round_.members)
            batches.put_back(round_.group, round_.members)
        else:  # perhaps it is what one of them says that ends connections
            self._go_alone(batches, round_, round_.members)
        self._end_round(batches, round_)

    # Questions.

    def ask(self, batches: LaneBatches, round_: Round) -> None:
        """Have a round's names asked for."""
        group = round_.group
        if group.asking is None:
            group.asking = self._tries.question_route(group.server, group.key)
        count = len(round_.transactions)
        round_.found = [Found.UNKNOWN] * count
        round_.left = count
        batches.zones_asking[group.zone] += 1
        batches.to_ask.extend(Question(round_, place, self, group.asking) for place in range(count))

    def question_answered(self, question: Question, found: Found, now: float) -> None:
        """See Follows."""
        self._tries.forget((question,))
        batches = self._of(question.server.lane)
        batches.asking -= 1
        round_ = question.round
        round_.found[question.place] = found
        round_.left -= 1
        if round_.left == 0:
            self._asked(batches, round_, now)

    def _asked(self, batches: LaneBatches, round_: Round, now: float) -> None:
        """Continue a round whose names have all been asked for."""
        batches.zones_asking[round_.group.zone] -= 1
        found = round_.found
        half = len(found) / 2
        round_.group.expected = _expected(found)
        if found.count(Found.UNKNOWN) > half:
            batches.leave_questions(now)
        shared = {Found.FREE, Found.OURS}
        if found.count(Found.WITHOUT) > half:
            shared.add(Found.WITHOUT)  # that is a wildcard's doing: its answers hide that most names are free
        by_name = [*zip(found, round_.members, strict=True)]
        together = [member for what, member in by_name if what in shared]
        alone = [member for what, member in by_name if what not in shared]
        if len(together) < 2:
            alone, together = [*together, *alone], []
        self._go_alone(batches, round_, alone)
        round_.begin_anew(together)
        round_.keep(together)
        round_.second = True
        if together:
            round_.take_over(member for what, member in by_name if what is Found.OURS)
            batches.second.append(round_)
        else:
            self._end_round(batches, round_)

    # Ends.

    def give_up(self, batches: LaneBatches, round_: Round, first: int) -> None:
        """Let the updates of a round from a place on go alone: they do not fit, or cannot be made."""
        members = round_.members
        self._go_alone(batches, round_, members[first:])
        round_.keep(members[:first])
        if not first:
            self._end_round(batches, round_)

    def _end_try(self, batch: Batch) -> LaneBatches:
        self._tries.forget((batch,))
        batches = self._of(batch.server.lane)
        self._ends.sharing -= len(batch.round.transactions) - 1
        batches.under_way -= 1
        batches.udp -= not batch.tcp
        return batches

    def _end_round(self, batches: LaneBatches, round_: Round) -> None:
        batches.rounds -= 1
        round_.group.rounds -= 1
        zone = round_.group.zone
        batches.zones[zone] -= 1
        if not batches.zones[zone]:
            del batches.zones[zone], batches.zones_asking[zone]

    def _let_go(
        self, batches: LaneBatches, round_: Round, go_on: Callable[[Transaction], None]
    ) -> None:
        """End a round: each of its transactions continues by itself, and then those that wait behind them."""
        behind = batches.release(round_.members)
        for transaction in round_.transactions:
            go_on(transaction)
        batches.lane.ready.extend(behind)
        self._end_round(batches, round_)

    def _go_alone(
        self, batches: LaneBatches, round_: Round, members: Sequence[tuple[bytes, Transaction]]
    ) -> None:
        """Let updates of a round go alone, by Kea's steps, from the beginning of their direction."""
        round_.begin_anew(members)
        batches.lane.ready.extend(batches.release(members))
        for owner, transaction in members:
            batches.go_alone(owner, transaction)

    def _log_reply(self, round_: Round, rcode: int, took: float, follows: str) -> None:
        if "PYD2_BATCH_ANSWERED" in self._log.on:
            group = round_.group
            self._log.emit(
                "PYD2_BATCH_ANSWERED", group.server.text, rcode_text(rcode), len(round_.transactions),
                group.zone.name, f"{1000 * took:.1f}", follows,
            )


def _stood_still(batch: Batch, now: float) -> bool:
    """Whether the server was silent over UDP, too, for so long that a batch had no time for its reply.

    A batch over TCP that times out makes the server count as silent, too, until the next reply over UDP.
    """
    return batch.to_silent and not batch.begun < batch.server.lane.heard_at < (batch.begun + now) / 2


def _expected(found: Sequence[Found]) -> Found:
    """Return what further names are likely to be, by what some are; see ``BatchGroup.expected``."""
    ours = found.count(Found.OURS)
    if ours == len(found):
        return Found.OURS
    exist = ours + found.count(Found.OTHERWISE)
    return Found.OTHERWISE if exist >= SOME or 2 * exist > len(found) else Found.FREE
