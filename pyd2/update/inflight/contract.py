"""The interface of tries: which updates are under way, where their replies come, and when their time is up.

``drive/driver.py`` decides what is sent, ``drive/replies.py`` what follows from the outcome. There are two
implementations: ``inflight/python.py``, which is the reference, and ``inflight/native.py``, which also makes,
signs and judges the usual updates in C, by the batch. ``pyd2.backend`` chooses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyd2.dns.tsig import SigningKey
    from pyd2.dns.update import Zone
    from pyd2.packets.layer import PacketLayer
    from pyd2.update.model.kinds import Step
    from pyd2.update.model.plan import Server
    from pyd2.update.model.route import Route
    from pyd2.update.model.transaction import Purpose
    from pyd2.update.server.lane import Lane
    from pyd2.update.server.window import InFlightWindow

JUDGE: Final = -1
"""In an event: the reply is still to be judged."""
COMPLETED: Final = -2
"""In an event: these transactions have completed their last direction."""
NEXT: Final = -3
"""In an event: these transactions have completed a direction, and begun the reverse one."""
FOUND: Final = -4
"""In an event: the answer to a question was judged."""


class Turn(NamedTuple):
    """What all updates that are sent together have in common."""

    now: float
    wall: int
    timeout: float
    """Seconds that a try waits."""
    slot: int
    """The lane's local port."""
    goes_on: bool = False
    """Whether a transaction that has completed its forward direction may send its next update at once, by the
    route ``then``.
    """
    together: bool = False
    """Whether transactions may come together in one event, as far as that changes no order."""


STREAM: Final = 0xFFFFFFFE
"""The slot of all tries over TCP or TLS to a server: they share one connection, and so its query IDs."""

Event: TypeAlias = "tuple[Any, int, Any]"
"""What came of a datagram from a server: what its try was for (a Purpose; None: it answers none under way),
and the response code of a reply that counts, or JUDGE and the datagram, or FOUND and what was found (a
Found). With FOUND it is a question, with JUDGE any Purpose, else a Transaction. With COMPLETED and NEXT it is
a list of transactions, from a datagram each.
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

    def question_route(self, server: Server, key: SigningKey | None) -> Route:
        """Return how questions for the DHCID of a name, signed with a key, go to a server."""

    def draw_place(self) -> int:
        """Draw a number that chooses one of a lane's local ports."""

    def draw_query_id(self, lane: Lane, slot: int) -> int:
        """Draw a query ID that no try under way uses there, and none whose time was up just now."""

    def is_free(self, lane: Lane, query: int) -> bool:
        """Whether no try under way uses ``slot << 16 | query ID``, and none whose time was up just now."""

    def enter(self, tried: Purpose, lane: Lane, query: int, now: float, timeout: float) -> None:
        """Enter a try whose message was made in Python; ``query`` is ``slot << 16 | query ID``."""

    def send(self, lane: Lane, purposes: Sequence[Purpose], turn: Turn) -> list[int]:
        """Make the messages of transactions or questions that have a route, enter their tries and post them.

        Returns the places of those that must go alone after all; nothing has been done for them.
        """

    def posted(self, lane: Lane) -> list[Outgoing]:
        """Remove the messages that ``send`` has posted to a lane, and return them."""

    def read_replies(self, lane: Lane, slot: int, datagrams: Sequence[bytes], turn: Turn) -> list[Event]:
        """Read datagrams that came to a slot of a lane; end the tries that they answer.

        The events are in the order of the datagrams, but for NEXT, which comes last.
        """

    def expire(self, now: float, most: int) -> list[Purpose]:
        """End tries whose time is up, so many at most, and return what they were for; there may be more."""

    def find(self, lane: Lane, query: int) -> Purpose | None:
        """Return what the try is for that waits at ``slot << 16 | query ID``; None if there is none."""

    def withdraw(self, lane: Lane, query: int, now: float) -> None:
        """End a try that is under way, of a message that could not be sent."""

    def deadline(self) -> float | None:
        """Return when the time of a try is up next, or None if nothing is under way."""

    def abandon(self) -> None:
        """Have nothing outside wait for the ends of the tries under way: this is used no more."""

    def forget(self, ended: Sequence[Purpose]) -> None:
        """Drop what is kept for transactions, which have ended, or for messages of batches."""

    def pending(self, lane: Lane) -> Mapping[int, Purpose]:
        """Return the tries under way to a server by ``slot << 16 | query ID``, to read only."""


class EngineBackend(Protocol):
    """What the engine needs of a back end (``pyd2.backend``). A back end serves one engine."""

    @property
    def packets(self) -> PacketLayer:
        """The codec."""

    @property
    def tries(self) -> Tries:
        """The tries of the engine's lanes; it makes their windows, too."""
