"""Choosing the server that a transaction continues with, and its key: the ``select_key`` hook point.

See contract, section 7.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from pyd2.update.drive.library_key import SelectedKeys

if TYPE_CHECKING:
    from pyd2.config.model import DnsServer
    from pyd2.counters import Counters
    from pyd2.dns.tsig import SigningKey
    from pyd2.packets.layer import PacketLayer
    from pyd2.update.model.plan import Server
    from pyd2.update.model.transaction import Transaction


class Selection(NamedTuple):
    """What the ``select_key`` callouts decided about a server."""

    key: SigningKey | None
    """The key to sign with; None: unsigned."""
    skip: bool = False
    """Whether the next server is to be tried instead."""


SelectKey: TypeAlias = Callable[["DnsServer", "SigningKey | None"], Selection]
"""The ``select_key`` hook point: is given a server and the key in force."""


class Selector:
    """Chooses servers and keys."""

    def __init__(self, counters: Counters, packets: PacketLayer) -> None:
        self._counters = counters
        self.select_key: SelectKey | None = None
        """None: no library has callouts there, and each server's key is the configured one."""
        self._selected_keys = SelectedKeys(packets)

    def configure(self, select_key: SelectKey | None) -> None:
        """Have another ``select_key`` hook point called, or none, and forget the keys that were selected."""
        self.select_key = select_key
        self._selected_keys.clear()

    def use(self, transaction: Transaction, server: Server) -> None:
        """Set the server that a transaction continues with, and its configured key."""
        transaction.server = server
        transaction.key = server.key
        transaction.key_counters = server.key_counters
        transaction.routes = server.routes

    def use_selected(
        self, transaction: Transaction, server: Server, selected: SigningKey | None, wall: float
    ) -> None:
        """Set the server that a transaction continues with, and the key that libraries have selected."""
        self.use(transaction, server)
        if selected is not server.offered_key:
            library_key = self._selected_keys.of(selected)
            key = transaction.key = library_key.key
            transaction.key_counters = (
                None if key is None else self._counters.library_key(key.name, wall)
            )
            transaction.routes = library_key.routes(server)
