"""When the newest request of each client came, whichever receiver has taken it.

A receiver that cannot reach the servers keeps its requests, while its partner takes newer ones of the same
clients. What it hands over after that would undo these, and is not carried out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from pyd2.queue.ncrs import client_of, clients_of
from pyd2.queue.shared.batch import SPOOLED_SECONDS, joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyd2.queue.shared.batch import RequestBatch

_Client: TypeAlias = "int | bytes"
"""The end of a DHCID as a number, which is part of a digest; or all of a DHCID."""

CLIENTS: Final = 50_000
"""So many clients are remembered at least, those with the newest requests, and twice as many at most."""

_END: Final = 8
"""Octets of a DHCID of which the number of its client is made."""

REASON: Final = "its receiver handed it over late: a newer request of this client had come by another one"


class NewestRequests:
    """What one owner has read since its claim."""

    def __init__(self, clients: int = CLIENTS) -> None:
        self._clients = clients
        self._newer: dict[_Client, tuple[float, str]] = {}
        self._older: dict[_Client, tuple[float, str]] = {}
        """Receivers and times by clients; when ``_newer`` is full it takes the place of this."""
        self._last: dict[str, float] = {}
        """The latest time of each receiver."""

    def overtaken(self, batch: RequestBatch) -> list[int]:
        """Note the requests of a batch; return the places of those that must not be carried out."""
        taken, receiver = batch.taken, batch.receiver
        clients = _clients_of(batch.datagrams)
        others = max((when for by, when in self._last.items() if by != receiver), default=taken)
        self._last[receiver] = max(taken, self._last.get(receiver, taken))
        found: list[int] = []
        if not batch.spooled and others <= taken:  # all of them are the newest
            newer, newest = self._newer, (taken, receiver)
            for client in clients:
                newer[client] = newest
            clients = ()
        for place, client in enumerate(clients):
            when, by = self._newer.get(client) or self._older.get(client) or (0.0, receiver)
            if batch.spooled and by != receiver and when > taken + SPOOLED_SECONDS:
                found.append(place)
            elif when <= taken or by == receiver:
                self._newer[client] = taken, receiver
        if len(self._newer) >= self._clients:
            self._older, self._newer = self._newer, {}
        return found


def _clients_of(datagrams: Sequence[bytes]) -> Sequence[_Client]:
    numbers = joined(datagrams).clients()
    if numbers is None:
        return clients_of(datagrams)
    if all(numbers):
        return numbers
    return [number or _client_of(datagram) for number, datagram in zip(numbers, datagrams, strict=True)]


def _client_of(datagram: bytes) -> _Client:
    """Return what ``Joined.clients`` would, for a request in another form than the DHCP servers write."""
    client = client_of(datagram)
    if client is datagram or len(client) < _END:  # it has no DHCID, or a short one
        return client
    return int.from_bytes(client[-_END:], "big")
