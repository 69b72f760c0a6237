"""Questions for the DHCIDs of a name, where a policy wants to know whose it is (``model/policies.py``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from pyd2.config.policy import PolicySwitches
from pyd2.dns.constants import Rcode
from pyd2.update.model.holdings import Holding, Holds, holding
from pyd2.update.model.kinds import ADOPTING, DONE
from pyd2.update.model.transaction import Asked

if TYPE_CHECKING:
    from pyd2.counters import Counters
    from pyd2.dns.question import DhcidAnswer
    from pyd2.messages import Log
    from pyd2.update.model.transaction import Transaction

ANSWERS = frozenset({int(Rcode.NOERROR), int(Rcode.NXDOMAIN)})
"""The RCODEs of answers that say whose a name is."""


WhatDiffers: TypeAlias = Callable[[PolicySwitches, bytes, str, tuple[bytes, bytes]], str]
"""Says how two clients with one name are not one host; see ``pyd2.net.lease_servers``. It may wait."""


class Questions:
    """Says what the answers lead to. ``wall`` is seconds since the epoch."""

    def __init__(self, counters: Counters, log: Log) -> None:
        self._counters = counters
        self._log = log

    def leads_to(self, transaction: Transaction, answer: DhcidAnswer, wall: float) -> str | None:
        """Return the step that an answer leads to, or DONE; None: the name is not to be had.

        The RCODE is one of ANSWERS.
        """
        self._counters.names_asked.add(wall)
        ncr = transaction.ncr
        guards = frozenset(answer.dhcids)
        found = Holding(Holds.FREE) if answer.name_is_free else holding(guards, ncr.dhcid, ncr.address)
        server = transaction.server
        before = getattr(transaction, "asked", None)
        transaction.asked = Asked(server, answer.rcode, guards, found)
        asks = transaction.step.asks
        assert asks is not None
        to = asks.get(found.holds)
        if "PYD2_NAME_HOLDS" in self._log.on:
            shown = ", ".join(sorted(guard.hex().upper() for guard in guards)) or "none"
            self._log.emit(
                "PYD2_NAME_HOLDS", ncr.request_id, server.text, ncr.fqdn, shown, found.holds.value
            )
        if to is not DONE and found.holds is not Holds.FREE and transaction.asked == before:
            # Not its DHCIDs are in the way, since the update named them: an address or an alias is.
            return None
        return to

    def note(self, transaction: Transaction, wall: float) -> None:
        """Log and count what a policy has done for a transaction in its present step."""
        ncr = transaction.ncr
        address = ncr.address_text
        if transaction.step.name == ADOPTING:
            self._counters.names_adopted.add(wall)
            self._log.emit("PYD2_NAME_ADOPTED", ncr.request_id, ncr.fqdn, address)
        else:
            self._counters.names_joined.add(wall)
            other = transaction.asked.holding.other.hex().upper()
            self._log.emit("PYD2_NAME_JOINED", ncr.request_id, ncr.fqdn, other, address)


def clients_of(transaction: Transaction) -> tuple[bytes, bytes]:
    """Return the DHCIDs of the clients that are to share a name: that of DHCPv4, and that of DHCPv6."""
    own, other = transaction.ncr.dhcid, transaction.asked.holding.other
    return (own, other) if len(transaction.ncr.address) == 4 else (other, own)


def what_was_found(transaction: Transaction) -> str:
    """Return what a question has shown in the way of a transaction, for its reason; empty: none was asked."""
    asked = getattr(transaction, "asked", None)
    if asked is None or asked.server is not transaction.server:
        return ""
    guards = ", ".join(sorted(guard.hex().upper() for guard in asked.guards))
    return f": {asked.holding.holds.value}{f' ({guards})' if guards else ''}"
