"""What the simulation of a month assumes: how often what fails, and for how long. All times in seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

DAY: Final = 86400.0


def between(random: Random, least: float, most: float) -> float:
    """Draw a time whose magnitude is as likely small as large (its logarithm is uniform)."""
    return math.exp(random.uniform(math.log(least), math.log(most)))


@dataclass(frozen=True)
class Rates:
    """Each ``..._every`` is the mean time between two such faults of one node, server or site."""

    node_crash_every: float = 90 * DAY
    """The process or its machine ends without a farewell."""
    node_crash: tuple[float, float] = (2.0, 1800.0)
    node_gone: float = 0.02
    """The part of these whose machine is gone for good, with its disk."""
    node_restart_every: float = 30 * DAY
    """A restart in good order, such as for an update."""
    node_restart: float = 5.0
    node_freeze_every: float = 14 * DAY
    """The machine stands still: swapping, a hypervisor, a stopped process."""
    node_freeze: tuple[float, float] = (0.1, 60.0)
    clocks_too: float = 0.1
    """The part of these in which both clocks stand still too, as when a virtual machine is moved."""
    wall_put_right: tuple[float, float] = (1.0, 64.0)
    """How long after that the wall clock is put right."""
    node_cut_every: float = 60 * DAY
    """The node reaches no server of NATS, and still reaches the DNS servers."""
    node_cut: tuple[float, float] = (1.0, 1800.0)
    server_crash_every: float = 90 * DAY
    server_crash: tuple[float, float] = (5.0, 7200.0)
    server_restart_every: float = 30 * DAY
    """In good order, by lame duck mode."""
    server_restart: float = 10.0
    server_cut_every: float = 60 * DAY
    """A server reaches nothing."""
    server_cut: tuple[float, float] = (1.0, 600.0)
    quorum_every: float = 180 * DAY
    """All servers of a site at once: power, network."""
    quorum: tuple[float, float] = (60.0, 14400.0)
    dns_every: float = 60 * DAY
    """A DNS server of some of the zones is down; its requests are tried again until it is up."""
    dns: tuple[float, float] = (10.0, 7200.0)
    dns_share: float = 0.3
    """The part of the requests that are for it."""
    requests: tuple[float, float] = (0.1, 30.0)
    """A second, of a site."""
    drift: float = 50e-6
    """Of clocks, the standard deviation."""
    election: tuple[float, float] = (4.0, 9.0)
    """Until the servers have a leader again, as measured."""
    transfer: float = 0.35
    """The same in lame duck mode."""
    answer: tuple[float, float] = (0.001, 0.008)
    """Of the servers."""
    update: tuple[float, float] = (0.0005, 0.02)
    """From an update to its reply."""
    look_to_send: float = 100e-6
    """From the look at the clocks to the end of the system call."""
