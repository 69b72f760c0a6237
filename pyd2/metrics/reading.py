"""What metrics and the web page read of the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pyd2.config.model import Config
    from pyd2.counters import Counters, Histogram
    from pyd2.update.observing.recent import Failures
    from pyd2.update.observing.requests import RequestObserver
    from pyd2.update.server.lane import Lane


class EngineReading(NamedTuple):
    """The engine and the durable queue at one moment."""

    queued: int
    active: int
    retries: int
    oldest_age: float
    """Seconds that the oldest retry has waited."""
    queue: Mapping[str, str | int] | None
    """The queue's part of the status; None: there is no durable queue."""
    queue_usable: bool
    cluster: Mapping[str, Any] | None
    """The same of a shared queue; None: there is none."""
    lanes: tuple[Lane, ...]
    observer: RequestObserver | None


class ConfigReading(NamedTuple):
    """The configuration in force."""

    loaded_at: float
    """Seconds since the epoch."""
    successful: bool
    """Whether the last one that was to be applied is in force."""
    config: Config


class GssReading(Protocol):
    """GSS-TSIG with one DNS server."""

    @property
    def dns_server(self) -> str:
        """Its address and port."""

    @property
    def expires(self) -> float:
        """When its newest usable key expires, in seconds since the epoch; 0: there is none."""

    @property
    def exchanges(self) -> Mapping[str, int]:
        """How many agreements on a key have ended, by result."""


class Facts(NamedTuple):
    """Where the numbers come from. All is called in the main thread."""

    counters: Counters
    consistently: Callable[[Callable[[], tuple[int, ...]]], tuple[int, ...]]
    """Runs a function while no thread counts."""
    engine: Callable[[], EngineReading]
    config: Callable[[], ConfigReading]
    lines_lost: Callable[[], int]
    history: Callable[[], tuple[int, str]]
    """Returns how many requests it has lost, and why it cannot be written; empty: it can."""
    commit_seconds: Histogram
    gss: Callable[[], Iterable[GssReading]]
    """pyd2's own GSS-TSIG; nothing without it."""
    build: tuple[tuple[str, str], ...]
    """The labels of ``pyd2_build_info``."""
    uptime: Callable[[], int]
    """Returns the seconds since the start."""
    failures: Callable[[], Failures | None]
    """Returns what has failed since it was called last; None: nothing shows it."""
