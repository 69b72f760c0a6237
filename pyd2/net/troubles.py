"""What goes wrong at the sockets to DNS servers: counted, and logged once a minute for each server."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from pyd2.counters import MinuteReport

if TYPE_CHECKING:
    from pyd2.counters import Counters
    from pyd2.messages import Log
    from pyd2.update.server.lane import Lane


class Troubles:
    """The troubles of all servers."""

    def __init__(self, counters: Counters, log: Log) -> None:
        self._counters = counters
        self._log = log

    def of(self, lane: Lane) -> ServerTroubles:
        """Return the troubles of one server."""
        return ServerTroubles(lane, self._counters, self._log)


class ServerTroubles:
    """The troubles of one server."""

    def __init__(self, lane: Lane, counters: Counters, log: Log) -> None:
        self._lane = lane
        self._counters = counters
        self._log = log
        self._dropped = MinuteReport()
        self._closed = MinuteReport()
        self._no_socket = MinuteReport()

    def replies_dropped(self, count: int, granted: int, wanted: int) -> None:
        """Count replies that the kernel dropped since a receive buffer was full.

        ``granted`` and ``wanted`` are its octets: what the kernel has allowed, and what was asked for.
        """
        self._counters.replies_dropped.add(time.time(), count)
        if events := self._dropped.add(time.monotonic(), count):
            advice = "lower lanes.max-in-flight for it, or give pyd2 more CPU time"
            if granted < wanted:
                advice = f"raise net.core.rmem_max to {wanted}, which pyd2 uses within 10 seconds"
            self._log.emit("PYD2_REPLIES_DROPPED", events, self._lane.text, granted, advice)

    def segments_refused(self, error: int) -> None:
        """Count a server whose messages the kernel does not cut into segments; ``error`` is the errno."""
        self._counters.segments_refused.add(time.time())
        self._log.emit("PYD2_SEGMENTS_REFUSED", self._lane.text, os.strerror(error))

    def connection_closed(self, reason: str) -> None:
        """Count a TCP connection that was closed because of what the server did."""
        self._counters.connections_closed.add(time.time())
        if events := self._closed.add(time.monotonic()):
            self._log.emit("PYD2_CONNECTION_CLOSED", self._lane.text, reason, events)

    def no_socket(self, reason: str) -> None:
        """Count a socket that could not be opened."""
        if events := self._no_socket.add(time.monotonic()):
            self._log.emit("PYD2_NO_SOCKET", self._lane.text, reason, events)
