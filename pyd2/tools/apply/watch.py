"""Whether a daemon does worse under its new configuration than before: decided from its counters.

The statistics are Kea's. They count a reply whatever its RCODE; what pyd2 knows of the requests itself, with
retries, fail-over or a durable queue, is watched, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from pyd2.data.element import Element
    from pyd2.tools.channel.daemon import Channel

FEW: Final = 3
"""Fewer failures than these decide nothing: one update that gets no reply makes as many timeouts."""
MANY: Final = 12
"""So many end the watch at once."""
_WORSE: Final = 0.1
"""How much the share of failures may grow."""


class Counts(NamedTuple):
    """What was counted, until a moment or from one to another."""

    sent: int = 0
    success: int = 0
    """Updates that got a reply. With timeouts and errors: those that ended, which is not those sent."""
    timeouts: int = 0
    errors: int = 0
    queue_full: int = 0
    finished: int = 0
    """Requests that ended; 0 where the daemon does not say."""
    failed: int = 0
    """Of these: failed, dropped because no domain fits, or lost."""

    def since(self, earlier: Counts) -> Counts:
        """Return what was counted since then. Counters that were reset meanwhile count from their reset."""
        return Counts(*(now - then if now >= then else now for now, then in zip(self, earlier, strict=True)))

    def __str__(self) -> str:
        text = f"{self.sent} updates sent, {self.timeouts} timeouts, {self.errors} errors"
        if self.finished:
            text += f", {self.failed} of {self.finished} requests failed"
        return text


def read_counts(channel: Channel, timeout: float) -> tuple[int, Counts]:
    """Return the process ID of a daemon and its counters. Raises ChannelError."""
    statistics = channel.command("statistic-get-all", timeout=timeout)
    status = channel.command("status-get", timeout=timeout)

    def sample(name: str) -> int:
        """Return the newest value of a statistic: the first of its samples."""
        found = statistics.member(name)
        while found is not None and isinstance(found.value, list):
            found = found.value[0] if found.value else None
        return _number(found)

    extended = _of(status.member("pyd2"), "requests")
    ended = ("done", "failed", "unmatched", "expired", "superseded", "lost")
    return _number(status.member("pid")), Counts(
        sent=sample("update-sent"),
        success=sample("update-success"),
        timeouts=sample("update-timeout"),
        errors=sample("update-error"),
        queue_full=sample("queue-mgr-queue-full"),
        finished=sum(_number(_of(extended, name)) for name in ended),
        failed=sum(_number(_of(extended, name)) for name in ("failed", "unmatched", "lost")),
    )


def worse(before: Counts, after: Counts, least: int = FEW) -> str:
    """Return what got worse; empty if nothing did. ``least``: how many failures there must be."""
    bad, bad_before = after.timeouts + after.errors, before.timeouts + before.errors
    ended, ended_before = after.success + bad, before.success + bad_before
    if bad >= least and _grew(bad_before, ended_before, bad, ended):
        return (f"{bad} of {ended} updates got no reply or a wrong one: {after.timeouts} timeouts, "
                f"{after.errors} errors; before: {bad_before} of {ended_before}")
    if after.failed >= least and _grew(before.failed, before.finished, after.failed, after.finished):
        return (f"{after.failed} of {after.finished} requests failed; before: {before.failed} of "
                f"{before.finished}")
    if after.queue_full >= least > before.queue_full:
        return f"{after.queue_full} requests were lost to a full queue"
    return ""


def _grew(before: int, of_before: int, after: int, of_after: int) -> bool:
    return _share(after, of_after) > _share(before, of_before) + _WORSE


def _share(part: int, whole: int) -> float:
    return min(1.0, part / whole) if whole else 0.0


def _of(element: Element | None, name: str) -> Element | None:
    return element.value.get(name) if element is not None and isinstance(element.value, dict) else None


def _number(element: Element | None) -> int:
    return element.value if element is not None and type(element.value) is int else 0
