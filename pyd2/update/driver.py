"""The driver: walks the tables of ``kinds.py`` for every transaction, and sends and judges its tries.

It is told of events and answers with messages to send; it never starts a transaction by itself. The DHCID of
a finished transaction is put into ``ended``, where the engine fetches it: nothing here calls back, so a chain
of failures cannot become a recursion.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from pyd2.dns.constants import Rcode, rcode_text
from pyd2.dns.update import MAX_MESSAGE, MAX_UDP_MESSAGE
from pyd2.errors import DomainNameError, NcrError, Pyd2Error
from pyd2.packets.packed import PackedRequest
from pyd2.update.chosen import ChosenKeys
from pyd2.update.kinds import DONE, MAX_ROUNDS, MAX_TRIES
from pyd2.update.plan import MAX_TIMEOUT
from pyd2.update.transaction import NO_MORE_SERVERS, SERVER_IO_ERROR, UPDATE_FAILED, Failure
from pyd2.update.tries import ALONE, NEXT, Event, Outgoing, Route, Turn, make_tries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyd2.config.model import DnsServer
    from pyd2.config.switches import RetrySwitches
    from pyd2.counters import Counters, KeyCounters
    from pyd2.dns.tsig import SigningKey
    from pyd2.messages import RequestLog
    from pyd2.packets.layer import PacketLayer, Request
    from pyd2.update.health import Health
    from pyd2.update.lane import Lane
    from pyd2.update.plan import Domain, Server
    from pyd2.update.transaction import Transaction


SelectKey: TypeAlias = Callable[["DnsServer", "SigningKey | None"], "Selection"]
"""The ``select_key`` hook point: is given a server and the key in force (contract, section 7)."""


_WHERE_IT_ENDED: Final = " : current state: [ 1 END_ST ] next event: [ 3 FAIL_EVT ]"
"""What Kea's state machine, which pyd2 does not have, says behind each error that stops it."""


_MAY_PASS: Final = frozenset({int(Rcode.SERVFAIL), int(Rcode.REFUSED), int(Rcode.NOTAUTH)})
"""Response codes that say something about the server, and not about the update."""


class Postponed(NamedTuple):
    """A transaction that has failed for a reason that may pass."""

    transaction: Transaction
    retry: RetrySwitches
    """How its request is tried again."""
    reason: str


class Dead(NamedTuple):
    """A request that has failed for good though such are tried again."""

    ncr: Request
    reason: str


class Selection(NamedTuple):
    """What the ``select_key`` callouts decided about a server."""

    key: SigningKey | None
    """The key to sign with; None: unsigned."""
    skip: bool = False
    """Whether to go on to the next server."""


_TOLD: Final = frozenset({"DHCP_DDNS_UPDATE_REQUEST_SENT", "DHCP_DDNS_UPDATE_RESPONSE_RECEIVED"})
"""Messages that tell of the single updates of a transaction."""


class Driver:
    """The transactions that have begun and not ended.

    All times: ``now`` is monotonic seconds, ``wall`` is seconds since the epoch.
    """

    def __init__(self, counters: Counters, log: RequestLog, packets: PacketLayer) -> None:
        self._counters = counters
        self._log = log
        self._slot = -1
        """The local port of the messages that go out together; -1: the next one draws it."""
        self._packets = packets
        self.tries = make_tries(packets)
        self.ordered: list[Lane] = []
        """Lanes that have orders."""
        self._posted: list[Lane] = []
        """Lanes to which the tries have posted messages."""
        self._outgoing: list[Outgoing] = []
        self._successes: dict[KeyCounters | None, int] = {}
        """Updates that succeeded in this turn, by the key's statistics."""
        self.select_key: SelectKey | None = None
        self.chosen_keys = ChosenKeys(packets)
        self.timeout_ms = 500
        self.active = 0
        """Transactions begun and not ended."""
        self.held: set[Lane] = set()
        """Lanes that had no room for something, until the engine takes them out."""
        self.ended: list[int] = []
        """What holds the clients whose transaction has ended, until the engine takes them out."""
        self.finished: list[int] = []
        """The numbers of requests that have ended, until the shell takes them out."""
        self.numbered = False
        """Whether requests have such numbers."""
        self.postponed: list[Postponed] = []
        """What is to be tried again, until the engine takes it out."""
        self.dead: list[Dead] = []
        """What has failed for good where requests are tried again, until the shell takes it out."""
        self.down: set[Lane] = set()
        """Servers that are known not to answer."""
        self.turned: list[Lane] = []
        """Those of which that has become known, or that answer again, until the engine takes them out."""

    def take_outgoing(self) -> list[Outgoing]:
        """Return the messages to send, and let those that follow go out from another local port.

        What goes out together goes from one port: a single system call can send it.
        """
        outgoing = self._outgoing
        self._outgoing = []
        for lane in self.take_posted():
            outgoing += self.tries.posted(lane)
        self._slot = -1
        return outgoing

    def take_posted(self) -> list[Lane]:
        """Return the lanes to which the tries have posted messages, which the caller sends from there."""
        posted = self._posted
        if posted:
            self._posted = []
            self._slot = -1
        return posted

    def begin(self, transaction: Transaction, now: float, wall: float) -> None:
        """Start a transaction."""
        self.active += 1
        transaction.plan.active += 1
        log = self._log
        if "DHCP_DDNS_STARTING_TRANSACTION" in log.on:
            log.emit("DHCP_DDNS_STARTING_TRANSACTION", transaction.ncr.request_id)
        domain = transaction.forward or transaction.reverse
        assert domain is not None
        self._enter(transaction, domain, now, wall)

    def replies(self, lane: Lane, slot: int, datagrams: Sequence[bytes], now: float, wall: float) -> None:
        """Take what came from a server; what answers no try under way is ignored (decision 4)."""
        log = self._log
        told = "ASIODNS_FETCH_COMPLETED" in log.on
        silent = not told and _TOLD.isdisjoint(log.on)
        goes_on = silent and self.select_key is None and not lane.ready
        gone_on: list[Transaction] = []
        events = self.tries.take(lane, slot, datagrams, self._turn(lane, now, wall), goes_on=goes_on)
        lane.room_known = False
        if lane.health is not None:
            self._heard(lane, lane.health, events, wall)
        for transaction, rcode, datagram in events:
            if transaction is None:
                self._ignore(lane, datagram, wall)
                continue
            if told:
                log.emit("ASIODNS_FETCH_COMPLETED", lane.host, lane.port)
            if rcode >= 0:
                self._answered(transaction, rcode, now, wall)
            elif rcode == NEXT:
                gone_on.append(transaction)
            else:
                self._judge(transaction, datagram, now, wall)
        if gone_on:
            self._follow(gone_on, lane, wall)
        if self._successes:
            self._count_successes(wall)

    def unsent(self, outgoing: Outgoing, error: int | str, now: float, wall: float) -> None:
        """Take it that a message could not be sent: the try has failed (decision 10)."""
        lane = outgoing.lane
        transaction = self.tries.withdraw(lane, outgoing.slot << 16 | outgoing.query_id, now)
        if transaction is None:
            return
        lane.room_known = False
        if transaction.spare_rcode is None:
            protocol = "TCP" if outgoing.tcp else "UDP"
            self._log.emit("ASIODNS_SEND_DATA", error, protocol, lane.host, lane.port)
        self._unanswered(transaction, now, wall)

    def expire(self, now: float, wall: float) -> list[Lane]:
        """Fail tries whose time is up; return the lanes of their servers, or none if there is no such try."""
        expired = self.tries.expire(now)
        lanes = [transaction.server.lane for transaction in expired]
        for lane in lanes:
            lane.room_known = False
        for transaction, lane in zip(expired, lanes, strict=True):
            if "ASIODNS_READ_TIMEOUT" in self._log.on:
                self._log.emit("ASIODNS_READ_TIMEOUT", lane.host, lane.port)
            self._unanswered(transaction, now, wall)
        return lanes

    # How a try ends.

    def _ignore(self, lane: Lane, datagram: bytes, wall: float) -> None:
        self._counters.replies_ignored.add(wall)
        if "PYD2_REPLY_IGNORED" in self._log.on:
            what = f"query ID {int.from_bytes(datagram[:2], 'big')}" if len(datagram) >= 2 else "too short"
            self._log.emit("PYD2_REPLY_IGNORED", lane.text, what)

    def _judge(self, transaction: Transaction, datagram: bytes, now: float, wall: float) -> None:
        """Judge a reply that was not yet."""
        try:
            rcode = self._packets.read_reply(datagram, transaction.context, int(wall))
        except Exception as error:  # mostly ReplyError, but a library's key may raise anything
            transaction.context = None
            self._invalid(transaction, error, now, wall)
            return
        transaction.context = None  # it has served; a library may count on its end
        if datagram[2] & 2 and not transaction.tcp:
            transaction.spare_rcode = rcode
            if "PYD2_UPDATE_TCP" in self._log.on:
                why = "the reply over UDP is truncated"
                self._log.emit(
                    "PYD2_UPDATE_TCP", transaction.ncr.request_id, transaction.server.lane.text, why
                )
            self._offer(transaction, now, wall)
        else:
            self._answered(transaction, rcode, now, wall)

    def _follow(self, transactions: list[Transaction], lane: Lane, wall: float) -> None:
        """Note that transactions have completed their forward direction and gone on to the reverse one."""
        for transaction in transactions:
            counters = transaction.key_counters
            self._successes[counters] = self._successes.get(counters, 0) + 1
            transaction.forward_done = True
            domain = transaction.reverse
            assert domain is not None
            transaction.domain = domain
            server = transaction.server = domain.servers[0]
            transaction.next_server = 1
            transaction.passed_over = ()
            transaction.key = server.key
            transaction.routes = server.routes
            transaction.key_counters = server.key_counters
            transaction.step = transaction.kind.first_reverse
            transaction.route = transaction.then
            transaction.tries = 1
        self._count_sent(transactions, wall)
        self._posted.append(lane)

    def _count_successes(self, wall: float) -> None:
        for key_counters, count in self._successes.items():
            self._counters.update_success.add(wall, count)
            if key_counters is not None:
                key_counters.success.add(wall, count)
        self._successes.clear()

    def _answered(self, transaction: Transaction, rcode: int, now: float, wall: float) -> None:
        """Take the answer to a try; the caller counts the successes when it has done with all it has."""
        transaction.spare_rcode = None
        counters = transaction.key_counters
        self._successes[counters] = self._successes.get(counters, 0) + 1
        log = self._log
        if "DHCP_DDNS_UPDATE_RESPONSE_RECEIVED" in log.on:
            self._log_status(transaction, f"SUCCESS, rcode: {rcode_text(rcode)}")
        step = transaction.step
        to = step.on.get(rcode)
        if to is DONE:
            self._direction_done(transaction, now, wall)
            return
        if to is not None:
            transaction.hops += 1
            if transaction.hops < 2 * MAX_ROUNDS:
                transaction.step = transaction.kind.steps[to]
                transaction.tries = 0
                self._offer(transaction, now, wall)
                return
        ncr = transaction.ncr
        log.emit(step.rejected, ncr.request_id, transaction.server.text, ncr.fqdn, rcode)
        reason = f"{rcode_text(rcode)} from {transaction.server.text}"
        if to is not None or rcode not in _MAY_PASS:
            self._fail(transaction, UPDATE_FAILED, reason, now, wall)
        elif transaction.server.failover is not None:
            self._select_server(transaction, now, wall, UPDATE_FAILED, reason)
        else:
            self._fail(transaction, UPDATE_FAILED, reason, now, wall, may_pass=True)

    def _unanswered(self, transaction: Transaction, now: float, wall: float) -> None:
        rcode = transaction.spare_rcode
        if rcode is not None:
            # No TCP at this server, but its truncated answer says all: it counts, as it does with Kea.
            self._answered(transaction, rcode, now, wall)
            self._count_successes(wall)
            return
        lane = transaction.server.lane
        if lane.health is not None:
            self._silent(lane, lane.health, now, wall)
        self._counters.update_timeout.add(wall)
        if transaction.key_counters is not None:
            transaction.key_counters.timeout.add(wall)
        self._log_status(transaction, "TIMEOUT")
        ncr = transaction.ncr
        self._log.emit(transaction.step.timeout, ncr.request_id, ncr.fqdn, transaction.server.text)
        self._bad_try(transaction, now, wall)

    def _invalid(self, transaction: Transaction, error: Exception, now: float, wall: float) -> None:
        rcode = transaction.spare_rcode
        self._log.emit("DHCP_DDNS_INVALID_RESPONSE", error)
        if rcode is not None:
            self._answered(transaction, rcode, now, wall)
            return
        self._counters.update_error.add(wall)
        if transaction.key_counters is not None:
            transaction.key_counters.error.add(wall)
        self._log_status(transaction, "INVALID_RESPONSE")
        ncr = transaction.ncr
        self._log.emit(transaction.step.resp_corrupt, ncr.request_id, transaction.server.text, ncr.fqdn)
        self._bad_try(transaction, now, wall)

    def _log_status(self, transaction: Transaction, status: str) -> None:
        self._log.emit(
            "DHCP_DDNS_UPDATE_RESPONSE_RECEIVED", transaction.ncr.request_id, transaction.server.text, status
        )

    # Where a transaction goes.

    def _enter(self, transaction: Transaction, domain: Domain, now: float, wall: float) -> None:
        """Begin a direction."""
        transaction.domain = domain
        if self.select_key is None and not self.down and domain.servers:
            transaction.next_server = 1
            transaction.passed_over = ()
            server = domain.servers[0]
            transaction.routes = server.routes
            self._turn_to(transaction, server, server.key, server.key_counters, now, wall)
        else:
            transaction.next_server = 0
            transaction.passed_over = ()
            self._select_server(transaction, now, wall, NO_MORE_SERVERS, "no server is left to be asked")

    def _direction_done(self, transaction: Transaction, now: float, wall: float) -> None:
        if transaction.step.forward:
            transaction.forward_done = True
            if transaction.reverse is not None:
                self._enter(transaction, transaction.reverse, now, wall)
                return
        else:
            transaction.reverse_done = True
            if transaction.forward_failure is not None:
                self._conclude(transaction, transaction.forward_failure)
                return
        log = self._log
        message_id = transaction.kind.succeeded
        if message_id in log.on:
            log.emit_request(message_id, transaction.ncr)
        self._counters.tally.done += 1
        self._end(transaction)

    def _bad_try(self, transaction: Transaction, now: float, wall: float) -> None:
        if transaction.tries < MAX_TRIES and not (self.down and _leaves(transaction)):
            self._offer(transaction, now, wall)
            return
        reason = f"no usable answer from {transaction.server.text}"
        if transaction.step.other_server or transaction.server.failover is not None:
            self._select_server(transaction, now, wall, NO_MORE_SERVERS, reason)
        else:
            self._fail(transaction, SERVER_IO_ERROR, reason, now, wall, may_pass=True)

    def _select_server(
        self,
        transaction: Transaction,
        now: float,
        wall: float,
        event: str,
        reason: str,
    ) -> None:
        """Go on with the domain's next server, at the first step of the direction.

        If there is none, the transaction has failed, with ``event`` as its last one, for ``reason``.
        """
        while (server := self._next_server(transaction, now)) is not None:
            key: SigningKey | None = server.key
            counters = server.key_counters
            routes = server.routes
            if self.select_key is not None:
                try:
                    selection = self.select_key(server.config, key)
                except Exception as error:  # whatever a library does, the engine goes on
                    self._log.emit(
                        "DHCP_DDNS_STATE_MODEL_UNEXPECTED_ERROR", transaction.ncr.request_id,
                        f"{error}{_WHERE_IT_ENDED}",
                    )
                    self._give_up(transaction, str(error))
                    return
                if selection.skip:
                    continue
                if selection.key is not key:
                    chosen = self.chosen_keys.of(selection.key)
                    key = chosen.key
                    counters = None if key is None else self._counters.library_key(key.name, wall)
                    routes = chosen.routes(server)
            transaction.routes = routes
            self._turn_to(transaction, server, key, counters, now, wall)
            return
        self._fail(transaction, event, reason, now, wall, may_pass=True)

    def _next_server(self, transaction: Transaction, now: float) -> Server | None:
        """Return the server of the domain to ask next, or None if there is none.

        One that is down is passed over, and asked in the end all the same if nobody tries again later:
        nothing is to be lost that Kea would not lose.
        """
        servers = transaction.domain.servers
        while transaction.next_server < len(servers):
            server = servers[transaction.next_server]
            transaction.next_server += 1
            if not self.down or server.usable(now):
                return server
            transaction.passed_over += (server,)
        if transaction.passed_over and transaction.domain.retry is None:
            server, *others = transaction.passed_over
            transaction.passed_over = tuple(others)
            return server
        return None

    def first_lane(self, domain: Domain, now: float) -> Lane:
        """Return the lane where a direction begins, while some servers are down."""
        usable = (server.lane for server in domain.servers if server.usable(now))
        return next(usable, domain.servers[0].lane)

    def _turn_to(
        self,
        transaction: Transaction,
        server: Server,
        key: SigningKey | None,
        counters: KeyCounters | None,
        now: float,
        wall: float,
    ) -> None:
        """Begin the direction's first step at a server."""
        transaction.server = server
        transaction.key = key
        transaction.key_counters = counters
        if self.down:
            self._ask_whether_up(server.lane, now)
        kind = transaction.kind
        transaction.step = (
            kind.first_forward if transaction.domain is transaction.forward else kind.first_reverse
        )
        transaction.tries = 0
        self._offer(transaction, now, wall)

    def _offer(self, transaction: Transaction, now: float, wall: float) -> None:
        """Send the next update, now or when the lane has room."""
        lane = transaction.server.lane
        if lane.ready or (lane.room <= 0 if lane.room_known else not lane.has_room(now)):
            lane.ready.append(transaction)
            self.held.add(lane)
        else:
            self.send(transaction, now, wall)

    def _fail(
        self, transaction: Transaction, event: str, reason: str, now: float, wall: float, *,
        may_pass: bool = False,
    ) -> None:
        """Take it that a direction has failed; ``may_pass``: another time it may not."""
        failure = Failure(event, reason, _retry(transaction) if may_pass else None)
        if transaction.domain is transaction.forward:
            if transaction.reverse is not None and _goes_on(transaction):
                transaction.forward_failure = failure
                self._enter(transaction, transaction.reverse, now, wall)
                return
        elif transaction.forward_failure is not None:
            # What has failed first is told, and with a chance for the one or the other there is one for all.
            first = transaction.forward_failure
            failure = Failure(first.event, first.reason, first.retry or failure.retry)
        self._conclude(transaction, failure)

    def _conclude(self, transaction: Transaction, failure: Failure) -> None:
        """End a transaction that has failed, or let its request be tried again."""
        if failure.retry is not None:
            self.postponed.append(Postponed(transaction, failure.retry, failure.reason))
            self._stop(transaction)
            return
        outcome = transaction.outcome(failure.event)
        self._log.emit(transaction.kind.failed, transaction.ncr.request_id, outcome)
        self._give_up(transaction, failure.reason)

    def _give_up(self, transaction: Transaction, reason: str) -> None:
        self._counters.tally.failed += 1
        if _retry(transaction) is not None:
            self.dead.append(Dead(transaction.ncr, reason))
        self._end(transaction)

    def _end(self, transaction: Transaction) -> None:
        self._stop(transaction)
        if self.numbered and transaction.ncr.number:
            self.finished.append(transaction.ncr.number)

    def _stop(self, transaction: Transaction) -> None:
        self.active -= 1
        transaction.plan.active -= 1
        self.tries.forget(transaction)
        self.ended.append(transaction.dhcid)

    def end_request(self, ncr: Request, dhcid: int) -> None:
        """Note that nothing more is done for a request; ``dhcid`` is what holds its client."""
        self.ended.append(dhcid)
        self.finish(ncr)

    def finish(self, ncr: Request) -> None:
        """The same for one that holds no client."""
        if self.numbered and ncr.number:
            self.finished.append(ncr.number)

    # How the servers are.

    def _heard(self, lane: Lane, health: Health, events: Sequence[Event], wall: float) -> None:
        """Take it that these came from a server; what answers a try under way shows that it is up."""
        if any(transaction is not None for transaction, _, _ in events) and health.heard():
            self.down.discard(lane)
            self.turned.append(lane)
            self._log.emit("PYD2_SERVER_UP", lane.text, max(0, round(wall - health.since)))

    def _ask_whether_up(self, lane: Lane, now: float) -> None:
        """Take it that an update goes to a server; one that is down is not asked again so soon."""
        if lane.health is not None and lane.health.down:
            lane.health.probed(now, self.timeout_ms / 1000)

    def _silent(self, lane: Lane, health: Health, now: float, wall: float) -> None:
        if health.silent(now, wall):
            self.down.add(lane)
            self.turned.append(lane)
            self._log.emit("PYD2_SERVER_DOWN", lane.text, health.threshold)

    # Sending.

    def send(self, transaction: Transaction, now: float, wall: float) -> None:
        """Send the update of the transaction's step; the caller has seen that its lane has room."""
        server = transaction.server
        lane = server.lane
        step = transaction.step
        routes = transaction.routes
        route = routes.get(step)
        if route is None:
            route = routes[step] = self.tries.route(server, transaction.domain.zone, step, transaction.key)
        if (
            not route.address
            or transaction.spare_rcode is not None
            or not isinstance(transaction.ncr, PackedRequest)
            or self.timeout_ms > MAX_TIMEOUT
        ):
            self._send_alone(transaction, now, wall)
            return
        transaction.route = route
        transaction.then = self._then(transaction) if step.forward else ALONE
        transaction.context = None
        transaction.tcp = False
        transaction.tries += 1
        lane.room -= 1
        if not lane.orders:
            self.ordered.append(lane)
        lane.orders.append(transaction)
        if "DHCP_DDNS_UPDATE_REQUEST_SENT" in self._log.on:
            # Then its message comes where Kea's does, before anything else happens.
            self.flush(now, wall)

    def _then(self, transaction: Transaction) -> Route:
        """Return how the reverse direction begins, if it does so at the server that is asked now."""
        domain = transaction.reverse
        if domain is None or self.select_key is not None:
            return ALONE
        server = domain.servers[0]
        if server.lane is not transaction.server.lane:
            return ALONE
        step = transaction.kind.first_reverse
        route = server.routes.get(step)
        if route is None:
            route = server.routes[step] = self.tries.route(server, domain.zone, step, server.key)
        return route

    def _turn(self, lane: Lane, now: float, wall: float) -> Turn:
        return Turn(now, int(wall), self.timeout_ms / 1000, self._slot_of(lane))

    def flush(self, now: float, wall: float) -> list[Lane]:
        """Send the updates that were ordered; return the lanes they went to."""
        lanes, self.ordered = self.ordered, []
        for lane in lanes:
            transactions = lane.orders
            lane.orders = []
            alone = self.tries.send(lane, transactions, self._turn(lane, now, wall))
            self._posted.append(lane)
            lane.room_known = False
            if not alone:
                self._count_sent(transactions, wall)
                continue
            apart = set(alone)
            self._count_sent([t for place, t in enumerate(transactions) if place not in apart], wall)
            for place in alone:
                transaction = transactions[place]
                transaction.tries -= 1
                self._send_alone(transaction, now, wall)
        return lanes

    def _send_alone(self, transaction: Transaction, now: float, wall: float) -> None:
        """Make the update of the transaction's step in Python and send it."""
        ncr = transaction.ncr
        step = transaction.step
        lane = transaction.server.lane
        repeated = transaction.spare_rcode is not None
        try:
            message = self._build(transaction)
        except Exception as error:  # whatever it is, it must not cost more than this request
            self._log.emit(step.build_failure, ncr.request_id, ncr.text(), error)
            self._fail(transaction, UPDATE_FAILED, str(error), now, wall)
            return
        slot = self._slot_of(lane)
        query_id = self.tries.draw_query_id(lane, slot)
        try:
            message = self._seal(transaction, message, query_id, wall)
        except Exception as error:  # a library's key may raise anything
            self._log.emit("DHCP_DDNS_TRANS_SEND_ERROR", ncr.request_id, error)
            # A library's key may be another one, or in order, the next time.
            own = transaction.key is transaction.server.key
            self._fail(transaction, UPDATE_FAILED, str(error), now, wall, may_pass=not own)
            return
        transaction.tcp = repeated or len(message) > MAX_UDP_MESSAGE or transaction.server.tcp
        if not repeated:
            if transaction.tcp and "PYD2_UPDATE_TCP" in self._log.on:
                why = "configured" if transaction.server.tcp else f"it has {len(message)} octets"
                self._log.emit("PYD2_UPDATE_TCP", ncr.request_id, lane.text, why)
            transaction.tries += 1
            self._count_sent((transaction,), wall)
        self.tries.enter(transaction, lane, slot << 16 | query_id, now, self.timeout_ms / 1000)
        lane.room_known = False
        self._outgoing.append(Outgoing(lane, slot, query_id, transaction.tcp, message))

    def _build(self, transaction: Transaction) -> bytes:
        ncr = transaction.ncr
        step = transaction.step
        domain = transaction.domain
        zone = domain.zone
        if zone is None:
            raise DomainNameError(f"Cannot create new request :{domain.zone_error}")
        if "%" in ncr.address_text and step.template.uses_address:
            # An address with a scope is good enough for a reverse name, but not for a record.
            raise NcrError(f"Cannot add address rdata: Bad IN/AAAA RDATA text: '{ncr.address_text}'")
        owner = ncr.fqdn_wire if step.forward else b""
        return self._packets.encode_update(
            step.template, zone, owner, ncr.fqdn_wire, ncr.address, ncr.dhcid, ncr.lease_length
        )

    def _seal(self, transaction: Transaction, message: bytes, query_id: int, wall: float) -> bytes:
        """Return the message with its query ID and, if there is a key, its TSIG."""
        if self.timeout_ms > MAX_TIMEOUT:
            raise Pyd2Error(
                f"A timeout value for DNS Update request must not exceed {MAX_TIMEOUT}."
                f" Provided timeout value is '{self.timeout_ms}'"
            )
        key = transaction.key
        if key is None:
            transaction.context = None
            return query_id.to_bytes(2, "big") + message[2:]
        context = transaction.context = key.create_context()
        message = context.sign(message, query_id, int(wall))
        if len(message) > MAX_MESSAGE:
            raise Pyd2Error(f"an UPDATE of {len(message)} octets does not fit into a DNS message")
        return message

    def _count_sent(self, transactions: Sequence[Transaction], wall: float) -> None:
        """Count tries that went out, and tell of them."""
        counters = self._counters
        keys = [transaction.key_counters for transaction in transactions]
        # One key for all is the usual case, and one that goes quickly.
        for key_counters in set(keys):
            count = keys.count(key_counters)
            counters.update_sent.add(wall, count)
            if key_counters is None:
                counters.update_unsigned.add(wall, count)
            else:
                counters.update_signed.add(wall, count)
                key_counters.sent.add(wall, count)
        log = self._log
        if "DHCP_DDNS_UPDATE_REQUEST_SENT" in log.on:
            for transaction in transactions:
                log.emit(
                    "DHCP_DDNS_UPDATE_REQUEST_SENT", transaction.ncr.request_id, transaction.step.comment,
                    transaction.server.lane.text,
                )

    def _slot_of(self, lane: Lane) -> int:
        """Return the lane's local port for what goes out together now."""
        if self._slot < 0:
            self._slot = self.tries.draw_place()
        return lane.slots[self._slot % len(lane.slots)]


def _retry(transaction: Transaction) -> RetrySwitches | None:
    """Return how to try a request again that has failed now; None: not at all."""
    domain = transaction.domain
    server = getattr(transaction, "server", None)
    return server.retry if server in domain.servers else domain.retry


def _leaves(transaction: Transaction) -> bool:
    """Whether a server that is down is left before its last try, for another one that is up."""
    if transaction.server.usable(-inf):
        return False
    servers = transaction.domain.servers[transaction.next_server :]
    return any(server.usable(-inf) for server in servers)


def _goes_on(transaction: Transaction) -> bool:
    """Whether the reverse change is made though the forward change has failed now."""
    domain = transaction.domain
    server = getattr(transaction, "server", None)
    failover = server.failover if server in domain.servers else domain.servers[0].failover
    return failover is not None and failover.partial_success
