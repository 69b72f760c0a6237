"""The driver: walks the tables of ``model/kinds.py`` for every transaction, and has its updates sent.

It takes a transaction from where it begins through its directions, steps and servers to its end.
``drive/replies.py`` finds the outcome of each try and calls the driver to continue.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from pyd2.dns.tsig import ContextKey
from pyd2.update.drive.failover import Failover
from pyd2.update.drive.hook_jobs import HookJob
from pyd2.update.drive.library_key import LibraryKey
from pyd2.update.drive.sender import Sender, UnsendableError, sign
from pyd2.update.drive.server_choice import Selector
from pyd2.update.model.faults import Fault
from pyd2.update.model.route import ALONE, Route
from pyd2.update.model.transaction import NO_MORE_SERVERS, UPDATE_FAILED, Failure
from pyd2.update.server.lane import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from pyd2.counters import Counters
    from pyd2.dns.tsig import SigningKey
    from pyd2.messages import RequestLog
    from pyd2.update.agenda import Agenda
    from pyd2.update.drive.hook_jobs import Then
    from pyd2.update.drive.outcomes import Ends
    from pyd2.update.drive.sender import Draft, Signed
    from pyd2.update.drive.server_choice import Selection, SelectKey
    from pyd2.update.inflight.contract import EngineBackend
    from pyd2.update.model.plan import Domain, Server
    from pyd2.update.model.transaction import Transaction
    from pyd2.update.output import OutputBuffer
    from pyd2.update.server.lane import Lane

T = TypeVar("T")

_WHERE_IT_ENDED: Final = " : current state: [ 1 END_ST ] next event: [ 3 FAIL_EVT ]"
"""What Kea's state machine, which pyd2 does not have, says behind each error that stops it."""


class Driver:
    """The transactions that have begun and not ended, and what they need on their way.

    All times: ``now`` is monotonic seconds, ``wall`` is seconds since the epoch.
    """

    def __init__(
        self, backend: EngineBackend, ends: Ends, agenda: Agenda, output: OutputBuffer, counters: Counters,
        log: RequestLog,
    ) -> None:
        self._log = log
        self._output = output
        self._ordered = agenda.ordered
        self._full = agenda.full
        self._ends = ends
        self.tries = backend.tries
        self.failover = Failover(log, agenda)
        self.selector = Selector(counters, backend.packets)
        self.sender = Sender(backend.tries, backend.packets, counters, log, output)

    def configure(self, timeout_ms: int, select_key: SelectKey | None, lanes: Collection[Lane]) -> None:
        """Work by another configuration, in which these are the lanes in use."""
        self.failover.configure(lanes)
        self.selector.configure(select_key)
        self.sender.timeout_ms = timeout_ms

    @property
    def timeout(self) -> float:
        """Seconds that a try waits for its reply, at present."""
        return self.sender.timeout_ms / 1000

    def begin(self, transaction: Transaction, domain: Domain, now: float, wall: float) -> None:
        """Start a transaction with its direction in a domain."""
        self._ends.active += 1
        transaction.plan.active += 1
        log = self._log
        if "DHCP_DDNS_STARTING_TRANSACTION" in log.on:
            log.emit("DHCP_DDNS_STARTING_TRANSACTION", transaction.ncr.request_id)
        if domain is transaction.reverse:
            self._turn_round(transaction, domain, now, wall)
        else:
            self._enter(transaction, domain, now, wall)

    # Where a transaction goes.

    def _enter(self, transaction: Transaction, domain: Domain, now: float, wall: float) -> None:
        """Begin a direction."""
        transaction.domain = domain
        transaction.passed_over = ()
        if not self.selector.as_configured or self.failover.down:
            transaction.next_server = 0
            self.go_to_next_server(transaction, NO_MORE_SERVERS, "no server is left to be asked", now, wall)
            return
        # The same, where there is nothing to be chosen, without its calls: nearly all go this way.
        server = domain.servers[0]
        transaction.next_server = 1
        transaction.server = server
        transaction.key = server.key
        transaction.key_counters = server.key_counters
        transaction.routes = server.routes
        kind = transaction.kind
        transaction.step = kind.first_forward if domain is transaction.forward else kind.first_reverse
        transaction.tries = 0
        lane = server.lane
        if lane.ready or lane.free_places <= 0:
            self.offer(transaction, now, wall)
        else:
            self.send(transaction, now, wall)

    def direction_done(self, transaction: Transaction, now: float, wall: float) -> None:
        """Continue a transaction that has completed a direction."""
        if transaction.step.forward:
            transaction.forward_done = True
            if transaction.reverse is not None:
                self._turn_round(transaction, transaction.reverse, now, wall)
                return
        else:
            transaction.reverse_done = True
            if transaction.forward_failure is not None:
                self._ends.fail(transaction, transaction.forward_failure)
                return
        self._ends.succeed((transaction,))

    def _turn_round(self, transaction: Transaction, domain: Domain, now: float, wall: float) -> None:
        """Begin the reverse direction, in a domain, or halt before it."""
        if transaction.halts:
            self._ends.halt(transaction)
        else:
            self._enter(transaction, domain, now, wall)

    def completed(self, transactions: Sequence[Transaction], now: float, wall: float) -> None:
        """Continue transactions that have completed their last direction."""
        if any([transaction.forward_failure for transaction in transactions]):  # noqa: C419  it is quicker
            for transaction in transactions:
                self.direction_done(transaction, now, wall)
        else:
            self._ends.succeed(transactions)

    def went_on(self, transactions: Sequence[Transaction], lane: Lane, wall: float) -> None:
        """Note that transactions have begun the reverse direction: their first update is in the outbox in C.

        That is how ``_enter`` and ``send`` begin it where ``_then`` leads.
        """
        selector = self.selector
        for transaction in transactions:
            transaction.forward_done = True
            domain = transaction.reverse
            assert domain is not None
            transaction.domain = domain
            transaction.passed_over = ()
            transaction.next_server = 1
            server = transaction.server = domain.servers[0]
            route = transaction.route = transaction.then
            if route.key is server.key:
                transaction.key = route.key
                transaction.key_counters = server.key_counters
                transaction.routes = server.routes
            else:
                selector.use_key(transaction, server, route.key, wall)
            transaction.step = transaction.kind.first_reverse
            transaction.tries = 1
        self.sender.count_sent(transactions, wall)
        self._output.posted[lane] = None

    def go_to_next_server(
        self, transaction: Transaction, event: str, reason: str, now: float, wall: float
    ) -> None:
        """Continue with the domain's next server, at the first step of the direction.

        If there is none, the transaction has failed, with ``event`` as its last one, for ``reason``.
        """
        select_key = self.selector.select_key
        while (server := self.failover.next_server(transaction, now)) is not None:
            if select_key is not None:
                self.offload(
                    server.lane, transaction.ncr.number,
                    partial(select_key, server.config, server.offered_key),
                    partial(self._selected, transaction, server, event, reason),
                )
                return
            if self.selector.use(transaction, server, wall):
                self._begin_direction(transaction, now, wall)
                return
        transaction.fault = transaction.fault or Fault.NO_SERVER
        self.fail(transaction, event, reason, now, wall, may_pass=transaction.fault != Fault.NO_DHCID)

    def offload(self, lane: Lane, number: int, work: Callable[[], T], then: Then[T]) -> None:
        """Have libraries do work for a transaction at a lane's server; ``number`` is its request's."""
        lane.hook_jobs += 1
        self._output.hook_jobs.append(HookJob(lane, number, work, then))

    def _selected(
        self, transaction: Transaction, server: Server, event: str, reason: str, job: HookJob[Selection],
        now: float, wall: float,
    ) -> None:
        """Use what libraries have selected for a server; ``event`` and ``reason`` if no other is left."""
        try:
            selection = job.result()
            if not selection.skip:
                self.selector.use_selected(transaction, server, selection.key, wall)
        except Exception as error:  # whatever a library does, the engine continues
            self._log.emit(
                "DHCP_DDNS_STATE_MODEL_UNEXPECTED_ERROR", transaction.ncr.request_id,
                f"{error}{_WHERE_IT_ENDED}",
            )
            self._ends.give_up(transaction, Failure(UPDATE_FAILED, str(error), None, Fault.LIBRARY))
            return
        if selection.skip:
            self.go_to_next_server(transaction, event, reason, now, wall)
        else:
            self._begin_direction(transaction, now, wall)

    def _begin_direction(self, transaction: Transaction, now: float, wall: float) -> None:
        """Begin the direction's first step at the server that was chosen."""
        if self.failover.down:
            self.failover.asked(transaction.server.lane, now, self.timeout)
        kind = transaction.kind
        transaction.step = (
            kind.first_forward if transaction.domain is transaction.forward else kind.first_reverse
        )
        transaction.tries = 0
        self.offer(transaction, now, wall)

    def fail(
        self, transaction: Transaction, event: str, reason: str, now: float, wall: float, *,
        may_pass: bool = False,
    ) -> None:
        """Continue or end a transaction, a direction of which has failed; ``may_pass``: for now only."""
        failure = Failure(event, reason, transaction.retry if may_pass else None, transaction.fault)
        if transaction.domain is transaction.forward:
            reverse = transaction.reverse
            waits = transaction.halts and failure.retry is not None
            if reverse is not None and transaction.partial_success and not waits:
                transaction.forward_failure = failure
                transaction.fault = ""
                self._turn_round(transaction, reverse, now, wall)
                return
        elif transaction.forward_failure is not None:
            # What failed first is reported; the request is tried again if either failure may pass.
            first = transaction.forward_failure
            failure = first._replace(retry=first.retry or failure.retry)
        self._ends.fail(transaction, failure)

    # How its updates are sent.

    def offer_again(self, transaction: Transaction, now: float, wall: float) -> None:
        """Offer an update that waits for a server which is down; another one that is up gets it instead."""
        if self.failover.leaves(transaction):
            if not transaction.tries:  # it was not asked: that counts as passed over
                transaction.passed_over += (transaction.server,)
            reason = f"no usable answer from {transaction.server.text}"
            self.go_to_next_server(transaction, NO_MORE_SERVERS, reason, now, wall)
        else:
            self.offer(transaction, now, wall)

    def offer(self, transaction: Transaction, now: float, wall: float) -> None:
        """Send the next update, now or when the lane has a free place.

        A try that is repeated has left its place just now and takes it again, as with Kea: behind all that
        waits for a silent server each transaction would take the longer, the more of them there are.
        """
        lane = transaction.server.lane
        if (lane.ready and not transaction.tries) or (
            lane.free_places <= 0 and not lane.has_free_place(now)
        ):
            lane.ready.append(transaction)
            self._full.add(lane)
        else:
            self.send(transaction, now, wall)

    def send(self, transaction: Transaction, now: float, wall: float) -> None:
        """Send the update of the transaction's step; the caller has seen that its lane has a free place."""
        server = transaction.server
        lane = server.lane
        step = transaction.step
        routes = transaction.routes
        route = routes.get(step)
        if route is None:
            route = routes[step] = self.tries.route(server, transaction.domain.zone, step, transaction.key)
        if not route.address or transaction.spare_rcode is not None or not transaction.ncr.packed:
            self._send_alone(transaction, now, wall)
            return
        transaction.route = route
        reverse = transaction.reverse
        if reverse is None or not step.forward or transaction.halts:
            transaction.then = ALONE
        elif self.selector.as_configured and (then := route.then.get(reverse)) is not None:
            transaction.then = then
        else:
            transaction.then = self._then(transaction, reverse, wall)
        transaction.context = None
        transaction.tcp = False
        transaction.tries += 1
        lane.free_places -= 1
        if not lane.orders:
            self._ordered.append(lane)
        lane.orders.append(transaction)
        if "DHCP_DDNS_UPDATE_REQUEST_SENT" in self._log.on:
            # Then its message comes where Kea's does, before anything else happens.
            self.flush(now, wall)

    def _then(self, transaction: Transaction, domain: Domain, wall: float) -> Route:
        """Return how the reverse direction begins, if it does so at the server that is asked now."""
        server = domain.servers[0]
        selector = self.selector
        key: SigningKey | None = server.key
        routes = server.routes
        if not selector.as_configured:
            source = selector.key_source
            # One that logs each choice is asked when the direction begins, and not also here.
            if source is None or source.logs_each or (chosen := selector.choose(server, wall)) is None:
                return ALONE
            key, _, routes = chosen
        route = ALONE
        if server.lane is transaction.server.lane:
            step = transaction.kind.first_reverse
            if step not in routes:
                routes[step] = self.tries.route(server, domain.zone, step, key)
            route = routes[step]
        if selector.as_configured:
            transaction.route.then[domain] = route
        return route

    def flush(self, now: float, wall: float) -> list[Lane]:
        """Send the updates that were ordered; return the lanes they went to."""
        lanes = self._ordered.copy()
        self._ordered.clear()
        for lane in lanes:
            lane.full = False
            alone = self.sender.send_orders(lane, now, wall)
            for behind, transaction in enumerate(alone, 1):
                self._send_alone(transaction, now, wall)
                if lane.full:  # then all of them wait, in their order
                    lane.ready.extendleft(reversed([lane.ready.popleft(), *alone[behind:]]))
                    break
        return lanes

    def _send_alone(self, transaction: Transaction, now: float, wall: float) -> None:
        """Make the update of the transaction's step in Python and send it."""
        sender = self.sender
        key = transaction.key
        if isinstance(key, ContextKey) and key.is_full():
            self._wait(transaction)
            return
        try:
            draft = sender.draft(transaction)
            signing = partial(sign, key, draft, int(wall))
            if isinstance(key, LibraryKey):
                lane = transaction.server.lane
                lane.signing += 1
                lane.free_places = UNKNOWN
                then = partial(self._signed, transaction, draft)
                self.offload(lane, transaction.ncr.number, signing, then)
            else:
                sender.complete(transaction, draft, signing, now, wall)
        except UnsendableError as error:
            self._fail_unsent(transaction, error, now, wall)

    def _wait(self, transaction: Transaction) -> None:
        """Let a transaction wait until a try of its lane has ended: before, no update may be signed."""
        lane = transaction.server.lane
        lane.ready.appendleft(transaction)
        lane.full = True
        lane.free_places = 0
        self._full.add(lane)

    def _signed(
        self, transaction: Transaction, draft: Draft, job: HookJob[Signed], now: float, wall: float
    ) -> None:
        """Send what a library has signed."""
        lane = transaction.server.lane
        lane.signing -= 1
        lane.free_places = UNKNOWN
        if not self.sender.holds(transaction, draft):
            self._send_alone(transaction, now, wall)
            return
        try:
            self.sender.complete(transaction, draft, job.result, now, wall)
        except UnsendableError as error:
            self._fail_unsent(transaction, error, now, wall)

    def _fail_unsent(
        self, transaction: Transaction, error: UnsendableError, now: float, wall: float
    ) -> None:
        """Continue or end a transaction whose update could not be made or signed."""
        transaction.fault = Fault.UNSENDABLE
        self.fail(transaction, UPDATE_FAILED, str(error), now, wall, may_pass=error.may_pass)
