"""A transaction: one request on its way through the steps of its kind (contract, section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections import OrderedDict

    from pyd2.config.switches import RetrySwitches
    from pyd2.counters import KeyCounters
    from pyd2.dns.tsig import SigningContext, SigningKey
    from pyd2.packets.layer import Request
    from pyd2.update.model.kinds import Kind, Step
    from pyd2.update.model.plan import Domain, Plan, Server
    from pyd2.update.model.route import Route

# The events that a failed transaction reports as its last; names of Kea's state model.
UPDATE_FAILED: Final = "UPDATE_FAILED_EVT"
NO_MORE_SERVERS: Final = "NO_MORE_SERVERS_EVT"
SERVER_IO_ERROR: Final = "SERVER_IO_ERROR_EVT"


class Failure(NamedTuple):
    """How a direction has failed."""

    event: str
    reason: str
    retry: RetrySwitches | None
    """How it is tried again; None: it has failed for good."""
    fault: str
    """What has failed, as ``reasons.py`` names it."""


class Transaction:
    """What is known of a transaction. It holds on to the domains, servers and keys it began with,
    so that a reconfiguration does not change them under it (contract, section 2.5).
    """  # noqa: D205  one sentence

    __slots__ = (
        "_fault", "context", "deadline", "dhcid", "domain", "fifo", "forward", "forward_done",
        "forward_failure",
        "hops", "key", "key_counters", "kind", "ncr", "next_server", "number", "passed_over", "plan",
        "query", "reverse", "reverse_done", "route", "routes", "sent_at", "server", "spare_rcode", "step",
        "tcp", "then", "tries",
    )

    # Set when the first server is selected, and again at every later selection.
    domain: Domain
    passed_over: tuple[Server, ...]
    """Servers of the domain that are down and were not asked."""
    server: Server
    step: Step
    key: SigningKey | None
    key_counters: KeyCounters | None
    routes: dict[Step, Route]
    """How updates with this key go to ``server``."""
    route: Route
    """How the update under way went to ``server``."""
    then: Route
    """How the reverse direction begins, if that is known."""
    tcp: bool
    context: SigningContext | None
    """That of the try under way, where its message was made here in Python, or its reply is judged here."""
    _fault: str
    # Set when a try goes out, by the tries in Python.
    query: int
    """``slot << 16 | query id``: the place in the lane's ``pending``."""
    sent_at: float
    deadline: float
    fifo: OrderedDict[Transaction, None]
    """The queue of deadlines that holds this try."""

    def __init__(
        self, ncr: Request, dhcid: int, kind: Kind, plan: Plan, forward: Domain | None, reverse: Domain | None
    ) -> None:
        self.ncr = ncr
        self.dhcid = dhcid
        """What holds the client: the hash of its DHCID."""
        self.number = -1
        """The number by which tries in C know it, if they do."""
        self.plan = plan
        self.kind = kind
        self.forward = forward
        self.reverse = reverse
        self.context = None
        self.tcp = False
        self.next_server = 0
        """Index of the server to select next in the domain at work."""
        self.tries = 0
        self.hops = 0
        """How often a reply led from one step to another."""
        self.forward_done = False
        self.reverse_done = False
        self.forward_failure: Failure | None = None
        """How the forward direction has failed, if the reverse one goes ahead all the same."""
        self.spare_rcode: int | None = None
        """The RCODE of a truncated reply over UDP, while the try is repeated over TCP."""

    @property
    def fault(self) -> str:
        """What failed last, as ``reasons.py`` names it; empty: nothing has."""
        return getattr(self, "_fault", "")

    @fault.setter
    def fault(self, name: str) -> None:
        self._fault = name  # not before: most transactions never have one

    @property
    def retry(self) -> RetrySwitches | None:
        """How the request is tried again that has failed now; None: not at all."""
        server = self._server
        return self.domain.retry if server is None else server.retry

    @property
    def partial_success(self) -> bool:
        """Whether the reverse change is made though the forward change has failed now."""
        failover = (self._server or self.domain.servers[0]).failover
        return failover is not None and failover.partial_success

    @property
    def _server(self) -> Server | None:
        """The server of the domain at work that was selected last; None: there is none yet."""
        server = getattr(self, "server", None)
        return server if server in self.domain.servers else None

    def outcome(self, event: str) -> str:
        """Return how the transaction failed, as Kea words it; ``event`` is the last event."""
        ncr = self.ncr
        parts = [f"Status: Failed, Event: {event}, "]
        if ncr.forward_change:
            parts.append(f" Forward change: {'completed' if self.forward_done else 'failed'}, ")
        if ncr.reverse_change:
            parts.append(f" Reverse change: {'completed' if self.reverse_done else 'failed'}, ")
        parts.append(f" request: {ncr.text()}")
        return "".join(parts)
