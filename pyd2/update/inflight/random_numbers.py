"""Random numbers for local ports and query IDs, from the system's generator."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyd2.update.server.lane import Lane


class RandomNumbers(ABC):
    """Draws local ports and query IDs."""

    def __init__(self) -> None:
        self.random = b""
        """What has been drawn in advance, four octets for each number."""

    def _draw(self) -> int:
        return int.from_bytes(self._draw_some(1), "little")

    def _draw_some(self, count: int) -> bytes:
        """Draw numbers as C takes them."""
        size = 4 * count
        if len(self.random) < size:
            self.random += os.urandom(max(4096, size))
        drawn, self.random = self.random[:size], self.random[size:]
        return drawn

    def draw_place(self) -> int:
        """See Tries."""
        return self._draw() >> 16

    def draw_query_id(self, lane: Lane, slot: int) -> int:
        """See Tries."""
        while True:
            query_id = self._draw() & 0xFFFF
            if self.is_free(lane, slot << 16 | query_id):
                return query_id

    @abstractmethod
    def is_free(self, lane: Lane, query: int) -> bool:
        """See Tries."""
