"""The daemon: whether it is idle, and requests to it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from pyd2.dns.names import name_text
from pyd2.ncr import ChangeType, ConflictResolutionMode
from pyd2.tools.reconcile.errors import ReconcileError
from pyd2.tools.reconcile.lease import address_text
from pyd2.tools.requests import encode, request

if TYPE_CHECKING:
    from pyd2.tools.reconcile.channel import Channel
    from pyd2.tools.reconcile.difference import Difference
    from pyd2.tools.requests import Sender

_ENDED: Final = ("update-success", "update-timeout", "update-error")
_LOOK: Final = 0.2
"""Seconds between two readings of the statistics."""


class Daemon:
    """A running DHCP-DDNS server."""

    def __init__(self, channel: Channel, sender: Sender) -> None:
        self._channel, self._sender = channel, sender

    def waiting(self) -> int:
        """Return how many requests wait or are under way, as far as the daemon says. Raises ReconcileError.

        ``status-get`` says it where a switch of pyd2 is on; requests that are tried again later count. Else
        the statistics do, which are Kea's: an update has been sent and has not ended, or one of the numbers
        has just changed.
        """
        own = (self._channel.command("status-get") or {}).get("pyd2")
        if isinstance(own, dict) and "requests" in own:
            return int(own["requests"]["queued"]) + int(own["requests"]["active"])
        before = self._statistics()
        time.sleep(_LOOK)
        after = self._statistics()
        under_way = after["update-sent"] - sum(after[name] for name in _ENDED)
        return max(under_way, int(before != after))

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait until nothing waits; return whether that is so. Raises ReconcileError."""
        end = time.monotonic() + seconds
        while self.waiting():
            if time.monotonic() > end:
                return False
            time.sleep(_LOOK)
        return True

    def add(self, difference: Difference, mode: ConflictResolutionMode, ttl: int) -> None:
        """Send a request to add the records of a lease. Raises ReconcileError."""
        self._send(ChangeType.ADD, difference, mode, ttl)

    def remove(self, difference: Difference) -> None:
        """Send a request to remove records, which it does only if the name still has the DHCID."""
        self._send(ChangeType.REMOVE, difference, ConflictResolutionMode.CHECK_WITH_DHCID, ttl=0)

    def _send(self, change: ChangeType, what: Difference, mode: ConflictResolutionMode, ttl: int) -> None:
        values = request(change, name_text(what.name), address_text(what.address), what.dhcid.hex().upper(),
                         forward=what.forward, reverse=what.reverse, mode=mode, ttl=ttl)
        try:
            self._sender.send(encode(values))
        except (OSError, ValueError) as error:
            raise ReconcileError(f"the request could not be sent: {error}") from None

    def _statistics(self) -> dict[str, int]:
        arguments = self._channel.command("statistic-get-all") or {}
        return {name: _newest(arguments.get(name, [])) for name in ("ncr-received", "update-sent", *_ENDED)}


def _newest(samples: list[list[int]]) -> int:
    """Return the newest value of a statistic; 0 for one that is not there."""
    return int(samples[0][0]) if samples else 0
