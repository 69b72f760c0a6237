"""When the newest request of each client came, whichever receiver has taken it.

A receiver that cannot reach the servers keeps its requests, while its partner takes newer ones of the same
clients. What it hands over after that would undo these, and is not carried out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.queue.ncrs import client_of
from pyd2.queue.shared.batch import SPOOLED_SECONDS

if TYPE_CHECKING:
    from pyd2.queue.shared.batch import RequestBatch

CLIENTS: Final = 50_000
"""So many clients are remembered at least, those with the newest requests, and twice as many at most."""

REASON: Final = "its receiver handed it over late: a newer request of this client had come by another one"


class NewestRequests:
    """What one owner has read since its claim."""

    def __init__(self, clients: int = CLIENTS) -> None:
        self._clients = clients
        self._newer: dict[bytes, tuple[float, str]] = {}
        self._older: dict[bytes, tuple[float, str]] = {}
        """Receivers and times by clients; when ``_newer`` is full it takes the place of this."""

    def overtaken(self, batch: RequestBatch) -> list[int]:
        """Note the requests of a batch; return the places of those that must not be carried out."""
        taken, receiver = batch.taken, batch.receiver
        found = []
        for place, datagram in enumerate(batch.datagrams):
            client = client_of(datagram)
            when, by = self._newer.get(client) or self._older.get(client) or (0.0, receiver)
            if batch.spooled and by != receiver and when > taken + SPOOLED_SECONDS:
                found.append(place)
            elif when <= taken or by == receiver:
                self._newer[client] = taken, receiver
        if len(self._newer) >= self._clients:
            self._older, self._newer = self._newer, {}
        return found
