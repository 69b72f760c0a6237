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
    from pyd2.counters import Counters, KeyCounters
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

    @property
    def logs_each(self) -> bool:
        """Whether it is asked for each update, because it logs that; else once in a call of the engine."""
        return False

    @abstractmethod
    def __call__(self, server: DnsServer, key: SigningKey | None) -> Selection:
        """Return the key for a server, for which ``key`` is configured."""


class ChosenKey(NamedTuple):
    """A key for a server, prepared for all updates that it signs there."""

    key: SigningKey | None
    """None: unsigned."""
    counters: KeyCounters | None
    routes: dict[Step, Route]
    """How the updates of each step go to the server; those that were not needed yet are missing."""


class Selector:
    """Chooses servers and keys."""

    def __init__(self, counters: Counters, packets: PacketLayer) -> None:
        self._counters = counters
        self.select_key: SelectKey | None = None
        """What hook jobs call; None: no library has callouts there."""
        self.key_source: KeySource | None = None
        """What chooses keys in their stead."""
        self.chosen: dict[Server, ChosenKey | None] = {}
        """What ``key_source`` has chosen in this call of the engine; None: the server is to be skipped."""
        self.as_configured = True
        """Whether nothing chooses: each server's key is the configured one."""
        self._selected_keys = SelectedKeys(packets)

    def configure(self, select_key: SelectKey | None) -> None:
        """Have keys chosen by another ``select_key``, or none, and forget those that were selected."""
        self.as_configured = select_key is None
        own = select_key if isinstance(select_key, KeySource) else None
        self.key_source = own
        self.select_key = None if own is not None else select_key
        self.chosen.clear()
        self._selected_keys.clear()

    def use(self, transaction: Transaction, server: Server, wall: float) -> bool:
        """Set the server that a transaction continues with, and its key; False: it is to be skipped."""
        if self.key_source is not None:
            chosen = self.choose(server, wall)
            if chosen is None:
                return False
            transaction.server = server
            transaction.key, transaction.key_counters, transaction.routes = chosen
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
        if selected is server.offered_key:
            self.use_configured(transaction, server)
            return
        library_key = self._selected_keys.of(selected)
        transaction.server = server
        transaction.key = key = library_key.key
        transaction.key_counters = None if key is None else self._counters.library_key(key.name, wall)
        transaction.routes = library_key.routes(server)

    def use_key(
        self, transaction: Transaction, server: Server, key: SigningKey | None, wall: float
    ) -> None:
        """Set the server that a transaction continues with, and the key that was chosen for it before."""
        chosen = None if self.key_source is None else self.choose(server, wall)
        if chosen is None or chosen.key is not key:  # another one is chosen meanwhile
            chosen = self._prepare(server, key, wall)
        transaction.server = server
        transaction.key, transaction.key_counters, transaction.routes = chosen

    def choose(self, server: Server, wall: float) -> ChosenKey | None:
        """Return the key that ``key_source`` has for a server; None: the server is to be skipped."""
        if server in self.chosen:
            return self.chosen[server]
        assert self.key_source is not None
        selection = self.key_source(server.config, server.offered_key)
        chosen = None if selection.skip else self._prepare(server, selection.key, wall)
        if not self.key_source.logs_each:
            self.chosen[server] = chosen
        return chosen

    def _prepare(self, server: Server, selected: SigningKey | None, wall: float) -> ChosenKey:
        """Return a key that was selected for a server, prepared unless it was."""
        if selected is server.offered_key:
            return ChosenKey(server.key, server.key_counters, server.routes)
        library_key = self._selected_keys.of(selected)
        key = library_key.key
        counters = None if key is None else self._counters.library_key(key.name, wall)
        return ChosenKey(key, counters, library_key.routes(server))
