"""Requests of a file that could be read only when others had been carried out: which of them still go on."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final

from pyd2.errors import NcrError
from pyd2.ncr import decode
from pyd2.queue.interface import DeadLetter, Entries, Entry

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_CLIENTS: Final = 100_000
"""Clients that are remembered; from then on no request of the file goes on."""

_DHCID: Final = re.compile(rb'"dhcid"\s*:\s*"((?:[0-9A-Fa-f]{2})+)"')

REASON: Final = "the queue's file could be read only when a newer request of this client had been carried out"
REASON_UNKNOWN: Final = (
    f"the queue's file could be read only when newer requests of more than {MOST_CLIENTS} clients had been "
    "carried out, so that this client may be one of them"
)


class Newer:
    """The clients that had a request taken while the file was not read."""

    def __init__(self) -> None:
        self._clients: set[bytes] = set()
        self.kept = 0
        """Requests of the file that go on."""
        self.dead = 0

    def add(self, datagrams: Iterable[bytes]) -> None:
        """Remember the clients of requests that begin now."""
        if len(self._clients) <= MOST_CLIENTS:
            self._clients.update(map(_client, datagrams))

    def judge(self, found: Entries) -> tuple[Entries, list[DeadLetter]]:
        """Return which requests of the file go on, and the others as dead letters."""
        unknown = len(self._clients) > MOST_CLIENTS
        kept: list[Entry] = []
        dead = []
        for entry in found:
            if not self._clients or not (unknown or _client(entry.datagram) in self._clients):
                kept.append(entry)
            else:
                reason = REASON_UNKNOWN if unknown else REASON
                dead.append(DeadLetter(0, entry.taken, time.time(), reason, entry.datagram))
        self.kept += len(kept)
        self.dead += len(dead)
        return Entries.of(kept), dead


def _client(datagram: bytes) -> bytes:
    """Return a request's DHCID; of one that has none, its octets."""
    try:
        return decode(datagram).dhcid
    except NcrError:  # also for an address with a zone, which only the listener can look up
        found = _DHCID.search(datagram)
        return bytes.fromhex(found[1].decode()) if found else datagram
