"""Begins and ends the counting of replies, and reads the counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.update.server.reply_counts import REPLY_SECONDS, ReplyCounts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyd2.update.server.lane import Lane


def observe_lanes(lanes: Iterable[Lane], *, on: bool) -> None:
    """Begin to count what these servers reply, or stop it and forget the counts.

    It may be called beside the update thread: C begins when all is ready, and stops before anything ends.
    """
    for lane in lanes:
        if (lane.replies is not None) != on:
            lane.replies = ReplyCounts() if on else None
            lane.window.count_replies(REPLY_SECONDS if on else ())


def replies_of(lane: Lane) -> ReplyCounts:
    """Return all counts of a server, those of C included; zero while it is not observed."""
    found = ReplyCounts()
    if (counts := lane.replies) is not None:
        found.add(counts)
        in_c = lane.window.replies_counted()
        if in_c is not None:
            rcodes, seconds = in_c
            for rcode, count in enumerate(rcodes):
                found.rcode(rcode, count)
            found.seconds += seconds
    return found
