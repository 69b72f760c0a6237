"""The statistics as plain counters: what the engine and the listener count (contract, section 9)."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet
    from typing import Self

MOST_LIBRARY_KEYS: Final = 256
"""Keys of hook libraries that are counted at a time: a library may make one for each update."""


REPORT_SECONDS: Final = 60.0
"""How often the log reports events of one kind about one domain or server."""


class MinuteReport:
    """Counts events of one kind, to be logged once a minute: the first at once, the others together."""

    __slots__ = ("_count", "_report_at")

    def __init__(self) -> None:
        self._count = 0
        """Events since the last report."""
        self._report_at = 0.0
        """When there may be another report, by the clock of ``add``."""

    def add(self, now: float, count: int = 1) -> int:
        """Count events; return how many to report now, or 0.

        ``now`` is in seconds, always of the same clock; a clock that goes back delays no report for longer.
        """
        self._count += count
        if self._report_at - REPORT_SECONDS <= now < self._report_at:
            return 0
        self._report_at = now + REPORT_SECONDS
        events, self._count = self._count, 0
        return events


class Counter:
    """One statistic: its value, and the wall-clock second of its last change.

    ``changed`` is seconds since the epoch, with a fraction; 0.0 until the owner sets it.
    """

    __slots__ = ("changed", "name", "value")

    def __init__(self, name: str, now: float = 0.0) -> None:
        self.name: Final = name
        self.value = 0
        self.changed = now

    def add(self, now: float, count: int = 1) -> None:
        """Count events at ``now`` (wall-clock seconds)."""
        self.value += count
        self.changed = now

    def reset(self, now: float) -> None:
        """Set the value to zero."""
        self.value = 0
        self.changed = now


class Histogram:
    """How many values fell between which bounds, and their sum.

    ``counts`` has a place for each bound and one more, for the values above the last one. A value that equals
    a bound counts below it.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds: Final = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def __iadd__(self, other: Histogram) -> Self:
        """Add what another one with the same bounds has counted."""
        self.counts = [own + more for own, more in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum
        return self


class KeyCounters:
    """The four statistics of one TSIG key, ``key[NAME.].update-*``; NAME lower case with its final dot."""

    __slots__ = ("error", "sent", "success", "timeout")

    def __init__(self, key_name: str, now: float = 0.0) -> None:
        prefix = f"key[{key_name}]."
        self.sent = Counter(prefix + "update-sent", now)
        self.success = Counter(prefix + "update-success", now)
        self.timeout = Counter(prefix + "update-timeout", now)
        self.error = Counter(prefix + "update-error", now)


class Tally:
    """The outcomes of requests; they are not shown as statistics, because Kea has none of these.

    Those received are the sum of all others and of those that are still held.
    """

    __slots__ = ("done", "expired", "failed", "lost", "received", "superseded", "unmatched")

    def __init__(self) -> None:
        self.received = 0
        self.done = 0
        self.failed = 0
        """Failed for good."""
        self.unmatched = 0
        """Dropped because no domain fits."""
        self.expired = 0
        """Given up because the lease has ended, or because a removal was tried for long enough."""
        self.superseded = 0
        """Made superfluous by a newer request while they waited to be tried again."""
        self.lost = 0
        """Lost to a full queue."""


class Counters:
    """All statistics of the daemon. They live as long as the process, those of keys as long as their keys."""

    def __init__(self, now: float = 0.0) -> None:
        self.ncr_received = Counter("ncr-received", now)
        self.ncr_invalid = Counter("ncr-invalid", now)
        self.ncr_error = Counter("ncr-error", now)
        self.update_sent = Counter("update-sent", now)
        self.update_signed = Counter("update-signed", now)
        self.update_unsigned = Counter("update-unsigned", now)
        self.update_success = Counter("update-success", now)
        self.update_timeout = Counter("update-timeout", now)
        self.update_error = Counter("update-error", now)
        self.queue_full = Counter("queue-mgr-queue-full", now)
        """Requests lost to a full queue: a statistic of Kea 3.0."""
        self.replies_ignored = Counter("pyd2-replies-ignored", now)
        """Datagrams of DNS servers that answer no update under way; late answers too, so that it is no
        statistic of the control channel: a server that was slow once must not change its answers.
        """
        self.replies_dropped = Counter("pyd2-replies-dropped", now)
        """Replies that the kernel dropped from a full receive buffer; shown like ``replies_ignored``."""
        self.connections_closed = Counter("pyd2-connections-closed", now)
        """TCP connections that were closed because of what the server did; shown like ``replies_ignored``."""
        self.segments_refused = Counter("pyd2-segments-refused", now)
        """Servers to which messages go one by one, as the kernel refuses to cut a long one into segments."""
        self.kernel_drops = Counter("pyd2-kernel-drops", now)
        """Requests that the kernel dropped from a full receive buffer; shown like ``replies_ignored``."""
        self.names_asked = Counter("pyd2-names-asked", now)
        """Answers to questions whose a name is, which policies ask; shown like ``replies_ignored``."""
        self.names_joined = Counter("pyd2-names-joined", now)
        """Names that clients of both families share since; shown like ``replies_ignored``."""
        self.names_adopted = Counter("pyd2-names-adopted", now)
        """Names that got their client's DHCID; shown like ``replies_ignored``."""
        self.removals_kept = Counter("pyd2-removals-kept", now)
        """Removals that were not made; shown like ``replies_ignored``."""
        self.of_kea: Final = (
            self.ncr_received,
            self.ncr_invalid,
            self.ncr_error,
            self.update_sent,
            self.update_signed,
            self.update_unsigned,
            self.update_success,
            self.update_timeout,
            self.update_error,
            self.queue_full,
        )
        """The statistics that some release of Kea has."""
        self.of_pyd2: Final = (
            self.replies_ignored, self.replies_dropped, self.connections_closed, self.segments_refused,
            self.kernel_drops, self.names_asked, self.names_joined, self.names_adopted, self.removals_kept,
        )
        """The others: shown when asked for by name, and not among all."""
        self.tally = Tally()
        self.keys: dict[str, KeyCounters] = {}
        """Those of the keys in the configuration."""
        self.library_keys: dict[str, KeyCounters] = {}
        """Those of other keys that hook libraries chose, the oldest first."""

    def key(self, key_name: str, now: float) -> KeyCounters:
        """Return the statistics of a key, made at zero when it is new (lower case, final dot)."""
        found = self.keys.get(key_name)
        if found is None:
            found = self.keys[key_name] = KeyCounters(key_name, now)
        return found

    def keep_keys(self, names: AbstractSet[str]) -> None:
        """Forget the statistics of all configured keys but these, which a new configuration has."""
        for name in self.keys.keys() - names:
            del self.keys[name]

    def library_key(self, key_name: str, now: float) -> KeyCounters:
        """The same for a key that a hook library chose, which may have the name of a configured one."""
        found = self.keys.get(key_name) or self.library_keys.get(key_name)
        if found is None:
            found = self.library_keys[key_name] = KeyCounters(key_name, now)
            if len(self.library_keys) > MOST_LIBRARY_KEYS:
                del self.library_keys[next(iter(self.library_keys))]
        return found
