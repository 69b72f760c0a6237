"""Choosing the server that a transaction continues with, and its key: the ``select_key`` hook point.

See contract, section 7.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from pyd2.update.drive.library_key import SelectedKeys

if TYPE_CHECKING:
    from pyd2.config.model import DnsServer
    from pyd2.counters import Counters
    from pyd2.dns.tsig import SigningKey
    from pyd2.packets.layer import PacketLayer
    from pyd2.update.model.kinds import Step
    from pyd2.update.model.plan import Server
    from pyd2.update.model.route import Route
    from pyd2.update.model.transaction import Transaction


class Selection(NamedTuple):
    """What the ``select_key`` callouts decided about a server."""

    key: SigningKey | None
    """The key to sign with; None: unsigned."""
    skip: bool = False
    """Whether the next server is to be tried instead."""


SelectKey: TypeAlias = Callable[["DnsServer", "SigningKey | None"], Selection]
"""The ``select_key`` hook point: is given a server and the key in force."""


class KeySource(ABC):
    """A ``SelectKey`` that is part of pyd2: it takes microseconds, and is called in the update thread itself.

    It still chooses, as it did, after its configuration was taken out of force.
    """

    __slots__ = ()

    @abstractmethod
    def __call__(self, server: DnsServer, key: SigningKey | None) -> Selection:
        """Return the key for a server, for which ``key`` is configured."""


class Selector:
    """Chooses servers and keys."""

    def __init__(self, counters: Counters, packets: PacketLayer) -> None:
        self._counters = counters
        self.select_key: SelectKey | None = None
        """What hook jobs call; None: no library has callouts there."""
        self.key_source: KeySource | None = None
        """What chooses keys in their stead."""
        self.as_configured = True
        """Whether nothing chooses: each server's key is the configured one."""
        self._selected_keys = SelectedKeys(packets)

    def configure(self, select_key: SelectKey | None) -> None:
        """Have keys chosen by another ``select_key``, or none, and forget those that were selected."""
        self.as_configured = select_key is None
        own = select_key if isinstance(select_key, KeySource) else None
        self.key_source = own
        self.select_key = None if own is not None else select_key
        self._selected_keys.clear()

    def use(self, transaction: Transaction, server: Server, wall: float) -> bool:
        """Set the server that a transaction continues with, and its key; False: it is to be skipped."""
        if self.key_source is not None:
            selection = self.key_source(server.config, server.offered_key)
            if selection.skip:
                return False
            self.use_selected(transaction, server, selection.key, wall)
            return True
        self.use_configured(transaction, server)
        return True

    def use_configured(self, transaction: Transaction, server: Server) -> None:
        """Set the server that a transaction continues with, and its configured key."""
        transaction.server = server
        transaction.key = server.key
        transaction.key_counters = server.key_counters
        transaction.routes = server.routes

    def use_selected(
        self, transaction: Transaction, server: Server, selected: SigningKey | None, wall: float
    ) -> None:
        """Set the server that a transaction continues with, and the key that libraries have selected."""
        self.use_configured(transaction, server)
        if selected is not server.offered_key:
            library_key = self._selected_keys.of(selected)
            key = transaction.key = library_key.key
            transaction.key_counters = (
                None if key is None else self._counters.library_key(key.name, wall)
            )
            transaction.routes = library_key.routes(server)

    def routes(self, server: Server) -> tuple[SigningKey | None, dict[Step, Route]] | None:
        """Return the key that ``key_source`` has for a server, and how updates with it go there; None: none.

        The steps that were not needed yet are missing.
        """
        assert self.key_source is not None
        selection = self.key_source(server.config, server.offered_key)
        if selection.skip:
            return None
        if selection.key is server.offered_key:
            return server.key, server.routes
        selected = self._selected_keys.of(selection.key)
        return selected.key, selected.routes(server)
