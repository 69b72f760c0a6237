"""What happens at a site in virtual time, in its order."""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.month.node import Node

_Event = tuple[float, int, "Callable[[], None]"]


class Timeline:
    """Two heaps: of what nodes and servers do, and of faults, whose times are known long before."""

    def __init__(self) -> None:
        self.now = 0.0
        self._numbers = count()
        self._heap: list[_Event] = []
        self._faults: list[_Event] = []

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Let something happen."""
        heapq.heappush(self._heap, (when, next(self._numbers), what))

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Let a fault happen, or be over: to that time what is quiet is skipped."""
        heapq.heappush(self._faults, (self.now + seconds, next(self._numbers), what))

    def for_node(self, node: Node, seconds: float, what: Callable[[], None]) -> None:
        """Let something happen in a node's process, when it does not stand still."""
        life = node.life

        def happen() -> None:
            if node.life == life:
                if node.frozen:
                    node.deferred.append(happen)
                else:
                    what()

        self.at(self.now + seconds, happen)

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        self.later(seconds - self.now, lambda: None)
        while self.now < seconds:
            next_is_fault = bool(self._faults) and self._faults[0][0] <= self._heap[0][0]
            when, _, what = heapq.heappop(self._faults if next_is_fault else self._heap)
            self.now = max(self.now, when)
            what()
