"""The mechanism of tries: which of them are under way, where their replies come, and when their time is up.

What is to be tried is the business of ``drive/driver.py``, and what follows from its outcome that of
``drive/replies.py``. There are two sorts with one face: the one here in Python, which is the reference, and
``inflight/native.py``, which also makes, signs and judges the usual updates in C, by the batch.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

from pyd2.update.inflight.deadlines import Deadlines
from pyd2.update.server.window import PythonWindow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyd2.dns.tsig import SigningKey
    from pyd2.dns.update import Zone
    from pyd2.packets.layer import PacketLayer
    from pyd2.update.model.kinds import Step
    from pyd2.update.model.plan import Server
    from pyd2.update.model.transaction import Transaction
    from pyd2.update.server.lane import Lane
    from pyd2.update.server.window import InFlightWindow

JUDGE: Final = -1
"""In an event: the reply is still to be judged."""
NEXT: Final = -3
"""In an event: the direction is completed, and the first update of the reverse direction is under way."""


class Turn(NamedTuple):
    """What goes for all that is sent together."""

    now: float
    wall: int
    timeout: float
    """Seconds that a try waits."""
    slot: int
    """The lane's local port."""


class Route:
    """A step at a server, prepared to be sent by the batch."""

    __slots__ = ("address", "kept")

    def __init__(self, address: int = 0, *kept: object) -> None:
        self.address = address
        """Where C finds it; 0: such updates are not sent by the batch."""
        self.kept = kept
        """What must live as long as the route."""


STREAM: Final = 0xFFFFFFFE
"""The slot of all tries over TCP or TLS to a server: they share one connection, and so its query IDs."""

ALONE: Final = Route()
"""The route of updates that are made one by one."""


Event: TypeAlias = "tuple[Transaction | None, int, bytes]"
"""What came of a datagram from a server: the transaction whose try has ended (None: it answers no try under
way), and the response code of a reply that counts, or JUDGE and the datagram.
"""


class Outgoing(NamedTuple):
    """A message to be sent to a DNS server."""

    lane: Lane
    """The server."""
    slot: int
    """Which of the lane's local UDP ports to send from; for TCP and TLS, STREAM."""
    query_id: int
    tcp: bool
    """Whether it goes over TCP (a connection of its own, RFC 7766) instead of UDP."""
    message: bytes
    """The whole DNS message; a TCP sender puts its length in front."""


class Tries(Protocol):
    """The tries of all lanes. ``now`` is monotonic seconds, never going back."""

    random: bytes
    """Random numbers of 32 bits to draw local ports and query IDs from; filled again when there are none."""

    @property
    def in_flight(self) -> int:
        """Tries under way."""

    def new_window(self) -> InFlightWindow:
        """Return the window of a new lane."""

    def route(self, server: Server, zone: Zone | None, step: Step, key: SigningKey | None) -> Route:
        """Return how a step's updates, signed with a key, go to a server: by the batch, or ALONE."""

    def draw_place(self) -> int:
        """Draw a number that chooses one of a lane's local ports."""

    def draw_query_id(self, lane: Lane, slot: int) -> int:
        """Draw a query ID that no try under way uses there, and none whose time was up just now."""

    def is_free(self, lane: Lane, query: int) -> bool:
        """Whether no try under way uses ``slot << 16 | query ID``, and none whose time was up just now."""

    def enter(self, transaction: Transaction, lane: Lane, query: int, now: float, timeout: float) -> None:
        """Enter a try whose message was made in Python; ``query`` is ``slot << 16 | query ID``."""

    def send(self, lane: Lane, transactions: Sequence[Transaction], turn: Turn) -> list[int]:
        """Make the updates of transactions that have a route, enter their tries and post the messages.

        Returns the places of those that must go alone after all; nothing has been done for them.
        """

    def posted(self, lane: Lane) -> list[Outgoing]:
        """Take out the messages that ``send`` has posted to a lane."""

    def take(
        self, lane: Lane, slot: int, datagrams: Sequence[bytes], turn: Turn, *, goes_on: bool
    ) -> list[Event]:
        """Take datagrams that came to a slot of a lane; end the tries that they answer.

        ``goes_on``: a transaction that has completed its forward direction may go on where ``then`` leads.
        """

    def expire(self, now: float, most: int) -> list[Transaction]:
        """End tries whose time is up, so many at most; there may be more of them."""

    def find(self, lane: Lane, query: int) -> Transaction | None:
        """Return the transaction whose try waits at ``slot << 16 | query ID``; None if there is none."""

    def withdraw(self, lane: Lane, query: int, now: float) -> None:
        """End a try that is under way, of a message that could not be sent."""

    def deadline(self) -> float | None:
        """Return when the time of a try is up next, or None if nothing is under way."""

    def forget(self, transaction: Transaction) -> None:
        """Take it that a transaction has ended."""

    def pending(self, lane: Lane) -> Mapping[int, Transaction]:
        """Return the tries under way to a server by ``slot << 16 | query ID``, to look at."""


class RandomNumbers:
    """Draws local ports and query IDs."""

    def __init__(self) -> None:
        self.random = b""
        """What has been drawn in advance, four octets for each number."""

    def _draw(self) -> int:
        return int.from_bytes(self._draw_some(1), "little")

    def _draw_some(self, count: int) -> bytes:
        """Draw numbers as C takes them."""
        size = 4 * count
        if len(self.random) < size:
            self.random += secrets.token_bytes(max(4096, size))
        drawn, self.random = self.random[:size], self.random[size:]
        return drawn

    def draw_place(self) -> int:
        """See Tries."""
        return self._draw() >> 16


class PythonTries(RandomNumbers):
    """See Tries."""

    def __init__(self) -> None:
        super().__init__()
        self.in_flight = 0
        self._deadlines = Deadlines()
        self._pending: dict[Lane, dict[int, Transaction]] = {}

    def new_window(self) -> InFlightWindow:
        """See Tries."""
        return PythonWindow()

    def route(self, _server: Server, _zone: Zone | None, _step: Step, _key: SigningKey | None) -> Route:
        """See Tries."""
        return ALONE

    def draw_query_id(self, lane: Lane, slot: int) -> int:
        """See Tries."""
        while True:
            query_id = self._draw() & 0xFFFF
            if self.is_free(lane, slot << 16 | query_id):
                return query_id

    def is_free(self, lane: Lane, query: int) -> bool:
        """See Tries."""
        return query not in self.pending(lane) and query & 0xFFFF not in lane.quarantined

    def enter(self, transaction: Transaction, lane: Lane, query: int, now: float, timeout: float) -> None:
        """See Tries."""
        transaction.query = query
        transaction.sent_at = now
        self._pending.setdefault(lane, {})[query] = transaction
        self._deadlines.add(transaction, now, timeout)
        self.in_flight += 1
        lane.window.sent()

    def send(self, _lane: Lane, transactions: Sequence[Transaction], _turn: Turn) -> list[int]:
        """See Tries."""
        return list(range(len(transactions)))

    def posted(self, _lane: Lane) -> list[Outgoing]:
        """See Tries."""
        return []

    def take(
        self, lane: Lane, slot: int, datagrams: Sequence[bytes], turn: Turn, *, goes_on: bool  # noqa: ARG002
    ) -> list[Event]:
        """See Tries; what C decides here is decided by ``drive/replies.py``."""
        return [self._take(lane, slot, datagram, turn.now) for datagram in datagrams]

    def _take(self, lane: Lane, slot: int, datagram: bytes, now: float) -> Event:
        transaction = None
        if len(datagram) >= 2:
            transaction = self._end(lane, slot << 16 | datagram[0] << 8 | datagram[1])
        if transaction is not None:
            lane.window.replied(transaction.sent_at, now)
        return transaction, JUDGE, datagram

    def _end(self, lane: Lane, query: int) -> Transaction | None:
        pending = self._pending.get(lane)
        transaction = pending.pop(query, None) if pending is not None else None
        if transaction is not None:
            del transaction.fifo[transaction]
            self.in_flight -= 1
            if not pending:
                del self._pending[lane]
        return transaction

    def expire(self, now: float, most: int) -> list[Transaction]:  # noqa: ARG002
        """See Tries; here it is one at a time."""
        first = self._deadlines.first_expired(now)
        if first is None:
            return []
        lane = first.server.lane
        self._end(lane, first.query)
        lane.window.timed_out(first.sent_at, now)
        lane.quarantined.add(first.query & 0xFFFF, now)
        return [first]

    def find(self, lane: Lane, query: int) -> Transaction | None:
        """See Tries."""
        return self.pending(lane).get(query)

    def withdraw(self, lane: Lane, query: int, now: float) -> None:
        """See Tries."""
        self._end(lane, query)
        lane.window.withdrawn(now)

    def deadline(self) -> float | None:
        """See Tries."""
        return self._deadlines.next()

    def forget(self, transaction: Transaction) -> None:
        """See Tries."""

    def pending(self, lane: Lane) -> Mapping[int, Transaction]:
        """See Tries."""
        return self._pending.get(lane, {})


def make_tries(packets: PacketLayer) -> Tries:
    """Return what goes with a packet layer."""
    if packets.name != "compiled":
        return PythonTries()
    from pyd2.update.inflight.native import NativeTries

    return NativeTries()
