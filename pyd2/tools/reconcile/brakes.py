"""What must hold before differences count, and before anything is changed.

An empty or half-read list of leases makes every name look stale. Each brake ends the tool with exit status 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.tools.reconcile.difference import REMOVED, Kind
from pyd2.tools.reconcile.errors import ReconcileError
from pyd2.tools.reconcile.records import ADDRESS_TYPES, type_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pyd2.tools.reconcile.daemon import Daemon
    from pyd2.tools.reconcile.dhcp_config import DhcpConfig, Subnets
    from pyd2.tools.reconcile.gather import Leases
    from pyd2.tools.reconcile.records import Records


def check_number(leases: Leases, records: Records, families: Iterable[int], subnets: Subnets,
                 confirmed: int | None) -> None:
    """Stop where the leases of a family are too few for the names that could look stale.

    Raises ReconcileError. ``confirmed`` is what the operator says the number of leases is. ``families`` are
    lengths of addresses.
    """
    held = sum(leases.counts.values())
    if held == confirmed:
        return
    repeat = f"if that is right, repeat the number: --yes-so-few {held}"
    for source, count in leases.counts.items():
        if count == 0:
            raise ReconcileError(f"{source} has no lease that is held, so every name would look stale; "
                                 f"{repeat}")
    for length in sorted(families):
        rdtype = ADDRESS_TYPES[length]
        names = sum(any(map(subnets.find, node.data(rdtype))) for _, node in records.guarded())
        count = leases.by_family[length]
        if 2 * count < names:
            raise ReconcileError(f"{count} leases are fewer than half of the {names} names with a DHCID and "
                                 f"{type_text(rdtype)} records in the subnets; {repeat}")


def check_repair(kinds: Collection[Kind], leases: Leases, configs: Iterable[DhcpConfig]) -> None:
    """Stop where removals could go by half a list. Raises ReconcileError."""
    if not REMOVED & set(kinds):
        return
    if leases.faults:
        raise ReconcileError(f"{len(leases.faults)} leases could not be read, the first: {leases.faults[0]}; "
                             "nothing is removed before they can be")
    if any(config.hosts_elsewhere for config in configs):
        raise ReconcileError("the DHCP server has reservations in a hosts database, which reconcile does not "
                             "read; nothing is removed, as it may be reserved")


def check_idle(daemon: Daemon) -> None:
    """Stop while the daemon has work: what differs may be on its way. Raises ReconcileError."""
    waiting = daemon.waiting()
    if waiting:
        raise ReconcileError(f"the daemon is at work ({waiting} requests or updates): what differs may be on "
                             "its way; try again when it is idle")
