"""Choosing the server that a transaction goes on with, and its key: with the ``select_key`` hook point.

See contract, section 7.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from pyd2.errors import HookError
from pyd2.update.chosen import ChosenKeys

if TYPE_CHECKING:
    from pyd2.config.model import DnsServer
    from pyd2.counters import Counters
    from pyd2.dns.tsig import SigningKey
    from pyd2.packets.layer import PacketLayer
    from pyd2.update.failover import Failover
    from pyd2.update.transaction import Transaction


class Selection(NamedTuple):
    """What the ``select_key`` callouts decided about a server."""

    key: SigningKey | None
    """The key to sign with; None: unsigned."""
    skip: bool = False
    """Whether to go on to the next server."""


SelectKey: TypeAlias = Callable[["DnsServer", "SigningKey | None"], Selection]
"""The ``select_key`` hook point: is given a server and the key in force."""


class SelectKeyError(HookError):
    """The hook point has raised something; the text is that exception's."""


class Selector:
    """Chooses servers and keys."""

    def __init__(self, failover: Failover, counters: Counters, packets: PacketLayer) -> None:
        self._failover = failover
        self._counters = counters
        self.select_key: SelectKey | None = None
        """None: no library has callouts there, and each server's key is the configured one."""
        self.chosen_keys = ChosenKeys(packets)

    def choose(self, transaction: Transaction, now: float, wall: float) -> bool:
        """Let a transaction go on with the domain's next server; False: there is none.

        Raises SelectKeyError when the hook point raises anything.
        """
        while (server := self._failover.next_server(transaction, now)) is not None:
            key: SigningKey | None = server.key
            counters = server.key_counters
            routes = server.routes
            if self.select_key is not None:
                try:
                    selection = self.select_key(server.config, key)
                except Exception as error:  # whatever a library does, the engine goes on
                    raise SelectKeyError(str(error)) from error
                if selection.skip:
                    continue
                if selection.key is not key:
                    chosen = self.chosen_keys.of(selection.key)
                    key = chosen.key
                    counters = None if key is None else self._counters.library_key(key.name, wall)
                    routes = chosen.routes(server)
            transaction.server = server
            transaction.key = key
            transaction.key_counters = counters
            transaction.routes = routes
            return True
        return False
