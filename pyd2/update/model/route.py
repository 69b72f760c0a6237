"""How the updates of a step go to a server."""

from __future__ import annotations

from typing import Final


class Route:
    """A step at a server, prepared to be sent by the batch."""

    __slots__ = ("address", "kept")

    def __init__(self, address: int = 0, *kept: object) -> None:
        self.address = address
        """Where C finds it; 0: such updates are not sent by the batch."""
        self.kept = kept
        """What must live as long as the route."""


ALONE: Final = Route()
"""The route of updates that are made one by one."""
