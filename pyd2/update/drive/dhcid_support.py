"""Finds out whether a DNS server can hold DHCID records: Samba cannot.

Theory of operation
-------------------
Such a server refuses each update with a DHCID: by NOTIMP, by SERVFAIL, or by a reply whose signature is a
copy of the update's (``BadReply.ECHO``). SERVFAIL also comes from a server in trouble, whose updates are
worth a retry. So where there are retries, after ``DOUBTS`` such failures at a server the last transaction
asks, before it fails, by two updates in turn: each adds a record to a name that nothing has, and removes it
again. A server that carries out each one with an address, but fails each one with a DHCID between them, takes
no DHCIDs. (One whose trouble begins, ends, or comes and goes meanwhile fails one with an address, too, or
takes a DHCID.) That is logged, and what fails there in this way is not tried again. After ``AGAIN`` seconds
the next such failure asks again.

An update whose prerequisite cannot hold would ask more gently, but BIND with Samba's module fails only when
it is to add a DHCID. PowerDNS removes before it adds, so after an update that was carried out, perhaps an
earlier one whose answer was lost, the name is cleared. Samba keeps a tombstone of the name, so it is the same
one each time.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from pyd2.dns.constants import Rcode, RRType
from pyd2.errors import BadReply
from pyd2.update.model.faults import Fault
from pyd2.update.model.kinds import Step
from pyd2.update.model.records import (
    ADD_ADDRESS,
    ADD_DHCID,
    DELETE_ADDRESSES,
    DELETE_ALL,
    DELETE_DHCID,
    NAME_NOT_IN_USE,
)
from pyd2.update.server.doubts import Asking, Doubts

if TYPE_CHECKING:
    from pyd2.messages import Log
    from pyd2.update.inflight.contract import Tries
    from pyd2.update.model.transaction import Transaction

DOUBTS: Final = 5
"""Failures that may be for want of DHCIDs, after which a server is asked."""
REFUSALS: Final = 3
"""DHCIDs that it must fail while it takes addresses before and after each of them."""
AGAIN: Final = 60.0
"""Seconds until it may be asked again."""
_REFUSED: Final = frozenset({int(Rcode.SERVFAIL), int(Rcode.NOTIMP), BadReply.ECHO})
"""How a server fails that takes no DHCIDs."""
_MAY_BE_THERE: Final = frozenset({int(Rcode.NOERROR), int(Rcode.YXDOMAIN)})
"""The outcomes after which a record may be at the name that a server is asked about."""


@cache
def _probes(message: str) -> tuple[Step, Step, Step, Step]:
    """Return the steps that ask, in the direction of the steps whose messages begin so."""
    return (
        Step("PROBING_WITHOUT_DHCID", message, "Probe without a DHCID", prerequisites=(NAME_NOT_IN_USE,),
             updates=(ADD_ADDRESS, DELETE_ADDRESSES), on={}, probes=True),
        Step("CLEARING_BETWEEN_PROBES", message, "Clear what a probe has left", updates=(DELETE_ALL,), on={},
             probes=True),
        Step("PROBING_WITH_DHCID", message, "Probe with a DHCID", prerequisites=(NAME_NOT_IN_USE,),
             updates=(ADD_DHCID, DELETE_DHCID), on={}, probes=True),
        Step("CLEARING_PROBE", message, "Clear what a probe has left", updates=(DELETE_ALL,), on={},
             probes=True),
    )


@cache
def _has_dhcid(step: Step) -> bool:
    template = step.template
    return any(record.type == RRType.DHCID for record in (*template.prerequisites, *template.updates))


class DhcidSupport:
    """Asks the servers. ``now`` is monotonic seconds."""

    def __init__(self, tries: Tries, log: Log) -> None:
        self._tries = tries
        self._log = log

    def refuses(self, transaction: Transaction, failed: int | BadReply) -> bool:
        """Whether the step of a transaction has failed because its server is known to take no DHCIDs."""
        doubts = transaction.server.doubts
        return (
            doubts is not None and doubts.takes_none and failed in _REFUSED and _has_dhcid(transaction.step)
        )

    def doubt(self, transaction: Transaction, failed: int | BadReply, now: float) -> Step | None:
        """Note how a transaction has failed in its step; return the one that asks; None: it need not ask."""
        step = transaction.step
        # Without retries nothing would come of it, and Kea asks nothing.
        if failed not in _REFUSED or transaction.retry is None or not _has_dhcid(step):
            return None
        zone = transaction.domain.zone
        assert zone is not None
        server = transaction.server
        doubts = server.doubts
        if doubts is None:
            doubts = server.doubts = Doubts()
        doubts.count += 1
        if now < doubts.ask_at or (doubts.count < DOUBTS and not doubts.takes_none):
            return None
        if "%" in transaction.ncr.address_text:  # no record can have this address
            return None
        doubts.count = 0
        doubts.ask_at = now + AGAIN
        if not doubts.owner:
            drawn = self._tries.draw_place() << 32 | self._tries.draw_place()
            label = f"pyd2-probe-{drawn:016x}".encode()
            doubts.owner = bytes([len(label)]) + label + zone.wire
        transaction.asking = Asking(step, failed)
        return _probes(step.message)[0]

    def probed(self, transaction: Transaction, outcome: int | BadReply) -> Step | None:
        """Use what has come of a step that asks; return the next one; None: there is none."""
        asking = transaction.asking
        step = transaction.step
        without, clear_between, with_dhcid, clear = _probes(asking.step.message)
        if step is clear_between:
            return with_dhcid
        if step is with_dhcid and outcome in _REFUSED:
            asking.refusals += 1
            return without
        if step is without and outcome == Rcode.NOERROR and asking.refusals < REFUSALS:
            return clear_between
        if step is not clear:
            self._note(transaction, takes_none=step is without and outcome == Rcode.NOERROR)
            if outcome in _MAY_BE_THERE:
                return clear
        transaction.step = asking.step
        return None

    def _note(self, transaction: Transaction, *, takes_none: bool) -> None:
        """Note the answer, and log it if it is another one than before."""
        doubts = transaction.server.doubts
        assert doubts is not None
        if takes_none == doubts.takes_none:
            return
        doubts.takes_none = takes_none
        name, server = transaction.domain.name, transaction.server.text
        if takes_none:
            from pyd2.update.model.reasons import reason

            self._log.emit("PYD2_SERVER_TAKES_NO_DHCID", server, name, reason(Fault.NO_DHCID).mend)
        else:
            self._log.emit("PYD2_SERVER_TAKES_DHCID", server, name)
