"""From the durable queue to the shared one and back under load: ``python -m tests.cluster switching``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tests.cluster.apart import SETTLE_SECONDS, apart_site
from tests.cluster.load import Load, finish
from tests.cluster.site import durable_config
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.cluster.apart import ApartSite
    from tests.cluster.site import Machine


def switching(binary: str, rounds: int, rate: float, seed: int, lease: float, grace: float) -> bool:
    """Switch two machines to the shared queue and back, so often; print what came of it.

    A third one gets no requests: it works the queue off while a machine is stopped on its way back.
    """
    with apart_site(binary, lease=lease, grace=grace) as site:
        *machines, last = site.machines
        with Load(machines, 0, seed) as load:
            for machine in machines:
                machine.configure(durable_config(machine.settings))
                machine.start()
            last.start()
            load.rate = rate
            for _ in range(rounds):
                for machine in machines:
                    time.sleep(2.0)
                    _restart(machine, load, machine.settings)
                for machine in machines:
                    time.sleep(2.0)
                    _restart(machine, load, durable_config(machine.settings), site)
            time.sleep(2.0)
            outcome = finish(site, load)
    print(f"two machines {rounds} times from durable to nats and back at {rate:g} requests a second: "
          f"{outcome.accepted} accepted, {outcome.lost} lost, {len(outcome.wrong)} names end wrong, "
          f"{outcome.older} times an older update after a newer one")
    return outcome.good and not outcome.older


def _restart(
    machine: Machine, load: Load, settings: Mapping[str, Any], site: ApartSite | None = None
) -> None:
    """Start a machine with another queue; ``site``: when all that it has handed over is worked off."""
    with load.held(machine):
        machine.until_read()
        if site is not None:
            wait_until(lambda: not machine.queue()["unacknowledged"], "all to be handed over")
        assert machine.d2.stop() == 0
        if site is not None:
            end = site.last_batch()
            wait_until(lambda: site.record().floor >= end, "the queue to be worked off", SETTLE_SECONDS)
        machine.configure(settings)
        machine.start()
