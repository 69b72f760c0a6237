"""The end of a try: by the reply that answers it, and what follows from that, or without a reply.

A reply counts when it answers a try under way and is in order. A datagram that answers none is ignored
(docs/differences.md, 4).
A try without such a reply is a bad one: it is repeated, and after the third the server is given up.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from pyd2.dns.constants import Rcode, rcode_text
from pyd2.dns.question import TruncatedAnswerError, read_answer
from pyd2.dns.reply import read_reply
from pyd2.errors import BadReply, HookError, ReplyError
from pyd2.update.drive.dhcid_support import DhcidSupport
from pyd2.update.drive.failover import has_alternative
from pyd2.update.drive.library_key import LibraryKey
from pyd2.update.drive.questions import ANSWERS, Questions, WhatDiffers, clients_of, what_was_found
from pyd2.update.inflight.contract import COMPLETED, FOUND, NEXT
from pyd2.update.model.faults import Fault
from pyd2.update.model.kinds import DONE, JOINING, MAX_ROUNDS, MAX_TRIES, NOTED
from pyd2.update.model.transaction import NO_MORE_SERVERS, SERVER_IO_ERROR, UPDATE_FAILED, Transaction
from pyd2.update.server.lane import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyd2.counters import Counters, KeyCounters
    from pyd2.dns.question import DhcidAnswer
    from pyd2.messages import Log
    from pyd2.packets.layer import PacketLayer
    from pyd2.update.drive.driver import Driver
    from pyd2.update.drive.hook_jobs import HookJob
    from pyd2.update.inflight.contract import Outgoing
    from pyd2.update.model.transaction import Purpose
    from pyd2.update.server.lane import Lane

_MAY_PASS: Final = frozenset({int(Rcode.SERVFAIL), int(Rcode.REFUSED), int(Rcode.NOTAUTH)})
"""Response codes that say something about the server, and not about the update."""

_OF_SINGLE_UPDATES: Final = frozenset({"DHCP_DDNS_UPDATE_REQUEST_SENT", "DHCP_DDNS_UPDATE_RESPONSE_RECEIVED"})
"""Messages about the single updates of a transaction."""


class Replies:
    """Receives what comes from servers. ``now`` is monotonic seconds, ``wall`` seconds since the epoch."""

    def __init__(
        self, driver: Driver, counters: Counters, log: Log, packets: PacketLayer,
        what_differs: WhatDiffers | None = None,
    ) -> None:
        self._driver = driver
        self._tries = driver.tries
        self._sender = driver.sender
        self._failover = driver.failover
        self._selector = driver.selector
        self._counters = counters
        self._log = log
        self._packets = packets
        self._questions = Questions(counters, log)
        self._what_differs = what_differs
        self._dhcids = DhcidSupport(self._tries, log)
        self._successes: dict[KeyCounters | None, int] = {}
        """Updates that succeeded in this turn, by the key's statistics."""
        self._unanswered_lanes: dict[Lane, None] = {}

    def receive(self, lane: Lane, slot: int, datagrams: Sequence[bytes], now: float, wall: float) -> None:
        """Receive what came from a server to one of its local ports."""
        log = self._log
        logged = "ASIODNS_FETCH_COMPLETED" in log.on
        silent = not logged and log.on.isdisjoint(_OF_SINGLE_UPDATES)
        goes_on = silent and self._selector.select_key is None and not lane.ready and not lane.collecting
        turn = self._sender.turn(lane, now, wall, goes_on=goes_on, together=silent)
        events = self._tries.read_replies(lane, slot, datagrams, turn)
        lane.free_places = UNKNOWN
        if lane.silent and any(transaction is not None for transaction, _, _ in events):
            lane.silent = False
            lane.heard_at = now
        if lane.breaker is not None:
            self._failover.heard(lane, lane.breaker, events, wall)
        for transaction, rcode, more in events:
            if transaction is None:
                self._ignore(lane, more, wall)
                continue
            if logged:
                log.emit("ASIODNS_FETCH_COMPLETED", lane.host, lane.port)
            if rcode >= 0:
                self.answered(transaction, rcode, now, wall)
            elif rcode == COMPLETED:
                self._add_successes(transaction)
                self._driver.completed(transaction, now, wall)
            elif rcode == NEXT:
                self._add_successes(transaction)
                self._driver.went_on(transaction, lane, wall)
            elif rcode == FOUND:
                transaction.found(more, now)
            else:
                self._judge(transaction, more, now, wall)
        if self._successes:
            self.count_successes(wall)

    def pop_unanswered(self, most: int) -> list[Lane]:
        """Return ``most`` lanes at most in which a try has timed out, each once."""
        lanes = self._unanswered_lanes
        return [lanes.popitem()[0] for _ in range(min(most, len(lanes)))]

    def send_failed(self, outgoing: Outgoing, error: int | str, now: float, wall: float) -> None:
        """Log that a message could not be sent, or that its connection has failed.

        As in Kea the try keeps its place until its timeout (contract, section 6), so that a route that is
        missing for a moment costs no update. Only a try that need not wait ends at once: one over TCP
        whose truncated answer over UDP counts, and with ``failover`` one that another server can have.
        """
        lane = outgoing.lane
        query = outgoing.slot << 16 | outgoing.query_id
        tried = self._tries.find(lane, query)
        if tried is None:
            return
        if not isinstance(tried, Transaction) or tried.spare_rcode is None:
            protocol = "TCP" if outgoing.tcp else "UDP"
            self._log.emit("ASIODNS_SEND_DATA", error, protocol, lane.host, lane.port)
            if not (has_alternative(tried) if isinstance(tried, Transaction) else tried.may_fail):
                return
        self._tries.withdraw(lane, query, now)
        lane.free_places = UNKNOWN
        if isinstance(tried, Transaction):
            self._unanswered(tried, now, wall, was_sent=False)
        else:
            tried.fail(now, wall)

    def expire(self, most: int, until: float, now: float, wall: float) -> list[Lane]:
        """Fail tries whose time was up at ``until``, so many at most; return the lanes of their servers.

        ``until`` is monotonic seconds, ``now`` or a moment before. There may be fewer than there
        could be; none only if there is no such try.
        """
        expired = self._tries.expire(until, most)
        lanes = [transaction.server.lane for transaction in expired]
        for lane in lanes:
            lane.free_places = UNKNOWN
            lane.silent = True
            self._unanswered_lanes[lane] = None
        for tried, lane in zip(expired, lanes, strict=True):
            if "ASIODNS_READ_TIMEOUT" in self._log.on:
                self._log.emit("ASIODNS_READ_TIMEOUT", lane.host, lane.port)
            if isinstance(tried, Transaction):
                self._unanswered(tried, now, wall)
            else:
                tried.expire(now, wall)
        return lanes

    # What has come.

    def _ignore(self, lane: Lane, datagram: bytes, wall: float) -> None:
        self._counters.replies_ignored.add(wall)
        if "PYD2_REPLY_IGNORED" in self._log.on:
            what = f"query ID {int.from_bytes(datagram[:2], 'big')}" if len(datagram) >= 2 else "too short"
            self._log.emit("PYD2_REPLY_IGNORED", lane.text, what)

    def _judge(self, tried: Purpose, datagram: bytes, now: float, wall: float) -> None:
        """Judge a reply that was not yet."""
        if not isinstance(tried, Transaction):
            tried.receive(datagram, now, wall)
            return
        transaction = tried
        context, transaction.context = transaction.context, None
        by_library = context is not None and isinstance(transaction.key, LibraryKey)
        reading: Callable[[], int | DhcidAnswer]
        if transaction.step.asks is not None:
            reading = partial(read_answer, datagram, transaction.ncr.fqdn_wire, context, int(wall))
        else:
            read = read_reply if by_library else self._packets.read_reply
            reading = partial(read, datagram, context, int(wall))
        if by_library:
            self._driver.offload(
                transaction.server.lane, transaction.ncr.number, reading,
                partial(self._verified, transaction, datagram),
            )
        else:
            self._judged(transaction, datagram, reading, now, wall)

    def _verified(
        self, transaction: Transaction, datagram: bytes, job: HookJob[int | DhcidAnswer], now: float,
        wall: float,
    ) -> None:
        """Use what a library says of a reply."""
        self._judged(transaction, datagram, job.result, now, wall)
        self.count_successes(wall)

    def _judged(
        self, transaction: Transaction, datagram: bytes, result: Callable[[], int | DhcidAnswer], now: float,
        wall: float,
    ) -> None:
        """Use the response code of a reply, or what is wrong with it, as ``result`` returns or raises it."""
        try:
            said = result()
        except Exception as error:  # mostly ReplyError, but a library's key may raise anything
            if isinstance(error, TruncatedAnswerError) and not transaction.tcp:
                # A name with so many DHCIDs is not to be had, should there be no TCP.
                self._repeat_over_tcp(transaction, Rcode.NXRRSET, now, wall)
            else:
                self._invalid(transaction, error, now, wall)
            return
        rcode = said if isinstance(said, int) else said.rcode
        if (counts := transaction.server.lane.replies) is not None:
            counts.rcode(rcode)
        if not isinstance(said, int):
            self._question_answered(transaction, said, now, wall)
        elif datagram[2] & 2 and not transaction.tcp:
            self._repeat_over_tcp(transaction, rcode, now, wall)
        else:
            self.answered(transaction, rcode, now, wall)

    def _repeat_over_tcp(self, transaction: Transaction, rcode: int, now: float, wall: float) -> None:
        """Repeat a try over TCP, whose reply over UDP is truncated; ``rcode`` is what counts without TCP."""
        transaction.spare_rcode = rcode
        if "PYD2_UPDATE_TCP" in self._log.on:
            why = "the reply over UDP is truncated"
            self._log.emit("PYD2_UPDATE_TCP", transaction.ncr.request_id, transaction.server.lane.text, why)
        self._driver.offer(transaction, now, wall)

    def _add_successes(self, transactions: Sequence[Transaction]) -> None:
        keys = [transaction.key_counters for transaction in transactions]
        for counters in set(keys):  # one key for all is the usual case
            self._successes[counters] = self._successes.get(counters, 0) + keys.count(counters)

    def count_successes(self, wall: float) -> None:
        """Count the updates that were answered since the last call."""
        for key_counters, count in self._successes.items():
            self._counters.update_success.add(wall, count)
            if key_counters is not None:
                key_counters.success.add(wall, count)
        self._successes.clear()

    # What follows; of several transactions of a batch, too.

    def answered(self, transaction: Transaction, rcode: int, now: float, wall: float) -> None:
        """Use the answer to a try; the caller counts the successes when it is done with all replies."""
        transaction.spare_rcode = None
        counters = transaction.key_counters
        self._successes[counters] = self._successes.get(counters, 0) + 1
        log = self._log
        if "DHCP_DDNS_UPDATE_RESPONSE_RECEIVED" in log.on:
            self._log_status(transaction, f"SUCCESS, rcode: {rcode_text(rcode)}")
        to = transaction.step.on.get(rcode)
        if to is DONE:
            self._driver.direction_done(transaction, now, wall)
        else:
            self._follow(transaction, to, rcode, now, wall)

    def succeeded(self, transactions: Sequence[Transaction], now: float, wall: float) -> None:
        """Use NOERROR, the answer to tries of several transactions in one direction."""
        if transactions[0].step.forward or "DHCP_DDNS_UPDATE_RESPONSE_RECEIVED" in self._log.on:
            for transaction in transactions:
                self.answered(transaction, Rcode.NOERROR, now, wall)
        else:
            self._add_successes(transactions)
            self._driver.completed(transactions, now, wall)

    def _question_answered(
        self, transaction: Transaction, answer: DhcidAnswer, now: float, wall: float
    ) -> None:
        """Use the answer to a question; as in ``answered`` the caller counts the successes."""
        transaction.spare_rcode = None
        self.count_answered((transaction,), answer.rcode)
        if answer.rcode not in ANSWERS:
            self._follow(transaction, None, answer.rcode, now, wall)
            return
        to = self._questions.leads_to(transaction, answer, wall)
        policy = transaction.domain.policy
        if to == JOINING and policy is not None and policy.switches.dual_stack == "same-host":
            assert self._what_differs is not None
            ncr = transaction.ncr
            self._driver.offload(
                transaction.server.lane, ncr.number,
                partial(self._what_differs, policy.switches, ncr.fqdn_wire.lower(), ncr.fqdn,
                        clients_of(transaction)),
                partial(self._compared, transaction),
            )
            return
        self._follow(transaction, to, Rcode.NXRRSET, now, wall)

    def _compared(self, transaction: Transaction, job: HookJob[str], now: float, wall: float) -> None:
        """Let a client join a name, if the leases show that it is the host which has it."""
        unknown = False
        try:
            differs = job.result()
        except HookError as error:
            differs, unknown = str(error), True
        if not differs:
            self._follow(transaction, JOINING, Rcode.NXRRSET, now, wall)
            return
        ncr = transaction.ncr
        self._log.emit(
            transaction.step.rejected, ncr.request_id, transaction.server.text, ncr.fqdn, Rcode.NXRRSET.value
        )
        transaction.fault = Fault.NO_LEASES if unknown else Fault.OTHER_HOST
        reason = f"NXRRSET from {transaction.server.text}{what_was_found(transaction)}; {differs}"
        self._driver.fail(transaction, UPDATE_FAILED, reason, now, wall, may_pass=unknown)

    def _follow(self, transaction: Transaction, to: str | None, rcode: int, now: float, wall: float) -> None:
        """Go where an answer leads; None: to failure, by an RCODE."""
        if to is DONE or to is NOTED:
            if to is NOTED:
                self._questions.note(transaction, wall)
            self._driver.direction_done(transaction, now, wall)
            return
        if to is not None:
            transaction.hops += 1
            if transaction.hops < 2 * MAX_ROUNDS:
                transaction.step = transaction.kind.steps[to]
                transaction.tries = 0
                self._driver.offer(transaction, now, wall)
                return
        elif self._doubted(transaction, rcode, now, wall):
            return
        self._rejected(transaction, rcode, rcode_text(rcode) if to is None else Fault.LOOP, now, wall)

    def _rejected(self, transaction: Transaction, rcode: int, fault: str, now: float, wall: float) -> None:
        """Continue a transaction whose step an RCODE has ended."""
        ncr = transaction.ncr
        server = transaction.server
        self._log.emit(transaction.step.rejected, ncr.request_id, server.text, ncr.fqdn, rcode)
        refuses = self._dhcids.refuses(transaction, rcode)
        transaction.fault = Fault.NO_DHCID if refuses else fault
        reason = f"{rcode_text(rcode)} from {server.text}{what_was_found(transaction)}"
        if fault == Fault.LOOP or rcode not in _MAY_PASS:
            self._driver.fail(transaction, UPDATE_FAILED, reason, now, wall)
        elif server.failover is not None:
            self._driver.go_to_next_server(transaction, UPDATE_FAILED, reason, now, wall)
        else:
            self._driver.fail(transaction, UPDATE_FAILED, reason, now, wall, may_pass=not refuses)

    def _doubted(self, transaction: Transaction, failed: int | BadReply, now: float, wall: float) -> bool:
        """Continue a transaction that asks whether its server takes DHCIDs; False: it does not ask."""
        if transaction.step.probes:
            following = self._dhcids.probed(transaction, failed)
            if following is None:
                has_failed = transaction.asking.failed
                if isinstance(has_failed, BadReply):
                    self._leave_server(transaction, has_failed, now, wall)
                else:
                    self._rejected(transaction, has_failed, rcode_text(has_failed), now, wall)
                return True
        else:
            following = self._dhcids.doubt(transaction, failed, now)
            if following is None:
                return False
        transaction.step = following
        transaction.tries = 0
        self._driver.offer(transaction, now, wall)
        return True

    def _unanswered(
        self, transaction: Transaction, now: float, wall: float, *, was_sent: bool = True
    ) -> None:
        transaction.context = None  # what signs the next try may wait for the end of this one
        rcode = transaction.spare_rcode
        if rcode is not None:
            # No TCP at this server, but its truncated answer says all: it counts, as it does with Kea.
            self.answered(transaction, rcode, now, wall)
            self.count_successes(wall)
            return
        self.count_silence(transaction.server.lane, now, wall)
        self.missed(transaction, now, wall, was_sent=was_sent)

    def count_silence(self, lane: Lane, now: float, wall: float) -> None:
        """Note that a message to a server was not answered."""
        if lane.breaker is not None:
            self._failover.silent(lane, lane.breaker, now, wall)
        if (counts := lane.replies) is not None:
            counts.timeouts += 1

    def count_missed(self, transactions: Sequence[Transaction], wall: float) -> None:
        """Count tries that have brought nothing."""
        for transaction in transactions:
            self._counters.update_timeout.add(wall)
            if transaction.key_counters is not None:
                transaction.key_counters.timeout.add(wall)

    def missed(self, transaction: Transaction, now: float, wall: float, *, was_sent: bool = True) -> None:
        """Continue a transaction whose update was not answered in time."""
        self.count_missed((transaction,), wall)
        self._log_status(transaction, "TIMEOUT")
        ncr = transaction.ncr
        self._log.emit(transaction.step.timeout, ncr.request_id, ncr.fqdn, transaction.server.text)
        transaction.fault = Fault.TIMEOUT if was_sent else Fault.UNREACHABLE
        self._bad_try(transaction, now, wall, same_server=was_sent)

    def _invalid(self, transaction: Transaction, error: Exception, now: float, wall: float) -> None:
        rcode = transaction.spare_rcode
        bad = error.reason if isinstance(error, ReplyError) else BadReply.FORMAT
        if (counts := transaction.server.lane.replies) is not None:
            counts.bad_reply(bad)
        self._log.emit("DHCP_DDNS_INVALID_RESPONSE", error)
        if rcode is not None:
            self.answered(transaction, rcode, now, wall)
            return
        self.spoilt(transaction, bad, now, wall)

    def spoilt(self, transaction: Transaction, bad: BadReply, now: float, wall: float) -> None:
        """Continue a transaction whose reply is not in order."""
        self._counters.update_error.add(wall)
        if transaction.key_counters is not None:
            transaction.key_counters.error.add(wall)
        self._log_status(transaction, "INVALID_RESPONSE")
        ncr = transaction.ncr
        self._log.emit(transaction.step.resp_corrupt, ncr.request_id, transaction.server.text, ncr.fqdn)
        if transaction.step.probes:
            self._doubted(transaction, bad, now, wall)
            return
        transaction.fault = bad
        self._bad_try(transaction, now, wall)

    def _bad_try(
        self, transaction: Transaction, now: float, wall: float, *, same_server: bool = True
    ) -> None:
        if same_server and transaction.tries < MAX_TRIES and not self._failover.leaves(transaction):
            self._driver.offer(transaction, now, wall)
            return
        bad = BadReply.ECHO if transaction.fault == BadReply.ECHO else None
        if bad is None or not self._doubted(transaction, bad, now, wall):
            self._leave_server(transaction, bad, now, wall)

    def _leave_server(
        self, transaction: Transaction, bad: BadReply | None, now: float, wall: float
    ) -> None:
        """Continue a transaction that has no usable answer; ``bad``: for want of DHCIDs, perhaps."""
        refuses = bad is not None and self._dhcids.refuses(transaction, bad)
        if refuses:
            transaction.fault = Fault.NO_DHCID
        reason = f"no usable answer from {transaction.server.text}"
        if transaction.step.other_server or transaction.server.failover is not None:
            self._driver.go_to_next_server(transaction, NO_MORE_SERVERS, reason, now, wall)
        else:
            self._driver.fail(transaction, SERVER_IO_ERROR, reason, now, wall, may_pass=not refuses)

    def count_answered(self, transactions: Sequence[Transaction], rcode: int) -> None:
        """Count and log replies that decide nothing by themselves; the caller counts the successes."""
        self._add_successes(transactions)
        if "DHCP_DDNS_UPDATE_RESPONSE_RECEIVED" in self._log.on:
            for transaction in transactions:
                self._log_status(transaction, f"SUCCESS, rcode: {rcode_text(rcode)}")

    def _log_status(self, transaction: Transaction, status: str) -> None:
        self._log.emit(
            "DHCP_DDNS_UPDATE_RESPONSE_RECEIVED", transaction.ncr.request_id, transaction.server.text, status
        )
