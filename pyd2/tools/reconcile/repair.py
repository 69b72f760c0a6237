"""Mends differences, one by one: each is checked again when it is its turn, and noted in the undo file.

Nothing is changed behind the daemon's back: records are added and removed by requests to it, so keys, order
for each client, retries and the log apply.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.dns.constants import RRType
from pyd2.dns.names import lower, reverse_name_wire
from pyd2.ncr import ConflictResolutionMode
from pyd2.tools.reconcile.difference import ADDED, REMOVED, UNLEASED, Kind
from pyd2.tools.reconcile.lease import lease_of
from pyd2.tools.reconcile.records import ADDRESS_TYPES
from pyd2.tools.reconcile.undo import Touched

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

    from pyd2.tools.reconcile.daemon import Daemon
    from pyd2.tools.reconcile.dhcp_config import Subnets
    from pyd2.tools.reconcile.difference import Difference
    from pyd2.tools.reconcile.dns_reader import DnsReader, Pace
    from pyd2.tools.reconcile.lease import Lease, LeaseSource
    from pyd2.tools.reconcile.records import Records
    from pyd2.tools.reconcile.undo import UndoFile

LEAST_REMOVALS: Final = 10
USUAL_PERCENT: Final = 5
_STAY: Final = frozenset({2, 6})
"""NS and SOA: at the top of a zone they stay when all else of the name is removed."""
_EVERY: Final = 1000
"""Requests between two notes of progress."""
_SETTLE: Final = 60.0
"""Seconds that the daemon has for what it was asked to do."""


class Removals(NamedTuple):
    """How much may be removed in one run: a number, or a part of the names with a DHCID."""

    number: int | None = None
    percent: float | None = None

    def most(self, guarded: int) -> int:
        """Return the limit where so many names have a DHCID."""
        if self.number is not None:
            return self.number
        if self.percent is not None:
            return int(guarded * self.percent / 100)
        return max(LEAST_REMOVALS, guarded * USUAL_PERCENT // 100)


class Outcome(NamedTuple):
    """What has become of the differences."""

    mended: list[Difference]
    skipped: list[tuple[Difference, str]]
    """What is no longer so, with what is so."""
    unmended: list[Difference]
    """What still differs although it was to be mended."""
    postponed: int
    """Removals beyond the limit."""


class Means(NamedTuple):
    """Where leases and records are looked up again."""

    sources: Sequence[LeaseSource]
    records: Records
    reader: DnsReader
    subnets: Subnets


class Repair:
    """One run."""

    def __init__(self, means: Means, daemon: Daemon, undo: UndoFile, pace: Pace,
                 progress: Callable[[str], None]) -> None:
        self._means, self._daemon, self._undo, self._pace = means, daemon, undo, pace
        self._progress = progress
        self._outcome = Outcome([], [], [], 0)
        self._asked: list[Difference] = []
        self._whole: set[bytes] = set()
        """Addresses of leases of which all records were asked for."""

    def run(self, differences: Iterable[Difference], kinds: Container[Kind], most_removals: int) -> Outcome:
        """Mend those of these kinds. Raises ReconcileError; what was done until then is done."""
        left, postponed = most_removals, 0
        for difference in differences:
            if difference.kind not in kinds:
                continue
            if difference.kind in REMOVED and left <= 0:
                postponed += 1
                continue
            if difference.kind in ADDED and difference.address in self._whole:
                self._asked.append(difference)  # the request for the name adds the PTR record, too
                continue
            touched = self._touched(difference)
            judged = touched[self._judged(difference)]
            changed = self._changed(difference, judged)
            if changed:
                self._outcome.skipped.append((difference, changed))
                continue
            self._pace.wait()
            self._undo.write(difference, touched.values())
            if difference.kind in REMOVED:
                left -= 1
                self._daemon.remove(difference)
            else:
                self._add(difference)
            self._asked.append(difference)
            if len(self._asked) % _EVERY == 0:
                self._progress(f"{len(self._asked)} requests sent")
        self._look_again()
        return self._outcome._replace(postponed=postponed)

    # One difference.

    def _changed(self, difference: Difference, judged: Touched) -> str:
        """Return what is not as it was found any more; empty: all is as it was."""
        lease = self._lease(difference.address)
        if difference.kind in REMOVED:
            if difference.kind in UNLEASED and lease is not None and lease.name == difference.name:
                return "there is a lease again"
        elif lease is None or difference.lease is None:
            return "the lease has ended"
        elif (lease.name, lease.dhcid) != (difference.lease.name, difference.lease.dhcid):
            return "the lease is another one"
        if difference.kind in ADDED:
            same = difference.node.same(judged.node, judged.types)
        else:
            same = difference.dhcid in judged.node.dhcids and self._is_there(difference, judged)
        return "" if same else "the records have changed"

    def _names(self, difference: Difference) -> list[bytes]:
        """Return the names in zones of the daemon that the request may change."""
        lease = difference.lease
        whole = lease if lease is not None and self._source(difference.address).resends else None
        names = []
        if difference.forward or (whole is not None and whole.forward):
            names.append(difference.name)
        if difference.reverse or (whole is not None and whole.reverse):
            names.append(lower(reverse_name_wire(difference.address)))
        return [name for name in names if self._means.records.zone_of(name) is not None]

    def _touched(self, difference: Difference) -> dict[bytes, Touched]:
        """Return what these names have now: of those to be removed all, as what is left of them goes, too."""
        whole = difference.kind in REMOVED
        return {name: self._look_up(name, difference.address, whole=whole)
                for name in self._names(difference)}

    def _look_up(self, name: bytes, address: bytes, *, whole: bool = False) -> Touched:
        """Return what a name has now, in the case that the zone transfer had; ``whole``: of all types."""
        zone = self._means.records.zone_of(name)
        assert zone is not None, "what differs is in a zone that was compared"
        known = self._means.records.at(name)
        types: tuple[int, ...] = (RRType.PTR if zone.reverse else ADDRESS_TYPES[len(address)], RRType.DHCID)
        if whole:
            others = {*known.rrsets, *self._means.reader.types_of(zone, name)} - _STAY
            types += tuple(sorted(others - {*types}))
        node = self._means.reader.look_up(zone, name, types)
        if known.rrsets:
            node.owner = known.owner
        return Touched(zone, self._means.reader.server(zone), node, types)

    def _add(self, difference: Difference) -> None:
        source = self._source(difference.address)
        if source.resends or difference.forward:
            self._whole.add(difference.address)
        if source.resends:
            source.resend(difference.address)
            return
        subnet = self._means.subnets.find(difference.address)
        mode = subnet.mode if subnet is not None else ConflictResolutionMode.CHECK_WITH_DHCID
        lifetime = difference.lease.lifetime if difference.lease is not None else 0
        ttls = subnet.ttls(lifetime) if subnet is not None else frozenset()
        self._daemon.add(difference, mode, min(ttls, default=lifetime))

    # Afterwards.

    def _look_again(self) -> None:
        """See what the requests have done; a lease that came meanwhile gets its records back."""
        if not self._asked:
            return
        self._progress("waiting for the daemon")
        self._daemon.wait_until_idle(_SETTLE)
        returned = []
        for difference in self._asked:
            lease = self._lease(difference.address) if difference.kind in UNLEASED else None
            if lease is not None and lease.name == difference.name:
                self._add(difference._replace(kind=Kind.MISSING, lease=lease, dhcid=lease.dhcid,
                                              forward=lease.forward, reverse=lease.reverse))
                returned.append(difference)
                self._outcome.skipped.append((difference, "there is a lease again: its records were added"))
        if returned:
            self._daemon.wait_until_idle(_SETTLE)
        for difference in self._asked:
            if difference not in returned:
                done = self._is_mended(difference)
                (self._outcome.mended if done else self._outcome.unmended).append(difference)

    def _is_mended(self, difference: Difference) -> bool:
        judged = self._look_up(self._judged(difference), difference.address)
        return self._is_there(difference, judged) == (difference.kind in ADDED)

    def _is_there(self, difference: Difference, judged: Touched) -> bool:
        """Whether the name has the address, or the reverse name the name."""
        if judged.zone.reverse:
            return difference.name in judged.node.targets
        return difference.address in judged.node.data(ADDRESS_TYPES[len(difference.address)])

    # What there is.

    def _judged(self, difference: Difference) -> bytes:
        """Return the name whose records differ."""
        return difference.name if difference.forward else lower(reverse_name_wire(difference.address))

    def _source(self, address: bytes) -> LeaseSource:
        """Return the source that has a lease of an address; of one family there is at least one."""
        of_family = [source for source in self._means.sources
                     if source.family == (4 if len(address) == 4 else 6)]
        if len(of_family) > 1:
            return next((source for source in of_family if source.at(address) is not None), of_family[0])
        return of_family[0]

    def _lease(self, address: bytes) -> Lease | None:
        """Return the present lease of an address, if it wants records."""
        row = self._source(address).at(address)
        if row is None or not row.held(time.time()) or not row.in_dns:
            return None
        try:
            return lease_of(row)
        except ValueError:
            return None
