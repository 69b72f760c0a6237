"""Keys that hook libraries choose, prepared once for all updates that they sign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.dns.tsig import ContextKey, is_shared_secret

if TYPE_CHECKING:
    from pyd2.dns.tsig import SigningContext, SigningKey
    from pyd2.packets.layer import PacketLayer
    from pyd2.update.model.kinds import Step
    from pyd2.update.model.plan import Server
    from pyd2.update.model.route import Route

MAX_KEPT: Final = 256
"""Keys that are kept prepared: a library that makes one for each update takes no more memory."""


class LibraryKey:
    """A key that signs in a library's own way: on the hook thread only. A ``SigningKey``."""

    __slots__ = ("_given", "algorithm", "name")

    def __init__(self, given: SigningKey) -> None:
        self._given = given
        self.name: Final = given.name
        self.algorithm: Final = given.algorithm

    def create_context(self) -> SigningContext:
        """Return the library's context of one message."""
        return self._given.create_context()


class SelectedKey:
    """A key that a library has chosen, or that it wants none."""

    __slots__ = ("_given", "_routes", "key")

    def __init__(self, given: SigningKey | None, packets: PacketLayer) -> None:
        self._given = given  # while it lives, no other key has its identity
        self.key: SigningKey | None = None
        """What signs."""
        if given is not None and is_shared_secret(given):
            self.key = packets.prepare_key(given)
        elif given is not None:
            self.key = given if isinstance(given, ContextKey) and given.here else LibraryKey(given)
        self._routes: dict[Server, dict[Step, Route]] = {}

    def routes(self, server: Server) -> dict[Step, Route]:
        """Return how updates that it signs go to a server, as ``Server.routes``."""
        found = self._routes.get(server)
        if found is None:
            found = self._routes[server] = {}
        return found


class SelectedKeys:
    """Those of a configuration, by identity: libraries mostly choose the same ones again."""

    def __init__(self, packets: PacketLayer) -> None:
        self._packets = packets
        self._kept: dict[int, SelectedKey] = {}

    def clear(self) -> None:
        """Forget all keys; updates under way keep those that they have."""
        self._kept.clear()

    def of(self, key: SigningKey | None) -> SelectedKey:
        """Return what was prepared for a key, prepared now if it is new."""
        found = self._kept.get(id(key))
        if found is None:
            found = SelectedKey(key, self._packets)
            if isinstance(found.key, LibraryKey):
                return found  # it signs in its own way, and ends with its library's last use of it
            self._kept[id(key)] = found
            if len(self._kept) > MAX_KEPT:
                del self._kept[next(iter(self._kept))]
        return found
