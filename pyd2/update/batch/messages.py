"""Makes and sends the messages of rounds: batches, and the questions between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.dns.batch import LARGEST_BATCH, MAX_UDP_BATCH
from pyd2.dns.question import encode_question
from pyd2.dns.tsig import ContextKey
from pyd2.errors import NcrError, Pyd2Error
from pyd2.update.batch.rounds import Batch
from pyd2.update.drive.sender import Draft
from pyd2.update.inflight.contract import STREAM, Outgoing
from pyd2.update.server.lane import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyd2.dns.tsig import SigningContext, SigningKey
    from pyd2.messages import Log
    from pyd2.packets.layer import PacketLayer
    from pyd2.update.batch.lane_batches import LaneBatches
    from pyd2.update.batch.rounds import Follows, Question, Round
    from pyd2.update.drive.outcomes import Ends
    from pyd2.update.drive.sender import Sender
    from pyd2.update.inflight.contract import Tries
    from pyd2.update.model.transaction import BatchTry
    from pyd2.update.output import OutputBuffer
    from pyd2.update.server.lane import Lane

FEW: Final = 8
"""Updates that go alone, under way when a batch is sent: with more, its reply time is mostly theirs."""
_HEAD: Final = 12


def must_wait(lane: Lane, key: SigningKey | None) -> bool:
    """Whether a try of a lane has to end before a key signs again; see ContextKey."""
    return isinstance(key, ContextKey) and lane.window.in_flight > 0 and key.is_full()


class BatchMessages:
    """Sends what rounds need. ``now`` is monotonic seconds, ``wall`` seconds since the epoch."""

    def __init__(
        self, sender: Sender, tries: Tries, packets: PacketLayer, ends: Ends, log: Log, output: OutputBuffer
    ) -> None:
        self._sender = sender
        self._tries = tries
        self._packets = packets
        self._ends = ends
        self._log = log
        self._output = output

    def send_batch(
        self, batches: LaneBatches, round_: Round, follows: Follows, now: float, wall: float
    ) -> int:
        """Send a batch of a round's first updates; return of how many: the others do not fit.

        0: of none; they do not fit, or cannot be signed.
        """
        group = round_.group
        lane = batches.lane
        context = None if group.key is None else group.key.create_context()
        signature = 0 if context is None else context.length
        limit = LARGEST_BATCH if batches.may_use_tcp(group, now) else MAX_UDP_BATCH
        count = len(round_.transactions)
        while count > 1:
            members = round_.transactions[:count]
            try:
                message = self._packets.encode_batch(
                    group.zone, [(transaction.step.template, transaction.ncr) for transaction in members],
                    forward=group.forward,
                )
            except NcrError:  # long names of many make more than any DNS message can hold
                count //= 2
                continue
            size = len(message) + signature
            if size <= limit:
                break
            count = min(count - 1, count * limit // size)
        else:
            return 0
        group.fixed = _HEAD + len(group.zone.section) + signature
        group.octets = (size - group.fixed) / count
        tcp = group.server.tcp or size > MAX_UDP_BATCH
        draft = Draft(*self._sender.new_query(lane), message)
        try:
            message = _signed(draft, context, int(wall))
        except Pyd2Error:  # its context has ended; each update by itself says so
            return 0
        others = lane.window.in_flight - batches.under_way - batches.asking + len(lane.orders)
        batch = Batch(round_, follows, context, now, tcp=tcp, measures=others <= FEW)
        for transaction in members:
            transaction.tries += 1
            transaction.context = None
            transaction.tcp = tcp
        self._send(batch, draft, message, now)
        self._ends.sharing += count - 1
        batches.counts.batches += 1
        batches.counts.updates += count
        batches.under_way += 1
        batches.udp += not tcp
        self._sender.count_sent(members, wall)
        if "PYD2_BATCH_SENT" in self._log.on:
            transport = "TCP" if tcp else "UDP"
            self._log.emit(
                "PYD2_BATCH_SENT", count, group.zone.name, lane.text, len(message), transport
            )
        return count

    def ask(self, batches: LaneBatches, questions: Sequence[Question], now: float, wall: float) -> None:
        """Ask for the DHCIDs of names, by the batch where there is a route for that."""
        lane = batches.lane
        batches.counts.questions += len(questions)
        batches.asking += len(questions)
        alone = [question for question in questions if not question.route.address]
        routed = [question for question in questions if question.route.address]
        if routed:
            left = self._tries.send(lane, routed, self._sender.turn(lane, now, wall))
            alone += [routed[place] for place in left]
            self._output.posted[lane] = None
            lane.free_places = UNKNOWN
        for question in alone:
            if must_wait(lane, question.key):
                batches.to_ask.append(question)
                batches.counts.questions -= 1
                batches.asking -= 1
            else:
                self._ask_alone(question, now, wall)

    def _ask_alone(self, question: Question, now: float, wall: float) -> None:
        """Make a question in Python and send it."""
        server = question.server
        context = question.context = None if question.key is None else question.key.create_context()
        question.tcp = server.tcp
        slot = STREAM if server.tcp else self._sender.slot_of(server.lane)
        query_id = self._tries.draw_query_id(server.lane, slot)
        draft = Draft(slot, query_id, encode_question(question.ncr.fqdn_wire))
        try:
            message = _signed(draft, context, int(wall))
        except Pyd2Error:  # see send_batch
            question.fail(now, wall)
            return
        self._send(question, draft, message, now)

    def _send(self, tried: BatchTry, draft: Draft, message: bytes, now: float) -> None:
        lane = tried.server.lane
        slot = STREAM if tried.tcp else draft.slot
        self._tries.enter(tried, lane, slot << 16 | draft.query_id, now, self._sender.timeout_ms / 1000)
        lane.free_places = UNKNOWN
        self._output.outgoing.append(Outgoing(lane, slot, draft.query_id, tried.tcp, message))


def _signed(draft: Draft, context: SigningContext | None, wall: int) -> bytes:
    """Return a draft with its query ID and, with a context, its TSIG."""
    if context is None:
        return draft.query_id.to_bytes(2, "big") + draft.message[2:]
    return context.sign(draft.message, draft.query_id, wall)
