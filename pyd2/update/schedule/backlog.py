"""What waits for a server and is to be routed again: after a reload, and where a server has gone down.

A reload may have given it other domains. Where a server has gone down, some of what waits there could go to
another server of its domain, and would wait behind what has no other one: for as long as that takes to fail.

Each lane has its turns one after the other, and a new request waits behind the older ones of its lane.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyd2.packets.layer import Request
    from pyd2.update.model.transaction import Transaction
    from pyd2.update.schedule.queue_limit import QueueLimit
    from pyd2.update.server.lane import Lane


class Backlog:
    """Requests that have not begun, and transactions whose next update waits for a place."""

    __slots__ = ("_limit", "lanes", "transactions")

    def __init__(self, limit: QueueLimit) -> None:
        self._limit = limit
        self.lanes: OrderedDict[Lane, None] = OrderedDict()
        """Those with requests to be routed again, which hold their DHCIDs; in the order of their turns."""
        self.transactions: deque[Transaction] = deque()
        """Those whose server has gone down while their next update waited for it."""

    def __bool__(self) -> bool:
        return bool(self.lanes or self.transactions)

    def add(self, lane: Lane) -> None:
        """Add the requests that wait in a lane."""
        if lane.waiting:
            lane.backlog.appendleft(lane.waiting)
            lane.waiting = deque()
            self.lanes[lane] = None

    def add_all(self, lane: Lane) -> None:
        """Add the requests and the transactions that wait in a lane, whose server has gone down."""
        self.add(lane)
        if not lane.collecting:  # there the batcher does that
            self.transactions += lane.ready
            lane.ready.clear()

    def pop(self) -> Request:
        """Remove and return the first request of the lane whose turn it is."""
        lane, _ = self.lanes.popitem(last=False)
        queue = lane.backlog[0]
        ncr = self._limit.pop(queue)
        if not queue:
            lane.backlog.popleft()
        if lane.backlog:
            self.lanes[lane] = None
        return ncr
