"""The statistics of Kea's library: of all servers together, and of each."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.hooks.interface import Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

KEY_CREATED: Final = "gss-tsig-key-created"
NAMES: Final = (KEY_CREATED, "tkey-sent", "tkey-success", "tkey-timeout", "tkey-error")
_OF_KEYS: Final = ("update-sent", "update-success", "update-timeout", "update-error")


ENDS: Final = {"success": "tkey-success", "timeout": "tkey-timeout", "error": "tkey-error"}
"""How an agreement on a key can end, with what is counted then."""


class Reading(NamedTuple):
    """GSS-TSIG with one DNS server, as metrics show it."""

    dns_server: str
    """Its address and port."""
    expires: float
    """When its newest usable key expires, in seconds since the epoch; 0: there is none."""
    exchanges: dict[str, int]
    """How many agreements have ended, by result."""


class GssStatistics:
    """Counts, from any thread; a provider of ``pyd2.observe.statistics``."""

    def __init__(self, server_ids: Iterable[str], clock: Callable[[], float]) -> None:
        """``clock`` returns seconds since the epoch."""
        self._clock = clock
        self._lock = Lock()
        self.servers: Callable[[], Iterable[tuple[str, str, float]]] = lambda: ()
        """Returns the ID, address and port, and the ``expires`` of each server."""
        now = clock()
        self._samples: dict[str, tuple[int, float]] = dict.fromkeys(NAMES, (0, now))
        """Values, and the times of their last changes."""
        for server_id in server_ids:
            self._samples.update(dict.fromkeys((_of_server(server_id, name) for name in NAMES), (0, now)))

    def count(self, name: str, server_id: str) -> None:
        """Add one to a statistic, of all servers and of one."""
        now = self._clock()
        with self._lock:
            for full in (name, _of_server(server_id, name)):
                self._samples[full] = self._samples[full][0] + 1, now

    def add_key(self, name: str) -> None:
        """Show the statistics of a key, with zero until the server counts something of it."""
        now = self._clock()
        with self._lock:
            self._samples.update(dict.fromkeys(_of_key(name), (0, now)))

    def remove_key(self, name: str) -> None:
        """Show them no more."""
        with self._lock:
            for full in _of_key(name):
                self._samples.pop(full, None)

    def samples(self) -> list[Sample]:
        """Return all."""
        with self._lock:
            return [Sample(name, value, changed) for name, (value, changed) in self._samples.items()]

    def readings(self) -> list[Reading]:
        """Return what metrics show, for each server."""
        with self._lock:
            return [
                Reading(place, expires, {end: self._samples[_of_server(server_id, name)][0]
                                         for end, name in ENDS.items()})
                for server_id, place, expires in self.servers()
            ]

    def reset(self, name: str | None) -> bool:
        """Set one, or all if ``name`` is None, to zero; False if there is none of that name."""
        now = self._clock()
        with self._lock:
            names = [*self._samples] if name is None else [name] if name in self._samples else []
            self._samples.update(dict.fromkeys(names, (0, now)))
        return bool(names)


def _of_server(server_id: str, name: str) -> str:
    return f"server[{server_id}].{name}"


def _of_key(name: str) -> list[str]:
    return [f"key[{name}].{one}" for one in _OF_KEYS]
