"""Retries of a server whose updates go in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyd2.update.server.lane import MOST_HELD, MOST_READY
from tests.update.support import VirtualD2, answer, domain, make_config, request, simple_map, statistics

if TYPE_CHECKING:
    from pyd2.update.engine import Outgoing

WAITING = 2 * MOST_HELD
"""Requests that wait for the server."""
WINDOW = 16


@pytest.mark.parametrize(("batch", "most"), [(1, MOST_READY + WINDOW), (50, MOST_HELD + 4 * 50)])
def test_few_retries_begin_at_a_time_when_the_server_is_back(batch: int, most: int) -> None:
    """With a transaction for each of 300,000, they would take more memory and time than all else."""
    switches = {
        "lanes": {"batch": batch, "max-in-flight": WINDOW},
        "retry": {"enabled": True, "initial-delay": 1, "max-delay": 5}, "failover": {"enabled": True},
    }
    zones = simple_map([domain("example.com.", 1)], [], {"user-context": {"pyd2": switches}})
    answers: list[Outgoing] = []
    up_at = 10.0

    def peer(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        if now < up_at:
            return []
        answers.append(outgoing)
        return [(0.02, answer(outgoing.message, 0))]

    d2 = VirtualD2(make_config(zones), peer, 0)
    d2.keep_sent = False
    up_at += d2.now
    for number in range(WAITING):
        d2.request(request(fqdn=f"h{number}.example.com.", dhcid=f"{number:08X}", reverse_change=False))
    d2.run(up_at - 1)
    assert d2.engine.retries == WAITING - d2.engine.active > 0.9 * WAITING
    active = [d2.engine.active]
    while d2.step():
        active.append(d2.engine.active)
    assert max(active) <= most
    assert statistics(d2.counters)["update-success"] == WAITING
    assert (len(answers) < WAITING / 20) == (batch > 1)
