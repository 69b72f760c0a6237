"""Which servers are known not to answer, and which server of a domain is asked next.

Without the switches that need to know it no server is ever down, and the servers of a domain are asked in
their order (contract, section 5.2).
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from pyd2.update.model.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pyd2.messages import Log
    from pyd2.update.agenda import Agenda
    from pyd2.update.inflight.contract import Event
    from pyd2.update.model.plan import Domain, Server
    from pyd2.update.model.transaction import Transaction
    from pyd2.update.server.breaker import CircuitBreaker
    from pyd2.update.server.lane import Lane


class Failover:
    """Server health and choice. ``now`` is monotonic seconds, ``wall`` seconds since the epoch."""

    def __init__(self, log: Log, agenda: Agenda) -> None:
        self._log = log
        self._agenda = agenda
        self.down: set[Lane] = set()
        """Servers that are known not to answer."""

    def configure(self, lanes: Collection[Lane]) -> None:
        """Forget servers whose breaker is closed or off now, and those that are not in use any more."""
        self.down = {lane for lane in self.down if lane.breaker is not None and lane.breaker.down}
        if self.down:
            self.down.intersection_update(lanes)

    # Which servers answer.

    def heard(self, lane: Lane, breaker: CircuitBreaker, events: Sequence[Event], wall: float) -> None:
        """Note what came from a server; what answers a try under way shows that it is up."""
        if any(transaction is not None for transaction, _, _ in events) and breaker.heard():
            self.down.discard(lane)
            self._agenda.turned.append(lane)
            self._log.emit("PYD2_SERVER_UP", lane.text, max(0, round(wall - breaker.since)))

    def silent(self, lane: Lane, breaker: CircuitBreaker, now: float, wall: float) -> None:
        """Note that a server has left a try without an answer."""
        if breaker.silent(now, wall):
            self.down.add(lane)
            self._agenda.turned.append(lane)
            from pyd2.update.model.reasons import reason

            self._log.emit("PYD2_SERVER_DOWN", lane.text, breaker.threshold, reason(Fault.TIMEOUT).mend)

    def asked(self, lane: Lane, now: float, timeout: float) -> None:
        """Note that an update goes to a server; one that is down is not asked again so soon.

        ``timeout`` is the seconds that the update waits for its answer.
        """
        if lane.breaker is not None and lane.breaker.down:
            lane.breaker.probed(now, timeout)

    # Which server is asked.

    def first_lane(self, domain: Domain, now: float) -> Lane:
        """Return the lane where a direction begins, while some servers are down."""
        usable = (server.lane for server in domain.servers if server.usable(now))
        return next(usable, domain.servers[0].lane)

    def next_server(self, transaction: Transaction, now: float) -> Server | None:
        """Return the server of the domain to ask next, or None if there is none.

        A server that is down is passed over. Without retries it is asked in the end all the same: nothing is
        to be lost that Kea would not lose.
        """
        servers = transaction.domain.servers
        while transaction.next_server < len(servers):
            server = servers[transaction.next_server]
            transaction.next_server += 1
            if not self.down or server.usable(now):
                return server
            transaction.passed_over += (server,)
        passed_over = transaction.passed_over
        if passed_over and transaction.domain.retry is None:
            found = next((server for server in passed_over if server.usable(now)), passed_over[0])
            transaction.passed_over = tuple(server for server in passed_over if server is not found)
            return found
        return None

    def leaves(self, transaction: Transaction) -> bool:
        """Whether a server that is down is left before its last try, for another one that is up."""
        return bool(self.down) and not transaction.server.usable(-inf) and _is_any_up(transaction)


def has_alternative(transaction: Transaction) -> bool:
    """Return whether another server of the domain, one that is not down, may be asked instead."""
    return transaction.server.failover is not None and _is_any_up(transaction)


def _is_any_up(transaction: Transaction) -> bool:
    """Return whether any of the servers that come next in the domain, or in the end, is not down."""
    domain = transaction.domain
    next_servers = domain.servers[transaction.next_server :]
    if domain.retry is None:
        next_servers += transaction.passed_over
    return any(server.usable(-inf) for server in next_servers)
