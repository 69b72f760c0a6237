"""What status-get shows of the engine when a switch is on that goes beyond Kea."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.update.server.lane import BatchCounts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyd2.counters import Counters, Tally
    from pyd2.data.element import Plain
    from pyd2.update.server.lane import Lane


def requests_status(tally: Tally, queued: int, active: int) -> dict[str, Plain]:
    """Return what has become of all requests: ``received`` is the sum of the others."""
    return {
        "received": tally.received, "done": tally.done, "failed": tally.failed, "unmatched": tally.unmatched,
        "expired": tally.expired, "superseded": tally.superseded, "lost": tally.lost, "queued": queued,
        "active": active,
    }


def policies_status(counters: Counters) -> dict[str, Plain]:
    """Return what policies have done since the start."""
    return {
        "asked": counters.names_asked.value, "joined": counters.names_joined.value,
        "adopted": counters.names_adopted.value, "kept": counters.removals_kept.value,
    }


def servers_status(lanes: Iterable[Lane], wall: float) -> list[Plain]:
    """Return the status of each DNS server; ``wall`` is seconds since the epoch."""
    return [_server_status(lane, wall) for lane in lanes]


def _server_status(lane: Lane, wall: float) -> dict[str, Plain]:
    breaker = lane.breaker
    status: dict[str, Plain] = {
        "address": lane.host, "port": lane.port,
        "state": "down" if breaker is not None and breaker.down else "up",
        "in-flight": lane.window.in_flight, "waiting": len(lane.ready) + len(lane.waiting) + lane.held,
    }
    if breaker is not None and breaker.down:
        status["down-for"] = max(0, int(wall - breaker.since))
    if lane.batch > 1:
        status["batches"] = batches_status(lane)
    return status


def batches_status(lane: Lane) -> dict[str, Plain]:
    """Return what has been sent in batches to a DNS server that gets some, since the start."""
    counts = lane.batched or BatchCounts()
    return {
        "most": lane.batch, "sent": counts.batches, "updates": counts.updates, "questions": counts.questions,
    }
