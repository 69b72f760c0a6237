"""Says in the log why requests fail and how to mend it: once a minute for each zone and cause."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from pyd2.counters import MinuteReport
from pyd2.update.model.reasons import reason

if TYPE_CHECKING:
    from pyd2.messages import Log
    from pyd2.update.model.transaction import Transaction

MOST_CAUSES: Final = 1000
"""Zones and causes that are remembered; the one that was longest without a failure is forgotten first."""


class FailureLog:
    """Counts failures by zone, server and what has failed."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._reports: OrderedDict[tuple[str, str, str], MinuteReport] = OrderedDict()

    def add(self, name: str, zone: str, transaction: Transaction | None, wall: float) -> None:
        """Note a failure, of now; ``name`` is that of the table, ``wall`` is seconds since the epoch."""
        server = getattr(transaction, "server", None)
        cause = zone, "" if server is None else server.text, name
        report = self._reports.pop(cause, None) or MinuteReport()
        self._reports[cause] = report
        if len(self._reports) > MOST_CAUSES:
            self._reports.popitem(last=False)
        events = report.add(wall)
        if not events:
            return
        kind = None if transaction is None else transaction.kind
        why, mend = reason(name, kind, getattr(transaction, "step", None))
        where = f"zone {zone}" if zone else "no zone"
        if server is not None:
            where = f"{where}, DNS server {server.text}"
        self._log.emit("PYD2_REQUESTS_FAILED", where, name, events, why, mend)
