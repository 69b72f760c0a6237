"""How the updates of a step go to a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pyd2.dns.tsig import SigningKey


class Route:
    """A step at a server, prepared to be sent by the batch."""

    __slots__ = ("address", "kept", "key", "then")

    def __init__(self, address: int = 0, key: SigningKey | None = None, *kept: object) -> None:
        self.address = address
        """Where C finds it; 0: such updates are not sent by the batch."""
        self.key = key
        """What signs them."""
        self.then: dict[object, Route] = {}
        """Of a forward step: by the Domain of the reverse change, how that begins with the configured key. No
        two kinds with the same forward step begin the reverse direction with different ones.
        """
        self.kept = kept
        """What else must live as long as the route."""


ALONE: Final = Route()
"""The route of updates that are made one by one."""
