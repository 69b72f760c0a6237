"""The leases of all sources together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyd2.tools.reconcile.errors import ReconcileError
from pyd2.tools.reconcile.lease import address_text, lease_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyd2.tools.reconcile.lease import Lease, LeaseSource


@dataclass
class Leases:
    """What the sources have at one time."""

    held: list[Lease] = field(default_factory=list)
    """Those that want records."""
    ended: list[Lease] = field(default_factory=list)
    """Those that wanted records, as far as the server still knows them."""
    quiet: set[bytes] = field(default_factory=set)
    """Addresses whose lease has ended lately, or at a time that is unknown."""
    counts: dict[str, int] = field(default_factory=dict)
    """How many leases each source has, held ones, with or without records."""
    by_family: Counter[int] = field(default_factory=Counter)
    """The same, by the length of the address."""
    faults: list[str] = field(default_factory=list)


def gather(sources: Sequence[LeaseSource], now: float, lately: float) -> Leases:
    """Read all sources. ``now`` and ``lately`` are seconds since the epoch.

    Raises ReconcileError: without all leases nothing can be said.
    """
    leases = Leases()
    owners: dict[bytes, LeaseSource] = {}
    for source in sources:
        count = 0
        for row in source.read():
            is_held = row.held(now)
            count += is_held
            if is_held and owners.setdefault(row.address, source) is not source:
                raise ReconcileError(f"{address_text(row.address)} is leased by both {source} and "
                                     f"{owners[row.address]}: compare these servers one by one")
            if not is_held and row.expires > lately:
                leases.quiet.add(row.address)
            if not row.in_dns:
                continue
            try:
                lease = lease_of(row)
            except ValueError as error:
                leases.faults.append(f"{source}: lease {address_text(row.address)}: {error}")
                continue
            (leases.held if is_held else leases.ended).append(lease)
        leases.counts[str(source)] = count
        leases.by_family[4 if source.family == 4 else 16] += count
        leases.faults += source.faults
    return leases
