"""A lane: the traffic with one DNS server (an address and a port), apart from all other servers.

Each server has its own window of updates under way and its own queue, so that a dead server costs only
the zones that use it (docs/differences.md, 9). A lane keeps what it has learned under a new configuration.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING, Final

from pyd2.config.addresses import address_text
from pyd2.update.server.id_quarantine import QuarantinedIds
from pyd2.update.server.window import PythonWindow

if TYPE_CHECKING:
    from pyd2.config.addresses import Address
    from pyd2.config.tls import TlsSwitches
    from pyd2.packets.layer import Request
    from pyd2.update.model.transaction import Transaction
    from pyd2.update.server.breaker import CircuitBreaker
    from pyd2.update.server.reply_counts import ReplyCounts
    from pyd2.update.server.window import InFlightWindow

MAX_HOOK_JOBS: Final = 96
"""Hook jobs of a lane's transactions from which on no further ones begin there."""
UNKNOWN: Final = -1
"""In place of a number of free places; so is what is less."""
MOST_WHILE_FULL: Final = 16
"""Updates that are tried in a turn while it is likely that they cannot be signed."""
MOST_READY: Final = 64
"""Transactions that wait for a free place of a lane from which on no retries join them."""
MOST_HELD: Final = 2048
"""The same where updates go in batches, for new requests, too: so many are searched for those of a zone."""


class BatchCounts:
    """What has been sent to a server in batches."""

    __slots__ = ("batches", "questions", "updates")

    def __init__(self) -> None:
        self.batches = 0
        """Messages with several updates."""
        self.updates = 0
        """The updates in them."""
        self.questions = 0
        """Questions for the DHCID of a name, after batches that failed."""


class Lane:
    """The traffic with one DNS server.

    Identity is what counts: the shell keeps its sockets by lane.
    """

    __slots__ = (
        "address",
        "backlog",
        "batch",
        "batched",
        "breaker",
        "collecting",
        "followers",
        "free_places",
        "full",
        "heard_at",
        "held",
        "hook_jobs",
        "host",
        "native",
        "orders",
        "passed_over",
        "port",
        "quarantined",
        "ready",
        "replies",
        "signing",
        "silent",
        "slots",
        "text",
        "tls",
        "waiting",
        "window",
    )

    def __init__(
        self, address: Address, port: int, window: InFlightWindow | None = None,
        tls: TlsSwitches | None = None,
    ) -> None:
        self.address = address
        self.port = port
        self.tls = tls
        """How TLS is used with the server; None: it is not used."""
        self.host = address_text(address)
        """The address as Kea prints it."""
        self.text = f"{self.host} port:{port}"
        """As the log names the server."""
        self.breaker: CircuitBreaker | None = None
        """Whether the server answers, if a switch needs to know."""
        self.window = window or PythonWindow()
        self.native = self.window.native
        """The same lane in C; None: its tries are in Python."""
        self.slots = [0]
        """The numbers of the local ports that tries are sent from; the shell changes them with the ports."""
        self.quarantined = QuarantinedIds()
        """Quarantined query IDs, of tries in Python."""
        self.free_places = UNKNOWN
        """Updates that may still go out in this turn; UNKNOWN until ``has_free_place`` was asked."""
        self.full = False
        """Whether an update could not be signed when it was last tried: other ones have to end first."""
        self.silent = False
        """Whether a try has timed out since the server last answered one."""
        self.heard_at = -inf
        """When the server last answered after it had been silent, in monotonic seconds."""
        self.replies: ReplyCounts | None = None
        """What is counted of its replies, while that is asked for; the main thread sets it."""
        self.hook_jobs = 0
        """Hook jobs under way for transactions here."""
        self.signing = 0
        """Of these, updates that are signed: they have their places in the window already."""
        self.orders: list[Transaction] = []
        """Transactions whose next update goes out with the others at the end of the turn."""
        self.ready: deque[Transaction] = deque()
        """Transactions whose next update waits for a free place; they go before new requests."""
        self.waiting: deque[Request] = deque()
        """Requests whose transaction begins at this server."""
        self.backlog: deque[deque[Request]] = deque()
        """Requests that reloads found in ``waiting``, to be matched again, and those that came behind."""
        self.followers = 0
        """Requests that wait behind another one of their client, where the first of these begins here."""
        self.batch = 1
        """How many updates may go in one message; 1: batches are off."""
        self.passed_over = False
        """Whether all domains ask their other servers in its stead while it is down."""
        self.batched: BatchCounts | None = None
        """None: there was no need for batches yet."""
        self.collecting = False
        """Whether all updates for the server go through ``update/batch``, which keeps its free places."""
        self.held = 0
        """Transactions that wait there."""

    @property
    def queued(self) -> int:
        """Requests that wait for this server and have not begun."""
        return len(self.waiting) + self.followers + sum(map(len, self.backlog))

    def has_free_place(self, now: float) -> bool:
        """Whether another update may go out in this turn."""
        if self.free_places <= UNKNOWN:
            if self.collecting:
                return False
            free_places = self.window.free_places(now) - len(self.orders) - self.signing
            if self.full:
                free_places = min(free_places, MOST_WHILE_FULL)
            if free_places <= 0:
                return False  # it is asked again: pacing frees places with the time
            self.free_places = free_places
        return self.free_places > 0

    def may_begin(self, now: float) -> bool:
        """Whether another transaction may begin: those with hook jobs have not used their free places yet."""
        return self.hook_jobs < MAX_HOOK_JOBS and self.has_free_place(now)

    @property
    def down(self) -> bool:
        """Whether the server counts as down."""
        return self.breaker is not None and self.breaker.down

    def may_probe(self, now: float) -> bool:
        """Whether an update may find out if the server, which is down, is up again.

        Nothing else is under way there or waits: that finds out as well, and the update would wait behind it.
        """
        return (
            self.breaker is not None and self.breaker.may_probe(now)
            and not (self.window.in_flight or self.orders or self.hook_jobs)
            and not (self.ready or self.waiting or self.collecting)
        )

    @property
    def congested(self) -> bool:
        """Whether there is no point in beginning retries here.

        What waits for a server that is down and passed over keeps none back: ``may_probe`` does, and others
        may have it.
        """
        if self.passed_over and self.down:
            return False
        return len(self.ready) + self.held >= (MOST_HELD if self.collecting else MOST_READY)

    @property
    def has_to_wait(self) -> bool:
        """Whether a try has to end before another update can be signed."""
        return self.full and self.free_places > UNKNOWN

    def waits_for_pace(self) -> bool:
        """Whether what waits here may continue with the time alone, and not only after something else."""
        if self.signing or (self.hook_jobs >= MAX_HOOK_JOBS and not self.ready):
            return False
        if self.has_to_wait:
            return False
        return self.window.paced_until() < inf

    def __repr__(self) -> str:
        waiting = len(self.ready) + len(self.waiting) + self.held
        return f"<Lane {self.text}: {self.window.in_flight} under way, {waiting} waiting>"
